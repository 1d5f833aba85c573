//! The REST protocols: routes, members in paths, queries and headers, and bodies.

use std::collections::BTreeMap;

use gantry_types::Value;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, Method, StatusCode, Uri};

use crate::decode::{DecodeError, kind_name, scalar_from_text};
use crate::encode::EncodeError;
use crate::encode_xml::{Xml, scalar_text};
use crate::form::{Form, Plus, percent_decode};
use crate::render::{common_headers, put};
use crate::shape::{Kind, Location, Member, OperationModel, ServiceModel, Shape, TimeFormat};
use crate::time_format::{write_http_date, write_iso8601, write_seconds};
use crate::{Call, Protocol, Request, Response, decode_json, decode_xml, encode_json};

/// What the labels of a path stand for, not yet decoded.
pub(crate) type Labels = Vec<(&'static str, String)>;

/// The operation that a method and path mean: the one whose template says most in literals.
pub(crate) fn route(
    service: &ServiceModel,
    method: &Method,
    uri: &Uri,
) -> Option<(&'static OperationModel, Labels)> {
    let query = uri.query().unwrap_or("");
    let mut best: Option<(usize, &'static OperationModel, Labels)> = None;
    for operation in service.operations.iter().filter(|operation| method == operation.http_method) {
        let Some((literals, labels)) = matches(operation.http_uri, uri.path(), query) else { continue };
        if best.as_ref().is_none_or(|(most, ..)| literals > *most) {
            best = Some((literals, operation, labels));
        }
    }
    best.map(|(_, operation, labels)| (operation, labels))
}

/// Matches a path against a template like `/a/{B}/c/{D+}?e`, and counts the literals.
fn matches(template: &'static str, path: &str, query: &str) -> Option<(usize, Labels)> {
    let (template, wanted) = template.split_once('?').unwrap_or((template, ""));
    let mut literals = 0;
    for word in wanted.split('&').filter(|word| !word.is_empty()) {
        if !query.split('&').any(|own| own == word || own.strip_suffix('=') == Some(word)) {
            return None;
        }
        literals += 1;
    }
    let mut labels = Vec::new();
    let mut rest = Some(path.trim_matches('/'));
    for part in template.trim_matches('/').split('/') {
        let text = rest?;
        if let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix("+}")) {
            labels.push((name, text.to_owned()));
            return (!text.is_empty()).then_some((literals, labels));
        }
        let (first, after) = text.split_once('/').map_or((text, None), |(first, after)| (first, Some(after)));
        match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(_) if first.is_empty() => return None,
            Some(name) => labels.push((name, first.to_owned())),
            None if part == first => literals += 1,
            None => return None,
        }
        rest = after;
    }
    rest.is_none().then_some((literals, labels))
}

/// Reads an input from wherever its members stand.
pub(crate) fn decode(
    shape: &'static Shape,
    protocol: Protocol,
    labels: &Labels,
    request: &Request<'_>,
) -> Result<Value, DecodeError> {
    let payload = shape.members().iter().find(|member| member.location == Location::Payload);
    let in_body = shape.members().iter().any(|member| member.location == Location::Body);
    let mut input = match payload {
        Some(member) => {
            let read = read_payload(member, protocol, request)?;
            BTreeMap::from_iter(read.map(|value| (member.name.to_owned(), value)))
        }
        None if in_body => match read_structure(shape, protocol, request.body)? {
            Value::Map(members) => members,
            _ => BTreeMap::new(),
        },
        None => BTreeMap::new(),
    };
    let mut query = Form::default();
    query.extend(request.uri.query().unwrap_or("").as_bytes())?;
    for member in shape.members() {
        let read = match member.location {
            Location::Uri => from_label(member, labels)?,
            Location::Query => from_query(shape, member, &query)?,
            Location::Header => from_header(member, request.headers)?,
            Location::Headers => from_headers(member, request.headers),
            Location::Body | Location::Payload | Location::Attribute | Location::Status => continue,
        };
        match read {
            Some(value) => input.insert(member.name.to_owned(), value),
            // A body cannot set what belongs in a path.
            None => input.remove(member.name),
        };
    }
    Ok(Value::Map(input))
}

fn read_structure(shape: &'static Shape, protocol: Protocol, body: &[u8]) -> Result<Value, DecodeError> {
    if protocol == Protocol::RestXml {
        decode_xml::decode(shape, body)
    } else {
        decode_json::decode(shape, body)
    }
}

fn read_payload(
    member: &Member,
    protocol: Protocol,
    request: &Request<'_>,
) -> Result<Option<Value>, DecodeError> {
    if request.body.is_empty() {
        return Ok(None);
    }
    match member.shape.kind {
        Kind::Blob => Ok(Some(Value::Blob(request.body.to_vec()))),
        Kind::String(_) => {
            let text =
                std::str::from_utf8(request.body).map_err(|_| DecodeError::body("Text that is not UTF-8"))?;
            Ok(Some(Value::from(text)))
        }
        _ => read_structure(member.shape, protocol, request.body).map(Some),
    }
}

fn from_label(member: &Member, labels: &Labels) -> Result<Option<Value>, DecodeError> {
    let Some((_, raw)) = labels.iter().find(|(name, _)| *name == member.wire_name) else { return Ok(None) };
    let text = percent_decode(raw.as_bytes(), Plus::IsPlus)?;
    scalar_from_text(member.shape, &text, member.time_format, member.name).map(Some)
}

fn from_query(shape: &Shape, member: &Member, query: &Form) -> Result<Option<Value>, DecodeError> {
    let own = || query.iter().filter(|(name, _)| *name == member.wire_name).map(|(_, value)| value);
    match member.shape.kind {
        Kind::List { member: item, .. } => {
            let items = own().map(|text| scalar_from_text(item, text, member.time_format, member.name));
            let items = items.collect::<Result<Vec<_>, _>>()?;
            Ok((!items.is_empty()).then_some(Value::List(items)))
        }
        // A map takes all parameters that no other member claims.
        Kind::Map { value, .. } => {
            let mut entries: BTreeMap<String, Value> = BTreeMap::new();
            for (name, text) in query.iter() {
                if shape.members().iter().any(|own| own.location == Location::Query && own.wire_name == name)
                {
                    continue;
                }
                match value.kind {
                    Kind::List { member: item, .. } => {
                        let read = scalar_from_text(item, text, TimeFormat::Default, member.name)?;
                        match entries.entry(name.to_owned()).or_insert_with(|| Value::List(Vec::new())) {
                            Value::List(items) => items.push(read),
                            _ => return Err(DecodeError::at(member.name, kind_name(&value.kind))),
                        }
                    }
                    _ => {
                        let read = scalar_from_text(value, text, TimeFormat::Default, member.name)?;
                        entries.insert(name.to_owned(), read);
                    }
                }
            }
            Ok((!entries.is_empty()).then_some(Value::Map(entries)))
        }
        _ => own()
            .next()
            .map(|text| scalar_from_text(member.shape, text, member.time_format, member.name))
            .transpose(),
    }
}

fn from_header(member: &Member, headers: &HeaderMap) -> Result<Option<Value>, DecodeError> {
    let texts = headers.get_all(member.wire_name).iter().filter_map(|value| value.to_str().ok());
    if let Kind::List { member: item, .. } = member.shape.kind {
        let items = texts.flat_map(|text| text.split(',')).map(str::trim).filter(|text| !text.is_empty());
        let items = items.map(|text| scalar_from_text(item, text, header_time(member), member.name));
        let items = items.collect::<Result<Vec<_>, _>>()?;
        return Ok((!items.is_empty()).then_some(Value::List(items)));
    }
    let mut texts = texts;
    texts
        .next()
        .map(|text| scalar_from_text(member.shape, text, header_time(member), member.name))
        .transpose()
}

/// Headers have HTTP dates where nothing else is said.
fn header_time(member: &Member) -> TimeFormat {
    member.time_format.or(TimeFormat::HttpDate)
}

fn from_headers(member: &Member, headers: &HeaderMap) -> Option<Value> {
    let prefix = member.wire_name.to_ascii_lowercase();
    let entries: BTreeMap<String, Value> = headers
        .iter()
        .filter_map(|(name, value)| {
            let rest = name.as_str().strip_prefix(&prefix)?;
            Some((rest.to_owned(), Value::from(value.to_str().ok()?)))
        })
        .collect();
    (!entries.is_empty()).then_some(Value::Map(entries))
}

/// Writes an output to wherever its members belong.
pub(crate) fn encode(call: &Call, output: &Value) -> Result<Response, EncodeError> {
    let shape = call.operation.output;
    let mut headers = HeaderMap::new();
    let mut status = call.operation.http_status;
    for member in shape.members() {
        let Some(value) = output.get(member.name).filter(|value| !value.is_null()) else { continue };
        match member.location {
            Location::Header => {
                let text = header_text(member, value)
                    .ok_or_else(|| EncodeError::mismatch(member.shape).inside(member.name))?;
                put_named(&mut headers, member.wire_name, &text);
            }
            Location::Headers => {
                for (name, text) in value.as_map().into_iter().flatten() {
                    put_named(
                        &mut headers,
                        &format!("{}{name}", member.wire_name),
                        text.as_str().unwrap_or(""),
                    );
                }
            }
            Location::Status => {
                status = value.as_i64().and_then(|status| u16::try_from(status).ok()).unwrap_or(status);
            }
            Location::Body | Location::Payload | Location::Attribute | Location::Query | Location::Uri => {}
        }
    }
    let (body, content_type) = body(call, output)?;
    if let Some(content_type) = content_type.filter(|_| !headers.contains_key(CONTENT_TYPE)) {
        put(&mut headers, CONTENT_TYPE, content_type);
    }
    common_headers(&mut headers, call.protocol, &call.request_id);
    Ok(Response { status: StatusCode::from_u16(status).unwrap_or(StatusCode::OK), headers, body })
}

fn put_named(headers: &mut HeaderMap, name: &str, value: &str) {
    if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
        put(headers, name, value);
    }
}

fn header_text(member: &Member, value: &Value) -> Option<String> {
    match (&member.shape.kind, value) {
        (Kind::Timestamp(own), Value::Timestamp(at)) => Some(match member.time_format.or(*own) {
            TimeFormat::Default | TimeFormat::HttpDate => write_http_date(*at),
            TimeFormat::Iso8601 => write_iso8601(*at),
            TimeFormat::Seconds => write_seconds(*at),
        }),
        (Kind::List { member, .. }, Value::List(items)) => {
            let items: Option<Vec<String>> = items.iter().map(|item| scalar_text(member, item)).collect();
            Some(items?.join(","))
        }
        (_, value) => scalar_text(member.shape, value),
    }
}

fn body(call: &Call, output: &Value) -> Result<(Vec<u8>, Option<&'static str>), EncodeError> {
    let (shape, protocol) = (call.operation.output, call.protocol);
    let own = Some(protocol.content_type());
    if let Some(member) = shape.members().iter().find(|member| member.location == Location::Payload) {
        return match (&member.shape.kind, output.get(member.name)) {
            (_, None | Some(Value::Null)) => Ok((Vec::new(), None)),
            (Kind::Blob, Some(Value::Blob(bytes))) => Ok((bytes.clone(), Some("application/octet-stream"))),
            (Kind::String(_), Some(Value::String(text))) => {
                Ok((text.clone().into_bytes(), Some("text/plain")))
            }
            (_, Some(value)) if protocol == Protocol::RestXml => {
                let tag = if member.wire_name.is_empty() { member.shape.name } else { member.wire_name };
                Ok((document(tag, call.service.xml_namespace, member.shape, value)?, own))
            }
            (_, Some(value)) => Ok((encode_json::encode(member.shape, value)?, own)),
        };
    }
    if protocol == Protocol::RestXml {
        let any = shape.members().iter().any(|member| member.location == Location::Body);
        return if any {
            Ok((document(shape.name, call.service.xml_namespace, shape, output)?, own))
        } else {
            Ok((Vec::new(), None))
        };
    }
    let mut out = vec![b'{'];
    encode_json::members(shape, output, &mut out)?;
    out.push(b'}');
    Ok((out, own))
}

fn document(tag: &str, namespace: &str, shape: &Shape, value: &Value) -> Result<Vec<u8>, EncodeError> {
    let mut xml = Xml::new(Protocol::RestXml);
    xml.text.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xml.open_in(tag, namespace);
    xml.members(shape, value)?;
    xml.close(tag);
    Ok(xml.text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_matches_its_template() {
        let cases = [
            ("/v2/apis", "/v2/apis", "", Some((2, vec![]))),
            ("/v2/apis/{apiId}", "/v2/apis/a%2Fb", "", Some((2, vec![("apiId", "a%2Fb")]))),
            ("/v2/apis/{apiId}", "/v2/apis/", "", None),
            ("/v2/apis/{apiId}", "/v2/apis/a/routes", "", None),
            ("/{Bucket}/{Key+}", "/b/k/e/y", "", Some((0, vec![("Bucket", "b"), ("Key", "k/e/y")]))),
            ("/{Bucket}/{Key+}", "/b", "", None),
            ("/{Bucket}?uploads", "/b", "uploads", Some((1, vec![("Bucket", "b")]))),
            ("/{Bucket}?uploads", "/b", "", None),
            ("/", "/", "", Some((1, vec![]))),
        ];
        for (template, path, query, expected) in cases {
            let expected = expected.map(|(literals, labels): (usize, Vec<(&'static str, &str)>)| {
                (literals, labels.into_iter().map(|(name, text)| (name, text.to_owned())).collect::<Labels>())
            });
            assert_eq!(matches(template, path, query), expected, "{template} {path}?{query}");
        }
    }
}
