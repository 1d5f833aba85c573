//! What a node says of a task.

use gantry_domain::assignment::{ContainerReport, TaskPhase, TaskReport};
use gantry_domain::task::{ContainerStatus, HealthStatus};

use super::state::{ContainerPhase, ContainerState, TaskState};

pub(super) fn report(task: &TaskState) -> TaskReport {
    TaskReport {
        region: task.spec.region.clone(),
        cluster: task.spec.cluster.clone(),
        task: task.spec.task.clone(),
        phase: phase(task),
        health: health(task),
        containers: task.spec.containers.iter().zip(&task.containers).map(|(d, c)| container(d, c)).collect(),
        stop: task.cause.clone(),
        pull_started_at: task.pull_started_at,
        pull_stopped_at: task.pull_stopped_at,
        started_at: task.started_at,
        execution_stopped_at: task.execution_stopped_at,
    }
}

fn phase(task: &TaskState) -> TaskPhase {
    if task.is_stopped() {
        TaskPhase::Stopped
    } else if task.stopping {
        TaskPhase::Stopping
    } else if task.started_at.is_some() {
        TaskPhase::Running
    } else {
        TaskPhase::Preparing
    }
}

/// Any essential container UNHEALTHY makes the task so, else any UNKNOWN; containers without a check do not count.
fn health(task: &TaskState) -> HealthStatus {
    let mut statuses = task
        .spec
        .containers
        .iter()
        .zip(&task.containers)
        .filter(|(definition, _)| definition.essential && definition.health_check.is_some())
        .map(|(_, container)| container_health(container))
        .peekable();
    if statuses.peek().is_none() {
        return HealthStatus::Unknown;
    }
    statuses.fold(HealthStatus::Healthy, |all, each| match (all, each) {
        (HealthStatus::Unhealthy, _) | (_, HealthStatus::Unhealthy) => HealthStatus::Unhealthy,
        (HealthStatus::Unknown, _) | (_, HealthStatus::Unknown) => HealthStatus::Unknown,
        (HealthStatus::Healthy, HealthStatus::Healthy) => HealthStatus::Healthy,
    })
}

pub(super) fn container_health(container: &ContainerState) -> HealthStatus {
    container.health.as_ref().map_or(HealthStatus::Unknown, |machine| machine.status)
}

fn container(
    definition: &gantry_domain::task_definition::ContainerDefinition,
    container: &ContainerState,
) -> ContainerReport {
    ContainerReport {
        name: definition.name.clone(),
        status: match container.phase {
            ContainerPhase::Created
            | ContainerPhase::Pulling
            | ContainerPhase::Pulled
            | ContainerPhase::Starting => ContainerStatus::Pending,
            ContainerPhase::Running | ContainerPhase::Stopping { .. } | ContainerPhase::Killed => {
                ContainerStatus::Running
            }
            ContainerPhase::Stopped => ContainerStatus::Stopped,
        },
        runtime_id: container.runtime_id.clone(),
        image_digest: container.image_digest.clone(),
        exit_code: container.exit.as_ref().and_then(|exit| exit.code),
        reason: container.reason.clone(),
        health: container_health(container),
    }
}
