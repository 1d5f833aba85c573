//! The shape-valued document: what a protocol's bytes mean, before and after the typed structs.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Timestamp;

/// A value of any shape. Structures and maps are both `Map`; which of the two it is, the shape knows.
///
/// Stored as JSON in which a timestamp is `{"$time": millis}` and a blob `{"$blob": "base64"}`, so that nothing is lost
/// on the way to the store and back.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(String),
    Blob(Vec<u8>),
    Timestamp(Timestamp),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// An empty structure.
    pub fn map() -> Self {
        Self::Map(BTreeMap::new())
    }
    /// A structure from its members; members that are `Null` are left out.
    pub fn structure<const N: usize>(members: [(&str, Value); N]) -> Self {
        Self::Map(
            members
                .into_iter()
                .filter(|(_, value)| *value != Self::Null)
                .map(|(k, v)| (k.to_owned(), v))
                .collect(),
        )
    }
    pub fn get(&self, member: &str) -> Option<&Value> {
        match self {
            Self::Map(members) => members.get(member),
            _ => None,
        }
    }
    /// Sets a member; `Null` removes it. Anything but a map becomes one.
    pub fn set(&mut self, member: &str, value: impl Into<Value>) {
        let value = value.into();
        if !matches!(self, Self::Map(_)) {
            *self = Self::map();
        }
        if let Self::Map(members) = self {
            if value == Self::Null {
                members.remove(member);
            } else {
                members.insert(member.to_owned(), value);
            }
        }
    }
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }
    pub fn as_list(&self) -> &[Value] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }
    pub fn as_map(&self) -> Option<&BTreeMap<String, Value>> {
        match self {
            Self::Map(members) => Some(members),
            _ => None,
        }
    }
    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}
impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}
impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Int(i64::from(number))
    }
}
impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(i64::from(number))
    }
}
impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}
impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Self {
        Self::Timestamp(at)
    }
}
impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
impl From<BTreeMap<String, Value>> for Value {
    fn from(members: BTreeMap<String, Value>) -> Self {
        Self::Map(members)
    }
}

const TIME_KEY: &str = "$time";
const BLOB_KEY: &str = "$blob";
/// Holds a map whose only key is one of these three, as a list of pairs: somebody's own map is never taken for a mark.
const MAP_KEY: &str = "$map";

fn looks_like_a_mark(members: &BTreeMap<String, Value>) -> bool {
    members.len() == 1 && members.keys().all(|key| matches!(key.as_str(), TIME_KEY | BLOB_KEY | MAP_KEY))
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::String(text) => serializer.serialize_str(text),
            Self::Blob(bytes) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(BLOB_KEY, &STANDARD.encode(bytes))?;
                map.end()
            }
            Self::Timestamp(at) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(TIME_KEY, &at.millis())?;
                map.end()
            }
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Self::Map(members) if looks_like_a_mark(members) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(MAP_KEY, &members.iter().collect::<Vec<_>>())?;
                map.end()
            }
            Self::Map(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, value) in members {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Float(number as f64), Value::Int))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }
    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }
    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            members.insert(key, value);
        }
        if members.len() == 1 {
            if let Some(Value::Int(millis)) = members.get(TIME_KEY) {
                return Ok(Value::Timestamp(Timestamp::from_millis(*millis)));
            }
            if let Some(Value::String(text)) = members.get(BLOB_KEY) {
                return STANDARD.decode(text).map(Value::Blob).map_err(de::Error::custom);
            }
            if let Some(Value::List(pairs)) = members.get(MAP_KEY) {
                return pairs
                    .iter()
                    .map(pair)
                    .collect::<Option<_>>()
                    .map(Value::Map)
                    .ok_or_else(|| de::Error::custom("a list of pairs was expected behind $map"));
            }
        }
        Ok(Value::Map(members))
    }
}

fn pair(value: &Value) -> Option<(String, Value)> {
    match value.as_list() {
        [Value::String(key), value] => Some((key.clone(), value.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_survives_the_store() {
        let mut value = Value::map();
        value.set("time", Timestamp::from_millis(1_700_000_000_123));
        value.set("blob", Value::Blob(vec![0, 255]));
        value.set("list", vec![1i64, -2]);
        value.set("float", 0.5);
        value.set("text", "ü");
        value.set("truth", true);
        value.set("gone", Value::Null);
        let text = serde_json::to_string(&value).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        assert_eq!(value.get("gone"), None);
    }

    #[test]
    fn somebodys_own_map_is_never_taken_for_a_mark() {
        for key in ["$time", "$blob", "$map"] {
            let mut value = Value::map();
            value.set(key, 5i64);
            let text = serde_json::to_string(&value).unwrap();
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value, "{text}");
        }
    }
}
