//! `gantry doctor`: what this machine can and cannot enforce, and what to do about it.
//!
//! Each check tries the real thing where that leaves no trace (an overlay mount, links and rules in a network namespace of its
//! own, a listening socket), and reads the rest. A check says what it found, and, unless all is well, what to do next.

mod machine;
mod network;
mod report;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::Serialize;

pub use report::{json, table};

use crate::config::AddressRange;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, with a restriction.
    Limited,
    /// It does not work.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub check: &'static str,
    pub verdict: Verdict,
    pub found: String,
    /// What to do about it.
    pub next: Option<String>,
}

impl Finding {
    fn good(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Good, found: found.into(), next: None }
    }
    fn limited(check: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Limited, found: found.into(), next: Some(next.into()) }
    }
    fn bad(check: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Bad, found: found.into(), next: Some(next.into()) }
    }
}

/// What a server would use.
#[derive(Debug, Clone)]
pub struct Subject {
    pub state_dir: PathBuf,
    pub listen: SocketAddr,
    pub lb_address: IpAddr,
    pub lb_range: AddressRange,
    pub hosts_file: PathBuf,
}

/// Looks at everything.
pub fn examine(subject: &Subject) -> Vec<Finding> {
    let mut findings = machine::examine(subject);
    findings.extend(network::examine(subject));
    findings
}
