//! Rules of security groups, from CloudFormation's form to EC2's.

use gantry_types::Value;

use super::calls;
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::Failure;
use crate::cloudformation::mapping;

/// Which way a rule opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Ingress,
    Egress,
}

/// The rule that a new group has.
pub(super) fn everywhere() -> Value {
    permission(&Value::structure([("IpProtocol", "-1".into()), ("CidrIp", "0.0.0.0/0".into())]))
}

/// One `IpPermission` from one rule: what EC2 writes as a list of one peer, CloudFormation writes beside the ports.
pub(super) fn permission(rule: &Value) -> Value {
    let text = |name: &str| rule.get(name).and_then(mapping::text);
    let port = |name: &str| Value::from(rule.get(name).and_then(mapping::integer));
    let first = |names: [&str; 2]| names.iter().find_map(|name| text(name));
    let one = |member: &str, value: Option<String>| match value {
        None => Value::Null,
        Some(value) => Value::List(vec![Value::structure([
            (member, value.into()),
            ("Description", text("Description").into()),
        ])]),
    };
    let group = first(["SourceSecurityGroupId", "DestinationSecurityGroupId"]);
    let group_name = text("SourceSecurityGroupName");
    let pairs = match (&group, &group_name) {
        (None, None) => Value::Null,
        _ => Value::List(vec![Value::structure([
            ("GroupId", group.into()),
            ("GroupName", group_name.into()),
            ("UserId", text("SourceSecurityGroupOwnerId").into()),
            ("Description", text("Description").into()),
        ])]),
    };
    Value::structure([
        ("IpProtocol", text("IpProtocol").into()),
        ("FromPort", port("FromPort")),
        ("ToPort", port("ToPort")),
        ("IpRanges", one("CidrIp", text("CidrIp"))),
        ("Ipv6Ranges", one("CidrIpv6", text("CidrIpv6"))),
        ("PrefixListIds", one("PrefixListId", first(["SourcePrefixListId", "DestinationPrefixListId"]))),
        ("UserIdGroupPairs", pairs),
    ])
}

/// An input with one rule of a group.
pub(super) fn of_group(group: &str, rule: &Value) -> Value {
    Value::structure([("GroupId", group.into()), ("IpPermissions", Value::List(vec![rule.clone()]))])
}

/// That the rule is there already is a success: the call may be made again after a restart.
pub(super) async fn authorize(
    caller: &Caller,
    direction: Direction,
    group: &str,
    rule: &Value,
) -> Result<(), Failure> {
    let operation = match direction {
        Direction::Ingress => "AuthorizeSecurityGroupIngress",
        Direction::Egress => "AuthorizeSecurityGroupEgress",
    };
    calls::add(caller, "ec2", operation, of_group(group, rule)).await
}

/// That the rule, or its group, is gone already is a success.
pub(super) async fn revoke(
    caller: &Caller,
    direction: Direction,
    group: &str,
    rule: &Value,
) -> Result<(), Failure> {
    let operation = match direction {
        Direction::Ingress => "RevokeSecurityGroupIngress",
        Direction::Egress => "RevokeSecurityGroupEgress",
    };
    calls::remove(caller, "ec2", operation, of_group(group, rule)).await
}
