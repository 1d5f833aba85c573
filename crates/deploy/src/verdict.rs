//! What becomes of deployments, and of a service that was deleted.

use gantry_domain::service::{DeploymentStatus, RolloutState, ServiceStatus};
use gantry_domain::task::Task;

use crate::classify::Condition;
use crate::note::Note;
use crate::plan::Work;

/// How many tasks may fail in a row before the circuit breaker opens: half of the desired count, at least 3, at most 200
/// (AWS's BOUNDED_PERCENT 50).
fn threshold(desired: u32) -> u32 {
    desired.div_ceil(2).clamp(3, 200)
}

/// The breaker opened and nothing was there to roll back to.
pub(crate) fn is_stalled(work: &Work<'_, '_>) -> bool {
    work.desired() > 0
        && work.service.primary().is_some_and(|primary| primary.rollout_state == RolloutState::Failed)
}

/// Fails a deployment whose tasks keep failing, and goes back to the last one that was completed if the service asks for it.
pub(crate) fn circuit_breaker(work: &mut Work<'_, '_>) {
    let (breaker, limit, now) = (work.service.circuit_breaker, threshold(work.desired()), work.now);
    let Some(primary) = work.service.deployments.first_mut() else { return };
    let fails = primary.rollout_state == RolloutState::InProgress && primary.failed_tasks >= limit;
    if !breaker.enable || !fails || work.service.status != ServiceStatus::Active {
        return;
    }
    primary.rollout_state = RolloutState::Failed;
    primary.rollout_state_reason = "ECS deployment circuit breaker: tasks failed to start.".to_owned();
    primary.updated_at = now;
    work.happened.push(Note::DeploymentFailed(primary.id.clone()));
    let deployments = &mut work.service.deployments;
    let completed = |each: &gantry_domain::service::Deployment| each.rollout_state == RolloutState::Completed;
    let Some(index) = deployments.iter().position(completed).filter(|_| breaker.rollback) else { return };
    let mut restored = deployments.remove(index);
    for each in deployments.iter_mut() {
        each.status = DeploymentStatus::Active;
        each.desired_count = 0;
    }
    restored.status = DeploymentStatus::Primary;
    restored.desired_count = work.service.desired_count;
    restored.rollout_state = RolloutState::InProgress;
    restored.rollout_state_reason =
        format!("ECS deployment circuit breaker: rolling back to deploymentId {}.", restored.id);
    restored.updated_at = now;
    work.happened.push(Note::RollingBack(restored.id.clone()));
    deployments.insert(0, restored);
}

/// Completes the primary deployment once every task that shall be there is healthy and every other one is leaving, and says
/// when the service is steady.
pub(crate) fn completion(work: &mut Work<'_, '_>) {
    let (desired, now) = (work.desired(), work.now);
    if let Some(primary) = work.service.deployments.first_mut()
        && primary.desired_count != desired
    {
        primary.desired_count = desired;
        primary.updated_at = now;
    }
    let wanted: Vec<usize> = work.wanted().collect();
    let whole = wanted.len() == desired as usize
        && wanted.iter().all(|&index| work.is_current(index) && work.conditions[index] == Condition::Healthy);
    if !whole || work.acted || work.service.status != ServiceStatus::Active {
        return;
    }
    let Some(primary) = work.service.deployments.first_mut() else { return };
    match primary.rollout_state {
        RolloutState::Completed => {}
        RolloutState::Failed => return,
        RolloutState::InProgress => {
            primary.rollout_state = RolloutState::Completed;
            primary.rollout_state_reason = format!("ECS deployment {} completed.", primary.id);
            primary.failed_tasks = 0;
            primary.updated_at = now;
            work.happened.push(Note::DeploymentCompleted(primary.id.clone()));
        }
    }
    work.service.deployments.truncate(1);
    work.standing.push(Note::SteadyState);
}

/// A deleted service is INACTIVE when the last of its tasks has stopped and was accounted.
pub(crate) fn deletion(work: &mut Work<'_, '_>) {
    if work.service.status != ServiceStatus::Draining {
        return;
    }
    let over = |task: &Task| task.is_stopped() && task.accounted;
    if (0..work.conditions.len()).all(|index| over(work.task(index))) && !work.cut {
        work.service.status = ServiceStatus::Inactive;
        work.service.deployments.clear();
    }
}
