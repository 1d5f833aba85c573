//! `AWS::EC2::SecurityGroupIngress`: one rule of a group that is a resource of its own.

use gantry_types::Value;

use super::calls;
use super::ec2_permission::permission;
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::Failure;
use crate::cloudformation::resource::{Creation, Kind, Property, ResourceType, Wanted, Work};

pub(super) struct SecurityGroupIngress;

const PROPERTIES: &[Property] = &[
    Property::new("CidrIp", Kind::String).replaces(),
    Property::new("CidrIpv6", Kind::String).replaces(),
    Property::new("Description", Kind::String),
    Property::new("FromPort", Kind::Integer).replaces(),
    Property::new("GroupId", Kind::String).replaces(),
    Property::new("GroupName", Kind::String).replaces(),
    Property::new("IpProtocol", Kind::String).required().replaces(),
    Property::new("SourcePrefixListId", Kind::String).replaces(),
    Property::new("SourceSecurityGroupId", Kind::String).replaces(),
    Property::new("SourceSecurityGroupName", Kind::String).replaces(),
    Property::new("SourceSecurityGroupOwnerId", Kind::String).replaces(),
    Property::new("ToPort", Kind::Integer).replaces(),
];

/// The rule of its group.
fn input(wanted: &Wanted<'_>) -> Value {
    Value::structure([
        ("GroupId", wanted.text("GroupId").into()),
        ("GroupName", wanted.text("GroupName").into()),
        ("IpPermissions", Value::List(vec![permission(wanted.properties)])),
    ])
}

impl ResourceType for SecurityGroupIngress {
    fn name(&self) -> &'static str {
        "AWS::EC2::SecurityGroupIngress"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn attributes(&self) -> &'static [&'static str] {
        &["Id"]
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        let id = "SecurityGroupRules.0.SecurityGroupRuleId";
        Ok(Creation::call("ec2", "AuthorizeSecurityGroupIngress", input(wanted), id))
    }

    /// The description is all that changes in place.
    fn update<'a>(
        &'a self,
        caller: &'a Caller,
        wanted: &'a Wanted<'a>,
        _id: &'a str,
        _old: &'a Wanted<'a>,
    ) -> Work<'a, ()> {
        calls::call(caller, "ec2", "UpdateSecurityGroupRuleDescriptionsIngress", input(wanted))
    }

    fn delete<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        let input = Value::structure([
            ("GroupId", wanted.text("GroupId").into()),
            ("GroupName", wanted.text("GroupName").into()),
            ("SecurityGroupRuleIds", vec![id].into()),
        ]);
        calls::remove(caller, "ec2", "RevokeSecurityGroupIngress", input)
    }

    fn read<'a>(&'a self, _caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, Value> {
        Box::pin(async move { Ok(Value::structure([("Id", id.into())])) })
    }
}
