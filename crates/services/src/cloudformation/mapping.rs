//! From a template's properties to an operation's input: names by the shape's members whatever their case, texts to numbers
//! and truths as the shape says, because templates write `'8080'` and `'true'`.

use std::collections::BTreeMap;

use gantry_types::Value;
use gantry_wire::Shape;
use gantry_wire::shape::Kind as ShapeKind;

use super::failure::Failure;
use super::resource::{Kind, Property, Wanted};

/// How deep properties are followed; no shape of ours is deeper.
const DEPTH_MAX: usize = 32;

/// An operation's input from the properties that `selects` names.
pub(super) fn input(
    wanted: &Wanted<'_>,
    service: &str,
    operation: &str,
    renames: &[(&str, &str)],
    selects: &dyn Fn(&str) -> bool,
) -> Result<Value, Failure> {
    let shape = input_shape(service, operation)?;
    let mut input = Value::map();
    let mut problems = Vec::new();
    for (name, value) in wanted.properties.as_map().into_iter().flatten() {
        if name == "Tags" || !selects(name) {
            continue;
        }
        let Some((member, member_shape)) = member(shape, name, renames) else { continue };
        let mut place = Place { renames, path: format!("#/{name}"), problems: &mut problems };
        input.set(member, place.convert(member_shape, value, DEPTH_MAX));
    }
    refuse(wanted.logical_id, &problems)?;
    Ok(input)
}

fn input_shape(service: &str, operation: &str) -> Result<&'static Shape, Failure> {
    let model = gantry_api::SERVICES.iter().find(|each| each.name == service);
    let operation = model.and_then(|model| model.operation(operation));
    operation.map(|operation| operation.input).ok_or_else(|| {
        Failure::plain(format!("Gantry does not serve {service} as this resource type needs it yet."))
    })
}

fn member(
    shape: &'static Shape,
    name: &str,
    renames: &[(&str, &str)],
) -> Option<(&'static str, &'static Shape)> {
    let name = renames.iter().find(|(property, _)| *property == name).map_or(name, |(_, member)| member);
    let found = shape.members().iter().find(|member| member.name.eq_ignore_ascii_case(name))?;
    Some((found.name, found.shape))
}

/// What CloudFormation says of properties that are not of their type's schema.
fn refuse(logical_id: &str, problems: &[String]) -> Result<(), Failure> {
    if problems.is_empty() {
        return Ok(());
    }
    let list: String = problems.iter().map(|problem| format!("\n{problem}")).collect();
    Err(Failure::plain(format!("Properties validation failed for resource {logical_id} with message:{list}")))
}

struct Place<'a> {
    renames: &'a [(&'a str, &'a str)],
    path: String,
    problems: &'a mut Vec<String>,
}

impl Place<'_> {
    fn inside<T>(&mut self, step: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        self.path.push('/');
        self.path.push_str(step);
        let outcome = work(self);
        self.path.truncate(length);
        outcome
    }

    fn expected(&mut self, expected: &str, found: &Value) -> Value {
        self.problems.push(format!("{}: expected type: {expected}, found: {}", self.path, type_name(found)));
        Value::Null
    }

    fn convert(&mut self, shape: &'static Shape, value: &Value, depth: usize) -> Value {
        let Some(depth) = depth.checked_sub(1) else { return self.expected("less depth", value) };
        match (&shape.kind, value) {
            (_, Value::Null) => Value::Null,
            (ShapeKind::Structure(_) | ShapeKind::Union(_), Value::Map(given)) => {
                let mut out = Value::map();
                for (name, value) in given {
                    match member(shape, name, self.renames) {
                        Some((member, shape)) => {
                            let converted = self.inside(name, |place| place.convert(shape, value, depth));
                            out.set(member, converted);
                        }
                        None => {
                            let path = &self.path;
                            self.problems.push(format!("{path}: extraneous key [{name}] is not permitted"));
                        }
                    }
                }
                out
            }
            (ShapeKind::List { member, .. }, Value::List(items)) => {
                let convert = |(index, item): (usize, &Value)| {
                    self.inside(&index.to_string(), |place| place.convert(member, item, depth))
                };
                Value::List(items.iter().enumerate().map(convert).collect())
            }
            // A single text where texts are wanted.
            (ShapeKind::List { member, .. }, Value::String(_))
                if matches!(member.kind, ShapeKind::String(_)) =>
            {
                Value::List(vec![value.clone()])
            }
            (ShapeKind::Map { value: shape, .. }, Value::Map(given)) => {
                let mut out = BTreeMap::new();
                for (name, value) in given {
                    out.insert(name.clone(), self.inside(name, |place| place.convert(shape, value, depth)));
                }
                Value::Map(out)
            }
            (ShapeKind::String(_), Value::Map(_) | Value::List(_)) => self.expected("String", value),
            (ShapeKind::String(_), _) => text(value).map_or(Value::Null, Value::String),
            (ShapeKind::Boolean, _) => match truth(value) {
                Some(truth) => Value::Bool(truth),
                None => self.expected("Boolean", value),
            },
            (ShapeKind::Integer | ShapeKind::Long, _) => match integer(value) {
                Some(number) => Value::Int(number),
                None => self.expected("Integer", value),
            },
            (ShapeKind::Float | ShapeKind::Double, _) => match number(value) {
                Some(number) => Value::Float(number),
                None => self.expected("Number", value),
            },
            (ShapeKind::Document, _) => value.clone(),
            (ShapeKind::Blob, Value::String(text)) => Value::Blob(text.clone().into_bytes()),
            (ShapeKind::Timestamp(_), Value::String(text)) => match gantry_types::Timestamp::parse(text) {
                Some(at) => Value::Timestamp(at),
                None => self.expected("Timestamp", value),
            },
            (ShapeKind::Structure(_) | ShapeKind::Union(_) | ShapeKind::Map { .. }, _) => {
                self.expected("JSONObject", value)
            }
            (ShapeKind::List { .. }, _) => self.expected("JSONArray", value),
            (ShapeKind::Blob | ShapeKind::Timestamp(_), _) => self.expected("String", value),
        }
    }
}

/// Checks a resource's own properties against its type's table. `is_known` tells whether a value is final: what stands for
/// something that does not exist yet is checked when it does.
pub(super) fn check(
    logical_id: &str,
    table: &[Property],
    properties: &Value,
    is_known: &dyn Fn(&Value) -> bool,
) -> Result<(), Failure> {
    let empty = BTreeMap::new();
    let given = properties.as_map().unwrap_or(&empty);
    let mut problems = Vec::new();
    for property in table.iter().filter(|property| property.required) {
        if given.get(property.name).is_none_or(Value::is_null) {
            problems.push(format!("#: required key [{}] not found", property.name));
        }
    }
    for (name, value) in given {
        match table.iter().find(|property| property.name == name) {
            None => problems.push(format!("#: extraneous key [{name}] is not permitted")),
            Some(property) if is_known(value) => {
                if let Some(expected) = mismatch(property.kind, value) {
                    return Err(Failure::plain(format!(
                        "Value of property {name} must be of type {expected}"
                    )));
                }
            }
            Some(_) => {}
        }
    }
    refuse(logical_id, &problems)
}

/// What the kind wants, if the value is not of it.
fn mismatch(kind: Kind, value: &Value) -> Option<&'static str> {
    let (fits, expected) = match kind {
        Kind::String => (!matches!(value, Value::List(_) | Value::Map(_)), "String"),
        Kind::Integer => (integer(value).is_some(), "Integer"),
        Kind::Boolean => (truth(value).is_some(), "Boolean"),
        Kind::Strings => match value {
            Value::List(items) => (items.iter().all(|item| text(item).is_some()), "List of String"),
            other => (matches!(other, Value::String(_)), "List of String"),
        },
        Kind::List => (matches!(value, Value::List(_)), "List"),
        Kind::Structure => (matches!(value, Value::Map(_)), "Map"),
        Kind::Json => (matches!(value, Value::Map(_) | Value::List(_) | Value::String(_)), "Json"),
    };
    (!fits && !value.is_null()).then_some(expected)
}

/// A scalar as text.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Int(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        _ => None,
    }
}

pub(crate) fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

pub(crate) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53 is exact")]
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => Some(*number as i64),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "templates have no numbers beyond 2^53")]
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "Null",
        Value::Bool(_) => "Boolean",
        Value::Int(_) => "Integer",
        Value::Float(_) => "Number",
        Value::String(_) | Value::Blob(_) | Value::Timestamp(_) => "String",
        Value::List(_) => "JSONArray",
        Value::Map(_) => "JSONObject",
    }
}

/// A member by its path: `Vpc.VpcId`, `LoadBalancers.0.LoadBalancerArn`.
pub(crate) fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, step| match value {
        Value::List(items) => items.get(step.parse::<usize>().ok()?),
        other => other.get(step),
    })
}

/// A document as JSON text; text stays as it is. For policies, which operations take as text.
pub(crate) fn json(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => serde_json::to_string(other).ok(),
    }
}

/// A template's tags, as a list of keys and values or as a map.
pub(super) fn own_tags(tags: &Value) -> BTreeMap<String, String> {
    let pair =
        |tag: &Value| Some((text(tag.get("Key")?)?, tag.get("Value").and_then(text).unwrap_or_default()));
    match tags {
        Value::List(tags) => tags.iter().filter_map(pair).collect(),
        Value::Map(tags) => {
            tags.iter().filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect()
        }
        _ => BTreeMap::new(),
    }
}
