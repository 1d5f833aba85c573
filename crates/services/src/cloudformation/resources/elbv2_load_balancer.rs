//! `AWS::ElasticLoadBalancingV2::LoadBalancer`.

use gantry_types::Value;

use super::calls::{self, changed, part};
use super::tags::{self, Tagged};
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::{Failure, HandlerErrorCode};
use crate::cloudformation::mapping;
use crate::cloudformation::resource::{
    Creation, Kind, Naming, Property, ResourceType, Stability, Wanted, Work,
};

pub(super) struct LoadBalancer;

const PROPERTIES: &[Property] = &[
    Property::new("EnableCapacityReservationProvisionStabilize", Kind::Boolean),
    Property::new("EnablePrefixForIpv6SourceNat", Kind::String),
    Property::new("EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic", Kind::String),
    Property::new("IpAddressType", Kind::String),
    Property::new("Ipv4IpamPoolId", Kind::String),
    Property::new("LoadBalancerAttributes", Kind::List),
    Property::new("MinimumLoadBalancerCapacity", Kind::Structure),
    Property::new("Name", Kind::String).replaces(),
    Property::new("Scheme", Kind::String).replaces(),
    Property::new("SecurityGroups", Kind::Strings),
    Property::new("SubnetMappings", Kind::List),
    Property::new("Subnets", Kind::Strings),
    Property::new("Tags", Kind::List),
    Property::new("Type", Kind::String).replaces(),
];
const UNSUPPORTED: &[&str] = &[
    "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic",
    "Ipv4IpamPoolId",
    "MinimumLoadBalancerCapacity",
];

impl ResourceType for LoadBalancer {
    fn name(&self) -> &'static str {
        "AWS::ElasticLoadBalancingV2::LoadBalancer"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn attributes(&self) -> &'static [&'static str] {
        &[
            "CanonicalHostedZoneID",
            "DNSName",
            "LoadBalancerArn",
            "LoadBalancerFullName",
            "LoadBalancerName",
            "SecurityGroups",
        ]
    }
    fn naming(&self) -> Option<Naming> {
        Some(Naming::new("Name", 32))
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        calls::refuse(wanted, UNSUPPORTED)?;
        let mut input = wanted.input("elbv2", "CreateLoadBalancer", &[])?;
        input.set("Name", wanted.name("Name"));
        input.set("Tags", wanted.tag_list("Key", "Value"));
        Ok(Creation::call("elbv2", "CreateLoadBalancer", input, "LoadBalancers.0.LoadBalancerArn"))
    }

    fn configure<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        let attributes = wanted.property("LoadBalancerAttributes");
        Box::pin(set_attributes(caller, "ModifyLoadBalancerAttributes", "LoadBalancerArn", id, attributes))
    }

    fn stability<'a>(
        &'a self,
        caller: &'a Caller,
        _wanted: &'a Wanted<'a>,
        id: &'a str,
    ) -> Work<'a, Stability> {
        Box::pin(async move {
            let state = part(&describe(caller, id).await?, "State.Code");
            match state.as_str() {
                Some("active") => Ok(Stability::Stable),
                Some("failed") => Err(Failure::handler(
                    HandlerErrorCode::NotStabilized,
                    format!("LoadBalancer {id} is in a failed state"),
                )),
                _ => Ok(Stability::Pending),
            }
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
            calls::refuse(wanted, UNSUPPORTED)?;
            let changes: [(&[&str], &'static str); 3] = [
                (&["Subnets", "SubnetMappings"], "SetSubnets"),
                (&["SecurityGroups"], "SetSecurityGroups"),
                (&["IpAddressType"], "SetIpAddressType"),
            ];
            for (properties, operation) in changes {
                let mut input = wanted.input_of("elbv2", operation, properties, &[])?;
                if changed(wanted, old, properties) && input != Value::map() {
                    input.set("LoadBalancerArn", id);
                    caller.call("elbv2", operation, input).await?;
                }
            }
            if changed(wanted, old, &["LoadBalancerAttributes"]) {
                self.configure(caller, wanted, id).await?;
            }
            tags::update(caller, wanted, old, Tagged::Elbv2 { arn: id }).await
        })
    }

    /// Deletion protection refuses, as at AWS.
    fn delete<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        calls::remove(
            caller,
            "elbv2",
            "DeleteLoadBalancer",
            Value::structure([("LoadBalancerArn", id.into())]),
        )
    }

    fn read<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, Value> {
        Box::pin(async move {
            let balancer = describe(caller, id).await?;
            Ok(Value::structure([
                ("CanonicalHostedZoneID", part(&balancer, "CanonicalHostedZoneId")),
                ("DNSName", part(&balancer, "DNSName")),
                ("LoadBalancerArn", id.into()),
                ("LoadBalancerFullName", full_name(id).into()),
                ("LoadBalancerName", part(&balancer, "LoadBalancerName")),
                ("SecurityGroups", part(&balancer, "SecurityGroups")),
            ]))
        })
    }
}

async fn describe(caller: &Caller, id: &str) -> Result<Value, Failure> {
    let input = Value::structure([("LoadBalancerArns", vec![id].into())]);
    let output = caller.call("elbv2", "DescribeLoadBalancers", input).await?;
    Ok(part(&output, "LoadBalancers.0"))
}

/// What CloudWatch names it by: `app/name/0123456789abcdef`.
fn full_name(arn: &str) -> &str {
    arn.split_once(":loadbalancer/").map_or(arn, |(_, name)| name)
}

/// Attributes by their keys; the others stay as they are.
pub(super) async fn set_attributes(
    caller: &Caller,
    operation: &'static str,
    arn_member: &str,
    id: &str,
    attributes: &Value,
) -> Result<(), Failure> {
    let pair = |attribute: &Value| {
        let text = |name| attribute.get(name).and_then(mapping::text);
        Value::structure([("Key", text("Key").into()), ("Value", text("Value").into())])
    };
    let pairs: Vec<Value> = attributes.as_list().iter().map(pair).collect();
    if pairs.is_empty() {
        return Ok(());
    }
    let input = Value::structure([(arn_member, id.into()), ("Attributes", Value::List(pairs))]);
    caller.call("elbv2", operation, input).await.map(|_| ())
}
