//! A rule's conditions.

use gantry_api::ApiError;
use gantry_api::elbv2::*;
use gantry_domain::elb::RuleCondition as Condition;
use gantry_domain::network::Cidr;

use super::names::validation;

const VALUES_MAX: usize = 5;
const WILDCARDS_MAX: usize = 6;
const VALUE_LENGTH_MAX: usize = 128;
const NAME_LENGTH_MAX: usize = 40;

pub(super) fn parse(given: &[RuleCondition]) -> Result<Vec<Condition>, ApiError> {
    if given.is_empty() {
        return Err(validation("A condition must be specified"));
    }
    let conditions = given.iter().map(parse_one).collect::<Result<Vec<_>, _>>()?;
    let count = |is: fn(&Condition) -> bool| conditions.iter().filter(|each| is(each)).count();
    let once = [
        ("host-header", count(|each| matches!(each, Condition::HostHeader(_)))),
        ("path-pattern", count(|each| matches!(each, Condition::PathPattern(_)))),
        ("http-request-method", count(|each| matches!(each, Condition::HttpRequestMethod(_)))),
        ("source-ip", count(|each| matches!(each, Condition::SourceIp(_)))),
    ];
    if let Some((field, _)) = once.into_iter().find(|(_, count)| *count > 1) {
        return Err(validation(format!("A rule can only have one '{field}' condition")));
    }
    let values: usize = conditions.iter().map(|each| texts(each).len()).sum();
    if values > VALUES_MAX {
        return Err(validation(format!("A rule can only have '{VALUES_MAX}' condition values")));
    }
    let wildcards: usize = conditions
        .iter()
        .filter(|each| matches!(each, Condition::HostHeader(_) | Condition::PathPattern(_)))
        .flat_map(texts)
        .map(|text| text.matches(['*', '?']).count())
        .sum();
    if wildcards > WILDCARDS_MAX {
        return Err(validation(format!("A rule can only have '{WILDCARDS_MAX}' condition wildcards")));
    }
    Ok(conditions)
}

fn texts(condition: &Condition) -> Vec<String> {
    match condition {
        Condition::HostHeader(values)
        | Condition::PathPattern(values)
        | Condition::HttpRequestMethod(values) => values.clone(),
        Condition::HttpHeader { values, .. } => values.clone(),
        Condition::QueryString(pairs) => pairs.iter().map(|(_, value)| value.clone()).collect(),
        Condition::SourceIp(ranges) => ranges.iter().map(ToString::to_string).collect(),
    }
}

fn values(given: Option<&Vec<String>>, field: &str) -> Result<Vec<String>, ApiError> {
    let values = given.cloned().unwrap_or_default();
    if values.is_empty() {
        return Err(validation(format!("A '{field}' condition must have a value")));
    }
    if let Some(bad) =
        values.iter().find(|value| value.is_empty() || value.chars().count() > VALUE_LENGTH_MAX)
    {
        return Err(validation(format!(
            "Condition value '{bad}' must have between 1 and {VALUE_LENGTH_MAX} characters"
        )));
    }
    Ok(values)
}

fn parse_one(given: &RuleCondition) -> Result<Condition, ApiError> {
    let field = given.field.as_deref().unwrap_or("");
    let regex = given.regex_values.is_some()
        || given.host_header_config.as_ref().is_some_and(|config| config.regex_values.is_some())
        || given.path_pattern_config.as_ref().is_some_and(|config| config.regex_values.is_some())
        || given.http_header_config.as_ref().is_some_and(|config| config.regex_values.is_some());
    if regex {
        return Err(validation("Gantry does not support regular expressions in conditions yet"));
    }
    match field {
        "host-header" => {
            let config = given.host_header_config.as_ref().and_then(|config| config.values.as_ref());
            Ok(Condition::HostHeader(values(config.or(given.values.as_ref()), field)?))
        }
        "path-pattern" => {
            let config = given.path_pattern_config.as_ref().and_then(|config| config.values.as_ref());
            Ok(Condition::PathPattern(values(config.or(given.values.as_ref()), field)?))
        }
        "http-header" => {
            let config = given.http_header_config.clone().unwrap_or_default();
            let name = config.http_header_name.unwrap_or_default();
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            let is_name = !name.is_empty() && name.len() <= NAME_LENGTH_MAX && name.bytes().all(is_token);
            if !is_name || name.eq_ignore_ascii_case("host") {
                return Err(validation(format!(
                    "HTTP header name '{name}' must be a header's name of up to {NAME_LENGTH_MAX} characters, and not Host"
                )));
            }
            Ok(Condition::HttpHeader { name, values: values(config.values.as_ref(), field)? })
        }
        "http-request-method" => {
            let config = given.http_request_method_config.as_ref().and_then(|config| config.values.as_ref());
            let methods = values(config, field)?;
            let valid = |method: &String| {
                method.len() <= NAME_LENGTH_MAX
                    && method.bytes().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'))
            };
            match methods.iter().find(|method| !valid(method)) {
                Some(bad) => Err(validation(format!("HTTP request method '{bad}' is not valid"))),
                None => Ok(Condition::HttpRequestMethod(methods)),
            }
        }
        "query-string" => {
            let pairs = given.query_string_config.clone().unwrap_or_default().values.unwrap_or_default();
            let texts: Vec<String> =
                pairs.iter().map(|pair| pair.value.clone().unwrap_or_default()).collect();
            let texts = values(Some(&texts), field)?;
            let pairs = pairs.into_iter().zip(texts);
            Ok(Condition::QueryString(
                pairs.map(|(pair, value)| (pair.key.filter(|key| !key.is_empty()), value)).collect(),
            ))
        }
        "source-ip" => {
            let config = given.source_ip_config.as_ref().and_then(|config| config.values.as_ref());
            let range = |text: &String| {
                Cidr::parse(text).ok_or_else(|| {
                    validation(format!("Condition value '{text}' is not a valid IPv4 CIDR block"))
                })
            };
            Ok(Condition::SourceIp(values(config, field)?.iter().map(range).collect::<Result<_, _>>()?))
        }
        other => Err(validation(format!(
            "Condition field '{other}' must be one of '[path-pattern,host-header,http-header,http-request-method,query-string,source-ip]'"
        ))),
    }
}

/// Conditions as Describe shows them.
pub(super) fn shown(conditions: &[Condition]) -> Vec<RuleCondition> {
    conditions.iter().map(shown_one).collect()
}

fn shown_one(condition: &Condition) -> RuleCondition {
    let field = |name: &str| RuleCondition { field: Some(name.to_owned()), ..RuleCondition::default() };
    match condition {
        Condition::HostHeader(values) => RuleCondition {
            values: Some(values.clone()),
            host_header_config: Some(HostHeaderConditionConfig {
                values: Some(values.clone()),
                regex_values: None,
            }),
            ..field("host-header")
        },
        Condition::PathPattern(values) => RuleCondition {
            values: Some(values.clone()),
            path_pattern_config: Some(PathPatternConditionConfig {
                values: Some(values.clone()),
                regex_values: None,
            }),
            ..field("path-pattern")
        },
        Condition::HttpHeader { name, values } => RuleCondition {
            http_header_config: Some(HttpHeaderConditionConfig {
                http_header_name: Some(name.clone()),
                values: Some(values.clone()),
                regex_values: None,
            }),
            ..field("http-header")
        },
        Condition::HttpRequestMethod(values) => RuleCondition {
            http_request_method_config: Some(HttpRequestMethodConditionConfig {
                values: Some(values.clone()),
            }),
            ..field("http-request-method")
        },
        Condition::QueryString(pairs) => {
            let pair = |(key, value): &(Option<String>, String)| QueryStringKeyValuePair {
                key: key.clone(),
                value: Some(value.clone()),
            };
            RuleCondition {
                query_string_config: Some(QueryStringConditionConfig {
                    values: Some(pairs.iter().map(pair).collect()),
                }),
                ..field("query-string")
            }
        }
        Condition::SourceIp(ranges) => RuleCondition {
            source_ip_config: Some(SourceIpConditionConfig {
                values: Some(ranges.iter().map(ToString::to_string).collect()),
            }),
            ..field("source-ip")
        },
    }
}
