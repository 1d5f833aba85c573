//! Everything that describes or runs inside one container.

pub(crate) mod accounts;
pub(crate) mod init;
pub(crate) mod payload;
pub(crate) mod root;
pub(crate) mod seccomp;
