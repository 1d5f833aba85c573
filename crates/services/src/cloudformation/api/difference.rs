//! What a version would change, as change sets tell it.

use std::collections::BTreeSet;

use gantry_api::ApiError;
use gantry_api::cloudformation as api;
use gantry_domain::View;
use gantry_template::is_known;
use gantry_types::Value;

use crate::cloudformation::difference::{changed_properties, update_of};
use crate::cloudformation::plan::{Plan, Preview};
use crate::cloudformation::records::{Resource, Stack, Version};
use crate::cloudformation::resource::Update;

/// The changes of resources, in the order in which they would be made; removals last.
pub(super) fn changes(view: &View, stack: &Stack, plan: &Plan) -> Result<Vec<api::Change>, ApiError> {
    let mut preview = Preview::new(view, stack, plan)?;
    let mut changes = Vec::new();
    for id in plan.evaluation.graph().order() {
        let new = match plan.kept_in(&preview, &id) {
            Ok(new) => new,
            // It fails when it is made, and tells why.
            Err(_) => plan.absent(&id, gantry_types::Timestamp::EPOCH).now,
        };
        let Some(old) = preview.kept(&id).cloned() else {
            changes.push(change("Add", &id, &new.resource_type, None));
            continue;
        };
        let names = changed_properties(&old.properties, &new.properties);
        let has_new_tags = old.stack_tags != new.stack_tags;
        if names.is_empty() && !has_new_tags {
            continue;
        }
        let mut replacement = "False";
        let mut details = Vec::new();
        let mut scope = BTreeSet::new();
        for name in &names {
            let value = new.properties.get(name).unwrap_or(&Value::Null);
            let is_static = is_known(value);
            let update = update_of(&new.resource_type, name, &old.properties, &new.properties);
            let recreation = match (update, is_static) {
                (Update::InPlace | Update::Conditional, _) => "Never",
                (Update::Replacement, true) => "Always",
                (Update::Replacement, false) => "Conditionally",
            };
            replacement = match (replacement, recreation) {
                ("True", _) | (_, "Always") => "True",
                ("Conditional", _) | (_, "Conditionally") => "Conditional",
                _ => "False",
            };
            let attribute = if name == "Tags" { "Tags" } else { "Properties" };
            scope.insert(attribute.to_owned());
            details.push(api::ResourceChangeDetail {
                change_source: Some("DirectModification".to_owned()),
                evaluation: Some(if is_static { "Static" } else { "Dynamic" }.to_owned()),
                target: Some(api::ResourceTargetDefinition {
                    attribute: Some(attribute.to_owned()),
                    name: (attribute == "Properties").then(|| name.clone()),
                    requires_recreation: Some(recreation.to_owned()),
                    ..Default::default()
                }),
                ..Default::default()
            });
        }
        if has_new_tags {
            scope.insert("Tags".to_owned());
        }
        match replacement {
            "False" => preview.updated.insert(id.clone()),
            _ => preview.replaced.insert(id.clone()),
        };
        let mut changed = change("Modify", &id, &new.resource_type, old.physical_id.clone());
        if let Some(resource) = &mut changed.resource_change {
            resource.replacement = Some(replacement.to_owned());
            resource.scope = Some(scope.into_iter().collect());
            resource.details = Some(details);
            resource.policy_action = (replacement == "True")
                .then(|| policy_action(&new.update_replace_policy, "ReplaceAndDelete"));
        }
        changes.push(changed);
    }
    for resource in Resource::list(view, stack)?.into_iter().map(|found| found.document) {
        if !plan.has(&resource.logical_id) && !resource.is_gone() {
            let now = &resource.now;
            let mut removed =
                change("Remove", &resource.logical_id, &now.resource_type, now.physical_id.clone());
            if let Some(change) = &mut removed.resource_change {
                change.policy_action = Some(policy_action(&now.deletion_policy, "Delete"));
            }
            changes.push(removed);
        }
    }
    Ok(changes)
}

fn policy_action(policy: &str, otherwise: &str) -> String {
    match (policy, otherwise) {
        ("Retain" | "RetainExceptOnCreate", "Delete") => "Retain",
        ("Retain" | "RetainExceptOnCreate", _) => "ReplaceAndRetain",
        _ => otherwise,
    }
    .to_owned()
}

fn change(action: &str, id: &str, resource_type: &str, physical_id: Option<String>) -> api::Change {
    api::Change {
        r#type: Some("Resource".to_owned()),
        resource_change: Some(api::ResourceChange {
            action: Some(action.to_owned()),
            logical_resource_id: Some(id.to_owned()),
            physical_resource_id: physical_id,
            resource_type: Some(resource_type.to_owned()),
            scope: Some(vec![]),
            details: Some(vec![]),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Whether an update to the version would do anything: change resources, or what the stack itself tells.
pub(super) fn is_update(
    view: &View,
    stack: &Stack,
    plan: &Plan,
    before: &Version,
    after: &Version,
) -> Result<bool, ApiError> {
    if !changes(view, stack, plan)?.is_empty()
        || before.tags != after.tags
        || before.notification_arns != after.notification_arns
    {
        return Ok(true);
    }
    let Ok(old) = Plan::new(stack, before) else { return Ok(true) };
    let (old_template, new_template) = (old.evaluation.template(), plan.evaluation.template());
    let policies = |plan: &Plan| -> Vec<(String, String, Option<Value>)> {
        let of = |(id, resource): (&String, &gantry_template::Resource)| {
            let policies = format!("{:?} {:?}", resource.deletion_policy, resource.update_replace_policy);
            (id.clone(), policies, resource.metadata.clone())
        };
        plan.evaluation.resources().map(of).collect()
    };
    if policies(&old) != policies(plan) {
        return Ok(true);
    }
    let preview = Preview::new(view, stack, plan)?;
    let same_outputs = match (old.evaluation.outputs(&preview), plan.evaluation.outputs(&preview)) {
        (Ok(old), Ok(new)) => old == new,
        _ => old_template.outputs == new_template.outputs,
    };
    Ok(!same_outputs)
}
