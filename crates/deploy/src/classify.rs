//! Which bucket a task is in.

use gantry_domain::Versioned;
use gantry_domain::elb::{Target, TargetHealthState};
use gantry_domain::task::{DesiredStatus, HealthStatus, Task, TaskStatus};
use gantry_domain::task_definition::TaskDefinition;
use gantry_types::{Arn, InstanceId, TaskId, Timestamp};

use crate::note::Note;
use crate::{ServiceView, TaskView};

/// What a task is worth to its service now. The order is the order in which tasks are given up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Stopped, or on its way there.
    Leaving,
    /// Not RUNNING yet.
    Pending,
    /// A check says that it fails, and no grace protects it.
    Unhealthy(Unhealth),
    /// RUNNING, and no check has spoken yet.
    Starting,
    /// RUNNING, and every check that there is passes.
    Healthy,
}

/// Which check fails.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unhealth {
    Container,
    Target { instance: Option<InstanceId>, target_group: Arn, port: u16, reason: String },
}

impl Unhealth {
    pub(crate) fn note(&self, task: TaskId) -> Note {
        match self {
            Self::Container => Note::ContainerUnhealthy(task),
            Self::Target { instance, target_group, port, reason } => Note::TargetUnhealthy {
                task,
                instance: instance.clone(),
                port: *port,
                target_group: target_group.clone(),
                reason: reason.clone(),
            },
        }
    }
    /// The stopped reason of a task that is replaced because of it.
    pub fn stopped_reason(&self) -> String {
        match self {
            Self::Container => "Task failed container health checks".to_owned(),
            Self::Target { target_group, .. } => {
                format!("Task failed ELB health checks in (target-group {target_group})")
            }
        }
    }
}

/// A task's condition, and when it may change by the passing of time alone.
pub(crate) fn condition(
    view: &ServiceView<'_>,
    each: &TaskView<'_>,
    now: Timestamp,
) -> (Condition, Option<Timestamp>) {
    let task = each.task.value();
    if task.is_stopped() || task.desired_status == DesiredStatus::Stopped {
        return (Condition::Leaving, None);
    }
    let Some(started_at) = task.times.started_at.filter(|_| task.last_status == TaskStatus::Running) else {
        return (Condition::Pending, None);
    };
    match checks(view, each) {
        Checks::None if task.times.healthy_at.is_some() => (Condition::Healthy, None),
        Checks::None => {
            // A clock that jumps back must not make the wait longer than it is.
            let at = started_at.min(now) + view.policy.healthy_after;
            if now >= at { (Condition::Healthy, None) } else { (Condition::Starting, Some(at)) }
        }
        Checks::Passed => (Condition::Healthy, None),
        Checks::Waiting => (Condition::Starting, None),
        Checks::Failed(unhealth) => {
            let grace_ends = started_at.min(now) + view.service.health_check_grace;
            if now < grace_ends {
                (Condition::Starting, Some(grace_ends))
            } else {
                (Condition::Unhealthy(unhealth), None)
            }
        }
    }
}

enum Checks {
    /// Nothing checks this task.
    None,
    Waiting,
    Passed,
    Failed(Unhealth),
}

fn checks(view: &ServiceView<'_>, each: &TaskView<'_>) -> Checks {
    let task = each.task.value();
    let container_checked = has_health_check(view, task);
    let registered = !task.registrations.is_empty();
    let expected = registered || !view.service.load_balancers.is_empty();
    if !container_checked && !expected {
        return Checks::None;
    }
    if container_checked && task.health == HealthStatus::Unhealthy {
        return Checks::Failed(Unhealth::Container);
    }
    let failing = each.targets.iter().find(|target| target.health.state == TargetHealthState::Unhealthy);
    if let Some(target) = failing {
        return Checks::Failed(Unhealth::Target {
            instance: instance_of_target(each),
            target_group: target.target_group.clone(),
            port: target.port,
            reason: target.health.description.clone().unwrap_or_else(|| "Health checks failed".to_owned()),
        });
    }
    // With its group's health checks turned off nobody looks at the target: time has to tell, as without a target group.
    let unchecked = |target: &Target| target.health.state == TargetHealthState::Unavailable;
    if !container_checked && !each.targets.is_empty() && each.targets.iter().all(|target| unchecked(target)) {
        return Checks::None;
    }
    let container_passed = !container_checked || task.health == HealthStatus::Healthy;
    let targets_passed =
        !expected || (registered && each.targets.iter().all(|target| passes(target.health.state)));
    if container_passed && targets_passed { Checks::Passed } else { Checks::Waiting }
}

/// A target that no listener uses is never probed; on AWS too its task waits, because no traffic can reach it.
fn passes(state: TargetHealthState) -> bool {
    match state {
        TargetHealthState::Healthy | TargetHealthState::Unavailable => true,
        TargetHealthState::Initial
        | TargetHealthState::Unhealthy
        | TargetHealthState::Unused
        | TargetHealthState::Draining => false,
    }
}

/// The instance that the task's targets are, where they are not the task's own address.
fn instance_of_target(each: &TaskView<'_>) -> Option<InstanceId> {
    let instance = each.instance.filter(|_| each.task.attachment.is_none())?;
    Some(instance.instance.clone())
}

/// Only essential containers decide about their task's health.
fn has_health_check(view: &ServiceView<'_>, task: &Task) -> bool {
    let definition = view.definitions.get(&task.task_definition);
    let checked = |definition: &&TaskDefinition| {
        definition.containers.iter().any(|container| container.essential && container.health_check.is_some())
    };
    definition.is_some_and(checked)
}

/// A registered target that is not probed at all: nothing about the task can change that, so it is not replaced; its service
/// says what it waits for.
pub(crate) fn unused_target(each: &TaskView<'_>) -> Option<Unhealth> {
    let unused = |target: &&Versioned<'_, Target>| target.health.state == TargetHealthState::Unused;
    each.targets.iter().find(unused).map(|target| Unhealth::Target {
        instance: instance_of_target(each),
        target_group: target.target_group.clone(),
        port: target.port,
        reason: target.health.description.clone().unwrap_or_else(|| "Target is not in use".to_owned()),
    })
}
