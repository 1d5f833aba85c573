//! Query and EC2 requests in.

use std::collections::BTreeMap;

use gantry_types::Value;

use crate::decode::{DecodeError, kind_name, scalar_from_text};
use crate::form::{Form, Node};
use crate::limits::NESTING_MAX;
use crate::shape::{Kind, Member, Shape, TimeFormat};

/// How lists are spelt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `A.member.1`
    Query,
    /// `A.1`
    Ec2,
}

/// Reads the input of an operation. `Action` and `Version` are no members of it.
pub(crate) fn decode(shape: &'static Shape, form: &Form, dialect: Dialect) -> Result<Value, DecodeError> {
    let tree = form.tree()?;
    structure(shape.members(), &tree, dialect, &mut Vec::new())
}

/// The first parameter that the operation does not have. EC2 refuses those, the other services pass them over.
pub(crate) fn unknown_parameter<'a>(shape: &Shape, form: &'a Form) -> Option<&'a str> {
    // What an older signature or a presigned address brings along.
    const OF_THE_PROTOCOL: [&str; 8] = [
        "Action",
        "Version",
        "AWSAccessKeyId",
        "Signature",
        "SignatureMethod",
        "SignatureVersion",
        "Timestamp",
        "Expires",
    ];
    form.iter().map(|(name, _)| name).find(|name| {
        let first = name.split('.').next().unwrap_or(name);
        let known = shape.members().iter().any(|member| member.query_name == first);
        !known && !OF_THE_PROTOCOL.contains(&first) && !first.starts_with("X-Amz-")
    })
}

type Path<'p> = Vec<&'p str>;

fn structure<'n>(
    members: &'static [Member],
    node: &'n Node<'_>,
    dialect: Dialect,
    path: &mut Path<'n>,
) -> Result<Value, DecodeError> {
    if path.len() > NESTING_MAX {
        return Err(DecodeError::at(&path.join("."), "nested too deep"));
    }
    let mut read = BTreeMap::new();
    for member in members {
        let name = parameter_name(member, dialect);
        let Some(child) = node.children.get(name) else { continue };
        path.push(name);
        let value = value(member.shape, member.time_format, child, dialect, path)?;
        path.pop();
        read.insert(member.name.to_owned(), value);
    }
    Ok(Value::Map(read))
}

/// A flattened list goes by the name of its elements, where they have one.
fn parameter_name(member: &Member, dialect: Dialect) -> &'static str {
    match member.shape.kind {
        Kind::List { flattened: true, item_name, .. }
            if dialect == Dialect::Query && !item_name.is_empty() =>
        {
            item_name
        }
        _ => member.query_name,
    }
}

fn value<'n>(
    shape: &'static Shape,
    format: TimeFormat,
    node: &'n Node<'_>,
    dialect: Dialect,
    path: &mut Path<'n>,
) -> Result<Value, DecodeError> {
    let expected = |path: &Path<'_>| {
        DecodeError::at(&path.join("."), format!("{} was expected", kind_name(&shape.kind)))
    };
    match shape.kind {
        Kind::Structure(members) | Kind::Union(members) => match node.text {
            Some(text) if !text.is_empty() => {
                Err(DecodeError { text: Some(text.to_owned()), ..expected(path) })
            }
            _ => structure(members, node, dialect, path),
        },
        Kind::List { member, item_name, flattened } => {
            let items = match (dialect, flattened) {
                (Dialect::Ec2, _) | (Dialect::Query, true) => Some(node),
                (Dialect::Query, false) => {
                    node.children.get(item_name).or_else(|| node.children.get("member"))
                }
            };
            let numbered = items.map(Node::numbered).unwrap_or_default();
            // `A=` is the empty list.
            if numbered.is_empty() && !(node.text == Some("") && node.children.is_empty()) {
                return Err(expected(path));
            }
            let read =
                numbered.into_iter().map(|(_, item)| value(member, TimeFormat::Default, item, dialect, path));
            read.collect::<Result<_, _>>().map(Value::List)
        }
        Kind::Map { key, value: shape, key_name, value_name, flattened } => {
            let entries =
                if flattened || dialect == Dialect::Ec2 { Some(node) } else { node.children.get("entry") };
            let mut map = BTreeMap::new();
            for (_, entry) in entries.map(Node::numbered).unwrap_or_default() {
                let name =
                    entry.children.get(key_name).and_then(|key| key.text).ok_or_else(|| expected(path))?;
                let name = match scalar_from_text(key, name, TimeFormat::Default, &path.join("."))? {
                    Value::String(name) => name,
                    _ => return Err(expected(path)),
                };
                let read = match entry.children.get(value_name) {
                    Some(node) => value(shape, TimeFormat::Default, node, dialect, path)?,
                    None => Value::Null,
                };
                map.insert(name, read);
            }
            Ok(Value::Map(map))
        }
        Kind::Document => Err(expected(path)),
        Kind::String(_)
        | Kind::Boolean
        | Kind::Integer
        | Kind::Long
        | Kind::Float
        | Kind::Double
        | Kind::Blob
        | Kind::Timestamp(_) => match node.text {
            Some(text) => scalar_from_text(shape, text, format, &path.join(".")),
            None => Err(expected(path)),
        },
    }
}
