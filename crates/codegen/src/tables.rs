//! The static tables of `gantry_wire::shape`.

use serde_json::Value;

use crate::model::{Kind, Member, Model, Shape};
use crate::names::static_name;
use crate::service::{error_parts, error_static};

pub(crate) fn write(model: &Model, code: &mut String) -> Result<(), String> {
    let mut statics = String::new();
    for shape in model.shapes.values() {
        shape_table(model, shape, &mut statics)?;
        if shape.is_error() {
            error_table(model, shape, &mut statics);
        }
    }
    code.push_str(&format!(
        "/// One table per shape, by the shape's name.\n#[allow(non_upper_case_globals)]\n\
         pub mod shapes {{\nuse gantry_wire::shape::*;\n{statics}}}\n"
    ));
    service_table(model, code)
}

fn shape_table(model: &Model, shape: &Shape, code: &mut String) -> Result<(), String> {
    let json = &shape.json;
    let pattern =
        json["pattern"].as_str().map_or("None".to_owned(), |text| format!("Some(Pattern::new({text:?}))"));
    code.push_str(&format!(
        "pub static {}: Shape = Shape {{ name: {:?}, kind: {}, min: {}, max: {}, pattern: {pattern}, sensitive: {} }};\n",
        static_name(&shape.name),
        shape.name,
        kind(model, shape)?,
        bound(&json["min"]),
        bound(&json["max"]),
        json["sensitive"] == true,
    ));
    Ok(())
}

fn bound(json: &Value) -> String {
    json.as_f64().map_or("None".to_owned(), |bound| format!("Some({bound:?})"))
}

fn kind(model: &Model, shape: &Shape) -> Result<String, String> {
    let json = &shape.json;
    let flattened = json["flattened"] == true;
    Ok(match &shape.kind {
        Kind::Structure(members) => {
            let table = members
                .iter()
                .map(|member| member_table(model, shape, member))
                .collect::<Result<Vec<_>, _>>()?;
            let kind = if json["union"] == true { "Union" } else { "Structure" };
            format!("Kind::{kind}(&[{}])", table.join(","))
        }
        Kind::List(member) => format!(
            "Kind::List {{ member: &{}, item_name: {:?}, flattened: {flattened} }}",
            static_name(&member.shape),
            member.json["locationName"].as_str().unwrap_or(""),
        ),
        Kind::Map(key, value) => format!(
            "Kind::Map {{ key: &{}, value: &{}, key_name: {:?}, value_name: {:?}, flattened: {flattened} }}",
            static_name(&key.shape),
            static_name(&value.shape),
            key.json["locationName"].as_str().unwrap_or("key"),
            value.json["locationName"].as_str().unwrap_or("value"),
        ),
        Kind::String => {
            let values: Vec<&str> =
                json["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            format!("Kind::String(&{values:?})")
        }
        Kind::Timestamp => format!("Kind::Timestamp({})", time_format(json)?),
        Kind::Boolean => "Kind::Boolean".to_owned(),
        Kind::Integer => "Kind::Integer".to_owned(),
        Kind::Long => "Kind::Long".to_owned(),
        Kind::Float => "Kind::Float".to_owned(),
        Kind::Double => "Kind::Double".to_owned(),
        Kind::Blob => "Kind::Blob".to_owned(),
        Kind::Document => "Kind::Document".to_owned(),
    })
}

fn member_table(model: &Model, owner: &Shape, member: &Member) -> Result<String, String> {
    let json = &member.json;
    if json["flattened"] == true {
        return Err(format!("{}.{} is flattened by its member, not its shape", owner.name, member.name));
    }
    let wire_name = json["locationName"].as_str().unwrap_or(&member.name);
    let query_name = match (model.text("protocol"), json["queryName"].as_str(), json["locationName"].as_str())
    {
        ("ec2", Some(name), _) => name.to_owned(),
        ("ec2", None, Some(name)) => capitalized(name),
        _ => wire_name.to_owned(),
    };
    Ok(format!(
        "Member {{ name: {:?}, wire_name: {wire_name:?}, query_name: {query_name:?}, shape: &{}, required: {}, \
         location: Location::{}, time_format: {} }}",
        member.name,
        static_name(&member.shape),
        member.required,
        location(owner, member)?,
        time_format(json)?,
    ))
}

fn capitalized(name: &str) -> String {
    let mut name = name.to_owned();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    name
}

fn location(owner: &Shape, member: &Member) -> Result<&'static str, String> {
    let json = &member.json;
    if owner.json["payload"] == member.name.as_str() {
        return Ok("Payload");
    }
    if json["xmlAttribute"] == true {
        return Ok("Attribute");
    }
    match json["location"].as_str() {
        None => Ok("Body"),
        Some("header") => Ok("Header"),
        Some("headers") => Ok("Headers"),
        Some("querystring") => Ok("Query"),
        Some("uri") => Ok("Uri"),
        Some("statusCode") => Ok("Status"),
        Some(other) => Err(format!("{}.{} has the location {other:?}", owner.name, member.name)),
    }
}

fn time_format(json: &Value) -> Result<&'static str, String> {
    match json["timestampFormat"].as_str() {
        None => Ok("TimeFormat::Default"),
        Some("unixTimestamp") => Ok("TimeFormat::Seconds"),
        Some("iso8601") => Ok("TimeFormat::Iso8601"),
        Some("rfc822") => Ok("TimeFormat::HttpDate"),
        Some(other) => Err(format!("unknown timestamp format {other:?}")),
    }
}

fn error_table(model: &Model, shape: &Shape, code: &mut String) {
    let (error_code, query_code, status, sender) = error_parts(model, shape);
    code.push_str(&format!(
        "pub static {}: ErrorModel = ErrorModel {{ code: {error_code:?}, query_code: {query_code:?}, status: {status}, \
         sender: {sender}, shape: &{} }};\n",
        error_static(&shape.name),
        static_name(&shape.name),
    ));
}

fn service_table(model: &Model, code: &mut String) -> Result<(), String> {
    let operations = model
        .operations
        .iter()
        .map(|(name, json)| operation_table(model, name, json))
        .collect::<Result<Vec<_>, _>>()?;
    let signing_name = match model.text("signingName") {
        "" => model.text("endpointPrefix"),
        name => name,
    };
    let unserved: Vec<&String> = model.unserved.iter().collect();
    code.push_str(&format!(
        "/// The service's model.\npub static MODEL: gantry_wire::ServiceModel = {{ use gantry_wire::shape::*; \
         use gantry_wire::Protocol; ServiceModel {{ name: {:?}, service_id: {:?}, signing_name: {signing_name:?}, \
         api_version: {:?}, target_prefix: {:?}, xml_namespace: {:?}, protocols: &[{}], operations: &[{}], \
         unserved: &{unserved:?} }} }};\n",
        model.name,
        model.text("serviceId"),
        model.text("apiVersion"),
        model.text("targetPrefix"),
        model.text("xmlNamespace"),
        protocols(model)?,
        operations.join(",\n"),
    ));
    Ok(())
}

fn protocols(model: &Model) -> Result<String, String> {
    let all: Vec<&str> = match model.metadata["protocols"].as_array() {
        Some(all) => all.iter().filter_map(Value::as_str).collect(),
        None => vec![model.text("protocol")],
    };
    let names = all.into_iter().map(|name| match (name, model.text("jsonVersion")) {
        ("json", "1.0") => Ok("Protocol::AwsJson10"),
        ("json", _) => Ok("Protocol::AwsJson11"),
        ("query", _) => Ok("Protocol::AwsQuery"),
        ("ec2", _) => Ok("Protocol::Ec2Query"),
        ("rest-json", _) => Ok("Protocol::RestJson"),
        ("rest-xml", _) => Ok("Protocol::RestXml"),
        ("smithy-rpc-v2-cbor", _) => Ok("Protocol::RpcV2Cbor"),
        (other, _) => Err(format!("unknown protocol {other:?}")),
    });
    Ok(names.collect::<Result<Vec<_>, String>>()?.join(","))
}

fn operation_table(model: &Model, name: &str, json: &Value) -> Result<String, String> {
    let side = |side: &str| match model.side(json, side) {
        Some(shape) => format!("&shapes::{}", static_name(shape)),
        None => "&EMPTY".to_owned(),
    };
    let mut errors = Vec::new();
    for error in json["errors"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !model.shape(error).is_error() {
            return Err(format!("{name} fails with {error}, which is no exception"));
        }
        errors.push(format!("&shapes::{}", error_static(error)));
    }
    let authentication = match (json["authtype"].as_str(), json["unsignedPayload"] == true) {
        (Some("none"), _) => "Anonymous",
        (Some("v4-unsigned-body"), _) | (_, true) => "SignatureWithoutBody",
        _ => "Signature",
    };
    let http = &json["http"];
    Ok(format!(
        "OperationModel {{ name: {name:?}, http_method: {:?}, http_uri: {:?}, http_status: {}, input: {}, output: {}, \
         has_output: {}, result_wrapper: {:?}, errors: &[{}], authentication: Authentication::{authentication} }}",
        http["method"].as_str().unwrap_or("POST"),
        http["requestUri"].as_str().unwrap_or("/"),
        http["responseCode"].as_u64().unwrap_or(200),
        side("input"),
        side("output"),
        model.side(json, "output").is_some(),
        json["output"]["resultWrapper"].as_str().unwrap_or(""),
        errors.join(","),
    ))
}
