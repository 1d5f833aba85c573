//! A load balancer's attributes, read once.

use std::time::Duration;

use gantry_domain::elb::{Attributes, LoadBalancer};

use crate::http1::DesyncMode;

/// `routing.http.xff_header_processing.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ForwardedForMode {
    #[default]
    Append,
    Preserve,
    Remove,
}

/// The attributes that requests meet; what is not set, or cannot be read, has AWS's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoadBalancerAttributes {
    pub(crate) idle_timeout: Duration,
    pub(crate) client_keep_alive: Duration,
    pub(crate) desync: DesyncMode,
    pub(crate) forwarded_for: ForwardedForMode,
    pub(crate) forwarded_client_port: bool,
    pub(crate) preserve_host: bool,
    pub(crate) drop_invalid_headers: bool,
}

impl LoadBalancerAttributes {
    pub(crate) fn of(load_balancer: &LoadBalancer) -> Self {
        let attributes = &load_balancer.attributes;
        Self {
            idle_timeout: seconds(attributes, "idle_timeout.timeout_seconds", 60),
            client_keep_alive: seconds(attributes, "client_keep_alive.seconds", 3600),
            desync: DesyncMode::parse(text(attributes, "routing.http.desync_mitigation_mode")),
            forwarded_for: match text(attributes, "routing.http.xff_header_processing.mode") {
                "preserve" => ForwardedForMode::Preserve,
                "remove" => ForwardedForMode::Remove,
                _ => ForwardedForMode::Append,
            },
            forwarded_client_port: text(attributes, "routing.http.xff_client_port.enabled") == "true",
            preserve_host: text(attributes, "routing.http.preserve_host_header.enabled") == "true",
            drop_invalid_headers: text(attributes, "routing.http.drop_invalid_header_fields.enabled")
                == "true",
        }
    }
}

fn text<'a>(attributes: &'a Attributes, name: &str) -> &'a str {
    attributes.get(name).map_or("", String::as_str)
}

fn seconds(attributes: &Attributes, name: &str, default: u64) -> Duration {
    let seconds = text(attributes, name).parse().ok().filter(|seconds| *seconds > 0).unwrap_or(default);
    Duration::from_secs(seconds)
}
