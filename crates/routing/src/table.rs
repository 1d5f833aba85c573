//! Listeners and their rules, compiled.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_domain::elb::{Listener, Rule};
use gantry_types::Arn;

use crate::action::{Action, GroupSlot};
use crate::condition::{Condition, RequestFacts};

/// Every listener's rules, and the target groups that they name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RouteTable {
    listeners: BTreeMap<Arn, Arc<ListenerRules>>,
    groups: Vec<Arn>,
}

impl RouteTable {
    pub fn compile<'a>(listeners: impl Iterator<Item = (&'a Listener, &'a [Rule])>) -> Self {
        let mut table = Self::default();
        let mut slots = BTreeMap::new();
        for (listener, rules) in listeners {
            let groups = &mut table.groups;
            let compiled = ListenerRules::compile(listener, rules, &mut |arn: &Arn| {
                *slots.entry(arn.clone()).or_insert_with(|| {
                    groups.push(arn.clone());
                    GroupSlot(groups.len() - 1)
                })
            });
            table.listeners.insert(listener.arn.clone(), Arc::new(compiled));
        }
        table
    }

    pub fn listener(&self, arn: &Arn) -> Option<&Arc<ListenerRules>> {
        self.listeners.get(arn)
    }
    /// The target groups by slot.
    pub fn groups(&self) -> &[Arn] {
        &self.groups
    }
}

/// The rules of one listener, the default one last.
#[derive(Debug, Clone, PartialEq)]
pub struct ListenerRules {
    rules: Vec<CompiledRule>,
    default: Action,
}

#[derive(Debug, Clone, PartialEq)]
struct CompiledRule {
    arn: Arn,
    priority: u32,
    conditions: Vec<Condition>,
    action: Action,
}

/// What the rules say of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match<'a> {
    pub action: &'a Action,
    /// `None` for the default rule.
    pub rule: Option<&'a Arn>,
    /// 0 for the default rule.
    pub priority: u32,
    /// How many rules were looked at, the default one not counted.
    pub evaluations: u32,
}

impl ListenerRules {
    fn compile(listener: &Listener, rules: &[Rule], slot: &mut impl FnMut(&Arn) -> GroupSlot) -> Self {
        let mut rules: Vec<CompiledRule> = rules
            .iter()
            .map(|rule| CompiledRule {
                arn: rule.arn.clone(),
                priority: rule.priority,
                conditions: rule.conditions.iter().map(Condition::compile).collect(),
                action: Action::compile(&rule.actions, slot),
            })
            .collect();
        rules.sort_by_key(|rule| rule.priority);
        Self { rules, default: Action::compile(&listener.default_actions, slot) }
    }

    /// The first rule, by priority, whose conditions all hold.
    pub fn evaluate(&self, request: &RequestFacts<'_>) -> Match<'_> {
        let mut evaluations = 0;
        for rule in &self.rules {
            evaluations += 1;
            if rule.conditions.iter().all(|condition| condition.holds(request)) {
                return Match {
                    action: &rule.action,
                    rule: Some(&rule.arn),
                    priority: rule.priority,
                    evaluations,
                };
            }
        }
        Match { action: &self.default, rule: None, priority: 0, evaluations }
    }

    /// Every target group that some rule of the listener forwards to.
    pub fn group_slots(&self) -> impl Iterator<Item = GroupSlot> + '_ {
        let actions = self.rules.iter().map(|rule| &rule.action).chain([&self.default]);
        actions
            .filter_map(|action| if let Action::Forward(groups) = action { Some(groups) } else { None })
            .flat_map(|groups| groups.slots())
    }
}

#[cfg(test)]
mod tests;
