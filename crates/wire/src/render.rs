//! Answers, in the form of each protocol.

use gantry_types::Value;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::claim::spoken;
use crate::encode::EncodeError;
use crate::encode_xml::Xml;
use crate::shape::{ErrorModel, OperationModel, ServiceModel};
use crate::{ApiError, Call, Fault, Protocol, Response, cbor, encode_json, rest, style};

/// What an answer needs to know about its request; of one that nobody claimed, that is little.
#[derive(Debug, Clone)]
pub struct ReplyForm {
    pub service: Option<&'static ServiceModel>,
    pub operation: Option<&'static OperationModel>,
    pub protocol: Protocol,
    pub request_id: String,
    /// The client asked for the error codes of the service's former Query protocol.
    pub query_mode: bool,
}

impl ReplyForm {
    /// Of a request that was refused before anybody looked for its operation: the protocol is the one that its headers speak.
    pub fn unclaimed(headers: &HeaderMap, request_id: String) -> Self {
        let query_mode = headers.get("x-amzn-query-mode").is_some_and(|value| value == "true");
        Self { service: None, operation: None, protocol: spoken(headers), request_id, query_mode }
    }
}

impl Call {
    pub fn reply_form(&self) -> ReplyForm {
        ReplyForm {
            service: Some(self.service),
            operation: Some(self.operation),
            protocol: self.protocol,
            request_id: self.request_id.clone(),
            query_mode: self.query_mode,
        }
    }
}

/// The answer of an operation that succeeded. An output that is not of its shape is our mistake: an internal failure that
/// says where.
pub fn render_output(call: &Call, output: &Value) -> Response {
    match success(call, output) {
        Ok(response) => response,
        Err(error) => render_error(
            call,
            &ApiError::receiver("InternalFailure", format!("{}: {error}", call.operation.name)),
        ),
    }
}

/// The answer of an operation that failed.
pub fn render_error(call: &Call, error: &ApiError) -> Response {
    render_error_as(&call.reply_form(), error)
}

fn success(call: &Call, output: &Value) -> Result<Response, EncodeError> {
    let shape = call.operation.output;
    let body = match call.protocol {
        Protocol::AwsJson10 | Protocol::AwsJson11 if !call.operation.has_output => Vec::new(),
        Protocol::AwsJson10 | Protocol::AwsJson11 => encode_json::encode(shape, output)?,
        Protocol::AwsQuery => query(call, output)?.into_bytes(),
        Protocol::Ec2Query => ec2(call, output)?.into_bytes(),
        Protocol::RpcV2Cbor if !call.operation.has_output => Vec::new(),
        Protocol::RpcV2Cbor => cbor::encode(shape, output)?,
        Protocol::RestJson | Protocol::RestXml => return rest::encode(call, output),
    };
    let status = StatusCode::from_u16(call.operation.http_status).unwrap_or(StatusCode::OK);
    let mut response = Response { status, headers: HeaderMap::new(), body };
    // With no output, CBOR answers without a body and without its type.
    if !(call.protocol == Protocol::RpcV2Cbor && response.body.is_empty()) {
        put(&mut response.headers, CONTENT_TYPE, call.protocol.content_type());
    }
    common_headers(&mut response.headers, call.protocol, &call.request_id);
    Ok(response)
}

fn query(call: &Call, output: &Value) -> Result<String, EncodeError> {
    let operation = call.operation;
    let response = format!("{}Response", operation.name);
    let mut xml = Xml::new(call.protocol);
    xml.open_in(&response, call.service.xml_namespace);
    if !operation.result_wrapper.is_empty() {
        xml.element(operation.result_wrapper, operation.output, crate::shape::TimeFormat::Default, output)?;
    } else {
        xml.members(operation.output, output)?;
    }
    xml.open("ResponseMetadata");
    xml.leaf("RequestId", &call.request_id);
    xml.close("ResponseMetadata");
    xml.close(&response);
    Ok(xml.text)
}

const XML_DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

fn ec2(call: &Call, output: &Value) -> Result<String, EncodeError> {
    let response = format!("{}Response", call.operation.name);
    let mut xml = Xml::new(call.protocol);
    xml.text.push_str(XML_DECLARATION);
    xml.open_in(&response, &format!("{}/", call.service.xml_namespace.trim_end_matches('/')));
    xml.leaf("requestId", &call.request_id);
    if call.operation.has_output {
        xml.members(call.operation.output, output)?;
    } else {
        xml.leaf("return", "true");
    }
    xml.close(&response);
    Ok(xml.text)
}

/// An error in the form that the request asked for.
pub fn render_error_as(form: &ReplyForm, error: &ApiError) -> Response {
    let model = error.model(form.operation);
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut headers = HeaderMap::new();
    put(&mut headers, CONTENT_TYPE, form.protocol.content_type());
    common_headers(&mut headers, form.protocol, &form.request_id);
    let body = match form.protocol {
        Protocol::AwsJson10 => json_error(error, model, &absolute(form, &error.code)),
        Protocol::AwsJson11 => json_error(error, model, &error.code),
        Protocol::RestJson => {
            put(&mut headers, HeaderName::from_static("x-amzn-errortype"), &error.code);
            json_error(error, model, "")
        }
        Protocol::RpcV2Cbor => cbor_error(error, model, &absolute(form, &error.code)),
        Protocol::AwsQuery => query_error(form, error, model),
        Protocol::Ec2Query => ec2_error(form, error),
        Protocol::RestXml => rest_xml_error(form, error),
    };
    if form.query_mode && !form.protocol.is_query() {
        let code = model.map_or("", |model| model.query_code);
        let code = if code.is_empty() { error.code.as_ref() } else { code };
        let value = format!("{code};{}", fault(error));
        put(&mut headers, HeaderName::from_static("x-amzn-query-error"), &value);
    }
    Response { status, headers, body }
}

fn fault(error: &ApiError) -> &'static str {
    match error.fault {
        Fault::Sender => "Sender",
        Fault::Receiver => "Receiver",
    }
}

fn absolute(form: &ReplyForm, code: &str) -> String {
    let namespace = form.service.map_or("com.amazon.coral.service", style::error_namespace);
    format!("{namespace}#{code}")
}

fn json_error(error: &ApiError, model: Option<&ErrorModel>, type_name: &str) -> Vec<u8> {
    let mut out = vec![b'{'];
    let separate = |out: &mut Vec<u8>| {
        if out.len() > 1 {
            out.push(b',');
        }
    };
    if !type_name.is_empty() {
        out.extend(b"\"__type\":");
        encode_json::string(type_name, &mut out);
    }
    if !error.message.is_empty() {
        separate(&mut out);
        out.extend(b"\"message\":");
        encode_json::string(&error.message, &mut out);
    }
    for (name, value) in error.members.as_map().into_iter().flatten() {
        // The message is there already, under the name that clients look for.
        if name.eq_ignore_ascii_case("message") {
            continue;
        }
        let name =
            model.and_then(|model| model.shape.member(name)).map_or(name.as_str(), |member| member.wire_name);
        separate(&mut out);
        encode_json::string(name, &mut out);
        out.push(b':');
        encode_json::document(value, &mut out);
    }
    out.push(b'}');
    out
}

fn cbor_error(error: &ApiError, model: Option<&ErrorModel>, type_name: &str) -> Vec<u8> {
    let mut members = error.members.clone();
    members.set("__type", type_name);
    if !error.message.is_empty() {
        members.set("message", error.message.as_str());
    }
    cbor::encode_error(model.map(|model| model.shape), &members)
}

fn query_error(form: &ReplyForm, error: &ApiError, model: Option<&'static ErrorModel>) -> Vec<u8> {
    let code = model.map(|model| model.query_code).filter(|code| !code.is_empty());
    let mut xml = Xml::new(form.protocol);
    xml.open_in("ErrorResponse", form.service.map_or("", |service| service.xml_namespace));
    xml.open("Error");
    xml.leaf("Type", fault(error));
    xml.leaf("Code", code.unwrap_or(&error.code));
    if !error.message.is_empty() {
        xml.leaf("Message", &error.message);
    }
    if let Some(model) = model {
        // A member that does not fit its shape is left out: the error itself matters more.
        let before = xml.text.len();
        if xml.members(model.shape, &without_message(&error.members)).is_err() {
            xml.text.truncate(before);
        }
    }
    xml.close("Error");
    xml.leaf("RequestId", &form.request_id);
    xml.close("ErrorResponse");
    xml.text.into_bytes()
}

fn without_message(members: &Value) -> Value {
    let mut members = members.clone();
    for name in ["message", "Message"] {
        if members.get(name).is_some() {
            members.set(name, Value::Null);
        }
    }
    members
}

fn ec2_error(form: &ReplyForm, error: &ApiError) -> Vec<u8> {
    let mut xml = Xml::new(form.protocol);
    xml.text.push_str(XML_DECLARATION);
    xml.open("Response");
    xml.open("Errors");
    xml.open("Error");
    xml.leaf("Code", &error.code);
    xml.leaf("Message", &error.message);
    xml.close("Error");
    xml.close("Errors");
    xml.leaf("RequestID", &form.request_id);
    xml.close("Response");
    xml.text.into_bytes()
}

fn rest_xml_error(form: &ReplyForm, error: &ApiError) -> Vec<u8> {
    let mut xml = Xml::new(form.protocol);
    xml.text.push_str(XML_DECLARATION);
    let bare = form.service.is_none_or(|service| service.name == "s3");
    if !bare {
        xml.open_in("ErrorResponse", form.service.map_or("", |service| service.xml_namespace));
    }
    xml.open("Error");
    if !bare {
        xml.leaf("Type", fault(error));
    }
    xml.leaf("Code", &error.code);
    xml.leaf("Message", &error.message);
    if bare {
        xml.leaf("RequestId", &form.request_id);
        xml.leaf("HostId", &form.request_id);
        xml.close("Error");
    } else {
        xml.close("Error");
        xml.leaf("RequestId", &form.request_id);
        xml.close("ErrorResponse");
    }
    xml.text.into_bytes()
}

pub(crate) fn common_headers(headers: &mut HeaderMap, protocol: Protocol, request_id: &str) {
    match protocol {
        Protocol::RestXml => {
            put(headers, HeaderName::from_static("x-amz-request-id"), request_id);
            put(headers, HeaderName::from_static("x-amz-id-2"), request_id);
        }
        Protocol::RpcV2Cbor => {
            put(headers, HeaderName::from_static("x-amzn-requestid"), request_id);
            put(headers, HeaderName::from_static("smithy-protocol"), "rpc-v2-cbor");
        }
        _ => put(headers, HeaderName::from_static("x-amzn-requestid"), request_id),
    }
}

/// A text that is no header value (a line break in an error code) is left out.
pub(crate) fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
