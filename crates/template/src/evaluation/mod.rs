//! One template with one set of parameters: which resources there are, in which order, and what their properties say.

mod cidr;
mod compute;
mod decide;
mod needs;
mod outputs;
mod rules;
mod truth;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gantry_types::Value;

use crate::error::Result;
use crate::expression::Expression;
use crate::graph::Graph;
use crate::parameter::ParameterValues;
use crate::pseudo::PseudoParameters;
use crate::template::{CreationPolicy, Output, Resource, Template};
use crate::world::World;
use compute::Scope;
pub(crate) use decide::needs as condition_needs;
pub(crate) use needs::{Use, check_import_name, uses};
pub use outputs::OutputValue;

/// A template whose conditions are decided. Functions that ask for resources are evaluated on demand.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    template: Arc<Template>,
    parameters: ParameterValues,
    pseudo: PseudoParameters,
    conditions: BTreeMap<String, bool>,
    graph: Graph,
}

impl Evaluation {
    /// Decides the conditions and orders the resources that they leave. Fails if a resource that is left needs one that
    /// is not, or if resources need each other in a circle.
    pub fn new(
        template: Arc<Template>,
        parameters: ParameterValues,
        pseudo: PseudoParameters,
    ) -> Result<Self> {
        let conditions = decide::conditions(&template, &parameters, &pseudo)?;
        let graph = Graph::new(needs::of_resources(&template, &conditions)?)?;
        needs::check_outputs(&template, &conditions)?;
        let evaluation = Self { template, parameters, pseudo, conditions, graph };
        evaluation.import_names()?;
        Ok(evaluation)
    }

    pub fn template(&self) -> &Template {
        &self.template
    }
    pub fn parameters(&self) -> &ParameterValues {
        &self.parameters
    }
    pub fn pseudo_parameters(&self) -> &PseudoParameters {
        &self.pseudo
    }
    pub fn conditions(&self) -> &BTreeMap<String, bool> {
        &self.conditions
    }
    /// What the resources need of each other. Its names are the resources that the stack shall consist of.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }
    /// The resources that the stack shall consist of, by logical id.
    pub fn resources(&self) -> impl Iterator<Item = (&String, &Resource)> {
        self.template
            .resources
            .iter()
            .filter(|(_, resource)| decide::is_on(resource.condition.as_ref(), &self.conditions))
    }
    /// The resource, if the stack shall have it.
    pub fn resource(&self, logical_id: &str) -> Option<&Resource> {
        self.template
            .resources
            .get(logical_id)
            .filter(|resource| decide::is_on(resource.condition.as_ref(), &self.conditions))
    }

    /// A resource's properties, a `Value::Map`. All that it needs has to exist in `world`. An empty map for a resource
    /// that the stack does not have.
    pub fn properties(&self, logical_id: &str, world: &dyn World) -> Result<Value> {
        let scope = self.scope(world);
        let mut properties = BTreeMap::new();
        for (name, expression) in
            self.resource(logical_id).into_iter().flat_map(|resource| &resource.properties)
        {
            if let Some(value) = scope.evaluate(expression)? {
                properties.insert(name.clone(), value);
            }
        }
        Ok(Value::Map(properties))
    }
    /// A resource's `Metadata`.
    pub fn metadata(&self, logical_id: &str, world: &dyn World) -> Result<Option<Value>> {
        let metadata = self.resource(logical_id).and_then(|resource| resource.metadata_expression.as_ref());
        self.optional(metadata, world)
    }
    pub fn creation_policy(&self, logical_id: &str, world: &dyn World) -> Result<Option<CreationPolicy>> {
        let policy = self.resource(logical_id).and_then(|resource| resource.creation_policy.as_ref());
        self.optional(policy, world)?.map(|policy| CreationPolicy::of(logical_id, policy)).transpose()
    }
    pub fn update_policy(&self, logical_id: &str, world: &dyn World) -> Result<Option<Value>> {
        let policy = self.resource(logical_id).and_then(|resource| resource.update_policy.as_ref());
        self.optional(policy, world)
    }
    /// The names of all exports that the stack imports.
    pub fn import_names(&self) -> Result<BTreeSet<String>> {
        needs::import_names(&self.template, &self.conditions, &self.parameters, &self.pseudo)
    }

    /// The outputs whose condition is true, as they are written.
    pub(crate) fn declared_outputs(&self) -> BTreeMap<&String, &Output> {
        self.template
            .outputs
            .iter()
            .filter(|(_, output)| decide::is_on(output.condition.as_ref(), &self.conditions))
            .collect()
    }

    fn optional(&self, expression: Option<&Expression>, world: &dyn World) -> Result<Option<Value>> {
        let scope = self.scope(world);
        expression.map_or(Ok(None), |expression| scope.evaluate(expression))
    }
    fn scope<'a>(&'a self, world: &'a dyn World) -> Scope<'a> {
        Scope::new(&self.template, &self.parameters, &self.pseudo, &self.conditions, Some(world))
    }
}
