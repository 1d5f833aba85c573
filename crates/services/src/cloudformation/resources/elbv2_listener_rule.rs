//! `AWS::ElasticLoadBalancingV2::ListenerRule`.

use gantry_types::Value;

use super::calls::{self, changed};
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::Failure;
use crate::cloudformation::mapping;
use crate::cloudformation::resource::{Creation, Kind, Property, ResourceType, Wanted, Work};

pub(super) struct ListenerRule;

const PROPERTIES: &[Property] = &[
    Property::new("Actions", Kind::List).required(),
    Property::new("Conditions", Kind::List).required(),
    Property::new("ListenerArn", Kind::String).replaces(),
    Property::new("Priority", Kind::Integer).required(),
    Property::new("Transforms", Kind::List),
];
const MODIFIED: &[&str] = &["Actions", "Conditions", "Transforms"];

impl ResourceType for ListenerRule {
    fn name(&self) -> &'static str {
        "AWS::ElasticLoadBalancingV2::ListenerRule"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn attributes(&self) -> &'static [&'static str] {
        &["IsDefault", "RuleArn"]
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        let input = wanted.input("elbv2", "CreateRule", &[])?;
        Ok(Creation::call("elbv2", "CreateRule", input, "Rules.0.RuleArn"))
    }

    fn update<'a>(
        &'a self,
        caller: &'a Caller,
        wanted: &'a Wanted<'a>,
        id: &'a str,
        old: &'a Wanted<'a>,
    ) -> Work<'a, ()> {
        Box::pin(async move {
            if changed(wanted, old, MODIFIED) {
                let mut input = wanted.input_of("elbv2", "ModifyRule", MODIFIED, &[])?;
                input.set("RuleArn", id);
                caller.call("elbv2", "ModifyRule", input).await?;
            }
            if changed(wanted, old, &["Priority"]) {
                let priority = mapping::integer(wanted.property("Priority"));
                let pair = Value::structure([("RuleArn", id.into()), ("Priority", priority.into())]);
                let input = Value::structure([("RulePriorities", Value::List(vec![pair]))]);
                caller.call("elbv2", "SetRulePriorities", input).await?;
            }
            Ok(())
        })
    }

    fn delete<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        calls::remove(caller, "elbv2", "DeleteRule", Value::structure([("RuleArn", id.into())]))
    }

    fn read<'a>(&'a self, _caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, Value> {
        Box::pin(async move { Ok(Value::structure([("IsDefault", false.into()), ("RuleArn", id.into())])) })
    }
}
