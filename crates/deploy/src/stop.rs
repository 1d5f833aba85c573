//! Stopping a task.

use gantry_domain::task::{DesiredStatus, StopCode, Task, TaskStatus};
use gantry_types::{DeploymentId, Timestamp};

/// The reason of a task that is not wanted any more: its deployment shall have fewer tasks.
pub(crate) fn scaling_reason(deployment: Option<&DeploymentId>) -> String {
    let deployment = deployment.map_or("", DeploymentId::as_str);
    format!("Scaling activity initiated by (deployment {deployment})")
}

/// Makes a task unwanted. One that no node knows of is stopped by that alone; any other is stopped by its node, once its targets
/// are drained.
pub(crate) fn stop(task: &mut Task, code: StopCode, reason: String, now: Timestamp) {
    task.desired_status = DesiredStatus::Stopped;
    task.stop_code = Some(code);
    task.stopped_reason = Some(reason);
    task.times.stopping_at = Some(now);
    task.version += 1;
    if task.node.is_none() {
        task.last_status = TaskStatus::Stopped;
        task.times.stopped_at = Some(now);
        task.accounted = true;
    } else if task.last_status == TaskStatus::Running {
        task.last_status =
            if task.registrations.is_empty() { TaskStatus::Stopping } else { TaskStatus::Deactivating };
    }
}
