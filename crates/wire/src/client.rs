//! The other side: calls written and answers read, as our own command line makes them.
//!
//! A call goes out in the service's own protocol, awsJson or Query, signed; nothing is sent here.

use gantry_types::{Timestamp, Value};
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};

use crate::decode::DecodeError;
use crate::encode_xml::scalar_text;
use crate::form::percent_encode;
use crate::shape::{Kind, Shape};
use crate::time_format::write_iso8601;
use crate::{ApiError, OperationModel, Protocol, ServiceModel, Signer, decode_json, decode_xml, encode_json};

/// Why a call could not be written, or its answer not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    #[error("{service} has no protocol that is written here")]
    Protocol { service: &'static str },
    #[error("the input is not of the operation's shape: {0}")]
    Input(String),
    #[error("the answer cannot be read: {0}")]
    Answer(String),
}

/// A signed request for one operation.
pub fn client_request(
    service: &'static ServiceModel,
    operation: &'static OperationModel,
    input: &Value,
    endpoint: &Uri,
    signer: &Signer<'_>,
    now: Timestamp,
) -> Result<Request<Vec<u8>>, ClientError> {
    let protocol = protocol_of(service)?;
    let mut headers = HeaderMap::new();
    let body = match protocol {
        Protocol::AwsQuery => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
            write_form(service, operation, input)?.into_bytes()
        }
        _ => {
            let target = format!("{}.{}", service.target_prefix, operation.name);
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(protocol.content_type()));
            let target =
                HeaderValue::from_str(&target).map_err(|error| ClientError::Input(error.to_string()))?;
            headers.insert(HeaderName::from_static("x-amz-target"), target);
            encode_json::encode(operation.input, input)
                .map_err(|error| ClientError::Input(error.to_string()))?
        }
    };
    signer.sign(&Method::POST, endpoint, &mut headers, &body, now);
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = endpoint.clone();
    *request.headers_mut() = headers;
    Ok(request)
}

/// What the service said: the output's document, or its error.
pub fn client_answer(
    service: &'static ServiceModel,
    operation: &'static OperationModel,
    status: StatusCode,
    body: &[u8],
) -> Result<Result<Value, ApiError>, ClientError> {
    let unreadable = |error: DecodeError| {
        ClientError::Answer(format!("{} {}", error.path, error.problem).trim().to_owned())
    };
    let is_query = protocol_of(service)? == Protocol::AwsQuery;
    if status.is_success() {
        let output = if is_query {
            decode_xml::decode_within(operation.output, operation.result_wrapper, body)
        } else {
            decode_json::decode(operation.output, body)
        };
        return output.map(Ok).map_err(unreadable);
    }
    let (code, message) =
        if is_query { decode_xml::error(body).map_err(unreadable)? } else { json_error(body)? };
    let error = match status.is_server_error() {
        true => ApiError::receiver(code, message),
        false => ApiError::sender(code, message),
    };
    Ok(Err(error.with_status(status.as_u16())))
}

fn protocol_of(service: &'static ServiceModel) -> Result<Protocol, ClientError> {
    let known = [Protocol::AwsQuery, Protocol::AwsJson11, Protocol::AwsJson10];
    let spoken = known.into_iter().find(|protocol| service.speaks(*protocol));
    spoken.ok_or(ClientError::Protocol { service: service.name })
}

fn json_error(body: &[u8]) -> Result<(String, String), ClientError> {
    let answer: serde_json::Value =
        serde_json::from_slice(body).map_err(|error| ClientError::Answer(error.to_string()))?;
    let text = |names: [&str; 2]| {
        names.iter().find_map(|name| answer.get(name)?.as_str()).unwrap_or_default().to_owned()
    };
    let code = text(["__type", "code"]);
    let code = code.rsplit('#').next().unwrap_or_default().to_owned();
    Ok((code, text(["message", "Message"])))
}

fn write_form(
    service: &ServiceModel,
    operation: &OperationModel,
    input: &Value,
) -> Result<String, ClientError> {
    let mut form = String::new();
    pair("Action", operation.name, &mut form);
    pair("Version", service.api_version, &mut form);
    members(operation.input, input, "", &mut form)?;
    Ok(form)
}

fn pair(name: &str, value: &str, form: &mut String) {
    if !form.is_empty() {
        form.push('&');
    }
    form.push_str(&percent_encode(name.as_bytes(), b""));
    form.push('=');
    form.push_str(&percent_encode(value.as_bytes(), b""));
}

fn members(shape: &Shape, value: &Value, prefix: &str, form: &mut String) -> Result<(), ClientError> {
    let given = value.as_map().ok_or_else(|| mismatch(prefix, "a structure"))?;
    if let Some(unknown) = given.keys().find(|name| shape.member(name).is_none()) {
        return Err(mismatch(&format!("{prefix}{unknown}"), "a member of the operation"));
    }
    for member in shape.members() {
        let Some(value) = given.get(member.name) else { continue };
        let name = match member.shape.kind {
            Kind::List { flattened: true, item_name, .. } if !item_name.is_empty() => item_name,
            _ => member.query_name,
        };
        parameter(member.shape, value, &format!("{prefix}{name}"), form)?;
    }
    Ok(())
}

fn parameter(shape: &Shape, value: &Value, name: &str, form: &mut String) -> Result<(), ClientError> {
    match (&shape.kind, value) {
        (Kind::Structure(_) | Kind::Union(_), _) => members(shape, value, &format!("{name}."), form),
        (Kind::List { .. }, Value::List(items)) if items.is_empty() => {
            pair(name, "", form);
            Ok(())
        }
        (Kind::List { member, item_name, flattened }, Value::List(items)) => {
            let item = if item_name.is_empty() { "member" } else { item_name };
            let under = if *flattened { name.to_owned() } else { format!("{name}.{item}") };
            items.iter().zip(1..).try_for_each(|(item, number): (_, u32)| {
                parameter(member, item, &format!("{under}.{number}"), form)
            })
        }
        (Kind::Map { value: item, key_name, value_name, flattened, .. }, Value::Map(entries)) => {
            let under = if *flattened { name.to_owned() } else { format!("{name}.entry") };
            entries.iter().zip(1..).try_for_each(|((key, value), number): (_, u32)| {
                pair(&format!("{under}.{number}.{key_name}"), key, form);
                parameter(item, value, &format!("{under}.{number}.{value_name}"), form)
            })
        }
        (Kind::Timestamp(_), Value::Timestamp(at)) => {
            pair(name, &write_iso8601(*at), form);
            Ok(())
        }
        _ => {
            let text = scalar_text(shape, value).ok_or_else(|| mismatch(name, shape.name))?;
            pair(name, &text, form);
            Ok(())
        }
    }
}

fn mismatch(place: &str, expected: &str) -> ClientError {
    ClientError::Input(format!("{}: {expected} was expected", place.trim_end_matches('.')))
}
