//! Services: deleting, describing and listing them; creating and updating them have files of their own.

mod create;
mod deployment;
mod load_balancers;
mod update;

use gantry_api::ecs::{
    DeleteServiceRequest, DeleteServiceResponse, DescribeServicesRequest, DescribeServicesResponse,
    ListServicesByNamespaceRequest, ListServicesByNamespaceResponse, ListServicesRequest,
    ListServicesResponse, errors,
};
use gantry_api::{ApiError, CallContext};
use gantry_domain::service::{SchedulingStrategy, Service as ServiceRecord, ServiceStatus};
use gantry_domain::{Change, Versioned, View};
use gantry_types::Ids;

use super::clusters::missing;
use super::describe;
use super::names::{arn_of, cluster, invalid, invalid_token, page_size, service};
use crate::Decision;
use crate::page::page;
pub(super) use create::create;
pub(super) use update::update;

const DESCRIBE_MAX: usize = 10;
const DESIRED_COUNT_MAX: u32 = 5000;

fn active<'v>(
    view: &'v View,
    call: &CallContext,
    cluster_given: Option<&str>,
    given: &str,
) -> Result<Versioned<'v, ServiceRecord>, ApiError> {
    let cluster = cluster(view, call, cluster_given)?;
    let found = service(view, call, &cluster.name, given)?
        .ok_or_else(|| errors::service_not_found_exception("Service not found."))?;
    if found.status == ServiceStatus::Active {
        Ok(found)
    } else {
        Err(errors::service_not_active_exception("Service was not ACTIVE."))
    }
}

pub(super) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteServiceRequest,
    _ids: &mut Ids,
) -> Decision<DeleteServiceResponse> {
    let found = active(view, call, input.cluster.as_deref(), &input.service)?;
    let forced = input.force == Some(true) || found.scheduling == SchedulingStrategy::Daemon;
    if found.desired_count > 0 && !forced {
        return Err(invalid("The service cannot be stopped while it is scaled above 0."));
    }
    if found.deployments.len() > 1 && !forced {
        return Err(invalid("The service cannot be stopped while deployments are active."));
    }
    let mut record = found.value().clone();
    record.status = ServiceStatus::Draining;
    record.desired_count = 0;
    record.deleted_at = Some(call.now);
    if let Some(primary) = record.deployments.first_mut() {
        primary.desired_count = 0;
        primary.updated_at = call.now;
    }
    let output = DeleteServiceResponse { service: Some(describe::service(view, &record, false)) };
    Ok((output, vec![Change::update(record, found.revision)]))
}

pub(super) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeServicesRequest,
) -> Result<DescribeServicesResponse, ApiError> {
    if input.services.is_empty() {
        return Err(invalid("Services cannot be empty."));
    }
    if input.services.len() > DESCRIBE_MAX {
        return Err(invalid("Services cannot have more than 10 elements."));
    }
    let cluster = cluster(view, call, input.cluster.as_deref())?;
    let with_tags = input.include.as_deref().unwrap_or_default().iter().any(|each| each == "TAGS");
    let (mut services, mut failures) = (Vec::new(), Vec::new());
    for given in &input.services {
        match service(view, call, &cluster.name, given)? {
            Some(service) => services.push(describe::service(view, service.value(), with_tags)),
            None => failures.push(missing(&arn_of(call, given, &format!("service/{}", cluster.name)))),
        }
    }
    Ok(DescribeServicesResponse { services: Some(services), failures: Some(failures) })
}

pub(super) fn list(
    view: &View,
    call: &CallContext,
    input: &ListServicesRequest,
) -> Result<ListServicesResponse, ApiError> {
    let cluster = cluster(view, call, input.cluster.as_deref())?;
    let wanted = |service: &ServiceRecord| {
        let launch_type = service.primary().map(|primary| primary.launch_type.as_str());
        service.status != ServiceStatus::Inactive
            && input.resource_management_type.as_deref().is_none_or(|text| text == "CUSTOMER")
            && input.launch_type.as_deref().is_none_or(|text| launch_type == Some(text))
            && input.scheduling_strategy.as_deref().is_none_or(|text| service.scheduling.as_str() == text)
    };
    let services = view
        .scan::<ServiceRecord>(&format!("{}/{}/", call.region, cluster.name))
        .map(|service| service.value())
        .filter(|service| wanted(service));
    let size = page_size(input.max_results, 10, 100)?;
    let page =
        page(services, |service| service.name.to_string(), input.next_token.as_deref(), size, invalid_token)?;
    let arns = page.items.into_iter().map(|service| service.arn.to_string()).collect();
    Ok(ListServicesResponse { service_arns: Some(arns), next_token: page.next })
}

/// No service is in a namespace: Service Connect and Cloud Map are not there yet.
pub(super) fn list_by_namespace(
    _view: &View,
    _call: &CallContext,
    input: &ListServicesByNamespaceRequest,
) -> Result<ListServicesByNamespaceResponse, ApiError> {
    Err(errors::namespace_not_found_exception(format!("The namespace {} was not found.", input.namespace)))
}

fn daemon_count() -> ApiError {
    invalid(
        "The daemon scheduling strategy does not support a desired count for services. Remove the desired count value and try again",
    )
}

fn desired_count(given: Option<i32>) -> Result<Option<u32>, ApiError> {
    match given.map(u32::try_from) {
        None => Ok(None),
        Some(Ok(count)) if count <= DESIRED_COUNT_MAX => Ok(Some(count)),
        Some(Ok(_)) => Err(invalid(format!("desiredCount must be at most {DESIRED_COUNT_MAX}."))),
        Some(Err(_)) => Err(invalid("desiredCount can not be negative.")),
    }
}

/// The grace period in seconds; it needs something that checks health from outside.
fn grace(given: Option<i32>, without_load_balancer: bool) -> Result<Option<u64>, ApiError> {
    match given {
        None => Ok(if without_load_balancer { None } else { Some(0) }),
        Some(seconds) if seconds >= 0 => {
            if without_load_balancer && seconds > 0 {
                return Err(invalid(
                    "Health check grace period is only valid for services configured to use load balancers",
                ));
            }
            Ok(u64::try_from(seconds).ok())
        }
        Some(_) => Err(invalid("healthCheckGracePeriodSeconds must be between 0 and 2147483647.")),
    }
}
