//! Everything of the balancer that is not a request: what `control` says, health checks, draining, reports.
//!
//! Flow: the shell feeds [`Event`]s to [`step`], in the order in which they happen, and does the [`Effect`]s that come out.
//! It wakes the core with [`Event::Tick`] at [`State::wake_at`]. Requests read what the shell publishes from the state; what they
//! meet comes back as events.
//!
//! Invariants:
//! - The same events at the same times give the same effects; time is an argument.
//! - A message that comes twice changes nothing the second time.
//! - Losing the link loses no report: after the next `Hello` everything that `control` does not know yet is said again.
//! - `Drained` is said only of a draining target on which the shell has seen no request since it closed the target, and not
//!   while a process before this one may have requests in flight.
//! - A registration that was told to leave never comes back.

mod config;
mod groups;
mod sockets;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use gantry_domain::elb::{Target, TargetHealth};
use gantry_link::{FromLb, LoadBalancerConfig, TargetGroupConfig, ToLb};
use gantry_routing::{HealthEvent, ProbeResult, Standing, TargetHealthMachine};
use gantry_types::{Arn, RegistrationId, Timestamp};

use crate::outbound::Outbound;

pub use sockets::{SocketPurpose, SocketSpec, wanted_sockets};

/// One registration of one target in one group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetKey {
    pub target_group: Arn,
    pub registration: RegistrationId,
}

/// What happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A message of `control`.
    Control(Box<ToLb>),
    /// A message that was kept on disk, before `control` is heard.
    Kept(Box<ToLb>),
    /// The link is up and `Hello` was said.
    LinkUp,
    LinkDown,
    /// The answer to [`Effect::Probe`], exactly one each.
    Probed {
        target: TargetKey,
        result: ProbeResult,
    },
    /// A request's connection was refused, reset or not answered.
    ConnectionFailed {
        target_group: Arn,
        registration: RegistrationId,
    },
    /// After [`Effect::Drain`]: no request is in flight on the target, and none can come.
    Emptied {
        target_group: Arn,
        registration: RegistrationId,
    },
    /// No process before this one has requests in flight any more.
    PredecessorGone,
    /// A listener's sockets are open, or why they are not.
    ListenerStatus {
        listener: Arn,
        error: Option<String>,
    },
    /// The time of [`State::wake_at`] has come.
    Tick,
}

/// What the shell does.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Tell `control`.
    Report(FromLb),
    /// Check the target's health once.
    Probe(Box<ProbeOrder>),
    /// Requests read the state anew.
    Publish,
    /// Let no further request enter the target, and say [`Event::Emptied`] when none is in flight.
    Drain(TargetKey),
    /// A probe has succeeded: the target is in choice again.
    Readmit(TargetKey),
    /// End the requests that still run on the target.
    Cut(TargetKey),
    /// Write [`State::kept_messages`] to disk.
    Save,
}

/// One health check to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeOrder {
    pub target: TargetKey,
    pub address: std::net::SocketAddrV4,
    pub outbound: Outbound,
    pub path: String,
    pub timeout: std::time::Duration,
    pub protocol: gantry_domain::elb::TargetProtocol,
}

/// All that the balancer knows.
#[derive(Debug, Default)]
pub struct State {
    load_balancers: BTreeMap<Arn, LoadBalancerConfig>,
    groups: BTreeMap<Arn, Group>,
    /// Which load balancer forwards to a group; AWS allows one.
    users: BTreeMap<Arn, Arn>,
    /// When each target wants to be looked at.
    agenda: BTreeSet<(Timestamp, TargetKey)>,
    listeners: BTreeMap<Arn, Option<String>>,
    linked: bool,
    predecessor: Predecessor,
}

/// Whether a process before this one may still have requests in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Predecessor {
    #[default]
    Possible,
    Gone,
}

/// A target group and its targets, those that are leaving included.
#[derive(Debug)]
pub struct Group {
    /// Without its targets: they are below.
    config: TargetGroupConfig,
    targets: BTreeMap<RegistrationId, TargetState>,
}

/// What is known of one target.
#[derive(Debug)]
pub struct TargetState {
    record: Target,
    machine: TargetHealthMachine,
    leaving: Option<Leaving>,
    /// What `control` was told since the link is up.
    told: Told,
    slow_start_from: Option<Timestamp>,
    /// Its place in the agenda.
    due: Option<Timestamp>,
}

/// A target that gets no new request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Leaving {
    since: Timestamp,
    empty: bool,
    cut: bool,
    /// `control` has the registration no more: there is nothing to report, and it is forgotten at the end of the delay.
    gone: bool,
}

#[derive(Debug, Default)]
struct Told {
    health: Option<TargetHealth>,
    drained: bool,
}

/// Takes one event, and gives what is to be done, in this order.
pub fn step(state: &mut State, event: Event, now: Timestamp) -> Vec<Effect> {
    let mut effects = Vec::new();
    match event {
        Event::Control(message) => state.on_message(*message, config::Origin::Control, now, &mut effects),
        Event::Kept(message) => state.on_message(*message, config::Origin::Disk, now, &mut effects),
        Event::LinkUp => state.on_link_up(&mut effects),
        Event::LinkDown => state.linked = false,
        Event::Probed { target, result } => {
            state.on_health(&target, HealthEvent::Probed(result), now, &mut effects);
        }
        Event::ConnectionFailed { target_group, registration } => {
            let target = TargetKey { target_group, registration };
            state.on_health(&target, HealthEvent::ConnectionFailed, now, &mut effects);
        }
        Event::Emptied { target_group, registration } => {
            state.on_emptied(&TargetKey { target_group, registration }, &mut effects);
        }
        Event::PredecessorGone => {
            state.predecessor = Predecessor::Gone;
            for key in state.keys() {
                state.report_drained(&key, &mut effects);
            }
        }
        Event::ListenerStatus { listener, error } => state.on_listener(listener, error, &mut effects),
        Event::Tick => {}
    }
    state.on_time(now, &mut effects);
    effects
}

impl State {
    /// When the core wants its next [`Event::Tick`].
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.agenda.first().map(|(at, _)| *at)
    }

    pub fn load_balancers(&self) -> impl Iterator<Item = &LoadBalancerConfig> {
        self.load_balancers.values()
    }

    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// Leaving targets of which it is not known that no request is in flight.
    pub fn awaiting_empty(&self) -> Vec<TargetKey> {
        let awaits = |target: &TargetState| target.leaving.is_some_and(|leaving| !leaving.empty);
        self.keys().into_iter().filter(|key| self.target(key).is_some_and(awaits)).collect()
    }

    /// Whether it is known here that a target refuses connections.
    pub fn is_refused(&self, key: &TargetKey) -> bool {
        self.target(key).is_some_and(|target| target.machine.standing().refused)
    }

    /// The messages that bring a new process to where this one is.
    pub fn kept_messages(&self) -> Vec<ToLb> {
        let load_balancers =
            self.load_balancers.values().map(|config| ToLb::LoadBalancer(Box::new(config.clone())));
        let groups = self.groups.values().map(|group| ToLb::TargetGroup(Box::new(group.kept())));
        load_balancers.chain(groups).collect()
    }

    fn on_link_up(&mut self, effects: &mut Vec<Effect>) {
        self.linked = true;
        for target in self.groups.values_mut().flat_map(|group| group.targets.values_mut()) {
            target.told = Told::default();
        }
        for (listener, error) in &self.listeners {
            effects
                .push(Effect::Report(FromLb::Listener { listener: listener.clone(), error: error.clone() }));
        }
    }

    fn on_listener(&mut self, listener: Arn, error: Option<String>, effects: &mut Vec<Effect>) {
        if self.listeners.get(&listener) == Some(&error) {
            return;
        }
        self.listeners.insert(listener.clone(), error.clone());
        if self.linked {
            effects.push(Effect::Report(FromLb::Listener { listener, error }));
        }
    }

    /// Everything that is due.
    fn on_time(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        while let Some((due, key)) = self.agenda.first().cloned() {
            if due > now {
                break;
            }
            self.agenda.pop_first();
            if let Some(target) = self.target_mut(&key) {
                target.due = None;
            }
            self.on_due(&key, now, effects);
            self.schedule(&key);
        }
    }

    fn keys(&self) -> Vec<TargetKey> {
        let keys = self.groups.iter().flat_map(|(arn, group)| {
            group.targets.keys().map(|registration| TargetKey {
                target_group: arn.clone(),
                registration: registration.clone(),
            })
        });
        keys.collect()
    }

    fn target(&self, key: &TargetKey) -> Option<&TargetState> {
        self.groups.get(&key.target_group)?.targets.get(&key.registration)
    }

    fn target_mut(&mut self, key: &TargetKey) -> Option<&mut TargetState> {
        self.groups.get_mut(&key.target_group)?.targets.get_mut(&key.registration)
    }
}

impl Group {
    pub fn config(&self) -> &TargetGroupConfig {
        &self.config
    }

    /// Its targets, those that are leaving included.
    pub fn targets(&self) -> impl Iterator<Item = &TargetState> {
        self.targets.values()
    }

    pub fn has(&self, registration: &RegistrationId) -> bool {
        self.targets.contains_key(registration)
    }

    /// The group as `control` sent it, with each target's health as it is known here.
    fn kept(&self) -> TargetGroupConfig {
        let targets =
            self.targets.values().filter(|target| target.leaving.is_none_or(|leaving| !leaving.gone));
        let targets =
            targets.map(|target| Target { health: target.machine.health(), ..target.record.clone() });
        TargetGroupConfig { targets: targets.collect(), ..self.config.clone() }
    }
}

impl TargetState {
    pub fn record(&self) -> &Target {
        &self.record
    }
    pub fn standing(&self) -> Standing {
        self.machine.standing()
    }
    /// Since when the target gets a growing share only.
    pub fn slow_start_from(&self) -> Option<Timestamp> {
        self.slow_start_from
    }
}
