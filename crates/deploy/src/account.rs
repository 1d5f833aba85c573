//! Counting how tasks end: each once, for the back-off and for the circuit breaker.

use std::time::Duration;

use gantry_domain::service::Deployment;
use gantry_domain::task::StopCode;
use gantry_types::{DeploymentId, Timestamp};

use crate::Policy;
use crate::classify::Condition;
use crate::plan::Work;

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
            let (deployment, backoff_max) = (task.deployment.clone(), backoff_max(task.has_started()));
            failed(work, deployment.as_ref(), backoff_max);
        }
    }
}

/// A task is about to be replaced because its checks fail; if they never passed, that is a failed start as well.
pub(crate) fn failed_checks(work: &mut Work<'_, '_>, index: usize) {
    let task = work.task(index);
    if task.times.healthy_at.is_none() {
        let deployment = task.deployment.clone();
        failed(work, deployment.as_ref(), backoff_max(true));
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

/// Until when no task of the deployment may be started. An end that is further away than any back-off comes from a clock that
/// jumped, and holds nobody.
pub(crate) fn backoff_until(deployment: &Deployment, now: Timestamp) -> Option<Timestamp> {
    deployment.start_after.filter(|until| *until > now && *until <= now + Policy::BACKOFF_MAX)
}

fn failed(work: &mut Work<'_, '_>, deployment: Option<&DeploymentId>, backoff_max: Duration) {
    let now = work.now;
    if let Some(deployment) = work.service.deployments.iter_mut().find(|each| Some(&each.id) == deployment) {
        deployment.failed_tasks = deployment.failed_tasks.saturating_add(1);
        deployment.start_failures = deployment.start_failures.saturating_add(1);
        deployment.start_after = Some(now + Policy::backoff(deployment.start_failures, backoff_max));
        deployment.updated_at = now;
    }
}

fn backoff_max(has_started: bool) -> Duration {
    if has_started { Policy::BACKOFF_STARTED_MAX } else { Policy::BACKOFF_MAX }
}
