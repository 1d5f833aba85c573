//! The process `lb`: the real core, in the place of its shell, with the targets' runtimes as far as draining reads them.

use std::collections::{BTreeMap, BTreeSet};

use gantry_control::LinkId;
use gantry_lb::core::{Effect, Event, ProbeOrder, State, TargetKey, step};
use gantry_link::{FromLb, ToLb};
use gantry_routing::ProbeResult;
use gantry_types::{Arn, Timestamp};

use crate::agenda::At;
use crate::happening::{FromChild, Happening, Peer};
use crate::machine::Address;
use crate::program::Answers;
use crate::trace::trace;
use crate::words::{short, to_lb};
use crate::world::World;

/// The shell writes its state so long after a change.
const SAVE_AFTER: u64 = 200;
const PROBE_MAX: u64 = 20;

#[derive(Debug, Default)]
pub(crate) struct Balancer {
    pub(crate) starts: u32,
    pub(crate) state: Option<State>,
    pub(crate) link: Option<LinkId>,
    /// What is on its disk.
    kept: Vec<ToLb>,
    is_save_planned: bool,
    tick_at: Option<At>,
    /// The wall clock when the process began, less the world's: its own clock does not jump.
    clock_ahead: i64,
    /// Targets that no request enters any more.
    pub(crate) closed: BTreeSet<TargetKey>,
    /// Requests in flight, by their numbers.
    pub(crate) in_flight: BTreeMap<TargetKey, BTreeSet<u64>>,
    pub(crate) refused: BTreeSet<TargetKey>,
    /// Targets of which this process said that they are drained.
    pub(crate) said_drained: BTreeSet<TargetKey>,
    listening: BTreeSet<Arn>,
}

impl World {
    pub(crate) fn balancer_starts(&mut self) {
        if self.balancer.state.is_some() {
            return;
        }
        let kept = std::mem::take(&mut self.balancer.kept);
        self.balancer = Balancer {
            starts: self.balancer.starts + 1,
            state: Some(State::default()),
            kept: kept.clone(),
            clock_ahead: self.clocks[0],
            ..Balancer::default()
        };
        trace!(self, "the balancer starts with {} messages", kept.len());
        for message in kept {
            self.balancer_hears(Event::Kept(Box::new(message)));
        }
        let start = self.balancer.starts;
        let delay = self.chance.below(20);
        self.agenda.after(delay, Happening::ToBalancer(start, Box::new(Event::PredecessorGone)));
        let delay = self.chance.below(50);
        self.agenda.after(delay, Happening::Connects(Peer::Balancer));
    }

    pub(crate) fn balancer_of(&mut self, start: u32, event: Event) {
        if self.balancer.starts == start {
            self.balancer_hears(event);
        }
    }

    pub(crate) fn balancer_hears(&mut self, event: Event) {
        let now = self.balancer_clock();
        let Some(state) = &mut self.balancer.state else { return };
        let mut listens = false;
        if let Event::Control(message) | Event::Kept(message) = &event {
            listens = matches!(**message, ToLb::LoadBalancer(_) | ToLb::Synced { .. });
            if self.trace.is_on() {
                let text = format!("the balancer is told: {}", to_lb(message));
                self.trace.line(self.agenda.now(), &text);
            }
        }
        for effect in step(state, event, now) {
            self.balancer_effect(effect);
        }
        if listens {
            self.follow_listeners();
        }
        self.plan_balancer_tick();
    }

    fn follow_listeners(&mut self) {
        let Some(state) = &self.balancer.state else { return };
        let configs = state.load_balancers().flat_map(|config| &config.listeners);
        let wanted: BTreeSet<Arn> = configs.map(|config| config.listener.arn.clone()).collect();
        let new: Vec<Arn> = wanted.difference(&self.balancer.listening).cloned().collect();
        self.balancer.listening = wanted;
        for listener in new {
            self.balancer_hears(Event::ListenerStatus { listener, error: None });
        }
    }

    fn balancer_clock(&self) -> Timestamp {
        crate::world::timestamp(self.agenda.now(), self.balancer.clock_ahead)
    }

    fn balancer_effect(&mut self, effect: Effect) {
        let start = self.balancer.starts;
        match effect {
            Effect::Report(message) => {
                if let FromLb::Drained { target_group, registration } = &message {
                    let key =
                        TargetKey { target_group: target_group.clone(), registration: registration.clone() };
                    trace!(self, "the balancer says that {} is drained", short(registration.as_str()));
                    self.check_drained(&key);
                    self.balancer.said_drained.insert(key);
                }
                if let Some(link) = self.balancer.link {
                    self.send_to_control(link, FromChild::Balancer(message));
                }
            }
            Effect::Probe(order) => {
                let (result, delay) = self.probe(&order);
                let event = Event::Probed { target: order.target, result };
                self.agenda.after(delay, Happening::ToBalancer(start, Box::new(event)));
            }
            Effect::Publish => {}
            Effect::Drain(key) => {
                self.balancer.closed.insert(key.clone());
                let busy = self.balancer.in_flight.get(&key).is_some_and(|requests| !requests.is_empty());
                trace!(self, "the balancer closes {}, busy: {busy}", short(key.registration.as_str()));
                if !busy || self.planted_drains_early() {
                    self.says_emptied(key);
                }
            }
            Effect::Readmit(key) => {
                self.balancer.refused.remove(&key);
            }
            Effect::Cut(key) => {
                let requests = self.balancer.in_flight.remove(&key);
                if requests.is_some_and(|requests| !requests.is_empty())
                    && self.balancer.closed.contains(&key)
                {
                    self.says_emptied(key);
                }
            }
            Effect::Save => {
                if !self.balancer.is_save_planned {
                    self.balancer.is_save_planned = true;
                    self.agenda.after(SAVE_AFTER, Happening::BalancerSaves(start));
                }
            }
        }
    }

    pub(crate) fn says_emptied(&mut self, key: TargetKey) {
        let (target_group, registration) = (key.target_group, key.registration);
        let event = Event::Emptied { target_group, registration };
        self.agenda.after(0, Happening::ToBalancer(self.balancer.starts, Box::new(event)));
    }

    fn probe(&mut self, order: &ProbeOrder) -> (ProbeResult, u64) {
        let timeout = u64::try_from(order.timeout.as_millis()).unwrap_or(u64::MAX);
        let quick = self.chance.between(1, PROBE_MAX);
        let address = Address::new(&order.outbound.vpc, *order.address.ip());
        let fails = self.weather.apps_fail(Some(address)) || self.chance.per_mille(self.swarm.probes_fail);
        let now = self.agenda.now();
        match self.server_at(address) {
            None if !self.addresses.contains_key(&address) => (ProbeResult::TimedOut, timeout),
            Some((_, server)) if server.listens(now) => match server.program.answers {
                Answers::AfterBoots(_) if !fails => (ProbeResult::Status(200), quick),
                Answers::AfterBoots(_) | Answers::WithErrors | Answers::Never => {
                    (ProbeResult::Status(503), quick)
                }
            },
            Some(_) | None => (ProbeResult::Failed, quick),
        }
    }

    fn plan_balancer_tick(&mut self) {
        let Some(wake_at) = self.balancer.state.as_ref().and_then(State::wake_at) else { return };
        let at = crate::world::world_time(wake_at, self.balancer.clock_ahead).max(self.agenda.now() + 1);
        if self.balancer.tick_at.is_none_or(|planned| planned > at) {
            self.balancer.tick_at = Some(at);
            self.agenda.at(at, Happening::BalancerTicks(self.balancer.starts));
        }
    }

    pub(crate) fn balancer_ticks(&mut self, start: u32) {
        if self.balancer.starts != start || self.balancer.tick_at != Some(self.agenda.now()) {
            return;
        }
        self.balancer.tick_at = None;
        let now = self.balancer_clock();
        if self.balancer.state.as_ref().and_then(State::wake_at).is_some_and(|wake_at| wake_at <= now) {
            self.balancer_hears(Event::Tick);
        }
        self.plan_balancer_tick();
    }

    pub(crate) fn balancer_saves(&mut self, start: u32) {
        if self.balancer.starts == start
            && let Some(state) = &self.balancer.state
        {
            self.balancer.is_save_planned = false;
            self.balancer.kept = state.kept_messages();
        }
    }

    /// `kill -9`: requests in flight fail.
    pub(crate) fn balancer_dies(&mut self) {
        if self.balancer.state.is_none() {
            return;
        }
        trace!(self, "the balancer is killed");
        self.drop_balancer();
        let delay = self.chance.log_between(10, 3_000);
        self.agenda.after(delay, Happening::BalancerStarts);
    }

    pub(crate) fn drop_balancer(&mut self) {
        self.balancer.state = None;
        self.balancer.starts += 1;
        self.balancer.in_flight.clear();
        self.child_is_gone(Peer::Balancer);
    }
}
