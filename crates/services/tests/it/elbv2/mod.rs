//! Elastic Load Balancing v2.

mod attributes;
mod balancers;
mod groups;
mod listeners;
mod races;
mod rules;
mod tags;
mod targets;

use serde_json::{Value as Json, json};

pub(crate) use crate::ecs::with;
use crate::world::{Answer as _, World};

pub(crate) const OTHER_REGION: &str = "eu-west-1";

/// A world with the default VPC at hand.
pub(crate) struct Fixture {
    pub(crate) world: World,
    pub(crate) vpc: String,
    pub(crate) subnets: Vec<String>,
    pub(crate) group: String,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let world = World::new();
        let (vpc, subnets, group) = world.default_network().await;
        Self { world, vpc, subnets, group }
    }

    pub(crate) fn balancer_input(&self, name: &str, more: &Json) -> Json {
        with(json!({"Name": name, "Subnets": [self.subnets[0], self.subnets[1]]}), more)
    }

    pub(crate) fn group_input(&self, name: &str, more: &Json) -> Json {
        let plain =
            json!({"Name": name, "Protocol": "HTTP", "Port": 80, "VpcId": self.vpc, "TargetType": "ip"});
        with(plain, more)
    }

    /// A load balancer's ARN.
    pub(crate) async fn balancer(&self, name: &str) -> String {
        let made = self.world.ok("elbv2 CreateLoadBalancer", self.balancer_input(name, &json!({}))).await;
        made["LoadBalancers"][0]["LoadBalancerArn"].text()
    }

    /// A target group's ARN.
    pub(crate) async fn group(&self, name: &str) -> String {
        let made = self.world.ok("elbv2 CreateTargetGroup", self.group_input(name, &json!({}))).await;
        made["TargetGroups"][0]["TargetGroupArn"].text()
    }

    /// The ARN of a listener that forwards to the group.
    pub(crate) async fn listener(&self, balancer: &str, port: u16, group: &str) -> String {
        let made = self.world.ok("elbv2 CreateListener", listener_input(balancer, port, group)).await;
        made["Listeners"][0]["ListenerArn"].text()
    }

    pub(crate) async fn rule(&self, listener: &str, priority: u32, group: &str) -> String {
        let made = self.world.ok("elbv2 CreateRule", rule_input(listener, priority, group)).await;
        made["Rules"][0]["RuleArn"].text()
    }
}

pub(crate) fn listener_input(balancer: &str, port: u16, group: &str) -> Json {
    json!({"LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": port, "DefaultActions": forward(group)})
}

pub(crate) fn rule_input(listener: &str, priority: u32, group: &str) -> Json {
    json!({
        "ListenerArn": listener,
        "Priority": priority,
        "Conditions": [{"Field": "path-pattern", "Values": [format!("/{priority}/*")]}],
        "Actions": forward(group),
    })
}

pub(crate) fn forward(group: &str) -> Json {
    json!([{"Type": "forward", "TargetGroupArn": group}])
}
