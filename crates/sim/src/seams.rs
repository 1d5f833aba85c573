//! Where planted bugs are let in. Without them each of these passes on what it is given.

#[cfg(any(test, feature = "planted"))]
mod bugs;
#[cfg(not(any(test, feature = "planted")))]
mod nothing;

#[cfg(any(test, feature = "planted"))]
pub(crate) use bugs::Bugs;
#[cfg(not(any(test, feature = "planted")))]
pub(crate) use nothing::Bugs;
