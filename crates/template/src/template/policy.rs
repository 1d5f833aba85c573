//! What a resource says about its own creation, update and end.

use std::collections::BTreeMap;

use gantry_types::Value;

use crate::document::text_of;
use crate::error::{Result, TemplateError, format};
use crate::expression::Expression;

/// Of `DeletionPolicy` and `UpdateReplacePolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeletionPolicy {
    #[default]
    Delete,
    Retain,
    /// Kept, unless the operation that made it is rolled back. `DeletionPolicy` only.
    RetainExceptOnCreate,
    Snapshot,
}

impl DeletionPolicy {
    pub fn name(self) -> &'static str {
        match self {
            Self::Delete => "Delete",
            Self::Retain => "Retain",
            Self::RetainExceptOnCreate => "RetainExceptOnCreate",
            Self::Snapshot => "Snapshot",
        }
    }
}

pub(super) fn read_deletion_policy(
    attribute: &str,
    logical_id: &str,
    members: &BTreeMap<String, Value>,
) -> Result<DeletionPolicy> {
    let Some(value) = members.get(attribute) else { return Ok(DeletionPolicy::default()) };
    let Some(name) = value.as_str() else {
        return format(format!("Every {attribute} member must be a string."));
    };
    match name {
        "Delete" => Ok(DeletionPolicy::Delete),
        "Retain" => Ok(DeletionPolicy::Retain),
        "RetainExceptOnCreate" if attribute == "DeletionPolicy" => Ok(DeletionPolicy::RetainExceptOnCreate),
        "Snapshot" => Ok(DeletionPolicy::Snapshot),
        _ => format(format!("Unrecognized {attribute} {name} for resource {logical_id}")),
    }
}

/// The signals that a resource waits for before it is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceSignal {
    pub count: u32,
    pub timeout_seconds: u64,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreationPolicy {
    pub resource_signal: Option<ResourceSignal>,
    /// Of `AutoScalingCreationPolicy`: the share of instances that have to signal.
    pub successful_instances_percent_min: Option<u32>,
    /// All of it, with functions evaluated.
    pub document: Value,
}

/// Checks what is literal.
pub(super) fn read_creation_policy(logical_id: &str, policy: &BTreeMap<String, Expression>) -> Result<()> {
    if let Some(Expression::Map(signal)) = policy.get("ResourceSignal") {
        if let Some(Expression::Scalar(count)) = signal.get("Count") {
            signal_count(logical_id, count)?;
        }
        if let Some(Expression::Scalar(timeout)) = signal.get("Timeout") {
            signal_timeout(logical_id, timeout)?;
        }
    }
    Ok(())
}

impl CreationPolicy {
    pub(crate) fn of(logical_id: &str, document: Value) -> Result<Self> {
        let resource_signal = match document.get("ResourceSignal") {
            None => None,
            Some(signal) => Some(ResourceSignal {
                count: signal.get("Count").map_or(Ok(1), |count| signal_count(logical_id, count))?,
                timeout_seconds: signal
                    .get("Timeout")
                    .map_or(Ok(300), |timeout| signal_timeout(logical_id, timeout))?,
            }),
        };
        let percent = document
            .get("AutoScalingCreationPolicy")
            .and_then(|policy| policy.get("MinSuccessfulInstancesPercent"));
        Ok(Self {
            resource_signal,
            successful_instances_percent_min: percent.and_then(text_of).and_then(|text| text.parse().ok()),
            document,
        })
    }
}

fn signal_count(logical_id: &str, count: &Value) -> Result<u32> {
    text_of(count).and_then(|text| text.parse().ok()).ok_or_else(|| {
        TemplateError::Format(format!("[/Resources/{logical_id}/CreationPolicy/ResourceSignal/Count] Count must be a non-negative integer"))
    })
}

/// At most twelve hours.
const SIGNAL_TIMEOUT_SECONDS_MAX: u64 = 12 * 60 * 60;

fn signal_timeout(logical_id: &str, timeout: &Value) -> Result<u64> {
    let seconds = text_of(timeout).and_then(|text| duration_seconds(&text));
    match seconds {
        Some(seconds) if seconds <= SIGNAL_TIMEOUT_SECONDS_MAX => Ok(seconds),
        _ => format(format!(
            "[/Resources/{logical_id}/CreationPolicy/ResourceSignal/Timeout] Timeout must be an ISO 8601 duration of at most PT12H"
        )),
    }
}

/// ISO 8601, from `PT#H#M#S` and `P#D`.
fn duration_seconds(text: &str) -> Option<u64> {
    let text = text.strip_prefix('P')?;
    let (date, time) = match text.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (text, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let days = units(date, &[('D', 86_400)])?;
    days.checked_add(units(time, &[('H', 3600), ('M', 60), ('S', 1)])?)
}

/// Each unit at most once, in this order.
fn units(mut text: &str, units: &[(char, u64)]) -> Option<u64> {
    let mut seconds = 0u64;
    for (unit, unit_seconds) in units {
        if let Some((count, rest)) = text.split_once(*unit) {
            if !count.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            seconds = seconds.checked_add(count.parse::<u64>().ok()?.checked_mul(*unit_seconds)?)?;
            text = rest;
        }
    }
    text.is_empty().then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::duration_seconds;

    #[test]
    fn durations_are_iso_8601() {
        for (text, expected) in [
            ("PT5M", Some(300)),
            ("PT15M", Some(900)),
            ("PT1H30M", Some(5400)),
            ("PT1H30M10S", Some(5410)),
            ("PT0S", Some(0)),
            ("P1D", Some(86_400)),
            ("P1DT1S", Some(86_401)),
            ("P", None),
            ("PT", None),
            ("PT5", None),
            ("5M", None),
            ("PTM", None),
            ("PT-5M", None),
            ("PT5S1M", None),
            ("PT99999999999999999999S", None),
            ("PT9999999999999999999H", None),
            ("", None),
        ] {
            assert_eq!(duration_seconds(text), expected, "{text}");
        }
    }
}
