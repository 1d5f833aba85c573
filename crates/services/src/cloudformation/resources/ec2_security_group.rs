//! `AWS::EC2::SecurityGroup`.

use gantry_types::Value;

use super::calls::{self, part};
use super::ec2_permission::{self, Direction, everywhere, permission};
use super::tags::{self, Tagged};
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::Failure;
use crate::cloudformation::resource::{Creation, Kind, Naming, Property, ResourceType, Wanted, Work};

pub(super) struct SecurityGroup;

const PROPERTIES: &[Property] = &[
    Property::new("GroupDescription", Kind::String).required().replaces(),
    Property::new("GroupName", Kind::String).replaces(),
    Property::new("SecurityGroupEgress", Kind::List),
    Property::new("SecurityGroupIngress", Kind::List),
    Property::new("Tags", Kind::List),
    Property::new("VpcId", Kind::String).replaces(),
];

impl ResourceType for SecurityGroup {
    fn name(&self) -> &'static str {
        "AWS::EC2::SecurityGroup"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn attributes(&self) -> &'static [&'static str] {
        &["GroupId", "Id", "VpcId"]
    }
    fn naming(&self) -> Option<Naming> {
        Some(Naming::new("GroupName", 255))
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        let renames = [("GroupDescription", "Description")];
        let mut input = wanted.input("ec2", "CreateSecurityGroup", &renames)?;
        input.set("GroupName", wanted.name("GroupName"));
        input.set("TagSpecifications", wanted.tag_specifications("security-group"));
        Ok(Creation::call("ec2", "CreateSecurityGroup", input, "GroupId"))
    }

    fn configure<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        Box::pin(set_rules(caller, wanted, id, None))
    }

    fn update<'a>(
        &'a self,
        caller: &'a Caller,
        wanted: &'a Wanted<'a>,
        id: &'a str,
        old: &'a Wanted<'a>,
    ) -> Work<'a, ()> {
        Box::pin(async move {
            set_rules(caller, wanted, id, Some(old)).await?;
            tags::update(caller, wanted, old, Tagged::Ec2 { id }).await
        })
    }

    fn delete<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        calls::remove(caller, "ec2", "DeleteSecurityGroup", Value::structure([("GroupId", id.into())]))
    }

    fn read<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, Value> {
        Box::pin(async move {
            let input = Value::structure([("GroupIds", vec![id].into())]);
            let output = caller.call("ec2", "DescribeSecurityGroups", input).await?;
            let vpc = part(&output, "SecurityGroups.0.VpcId");
            Ok(Value::structure([("GroupId", id.into()), ("Id", id.into()), ("VpcId", vpc)]))
        })
    }
}

/// Rules that the template names come and go; what other resources, or others, gave the group stays. A rule that differs in
/// its description alone is taken away and made again, as at AWS.
async fn set_rules(
    caller: &Caller,
    wanted: &Wanted<'_>,
    id: &str,
    old: Option<&Wanted<'_>>,
) -> Result<(), Failure> {
    let sides = [("SecurityGroupIngress", Direction::Ingress), ("SecurityGroupEgress", Direction::Egress)];
    for (property, direction) in sides {
        let rules = |value: &Value| -> Vec<Value> { value.as_list().iter().map(permission).collect() };
        let now = rules(wanted.property(property));
        let before = old.map(|old| rules(old.property(property))).unwrap_or_default();
        for rule in before.iter().filter(|rule| !now.contains(rule)) {
            ec2_permission::revoke(caller, direction, id, rule).await?;
        }
        // A group begins with a way out to everywhere, which lasts until the template names one itself.
        let names_egress = direction == Direction::Egress && !now.is_empty() && before.is_empty();
        if names_egress && !now.contains(&everywhere()) {
            ec2_permission::revoke(caller, direction, id, &everywhere()).await?;
        }
        for rule in &now {
            ec2_permission::authorize(caller, direction, id, rule).await?;
        }
    }
    Ok(())
}
