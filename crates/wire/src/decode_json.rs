//! JSON in, directed by the shape: what the shape does not know is passed over without being kept.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use gantry_types::Value;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::decode::{BASE64, DecodeError, float};
use crate::shape::{Kind, Member, Shape, TimeFormat};
use crate::time_format;

/// Reads a body. No body is an empty structure.
pub(crate) fn decode(shape: &'static Shape, body: &[u8]) -> Result<Value, DecodeError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::map());
    }
    let place = Place { path: RefCell::default(), mismatch: RefCell::default() };
    let seed = Seed { shape, format: TimeFormat::Default, place: &place };
    let mut reader = serde_json::Deserializer::from_slice(body);
    match seed.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value)) {
        Ok(Value::Null) => Ok(Value::map()),
        Ok(value) => Ok(value),
        Err(error) => Err(match place.mismatch.take() {
            Some(problem) => DecodeError::at(&place.path.borrow().join("."), problem),
            None => DecodeError::body(error.to_string()),
        }),
    }
}

/// Where the reader is, and what was wrong there; serde's own errors know only lines and columns.
struct Place {
    path: RefCell<Vec<String>>,
    mismatch: RefCell<Option<String>>,
}

struct Seed<'a> {
    shape: &'static Shape,
    format: TimeFormat,
    place: &'a Place,
}

impl Seed<'_> {
    fn mismatch<E: serde::de::Error>(&self, problem: impl Into<String>) -> E {
        *self.place.mismatch.borrow_mut() = Some(problem.into());
        E::custom("")
    }

    /// What AWS says when a JSON value is not of the member's type.
    fn unexpected<E: serde::de::Error>(&self, found: &str) -> E {
        let wanted = match self.shape.kind {
            Kind::Structure(_) | Kind::Union(_) | Kind::Map { .. } => {
                return self.mismatch("Unexpected field type");
            }
            Kind::List { .. } => return self.mismatch("Expected list or null"),
            Kind::String(_) => "an String",
            Kind::Boolean => "an Boolean",
            Kind::Integer => "an Integer",
            Kind::Long => "an Long",
            Kind::Float => "an Float",
            Kind::Double => "an Double",
            Kind::Blob => "an Blob",
            Kind::Timestamp(_) => "milliseconds since epoch",
            Kind::Document => "a document",
        };
        self.mismatch(format!("{found} can not be converted to {wanted}"))
    }

    fn integer<E: serde::de::Error>(&self, number: i64) -> Result<Value, E> {
        match self.shape.kind {
            Kind::Integer if i32::try_from(number).is_err() => Err(self.unexpected(NUMBER)),
            Kind::Integer | Kind::Long => Ok(Value::Int(number)),
            Kind::Float | Kind::Double => Ok(Value::Float(number as f64)),
            Kind::Timestamp(_) => self.seconds(number as f64),
            Kind::Document => Ok(Value::Int(number)),
            _ => Err(self.unexpected(NUMBER)),
        }
    }

    fn seconds<E: serde::de::Error>(&self, seconds: f64) -> Result<Value, E> {
        time_format::from_seconds(seconds).map(Value::Timestamp).ok_or_else(|| self.unexpected(NUMBER))
    }

    fn child<'b>(&'b self, shape: &'static Shape, format: TimeFormat) -> Seed<'b> {
        Seed { shape, format, place: self.place }
    }

    fn inside<T, E>(&self, step: String, read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.place.path.borrow_mut().push(step);
        let outcome = read()?;
        // After an error the path stays where it happened.
        self.place.path.borrow_mut().pop();
        Ok(outcome)
    }
}

const NUMBER: &str = "class com.amazon.coral.value.json.numbers.TruncatingBigNumber";

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, truth: bool) -> Result<Value, E> {
        match self.shape.kind {
            Kind::Boolean | Kind::Document => Ok(Value::Bool(truth)),
            _ => Err(self.unexpected("class java.lang.Boolean")),
        }
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Value, E> {
        self.integer(number)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        match i64::try_from(number) {
            Ok(number) => self.integer(number),
            Err(_) => self.visit_f64(number as f64),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        match self.shape.kind {
            Kind::Float | Kind::Double | Kind::Document => Ok(Value::Float(number)),
            Kind::Timestamp(_) => self.seconds(number),
            // 2^53: above it a double no longer holds every integer.
            Kind::Integer | Kind::Long
                if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 =>
            {
                self.integer(number as i64)
            }
            _ => Err(self.unexpected(NUMBER)),
        }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        let value = match self.shape.kind {
            Kind::String(_) | Kind::Document => Some(Value::String(text.to_owned())),
            Kind::Blob => BASE64.decode(text).ok().map(Value::Blob),
            Kind::Timestamp(own) => time_format::parse(text, self.format.or(own)).map(Value::Timestamp),
            Kind::Float | Kind::Double if matches!(text, "NaN" | "Infinity" | "-Infinity") => float(text),
            _ => None,
        };
        value.ok_or_else(|| self.unexpected("class java.lang.String"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let member = match self.shape.kind {
            Kind::List { member, .. } => member,
            Kind::Document => self.shape,
            _ => return Err(self.mismatch("Start of list found where not expected")),
        };
        let mut items = Vec::new();
        loop {
            let step = (items.len() + 1).to_string();
            let next =
                self.inside(step, || list.next_element_seed(self.child(member, TimeFormat::Default)))?;
            match next {
                Some(item) => items.push(item),
                None => return Ok(Value::List(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = BTreeMap::new();
        match self.shape.kind {
            Kind::Structure(members) | Kind::Union(members) => {
                while let Some(key) = map.next_key::<String>()? {
                    let Some(member) = by_wire_name(members, &key) else {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    let seed = self.child(member.shape, member.time_format);
                    let value = self.inside(key, || map.next_value_seed(seed))?;
                    if value != Value::Null {
                        entries.insert(member.name.to_owned(), value);
                    }
                }
            }
            Kind::Map { value, .. } => {
                while let Some(key) = map.next_key::<String>()? {
                    let read = self.inside(key.clone(), || {
                        map.next_value_seed(self.child(value, TimeFormat::Default))
                    })?;
                    entries.insert(key, read);
                }
            }
            Kind::Document => {
                while let Some(key) = map.next_key::<String>()? {
                    let value = map.next_value_seed(self.child(self.shape, TimeFormat::Default))?;
                    entries.insert(key, value);
                }
            }
            _ => return Err(self.mismatch("Start of structure or map found where not expected.")),
        }
        Ok(Value::Map(entries))
    }
}

/// Nearly always the wire's name is the member's own, by which the table is sorted.
pub(crate) fn by_wire_name(members: &'static [Member], name: &str) -> Option<&'static Member> {
    match members.binary_search_by(|member| member.name.cmp(name)) {
        Ok(index) if members[index].wire_name == name => Some(&members[index]),
        _ => members.iter().find(|member| member.wire_name == name),
    }
}
