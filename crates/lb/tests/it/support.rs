//! A world for one test: `control`, targets, clients, and the balancer between them.

mod client;
mod control;
mod upstream;
mod world;

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gantry_types::{Arn, arn};

pub(crate) use client::{Client, Response};
pub(crate) use control::{Control, group};
pub(crate) use upstream::{Request, Upstream, full_backlog, header, ok, read_body, read_head, read_request};
pub(crate) use world::{Plan, World, core_cpu_ticks, ingress};

/// Every wait for something that should happen has this bound.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// A loopback address that no other test has.
pub(crate) fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    // 127.64.0.0/10: 14 bits of the process, 8 bits of the test.
    Ipv4Addr::from(0x7f40_0000 | ((process & 0x3fff) << 8) | (number & 0xff))
}

pub(crate) fn elb(resource: &str) -> Arn {
    arn("elasticloadbalancing", "us-east-1", resource)
}
