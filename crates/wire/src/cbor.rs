//! rpc-v2-cbor's bodies: CBOR (RFC 8949) in and out, directed by the shape.
//!
//! The reader allocates for what it has read, never for a length that somebody claims.

use std::collections::BTreeMap;

use gantry_types::{Timestamp, Value};

use crate::decode::{DecodeError, kind_name};
use crate::decode_json::by_wire_name;
use crate::encode::EncodeError;
use crate::limits::NESTING_MAX;
use crate::shape::{Kind, Shape};
use crate::time_format;

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const SIMPLE: u8 = 7;
const BREAK: u8 = 0xff;
const EPOCH_TAG: u64 = 1;

/// Reads a body. No body is an empty structure.
pub(crate) fn decode(shape: &'static Shape, body: &[u8]) -> Result<Value, DecodeError> {
    if body.is_empty() {
        return Ok(Value::map());
    }
    let mut reader = Reader { rest: body, depth: 0 };
    let value = reader.value(shape)?;
    match (value, reader.rest) {
        (Value::Null, []) => Ok(Value::map()),
        (value, []) => Ok(value),
        _ => Err(DecodeError::body("Bytes after the end of the value")),
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    depth: usize,
}

/// The first part of an item.
#[derive(Debug, Clone, Copy)]
struct Head {
    major: u8,
    /// The low five bits.
    info: u8,
    /// The argument; zero where the length is indefinite.
    argument: u64,
}

impl Head {
    fn is_indefinite(self) -> bool {
        self.info == 31
    }
    fn is_null(self) -> bool {
        self.major == SIMPLE && matches!(self.info, 22 | 23)
    }
    /// A floating-point number of any width.
    fn float(self) -> Option<f64> {
        match (self.major, self.info) {
            (SIMPLE, 25) => Some(half(self.argument as u16)),
            (SIMPLE, 26) => Some(f64::from(f32::from_bits(self.argument as u32))),
            (SIMPLE, 27) => Some(f64::from_bits(self.argument)),
            _ => None,
        }
    }
    fn integer(self) -> Option<i64> {
        let number = i64::try_from(self.argument).ok();
        match self.major {
            UNSIGNED => number,
            NEGATIVE => number.map(|number| -1 - number),
            _ => None,
        }
    }
    fn number(self) -> Option<f64> {
        self.float().or_else(|| match self.major {
            UNSIGNED => Some(self.argument as f64),
            NEGATIVE => Some(-1.0 - self.argument as f64),
            _ => None,
        })
    }
}

fn half(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or_else(|| DecodeError::body("The value ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn head(&mut self) -> Result<Head, DecodeError> {
        let first = self.take(1)?[0];
        let (major, info) = (first >> 5, first & 31);
        let width = match info {
            0..=23 => return Ok(Head { major, info, argument: u64::from(info) }),
            24..=27 => 1usize << (info - 24),
            31 if matches!(major, BYTES | TEXT | ARRAY | MAP | SIMPLE) => {
                return Ok(Head { major, info, argument: 0 });
            }
            _ => return Err(DecodeError::body("A reserved length")),
        };
        let argument = self.take(width)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        Ok(Head { major, info, argument })
    }

    /// The bytes of a string, in one piece or several.
    fn string(&mut self, head: Head) -> Result<Vec<u8>, DecodeError> {
        let mut bytes = Vec::new();
        if !head.is_indefinite() {
            bytes.extend(self.take(length(head)?)?);
            return Ok(bytes);
        }
        while !self.at_break()? {
            let piece = self.head()?;
            if piece.major != head.major || piece.is_indefinite() {
                return Err(DecodeError::body("A string's piece is not of the string's type"));
            }
            bytes.extend(self.take(length(piece)?)?);
        }
        Ok(bytes)
    }

    fn text(&mut self, head: Head) -> Result<String, DecodeError> {
        String::from_utf8(self.string(head)?).map_err(|_| DecodeError::body("Text that is not UTF-8"))
    }

    /// Takes the break that ends something of indefinite length, if it is next.
    fn at_break(&mut self) -> Result<bool, DecodeError> {
        let at = self.rest.first() == Some(&BREAK);
        if at {
            self.take(1)?;
        }
        Ok(at)
    }

    /// Calls `each` for every element of an array or entry of a map.
    fn elements(
        &mut self,
        head: Head,
        mut each: impl FnMut(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(DecodeError::body("Nested too deep"));
        }
        let mut left = if head.is_indefinite() { u64::MAX } else { head.argument };
        while left > 0 && !(head.is_indefinite() && self.at_break()?) {
            each(self)?;
            left -= 1;
        }
        self.depth -= 1;
        Ok(())
    }

    fn key(&mut self) -> Result<String, DecodeError> {
        let head = self.head()?;
        if head.major == TEXT { self.text(head) } else { Err(DecodeError::body("A key that is no text")) }
    }

    fn value(&mut self, shape: &'static Shape) -> Result<Value, DecodeError> {
        let head = self.head()?;
        if head.is_null() {
            return Ok(Value::Null);
        }
        let read = match (&shape.kind, head.major) {
            (Kind::Structure(members) | Kind::Union(members), MAP) => {
                let mut read = BTreeMap::new();
                self.elements(head, |reader| {
                    let key = reader.key()?;
                    let Some(member) = by_wire_name(members, &key) else { return reader.skip() };
                    let value = reader.value(member.shape)?;
                    if value != Value::Null {
                        read.insert(member.name.to_owned(), value);
                    }
                    Ok(())
                })?;
                Some(Value::Map(read))
            }
            (Kind::List { member, .. }, ARRAY) => {
                let mut items = Vec::new();
                self.elements(head, |reader| {
                    items.push(reader.value(member)?);
                    Ok(())
                })?;
                Some(Value::List(items))
            }
            (Kind::Map { value, .. }, MAP) => {
                let mut entries = BTreeMap::new();
                self.elements(head, |reader| {
                    let key = reader.key()?;
                    entries.insert(key, reader.value(value)?);
                    Ok(())
                })?;
                Some(Value::Map(entries))
            }
            (Kind::String(_), TEXT) => Some(Value::String(self.text(head)?)),
            (Kind::Blob, BYTES) => Some(Value::Blob(self.string(head)?)),
            (Kind::Boolean, SIMPLE) if matches!(head.info, 20 | 21) => Some(Value::Bool(head.info == 21)),
            (Kind::Integer, _) => {
                integer(head).filter(|number| i32::try_from(*number).is_ok()).map(Value::Int)
            }
            (Kind::Long, _) => integer(head).map(Value::Int),
            (Kind::Float | Kind::Double, _) => head.number().map(Value::Float),
            (Kind::Timestamp(_), TAG) if head.argument == EPOCH_TAG => {
                let seconds = self.head()?.number();
                seconds.and_then(time_format::from_seconds).map(Value::Timestamp)
            }
            _ => None,
        };
        read.ok_or_else(|| DecodeError::body(format!("{} was expected", kind_name(&shape.kind))))
    }

    /// Passes over one item, whatever it is.
    fn skip(&mut self) -> Result<(), DecodeError> {
        let head = self.head()?;
        match head.major {
            BYTES | TEXT => self.string(head).map(|_| ()),
            ARRAY => self.elements(head, Self::skip),
            MAP => self.elements(head, |reader| {
                reader.skip()?;
                reader.skip()
            }),
            // A tag's nesting counts like any other.
            TAG => self.elements(Head { major: ARRAY, info: 1, argument: 1 }, Self::skip),
            SIMPLE if head.is_indefinite() => Err(DecodeError::body("A break where nothing ends")),
            _ => Ok(()),
        }
    }
}

fn length(head: Head) -> Result<usize, DecodeError> {
    usize::try_from(head.argument).map_err(|_| DecodeError::body("The value ends too early"))
}

fn integer(head: Head) -> Option<i64> {
    let whole = |number: f64| {
        (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i64)
    };
    head.integer().or_else(|| head.float().and_then(whole))
}

pub(crate) fn encode(shape: &Shape, value: &Value) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::with_capacity(256);
    write(shape, value, &mut out)?;
    Ok(out)
}

/// An error's members, by the model as far as it knows them.
pub(crate) fn encode_error(shape: Option<&Shape>, members: &Value) -> Vec<u8> {
    let entries: Vec<_> = members.as_map().into_iter().flatten().collect();
    let mut out = Vec::with_capacity(256);
    head(MAP, entries.len() as u64, &mut out);
    for (name, value) in entries {
        let member = shape.and_then(|shape| shape.member(name));
        text(member.map_or(name, |member| member.wire_name), &mut out);
        let before = out.len();
        // A member that does not fit its shape is written as what it is: the error itself matters more.
        if member.is_none_or(|member| write(member.shape, value, &mut out).is_err()) {
            out.truncate(before);
            unshaped(value, &mut out);
        }
    }
    out
}

fn write(shape: &Shape, value: &Value, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match (&shape.kind, value) {
        (Kind::Structure(members) | Kind::Union(members), Value::Map(_)) => {
            let set = || {
                let values =
                    members.iter().map(|member| (member, value.get(member.name).unwrap_or(&Value::Null)));
                values.filter(|(_, value)| !value.is_null())
            };
            head(MAP, set().count() as u64, out);
            for (member, value) in set() {
                text(member.wire_name, out);
                write(member.shape, value, out).map_err(|error| error.inside(member.name))?;
            }
        }
        (Kind::List { member, .. }, Value::List(items)) => {
            head(ARRAY, items.len() as u64, out);
            for (index, item) in items.iter().enumerate() {
                write(member, item, out).map_err(|error| error.inside(index + 1))?;
            }
        }
        (Kind::Map { value: shape, .. }, Value::Map(entries)) => {
            head(MAP, entries.len() as u64, out);
            for (key, value) in entries {
                text(key, out);
                write(shape, value, out).map_err(|error| error.inside(key))?;
            }
        }
        (Kind::String(_), Value::String(_))
        | (Kind::Boolean, Value::Bool(_))
        | (Kind::Integer | Kind::Long, Value::Int(_))
        | (Kind::Float | Kind::Double, Value::Float(_))
        | (Kind::Blob, Value::Blob(_))
        | (Kind::Timestamp(_), Value::Timestamp(_))
        | (_, Value::Null) => unshaped(value, out),
        (Kind::Float | Kind::Double, Value::Int(number)) => unshaped(&Value::Float(*number as f64), out),
        _ => return Err(EncodeError::mismatch(shape)),
    }
    Ok(())
}

/// Scalars need no shape, and neither does an error's member that no model describes.
fn unshaped(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(0xf6),
        Value::Bool(truth) => out.push(if *truth { 0xf5 } else { 0xf4 }),
        Value::Int(number) if *number >= 0 => head(UNSIGNED, number.unsigned_abs(), out),
        Value::Int(number) => head(NEGATIVE, (-1 - number).unsigned_abs(), out),
        Value::Float(number) => double(*number, out),
        Value::String(own) => text(own, out),
        Value::Blob(bytes) => {
            head(BYTES, bytes.len() as u64, out);
            out.extend(bytes);
        }
        Value::Timestamp(at) => timestamp(*at, out),
        Value::List(items) => {
            head(ARRAY, items.len() as u64, out);
            items.iter().for_each(|item| unshaped(item, out));
        }
        Value::Map(entries) => {
            head(MAP, entries.len() as u64, out);
            for (key, value) in entries {
                text(key, out);
                unshaped(value, out);
            }
        }
    }
}

fn timestamp(at: Timestamp, out: &mut Vec<u8>) {
    head(TAG, EPOCH_TAG, out);
    double(at.seconds(), out);
}

fn double(number: f64, out: &mut Vec<u8>) {
    out.push(SIMPLE << 5 | 27);
    out.extend(number.to_bits().to_be_bytes());
}

fn text(text: &str, out: &mut Vec<u8>) {
    head(TEXT, text.len() as u64, out);
    out.extend(text.bytes());
}

/// The shortest head for the argument.
fn head(major: u8, argument: u64, out: &mut Vec<u8>) {
    let major = major << 5;
    let bytes = argument.to_be_bytes();
    match argument {
        0..=23 => out.push(major | bytes[7]),
        24..=0xff => out.extend([major | 24, bytes[7]]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend(&bytes[6..]);
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend(&bytes[4..]);
        }
        _ => {
            out.push(major | 27);
            out.extend(bytes);
        }
    }
}
