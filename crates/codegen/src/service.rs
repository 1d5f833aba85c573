//! A service's trait, its dispatcher and its error constructors.

use serde_json::Value;

use crate::model::{Model, Shape};
use crate::names::{snake, static_name, type_name};

pub(crate) fn write(model: &Model, code: &mut String) -> Result<(), String> {
    let name = type_name(&model.name);
    if model.shapes.contains_key(&name) {
        return Err(format!("the trait {name} would have the name of a shape"));
    }
    let (mut methods, mut arms) = (String::new(), String::new());
    for (operation, json) in &model.operations {
        let method = snake(operation);
        let output = model.side(json, "output").map_or("()".to_owned(), type_name);
        let (parameter, input, argument) = match model.side(json, "input") {
            Some(shape) => (format!(", input: {}", type_name(shape)), "input", ", typed_input(call)?"),
            None => (String::new(), "()", ""),
        };
        methods.push_str(&format!(
            "fn {method}(&self, call: &CallContext{parameter}) -> impl Future<Output = Result<{output}, ApiError>> + Send \
             {{ unwritten(call, {input}) }}\n"
        ));
        arms.push_str(&format!(
            "{operation:?} => Box::pin(service.{method}(call{argument})).await.map(IntoValue::into_value),\n"
        ));
    }
    code.push_str(&format!(
        "/// The operations of {}. One that a handler does not write answers that it is not implemented.\n\
         pub trait {name}: Sync {{\n{methods}}}\n",
        model.text("serviceFullName")
    ));
    code.push_str(&format!(
        "/// Runs the handler of `call.operation` on `call.input`.\n\
         pub async fn dispatch<S: {name}>(service: &S, call: &CallContext) -> Result<Value, ApiError> {{\n\
         match call.operation.name {{\n{arms}_ => unwritten::<(), Value>(call, ()).await, }} }}\n"
    ));
    errors(model, code);
    Ok(())
}

/// `pub mod errors`: a constructor per modelled error.
fn errors(model: &Model, code: &mut String) {
    let mut functions = String::new();
    for shape in model.shapes.values().filter(|shape| shape.is_error()) {
        functions.push_str(&format!(
            "pub fn {}(message: impl Into<String>) -> ApiError {{ ApiError::modelled(&super::shapes::{}, message) }}\n",
            snake(&shape.name),
            error_static(&shape.name)
        ));
    }
    code.push_str(&format!(
        "/// The errors of the served operations.\npub mod errors {{\n#[allow(unused_imports)] use crate::prelude::*;\n{functions}}}\n"
    ));
}

pub(crate) fn error_static(shape: &str) -> String {
    format!("{}_error", static_name(shape).trim_start_matches("r#"))
}

/// The code on the wire, the one of the former Query protocol, the status, and whether the caller is at fault.
pub(crate) fn error_parts<'a>(model: &Model, shape: &'a Shape) -> (&'a str, &'a str, u64, bool) {
    let error: &Value = &shape.json["error"];
    let own = error["code"].as_str();
    let (code, query_code) = if model.speaks_query() {
        (own.unwrap_or(&shape.name), "")
    } else {
        (shape.name.as_str(), own.unwrap_or(""))
    };
    let receiver = shape.json["fault"] == true || error["fault"] == true;
    let status = error["httpStatusCode"].as_u64().unwrap_or(if receiver { 500 } else { 400 });
    let sender = error["senderFault"].as_bool().unwrap_or(status < 500);
    (code, query_code, status, sender)
}
