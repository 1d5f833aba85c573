//! From a value of the document to an expression: every function's shape is checked here, in CloudFormation's words.

use std::collections::BTreeMap;

use gantry_types::Value;

use super::{Expression, Function, SubPart, sub};
use crate::document::text_of;
use crate::error::{Result, format, function, unsupported};

/// Where an expression stands; it decides which functions there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Properties, metadata and policies of resources, and outputs.
    Value,
    Condition,
    Rule,
}

const SUPPORTED: &str = "Fn::Base64, Fn::GetAtt, Fn::GetAZs, Fn::ImportValue, Fn::Join, Fn::Split, Fn::FindInMap, Fn::Select, Ref, Fn::Equals, Fn::If, Fn::Not, Condition, Fn::And, Fn::Or, Fn::Contains, Fn::EachMemberEquals, Fn::EachMemberIn, Fn::ValueOf, Fn::ValueOfAll, Fn::RefAll, Fn::Sub, Fn::Cidr";

pub(crate) fn unsupported_function(name: &str) -> String {
    format!("Encountered unsupported function: {name} Supported functions are: [{SUPPORTED}]")
}

pub(crate) fn read(value: &Value, place: Place) -> Result<Expression> {
    match value {
        Value::List(items) => {
            items.iter().map(|item| read(item, place)).collect::<Result<_>>().map(Expression::List)
        }
        Value::Map(members) => match members.iter().next() {
            Some((name, argument)) if members.len() == 1 && is_function(name, place) => {
                read_function(name, argument, place).map(|function| Expression::Function(Box::new(function)))
            }
            _ => read_members(members, place),
        },
        scalar => Ok(Expression::Scalar(scalar.clone())),
    }
}

fn read_members(members: &BTreeMap<String, Value>, place: Place) -> Result<Expression> {
    if members.contains_key("Ref") && members.get("Ref").is_some_and(|value| value.as_str().is_some()) {
        return function("every Ref object must have a single String value.");
    }
    if let Some(name) = members.keys().find(|name| name.starts_with("Fn::")) {
        return read_unknown(name, "must be the only member of its object");
    }
    members
        .iter()
        .map(|(key, member)| Ok((key.clone(), read(member, place)?)))
        .collect::<Result<_>>()
        .map(Expression::Map)
}

/// `Condition` is a function among conditions only: elsewhere it is a member like any other, as in IAM's policies.
fn is_function(name: &str, place: Place) -> bool {
    name == "Ref" || name.starts_with("Fn::") || (name == "Condition" && place != Place::Value)
}

fn read_unknown<T>(name: &str, problem: &str) -> Result<T> {
    if name.starts_with("Fn::ForEach") {
        return unsupported(format!(
            "Fn::ForEach is not supported: the transform AWS::LanguageExtensions serves Fn::ToJsonString and Fn::Length ({name})"
        ));
    }
    function(format!("{name} {problem}"))
}

fn read_function(name: &str, argument: &Value, place: Place) -> Result<Function> {
    let one = |argument: &Value| read(argument, place);
    Ok(match name {
        "Ref" => match argument.as_str() {
            Some(name) if !name.is_empty() => Function::Ref(name.to_owned()),
            _ => return function("every Ref object must have a single String value."),
        },
        "Condition" => match argument.as_str() {
            Some(name) => Function::Condition(name.to_owned()),
            None => return function("every Condition object must have a single String value."),
        },
        "Fn::GetAtt" => read_get_att(argument, place)?,
        "Fn::Sub" => read_sub(argument, place)?,
        "Fn::Join" => match argument.as_list() {
            [delimiter, list] if text_of(delimiter).is_some() && is_list_or_function(list) => {
                Function::Join { delimiter: one(delimiter)?, list: one(list)? }
            }
            _ => {
                return function(
                    "every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of strings to be joined or a function that returns a list of strings (such as Fn::GetAZs) to be joined.",
                );
            }
        },
        "Fn::Select" => match argument.as_list() {
            [index, list] if is_text_or_function(index) && is_list_or_function(list) => {
                Function::Select { index: one(index)?, list: one(list)? }
            }
            _ => {
                return function(
                    "Fn::Select requires a list argument with two elements: an integer index and a list",
                );
            }
        },
        "Fn::Split" => match argument.as_list() {
            [delimiter, text]
                if delimiter.as_str().is_some_and(|text| !text.is_empty()) && is_text_or_function(text) =>
            {
                Function::Split { delimiter: one(delimiter)?, text: one(text)? }
            }
            _ => {
                return function(
                    "every Fn::Split object requires two parameters, (1) a string delimiter and (2) a string to be split or a function that returns a string to be split.",
                );
            }
        },
        "Fn::If" => match argument.as_list() {
            [condition, then, otherwise] => Function::If {
                condition: match condition_name(condition) {
                    Some(name) => name.to_owned(),
                    None => {
                        return function(
                            "Fn::If requires a list argument with the first element being a condition",
                        );
                    }
                },
                then: one(then)?,
                otherwise: one(otherwise)?,
            },
            _ => return function("Fn::If requires a list argument with three elements"),
        },
        "Fn::FindInMap" => read_find_in_map(argument, place)?,
        "Fn::ImportValue" if place == Place::Value => match argument {
            Value::List(_) => {
                return function("every Fn::ImportValue object must have a String-typed value.");
            }
            text => Function::ImportValue(one(text)?),
        },
        "Fn::ImportValue" => return function(format!("Cannot use {name} in {}.", place.section())),
        "Fn::Base64" => match argument {
            Value::List(_) => return function("every Fn::Base64 object must have a String-typed value."),
            text => Function::Base64(one(text)?),
        },
        "Fn::GetAZs" => match argument {
            Value::List(_) => return function("every Fn::GetAZs object must have a String-typed value."),
            text => Function::GetAzs(one(text)?),
        },
        "Fn::Cidr" => match argument.as_list() {
            [block, count] => Function::Cidr { block: one(block)?, count: one(count)?, bits: None },
            [block, count, bits] => {
                Function::Cidr { block: one(block)?, count: one(count)?, bits: Some(one(bits)?) }
            }
            _ => {
                return function(
                    "every Fn::Cidr object requires two or three parameters, (1) an IP address block, (2) a count and (3) the number of subnet bits",
                );
            }
        },
        "Fn::ToJsonString" => match argument {
            Value::Map(_) | Value::List(_) => Function::ToJsonString(one(argument)?),
            _ => return function("Fn::ToJsonString requires an object or a list"),
        },
        "Fn::Length" => match argument {
            Value::Map(_) | Value::List(_) => Function::Length(one(argument)?),
            _ => return function("Fn::Length requires a list or a function that returns a list"),
        },
        "Fn::Equals" | "Fn::And" | "Fn::Or" | "Fn::Not" if place == Place::Value => {
            return function(format!(
                "{name} can only be used in Conditions, Rules and within other conditions"
            ));
        }
        "Fn::Equals" => match argument.as_list() {
            [left, right] => Function::Equals(one(left)?, one(right)?),
            _ => return function("every Fn::Equals object requires a list of 2 string parameters."),
        },
        "Fn::And" | "Fn::Or" => match argument.as_list() {
            all @ [_, _, ..] if all.len() <= 10 && all.iter().all(is_condition) => {
                let all = all.iter().map(one).collect::<Result<_>>()?;
                if name == "Fn::And" { Function::And(all) } else { Function::Or(all) }
            }
            _ => {
                return function(format!(
                    "every {name} object requires a list of at least 2 and at most 10 boolean parameters."
                ));
            }
        },
        "Fn::Not" => match argument.as_list() {
            [negated] if is_condition(negated) => Function::Not(one(negated)?),
            _ => return function("every Fn::Not object requires a list with exactly 1 boolean parameter."),
        },
        "Fn::Contains"
        | "Fn::EachMemberEquals"
        | "Fn::EachMemberIn"
        | "Fn::RefAll"
        | "Fn::ValueOf"
        | "Fn::ValueOfAll"
            if place != Place::Rule =>
        {
            return function(format!("{name} can only be used in Rules"));
        }
        "Fn::Contains" | "Fn::EachMemberEquals" | "Fn::EachMemberIn" => {
            read_member_check(name, argument, place)?
        }
        "Fn::RefAll" => match argument.as_str() {
            Some(parameter_type) => Function::RefAll(parameter_type.to_owned()),
            None => return function("every Fn::RefAll object must have a String-typed value."),
        },
        "Fn::ValueOf" | "Fn::ValueOfAll" => match argument.as_list() {
            [Value::String(subject), Value::String(attribute)] => {
                let (subject, attribute) = (subject.clone(), attribute.clone());
                if name == "Fn::ValueOf" {
                    Function::ValueOf { parameter: subject, attribute }
                } else {
                    Function::ValueOfAll { parameter_type: subject, attribute }
                }
            }
            _ => return function(format!("every {name} object requires a list of 2 string parameters.")),
        },
        "Fn::Transform" => return read_transform(argument),
        name if name.starts_with("Fn::ForEach") => return read_unknown(name, ""),
        name => {
            return function(unsupported_function(name));
        }
    })
}

impl Place {
    fn section(self) -> &'static str {
        match self {
            Self::Value => "Resources",
            Self::Condition => "Conditions",
            Self::Rule => "Rules",
        }
    }
}

const GET_ATT: &str =
    "every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute";

fn read_get_att(argument: &Value, place: Place) -> Result<Function> {
    if place != Place::Value {
        return format(format!(
            "Cannot reference resources in the {} block of the template",
            place.section()
        ));
    }
    let (logical_id, attribute) = match argument {
        Value::String(text) => match text.split_once('.') {
            Some((logical_id, attribute)) => (logical_id, Value::from(attribute)),
            None => return function(GET_ATT),
        },
        Value::List(items) => match items.as_slice() {
            [Value::String(logical_id), attribute @ (Value::String(_) | Value::Map(_))] => {
                (logical_id.as_str(), attribute.clone())
            }
            _ => return function(GET_ATT),
        },
        _ => return function(GET_ATT),
    };
    if logical_id.is_empty() || attribute.as_str() == Some("") {
        return function(GET_ATT);
    }
    Ok(Function::GetAtt { logical_id: logical_id.to_owned(), attribute: read(&attribute, place)? })
}

fn read_sub(argument: &Value, place: Place) -> Result<Function> {
    let (text, variables) = match argument {
        Value::List(items) => match items.as_slice() {
            [text, Value::Map(variables)] if !is_call(variables) => (text_of(text), Some(variables)),
            _ => (None, None),
        },
        text => (text_of(text), None),
    };
    let Some(text) = text else {
        return function(
            "One or more Fn::Sub intrinsic functions don't specify expected arguments. Specify a string as first argument, and an optional second argument to specify a mapping of values to replace in the string",
        );
    };
    let variables: BTreeMap<String, Expression> = variables
        .into_iter()
        .flatten()
        .map(|(name, value)| Ok((name.clone(), read(value, place)?)))
        .collect::<Result<_>>()?;
    let parts = sub::parts(&text, |name| variables.contains_key(name))?;
    if place != Place::Value && parts.iter().any(|part| matches!(part, SubPart::Attribute { .. })) {
        return format(format!(
            "Cannot reference resources in the {} block of the template",
            place.section()
        ));
    }
    Ok(Function::Sub { parts, variables })
}

fn read_find_in_map(argument: &Value, place: Place) -> Result<Function> {
    let wrong = || {
        function(
            "every Fn::FindInMap object requires three parameters, the map name, map key and the attribute for return value",
        )
    };
    let (map, top, second, default) = match argument.as_list() {
        [map, top, second] => (map, top, second, None),
        [map, top, second, Value::Map(options)] if options.len() == 1 => match options.get("DefaultValue") {
            Some(default) => (map, top, second, Some(default)),
            None => return wrong(),
        },
        _ => return wrong(),
    };
    if ![map, top, second].into_iter().all(is_text_or_function) {
        return wrong();
    }
    Ok(Function::FindInMap {
        map: read(map, place)?,
        top: read(top, place)?,
        second: read(second, place)?,
        default: default.map(|default| read(default, place)).transpose()?,
    })
}

fn read_member_check(name: &str, argument: &Value, place: Place) -> Result<Function> {
    let [first, second] = argument.as_list() else {
        return function(format!("every {name} object requires a list of 2 parameters."));
    };
    let (list, second) = (read(first, place)?, read(second, place)?);
    Ok(match name {
        "Fn::Contains" => Function::Contains { list, value: second },
        "Fn::EachMemberEquals" => Function::EachMemberEquals { list, value: second },
        _ => Function::EachMemberIn { list, of: second },
    })
}

fn read_transform(argument: &Value) -> Result<Function> {
    let name = argument.get("Name").and_then(Value::as_str).unwrap_or("without a name");
    unsupported(format!("Transform {name} is not supported"))
}

/// `Fn::If` names its condition; some tools write `{"Condition": name}`.
fn condition_name(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| match value.as_map() {
        Some(members) if members.len() == 1 => members.get("Condition").and_then(Value::as_str),
        _ => None,
    })
}

fn is_call(members: &BTreeMap<String, Value>) -> bool {
    members.len() == 1 && members.keys().all(|name| name == "Ref" || name.starts_with("Fn::"))
}

fn is_text_or_function(value: &Value) -> bool {
    text_of(value).is_some() || value.as_map().is_some_and(is_call)
}

fn is_list_or_function(value: &Value) -> bool {
    matches!(value, Value::List(_)) || value.as_map().is_some_and(is_call)
}

fn is_condition(value: &Value) -> bool {
    value.as_map().is_some_and(|members| {
        members.len() == 1
            && members.keys().all(|name| {
                matches!(
                    name.as_str(),
                    "Condition"
                        | "Fn::And"
                        | "Fn::Or"
                        | "Fn::Not"
                        | "Fn::Equals"
                        | "Fn::Contains"
                        | "Fn::EachMemberEquals"
                        | "Fn::EachMemberIn"
                )
            })
    })
}
