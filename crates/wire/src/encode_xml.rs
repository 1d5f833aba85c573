//! XML out: Query, EC2 and rest-xml.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_types::{Timestamp, Value};

use crate::Protocol;
use crate::encode::EncodeError;
use crate::shape::{Kind, Location, Member, Shape, TimeFormat};
use crate::time_format::{write_http_date, write_iso8601, write_seconds};

/// Writes elements.
pub(crate) struct Xml {
    pub(crate) text: String,
    /// EC2 always writes milliseconds.
    protocol: Protocol,
}

impl Xml {
    pub(crate) fn new(protocol: Protocol) -> Self {
        Self { text: String::with_capacity(512), protocol }
    }

    pub(crate) fn open(&mut self, tag: &str) {
        self.text.extend(["<", tag, ">"]);
    }

    pub(crate) fn open_in(&mut self, tag: &str, namespace: &str) {
        if namespace.is_empty() {
            self.open(tag);
        } else {
            self.text.extend(["<", tag, " xmlns=\""]);
            self.escape(namespace);
            self.text.push_str("\">");
        }
    }

    pub(crate) fn close(&mut self, tag: &str) {
        self.text.extend(["</", tag, ">"]);
    }

    /// `<tag>text</tag>`
    pub(crate) fn leaf(&mut self, tag: &str, text: &str) {
        self.open(tag);
        self.escape(text);
        self.close(tag);
    }

    /// What XML cannot carry at all becomes the replacement character; a carriage return would otherwise be read as a newline.
    fn escape(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                '\r' => self.text.push_str("&#xD;"),
                '\t' | '\n' => self.text.push(character),
                '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => self.text.push('\u{fffd}'),
                _ => self.text.push(character),
            }
        }
    }

    /// The members that are set, each in its element.
    pub(crate) fn members(&mut self, shape: &Shape, value: &Value) -> Result<(), EncodeError> {
        for member in shape.members().iter().filter(|member| member.location == Location::Body) {
            let Some(value) = value.get(member.name).filter(|value| !value.is_null()) else { continue };
            self.member(member, value).map_err(|error| error.inside(member.name))?;
        }
        Ok(())
    }

    fn member(&mut self, member: &Member, value: &Value) -> Result<(), EncodeError> {
        self.element(member.wire_name, member.shape, member.time_format, value)
    }

    pub(crate) fn element(
        &mut self,
        tag: &str,
        shape: &Shape,
        format: TimeFormat,
        value: &Value,
    ) -> Result<(), EncodeError> {
        match (&shape.kind, value) {
            (Kind::Structure(_) | Kind::Union(_), Value::Map(_)) => {
                let start = self.text.len();
                self.open(tag);
                let inside = self.text.len();
                self.members(shape, value)?;
                self.finish(tag, start, inside);
            }
            (Kind::List { member, item_name, flattened: true }, Value::List(items)) => {
                let tag = if item_name.is_empty() { tag } else { item_name };
                for (index, item) in items.iter().enumerate() {
                    let written = self.element(tag, member, TimeFormat::Default, item);
                    written.map_err(|error| error.inside(index + 1))?;
                }
            }
            (Kind::List { member, item_name, flattened: false }, Value::List(items)) => {
                let item_tag = if item_name.is_empty() { "member" } else { item_name };
                let start = self.text.len();
                self.open(tag);
                let inside = self.text.len();
                for (index, item) in items.iter().enumerate() {
                    let written = self.element(item_tag, member, TimeFormat::Default, item);
                    written.map_err(|error| error.inside(index + 1))?;
                }
                self.finish(tag, start, inside);
            }
            (Kind::Map { value: shape, key_name, value_name, flattened, .. }, Value::Map(entries)) => {
                let (start, entry_tag) = (self.text.len(), if *flattened { tag } else { "entry" });
                if !flattened {
                    self.open(tag);
                }
                let inside = self.text.len();
                for (key, value) in entries {
                    self.open(entry_tag);
                    self.leaf(key_name, key);
                    let written = self.element(value_name, shape, TimeFormat::Default, value);
                    written.map_err(|error| error.inside(key))?;
                    self.close(entry_tag);
                }
                if !flattened {
                    self.finish(tag, start, inside);
                }
            }
            (_, Value::Null) => {}
            _ => {
                let text = self.scalar(shape, format, value).ok_or_else(|| EncodeError::mismatch(shape))?;
                self.leaf(tag, &text);
            }
        }
        Ok(())
    }

    /// `<tag></tag>` is written `<tag/>`.
    fn finish(&mut self, tag: &str, start: usize, inside: usize) {
        if self.text.len() == inside {
            self.text.truncate(start);
            self.text.extend(["<", tag, "/>"]);
        } else {
            self.close(tag);
        }
    }

    fn scalar(&self, shape: &Shape, format: TimeFormat, value: &Value) -> Option<String> {
        match (&shape.kind, value) {
            (Kind::Timestamp(own), Value::Timestamp(at)) => Some(self.time(*at, format.or(*own))),
            _ => scalar_text(shape, value),
        }
    }

    fn time(&self, at: Timestamp, format: TimeFormat) -> String {
        match format {
            TimeFormat::Default | TimeFormat::Iso8601 if self.protocol == Protocol::Ec2Query => at.iso8601(),
            TimeFormat::Default | TimeFormat::Iso8601 => write_iso8601(at),
            TimeFormat::Seconds => write_seconds(at),
            TimeFormat::HttpDate => write_http_date(at),
        }
    }
}

/// A scalar as XML elements, headers and paths have it; times are the caller's.
pub(crate) fn scalar_text(shape: &Shape, value: &Value) -> Option<String> {
    Some(match (&shape.kind, value) {
        (Kind::String(_), Value::String(text)) => text.clone(),
        (Kind::Boolean, Value::Bool(truth)) => truth.to_string(),
        (Kind::Integer | Kind::Long | Kind::Float | Kind::Double, Value::Int(number)) => number.to_string(),
        (Kind::Float | Kind::Double, Value::Float(number)) if number.is_nan() => "NaN".to_owned(),
        (Kind::Float | Kind::Double, Value::Float(number)) if number.is_infinite() => {
            if *number > 0.0 {
                "Infinity".to_owned()
            } else {
                "-Infinity".to_owned()
            }
        }
        (Kind::Float | Kind::Double, Value::Float(number)) => format!("{number:?}"),
        (Kind::Blob, Value::Blob(bytes)) => STANDARD.encode(bytes),
        _ => return None,
    })
}
