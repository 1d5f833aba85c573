//! `AWS::EC2::VPC`.

use gantry_types::Value;

use super::calls;
use super::tags::{self, Tagged};
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::Failure;
use crate::cloudformation::mapping;
use crate::cloudformation::resource::{Creation, Kind, Property, ResourceType, Wanted, Work};

pub(super) struct Vpc;

const PROPERTIES: &[Property] = &[
    Property::new("CidrBlock", Kind::String).replaces(),
    Property::new("EnableDnsHostnames", Kind::Boolean),
    Property::new("EnableDnsSupport", Kind::Boolean),
    Property::new("InstanceTenancy", Kind::String).may_replace(),
    Property::new("Ipv4IpamPoolId", Kind::String).replaces(),
    Property::new("Ipv4NetmaskLength", Kind::Integer).replaces(),
    Property::new("Tags", Kind::List),
];
/// EC2 takes one of them a call.
const ATTRIBUTES: [&str; 2] = ["EnableDnsSupport", "EnableDnsHostnames"];

impl ResourceType for Vpc {
    fn name(&self) -> &'static str {
        "AWS::EC2::VPC"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn attributes(&self) -> &'static [&'static str] {
        &[
            "CidrBlock",
            "CidrBlockAssociations",
            "DefaultNetworkAcl",
            "DefaultSecurityGroup",
            "Ipv6CidrBlocks",
            "VpcId",
        ]
    }
    /// The tenancy may go from `dedicated` to `default` only.
    fn must_replace(&self, _property: &str, _old: &Value, new: &Value) -> bool {
        new.as_str().is_some_and(|new| new != "default")
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        let mut input = wanted.input("ec2", "CreateVpc", &[])?;
        input.set("TagSpecifications", wanted.tag_specifications("vpc"));
        Ok(Creation::call("ec2", "CreateVpc", input, "Vpc.VpcId"))
    }

    fn configure<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        Box::pin(async move {
            for attribute in ATTRIBUTES {
                let Some(value) = mapping::truth(wanted.property(attribute)) else { continue };
                let value = Value::structure([("Value", value.into())]);
                let input = Value::structure([("VpcId", id.into()), (attribute, value)]);
                caller.call("ec2", "ModifyVpcAttribute", input).await?;
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
            self.configure(caller, wanted, id).await?;
            tags::update(caller, wanted, old, Tagged::Ec2 { id }).await
        })
    }

    fn delete<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        calls::remove(caller, "ec2", "DeleteVpc", Value::structure([("VpcId", id.into())]))
    }

    fn read<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, Value> {
        Box::pin(async move {
            let of_vpc = |more: &[(&str, &str)]| {
                let filter = |(name, value): (&str, &str)| {
                    Value::structure([("Name", name.into()), ("Values", vec![value].into())])
                };
                let filters = std::iter::once(("vpc-id", id)).chain(more.iter().copied()).map(filter);
                Value::structure([("Filters", Value::List(filters.collect()))])
            };
            let groups =
                caller.call("ec2", "DescribeSecurityGroups", of_vpc(&[("group-name", "default")])).await?;
            let acls = caller.call("ec2", "DescribeNetworkAcls", of_vpc(&[("default", "true")])).await?;
            let found = |output: &Value, path| mapping::at(output, path).cloned().unwrap_or(Value::Null);
            Ok(Value::structure([
                ("CidrBlock", wanted.property("CidrBlock").clone()),
                ("CidrBlockAssociations", Value::List(vec![])),
                ("DefaultNetworkAcl", found(&acls, "NetworkAcls.0.NetworkAclId")),
                ("DefaultSecurityGroup", found(&groups, "SecurityGroups.0.GroupId")),
                ("Ipv6CidrBlocks", Value::List(vec![])),
                ("VpcId", id.into()),
            ]))
        })
    }
}
