//! Counting how tasks end: each once, for the back-off and for the circuit breaker.

use std::time::Duration;

use gantry_domain::service::Deployment;
use gantry_domain::task::StopCode;
use gantry_types::Timestamp;

use crate::Policy;
use crate::classify::Condition;
use crate::plan::Work;

/// A start in the future comes from a clock that jumped back: what waits for it counts from now on.
pub(crate) fn mend_times(work: &mut Work<'_, '_>) {
    for index in 0..work.view.tasks.len() {
        let task = work.task(index);
        let future = task.times.started_at.is_some_and(|at| at > work.now);
        if future && !task.is_stopped() && work.has_room(1) {
            let now = work.now;
            work.task_mut(index).times.started_at = Some(now);
        }
    }
}

/// Counts the stopped tasks whose end was not counted yet, and marks them.
pub(crate) fn ends(work: &mut Work<'_, '_>) {
    for index in 0..work.view.tasks.len() {
        let task = work.task(index);
        if !task.is_stopped() || task.accounted || !work.has_room(1) {
            continue;
        }
        let task = work.task_mut(index);
        task.accounted = true;
        let by_itself =
            matches!(task.stop_code, Some(StopCode::TaskFailedToStart | StopCode::EssentialContainerExited));
        if by_itself && task.times.healthy_at.is_none() {
            let backoff_max =
                if task.has_started() { Policy::BACKOFF_STARTED_MAX } else { Policy::BACKOFF_MAX };
            failed(work, index, backoff_max);
        }
    }
}

/// A task is about to be replaced because its checks fail; if they never passed, that is a failed start as well.
pub(crate) fn failed_checks(work: &mut Work<'_, '_>, index: usize) {
    if work.task(index).times.healthy_at.is_none() {
        failed(work, index, Policy::BACKOFF_STARTED_MAX);
    }
}

/// Marks the tasks that count as healthy for the first time. One healthy task ends its deployment's row of failures.
pub(crate) fn first_healthy(work: &mut Work<'_, '_>) {
    for index in 0..work.view.tasks.len() {
        let first =
            work.conditions[index] == Condition::Healthy && work.task(index).times.healthy_at.is_none();
        if !first || !work.has_room(1) {
            continue;
        }
        let now = work.now;
        let task = work.task_mut(index);
        task.times.healthy_at = Some(now);
        let deployment = task.deployment.clone();
        let found = work.service.deployments.iter_mut().find(|each| Some(&each.id) == deployment.as_ref());
        if let Some(deployment) = found {
            deployment.failed_tasks = 0;
            deployment.start_failures = 0;
            deployment.start_after = None;
        }
    }
}

/// Until when no task of the deployment may be started. An end that is further away than the back-off can be comes from a clock
/// that jumped, and holds nobody.
pub(crate) fn backoff_until(deployment: &Deployment, now: Timestamp) -> Option<Timestamp> {
    let longest = Policy::backoff(deployment.start_failures, Policy::BACKOFF_MAX);
    deployment.start_after.filter(|until| *until > now && *until <= now + longest)
}

/// Every failed task counts for the circuit breaker. For the back-off, tasks that were started together and fail together are
/// one failure: a large service must not wait half an hour after its first attempt.
fn failed(work: &mut Work<'_, '_>, index: usize, backoff_max: Duration) {
    let (task, now) = (work.task(index), work.now);
    let (id, started_at) = (task.deployment.clone(), task.times.created_at);
    let Some(deployment) = work.service.deployments.iter_mut().find(|each| Some(&each.id) == id.as_ref())
    else {
        return;
    };
    deployment.failed_tasks = deployment.failed_tasks.saturating_add(1);
    deployment.updated_at = now;
    if deployment.start_after.is_none_or(|last| started_at >= last || last > now + Policy::BACKOFF_MAX) {
        deployment.start_failures = deployment.start_failures.saturating_add(1);
        deployment.start_after = Some(now + Policy::backoff(deployment.start_failures, backoff_max));
    }
}
