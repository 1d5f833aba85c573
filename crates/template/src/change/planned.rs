//! The account as it will be, as far as that is known: resources that will be new have no values yet.

use std::collections::BTreeMap;

use gantry_types::Value;

use super::detail::Replacement;
use crate::world::{Attribute, KNOWN_AFTER_APPLY, World};

/// What becomes of the resources that were looked at so far; those that stay as they are, are not in it.
#[derive(Debug, Default)]
pub(super) struct Plan {
    fates: BTreeMap<String, Fate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Made, or made again: none of its values is known.
    New,
    /// Perhaps made again.
    MayBeNew,
    /// Changed in place.
    Modified,
}

impl Plan {
    pub(super) fn add(&mut self, logical_id: &str) {
        self.fates.insert(logical_id.to_owned(), Fate::New);
    }
    pub(super) fn modify(&mut self, logical_id: &str, replacement: Replacement) {
        let fate = match replacement {
            Replacement::True => Fate::New,
            Replacement::Conditional => Fate::MayBeNew,
            Replacement::False => Fate::Modified,
        };
        self.fates.insert(logical_id.to_owned(), fate);
    }
    pub(super) fn fate(&self, logical_id: &str) -> Option<Fate> {
        self.fates.get(logical_id).copied()
    }
}

pub(super) struct PlannedWorld<'a> {
    pub(super) plan: &'a Plan,
    pub(super) world: &'a dyn World,
}

impl World for PlannedWorld<'_> {
    fn reference(&self, logical_id: &str) -> Option<Value> {
        match self.plan.fate(logical_id) {
            Some(Fate::New) => Some(Value::from(KNOWN_AFTER_APPLY)),
            _ => Some(self.world.reference(logical_id).unwrap_or_else(|| Value::from(KNOWN_AFTER_APPLY))),
        }
    }
    fn attribute(&self, logical_id: &str, attribute: &str) -> Attribute {
        match self.plan.fate(logical_id) {
            Some(Fate::New) => Attribute::Value(Value::from(KNOWN_AFTER_APPLY)),
            _ => match self.world.attribute(logical_id, attribute) {
                Attribute::NotYetKnown => Attribute::Value(Value::from(KNOWN_AFTER_APPLY)),
                known => known,
            },
        }
    }
    fn import(&self, export_name: &str) -> Option<Value> {
        self.world.import(export_name)
    }
    fn availability_zones(&self, region: &str) -> Vec<String> {
        self.world.availability_zones(region)
    }
    fn all_of(&self, parameter_type: &str) -> Vec<String> {
        self.world.all_of(parameter_type)
    }
    fn value_of(&self, parameter_type: &str, id: &str, attribute: &str) -> Option<Value> {
        self.world.value_of(parameter_type, id, attribute)
    }
}
