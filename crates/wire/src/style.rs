//! How each service words what is wrong with a request.

use crate::decode::DecodeError;
use crate::shape::{OperationModel, ServiceModel};
use crate::validate::{Constraint, Found, Violation, Wanted};
use crate::{ApiError, Protocol};

/// A service's way with invalid input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// "N validation errors detected: ..", all at once, under this code.
    AllAtOnce(&'static str),
    Ec2,
    Ecs,
}

/// The table. Services without a line have the usual form under their protocol's usual code.
fn style(service: &ServiceModel, protocol: Protocol) -> Style {
    match service.name {
        "ec2" => Style::Ec2,
        "ecs" => Style::Ecs,
        "ecr" | "logs" => Style::AllAtOnce("InvalidParameterException"),
        _ if protocol.is_query() => Style::AllAtOnce("ValidationError"),
        _ => Style::AllAtOnce("ValidationException"),
    }
}

/// How far the signer's clock may be off, in minutes.
pub(crate) fn skew_minutes(service: &ServiceModel) -> u32 {
    match service.name {
        "sts" | "iam" | "s3" => 15,
        _ => 5,
    }
}

/// The namespace before `#` in the error types of awsJson 1.0 and CBOR.
pub(crate) fn error_namespace(service: &ServiceModel) -> &'static str {
    match service.name {
        "dynamodb" => "com.amazonaws.dynamodb.v20120810",
        "cloudwatch" => "com.amazonaws.cloudwatch",
        "codedeploy" => "com.amazonaws.codedeploy",
        _ => "com.amazon.coral.service",
    }
}

/// The error for input that breaks constraints; at least one.
pub(crate) fn invalid(
    service: &ServiceModel,
    operation: &OperationModel,
    protocol: Protocol,
    violations: &[Violation],
) -> ApiError {
    let first = violations.first().expect("only called with a violation");
    match style(service, protocol) {
        Style::AllAtOnce(code) => ApiError::sender(code, all_at_once(violations)),
        Style::Ec2 => ec2(first),
        Style::Ecs => ecs(operation, first, violations),
    }
}

/// The error for bytes that are not of their shape at all.
pub(crate) fn malformed(service: &ServiceModel, protocol: Protocol, error: &DecodeError) -> ApiError {
    if !protocol.is_query() {
        return ApiError::sender("SerializationException", error.problem.clone());
    }
    let parameter = error.path.as_str();
    if parameter.is_empty() {
        return ApiError::sender(
            "MalformedQueryString",
            format!("The query string contains a syntax error: {}", error.problem),
        );
    }
    let text = error.text.as_deref().unwrap_or("");
    if style(service, protocol) == Style::Ec2 {
        return ApiError::sender(
            "InvalidParameterValue",
            format!("Invalid value '{text}' for {parameter}: {}", error.problem),
        );
    }
    ApiError::sender("MalformedInput", format!("Invalid value '{text}' for {parameter}: {}", error.problem))
}

/// EC2 refuses parameters that the operation does not have.
pub(crate) fn refuses_unknown_parameters(service: &ServiceModel) -> bool {
    service.name == "ec2"
}

fn all_at_once(violations: &[Violation]) -> String {
    let plural = if violations.len() == 1 { "error" } else { "errors" };
    let list: Vec<String> = violations.iter().map(one).collect();
    format!("{} validation {plural} detected: {}", violations.len(), list.join("; "))
}

fn one(violation: &Violation) -> String {
    let path: Vec<String> = violation.path.iter().map(|step| lower_first(step)).collect();
    let value = match &violation.value {
        Found::Null => "Value null at".to_owned(),
        Found::Text(text) => format!("Value '{text}' at"),
        Found::Secret => "Value at".to_owned(),
    };
    format!(
        "{value} '{}' failed to satisfy constraint: {}",
        path.join("."),
        constraint(&violation.constraint)
    )
}

fn constraint(constraint: &Constraint) -> String {
    match constraint {
        Constraint::NotNull { .. } => "Member must not be null".to_owned(),
        Constraint::LengthMin(min) => format!("Member must have length greater than or equal to {min}"),
        Constraint::LengthMax(max) => format!("Member must have length less than or equal to {max}"),
        Constraint::ValueMin(min) => format!("Member must have value greater than or equal to {min}"),
        Constraint::ValueMax(max) => format!("Member must have value less than or equal to {max}"),
        Constraint::Pattern(pattern) => format!("Member must satisfy regular expression pattern: {pattern}"),
        Constraint::Enumeration(values) => {
            format!("Member must satisfy enum value set: [{}]", values.join(", "))
        }
        Constraint::MapKey(inner) => format!("Map keys must satisfy constraint: [{}]", list(inner)),
        Constraint::MapValue(inner) => format!("Map value must satisfy constraint: [{}]", list(inner)),
    }
}

fn list(inner: &[Constraint]) -> String {
    inner.iter().map(constraint).collect::<Vec<_>>().join(", ")
}

fn lower_first(name: &str) -> String {
    let mut name = name.to_owned();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    name
}

fn ec2(violation: &Violation) -> ApiError {
    let mut steps = violation.path.iter().rev();
    let named = steps.find(|step| step.parse::<u32>().is_err() && *step != "member");
    let parameter = lower_first(named.map_or("", String::as_str));
    let value = match &violation.value {
        Found::Null => {
            let message = format!("The request must contain the parameter {parameter}");
            return ApiError::sender("MissingParameter", message);
        }
        Found::Text(text) => text.as_str(),
        Found::Secret => "***",
    };
    let hint = match &violation.constraint {
        Constraint::ValueMin(min) => format!(" Expecting a value greater than or equal to {min}."),
        Constraint::ValueMax(max) => format!(" Expecting a value less than or equal to {max}."),
        Constraint::LengthMin(min) => format!(" The length must be at least {min}."),
        Constraint::LengthMax(max) => format!(" The length must be at most {max}."),
        _ => String::new(),
    };
    ApiError::sender(
        "InvalidParameterValue",
        format!("Value ({value}) for parameter {parameter} is invalid.{hint}"),
    )
}

/// ECS names one thing at a time when it is missing, and else has the usual form.
fn ecs(operation: &OperationModel, first: &Violation, violations: &[Violation]) -> ApiError {
    let code = if operation.name.contains("TaskDefinition") {
        "ClientException"
    } else {
        "InvalidParameterException"
    };
    let Constraint::NotNull { of } = &first.constraint else {
        return ApiError::sender(code, all_at_once(violations));
    };
    let member = first.path.last().map_or("", String::as_str);
    let message = match (first.parent, of) {
        ("", Wanted::List) => format!("{} cannot be empty.", words(member)),
        ("", Wanted::Other) => format!("{} can not be blank.", words(member)),
        (parent, _) => format!("{parent}.{member} should not be null or empty."),
    };
    ApiError::sender(code, message)
}

/// `taskDefinition` -> `Task Definition`
fn words(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    for (index, character) in name.chars().enumerate() {
        if index > 0 && character.is_ascii_uppercase() {
            words.push(' ');
        }
        words.push(if index == 0 { character.to_ascii_uppercase() } else { character });
    }
    words
}
