//! The world around the core: everything takes its time, and every message may be the last one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gantry_domain::assignment::TaskPhase;
use gantry_domain::elb::{Target, TargetHealthState};
use gantry_domain::service::{Service, ServiceStatus};
use gantry_domain::task::{StopCode, Task};
use gantry_domain::{Change, Key, Stored, View};
use gantry_link::{FromLb, FromNode, ToLb, ToNode};
use gantry_types::{Ids, Timestamp};

use super::balancer::FakeLb;
use super::node::FakeNode;
use super::records;
use crate::{CommitFailure, CommitId, Core, Effect, Event, Limits, LinkId};

pub(super) const LINK: Duration = Duration::from_millis(1);

/// Something that will happen. What goes over a link happens only if the link still exists.
#[derive(Debug, Clone)]
pub(super) enum Happening {
    Commit(CommitId, Vec<Change>),
    ToCore(Event),
    ToNode(LinkId, ToNode),
    FromNode(LinkId, FromNode),
    ToLb(LinkId, ToLb),
    FromLb(LinkId, FromLb),
    /// The node's own doing: a task goes on.
    Advance(Key, TaskPhase),
    StartCore,
    NodeConnects,
    LbConnects,
}

pub(super) struct World {
    pub(super) view: View,
    pub(super) now: Timestamp,
    pub(super) ids: Ids,
    pub(super) core: Option<Core>,
    pub(super) node: FakeNode,
    pub(super) lb: FakeLb,
    queue: BTreeMap<(Timestamp, u64), Happening>,
    wake_at: Option<Timestamp>,
    sequence: u64,
    last_link: u64,
    /// Events that the core was given.
    pub(super) steps: u64,
    /// Kill the core when it has been given so many events; the commits of its last step may be made all the same.
    pub(super) kill_after: Option<(u64, bool)>,
    pub(super) commits: u64,
    pub(super) commit_takes: Duration,
    /// Every so many commits fail, and as many are made though nobody is told.
    pub(super) commit_fails_every: Option<u64>,
    /// How far the core's clock is from the world's, in milliseconds.
    pub(super) clock_skew_ms: i64,
}

impl World {
    pub(super) fn new() -> Self {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let mut world = Self {
            view: View::default(),
            now,
            ids: Ids::from_seed(11),
            core: None,
            node: FakeNode::default(),
            lb: FakeLb { drains_after: Duration::from_millis(40), ..FakeLb::default() },
            queue: BTreeMap::new(),
            wake_at: None,
            sequence: 0,
            last_link: 0,
            steps: 0,
            kill_after: None,
            commits: 0,
            commit_takes: Duration::from_millis(3),
            commit_fails_every: None,
            clock_skew_ms: 0,
        };
        world.put(records::foundation(now));
        world.after(Duration::ZERO, Happening::StartCore);
        world
    }

    /// Makes a change as an API call would, and lets the core know.
    pub(super) fn put(&mut self, changes: Vec<Change>) {
        let keys = changes.iter().map(|change| change.key.clone()).collect();
        assert_eq!(self.view.check(&changes), Ok(()));
        let revision = self.view.revision() + 1;
        self.view.apply(changes, revision);
        self.after(Duration::ZERO, Happening::ToCore(Event::Changed(revision, keys)));
    }

    pub(super) fn service(&self, name: &str) -> Service {
        let key = Key::service(&records::region(), &"lab".into(), &name.into());
        self.view.get::<Service>(&key).expect("the service exists").cloned()
    }

    pub(super) fn change_service(&mut self, name: &str, change: impl FnOnce(&mut Service)) {
        let mut service = self.service(name);
        change(&mut service);
        self.put(vec![Change::put(service)]);
    }

    pub(super) fn change_task(&mut self, task: &Task, change: impl FnOnce(&mut Task)) {
        let mut task = self.view.get::<Task>(&task.key()).expect("the task exists").cloned();
        change(&mut task);
        self.put(vec![Change::put(task)]);
    }

    pub(super) fn tasks(&self) -> Vec<Task> {
        let mut tasks: Vec<Task> = self.view.scan::<Task>("").map(|task| task.cloned()).collect();
        tasks.sort_by(|a, b| (a.times.created_at, &a.id).cmp(&(b.times.created_at, &b.id)));
        tasks
    }

    pub(super) fn wanted(&self, service: &str) -> Vec<Task> {
        let of = |task: &Task| task.service.as_ref().is_some_and(|name| name.as_str() == service);
        self.tasks().into_iter().filter(|task| of(task) && task.is_wanted()).collect()
    }

    /// Healthy targets of a group that take requests.
    pub(super) fn healthy(&self, group: &str) -> usize {
        self.view
            .targets_of(&records::group_arn(group))
            .filter(|t| t.draining_since.is_none() && t.health.state == TargetHealthState::Healthy)
            .count()
    }

    /// Lets time pass until the condition holds; panics if it does not within `limit`.
    pub(super) fn until(&mut self, what: &str, limit: Duration, condition: impl Fn(&Self) -> bool) {
        let end = self.now + limit;
        while !condition(self) {
            assert!(self.next(end), "{what}: not within {limit:?}\n{}", self.describe());
        }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.next(end) {}
    }

    pub(super) fn describe(&self) -> String {
        let mut text = String::new();
        for task in self.tasks() {
            text.push_str(&format!(
                "{:?}\n",
                (&task.id, &task.last_status, &task.desired_status, &task.stopped_reason)
            ));
        }
        for service in self.view.scan::<Service>("") {
            text.push_str(&format!("{:?}\n", service.deployments));
            for event in self.view.events_of(&service.region, &service.cluster, &service.name) {
                text.push_str(&format!("{} {}\n", event.created_at, event.message));
            }
        }
        text
    }

    /// The next thing happens, no later than `end`; says whether anything did.
    fn next(&mut self, end: Timestamp) -> bool {
        let next = self.queue.keys().next().copied();
        let wake = self.wake_at.filter(|_| self.core.is_some());
        let wake_first = match (next, wake) {
            (Some((at, _)), Some(wake)) => wake < at,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if wake_first {
            let at = wake.unwrap_or(end).max(self.now);
            if at > end {
                self.now = end;
                return false;
            }
            self.now = at;
            self.step(Event::Tick);
            return true;
        }
        let Some(((at, sequence), _)) = next.map(|key| (key, ())) else {
            self.now = end;
            return false;
        };
        if at > end {
            self.now = end;
            return false;
        }
        self.now = self.now.max(at);
        if let Some(happening) = self.queue.remove(&(at, sequence)) {
            self.happen(happening);
        }
        true
    }

    pub(super) fn after(&mut self, delay: Duration, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((self.now + delay, self.sequence), happening);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::StartCore => {
                self.core = Some(Core::new(Limits::default()));
                self.step(Event::Tick);
                self.after(Duration::from_millis(5), Happening::NodeConnects);
                self.after(Duration::from_millis(7), Happening::LbConnects);
            }
            Happening::Commit(id, changes) => self.commit(id, changes),
            Happening::ToCore(event) => self.step(event),
            Happening::NodeConnects => self.node_connects(),
            Happening::LbConnects => self.lb_connects(),
            Happening::ToNode(link, message) if self.node.link == Some(link) => self.node_hears(message),
            Happening::ToLb(link, message) if self.lb.link == Some(link) => self.lb_hears(message),
            Happening::FromNode(link, message) if self.node.link == Some(link) => {
                self.step(Event::FromNode(link, message));
            }
            Happening::FromLb(link, message) if self.lb.link == Some(link) => {
                self.step(Event::FromLb(link, message));
            }
            Happening::ToNode(..) | Happening::ToLb(..) | Happening::FromNode(..) | Happening::FromLb(..) => {
            }
            Happening::Advance(key, phase) => self.node_advances(&key, phase),
        }
    }

    pub(super) fn step(&mut self, event: Event) {
        let Some(core) = &mut self.core else { return };
        self.steps += 1;
        let clock = Timestamp::from_millis(self.now.millis() + self.clock_skew_ms);
        let effects = core.step(&self.view, event, clock, &mut self.ids);
        let killed = self.kill_after.filter(|(steps, _)| self.steps >= *steps);
        for effect in effects {
            match effect {
                // Of the last step a commit may have reached the store, and nothing else got out.
                Effect::Commit(id, changes) if killed.is_none_or(|(_, commits)| commits) => {
                    assert!(changes.len() <= 128, "{} changes in one commit", changes.len());
                    self.after(self.commit_takes, Happening::Commit(id, changes));
                }
                _ if killed.is_some() => {}
                Effect::Commit(..) => {}
                Effect::ToNode(link, message) => self.after(LINK, Happening::ToNode(link, message)),
                Effect::ToLb(link, message) => self.after(LINK, Happening::ToLb(link, message)),
                Effect::Close(link, why) => panic!("{link:?} was closed: {why}"),
                Effect::WakeAt(at) => {
                    self.wake_at = Some(self.now + at.since(clock).min(Duration::from_secs(1)));
                }
            }
        }
        if killed.is_some() {
            self.kill_after = None;
            self.kill_core();
        }
    }

    /// `kill -9` of control; it is started again at once.
    pub(super) fn kill_core(&mut self) {
        if self.core.take().is_none() {
            // It is being started already.
            return;
        }
        self.wake_at = None;
        self.node.link = None;
        self.lb.link = None;
        // Events of the store went to the process that is gone.
        self.queue.retain(|_, happening| !matches!(happening, Happening::ToCore(_)));
        self.after(Duration::from_millis(10), Happening::StartCore);
    }

    fn commit(&mut self, id: CommitId, changes: Vec<Change>) {
        if self.view.check(&changes).is_err() {
            self.after(LINK, Happening::ToCore(Event::NotCommitted(id, CommitFailure::Conflict)));
            return;
        }
        let fate = self.commit_fails_every.map(|every| self.ids.below(every));
        if fate == Some(0) {
            let failure = [CommitFailure::Unavailable, CommitFailure::TooLarge][self.ids.below(2) as usize];
            self.after(LINK, Happening::ToCore(Event::NotCommitted(id, failure)));
            return;
        }
        let before = self.counts();
        let keys: Vec<Key> = changes.iter().map(|change| change.key.clone()).collect();
        let revision = self.view.revision() + 1;
        self.view.apply(changes, revision);
        self.commits += 1;
        self.check_limits(&before);
        let outcome = match fate {
            Some(1) => Event::NotCommitted(id, CommitFailure::Unavailable),
            _ => Event::Committed(id, revision),
        };
        self.after(Duration::ZERO, Happening::ToCore(outcome));
        match fate {
            Some(2) => self.after(LINK, Happening::ToCore(Event::ChangesMissed)),
            Some(3) => {}
            _ => self.after(Duration::ZERO, Happening::ToCore(Event::Changed(revision, keys))),
        }
    }

    /// How many tasks of each service are wanted, and which are healthy.
    fn counts(&self) -> BTreeMap<Key, (usize, BTreeSet<Key>)> {
        let count = |service: &Service| {
            let wanted: Vec<Task> = self.wanted(service.name.as_str());
            let healthy = wanted.iter().filter(|task| self.is_healthy(task)).map(|task| task.key()).collect();
            (wanted.len(), healthy)
        };
        self.view.scan::<Service>("").map(|service| (service.key(), count(&service))).collect()
    }

    fn is_healthy(&self, task: &Task) -> bool {
        !task.registrations.is_empty()
            && task.registrations.iter().all(|each| {
                let target = self.view.get::<Target>(&Key::target(&each.target_group, &each.registration));
                target.is_some_and(|target| target.health.state == TargetHealthState::Healthy)
            })
    }

    /// A commit never brings a service above its maximum, and never stops a healthy task when the minimum needs it.
    fn check_limits(&self, before: &BTreeMap<Key, (usize, BTreeSet<Key>)>) {
        for (key, (wanted, healthy)) in self.counts() {
            let service = self.view.get::<Service>(&key).expect("it was counted").cloned();
            let Some((wanted_before, healthy_before)) = before.get(&key) else { continue };
            let maximum = service.maximum() as usize;
            assert!(
                wanted <= *wanted_before || wanted <= maximum,
                "{key}: {wanted_before} -> {wanted} of {maximum}\n{}",
                self.describe()
            );
            let stopped_by_us = |task: &&Key| {
                let task = self.view.get::<Task>(task);
                task.is_some_and(|task| task.stop_code == Some(StopCode::ServiceSchedulerInitiated))
            };
            let stopped = healthy_before.difference(&healthy).filter(stopped_by_us).count();
            let minimum =
                if service.status == ServiceStatus::Active { service.minimum_healthy() as usize } else { 0 };
            assert!(
                stopped == 0 || healthy_before.len() - stopped >= minimum,
                "{key}: {stopped} of {} healthy ones stopped, {minimum} needed\n{}",
                healthy_before.len(),
                self.describe()
            );
        }
    }

    pub(super) fn new_link(&mut self) -> LinkId {
        self.last_link += 1;
        LinkId(self.last_link)
    }
}
