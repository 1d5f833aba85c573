//! `AWS::EC2::Subnet`.

use gantry_types::Value;

use super::calls::{self, changed, part};
use super::tags::{self, Tagged};
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::Failure;
use crate::cloudformation::mapping;
use crate::cloudformation::resource::{Creation, Kind, Property, ResourceType, Wanted, Work};

pub(super) struct Subnet;

const PROPERTIES: &[Property] = &[
    Property::new("AssignIpv6AddressOnCreation", Kind::Boolean),
    Property::new("AvailabilityZone", Kind::String).replaces(),
    Property::new("AvailabilityZoneId", Kind::String).replaces(),
    Property::new("CidrBlock", Kind::String).replaces(),
    Property::new("EnableDns64", Kind::Boolean),
    Property::new("EnableLniAtDeviceIndex", Kind::Integer),
    Property::new("Ipv4IpamPoolId", Kind::String).replaces(),
    Property::new("Ipv4NetmaskLength", Kind::Integer).replaces(),
    Property::new("Ipv6CidrBlock", Kind::String),
    Property::new("Ipv6IpamPoolId", Kind::String).replaces(),
    Property::new("Ipv6Native", Kind::Boolean).replaces(),
    Property::new("Ipv6NetmaskLength", Kind::Integer).replaces(),
    Property::new("MapPublicIpOnLaunch", Kind::Boolean),
    Property::new("OutpostArn", Kind::String).replaces(),
    Property::new("PrivateDnsNameOptionsOnLaunch", Kind::Structure),
    Property::new("Tags", Kind::List),
    Property::new("VpcId", Kind::String).required().replaces(),
];
const UNSUPPORTED: &[&str] = &[
    "EnableLniAtDeviceIndex",
    "Ipv4IpamPoolId",
    "Ipv4NetmaskLength",
    "Ipv6CidrBlock",
    "Ipv6IpamPoolId",
    "Ipv6NetmaskLength",
    "OutpostArn",
];
/// EC2 changes one of them a call.
const SWITCHES: [&str; 3] = ["AssignIpv6AddressOnCreation", "EnableDns64", "MapPublicIpOnLaunch"];
const NAME_SWITCHES: [(&str, &str); 2] = [
    ("EnableResourceNameDnsARecord", "EnableResourceNameDnsARecordOnLaunch"),
    ("EnableResourceNameDnsAAAARecord", "EnableResourceNameDnsAAAARecordOnLaunch"),
];

impl ResourceType for Subnet {
    fn name(&self) -> &'static str {
        "AWS::EC2::Subnet"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn attributes(&self) -> &'static [&'static str] {
        &[
            "AvailabilityZone",
            "AvailabilityZoneId",
            "CidrBlock",
            "Ipv6CidrBlocks",
            "NetworkAclAssociationId",
            "SubnetId",
            "VpcId",
        ]
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        calls::refuse(wanted, UNSUPPORTED)?;
        let mut input = wanted.input("ec2", "CreateSubnet", &[])?;
        input.set("TagSpecifications", wanted.tag_specifications("subnet"));
        Ok(Creation::call("ec2", "CreateSubnet", input, "Subnet.SubnetId"))
    }

    fn configure<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        Box::pin(async move {
            let modify = |member: &str, value: Value| {
                let input = Value::structure([("SubnetId", id.into()), (member, value)]);
                calls::call(caller, "ec2", "ModifySubnetAttribute", input)
            };
            let switch = |truth: bool| Value::structure([("Value", truth.into())]);
            for property in SWITCHES {
                if let Some(truth) = mapping::truth(wanted.property(property)) {
                    modify(property, switch(truth)).await?;
                }
            }
            let names = wanted.property("PrivateDnsNameOptionsOnLaunch");
            if let Some(kind) = names.get("HostnameType").and_then(mapping::text) {
                modify("PrivateDnsHostnameTypeOnLaunch", kind.into()).await?;
            }
            for (property, member) in NAME_SWITCHES {
                if let Some(truth) = names.get(property).and_then(mapping::truth) {
                    modify(member, switch(truth)).await?;
                }
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
            calls::refuse(wanted, UNSUPPORTED)?;
            // A switch that the template no longer sets goes back to off.
            let is_dropped =
                |property: &&str| wanted.property(property).is_null() && changed(wanted, old, &[property]);
            for property in SWITCHES.into_iter().filter(is_dropped) {
                let value = Value::structure([("Value", false.into())]);
                let input = Value::structure([("SubnetId", id.into()), (property, value)]);
                caller.call("ec2", "ModifySubnetAttribute", input).await?;
            }
            self.configure(caller, wanted, id).await?;
            tags::update(caller, wanted, old, Tagged::Ec2 { id }).await
        })
    }

    fn delete<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        calls::remove(caller, "ec2", "DeleteSubnet", Value::structure([("SubnetId", id.into())]))
    }

    fn read<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, Value> {
        Box::pin(async move {
            let input = Value::structure([("SubnetIds", vec![id].into())]);
            let subnet = part(&caller.call("ec2", "DescribeSubnets", input).await?, "Subnets.0");
            let filters = Value::List(vec![calls::filter("association.subnet-id", id)]);
            let input = Value::structure([("Filters", filters)]);
            let acls = caller.call("ec2", "DescribeNetworkAcls", input).await?;
            let associations = part(&acls, "NetworkAcls.0.Associations");
            let is_own = |each: &&Value| each.get("SubnetId").and_then(Value::as_str) == Some(id);
            let own = associations.as_list().iter().find(is_own).cloned().unwrap_or_default();
            Ok(Value::structure([
                ("AvailabilityZone", part(&subnet, "AvailabilityZone")),
                ("AvailabilityZoneId", part(&subnet, "AvailabilityZoneId")),
                ("CidrBlock", part(&subnet, "CidrBlock")),
                ("Ipv6CidrBlocks", Value::List(vec![])),
                ("NetworkAclAssociationId", part(&own, "NetworkAclAssociationId")),
                ("SubnetId", id.into()),
                ("VpcId", part(&subnet, "VpcId")),
            ]))
        })
    }
}
