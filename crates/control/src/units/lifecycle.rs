//! A task's life: its record takes over what its node says.

use gantry_domain::assignment::{ContainerReport, StopCause, TaskPhase, TaskReport};
use gantry_domain::task::{
    Container, ContainerStatus, DesiredStatus, HealthStatus, StopCode, Task, TaskStatus,
};
use gantry_domain::{Batch, Key, View};
use gantry_types::Timestamp;

use crate::nodes::Observed;

/// Takes over what is known of a task beside its record; the interface of a task that ended goes in the same commit. Says whether
/// anything changed. Seeing the same again, or something older, changes nothing.
pub(super) fn take_over(
    view: &View,
    batch: &mut Batch,
    task: &Task,
    observed: Observed<'_>,
    now: Timestamp,
) -> bool {
    let mut next = task.clone();
    apply(&mut next, || view.task_definition(&task.task_definition).is_some(), observed, now);
    if next == *task {
        return false;
    }
    next.version = task.version + 1;
    put(view, batch, next);
    true
}

/// Puts a task that was changed, and removes the interface of one that has ended.
pub(super) fn put(view: &View, batch: &mut Batch, task: Task) {
    if let Some(attachment) = task.attachment.as_ref().filter(|_| task.is_stopped()) {
        batch.delete(view, Key::network_interface(&task.region, &attachment.interface));
    }
    batch.put(view, task);
}

fn apply(task: &mut Task, has_definition: impl FnOnce() -> bool, observed: Observed<'_>, now: Timestamp) {
    if task.is_stopped() {
        return;
    }
    let to_be_stopped = task.desired_status == DesiredStatus::Stopped;
    let Some(node) = &task.node else {
        // No node ever knew of it.
        if to_be_stopped {
            end(task, None, now);
        }
        return;
    };
    match observed {
        Observed::Away | Observed::Ordered => {}
        Observed::Lost => {
            let reason = format!("The node {node} was not heard of for too long.");
            end(task, Some(StopCause { code: StopCode::InfrastructureHealth, reason }), now);
        }
        Observed::Missing if task.last_status == TaskStatus::Pending && to_be_stopped => end(task, None, now),
        Observed::Missing if task.last_status == TaskStatus::Pending => {
            // The node will be told to run it, if it can be said what.
            if !has_definition() {
                let reason = "The task definition does not exist any more.".to_owned();
                end(task, Some(StopCause { code: StopCode::TaskFailedToStart, reason }), now);
            }
        }
        Observed::Missing => {
            let reason =
                format!("The node {node} came back without this task, as after a restart of the machine.");
            end(task, Some(StopCause { code: StopCode::InfrastructureHealth, reason }), now);
        }
        Observed::Reported(report) => take_report(task, report, now),
    }
}

fn take_report(task: &mut Task, report: &TaskReport, now: Timestamp) {
    for container in &mut task.containers {
        if let Some(said) = report.containers.iter().find(|each| each.name == container.name) {
            take_container(container, said);
        }
    }
    if report.health != HealthStatus::Unknown || report.phase != TaskPhase::Running {
        task.health = report.health;
    }
    let times = &mut task.times;
    times.pull_started_at = times.pull_started_at.or(report.pull_started_at);
    times.pull_stopped_at = times.pull_stopped_at.or(report.pull_stopped_at);
    times.execution_stopped_at = times.execution_stopped_at.or(report.execution_stopped_at);
    match report.phase {
        TaskPhase::Preparing => {}
        TaskPhase::Running => runs(task, report, now),
        TaskPhase::Stopping => {
            runs_no_more(task, report, now);
            task.last_status = task.last_status.max(TaskStatus::Stopping);
        }
        TaskPhase::Stopped => {
            runs_no_more(task, report, now);
            end(task, None, now);
        }
    }
}

fn take_container(container: &mut Container, said: &ContainerReport) {
    container.last_status = container.last_status.max(said.status);
    container.runtime_id = said.runtime_id.clone().or(container.runtime_id.take());
    container.image_digest = said.image_digest.clone().or(container.image_digest.take());
    container.exit_code = said.exit_code.or(container.exit_code);
    container.reason = said.reason.clone().or(container.reason.take());
    // A node that has just come back has not checked yet: the last verdict stands until it has a new one.
    if said.health != HealthStatus::Unknown {
        container.health = said.health;
    }
}

/// Every container has started.
fn runs(task: &mut Task, report: &TaskReport, now: Timestamp) {
    task.times.started_at = task.times.started_at.or(Some(report.started_at.unwrap_or(now).min(now)));
    if task.last_status < TaskStatus::Running {
        task.last_status = match task.desired_status {
            DesiredStatus::Running => TaskStatus::Running,
            DesiredStatus::Stopped => TaskStatus::Stopping,
        };
    }
}

/// The node is stopping the task or has stopped it; if nobody asked for that, the report says why.
fn runs_no_more(task: &mut Task, report: &TaskReport, now: Timestamp) {
    task.times.started_at = task.times.started_at.or(report.started_at);
    task.times.stopping_at = task.times.stopping_at.or(Some(now));
    if task.desired_status == DesiredStatus::Stopped {
        return;
    }
    task.desired_status = DesiredStatus::Stopped;
    let cause = report.stop.clone().unwrap_or_else(|| match task.times.started_at {
        Some(_) => StopCause {
            code: StopCode::EssentialContainerExited,
            reason: "Essential container in task exited".to_owned(),
        },
        None => StopCause { code: StopCode::TaskFailedToStart, reason: "Task failed to start".to_owned() },
    });
    task.stop_code = Some(cause.code);
    task.stopped_reason = Some(cause.reason);
}

/// Nothing of the task runs any more. A cause is taken only if the task was not to be stopped anyway.
fn end(task: &mut Task, cause: Option<StopCause>, now: Timestamp) {
    if let Some(cause) = cause.filter(|_| task.desired_status == DesiredStatus::Running) {
        task.stop_code = Some(cause.code);
        task.stopped_reason = Some(cause.reason);
    }
    task.desired_status = DesiredStatus::Stopped;
    task.last_status = TaskStatus::Stopped;
    task.times.stopping_at = task.times.stopping_at.or(Some(now));
    task.times.stopped_at = Some(now);
    for container in &mut task.containers {
        container.last_status = ContainerStatus::Stopped;
    }
}
