//! The value of each function.

use std::cell::Cell;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_types::Value;

use super::cidr::cidr_blocks;
use crate::document::text_of;
use crate::error::{Result, TemplateError, format, function, validation};
use crate::expression::{Expression, Function, SubPart};
use crate::limits::EVALUATION_BYTES_MAX;
use crate::parameter::ParameterValues;
use crate::pseudo::{NO_VALUE, PseudoParameters};
use crate::template::Template;
use crate::world::{Attribute, KNOWN_AFTER_APPLY, World, is_known};

/// All that functions may ask for. Without a world, only what is known before any resource.
pub(super) struct Scope<'a> {
    template: &'a Template,
    parameters: &'a ParameterValues,
    pseudo: &'a PseudoParameters,
    pub(super) conditions: &'a BTreeMap<String, bool>,
    world: Option<&'a dyn World>,
    /// What functions may still write.
    bytes_left: Cell<usize>,
}

const JOIN: &str = "every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of strings to be joined or a function that returns a list of strings (such as Fn::GetAZs) to be joined.";
const SELECT: &str = "Fn::Select requires a list argument with two elements: an integer index and a list";
const SPLIT: &str = "every Fn::Split object requires two parameters, (1) a string delimiter and (2) a string to be split or a function that returns a string to be split.";
const FIND_IN_MAP: &str = "every Fn::FindInMap object requires three parameters, the map name, map key and the attribute for return value";
const GET_ATT: &str =
    "every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute";

impl<'a> Scope<'a> {
    pub(super) fn new(
        template: &'a Template,
        parameters: &'a ParameterValues,
        pseudo: &'a PseudoParameters,
        conditions: &'a BTreeMap<String, bool>,
        world: Option<&'a dyn World>,
    ) -> Self {
        Self { template, parameters, pseudo, conditions, world, bytes_left: Cell::new(EVALUATION_BYTES_MAX) }
    }

    /// `None` is `AWS::NoValue`: the member or item that it would be is left out.
    pub(super) fn evaluate(&self, expression: &Expression) -> Result<Option<Value>> {
        Ok(Some(match expression {
            Expression::Scalar(value) => value.clone(),
            Expression::List(items) => Value::List(
                items.iter().filter_map(|item| self.evaluate(item).transpose()).collect::<Result<_>>()?,
            ),
            Expression::Map(members) => {
                let mut evaluated = BTreeMap::new();
                for (key, member) in members {
                    if let Some(value) = self.evaluate(member)? {
                        evaluated.insert(key.clone(), value);
                    }
                }
                Value::Map(evaluated)
            }
            Expression::Function(function) => {
                let value = self.call(function)?;
                if let Some(value) = &value {
                    self.charge(bytes_of(value))?;
                }
                return Ok(value);
            }
        }))
    }

    fn charge(&self, bytes: usize) -> Result<()> {
        match self.bytes_left.get().checked_sub(bytes) {
            Some(left) => {
                self.bytes_left.set(left);
                Ok(())
            }
            None => {
                function(format!("functions write more than maximum allowed, {EVALUATION_BYTES_MAX} bytes"))
            }
        }
    }

    fn call(&self, called: &Function) -> Result<Option<Value>> {
        Ok(Some(match called {
            Function::Ref(name) => return self.reference(name),
            Function::GetAtt { logical_id, attribute } => {
                let attribute = self.text(attribute, GET_ATT)?;
                self.attribute(logical_id, &attribute)?
            }
            Function::Sub { parts, variables } => self.substitute(parts, variables)?,
            Function::Join { delimiter, list } => self.join(delimiter, list)?,
            Function::Select { index, list } => self.select(index, list)?,
            Function::Split { delimiter, text } => {
                let (delimiter, text) = (self.text(delimiter, SPLIT)?, self.text(text, SPLIT)?);
                if text.contains(KNOWN_AFTER_APPLY) {
                    return Ok(unknown());
                }
                Value::from(text.split(delimiter.as_str()).collect::<Vec<_>>())
            }
            Function::If { condition, then, otherwise } => {
                return self.evaluate(if self.named(condition)? { then } else { otherwise });
            }
            Function::FindInMap { map, top, second, default } => {
                return self.find_in_map([map, top, second], default.as_ref());
            }
            Function::ImportValue(name) => {
                let name = self.text(name, "every Fn::ImportValue object must have a String-typed value.")?;
                match self.world.and_then(|world| world.import(&name)) {
                    Some(value) => value,
                    None => return validation(format!("No export named {name} found")),
                }
            }
            Function::Base64(text) => {
                let text = self.text(text, "every Fn::Base64 object must have a String-typed value.")?;
                if text.contains(KNOWN_AFTER_APPLY) {
                    return Ok(unknown());
                }
                Value::String(STANDARD.encode(text))
            }
            Function::Cidr { block, count, bits } => self.cidr(block, count, bits.as_ref())?,
            Function::GetAzs(region) => {
                let region = self.text(region, "every Fn::GetAZs object must have a String-typed value.")?;
                let region = if region.is_empty() { &self.pseudo.region } else { &region };
                Value::from(self.world.map(|world| world.availability_zones(region)).unwrap_or_default())
            }
            Function::ToJsonString(value) => {
                let value = self.evaluate(value)?.unwrap_or_else(Value::map);
                let text = serde_json::to_string(&json(&value))
                    .map_err(|error| TemplateError::Function(format!("Fn::ToJsonString: {error}")))?;
                Value::String(text)
            }
            Function::Length(list) => match self.evaluate(list)? {
                Some(Value::List(items)) => Value::Int(
                    i64::try_from(items.len()).expect("no list has more items than there are bytes"),
                ),
                Some(value) if !is_known(&value) => return Ok(unknown()),
                _ => return function("Fn::Length requires a list or a function that returns a list"),
            },
            Function::Condition(_)
            | Function::Equals(..)
            | Function::And(_)
            | Function::Or(_)
            | Function::Not(_)
            | Function::Contains { .. }
            | Function::EachMemberEquals { .. }
            | Function::EachMemberIn { .. } => Value::Bool(self.decide(called)?),
            Function::RefAll(parameter_type) => {
                Value::from(self.world.map(|world| world.all_of(parameter_type)).unwrap_or_default())
            }
            Function::ValueOf { parameter, attribute } => self.value_of(parameter, attribute)?,
            Function::ValueOfAll { parameter_type, attribute } => {
                let of = |world: &dyn World| {
                    world
                        .all_of(parameter_type)
                        .iter()
                        .filter_map(|id| world.value_of(parameter_type, id, attribute))
                        .collect::<Vec<_>>()
                };
                Value::List(self.world.map(of).unwrap_or_default())
            }
        }))
    }

    fn reference(&self, name: &str) -> Result<Option<Value>> {
        if name == NO_VALUE {
            return Ok(None);
        }
        if let Some(value) = self.pseudo.get(name) {
            return Ok(Some(value));
        }
        if let Some(parameter) = self.parameters.get(name) {
            return Ok(Some(parameter.value()));
        }
        match self.world.and_then(|world| world.reference(name)) {
            Some(value) => Ok(Some(value)),
            None if self.template.resources.contains_key(name) => {
                Err(TemplateError::NotYetKnown(name.to_owned()))
            }
            None => format(format!(
                "Unresolved resource dependencies [{name}] in the Resources block of the template"
            )),
        }
    }

    fn attribute(&self, logical_id: &str, attribute: &str) -> Result<Value> {
        match self.world.map(|world| world.attribute(logical_id, attribute)) {
            Some(Attribute::Value(value)) => Ok(value),
            Some(Attribute::Unsupported) => function(format!(
                "resource {logical_id} does not support attribute type {attribute} in Fn::GetAtt"
            )),
            Some(Attribute::NotYetKnown) | None => Err(TemplateError::NotYetKnown(logical_id.to_owned())),
        }
    }

    fn substitute(&self, parts: &[SubPart], variables: &BTreeMap<String, Expression>) -> Result<Value> {
        let mut known: BTreeMap<&str, String> = BTreeMap::new();
        let mut text = String::new();
        let bytes_max = self.bytes_left.get();
        for part in parts {
            match part {
                SubPart::Text(literal) => text.push_str(literal),
                SubPart::Reference(name) => {
                    if !known.contains_key(name.as_str()) {
                        let value = match variables.get(name) {
                            Some(variable) => self.evaluate(variable)?,
                            None => self.reference(name)?,
                        };
                        known.insert(name, substituted(name, value.as_ref())?);
                    }
                    text.push_str(&known[name.as_str()]);
                }
                SubPart::Attribute { logical_id, attribute } => {
                    let value = self.attribute(logical_id, attribute)?;
                    text.push_str(&substituted(&format!("{logical_id}.{attribute}"), Some(&value))?);
                }
            }
            if text.len() > bytes_max {
                self.charge(text.len())?;
            }
        }
        Ok(Value::String(text))
    }

    fn join(&self, delimiter: &Expression, list: &Expression) -> Result<Value> {
        let delimiter = self.text(delimiter, JOIN)?;
        let items = match self.evaluate(list)? {
            Some(Value::List(items)) => items,
            Some(value) if !is_known(&value) => return Ok(Value::from(KNOWN_AFTER_APPLY)),
            _ => return function(JOIN),
        };
        let mut text = String::new();
        for (index, item) in items.iter().enumerate() {
            let Some(item) = text_of(item) else { return function(JOIN) };
            if index > 0 {
                text.push_str(&delimiter);
            }
            text.push_str(&item);
            if text.len() > self.bytes_left.get() {
                self.charge(text.len())?;
            }
        }
        Ok(Value::String(text))
    }

    fn select(&self, index: &Expression, list: &Expression) -> Result<Value> {
        let index = self.text(index, SELECT)?;
        let items = match self.evaluate(list)? {
            Some(Value::List(items)) => items,
            Some(value) if !is_known(&value) => return Ok(Value::from(KNOWN_AFTER_APPLY)),
            _ => return function(SELECT),
        };
        if index.contains(KNOWN_AFTER_APPLY) {
            return Ok(Value::from(KNOWN_AFTER_APPLY));
        }
        let Ok(position) = index.parse::<i64>() else { return function(SELECT) };
        match usize::try_from(position).ok().and_then(|position| items.into_iter().nth(position)) {
            Some(item) => Ok(item),
            None => function(format!("Fn::Select cannot select nonexistent value at index {index}")),
        }
    }

    /// A map, a key and a key below it; a list among what is found is given whole.
    fn find_in_map(&self, names: [&Expression; 3], default: Option<&Expression>) -> Result<Option<Value>> {
        let [map, top, second] = names;
        let (map, top, second) =
            (self.text(map, FIND_IN_MAP)?, self.text(top, FIND_IN_MAP)?, self.text(second, FIND_IN_MAP)?);
        let mapping = self.template.mappings.get(&map);
        let found =
            mapping.and_then(|mapping| mapping.get(&top)).and_then(|attributes| attributes.get(&second));
        match (found, default) {
            (Some(value), _) => Ok(Some(value.clone())),
            (None, Some(default)) => self.evaluate(default),
            (None, None) if mapping.is_none() => function(format!(
                "Mapping named '{map}' is not present in the 'Mappings' section of template."
            )),
            (None, None) => function(format!("Unable to get mapping for {map}::{top}::{second}")),
        }
    }

    fn cidr(&self, block: &Expression, count: &Expression, bits: Option<&Expression>) -> Result<Value> {
        const WRONG: &str = "every Fn::Cidr object requires two or three parameters, (1) an IP address block, (2) a count and (3) the number of subnet bits";
        let block = self.text(block, WRONG)?;
        let count = self.text(count, WRONG)?;
        let bits = bits.map(|bits| self.text(bits, WRONG)).transpose()?;
        if [Some(&block), Some(&count), bits.as_ref()]
            .into_iter()
            .flatten()
            .any(|text| text.contains(KNOWN_AFTER_APPLY))
        {
            return Ok(Value::from(KNOWN_AFTER_APPLY));
        }
        match cidr_blocks(&block, &count, bits.as_deref()) {
            Ok(blocks) => Ok(Value::from(blocks)),
            Err(problem) => function(problem),
        }
    }

    fn value_of(&self, parameter: &str, attribute: &str) -> Result<Value> {
        let missing =
            || function(format!("Fn::ValueOf finds no attribute {attribute} for parameter {parameter}"));
        let (Some(declared), Some(value)) =
            (self.template.parameters.get(parameter), self.parameters.get(parameter))
        else {
            return missing();
        };
        let single = declared.parameter_type.trim_start_matches("List<").trim_end_matches('>');
        let of = |id: &Value| self.world.and_then(|world| world.value_of(single, id.as_str()?, attribute));
        match value.value() {
            Value::List(ids) => {
                let values: Option<Vec<Value>> = ids.iter().map(of).collect();
                values.map_or_else(missing, |values| Ok(Value::List(values)))
            }
            id => of(&id).map_or_else(missing, Ok),
        }
    }

    /// An argument that has to be one text, else the error.
    pub(super) fn text(&self, expression: &Expression, problem: &str) -> Result<String> {
        match self.evaluate(expression)?.as_ref().and_then(text_of) {
            Some(text) => Ok(text.into_owned()),
            None => function(problem),
        }
    }
}

fn unknown() -> Option<Value> {
    Some(Value::from(KNOWN_AFTER_APPLY))
}

fn substituted(name: &str, value: Option<&Value>) -> Result<String> {
    match value.and_then(text_of) {
        Some(text) => Ok(text.into_owned()),
        None => function(format!("variable ${{{name}}} in Fn::Sub expression does not resolve to a string")),
    }
}

fn bytes_of(value: &Value) -> usize {
    const NODE_BYTES: usize = 16;
    NODE_BYTES
        + match value {
            Value::String(text) => text.len(),
            Value::List(items) => items.iter().map(bytes_of).sum(),
            Value::Map(members) => members.iter().map(|(key, member)| key.len() + bytes_of(member)).sum(),
            _ => 0,
        }
}

/// Values of a template as plain JSON.
fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(truth) => serde_json::Value::from(*truth),
        Value::Int(number) => serde_json::Value::from(*number),
        Value::Float(number) => serde_json::Value::from(*number),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(members) => members.iter().map(|(key, member)| (key.clone(), json(member))).collect(),
        other => {
            text_of(other).map_or(serde_json::Value::Null, |text| serde_json::Value::from(text.as_ref()))
        }
    }
}
