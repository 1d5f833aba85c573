//! What is kept for a time and then removed.

use std::collections::{BTreeMap, BTreeSet};

use gantry_domain::elb::{Target, TargetHealth, TargetHealthReason, TargetHealthState};
use gantry_domain::network::{InterfaceOwner, NetworkInterface};
use gantry_domain::service::{Service, ServiceStatus};
use gantry_domain::task::Task;
use gantry_domain::{Key, Stored, Versioned, View};
use gantry_types::{ClusterName, NetworkInterfaceId, Region, Timestamp};

use crate::core::{Core, Decided};
use crate::limits::SWEEP_OPERATIONS_MAX;

pub(super) fn decide(core: &Core, view: &View, now: Timestamp) -> Decided {
    let mut decided = Decided::default();
    for key in old_tasks(core, view, now)
        .into_iter()
        .chain(old_services(core, view, now))
        .chain(unused_interfaces(view))
    {
        if decided.batch.len() >= SWEEP_OPERATIONS_MAX {
            break;
        }
        decided.batch.delete(view, key);
    }
    for target in orphans(view, now) {
        if decided.batch.len() < SWEEP_OPERATIONS_MAX {
            decided.batch.put(view, target);
        }
    }
    decided.wake_at = Some(now + core.limits.sweep_every);
    decided
}

/// Stopped tasks that were kept long enough, or that are more than are kept of one group, oldest first.
fn old_tasks(core: &Core, view: &View, now: Timestamp) -> Vec<Key> {
    let mut old = Vec::new();
    type Group<'v> = (&'v Region, &'v ClusterName, &'v str);
    let mut by_group: BTreeMap<Group<'_>, Vec<(Timestamp, &Task)>> = BTreeMap::new();
    for task in view.scan::<Task>("").filter(|task| task.is_stopped()) {
        // A service counts its tasks' ends first.
        if task.service.is_some() && !task.accounted && view_has_service(view, &task) {
            continue;
        }
        let stopped_at = task.times.stopped_at.unwrap_or(task.times.created_at);
        if now.since(stopped_at) >= core.limits.stopped_task_kept {
            old.push(task.key());
        } else {
            let task = task.value();
            let group = (&task.region, &task.cluster, task.group.as_str());
            by_group.entry(group).or_default().push((stopped_at, task));
        }
    }
    for (_, mut tasks) in by_group {
        let surplus = tasks.len().saturating_sub(core.limits.stopped_tasks_max);
        tasks.sort_by(|a, b| (a.0, &a.1.id).cmp(&(b.0, &b.1.id)));
        old.extend(tasks.into_iter().take(surplus).map(|(_, task)| task.key()));
    }
    old
}

fn view_has_service(view: &View, task: &Versioned<'_, Task>) -> bool {
    task.service.as_ref().is_some_and(|service| view.service(&task.region, &task.cluster, service).is_some())
}

/// Deleted services that were kept long enough: their events, and the service with the last of them.
fn old_services(core: &Core, view: &View, now: Timestamp) -> Vec<Key> {
    let over = |service: &Versioned<'_, Service>| {
        let since = service.deleted_at.unwrap_or(service.created_at);
        service.status == ServiceStatus::Inactive && now.since(since) >= core.limits.inactive_service_kept
    };
    let mut old = Vec::new();
    for service in view.scan::<Service>("").filter(over) {
        old.extend(view.events_of(&service.region, &service.cluster, &service.name).map(|event| event.key()));
        old.push(service.key());
    }
    old
}

/// Interfaces of tasks that do not exist or have ended. They go with their tasks; this finds what some error left.
fn unused_interfaces(view: &View) -> Vec<Key> {
    let interfaces: Vec<_> = view
        .scan::<NetworkInterface>("")
        .filter(|interface| matches!(interface.owner, InterfaceOwner::Task(_)))
        .collect();
    if interfaces.is_empty() {
        return Vec::new();
    }
    let used: BTreeSet<&NetworkInterfaceId> = view
        .scan::<Task>("")
        .filter(|task| !task.is_stopped())
        .filter_map(|task| task.value().attachment.as_ref())
        .map(|attachment| &attachment.interface)
        .collect();
    interfaces
        .iter()
        .filter(|interface| !used.contains(&interface.id))
        .map(|interface| interface.key())
        .collect()
}

/// Targets of tasks that do not exist any more and that nobody took out of service.
fn orphans(view: &View, now: Timestamp) -> Vec<Target> {
    let live: Vec<_> = view
        .scan::<Target>("")
        .filter(|target| target.task.is_some() && target.draining_since.is_none())
        .collect();
    if live.is_empty() {
        return Vec::new();
    }
    let registered: BTreeSet<_> = view
        .scan::<Task>("")
        .flat_map(|task| &task.value().registrations)
        .map(|registration| &registration.registration)
        .collect();
    let orphan = live.iter().filter(|target| !registered.contains(&target.registration));
    orphan
        .map(|target| Target {
            draining_since: Some(now),
            health: TargetHealth::because(
                TargetHealthState::Draining,
                TargetHealthReason::DeregistrationInProgress,
                "Target deregistration is in progress",
            ),
            ..target.cloned()
        })
        .collect()
}
