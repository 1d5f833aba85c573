//! `AWS::ElasticLoadBalancingV2::TargetGroup`.

use gantry_types::Value;

use super::calls::{self, changed, part};
use super::elbv2_load_balancer::set_attributes;
use super::tags::{self, Tagged};
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::Failure;
use crate::cloudformation::resource::{Creation, Kind, Naming, Property, ResourceType, Wanted, Work};

pub(super) struct TargetGroup;

const PROPERTIES: &[Property] = &[
    Property::new("HealthCheckEnabled", Kind::Boolean),
    Property::new("HealthCheckIntervalSeconds", Kind::Integer),
    Property::new("HealthCheckPath", Kind::String),
    Property::new("HealthCheckPort", Kind::String),
    Property::new("HealthCheckProtocol", Kind::String),
    Property::new("HealthCheckTimeoutSeconds", Kind::Integer),
    Property::new("HealthyThresholdCount", Kind::Integer),
    Property::new("IpAddressType", Kind::String).replaces(),
    Property::new("Matcher", Kind::Structure),
    Property::new("Name", Kind::String).replaces(),
    Property::new("Port", Kind::Integer).replaces(),
    Property::new("Protocol", Kind::String).replaces(),
    Property::new("ProtocolVersion", Kind::String).replaces(),
    Property::new("Tags", Kind::List),
    Property::new("TargetGroupAttributes", Kind::List),
    Property::new("TargetType", Kind::String).replaces(),
    Property::new("Targets", Kind::List),
    Property::new("UnhealthyThresholdCount", Kind::Integer),
    Property::new("VpcId", Kind::String).replaces(),
];
/// What ModifyTargetGroup takes.
const HEALTH_CHECK: &[&str] = &[
    "HealthCheckEnabled",
    "HealthCheckIntervalSeconds",
    "HealthCheckPath",
    "HealthCheckPort",
    "HealthCheckProtocol",
    "HealthCheckTimeoutSeconds",
    "HealthyThresholdCount",
    "Matcher",
    "UnhealthyThresholdCount",
];

impl ResourceType for TargetGroup {
    fn name(&self) -> &'static str {
        "AWS::ElasticLoadBalancingV2::TargetGroup"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn attributes(&self) -> &'static [&'static str] {
        &["LoadBalancerArns", "TargetGroupArn", "TargetGroupFullName", "TargetGroupName"]
    }
    fn naming(&self) -> Option<Naming> {
        Some(Naming::new("Name", 32))
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        let mut input = wanted.input("elbv2", "CreateTargetGroup", &[])?;
        input.set("Name", wanted.name("Name"));
        input.set("Tags", wanted.tag_list("Key", "Value"));
        Ok(Creation::call("elbv2", "CreateTargetGroup", input, "TargetGroups.0.TargetGroupArn"))
    }

    fn configure<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        Box::pin(async move {
            let attributes = wanted.property("TargetGroupAttributes");
            set_attributes(caller, "ModifyTargetGroupAttributes", "TargetGroupArn", id, attributes).await?;
            if !wanted.property("Targets").as_list().is_empty() {
                let mut input = wanted.input_of("elbv2", "RegisterTargets", &["Targets"], &[])?;
                input.set("TargetGroupArn", id);
                caller.call("elbv2", "RegisterTargets", input).await?;
            }
            Ok(())
        })
    }

    fn update<'a>(
        &'a self,
        caller: &'a Caller,
        wanted: &'a Wanted<'a>,
        id: &'a str,
        old: &'a Wanted<'a>,
    ) -> Work<'a, ()> {
        Box::pin(async move {
            if changed(wanted, old, HEALTH_CHECK) {
                let mut input = wanted.input_of("elbv2", "ModifyTargetGroup", HEALTH_CHECK, &[])?;
                input.set("TargetGroupArn", id);
                caller.call("elbv2", "ModifyTargetGroup", input).await?;
            }
            if changed(wanted, old, &["Targets"]) {
                let kept = wanted.property("Targets").as_list();
                let dropped =
                    old.property("Targets").as_list().iter().filter(|target| !kept.contains(target));
                let dropped: Vec<Value> = dropped.cloned().collect();
                if !dropped.is_empty() {
                    let former = Value::structure([("Targets", Value::List(dropped))]);
                    let former = Wanted { properties: &former, ..*wanted };
                    let mut input = former.input_of("elbv2", "DeregisterTargets", &["Targets"], &[])?;
                    input.set("TargetGroupArn", id);
                    caller.call("elbv2", "DeregisterTargets", input).await?;
                }
            }
            if changed(wanted, old, &["TargetGroupAttributes", "Targets"]) {
                self.configure(caller, wanted, id).await?;
            }
            tags::update(caller, wanted, old, Tagged::Elbv2 { arn: id }).await
        })
    }

    fn delete<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        calls::remove(caller, "elbv2", "DeleteTargetGroup", Value::structure([("TargetGroupArn", id.into())]))
    }

    fn read<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, Value> {
        Box::pin(async move {
            let input = Value::structure([("TargetGroupArns", vec![id].into())]);
            let output = caller.call("elbv2", "DescribeTargetGroups", input).await?;
            let found = part(&output, "TargetGroups.0");
            let balancers = match part(&found, "LoadBalancerArns") {
                Value::Null => Value::List(vec![]),
                arns => arns,
            };
            Ok(Value::structure([
                ("LoadBalancerArns", balancers),
                ("TargetGroupArn", id.into()),
                ("TargetGroupFullName", id.rsplit(':').next().unwrap_or(id).into()),
                ("TargetGroupName", part(&found, "TargetGroupName")),
            ]))
        })
    }
}
