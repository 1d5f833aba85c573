//! How callers name things: by name, by ARN, or (a task definition) by family and revision.

use gantry_api::ecs::errors;
use gantry_api::{ApiError, CallContext};
use gantry_domain::container_instance::ContainerInstance;
use gantry_domain::service::{Cluster, Service};
use gantry_domain::task::Task;
use gantry_domain::task_definition::TaskDefinition;
use gantry_domain::{Key, Versioned, View};
use gantry_types::{ACCOUNT, Arn, ClusterName, Family, ServiceName, TaskId, arn};

pub(super) const DEFAULT_CLUSTER: &str = "default";

/// The lengths that a task's id can have: 32 hexadecimal digits, or a UUID.
const TASK_ID_LENGTHS: [usize; 2] = [32, 36];

/// What an identifier says: the parts behind the resource's type, or a plain name as its only part. `None` is an ARN of
/// another service, region or account, behind which nothing exists here.
fn parts<'t>(call: &CallContext, given: &'t str, kind: &str) -> Result<Option<Vec<&'t str>>, ApiError> {
    if !given.starts_with("arn:") {
        return if given.contains('/') { Err(separators()) } else { Ok(Some(vec![given])) };
    }
    let mut fields = given.splitn(6, ':');
    let (service, region, account) = (fields.nth(2), fields.next(), fields.next());
    let mut parts = fields.next().unwrap_or("").split('/');
    let found = parts.next().unwrap_or("");
    let parts: Vec<&str> = parts.collect();
    if parts.is_empty() || parts.iter().any(|part| part.is_empty()) {
        return Err(separators());
    }
    if found != kind {
        return Err(invalid(format!("Unsupported resource type: {found}")));
    }
    let here = service == Some("ecs") && region == Some(call.region.as_str()) && account == Some(ACCOUNT);
    Ok(here.then_some(parts))
}

fn separators() -> ApiError {
    invalid("Invalid identifier: Unexpected number of separators")
}

/// The last part of an ARN, or the text itself.
pub(super) fn short(text: &str) -> &str {
    if text.starts_with("arn:") { text.rsplit('/').next().unwrap_or(text) } else { text }
}

/// The ARN that a failure names: the given one, or the one that the plain name would have.
pub(super) fn arn_of(call: &CallContext, given: &str, prefix: &str) -> String {
    if given.starts_with("arn:") {
        given.to_owned()
    } else {
        arn("ecs", call.region.as_str(), &format!("{prefix}/{given}")).to_string()
    }
}

/// A cluster's name; `None` if the ARN is from elsewhere.
pub(super) fn cluster_name(call: &CallContext, given: Option<&str>) -> Result<Option<ClusterName>, ApiError> {
    let given = given.filter(|text| !text.is_empty()).unwrap_or(DEFAULT_CLUSTER);
    match parts(call, given, "cluster")?.as_deref() {
        None => Ok(None),
        Some([name]) => Ok(Some(ClusterName::new(*name))),
        Some(_) => Err(separators()),
    }
}

/// An active cluster.
pub(super) fn cluster<'v>(
    view: &'v View,
    call: &CallContext,
    given: Option<&str>,
) -> Result<Versioned<'v, Cluster>, ApiError> {
    let found = cluster_name(call, given)?.and_then(|name| view.cluster(&call.region, &name));
    found
        .filter(|cluster| cluster.active)
        .ok_or_else(|| errors::cluster_not_found_exception("Cluster not found."))
}

/// The name of something in a cluster: `NAME`, `arn:..:KIND/NAME` or `arn:..:KIND/CLUSTER/NAME`.
fn inside<'t>(
    call: &CallContext,
    cluster: &ClusterName,
    given: &'t str,
    kind: &str,
) -> Result<Option<&'t str>, ApiError> {
    match parts(call, given, kind)?.as_deref() {
        None => Ok(None),
        Some([name]) => Ok(Some(name)),
        Some([own, name]) if *own == cluster.as_str() => Ok(Some(name)),
        Some([own, _]) => Err(invalid(format!(
            "Invalid identifier: Identifier is for cluster {own}. Your cluster is {cluster}"
        ))),
        Some(_) => Err(separators()),
    }
}

pub(super) fn service<'v>(
    view: &'v View,
    call: &CallContext,
    cluster: &ClusterName,
    given: &str,
) -> Result<Option<Versioned<'v, Service>>, ApiError> {
    let name = inside(call, cluster, given, "service")?;
    Ok(name.and_then(|name| view.service(&call.region, cluster, &ServiceName::new(name))))
}

pub(super) fn task<'v>(
    view: &'v View,
    call: &CallContext,
    cluster: &ClusterName,
    given: &str,
) -> Result<Option<Versioned<'v, Task>>, ApiError> {
    let Some(id) = inside(call, cluster, given, "task")? else { return Ok(None) };
    if !TASK_ID_LENGTHS.contains(&id.len()) {
        return Err(invalid("taskId length should be one of [32,36]"));
    }
    Ok(view.get(&Key::task(&call.region, cluster, &TaskId::new(id))))
}

pub(super) fn container_instance<'v>(
    view: &'v View,
    call: &CallContext,
    cluster: &ClusterName,
    given: &str,
) -> Result<Option<Versioned<'v, ContainerInstance>>, ApiError> {
    let id = inside(call, cluster, given, "container-instance")?;
    Ok(id.and_then(|id| view.container_instance(&call.region, cluster, &id.into())))
}

/// A task definition by `family`, `family:revision` or ARN; a family alone means its newest active revision.
pub(super) fn task_definition<'v>(
    view: &'v View,
    call: &CallContext,
    given: &str,
) -> Option<Versioned<'v, TaskDefinition>> {
    use gantry_domain::task_definition::TaskDefinitionStatus::Active;
    let name = match given.parse::<Arn>() {
        Ok(arn) => {
            let here =
                arn.service() == "ecs" && arn.region() == call.region.as_str() && arn.account() == ACCOUNT;
            arn.resource().strip_prefix("task-definition/").filter(|_| here)?.to_owned()
        }
        Err(_) => given.to_owned(),
    };
    match name.split_once(':') {
        Some((family, revision)) => {
            view.get(&Key::task_definition(&call.region, &Family::new(family), number(revision)?))
        }
        None => {
            let prefix = format!("{}/{name}:", call.region);
            view.scan::<TaskDefinition>(&prefix).filter(|each| each.status == Active).last()
        }
    }
}

/// Digits and nothing else.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
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

/// What would be accepted and then not done is refused, by name.
pub(super) fn refuse_unsupported(members: &[(&str, bool)]) -> Result<(), ApiError> {
    match members.iter().find(|(_, used)| *used) {
        Some((what, _)) => Err(client(format!("Gantry does not support {what} yet."))),
        None => Ok(()),
    }
}

/// Whether a list has anything in it.
pub(super) fn is_set<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
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
