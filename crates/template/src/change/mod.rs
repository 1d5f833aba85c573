//! What an update will do to each resource, as a change set tells it.

mod compare;
mod detail;
mod planned;

use std::collections::{BTreeMap, BTreeSet};

use gantry_types::Value;

use crate::error::{Result, validation};
use crate::evaluation::Evaluation;
use crate::template::{DeletionPolicy, Template};
use crate::world::World;
pub use compare::changed_properties;
pub use detail::{
    ChangeAttribute, ChangeDetail, ChangeSource, EvaluationKind, Replacement, RequiresRecreation,
};
use planned::Plan;

/// A resource that the stack has.
#[derive(Debug, Clone, PartialEq)]
pub struct ExistingResource {
    pub resource_type: String,
    pub physical_id: Option<String>,
    /// As [`Evaluation::properties`] gave them when the resource was made or last updated.
    pub properties: Value,
    pub metadata: Option<Value>,
}

/// What a stack is made of before the update. For a stack that is not made yet: the new evaluation itself, without
/// resources.
#[derive(Debug, Clone, Copy)]
pub struct Before<'a> {
    pub evaluation: &'a Evaluation,
    pub resources: &'a BTreeMap<String, ExistingResource>,
    pub tags: &'a BTreeMap<String, String>,
}

/// What it shall be made of.
#[derive(Debug, Clone, Copy)]
pub struct After<'a> {
    pub evaluation: &'a Evaluation,
    pub tags: &'a BTreeMap<String, String>,
}

/// What the caller knows about resource types.
pub trait ResourceTypes {
    /// Whether a change of this property makes a new resource.
    fn requires_recreation(&self, resource_type: &str, property: &str) -> RequiresRecreation;
    /// Whether resources of this type carry the stack's tags.
    fn takes_stack_tags(&self, resource_type: &str) -> bool;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeAction {
    Add,
    Modify,
    Remove,
}

impl ChangeAction {
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "Add",
            Self::Modify => "Modify",
            Self::Remove => "Remove",
        }
    }
}

/// One resource of a change set.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceChange {
    pub action: ChangeAction,
    pub logical_id: String,
    pub resource_type: String,
    pub physical_id: Option<String>,
    /// Of a modification.
    pub replacement: Option<Replacement>,
    /// What becomes of a resource that is removed or replaced: `Delete`, `Retain`, `Snapshot`, and these behind
    /// `ReplaceAnd`.
    pub policy_action: Option<&'static str>,
    pub details: Vec<ChangeDetail>,
}

impl ResourceChange {
    /// The kinds of attributes that change, each once.
    pub fn scope(&self) -> Vec<ChangeAttribute> {
        let kinds: BTreeSet<ChangeAttribute> = self.details.iter().map(|detail| detail.attribute).collect();
        kinds.into_iter().collect()
    }
}

/// What an update will do.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes {
    /// By logical id.
    pub resources: Vec<ResourceChange>,
    pub outputs_change: bool,
}

impl Changes {
    /// "The submitted information didn't contain changes."
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty() && !self.outputs_change
    }
}

/// Holds a template against what the stack has. Resources are looked at in the order in which they will be made, so that
/// each knows what becomes of those that it names.
pub fn changes(
    before: Before<'_>,
    after: After<'_>,
    world: &dyn World,
    types: &dyn ResourceTypes,
) -> Result<Changes> {
    refuse_other_types(before, after)?;
    let mut plan = Plan::default();
    let mut changed = BTreeMap::new();
    let mut policies = Vec::new();
    for logical_id in after.evaluation.graph().order() {
        let Some(resource) = after.evaluation.resource(&logical_id) else { continue };
        let Some(existing) = before.resources.get(&logical_id) else {
            plan.add(&logical_id);
            changed.insert(logical_id.clone(), addition(&logical_id, &resource.resource_type));
            continue;
        };
        let details = compare::details(&logical_id, existing, before, after, &plan, world, types)?;
        let replacement = detail::replacement(&details);
        let change = ResourceChange {
            action: ChangeAction::Modify,
            logical_id: logical_id.clone(),
            resource_type: existing.resource_type.clone(),
            physical_id: existing.physical_id.clone(),
            policy_action: match replacement {
                Replacement::False => None,
                Replacement::True | Replacement::Conditional => {
                    replace_action(resource.update_replace_policy)
                }
            },
            replacement: Some(replacement),
            details,
        };
        let of_policies = compare::policies(&logical_id, before, after);
        if change.details.is_empty() {
            policies.push((change, of_policies));
        } else {
            plan.modify(&logical_id, replacement);
            let details = change.details.iter().cloned().chain(of_policies).collect();
            changed.insert(logical_id, ResourceChange { details, ..change });
        }
    }
    for (logical_id, existing) in before.resources {
        if after.evaluation.resource(logical_id).is_none() {
            changed.insert(logical_id.clone(), removal(logical_id, existing, before));
        }
    }
    let outputs_change = outputs_change(before, after, &plan);
    // A policy alone is no change: CloudFormation takes it over together with another one.
    if !changed.is_empty() || outputs_change {
        for (change, details) in policies.into_iter().filter(|(_, details)| !details.is_empty()) {
            changed.insert(change.logical_id.clone(), ResourceChange { details, ..change });
        }
    }
    Ok(Changes { resources: changed.into_values().collect(), outputs_change })
}

fn refuse_other_types(before: Before<'_>, after: After<'_>) -> Result<()> {
    let other: Vec<&str> = after
        .evaluation
        .resources()
        .filter(|(logical_id, resource)| {
            before
                .resources
                .get(*logical_id)
                .is_some_and(|existing| existing.resource_type != resource.resource_type)
        })
        .map(|(logical_id, _)| logical_id.as_str())
        .collect();
    if other.is_empty() {
        return Ok(());
    }
    validation(format!(
        "Update of resource type is not permitted. The new template modifies resource type of the following resources: [{}]",
        other.join(", ")
    ))
}

fn addition(logical_id: &str, resource_type: &str) -> ResourceChange {
    ResourceChange {
        action: ChangeAction::Add,
        logical_id: logical_id.to_owned(),
        resource_type: resource_type.to_owned(),
        physical_id: None,
        replacement: None,
        policy_action: None,
        details: Vec::new(),
    }
}

fn removal(logical_id: &str, existing: &ExistingResource, before: Before<'_>) -> ResourceChange {
    let template: &Template = before.evaluation.template();
    let policy =
        template.resources.get(logical_id).map(|resource| resource.deletion_policy).unwrap_or_default();
    ResourceChange {
        action: ChangeAction::Remove,
        logical_id: logical_id.to_owned(),
        resource_type: existing.resource_type.clone(),
        physical_id: existing.physical_id.clone(),
        replacement: None,
        policy_action: Some(match policy {
            DeletionPolicy::Delete => "Delete",
            DeletionPolicy::Retain | DeletionPolicy::RetainExceptOnCreate => "Retain",
            DeletionPolicy::Snapshot => "Snapshot",
        }),
        details: Vec::new(),
    }
}

fn replace_action(policy: DeletionPolicy) -> Option<&'static str> {
    Some(match policy {
        DeletionPolicy::Delete => "ReplaceAndDelete",
        DeletionPolicy::Retain | DeletionPolicy::RetainExceptOnCreate => "ReplaceAndRetain",
        DeletionPolicy::Snapshot => "ReplaceAndSnapshot",
    })
}

/// Whether an output comes, goes, says something else or shows a resource or parameter that changes.
fn outputs_change(before: Before<'_>, after: After<'_>, plan: &Plan) -> bool {
    let (old, new) = (before.evaluation.declared_outputs(), after.evaluation.declared_outputs());
    old != new
        || new.values().any(|output| {
            [&output.value]
                .into_iter()
                .chain(&output.export_name)
                .any(|expression| compare::has_causes(expression, before, after, plan))
        })
}
