//! What a plan says about itself: the service's events in AWS's wording, and what only `why` shows.

use gantry_types::{Arn, DeploymentId, InstanceId, ServiceName, TaskId, Timestamp};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    Started {
        tasks: Vec<TaskId>,
        /// So many of them replace unhealthy tasks.
        replaced: usize,
    },
    Stopped(Vec<TaskId>),
    Registered {
        count: usize,
        target_group: Arn,
    },
    Deregistered {
        count: usize,
        target_group: Arn,
    },
    Draining {
        deployment: DeploymentId,
        count: usize,
    },
    DeploymentCompleted(DeploymentId),
    DeploymentFailed(DeploymentId),
    RollingBack(DeploymentId),
    SteadyState,
    ContainerUnhealthy(TaskId),
    TargetUnhealthy {
        task: TaskId,
        /// The instance that is the target, unless the task has an address of its own.
        instance: Option<InstanceId>,
        port: u16,
        target_group: Arn,
        reason: String,
    },
    /// The text behind "all of its requirements. ".
    CannotPlace(String),
    CannotStartConsistently,
    ConfigurationBlocks,
    /// For `why` alone: so many tasks are started and no check has spoken for them yet.
    WaitingForHealth(Vec<TaskId>),
    /// For `why` alone: tasks that no node runs yet.
    WaitingForNode(Vec<TaskId>),
    /// For `why` alone: starts wait for the back-off after failed starts.
    Backoff {
        failures: u32,
        until: Timestamp,
    },
}

impl Note {
    /// The service event's text; `None` for what only `why` shows.
    pub fn event(&self, service: &ServiceName) -> Option<String> {
        let name = format!("(service {service})");
        Some(match self {
            Self::Started { tasks, replaced: 0 } => {
                format!("{name} has started {} tasks: {}.", tasks.len(), list(tasks))
            }
            Self::Started { tasks, replaced } => format!(
                "{name} has started {} tasks: {}. Amazon ECS replaced {replaced} tasks due to an unhealthy status.",
                tasks.len(),
                list(tasks)
            ),
            Self::Stopped(tasks) => {
                format!("{name} has stopped {} running tasks: {}.", tasks.len(), list(tasks))
            }
            Self::Registered { count, target_group } => {
                format!("{name} registered {count} targets in (target-group {target_group})")
            }
            Self::Deregistered { count, target_group } => {
                format!("{name} deregistered {count} targets in (target-group {target_group})")
            }
            Self::Draining { deployment, count } => {
                format!(
                    "(service {service}, taskSet {deployment}) has begun draining connections on {count} tasks."
                )
            }
            Self::DeploymentCompleted(id) => format!("{name} (deployment {id}) deployment completed."),
            Self::DeploymentFailed(id) => {
                format!("{name} (deployment {id}) deployment failed: tasks failed to start.")
            }
            Self::RollingBack(id) => format!("{name} rolling back to deployment {id}."),
            Self::SteadyState => format!("{name} has reached a steady state."),
            Self::ContainerUnhealthy(task) => format!("{name} (task {task}) failed container health checks."),
            Self::TargetUnhealthy { task, instance, port, target_group, reason } => {
                let target = match instance {
                    Some(instance) => format!("(instance {instance})"),
                    None => format!("(task {task})"),
                };
                format!(
                    "{name} {target} (port {port}) is unhealthy in (target-group {target_group}) due to (reason {reason})"
                )
            }
            Self::CannotPlace(reason) => format!(
                "{name} was unable to place a task because no container instance met all of its requirements. {reason} \
                 For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
            ),
            Self::CannotStartConsistently => {
                format!("{name} is unable to consistently start tasks successfully.")
            }
            Self::ConfigurationBlocks => format!(
                "{name} was unable to stop or start tasks during a deployment because of the service deployment \
                 configuration. Update the minimumHealthyPercent or maximumPercent value and try again."
            ),
            Self::WaitingForHealth(_) | Self::WaitingForNode(_) | Self::Backoff { .. } => return None,
        })
    }
}

fn list(tasks: &[TaskId]) -> String {
    let each: Vec<String> = tasks.iter().map(|task| format!("(task {task})")).collect();
    each.join(" ")
}
