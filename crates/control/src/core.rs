//! The loop itself.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use gantry_domain::{Batch, View};
use gantry_link::{Hello, PROTOCOL, Role};
use gantry_types::{Ids, SubnetId, Timestamp};

use crate::balancers::{Balancers, Said};
use crate::event::{Effect, Event, LinkId};
use crate::index::Registrations;
use crate::limits::Limits;
use crate::nodes::{Heard, NodeHello, Nodes};
use crate::placer::Placer;
use crate::queue::{Queue, Unit};
use crate::trigger::unit_of_task;
use crate::units;
use crate::vpc::vpc_specs;

/// The control loop's state: all of it can be rebuilt from the view and from what the links say.
#[derive(Debug)]
pub struct Core {
    pub(crate) limits: Limits,
    pub(crate) queue: Queue,
    pub(crate) nodes: Nodes,
    pub(crate) balancers: Balancers,
    pub(crate) placer: Placer,
    pub(crate) registrations: Registrations,
    /// Units with a task that has no place.
    pub(crate) waiting_for_place: BTreeSet<Unit>,
    pub(crate) vpcs_dirty: bool,
    /// Revisions of our own that were looked at already and of which the subscription has not told yet.
    settled: BTreeSet<u64>,
    /// `None` before the first step.
    pub(crate) started_at: Option<Timestamp>,
    next_full_pass: Timestamp,
    /// The time of the last step.
    last_step: Timestamp,
}

/// What a unit decided.
#[derive(Debug, Default)]
pub(crate) struct Decided {
    pub(crate) batch: Batch,
    /// Decide again at this time even if nothing happens.
    pub(crate) wake_at: Option<Timestamp>,
    /// Addresses that the batch takes.
    pub(crate) taken: Vec<(SubnetId, Ipv4Addr)>,
    /// Some task has no place.
    pub(crate) waits_for_place: bool,
}

impl Core {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            queue: Queue::default(),
            nodes: Nodes::default(),
            balancers: Balancers::default(),
            placer: Placer::default(),
            registrations: Registrations::default(),
            waiting_for_place: BTreeSet::new(),
            vpcs_dirty: true,
            settled: BTreeSet::new(),
            started_at: None,
            next_full_pass: Timestamp::EPOCH,
            last_step: Timestamp::EPOCH,
        }
    }

    /// Takes one event, with the view as it is now, and says what to do. The first step may be any event; the shell gives a
    /// [`Event::Tick`].
    pub fn step(&mut self, view: &View, event: Event, now: Timestamp, ids: &mut Ids) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.begin(view, now);
        self.take(view, event, now, &mut effects);
        self.settle(view);
        self.pass_time(view, now);
        self.decide(view, now, ids, &mut effects);
        if self.tell(view, &mut effects) {
            self.decide(view, now, ids, &mut effects);
        }
        let next = self.queue.next_time().into_iter().chain([self.next_full_pass]).min();
        effects.extend(next.map(Effect::WakeAt));
        effects
    }

    /// Whether nothing waits for a decision or for a commit; only time or news will bring more.
    pub fn is_idle(&self) -> bool {
        self.queue.is_idle()
    }

    fn begin(&mut self, view: &View, now: Timestamp) {
        if self.started_at.is_none() {
            self.started_at = Some(now);
            self.rebuild(view);
            self.queue.mark(Unit::Sweep);
        }
        if now < self.last_step {
            self.started_at = self.started_at.map(|at| at.min(now));
            self.next_full_pass = now;
            self.nodes.clock_jumped_back(now);
            self.queue.forget_times();
        }
        self.last_step = now;
    }

    /// The indexes over all records.
    fn rebuild(&mut self, view: &View) {
        self.registrations = Registrations::scan(view);
        self.placer.rebuild(view);
    }

    fn take(&mut self, view: &View, event: Event, now: Timestamp, effects: &mut Vec<Effect>) {
        match event {
            Event::Changed(revision, keys) => {
                // What a commit of ours changed has asked for its decisions when the commit ended.
                if !self.settled.remove(&revision) {
                    keys.iter().for_each(|key| self.trigger(view, key));
                }
                self.settled = self.settled.split_off(&revision);
            }
            Event::ChangesMissed => {
                self.settled.clear();
                self.rebuild(view);
                self.mark_everything(view);
            }
            Event::Committed(id, revision) => self.queue.committed(id, revision),
            Event::NotCommitted(id, failure) => {
                if let Some(commit) = self.queue.failed(id, failure, now) {
                    self.ended(view, &commit.keys, &commit.taken);
                }
            }
            Event::Hello(link, hello) => self.join(link, hello, now, effects),
            Event::FromNode(link, message) => match self.nodes.hear(link, message) {
                Heard::Nothing => {}
                Heard::Task(key) => {
                    if let Some(task) = view.get(&key) {
                        self.queue.mark(unit_of_task(view, &task));
                    }
                }
                Heard::Everything(node) => {
                    self.nodes.touch_all(view);
                    self.mark_tasks_of(view, &node);
                }
                Heard::Nonsense(what) => self.refuse(link, what, now, effects),
            },
            Event::FromLb(link, message) => match self.balancers.hear(link, message) {
                Said::Nothing => {}
                Said::Group(arn) => self.queue.mark(Unit::TargetGroup(arn)),
                Said::Listener(arn) => {
                    if let Some(listener) = view.listener(&arn) {
                        self.queue.mark(Unit::LoadBalancer(listener.load_balancer.clone()));
                    }
                }
                Said::Nonsense(what) => self.refuse(link, what, now, effects),
            },
            Event::Gone(link) => self.leave(view, link, now),
            Event::Tick => {}
        }
    }

    fn join(&mut self, link: LinkId, hello: Hello, now: Timestamp, effects: &mut Vec<Effect>) {
        if hello.protocol > PROTOCOL {
            let text =
                format!("it speaks protocol {}, this is {PROTOCOL}: upgrade control first", hello.protocol);
            effects.push(Effect::Close(link, text));
            return;
        }
        match hello.role {
            Role::Node { id, cpu, memory } => {
                let hello = NodeHello { id, version: hello.version, cpu, memory };
                self.queue.mark(hello.unit());
                if let Some(before) = self.nodes.join(link, hello, now) {
                    effects.push(Effect::Close(before, "the node has connected anew".to_owned()));
                }
            }
            Role::LoadBalancer { .. } => self.balancers.join(link),
        }
    }

    fn refuse(&mut self, link: LinkId, what: &str, now: Timestamp, effects: &mut Vec<Effect>) {
        if let Some(node) = self.nodes.leave(link, now) {
            self.queue.mark(Unit::Node(node));
        }
        self.balancers.leave(link);
        effects.push(Effect::Close(link, what.to_owned()));
    }

    fn leave(&mut self, view: &View, link: LinkId, now: Timestamp) {
        if let Some(node) = self.nodes.leave(link, now) {
            self.queue.mark(Unit::Node(node));
        }
        // What one process said holds no longer; another one's word may be enough now.
        if self.balancers.leave(link) {
            let groups = view.scan::<gantry_domain::elb::TargetGroup>("").map(|group| group.arn.clone());
            groups.for_each(|arn| self.queue.mark(Unit::TargetGroup(arn)));
        }
    }

    /// Ends the commits that the view shows.
    fn settle(&mut self, view: &View) {
        for commit in self.queue.take_seen(view.revision()) {
            self.settled.extend(commit.committed.filter(|_| commit.puts));
            for key in &commit.keys {
                self.trigger(view, key);
            }
            self.ended(view, &commit.keys, &commit.taken);
        }
    }

    fn ended(&mut self, view: &View, keys: &[gantry_domain::Key], taken: &[(SubnetId, Ipv4Addr)]) {
        keys.iter().for_each(|key| self.placer.take_over(view, key));
        self.placer.release(taken);
    }

    fn pass_time(&mut self, view: &View, now: Timestamp) {
        if now >= self.next_full_pass {
            self.next_full_pass = now + self.limits.full_pass_every;
            self.mark_everything(view);
        }
        self.queue.advance(now);
    }

    fn decide(&mut self, view: &View, now: Timestamp, ids: &mut Ids, effects: &mut Vec<Effect>) {
        for unit in self.queue.take_ready() {
            let decided = units::decide(self, view, &unit, now, ids);
            self.queue.wake(&unit, decided.wake_at);
            if decided.waits_for_place {
                self.waiting_for_place.insert(unit.clone());
            }
            if decided.batch.is_empty() {
                continue;
            }
            let changes = decided.batch.into_changes();
            let id = self.queue.begin(unit, &changes, decided.taken);
            effects.push(Effect::Commit(id, changes));
        }
    }

    /// Sends what the links do not know yet. Says whether something needs a decision because it was sent.
    fn tell(&mut self, view: &View, effects: &mut Vec<Effect>) -> bool {
        let specs = (self.vpcs_dirty || self.nodes.awaits_vpcs()).then(|| vpc_specs(view));
        self.vpcs_dirty = false;
        self.nodes.tell(view, specs.as_ref(), effects);
        let told = self.balancers.tell(view, effects);
        let any = !told.is_empty();
        for balancer in told {
            self.queue.mark(Unit::LoadBalancer(balancer));
        }
        any
    }
}
