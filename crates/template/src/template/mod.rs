//! A template: its sections, read and checked against each other.

mod member;
mod output;
mod policy;
mod references;
mod resource;
mod rule;
mod sections;

use std::collections::BTreeMap;

use gantry_types::Value;

use crate::document;
use crate::error::Result;
use crate::expression::Expression;
use crate::parameter::Parameter;
pub(crate) use member::text;
pub use output::Output;
pub use policy::{CreationPolicy, DeletionPolicy, ResourceSignal};
pub use resource::Resource;
pub use rule::{Assertion, Rule};

/// A mapping: two levels of names, then text, number, boolean or a list of them.
pub type Mapping = BTreeMap<String, BTreeMap<String, Value>>;

/// A template that is whole: every name in it that stands for something else stands for something that is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// What was read, in the long form, with everything that the sections below do not keep.
    pub document: Value,
    pub description: Option<String>,
    pub metadata: Option<Value>,
    /// The names in `Transform`, in their order. Only those that [`Template::parse`] can apply get this far.
    pub transforms: Vec<String>,
    pub parameters: BTreeMap<String, Parameter>,
    pub mappings: BTreeMap<String, Mapping>,
    pub conditions: BTreeMap<String, Expression>,
    pub rules: BTreeMap<String, Rule>,
    /// By logical id, with those whose condition may be false.
    pub resources: BTreeMap<String, Resource>,
    pub outputs: BTreeMap<String, Output>,
}

impl Template {
    /// Reads JSON or YAML. `bytes_max` is [`limits::BODY_BYTES_MAX`](crate::limits::BODY_BYTES_MAX) for a body in a
    /// request and [`limits::FETCHED_BODY_BYTES_MAX`](crate::limits::FETCHED_BODY_BYTES_MAX) for one that was fetched.
    pub fn parse(text: &str, bytes_max: usize) -> Result<Self> {
        let document = document::read(text, bytes_max)?;
        let template = sections::read(document)?;
        references::check(&template)?;
        Ok(template)
    }

    /// The types of all resources, each once.
    pub fn resource_types(&self) -> Vec<String> {
        let types: std::collections::BTreeSet<&String> =
            self.resources.values().map(|resource| &resource.resource_type).collect();
        types.into_iter().cloned().collect()
    }
}
