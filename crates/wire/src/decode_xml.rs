//! XML in, for rest-xml: a small pull parser without document types, and the shape-directed reading of its elements.

use std::collections::BTreeMap;

use gantry_types::Value;

use crate::decode::{DecodeError, kind_name, scalar_from_text};
use crate::limits::NESTING_MAX;
use crate::shape::{Kind, Location, Member, Shape, TimeFormat};

/// Reads a body whose root element is the structure.
pub(crate) fn decode(shape: &'static Shape, body: &[u8]) -> Result<Value, DecodeError> {
    let text = std::str::from_utf8(body).map_err(|_| DecodeError::body("Bytes that are not UTF-8"))?;
    if text.trim().is_empty() {
        return Ok(Value::map());
    }
    let mut parser = Parser { rest: text.strip_prefix('\u{feff}').unwrap_or(text) };
    let root = parser.document()?;
    value(shape, TimeFormat::Default, &root)
}

/// Reads an answer whose structure stands in the named element below the root, or is the root where there is no such name.
pub(crate) fn decode_within(shape: &'static Shape, wrapper: &str, body: &[u8]) -> Result<Value, DecodeError> {
    let root = document(body)?;
    if wrapper.is_empty() {
        return value(shape, TimeFormat::Default, &root);
    }
    match root.children.iter().find(|child| child.name == wrapper) {
        Some(result) => value(shape, TimeFormat::Default, result),
        None => Ok(Value::map()),
    }
}

/// Code and message of a Query service's error.
pub(crate) fn error(body: &[u8]) -> Result<(String, String), DecodeError> {
    let root = document(body)?;
    let error = root.children.iter().find(|child| child.name == "Error").unwrap_or(&root);
    let text = |name: &str| {
        error
            .children
            .iter()
            .find(|child| child.name == name)
            .map(|child| child.text.clone())
            .unwrap_or_default()
    };
    Ok((text("Code"), text("Message")))
}

fn document(body: &[u8]) -> Result<Element, DecodeError> {
    let text = std::str::from_utf8(body).map_err(|_| DecodeError::body("Bytes that are not UTF-8"))?;
    Parser { rest: text.strip_prefix('\u{feff}').unwrap_or(text) }.document()
}

/// One element with all that is in it.
#[derive(Debug, Default, PartialEq)]
struct Element {
    /// Without its prefix.
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Element>,
}

struct Parser<'a> {
    rest: &'a str,
}

fn broken(what: &str) -> DecodeError {
    DecodeError::body(format!("The XML is not well formed: {what}"))
}

impl<'a> Parser<'a> {
    fn document(&mut self) -> Result<Element, DecodeError> {
        self.miscellany()?;
        let root = self.element()?.ok_or_else(|| broken("no root element"))?;
        self.miscellany()?;
        if self.rest.is_empty() { Ok(root) } else { Err(broken("something follows the root element")) }
    }

    /// Blanks, comments and processing instructions.
    fn miscellany(&mut self) -> Result<(), DecodeError> {
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.starts_with("<?") {
                self.until("?>")?;
            } else if self.rest.starts_with("<!--") {
                self.until("-->")?;
            } else {
                return Ok(());
            }
        }
    }

    fn until(&mut self, end: &str) -> Result<&'a str, DecodeError> {
        let (before, after) = self.rest.split_once(end).ok_or_else(|| broken(&format!("no {end}")))?;
        self.rest = after;
        Ok(before)
    }

    /// The root element, without recursion: the open elements stand on a stack.
    fn element(&mut self) -> Result<Option<Element>, DecodeError> {
        let mut open: Vec<(&'a str, Element)> = Vec::new();
        loop {
            let Some((before, _)) = self.rest.split_once('<') else {
                return if open.is_empty() { Ok(None) } else { Err(broken("an element is not closed")) };
            };
            match open.last_mut() {
                Some((_, element)) => unescape(before, &mut element.text)?,
                None if before.trim().is_empty() => {}
                None => return Err(broken("text outside the root element")),
            }
            self.rest = &self.rest[before.len()..];
            let closed = if self.rest.starts_with("<!--") {
                self.until("-->")?;
                None
            } else if self.rest.starts_with("<?") {
                self.until("?>")?;
                None
            } else if let Some(rest) = self.rest.strip_prefix("<![CDATA[") {
                self.rest = rest;
                let text = self.until("]]>")?;
                let (_, element) = open.last_mut().ok_or_else(|| broken("text outside the root element"))?;
                element.text.push_str(text);
                None
            } else if self.rest.starts_with("<!") {
                return Err(broken("document types are not allowed"));
            } else if let Some(rest) = self.rest.strip_prefix("</") {
                self.rest = rest;
                let name = self.until(">")?.trim_end();
                let (tag, element) = open.pop().ok_or_else(|| broken("an element ends that never began"))?;
                if tag != name {
                    return Err(broken("an element ends inside another"));
                }
                Some(element)
            } else {
                self.rest = &self.rest[1..];
                let (tag, element, empty) = self.start()?;
                if open.len() == NESTING_MAX {
                    return Err(broken("nested too deep"));
                }
                if empty {
                    Some(element)
                } else {
                    open.push((tag, element));
                    None
                }
            };
            match (closed, open.last_mut()) {
                (Some(element), Some((_, parent))) => parent.children.push(element),
                (Some(element), None) => return Ok(Some(element)),
                (None, _) => {}
            }
        }
    }

    /// What stands between `<` and `>`; a `>` inside an attribute's quotes does not end it.
    fn start(&mut self) -> Result<(&'a str, Element, bool), DecodeError> {
        let end = self
            .rest
            .find(|c: char| c.is_whitespace() || c == '>' || c == '/')
            .ok_or_else(|| broken("a tag without end"))?;
        let (tag, rest) = self.rest.split_at(end);
        if tag.is_empty() || tag.contains(['<', '&', '"', '\'', '=']) {
            return Err(broken("an element without a name"));
        }
        self.rest = rest;
        let mut element = Element { name: local(tag).to_owned(), ..Element::default() };
        loop {
            self.rest = self.rest.trim_start();
            if let Some(rest) = self.rest.strip_prefix('>') {
                self.rest = rest;
                return Ok((tag, element, false));
            }
            if let Some(rest) = self.rest.strip_prefix("/>") {
                self.rest = rest;
                return Ok((tag, element, true));
            }
            let name = self.until("=")?.trim();
            self.rest = self.rest.trim_start();
            let quote = self.rest.chars().next().filter(|c| matches!(c, '"' | '\''));
            let quote = quote.ok_or_else(|| broken("an attribute without quotes"))?;
            self.rest = &self.rest[1..];
            let mut text = String::new();
            unescape(self.until(if quote == '"' { "\"" } else { "'" })?, &mut text)?;
            element.attributes.push((name.to_owned(), text));
        }
    }
}

fn local(tag: &str) -> &str {
    tag.rsplit(':').next().unwrap_or(tag)
}

/// The five entities that XML has by itself, and character references.
fn unescape(text: &str, out: &mut String) -> Result<(), DecodeError> {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let (name, after) = after.split_once(';').ok_or_else(|| broken("an entity without end"))?;
        let character = match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => name.strip_prefix('#').and_then(|number| match number.strip_prefix(['x', 'X']) {
                Some(number) => u32::from_str_radix(number, 16).ok().and_then(char::from_u32),
                None => number.parse().ok().and_then(char::from_u32),
            }),
        };
        out.push(character.ok_or_else(|| broken("an unknown entity"))?);
        rest = after;
    }
    out.push_str(rest);
    Ok(())
}

fn value(shape: &'static Shape, format: TimeFormat, element: &Element) -> Result<Value, DecodeError> {
    match shape.kind {
        Kind::Structure(members) | Kind::Union(members) => {
            let mut read = BTreeMap::new();
            for member in members {
                if let Some(value) = self::member(member, element)? {
                    read.insert(member.name.to_owned(), value);
                }
            }
            Ok(Value::Map(read))
        }
        Kind::List { member, item_name, .. } => {
            let name = if item_name.is_empty() { "member" } else { item_name };
            let items = element.children.iter().filter(|child| child.name == name);
            items
                .map(|item| value(member, TimeFormat::Default, item))
                .collect::<Result<_, _>>()
                .map(Value::List)
        }
        Kind::Map { .. } => entries(shape, element.children.iter().filter(|child| child.name == "entry")),
        Kind::Document => Err(DecodeError::at(&element.name, kind_name(&shape.kind))),
        _ => scalar_from_text(shape, &element.text, format, &element.name),
    }
}

fn member(member: &'static Member, parent: &Element) -> Result<Option<Value>, DecodeError> {
    if member.location == Location::Attribute {
        let wanted = local(member.wire_name);
        let found = parent.attributes.iter().find(|(name, _)| local(name) == wanted);
        return found
            .map(|(_, text)| scalar_from_text(member.shape, text, member.time_format, member.name))
            .transpose();
    }
    let named = |name: &'static str| parent.children.iter().filter(move |child| child.name == name);
    match member.shape.kind {
        Kind::List { member: item, item_name, flattened: true } => {
            let name = if item_name.is_empty() { member.wire_name } else { item_name };
            let items = named(name).map(|child| value(item, TimeFormat::Default, child));
            let items = items.collect::<Result<Vec<_>, _>>()?;
            Ok((!items.is_empty()).then_some(Value::List(items)))
        }
        Kind::Map { flattened: true, .. } => match named(member.wire_name).next() {
            Some(_) => entries(member.shape, named(member.wire_name)).map(Some),
            None => Ok(None),
        },
        _ => named(member.wire_name)
            .next()
            .map(|child| value(member.shape, member.time_format, child))
            .transpose(),
    }
}

fn entries<'e>(
    shape: &'static Shape,
    entries: impl Iterator<Item = &'e Element>,
) -> Result<Value, DecodeError> {
    let Kind::Map { value: item, key_name, value_name, .. } = shape.kind else { return Ok(Value::map()) };
    let mut map = BTreeMap::new();
    for entry in entries {
        let child = |name: &str| entry.children.iter().find(|child| child.name == name);
        let key = child(key_name).ok_or_else(|| DecodeError::at(&entry.name, "an entry without a key"))?;
        let read = match child(value_name) {
            Some(element) => value(item, TimeFormat::Default, element)?,
            None => Value::Null,
        };
        map.insert(key.text.clone(), read);
    }
    Ok(Value::Map(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Element, DecodeError> {
        Parser { rest: text }.document()
    }

    #[test]
    fn xml_is_read_and_what_is_not_well_formed_refused() {
        let root = parse("<?xml version='1.0'?><!-- c --><a:r x='1>2' y=\"&quot;\"><b>&lt;&#x41;&#66;<![CDATA[<&]]></b><c/></a:r>\n").unwrap();
        assert_eq!(root.name, "r");
        assert_eq!(root.attributes, [("x".to_owned(), "1>2".to_owned()), ("y".to_owned(), "\"".to_owned())]);
        assert_eq!(root.children[0].text, "<AB<&");
        assert_eq!(root.children[1].name, "c");
        let deep = format!("{}{}", "<a>".repeat(200), "</a>".repeat(200));
        let bad = [
            "",
            "x",
            "<a>",
            "<a></b>",
            "<a><b></a></b>",
            "<!DOCTYPE a><a/>",
            "<a>&nope;</a>",
            "<a>&#xffffffff;</a>",
            "<a/><b/>",
            "<a b=c/>",
            "<a b='",
            "< a/>",
            "</a>",
            "<a>&amp</a>",
            deep.as_str(),
        ];
        for text in bad {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
