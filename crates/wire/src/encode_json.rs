//! JSON out, directed by the shape.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_types::{Timestamp, Value};

use crate::encode::EncodeError;
use crate::shape::{Kind, Location, Shape, TimeFormat};
use crate::time_format::{write_http_date, write_iso8601, write_seconds};

pub(crate) fn encode(shape: &Shape, value: &Value) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::with_capacity(256);
    write(shape, TimeFormat::Default, value, &mut out)?;
    Ok(out)
}

fn write(shape: &Shape, format: TimeFormat, value: &Value, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match (&shape.kind, value) {
        (Kind::Structure(_) | Kind::Union(_), Value::Map(_)) => {
            out.push(b'{');
            members(shape, value, out)?;
            out.push(b'}');
        }
        (Kind::List { member, .. }, Value::List(items)) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                separate(index, out);
                write(member, TimeFormat::Default, item, out).map_err(|error| error.inside(index + 1))?;
            }
            out.push(b']');
        }
        (Kind::Map { value: shape, .. }, Value::Map(entries)) => {
            out.push(b'{');
            for (index, (key, value)) in entries.iter().enumerate() {
                separate(index, out);
                string(key, out);
                out.push(b':');
                write(shape, TimeFormat::Default, value, out).map_err(|error| error.inside(key))?;
            }
            out.push(b'}');
        }
        (Kind::String(_), Value::String(text)) => string(text, out),
        (Kind::Boolean, Value::Bool(truth)) => out.extend(truth.to_string().bytes()),
        (Kind::Integer | Kind::Long, Value::Int(number)) => out.extend(number.to_string().bytes()),
        (Kind::Float | Kind::Double, Value::Float(number)) => float(*number, out),
        (Kind::Float | Kind::Double, Value::Int(number)) => out.extend(number.to_string().bytes()),
        (Kind::Blob, Value::Blob(bytes)) => string(&STANDARD.encode(bytes), out),
        (Kind::Timestamp(own), Value::Timestamp(at)) => time(*at, format.or(*own), out),
        (Kind::Document, _) => document(value, out),
        (_, Value::Null) => out.extend(b"null"),
        _ => return Err(EncodeError::mismatch(shape)),
    }
    Ok(())
}

/// The members that are set, in the table's order, without the braces.
pub(crate) fn members(shape: &Shape, value: &Value, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let mut written = 0;
    // REST puts the others into headers and the status.
    for member in shape.members().iter().filter(|member| member.location == Location::Body) {
        let Some(value) = value.get(member.name).filter(|value| !value.is_null()) else { continue };
        separate(written, out);
        string(member.wire_name, out);
        out.push(b':');
        write(member.shape, member.time_format, value, out).map_err(|error| error.inside(member.name))?;
        written += 1;
    }
    Ok(())
}

fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("writing to memory does not fail");
}

fn float(number: f64, out: &mut Vec<u8>) {
    if number.is_nan() {
        out.extend(b"\"NaN\"");
    } else if number.is_infinite() {
        out.extend(if number > 0.0 { &b"\"Infinity\""[..] } else { b"\"-Infinity\"" });
    } else {
        out.extend(format!("{number:?}").bytes());
    }
}

fn time(at: Timestamp, format: TimeFormat, out: &mut Vec<u8>) {
    match format {
        TimeFormat::Default | TimeFormat::Seconds => out.extend(write_seconds(at).bytes()),
        TimeFormat::Iso8601 => string(&write_iso8601(at), out),
        TimeFormat::HttpDate => string(&write_http_date(at), out),
    }
}

/// A value without a shape: a document, or an error's member that no model describes.
pub(crate) fn document(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend(b"null"),
        Value::Bool(truth) => out.extend(truth.to_string().bytes()),
        Value::Int(number) => out.extend(number.to_string().bytes()),
        Value::Float(number) => float(*number, out),
        Value::String(text) => string(text, out),
        Value::Blob(bytes) => string(&STANDARD.encode(bytes), out),
        Value::Timestamp(at) => time(*at, TimeFormat::Default, out),
        Value::List(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                separate(index, out);
                document(item, out);
            }
            out.push(b']');
        }
        Value::Map(entries) => {
            out.push(b'{');
            for (index, (key, value)) in entries.iter().enumerate() {
                separate(index, out);
                string(key, out);
                out.push(b':');
                document(value, out);
            }
            out.push(b'}');
        }
    }
}
