//! Conditions: which are true.

use std::collections::{BTreeMap, BTreeSet};

use super::compute::Scope;
use crate::error::Result;
use crate::expression::{Function, Walk, walk};
use crate::graph::Graph;
use crate::parameter::ParameterValues;
use crate::pseudo::PseudoParameters;
use crate::template::Template;

/// Those that others need come first, so that the depth of the recursion is that of one condition.
pub(super) fn conditions(
    template: &Template,
    parameters: &ParameterValues,
    pseudo: &PseudoParameters,
) -> Result<BTreeMap<String, bool>> {
    let mut decided = BTreeMap::new();
    for name in Graph::new(needs(template))?.order() {
        let scope = Scope::new(template, parameters, pseudo, &decided, None);
        let truth = scope.truth(&template.conditions[&name])?;
        decided.insert(name, truth);
    }
    Ok(decided)
}

/// Each condition with those that it names.
pub(crate) fn needs(template: &Template) -> BTreeMap<String, BTreeSet<String>> {
    template
        .conditions
        .iter()
        .map(|(name, condition)| {
            let mut named = BTreeSet::new();
            walk(condition, &mut |function| {
                if let Function::Condition(other) | Function::If { condition: other, .. } = function {
                    named.insert(other.clone());
                }
                Walk::Everything
            });
            (name.clone(), named)
        })
        .collect()
}

/// Without a condition: always.
pub(super) fn is_on(condition: Option<&String>, decided: &BTreeMap<String, bool>) -> bool {
    condition.is_none_or(|condition| decided.get(condition).copied().unwrap_or(false))
}
