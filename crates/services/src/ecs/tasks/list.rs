//! Describing and listing tasks.

use gantry_api::ecs::{
    DescribeTasksRequest, DescribeTasksResponse, ListTasksRequest, ListTasksResponse, errors,
};
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_domain::task::{DesiredStatus, Task as TaskRecord};

use crate::ecs::clusters::missing;
use crate::ecs::describe;
use crate::ecs::names::{
    arn_of, cluster, container_instance, invalid, invalid_token, page_size, service, task,
};
use crate::page::page;

const DESCRIBE_MAX: usize = 100;

pub(in crate::ecs) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeTasksRequest,
) -> Result<DescribeTasksResponse, ApiError> {
    let cluster = cluster(view, call, input.cluster.as_deref())?;
    if input.tasks.is_empty() {
        return Err(invalid("Tasks cannot be empty."));
    }
    if input.tasks.len() > DESCRIBE_MAX {
        return Err(invalid("Tasks cannot have more than 100 elements."));
    }
    let with_tags = input.include.as_deref().unwrap_or_default().iter().any(|each| each == "TAGS");
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    for given in &input.tasks {
        match task(view, call, &cluster.name, given)? {
            Some(task) => tasks.push(describe::task(view, task.value(), with_tags)),
            None => failures.push(missing(&arn_of(call, given, &format!("task/{}", cluster.name)))),
        }
    }
    Ok(DescribeTasksResponse { tasks: Some(tasks), failures: Some(failures) })
}

pub(in crate::ecs) fn list(
    view: &View,
    call: &CallContext,
    input: &ListTasksRequest,
) -> Result<ListTasksResponse, ApiError> {
    let cluster = cluster(view, call, input.cluster.as_deref())?;
    let desired = match input.desired_status.as_deref() {
        None | Some("RUNNING") => DesiredStatus::Running,
        Some("STOPPED") => DesiredStatus::Stopped,
        // AWS accepts PENDING and never has a task whose desired status it is.
        Some("PENDING") => return Ok(ListTasksResponse { task_arns: Some(vec![]), next_token: None }),
        Some(other) => return Err(invalid(format!("Invalid desiredStatus '{other}'."))),
    };
    if input.daemon_name.is_some() {
        return Err(invalid("Gantry does not support daemons yet."));
    }
    let of_service = match &input.service_name {
        Some(given) => {
            let found = service(view, call, &cluster.name, given)?;
            Some(found.ok_or_else(|| errors::service_not_found_exception("Service not found."))?)
        }
        None => None,
    };
    let on_instance = match &input.container_instance {
        Some(given) => {
            let found = container_instance(view, call, &cluster.name, given)?;
            Some(found.map(|instance| instance.value().id.clone()))
        }
        None => None,
    };
    let wanted = |task: &TaskRecord| {
        let by_service =
            of_service.is_none_or(|service| task.service.as_ref() == Some(&service.value().name));
        let by_family = input.family.as_deref().is_none_or(|wanted| family(task) == Some(wanted));
        let by_launch_type =
            input.launch_type.as_deref().is_none_or(|text| task.launch_type.as_str() == text);
        let by_starter = input.started_by.as_ref().is_none_or(|text| task.started_by.as_ref() == Some(text));
        let by_instance = on_instance.as_ref().is_none_or(|wanted| {
            wanted.as_ref().is_some_and(|wanted| task.container_instance.as_ref() == Some(wanted))
        });
        task.desired_status == desired
            && by_service
            && by_family
            && by_launch_type
            && by_starter
            && by_instance
    };
    let tasks = view
        .tasks_of_cluster(&call.region, &cluster.name)
        .map(|task| task.value())
        .filter(|task| wanted(task));
    let size = page_size(input.max_results, 100, 100)?;
    let page = page(tasks, |task| task.id.to_string(), input.next_token.as_deref(), size, invalid_token)?;
    let arns = page.items.into_iter().map(|task| task.arn.to_string()).collect();
    Ok(ListTasksResponse { task_arns: Some(arns), next_token: page.next })
}

fn family(task: &TaskRecord) -> Option<&str> {
    let name = task.task_definition.resource().strip_prefix("task-definition/")?;
    name.rsplit_once(':').map(|(family, _)| family)
}
