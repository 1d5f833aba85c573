//! The world: one seed's machines, processes, links, operators and faults, and the loop that lets things happen.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use gantry_types::{TaskId, Timestamp};

use crate::agenda::{Agenda, At};
use crate::balancer::Balancer;
use crate::chance::Chance;
use crate::check::Watched;
use crate::control::Control;
use crate::faults::Weather;
use crate::happening::Happening;
use crate::ledger::Ledger;
use crate::links::Links;
use crate::machine::{Address, Machine};
use crate::node::Node;
use crate::operator::{Kind, Operators, SERVICES};
use crate::planted::Planted;
use crate::records;
use crate::seams::Bugs;
use crate::swarm::Swarm;
use crate::trace::{Trace, Tracing};

/// So long faults happen: a simulated hour.
pub(crate) const FAULTS_LAST: At = 3_600_000;
/// Services are created within this time.
const CREATED_WITHIN: u64 = 30_000;
const BEGINNING: i64 = 1_700_000_000_000;
/// A world that has more happenings than this does not come to rest.
const HAPPENINGS_MAX: u64 = 5_000_000;

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule, as a sentence.
    pub invariant: &'static str,
    pub what: String,
    /// Milliseconds since the world began.
    pub at: u64,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) chance: Chance,
    pub(crate) swarm: Swarm,
    pub(crate) agenda: Agenda<Happening>,
    pub(crate) trace: Trace,
    /// How many milliseconds each machine's clock is ahead.
    pub(crate) clocks: Vec<i64>,
    pub(crate) control: Control,
    pub(crate) links: Links,
    pub(crate) nodes: Vec<Node>,
    pub(crate) machines: Vec<Machine>,
    /// Every interface that exists: its address, with its machine and task.
    pub(crate) addresses: BTreeMap<Address, (usize, TaskId)>,
    pub(crate) balancer: Balancer,
    pub(crate) operators: Operators,
    pub(crate) weather: Weather,
    pub(crate) ledger: Ledger,
    pub(crate) watched: Watched,
    pub(crate) requests: u64,
    pub(crate) bugs: Bugs,
    pub(crate) settled_at: Option<At>,
    pub(crate) violation: Option<Violation>,
    happenings: u64,
}

/// What the clock of a machine says that is so far ahead.
pub(crate) fn timestamp(at: At, ahead: i64) -> Timestamp {
    Timestamp::from_millis(BEGINNING + i64::try_from(at).unwrap_or(i64::MAX / 2) + ahead)
}

/// When such a clock says so; the beginning if that was before it.
pub(crate) fn world_time(timestamp: Timestamp, ahead: i64) -> At {
    u64::try_from(timestamp.millis().saturating_sub(BEGINNING).saturating_sub(ahead)).unwrap_or(0)
}

impl World {
    pub(crate) fn new(seed: u64, tracing: Tracing, planted: Option<Planted>) -> Self {
        let mut chance = Chance::new(seed);
        let swarm = Swarm::draw(&mut chance);
        let operators = Operators::new(&mut chance);
        let nodes = swarm.nodes;
        let mut world = Self {
            agenda: Agenda::new(),
            trace: Trace::new(tracing),
            clocks: vec![0; nodes],
            control: Control::new(chance.number()),
            links: Links::default(),
            nodes: (0..nodes).map(|_| Node::default()).collect(),
            machines: (0..nodes).map(|_| Machine::default()).collect(),
            addresses: BTreeMap::new(),
            balancer: Balancer::default(),
            operators,
            weather: Weather::default(),
            ledger: Ledger::default(),
            watched: Watched::default(),
            requests: 0,
            bugs: Bugs::new(planted),
            settled_at: None,
            violation: None,
            happenings: 0,
            chance,
            swarm,
        };
        world.control.disk.forgets_syncs.store(world.bugs.forgets_syncs(), Ordering::Relaxed);
        world.plan();
        world
    }

    /// What everything begins with.
    fn plan(&mut self) {
        self.found();
        self.agenda.after(0, Happening::ControlStarts);
        self.agenda.after(5, Happening::BalancerStarts);
        for index in 0..self.nodes.len() {
            self.agenda.after(5, Happening::NodeStarts(index));
        }
        for service in 0..SERVICES {
            let delay = self.chance.below(CREATED_WITHIN);
            let revision = self.draw_revision();
            self.call(delay, Kind::Create { service, revision });
            if self.operators.is_balanced(service) {
                let delay = self.chance.below(CREATED_WITHIN);
                self.agenda.after(delay, Happening::Request(service));
            }
        }
        self.agenda.after(CREATED_WITHIN, Happening::Operate);
        for (fault, interval) in self.swarm.faults.clone() {
            let delay = self.chance.below(2 * interval);
            self.agenda.after(delay, Happening::Fault(fault, interval));
        }
        self.agenda.at(FAULTS_LAST, Happening::CalmBegins);
    }

    /// Makes the records that were there before the story begins.
    fn found(&mut self) {
        let now = self.wall(0);
        let mut commits = vec![records::foundation(self.swarm.subnet_prefix, now)];
        for service in 0..SERVICES {
            if self.operators.is_balanced(service) {
                let port = 8_000 + u16::try_from(service).expect("services are few");
                let name = self.operators.name(service).to_owned();
                commits.push(records::target_group(&name, port, &mut self.chance, now));
            }
        }
        let mut database = self.open_database().expect("a new disk works");
        for changes in commits {
            let revision = database.commit(changes.clone()).expect("a new disk works");
            self.ledger.acknowledge(changes, revision).expect("nobody else commits");
        }
    }

    /// Lets everything happen, until the world has come to rest or a rule is broken.
    pub(crate) fn run(&mut self) {
        while self.violation.is_none() && self.settled_at.is_none() {
            let Some(happening) = self.agenda.pop() else {
                return self.violate("time goes on", "nothing is about to happen".to_owned());
            };
            self.happenings += 1;
            if self.happenings > HAPPENINGS_MAX {
                self.violate("time goes on", format!("{HAPPENINGS_MAX} happenings"));
            }
            self.trace.mix(self.agenda.now());
            self.trace.mix(self.ledger.view.revision());
            self.happen(happening);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::ControlStarts => self.control_starts(),
            Happening::ToCore(start, event) => self.core_of(start, *event),
            Happening::CoreTicks(start) => self.core_ticks(start),
            Happening::StoreWrites(start) => self.store_writes(start),
            Happening::Connects(peer) => self.connects(peer),
            Happening::AtControl(link, message) => self.at_control(link, *message),
            Happening::AtChild(link, message) => self.at_child(link, *message),
            Happening::Ends(link, end) => self.link_ends(link, end),
            Happening::LateAtNode(index, start, message) => self.late_at_node(index, start, *message),
            Happening::LateAtControl(link, message) => self.late_at_control(link, *message),
            Happening::NodeStarts(index) => self.node_starts(index),
            Happening::ToNode(index, start, event) => self.node_of(index, start, *event),
            Happening::NodeTicks(index, start) => self.node_ticks(index, start),
            Happening::TaskWritten(index, start, task) => self.task_written(index, start, &task),
            Happening::NetworkIsUp(index, start, task) => self.network_is_up(index, start, &task),
            Happening::TaskCleaned(index, start, task) => self.task_cleaned(index, start, &task),
            Happening::ContainerBegins(machine, boot, of) => self.container_begins(machine, boot, &of),
            Happening::ContainerEnds(machine, boot, of, how) => self.container_ends(machine, boot, &of, how),
            Happening::BalancerStarts => self.balancer_starts(),
            Happening::ToBalancer(start, event) => self.balancer_of(start, *event),
            Happening::BalancerTicks(start) => self.balancer_ticks(start),
            Happening::BalancerSaves(start) => self.balancer_saves(start),
            Happening::Request(service) => self.request(service),
            Happening::RequestEnds(start, key, number) => self.request_ends(start, key, number),
            Happening::Operate => self.operate(),
            Happening::Attempt(operation) => self.attempt(*operation),
            Happening::Fault(fault, interval) => self.fault(fault, interval),
            Happening::Ceases(condition) => self.ceases(condition),
            Happening::CalmBegins => self.calm_begins(),
            Happening::LooksWhetherSettled => self.look_whether_settled(),
        }
    }

    /// What a machine's clock says.
    pub(crate) fn wall(&self, machine: usize) -> Timestamp {
        timestamp(self.agenda.now(), self.clocks[machine])
    }

    /// When a machine's clock will say so, if it does not jump.
    pub(crate) fn at_of(&self, machine: usize, timestamp: Timestamp) -> At {
        world_time(timestamp, self.clocks[machine])
    }

    /// A rule is broken; the first one counts.
    pub(crate) fn violate(&mut self, invariant: &'static str, what: impl Into<String>) {
        if self.violation.is_none() {
            self.violation = Some(Violation { invariant, what: what.into(), at: self.agenda.now() });
        }
    }

    pub(crate) fn happenings(&self) -> u64 {
        self.happenings
    }
}
