//! A task without a service: it is placed once, runs, and ends.

use gantry_domain::task::{DesiredStatus, StopCode, Task, TaskStatus};
use gantry_domain::{Key, View};
use gantry_placement::Refusal;
use gantry_types::{Ids, Timestamp};

use crate::core::{Core, Decided};
use crate::nodes::Observed;

use super::lifecycle;

pub(super) fn decide(core: &mut Core, view: &View, key: &Key, now: Timestamp, ids: &mut Ids) -> Decided {
    let mut decided = Decided::default();
    let Some(task) = view.get::<Task>(key).filter(|task| !task.is_stopped()) else { return decided };
    // A service's task comes here only when its service is gone.
    if task.service.is_some() && task.is_wanted() {
        let mut orphan = task.cloned();
        orphan.desired_status = DesiredStatus::Stopped;
        orphan.stop_code = Some(StopCode::ServiceSchedulerInitiated);
        orphan.stopped_reason = Some("The service does not exist any more.".to_owned());
        orphan.times.stopping_at = Some(now);
        orphan.version += 1;
        lifecycle::put(view, &mut decided.batch, orphan);
        return decided;
    }
    if task.node.is_some() || task.desired_status == DesiredStatus::Stopped {
        let observed = match &task.node {
            Some(node) => core.nodes.observe(view, node, key),
            None => Observed::Away,
        };
        lifecycle::take_over(view, &mut decided.batch, &task, observed, now);
        return decided;
    }
    let mut placed = task.cloned();
    match core.placer.place(view, &mut placed, &mut decided.taken, now, ids) {
        Ok(changes) => {
            decided.batch.extend(changes);
            lifecycle::put(view, &mut decided.batch, placed);
        }
        Err(refusal) if refusal.is_passing(task.launch_type) => {
            decided.waits_for_place = true;
        }
        Err(refusal) => lifecycle::put(view, &mut decided.batch, refused(placed, &refusal, now)),
    }
    decided
}

/// A standalone task that cannot be placed ends, and says why as AWS does.
fn refused(mut task: Task, refusal: &Refusal, now: Timestamp) -> Task {
    task.desired_status = DesiredStatus::Stopped;
    task.last_status = TaskStatus::Stopped;
    task.stop_code = Some(StopCode::TaskFailedToStart);
    task.stopped_reason = Some(format!("TaskFailedToStart: {}", refusal.failure()));
    task.times.stopping_at = Some(now);
    task.times.stopped_at = Some(now);
    task.version += 1;
    task
}
