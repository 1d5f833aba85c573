//! Attributes of load balancers, target groups and listeners: AWS's names, defaults and ranges.

use gantry_api::elbv2::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::elb::Attributes;
use gantry_domain::{Change, View};
use gantry_types::Ids;

use super::names::{balancer, group, listener, validation};
use crate::Decision;

/// What an attribute may be.
enum Range {
    Boolean,
    Number(i64, i64),
    OneOf(&'static [&'static str]),
    Text,
    /// A value other than the default would be accepted and not acted on: refused.
    Only(&'static str),
}

const TEXT_LENGTH_MAX: usize = 1024;

struct Attribute {
    name: &'static str,
    default: &'static str,
    range: Range,
}

const fn attribute(name: &'static str, default: &'static str, range: Range) -> Attribute {
    Attribute { name, default, range }
}

const BALANCER: [Attribute; 20] = [
    attribute("access_logs.s3.enabled", "false", Range::Only("false")),
    attribute("access_logs.s3.bucket", "", Range::Text),
    attribute("access_logs.s3.prefix", "", Range::Text),
    attribute("connection_logs.s3.enabled", "false", Range::Only("false")),
    attribute("connection_logs.s3.bucket", "", Range::Text),
    attribute("connection_logs.s3.prefix", "", Range::Text),
    attribute("client_keep_alive.seconds", "3600", Range::Number(60, 604_800)),
    attribute("deletion_protection.enabled", "false", Range::Boolean),
    attribute("idle_timeout.timeout_seconds", "60", Range::Number(1, 4000)),
    attribute("ipv6.deny_all_igw_traffic", "false", Range::Only("false")),
    attribute("load_balancing.cross_zone.enabled", "true", Range::Only("true")),
    attribute(
        "routing.http.desync_mitigation_mode",
        "defensive",
        Range::OneOf(&["monitor", "defensive", "strictest"]),
    ),
    attribute("routing.http.drop_invalid_header_fields.enabled", "false", Range::Boolean),
    attribute("routing.http.preserve_host_header.enabled", "false", Range::Boolean),
    attribute("routing.http.x_amzn_tls_version_and_cipher_suite.enabled", "false", Range::Boolean),
    attribute("routing.http.xff_client_port.enabled", "false", Range::Boolean),
    attribute(
        "routing.http.xff_header_processing.mode",
        "append",
        Range::OneOf(&["append", "preserve", "remove"]),
    ),
    attribute("routing.http2.enabled", "true", Range::Boolean),
    attribute("waf.fail_open.enabled", "false", Range::Only("false")),
    attribute("zonal_shift.config.enabled", "false", Range::Only("false")),
];

const GROUP: [Attribute; 12] = [
    attribute("deregistration_delay.timeout_seconds", "300", Range::Number(0, 3600)),
    attribute(
        "load_balancing.algorithm.type",
        "round_robin",
        Range::OneOf(&["round_robin", "least_outstanding_requests", "weighted_random"]),
    ),
    attribute("load_balancing.algorithm.anomaly_mitigation", "off", Range::Only("off")),
    attribute(
        "load_balancing.cross_zone.enabled",
        "use_load_balancer_configuration",
        Range::Only("use_load_balancer_configuration"),
    ),
    attribute("slow_start.duration_seconds", "0", Range::Number(0, 900)),
    attribute("stickiness.enabled", "false", Range::Only("false")),
    attribute("stickiness.type", "lb_cookie", Range::OneOf(&["lb_cookie", "app_cookie"])),
    attribute("stickiness.lb_cookie.duration_seconds", "86400", Range::Number(1, 604_800)),
    attribute("stickiness.app_cookie.cookie_name", "", Range::Text),
    attribute("stickiness.app_cookie.duration_seconds", "86400", Range::Number(1, 604_800)),
    attribute("target_group_health.dns_failover.minimum_healthy_targets.count", "1", Range::Only("1")),
    attribute(
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
        "1",
        Range::Only("1"),
    ),
];

const LISTENER: [Attribute; 1] = [attribute("routing.http.response.server.enabled", "true", Range::Boolean)];

/// Every attribute with its value.
fn all(known: &[Attribute], set: &Attributes) -> Vec<(String, String)> {
    let value = |each: &Attribute| set.get(each.name).cloned().unwrap_or_else(|| each.default.to_owned());
    known.iter().map(|each| (each.name.to_owned(), value(each))).collect()
}

fn set(
    what: &str,
    known: &[Attribute],
    attributes: &mut Attributes,
    key: Option<&str>,
    value: Option<&str>,
) -> Result<(), ApiError> {
    let key = key.unwrap_or("");
    let value = value.unwrap_or("");
    let Some(found) = known.iter().find(|each| each.name == key) else {
        return Err(validation(format!("{what} attribute key '{key}' is not recognized")));
    };
    let invalid = |what: String| Err(validation(format!("'{key}' must be {what}; it is '{value}'")));
    match &found.range {
        Range::Boolean if !matches!(value, "true" | "false") => {
            return invalid("'true' or 'false'".to_owned());
        }
        Range::Number(least, most) => {
            let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            let number =
                value.parse::<i64>().ok().filter(|number| digits && (*least..=*most).contains(number));
            // Slow start is off, or at least half a minute.
            let slow = key == "slow_start.duration_seconds"
                && number.is_some_and(|number| (1..30).contains(&number));
            if number.is_none() || slow {
                return invalid(format!("between {least} and {most}"));
            }
        }
        Range::OneOf(values) if !values.contains(&value) => return invalid(format!("one of {values:?}")),
        Range::Only(only) if *only != value => {
            return Err(ApiError::sender(
                "InvalidConfigurationRequest",
                format!("Gantry does not support '{key}' = '{value}' yet; only '{only}'"),
            ));
        }
        Range::Text if value.len() > TEXT_LENGTH_MAX || value.chars().any(char::is_control) => {
            return invalid(format!("at most {TEXT_LENGTH_MAX} printable characters"));
        }
        Range::Boolean | Range::OneOf(_) | Range::Only(_) | Range::Text => {}
    }
    attributes.insert(key.to_owned(), value.to_owned());
    Ok(())
}

macro_rules! attribute_calls {
    ($describe:ident($describe_input:ty) -> $describe_output:ident,
     $modify:ident($modify_input:ty) -> $modify_output:ident,
     $find:path, $arn:ident, $known:ident, $shape:ident, $what:literal) => {
        fn $arn(attributes: &Attributes) -> Option<Vec<$shape>> {
            let shape = |(key, value)| $shape { key: Some(key), value: Some(value) };
            Some(all(&$known, attributes).into_iter().map(shape).collect())
        }
        pub(super) fn $describe(
            view: &View,
            call: &CallContext,
            input: &$describe_input,
        ) -> Result<$describe_output, ApiError> {
            Ok($describe_output { attributes: $arn(&$find(view, call, &input.$arn)?.attributes) })
        }
        pub(super) fn $modify(
            view: &View,
            call: &CallContext,
            input: &$modify_input,
            _ids: &mut Ids,
        ) -> Decision<$modify_output> {
            let found = $find(view, call, &input.$arn)?;
            let mut record = found.value().clone();
            // One attribute that is wrong keeps all of them from being changed.
            for each in &input.attributes {
                let (key, value) = (each.key.as_deref(), each.value.as_deref());
                set($what, &$known, &mut record.attributes, key, value)?;
            }
            let output = $modify_output { attributes: $arn(&record.attributes) };
            Ok((output, vec![Change::update(record, found.revision)]))
        }
    };
}

attribute_calls!(
    describe_balancer(DescribeLoadBalancerAttributesInput) -> DescribeLoadBalancerAttributesOutput,
    modify_balancer(ModifyLoadBalancerAttributesInput) -> ModifyLoadBalancerAttributesOutput,
    balancer, load_balancer_arn, BALANCER, LoadBalancerAttribute, "Load balancer"
);
attribute_calls!(
    describe_group(DescribeTargetGroupAttributesInput) -> DescribeTargetGroupAttributesOutput,
    modify_group(ModifyTargetGroupAttributesInput) -> ModifyTargetGroupAttributesOutput,
    group, target_group_arn, GROUP, TargetGroupAttribute, "Target group"
);
attribute_calls!(
    describe_listener(DescribeListenerAttributesInput) -> DescribeListenerAttributesOutput,
    modify_listener(ModifyListenerAttributesInput) -> ModifyListenerAttributesOutput,
    listener, listener_arn, LISTENER, ListenerAttribute, "Listener"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_have_defaults_and_ranges() {
        let mut own = Attributes::new();
        assert!(
            all(&GROUP, &own)
                .contains(&("deregistration_delay.timeout_seconds".to_owned(), "300".to_owned()))
        );
        set("Target group", &GROUP, &mut own, Some("deregistration_delay.timeout_seconds"), Some("15"))
            .unwrap();
        assert!(
            all(&GROUP, &own).contains(&("deregistration_delay.timeout_seconds".to_owned(), "15".to_owned()))
        );
        for (key, value) in [
            ("deregistration_delay.timeout_seconds", "3601"),
            ("deregistration_delay.timeout_seconds", "x"),
            ("slow_start.duration_seconds", "10"),
            ("load_balancing.algorithm.type", "best"),
            ("nonsense", "1"),
        ] {
            assert!(set("Target group", &GROUP, &mut own, Some(key), Some(value)).is_err(), "{key}={value}");
        }
    }
}
