//! Records for tests.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use gantry_domain::elb::{
    Forward, HealthCheck, Listener, ListenerProtocol, LoadBalancer, LoadBalancerState, LoadBalancerSubnet,
    RuleAction, Scheme, Target, TargetGroup, TargetHealth, TargetProtocol, TargetType, WeightedTargetGroup,
};
use gantry_link::{ListenerConfig, LoadBalancerConfig, TargetGroupConfig};
use gantry_types::{Arn, Timestamp, Value, arn};

pub(crate) fn elb(resource: &str) -> Arn {
    arn("elasticloadbalancing", "us-east-1", resource)
}

pub(crate) fn load_balancer(name: &str) -> LoadBalancer {
    LoadBalancer {
        region: "us-east-1".into(),
        arn: elb(&format!("loadbalancer/app/{name}/1")),
        name: name.to_owned(),
        dns_name: format!("{name}.localhost"),
        scheme: Scheme::InternetFacing,
        vpc: "vpc-1".into(),
        subnets: vec![LoadBalancerSubnet {
            subnet: "subnet-1".into(),
            availability_zone: "us-east-1a".into(),
            address: Ipv4Addr::new(172, 31, 0, 10),
        }],
        outside_address: None,
        security_groups: Vec::new(),
        state: LoadBalancerState::Active,
        state_reason: None,
        attributes: BTreeMap::new(),
        created_at: Timestamp::EPOCH,
        document: Value::Null,
    }
}

/// A load balancer with one listener that forwards everything to one group.
pub(crate) fn load_balancer_config(name: &str, port: u16, group: &Arn) -> LoadBalancerConfig {
    let load_balancer = load_balancer(name);
    let target_groups = vec![WeightedTargetGroup { target_group: group.clone(), weight: 1 }];
    let listener = Listener {
        arn: elb(&format!("listener/app/{name}/1/{port}")),
        load_balancer: load_balancer.arn.clone(),
        protocol: ListenerProtocol::Http,
        port,
        default_actions: vec![RuleAction::Forward(Forward { target_groups, stickiness: None })],
        attributes: BTreeMap::new(),
        document: Value::Null,
    };
    LoadBalancerConfig {
        load_balancer,
        listeners: vec![ListenerConfig { listener, rules: Vec::new() }],
        ingress: Vec::new(),
    }
}

pub(crate) fn group_config(name: &str, targets: Vec<Target>) -> TargetGroupConfig {
    let health_check = HealthCheck {
        enabled: true,
        protocol: TargetProtocol::Http,
        port: None,
        path: "/".to_owned(),
        interval: Duration::from_secs(30),
        timeout: Duration::from_secs(5),
        healthy_threshold: 5,
        unhealthy_threshold: 2,
        matcher: "200".to_owned(),
    };
    let group = TargetGroup {
        region: "us-east-1".into(),
        arn: elb(&format!("targetgroup/{name}/1")),
        name: name.to_owned(),
        protocol: TargetProtocol::Http,
        port: 80,
        vpc: "vpc-1".into(),
        target_type: TargetType::Ip,
        health_check,
        attributes: BTreeMap::new(),
        created_at: Timestamp::EPOCH,
        document: Value::Null,
    };
    TargetGroupConfig { group, promised: false, in_use: true, targets }
}

pub(crate) fn target(group: &str, registration: &str, last_octet: u8) -> Target {
    let address = Ipv4Addr::new(172, 31, 0, last_octet);
    Target {
        target_group: elb(&format!("targetgroup/{group}/1")),
        registration: registration.into(),
        target_id: address.to_string(),
        address,
        port: 8000,
        availability_zone: Some("us-east-1a".into()),
        task: None,
        registered_at: Timestamp::EPOCH,
        draining_since: None,
        drained: false,
        health: TargetHealth::registering(),
    }
}
