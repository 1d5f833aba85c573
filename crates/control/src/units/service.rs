//! A service: its tasks take over what their nodes say, then the reconciler decides, and placement with it, in one commit.

use gantry_deploy::{Policy, ServiceView, Unplaced, reconcile};
use gantry_domain::service::Service;
use gantry_domain::task::{DesiredStatus, Task};
use gantry_domain::{Key, Stored, Versioned, View};
use gantry_placement::Refusal;
use gantry_types::{Ids, Timestamp};

use crate::core::{Core, Decided};
use crate::limits::{
    OPERATIONS_MAX, OPERATIONS_SMALL_MAX, REPORT_OPERATIONS_MAX, REPORT_OPERATIONS_SMALL_MAX,
};
use crate::nodes::Observed;
use crate::queue::Unit;

use super::lifecycle;

pub(super) fn decide(core: &mut Core, view: &View, key: &Key, now: Timestamp, ids: &mut Ids) -> Decided {
    let mut decided = Decided::default();
    let Some(service) = view.get::<Service>(key) else { return decided };
    let (operations_max, report_operations_max) = if core.queue.is_small(&Unit::Service(key.clone())) {
        (OPERATIONS_SMALL_MAX, REPORT_OPERATIONS_SMALL_MAX)
    } else {
        (OPERATIONS_MAX, REPORT_OPERATIONS_MAX)
    };
    for task in view.tasks_of_service(&service.region, &service.cluster, &service.name) {
        if task.is_stopped() {
            continue;
        }
        // What does not fit is taken over after this commit.
        if decided.batch.len() + 2 > report_operations_max {
            break;
        }
        take_over_or_place(core, view, &task, &mut decided, now, ids);
    }
    let policy = Policy {
        healthy_after: core.limits.healthy_after,
        operations_max: operations_max - decided.batch.len(),
        ..Policy::default()
    };
    let mut taken = Vec::new();
    let mut refused = false;
    let plan = {
        let Some(service) = ServiceView::gather(view, &decided.batch, key, policy) else { return decided };
        let mut place = |task: &mut Task, ids: &mut Ids| {
            core.placer.place(view, task, &mut taken, now, ids).map_err(|refusal| {
                refused = true;
                unplaced(task, &refusal)
            })
        };
        reconcile(&service, &mut place, now, ids)
    };
    decided.batch.extend(plan.changes);
    decided.wake_at = plan.wake_at;
    decided.taken.append(&mut taken);
    decided.waits_for_place |= refused;
    decided
}

fn take_over_or_place(
    core: &mut Core,
    view: &View,
    task: &Versioned<'_, Task>,
    decided: &mut Decided,
    now: Timestamp,
    ids: &mut Ids,
) {
    if let Some(node) = &task.node {
        let key = task.key();
        if core.nodes.is_taken_over(node, &key, task.revision) {
            return;
        }
        let observed = core.nodes.observe(view, node, &key);
        if !lifecycle::take_over(view, &mut decided.batch, task, observed, now) {
            core.nodes.set_taken_over(node, &key, task.revision);
        }
        return;
    }
    if task.desired_status == DesiredStatus::Stopped {
        lifecycle::take_over(view, &mut decided.batch, task, Observed::Away, now);
        return;
    }
    let mut placed = task.cloned();
    match core.placer.place(view, &mut placed, &mut decided.taken, now, ids) {
        Ok(changes) => {
            decided.batch.extend(changes);
            lifecycle::put(view, &mut decided.batch, placed);
        }
        Err(_) => decided.waits_for_place = true,
    }
}

/// What is not passing is refused and told.
fn unplaced(task: &Task, refusal: &Refusal) -> Unplaced {
    if refusal.is_passing(task.launch_type) {
        Unplaced::Waits
    } else {
        Unplaced::Refused(refusal.event_reason())
    }
}
