//! The reconciliation's main path.

use std::collections::BTreeMap;

use gantry_domain::service::{DeploymentController, SchedulingStrategy, Service, ServiceStatus};
use gantry_domain::task::{StopCode, Task};
use gantry_domain::{Batch, Change, Stored};
use gantry_types::{AvailabilityZone, Ids, Timestamp};

use crate::Policy;
use crate::account;
use crate::budget::{self, Decision, Limits, Member, Rank, Rollout};
use crate::classify::{Condition, condition, unused_target};
use crate::events;
use crate::note::Note;
use crate::start::{Place, Unplaced, new_task};
use crate::stop::{scaling_reason, stop};
use crate::targets::{self, Moved};
use crate::verdict;
use crate::view::ServiceView;

/// What to change, when to decide again even if nothing happens, and why.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    pub changes: Vec<Change>,
    pub wake_at: Option<Timestamp>,
    pub why: Vec<Note>,
}

/// Decides what one service needs next. Reads only its arguments; `place` is asked once for each task that is started.
pub fn reconcile(view: &ServiceView<'_>, place: &mut Place<'_>, now: Timestamp, ids: &mut Ids) -> Plan {
    if view.service.controller != DeploymentController::Ecs || view.service.status == ServiceStatus::Inactive
    {
        return Plan::default();
    }
    let mut work = Work::new(view, now);
    follow_instances(&mut work);
    account::mend_times(&mut work);
    account::ends(&mut work);
    account::first_healthy(&mut work);
    targets::deregister(&mut work);
    targets::register(&mut work, ids);
    verdict::circuit_breaker(&mut work);
    let decision = decide(&work);
    stop_tasks(&mut work, &decision);
    targets::deregister(&mut work);
    start_tasks(&mut work, &decision, place, ids);
    note_what_is(&mut work, &decision);
    verdict::completion(&mut work);
    verdict::deletion(&mut work);
    work.finish(ids)
}

/// A DAEMON service has a task on each instance, whatever anybody says.
fn follow_instances(work: &mut Work<'_, '_>) {
    let count = work.view.active_instances;
    let follows = work.service.scheduling == SchedulingStrategy::Daemon
        && work.service.status == ServiceStatus::Active
        && work.service.desired_count != count;
    if !follows {
        return;
    }
    work.service.desired_count = count;
    if let Some(primary) = work.service.deployments.first_mut() {
        primary.desired_count = count;
        primary.updated_at = work.now;
    }
}

/// A reconciliation under way.
pub(crate) struct Work<'v, 'a> {
    pub(crate) view: &'v ServiceView<'a>,
    pub(crate) now: Timestamp,
    pub(crate) service: Service,
    /// As in the view, in its order.
    pub(crate) conditions: Vec<Condition>,
    /// Tasks that were changed, by their place in the view.
    changed: BTreeMap<usize, Task>,
    /// Everything but the view's tasks, the service and its events.
    pub(crate) batch: Batch,
    pub(crate) moved: Moved,
    /// What happened: each becomes an event.
    pub(crate) happened: Vec<Note>,
    /// What is so at the moment: an event when it begins, and again after hours.
    pub(crate) standing: Vec<Note>,
    /// What only `why` shows.
    pub(crate) explained: Vec<Note>,
    pub(crate) wake_at: Option<Timestamp>,
    /// Kept free for changes that follow from what was decided.
    reserved: usize,
    /// Something was left for the next plan because this one is full.
    pub(crate) cut: bool,
    /// Tasks were started or stopped.
    pub(crate) acted: bool,
}

impl<'v, 'a> Work<'v, 'a> {
    fn new(view: &'v ServiceView<'a>, now: Timestamp) -> Self {
        let mut work = Self {
            view,
            now,
            service: view.service.value().clone(),
            conditions: Vec::with_capacity(view.tasks.len()),
            changed: BTreeMap::new(),
            batch: Batch::default(),
            moved: Moved::default(),
            happened: Vec::new(),
            standing: Vec::new(),
            explained: Vec::new(),
            wake_at: None,
            reserved: 0,
            cut: false,
            acted: false,
        };
        for each in &view.tasks {
            let (condition, until) = condition(view, each, now);
            work.conditions.push(condition);
            work.wake(until);
        }
        work
    }

    pub(crate) fn task(&self, index: usize) -> &Task {
        self.changed.get(&index).unwrap_or(self.view.tasks[index].task.value())
    }

    /// The task, to be changed by this plan.
    pub(crate) fn task_mut(&mut self, index: usize) -> &mut Task {
        self.changed.entry(index).or_insert_with(|| self.view.tasks[index].task.value().clone())
    }

    /// Whether `operations` more fit into this plan; if not, the rest is decided next.
    pub(crate) fn has_room(&mut self, operations: usize) -> bool {
        let used = self.batch.len() + self.changed.len() + self.reserved + events::OPERATIONS_MAX;
        let fits = used + operations <= self.view.policy.operations_max;
        self.cut |= !fits;
        fits
    }

    pub(crate) fn wake(&mut self, at: Option<Timestamp>) {
        self.wake_at = self.wake_at.into_iter().chain(at).min();
    }

    /// How many tasks the service shall have now.
    pub(crate) fn desired(&self) -> u32 {
        match self.service.status {
            ServiceStatus::Active => self.service.desired_count,
            ServiceStatus::Draining | ServiceStatus::Inactive => 0,
        }
    }

    /// How many tasks shall stay healthy. A service that is being deleted has no minimum.
    pub(crate) fn minimum(&self) -> u32 {
        if self.desired() == 0 { 0 } else { self.service.minimum_healthy() }
    }

    /// How many tasks may be wanted at most.
    pub(crate) fn maximum(&self) -> u32 {
        if self.desired() == 0 { 0 } else { self.service.maximum() }
    }

    /// Wanted tasks by their place in the view, after what this plan did so far.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = usize> {
        (0..self.conditions.len()).filter(|index| self.conditions[*index] != Condition::Leaving)
    }

    /// Whether the task belongs to the deployment that all tasks shall belong to, and to a node that stays.
    pub(crate) fn is_current(&self, index: usize) -> bool {
        let each = &self.view.tasks[index];
        let primary = self.service.primary().map(|deployment| &deployment.id);
        each.task.deployment.as_ref() == primary && !each.node_draining
    }

    fn finish(mut self, ids: &mut Ids) -> Plan {
        let mut why = self.happened.clone();
        why.extend(self.standing.iter().cloned());
        why.append(&mut self.explained);
        events::tell(&mut self, ids);
        let original = self.view.service;
        if self.service != *original {
            self.batch.add(Change::update(self.service, original.revision));
        }
        for (index, task) in self.changed {
            let read = &self.view.tasks[index].task;
            if task != **read {
                self.batch.add(Change::update(task, read.revision));
            }
        }
        let wake_at = if self.cut { Some(self.now) } else { self.wake_at };
        Plan { changes: self.batch.into_changes(), wake_at, why }
    }
}

/// Why the service is as it is and what it waits for: the notes of a decision that is not carried out.
pub fn explain(view: &ServiceView<'_>, now: Timestamp) -> Vec<Note> {
    let mut place = |_: &mut Task, _: &mut Ids| Err(Unplaced::Waits);
    reconcile(view, &mut place, now, &mut Ids::from_seed(0)).why
}

fn decide(work: &Work<'_, '_>) -> Decision {
    let rank = |condition: &Condition| match condition {
        Condition::Leaving => None,
        Condition::Pending => Some(Rank::Pending),
        Condition::Unhealthy(_) => Some(Rank::Unhealthy),
        Condition::Starting => Some(Rank::Starting),
        Condition::Healthy => Some(Rank::Healthy),
    };
    let zone = |index: usize| -> &AvailabilityZone { &work.view.tasks[index].task.value().availability_zone };
    let members: Vec<Member<'_>> = work
        .conditions
        .iter()
        .enumerate()
        .filter_map(|(index, condition)| {
            Some(Member { index, current: work.is_current(index), rank: rank(condition)?, zone: zone(index) })
        })
        .collect();
    let limits = Limits {
        desired: work.desired() as usize,
        minimum: work.minimum() as usize,
        maximum: work.maximum() as usize,
        rollout: if verdict::is_stalled(work) { Rollout::Stalled } else { Rollout::Proceeds },
    };
    budget::decide(&members, limits)
}

fn stop_tasks(work: &mut Work<'_, '_>, decision: &Decision) {
    let mut stopped = Vec::new();
    let mut relies = false;
    for &index in &decision.stop {
        // The task, each of its targets that leaves, and once the checks of the healthy tasks that a stop relies on.
        let checks = if relies { 0 } else { work.view.policy.relied_operations_max() };
        if !work.has_room(1 + work.task(index).registrations.len() + checks) {
            break;
        }
        let condition = std::mem::replace(&mut work.conditions[index], Condition::Leaving);
        if condition == Condition::Healthy && !relies {
            relies = true;
            work.reserved = work.view.policy.relied_operations_max();
        }
        let task = work.task(index);
        let reason = match &condition {
            Condition::Unhealthy(unhealth) => {
                work.standing.push(unhealth.note(task.id.clone()));
                account::failed_checks(work, index);
                unhealth.stopped_reason()
            }
            _ => scaling_reason(task.deployment.as_ref()),
        };
        let now = work.now;
        let task = work.task_mut(index);
        stop(task, StopCode::ServiceSchedulerInitiated, reason, now);
        stopped.push(task.id.clone());
    }
    if relies {
        check_relied(work);
    }
    if !stopped.is_empty() {
        work.acted = true;
        work.happened.push(Note::Stopped(stopped));
    }
}

/// A healthy task is stopped because others are healthy: the commit conflicts if one of those is not any more.
fn check_relied(work: &mut Work<'_, '_>) {
    let healthy =
        work.conditions.iter().enumerate().filter(|(_, condition)| **condition == Condition::Healthy);
    let relied = healthy.take(work.minimum() as usize).map(|(index, _)| &work.view.tasks[index]);
    let mut checks = Vec::new();
    for each in relied {
        if checks.len() + 1 + each.targets.len() > work.view.policy.relied_operations_max() {
            break;
        }
        checks.push(Change::check(each.task.key(), each.task.revision));
        checks.extend(each.targets.iter().map(|target| Change::check(target.key(), target.revision)));
    }
    work.batch.extend(checks);
    work.reserved = 0;
}

fn start_tasks(work: &mut Work<'_, '_>, decision: &Decision, place: &mut Place<'_>, ids: &mut Ids) {
    let Some(deployment) = work.service.primary().cloned() else { return };
    let Some(definition) = work.view.definitions.get(&deployment.task_definition).copied() else { return };
    if deployment.start_failures >= Policy::FAILURES_TOLD && work.desired() > 0 {
        work.standing.push(Note::CannotStartConsistently);
    }
    // Not every stop that makes room may have fitted into this plan.
    let room = (work.maximum() as usize).saturating_sub(work.wanted().count());
    let count = decision.start.min(room);
    if count == 0 {
        return;
    }
    if let Some(until) = account::backoff_until(&deployment, work.now) {
        work.explained.push(Note::Backoff { failures: deployment.start_failures, until });
        work.wake(Some(until));
        return;
    }
    let mut started = Vec::new();
    while started.len() < count {
        // The task and its network interface.
        if !work.has_room(2) {
            break;
        }
        let mut task = new_task(&work.service, &deployment, definition, work.now, ids);
        match place(&mut task, ids) {
            Ok(changes) => work.batch.extend(changes),
            Err(Unplaced::Waits) => {}
            Err(Unplaced::Refused(reason)) => {
                work.standing.push(Note::CannotPlace(reason));
                work.wake(Some(work.now + Policy::PLACE_AGAIN_AFTER));
                break;
            }
        }
        started.push(task.id.clone());
        work.batch.add(Change::create(task));
    }
    if !started.is_empty() {
        work.acted = true;
        let replaced = decision.unhealthy.min(started.len());
        work.happened.push(Note::Started { tasks: started, replaced });
    }
}

fn note_what_is(work: &mut Work<'_, '_>, decision: &Decision) {
    let moved = std::mem::take(&mut work.moved);
    work.happened.extend(moved.into_notes());
    if decision.blocked {
        work.standing.push(Note::ConfigurationBlocks);
    }
    let (mut starting, mut pending) = (Vec::new(), Vec::new());
    for (index, condition) in work.conditions.iter().enumerate() {
        let task = work.task(index).id.clone();
        match condition {
            Condition::Starting => {
                if let Some(unused) = unused_target(&work.view.tasks[index]) {
                    work.standing.push(unused.note(task.clone()));
                }
                starting.push(task);
            }
            Condition::Pending => pending.push(task),
            Condition::Unhealthy(unhealth) => work.standing.push(unhealth.note(task)),
            Condition::Healthy | Condition::Leaving => {}
        }
    }
    if !starting.is_empty() {
        work.explained.push(Note::WaitingForHealth(starting));
    }
    if !pending.is_empty() {
        work.explained.push(Note::WaitingForNode(pending));
    }
}
