//! Container instances. Fargate's machines are none, and others can't be registered yet: so there is nothing to list, and every
//! name is one of something that does not exist.

use gantry_api::ecs::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_types::Ids;

use super::clusters::missing;
use super::names::{arn_of, cluster, invalid, page_size};
use super::tasks::runnable;
use crate::Decision;

const DESCRIBE_MAX: usize = 100;
const START_MAX: usize = 10;
const ATTRIBUTES_MAX: usize = 10;

pub(super) fn list(
    view: &View,
    call: &CallContext,
    input: &ListContainerInstancesRequest,
) -> Result<ListContainerInstancesResponse, ApiError> {
    cluster(view, call, input.cluster.as_deref())?;
    page_size(input.max_results, 100, 100)?;
    Ok(ListContainerInstancesResponse { container_instance_arns: Some(vec![]), next_token: None })
}

/// A failure for each name, because none of them exists.
fn failures(
    view: &View,
    call: &CallContext,
    given_cluster: Option<&str>,
    given: &[String],
    count_max: usize,
) -> Result<Vec<Failure>, ApiError> {
    let cluster = cluster(view, call, given_cluster)?;
    if given.is_empty() {
        return Err(invalid("Container instances cannot be empty."));
    }
    if given.len() > count_max {
        return Err(invalid(format!("Container instances cannot have more than {count_max} elements.")));
    }
    let prefix = format!("container-instance/{}", cluster.name);
    Ok(given.iter().map(|each| missing(&arn_of(call, each, &prefix))).collect())
}

pub(super) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeContainerInstancesRequest,
) -> Result<DescribeContainerInstancesResponse, ApiError> {
    let failures = failures(view, call, input.cluster.as_deref(), &input.container_instances, DESCRIBE_MAX)?;
    Ok(DescribeContainerInstancesResponse { container_instances: Some(vec![]), failures: Some(failures) })
}

pub(super) fn update_state(
    view: &View,
    call: &CallContext,
    input: &UpdateContainerInstancesStateRequest,
) -> Result<UpdateContainerInstancesStateResponse, ApiError> {
    let failures = failures(view, call, input.cluster.as_deref(), &input.container_instances, START_MAX)?;
    Ok(UpdateContainerInstancesStateResponse { container_instances: Some(vec![]), failures: Some(failures) })
}

pub(super) fn deregister(
    view: &View,
    call: &CallContext,
    input: &DeregisterContainerInstanceRequest,
) -> Result<DeregisterContainerInstanceResponse, ApiError> {
    cluster(view, call, input.cluster.as_deref())?;
    Err(invalid(format!("Referenced container instance {} not found.", input.container_instance)))
}

pub(super) fn start_task(
    view: &View,
    call: &CallContext,
    input: &StartTaskRequest,
    _ids: &mut Ids,
) -> Decision<StartTaskResponse> {
    let failures = failures(view, call, input.cluster.as_deref(), &input.container_instances, START_MAX)?;
    runnable(view, call, &input.task_definition, gantry_domain::task_definition::LaunchType::Ec2)?;
    Ok((StartTaskResponse { tasks: Some(vec![]), failures: Some(failures) }, vec![]))
}

/// Attributes are those of container instances.
fn check_targets(
    view: &View,
    call: &CallContext,
    given_cluster: Option<&str>,
    attributes: &[Attribute],
) -> Result<(), ApiError> {
    cluster(view, call, given_cluster)?;
    if attributes.is_empty() || attributes.len() > ATTRIBUTES_MAX {
        return Err(invalid(format!("attributes must have between 1 and {ATTRIBUTES_MAX} elements.")));
    }
    let target = attributes[0].target_id.as_deref().unwrap_or("");
    Err(errors::target_not_found_exception(format!("The specified target {target} was not found.")))
}

pub(super) fn put_attributes(
    view: &View,
    call: &CallContext,
    input: &PutAttributesRequest,
) -> Result<PutAttributesResponse, ApiError> {
    check_targets(view, call, input.cluster.as_deref(), &input.attributes)?;
    Ok(PutAttributesResponse { attributes: Some(vec![]) })
}

pub(super) fn delete_attributes(
    view: &View,
    call: &CallContext,
    input: &DeleteAttributesRequest,
) -> Result<DeleteAttributesResponse, ApiError> {
    check_targets(view, call, input.cluster.as_deref(), &input.attributes)?;
    Ok(DeleteAttributesResponse { attributes: Some(vec![]) })
}

pub(super) fn list_attributes(
    view: &View,
    call: &CallContext,
    input: &ListAttributesRequest,
) -> Result<ListAttributesResponse, ApiError> {
    cluster(view, call, input.cluster.as_deref())?;
    page_size(input.max_results, 100, 100)?;
    Ok(ListAttributesResponse { attributes: Some(vec![]), next_token: None })
}
