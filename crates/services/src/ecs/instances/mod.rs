//! Container instances: what a cluster's EC2 tasks are placed on.

mod attributes;
mod describe;

use std::collections::BTreeSet;

use gantry_api::ecs::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::container_instance::{
    ContainerInstance as InstanceRecord, ContainerInstanceStatus as Status,
};
use gantry_domain::service::Cluster as ClusterRecord;
use gantry_domain::{Change, Key, Stored as _, Versioned, View};
use gantry_placement::{Capacity, Expression};
use gantry_types::Ids;

use super::clusters::missing;
use super::names::{arn_of, cluster, container_instance, invalid, invalid_token, page_size};
use crate::Decision;
use crate::page::page;
pub(super) use attributes::{delete as delete_attributes, list as list_attributes, put as put_attributes};

const DESCRIBE_MAX: usize = 100;
const UPDATE_MAX: usize = 10;

pub(super) fn list(
    view: &View,
    call: &CallContext,
    input: &ListContainerInstancesRequest,
) -> Result<ListContainerInstancesResponse, ApiError> {
    let cluster = cluster(view, call, input.cluster.as_deref())?;
    let status = match input.status.as_deref() {
        None => None,
        Some(text @ ("REGISTERING" | "DEREGISTERING" | "REGISTRATION_FAILED")) => Some(Err(text)),
        Some(text) => match Status::parse(text) {
            Some(status) => Some(Ok(status)),
            None => return Err(invalid(format!("Invalid container instance status '{text}'."))),
        },
    };
    let query = match input.filter.as_deref() {
        None | Some("") => None,
        Some(text) => {
            Some(Expression::parse(text).map_err(|error| invalid(format!("Invalid filter: {error}.")))?)
        }
    };
    let capacity = capacity(view, cluster.value());
    let wanted = |instance: &InstanceRecord| {
        status.is_none_or(|status| status == Ok(instance.status))
            && query.as_ref().is_none_or(|query| {
                let node = view.node(&instance.node);
                query.holds(instance, node.map(|node| node.value()), &capacity)
            })
    };
    let instances = view.instances_of_cluster(&call.region, &cluster.name).map(|instance| instance.value());
    let size = page_size(input.max_results, 100, 100)?;
    let page = page(
        instances.filter(|instance| wanted(instance)),
        |instance| instance.id.to_string(),
        input.next_token.as_deref(),
        size,
        invalid_token,
    )?;
    let arns = page.items.into_iter().map(|instance| instance.arn.to_string()).collect();
    Ok(ListContainerInstancesResponse { container_instance_arns: Some(arns), next_token: page.next })
}

/// What the cluster's tasks take.
fn capacity(view: &View, cluster: &ClusterRecord) -> Capacity {
    let mut capacity = Capacity::default();
    for task in view.tasks_of_cluster(&cluster.region, &cluster.name) {
        capacity.apply(&task.key(), Some(&task));
    }
    capacity
}

/// The instances that the caller names, each once, and a failure for each name that is none.
fn named<'v>(
    view: &'v View,
    call: &CallContext,
    cluster: &ClusterRecord,
    given: &[String],
    count_max: usize,
) -> Result<(Vec<Versioned<'v, InstanceRecord>>, Vec<Failure>), ApiError> {
    if given.is_empty() {
        return Err(invalid("Container instances cannot be empty."));
    }
    if given.len() > count_max {
        return Err(invalid(format!("Container instances cannot have more than {count_max} elements.")));
    }
    let prefix = format!("container-instance/{}", cluster.name);
    let (mut found, mut failures, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for each in given {
        match container_instance(view, call, &cluster.name, each)? {
            Some(instance) if seen.insert(instance.value().id.clone()) => found.push(instance),
            Some(_) => {}
            None => failures.push(missing(&arn_of(call, each, &prefix))),
        }
    }
    Ok((found, failures))
}

pub(super) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeContainerInstancesRequest,
) -> Result<DescribeContainerInstancesResponse, ApiError> {
    let cluster = cluster(view, call, input.cluster.as_deref())?;
    let (found, failures) = named(view, call, cluster.value(), &input.container_instances, DESCRIBE_MAX)?;
    let capacity = capacity(view, cluster.value());
    let include = input.include.as_deref().unwrap_or_default();
    let shown =
        found.iter().map(|instance| describe::shown(view, instance.value(), &capacity, include)).collect();
    Ok(DescribeContainerInstancesResponse { container_instances: Some(shown), failures: Some(failures) })
}

/// A DRAINING instance gets no new tasks; the services' tasks on it are replaced elsewhere.
pub(super) fn update_state(
    view: &View,
    call: &CallContext,
    input: &UpdateContainerInstancesStateRequest,
    _ids: &mut Ids,
) -> Decision<UpdateContainerInstancesStateResponse> {
    let cluster = cluster(view, call, input.cluster.as_deref())?;
    let (found, failures) = named(view, call, cluster.value(), &input.container_instances, UPDATE_MAX)?;
    let status = Status::parse(&input.status)
        .ok_or_else(|| invalid("Container instance status can only be set to ACTIVE or DRAINING."))?;
    let capacity = capacity(view, cluster.value());
    let (mut shown, mut changes) = (Vec::new(), Vec::new());
    for instance in found {
        let mut record = instance.cloned();
        record.status = status;
        if record != *instance {
            record.version += 1;
            changes.push(Change::update(record.clone(), instance.revision));
        }
        shown.push(describe::shown(view, &record, &capacity, &[]));
    }
    let output =
        UpdateContainerInstancesStateResponse { container_instances: Some(shown), failures: Some(failures) };
    Ok((output, changes))
}

/// The cluster gets the machine again when something asks for EC2: a deregistered instance comes back as another one.
pub(super) fn deregister(
    view: &View,
    call: &CallContext,
    input: &DeregisterContainerInstanceRequest,
    _ids: &mut Ids,
) -> Decision<DeregisterContainerInstanceResponse> {
    let cluster = cluster(view, call, input.cluster.as_deref())?;
    let found = container_instance(view, call, &cluster.name, &input.container_instance)?;
    let Some(found) = found else {
        return Err(invalid(format!(
            "Referenced container instance {} not found.",
            input.container_instance
        )));
    };
    let runs = |task: Versioned<'_, gantry_domain::task::Task>| {
        task.container_instance.as_ref() == Some(&found.value().id) && !task.is_stopped()
    };
    if view.tasks_of_cluster(&call.region, &cluster.name).any(runs) {
        // With force AWS leaves the tasks running as orphans; here they would keep ports that nobody counts.
        let words = if input.force == Some(true) {
            "Gantry does not deregister a container instance with running tasks. Stop them first."
        } else {
            "Found running tasks on the instance."
        };
        return Err(invalid(words));
    }
    let capacity = capacity(view, cluster.value());
    let mut shown = describe::shown(view, found.value(), &capacity, &[]);
    shown.status = Some("INACTIVE".to_owned());
    let interface = Key::network_interface(&found.region, &found.interface.interface);
    let mut changes = vec![Change::delete(found.value().key(), found.revision)];
    if let Some((revision, _)) = view.record(&interface) {
        changes.push(Change::delete(interface, revision));
    }
    Ok((DeregisterContainerInstanceResponse { container_instance: Some(shown) }, changes))
}
