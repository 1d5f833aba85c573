//! One resource, held against what the stack has of it.

use std::collections::{BTreeMap, BTreeSet};

use gantry_types::Value;

use super::detail::{ChangeAttribute, ChangeDetail, ChangeSource, EvaluationKind, RequiresRecreation};
use super::planned::{Fate, Plan, PlannedWorld};
use super::{After, Before, ExistingResource, ResourceTypes};
use crate::document::same;
use crate::error::Result;
use crate::evaluation::{Use, uses};
use crate::expression::Expression;
use crate::template::Resource;
use crate::world::{World, is_known};

/// The top-level properties that differ between two sets of evaluated properties.
pub fn changed_properties(old: &Value, new: &Value) -> Vec<String> {
    property_names(old, new)
        .into_iter()
        .filter(|name| !same_property(old.get(name), new.get(name)))
        .map(str::to_owned)
        .collect()
}

fn property_names<'a>(old: &'a Value, new: &'a Value) -> BTreeSet<&'a str> {
    [old, new].into_iter().filter_map(Value::as_map).flat_map(BTreeMap::keys).map(String::as_str).collect()
}

fn same_property(old: Option<&Value>, new: Option<&Value>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => same(old, new),
        (old, new) => old.is_none() && new.is_none(),
    }
}

/// Why the resource changes; nothing if it does not.
pub(super) fn details(
    logical_id: &str,
    existing: &ExistingResource,
    before: Before<'_>,
    after: After<'_>,
    plan: &Plan,
    world: &dyn World,
    types: &dyn ResourceTypes,
) -> Result<Vec<ChangeDetail>> {
    let planned = PlannedWorld { plan, world };
    let new = after.evaluation.properties(logical_id, &planned)?;
    let (old_declaration, new_declaration) = declarations(logical_id, before, after);
    let mut details = Vec::new();
    for name in property_names(&existing.properties, &new) {
        let written =
            |declaration: Option<&'_ Resource>| declaration.and_then(|one| one.properties.get(name).cloned());
        let expressions = (written(old_declaration), written(new_declaration));
        let values = (existing.properties.get(name), new.get(name));
        for (source, evaluation) in sources(&expressions, values, before, after, plan) {
            details.push(ChangeDetail {
                attribute: ChangeAttribute::Properties,
                name: Some(name.to_owned()),
                requires_recreation: types.requires_recreation(&existing.resource_type, name),
                evaluation,
                source,
                before: values.0.cloned(),
                after: values.1.cloned(),
            });
        }
    }
    let metadata = after.evaluation.metadata(logical_id, &planned)?;
    let metadata_expressions = (
        old_declaration.and_then(|one| one.metadata_expression.clone()),
        new_declaration.and_then(|one| one.metadata_expression.clone()),
    );
    for (source, evaluation) in
        sources(&metadata_expressions, (existing.metadata.as_ref(), metadata.as_ref()), before, after, plan)
    {
        details.push(whole(ChangeAttribute::Metadata, source, evaluation));
    }
    if before.tags != after.tags && types.takes_stack_tags(&existing.resource_type) {
        details.push(whole(ChangeAttribute::Tags, ChangeSource::DirectModification, EvaluationKind::Static));
    }
    Ok(details)
}

/// The policies that are written differently.
pub(super) fn policies(logical_id: &str, before: Before<'_>, after: After<'_>) -> Vec<ChangeDetail> {
    let (Some(old), Some(new)) = declarations(logical_id, before, after) else { return Vec::new() };
    [
        (ChangeAttribute::CreationPolicy, old.creation_policy != new.creation_policy),
        (ChangeAttribute::UpdatePolicy, old.update_policy != new.update_policy),
        (ChangeAttribute::DeletionPolicy, old.deletion_policy != new.deletion_policy),
        (ChangeAttribute::UpdateReplacePolicy, old.update_replace_policy != new.update_replace_policy),
    ]
    .into_iter()
    .filter(|(_, differs)| *differs)
    .map(|(attribute, _)| whole(attribute, ChangeSource::DirectModification, EvaluationKind::Static))
    .collect()
}

fn declarations<'a>(
    logical_id: &str,
    before: Before<'a>,
    after: After<'a>,
) -> (Option<&'a Resource>, Option<&'a Resource>) {
    (before.evaluation.resource(logical_id), after.evaluation.resource(logical_id))
}

fn whole(attribute: ChangeAttribute, source: ChangeSource, evaluation: EvaluationKind) -> ChangeDetail {
    ChangeDetail {
        attribute,
        name: None,
        requires_recreation: RequiresRecreation::Never,
        evaluation,
        source,
        before: None,
        after: None,
    }
}

/// Why a value changes, or may change: what it names comes first, then the template's own words. A value whose
/// parameters changed counts as written anew, with `Dynamic`, as in CloudFormation's change sets.
fn sources(
    (old_expression, new_expression): &(Option<Expression>, Option<Expression>),
    (old, new): (Option<&Value>, Option<&Value>),
    before: Before<'_>,
    after: After<'_>,
    plan: &Plan,
) -> Vec<(ChangeSource, EvaluationKind)> {
    let differs = !same_property(old, new) || new.is_some_and(|new| !is_known(new));
    let mut found = new_expression.as_ref().map_or_else(Vec::new, |new| causes(new, before, after, plan));
    if !differs {
        // The value is what it was; only what cannot be told before the update remains.
        found.retain(|(_, evaluation)| *evaluation == EvaluationKind::Dynamic);
        return found;
    }
    let parameter_changed =
        found.iter().any(|(source, _)| matches!(source, ChangeSource::ParameterReference(_)));
    if found.is_empty() {
        found.push((ChangeSource::DirectModification, EvaluationKind::Static));
    } else if old_expression != new_expression || parameter_changed {
        found.push((ChangeSource::DirectModification, EvaluationKind::Dynamic));
    }
    found
}

pub(super) fn has_causes(expression: &Expression, before: Before<'_>, after: After<'_>, plan: &Plan) -> bool {
    causes(expression, before, after, plan)
        .iter()
        .any(|(_, evaluation)| *evaluation == EvaluationKind::Static)
}

/// The parameters and resources in an expression that change.
fn causes(
    expression: &Expression,
    before: Before<'_>,
    after: After<'_>,
    plan: &Plan,
) -> Vec<(ChangeSource, EvaluationKind)> {
    let template = after.evaluation.template();
    uses(template, after.evaluation.conditions(), expression)
        .into_iter()
        .filter_map(|used| match used {
            Use::Parameter(name) => {
                let changed =
                    before.evaluation.parameters().get(&name) != after.evaluation.parameters().get(&name);
                changed.then_some((ChangeSource::ParameterReference(name), EvaluationKind::Static))
            }
            Use::Reference(name) => match plan.fate(&name)? {
                Fate::New => Some((ChangeSource::ResourceReference(name), EvaluationKind::Static)),
                Fate::MayBeNew => Some((ChangeSource::ResourceReference(name), EvaluationKind::Dynamic)),
                Fate::Modified => None,
            },
            Use::Attribute(name, attribute) => {
                let evaluation = match plan.fate(&name)? {
                    Fate::New => EvaluationKind::Static,
                    Fate::MayBeNew | Fate::Modified => EvaluationKind::Dynamic,
                };
                Some((ChangeSource::ResourceAttribute(format!("{name}.{attribute}")), evaluation))
            }
        })
        .collect()
}
