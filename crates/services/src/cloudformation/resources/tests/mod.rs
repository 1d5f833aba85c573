//! Resource types against the services they call: what they make, change, tell and take away.

mod bench;
mod lives;
mod network;
mod table;
mod walk;

use bench::Bench;
