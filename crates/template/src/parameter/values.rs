//! A request's parameters, held against the template's.

use std::collections::BTreeMap;

use gantry_types::Value;

use super::kind::ParameterKind;
use crate::error::{Result, TemplateError, validation};
use crate::template::Template;

/// One parameter of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParameterInput {
    Value(String),
    /// `UsePreviousValue`.
    Previous,
}

/// What a parameter stands for in one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterValue {
    /// As it was given, by the request, the stack or the template's default.
    pub given: String,
    /// Of a `AWS::SSM::Parameter::Value<..>`: what [`ParameterValues::resolve`] put in.
    pub resolved: Option<String>,
    pub is_list: bool,
    pub no_echo: bool,
}

impl ParameterValue {
    /// What API answers show.
    pub fn shown(&self) -> &str {
        if self.no_echo { "****" } else { &self.given }
    }
    /// What `Ref` gives.
    pub(crate) fn value(&self) -> Value {
        let text = self.resolved.as_ref().unwrap_or(&self.given);
        if self.is_list {
            Value::from(text.split(',').map(str::trim).collect::<Vec<_>>())
        } else {
            Value::from(text.as_str())
        }
    }
}

/// Something about a parameter that only the account knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ParameterLookup {
    /// Put the value of `name` (with `:version` if it has one) in with [`ParameterValues::resolve`]; if it does not
    /// exist, fail with [`lookup_failed`].
    SsmValue { parameter: String, name: String },
    /// A parameter of this name exists in the Parameter Store; if it does not, fail with [`lookup_failed`].
    SsmName { parameter: String, name: String },
    /// Something of this type, such as `AWS::EC2::Subnet::Id`, exists; if it does not, fail with [`lookup_failed`].
    Resource { parameter: String, parameter_type: String, value: String },
}

/// What CloudFormation says when a lookup finds nothing.
pub fn lookup_failed(lookup: &ParameterLookup) -> TemplateError {
    TemplateError::Validation(match lookup {
        ParameterLookup::SsmValue { name, .. } | ParameterLookup::SsmName { name, .. } => {
            format!("Unable to fetch parameters [{name}] from parameter store for this account.")
        }
        ParameterLookup::Resource { parameter, value, .. } => format!(
            "Parameter validation failed: parameter value {value} for parameter name {parameter} does not exist"
        ),
    })
}

/// All parameters of a template with their values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParameterValues {
    values: BTreeMap<String, ParameterValue>,
    kinds: BTreeMap<String, ParameterKind>,
}

impl Template {
    /// `previous` is what the stack had ([`ParameterValues::given`]); empty when it is created.
    pub fn parameter_values(
        &self,
        inputs: &BTreeMap<String, ParameterInput>,
        previous: &BTreeMap<String, String>,
    ) -> Result<ParameterValues> {
        let unknown = join(inputs.keys().filter(|name| !self.parameters.contains_key(*name)));
        if !unknown.is_empty() {
            return validation(format!("Parameters: [{unknown}] do not exist in the template"));
        }
        let mut given = BTreeMap::new();
        for (name, parameter) in &self.parameters {
            let value = match inputs.get(name) {
                Some(ParameterInput::Value(value)) => Some(value),
                Some(ParameterInput::Previous) => match previous.get(name) {
                    Some(value) => Some(value),
                    None => {
                        return validation(format!(
                            "Invalid input for parameter key {name}. Cannot specify usePreviousValue as true for a parameter key not in the previous template"
                        ));
                    }
                },
                None => parameter.default.as_ref(),
            };
            if let Some(value) = value {
                given.insert(name, value);
            }
        }
        let missing = join(self.parameters.keys().filter(|name| !given.contains_key(name)));
        if !missing.is_empty() {
            return validation(format!("Parameters: [{missing}] must have values"));
        }
        let mut all = ParameterValues::default();
        for (name, value) in given {
            let parameter = &self.parameters[name];
            parameter.check(name, value)?;
            let value = ParameterValue {
                given: value.clone(),
                resolved: None,
                is_list: parameter.kind.is_list(),
                no_echo: parameter.no_echo,
            };
            all.values.insert(name.clone(), value);
            all.kinds.insert(name.clone(), parameter.kind.clone());
        }
        Ok(all)
    }
}

fn join<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}

impl ParameterValues {
    pub fn get(&self, name: &str) -> Option<&ParameterValue> {
        self.values.get(name)
    }
    pub fn iter(&self) -> impl Iterator<Item = (&String, &ParameterValue)> {
        self.values.iter()
    }
    /// What a stack keeps for the next request's `UsePreviousValue`.
    pub fn given(&self) -> BTreeMap<String, String> {
        self.values.iter().map(|(name, value)| (name.clone(), value.given.clone())).collect()
    }

    /// What the caller has to look up before the template is evaluated. After [`Self::resolve`], ask again: a value
    /// from the Parameter Store may itself be the id of something that has to exist.
    pub fn lookups(&self) -> Vec<ParameterLookup> {
        self.kinds.iter().flat_map(|(name, kind)| lookups_of(name, kind, &self.values[name])).collect()
    }

    /// The value of an `AWS::SSM::Parameter::Value<..>` as the Parameter Store has it.
    pub fn resolve(&mut self, parameter: &str, value: String) {
        if let Some(known) = self.values.get_mut(parameter) {
            known.resolved = Some(value);
        }
    }
}

fn lookups_of(name: &str, kind: &ParameterKind, value: &ParameterValue) -> Vec<ParameterLookup> {
    let parameter = || name.to_owned();
    let existing = |parameter_type: &str, text: &str| ParameterLookup::Resource {
        parameter: parameter(),
        parameter_type: parameter_type.to_owned(),
        value: text.trim().to_owned(),
    };
    match kind {
        ParameterKind::String
        | ParameterKind::Number
        | ParameterKind::ListOfNumbers
        | ParameterKind::ListOfStrings => {
            vec![]
        }
        ParameterKind::Aws(parameter_type) => {
            vec![existing(parameter_type, value.resolved.as_ref().unwrap_or(&value.given))]
        }
        ParameterKind::ListOfAws(parameter_type) => value
            .resolved
            .as_ref()
            .unwrap_or(&value.given)
            .split(',')
            .map(|text| existing(parameter_type, text))
            .collect(),
        ParameterKind::SsmName => {
            vec![ParameterLookup::SsmName { parameter: parameter(), name: value.given.clone() }]
        }
        ParameterKind::SsmValue(of) if value.resolved.is_some() => lookups_of(name, of, value),
        ParameterKind::SsmValue(_) => {
            vec![ParameterLookup::SsmValue { parameter: parameter(), name: value.given.clone() }]
        }
    }
}
