//! How callers name things: by name, by ARN, or (a task definition) by family and revision.

use gantry_api::ecs::errors;
use gantry_api::{ApiError, CallContext};
use gantry_domain::service::{Cluster, Service};
use gantry_domain::task::Task;
use gantry_domain::task_definition::TaskDefinition;
use gantry_domain::{Key, Versioned, View};
use gantry_types::{Arn, ClusterName, Family, ServiceName, TaskId};

pub(super) const DEFAULT_CLUSTER: &str = "default";

/// The last part of an ARN, or the text itself.
pub(super) fn short(text: &str) -> &str {
    if text.starts_with("arn:") { text.rsplit('/').next().unwrap_or(text) } else { text }
}

pub(super) fn cluster_name(given: Option<&str>) -> ClusterName {
    ClusterName::new(short(given.filter(|text| !text.is_empty()).unwrap_or(DEFAULT_CLUSTER)))
}

/// An active cluster.
pub(super) fn cluster<'v>(
    view: &'v View,
    call: &CallContext,
    given: Option<&str>,
) -> Result<Versioned<'v, Cluster>, ApiError> {
    view.cluster(&call.region, &cluster_name(given))
        .filter(|cluster| cluster.active)
        .ok_or_else(|| errors::cluster_not_found_exception("Cluster not found."))
}

pub(super) fn service<'v>(
    view: &'v View,
    call: &CallContext,
    cluster: &ClusterName,
    given: &str,
) -> Option<Versioned<'v, Service>> {
    view.service(&call.region, cluster, &ServiceName::new(short(given)))
}

pub(super) fn task<'v>(
    view: &'v View,
    call: &CallContext,
    cluster: &ClusterName,
    given: &str,
) -> Option<Versioned<'v, Task>> {
    view.get(&Key::task(&call.region, cluster, &TaskId::new(short(given))))
}

/// A task definition by `family`, `family:revision` or ARN; a family alone means its newest active revision.
pub(super) fn task_definition<'v>(
    view: &'v View,
    call: &CallContext,
    given: &str,
) -> Option<Versioned<'v, TaskDefinition>> {
    let name = match given.parse::<Arn>() {
        Ok(arn) => arn.resource().strip_prefix("task-definition/")?.to_owned(),
        Err(_) => given.to_owned(),
    };
    match name.rsplit_once(':') {
        Some((family, revision)) => {
            view.get(&Key::task_definition(&call.region, &Family::new(family), revision.parse().ok()?))
        }
        None => {
            use gantry_domain::task_definition::TaskDefinitionStatus::Active;
            let prefix = format!("{}/{name}:", call.region);
            view.scan::<TaskDefinition>(&prefix).filter(|each| each.status == Active).last()
        }
    }
}

/// Letters, digits, hyphens and underscores, up to `length_max`.
pub(super) fn is_name(text: &str, length_max: usize) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !text.is_empty() && text.len() <= length_max && text.bytes().all(allowed)
}

pub(super) fn invalid(message: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(message)
}

pub(super) fn client(message: impl Into<String>) -> ApiError {
    errors::client_exception(message)
}

/// How many items a page may have: `default` unless asked, refused outside `1..=max`.
pub(super) fn page_size(given: Option<i32>, default: usize, max: usize) -> Result<usize, ApiError> {
    match given {
        None => Ok(default),
        Some(size) => match usize::try_from(size) {
            Ok(size) if (1..=max).contains(&size) => Ok(size),
            _ => Err(invalid(format!("maxResults must be between 1 and {max}."))),
        },
    }
}

pub(super) fn invalid_token() -> ApiError {
    invalid("Invalid token")
}
