//! Clients of the load balancer: a few requests for each target group, some of them long.

use gantry_lb::core::{Event, Group, TargetKey};
use gantry_routing::{Availability, Standing, availability};

use crate::happening::Happening;
use crate::machine::Address;
use crate::trace::trace;
use crate::words::short;
use crate::world::World;

const PAUSE_MIN: u64 = 3_000;
const PAUSE_MAX: u64 = 30_000;
const REQUEST_MAX: u64 = 400;
const LONG_REQUEST_MAX: u64 = 120_000;

impl World {
    /// A client asks for a service's page.
    pub(crate) fn request(&mut self, service: usize) {
        let pause = self.chance.between(PAUSE_MIN, PAUSE_MAX);
        self.agenda.after(pause, Happening::Request(service));
        let draw = self.chance.number();
        let Some((key, address)) = self.choose_target(service, draw) else { return };
        self.check_request(&key, address);
        let now = self.agenda.now();
        let serves = self.server_at(address).is_some_and(|(_, server)| server.listens(now));
        if !serves {
            trace!(self, "a request is refused by {}", short(key.registration.as_str()));
            return self.connection_fails(key);
        }
        let lasts = if self.chance.per_mille(self.swarm.long_requests) {
            self.chance.below(LONG_REQUEST_MAX)
        } else {
            self.chance.below(REQUEST_MAX)
        };
        self.requests += 1;
        let number = self.requests;
        self.balancer.in_flight.entry(key.clone()).or_default().insert(number);
        self.agenda.after(lasts, Happening::RequestEnds(self.balancer.starts, key, number));
    }

    pub(crate) fn request_ends(&mut self, start: u32, key: TargetKey, number: u64) {
        if self.balancer.starts != start {
            return;
        }
        let Some(requests) = self.balancer.in_flight.get_mut(&key) else { return };
        if requests.remove(&number) && requests.is_empty() {
            self.balancer.in_flight.remove(&key);
            if self.balancer.closed.contains(&key) {
                self.says_emptied(key);
            }
        }
    }

    /// A server is gone: who was connected to it finds out.
    pub(crate) fn connections_end(&mut self, address: Address) {
        let Some(state) = &self.balancer.state else { return };
        let here = |group: &Group| -> Vec<TargetKey> {
            let vpc = &group.config().group.vpc;
            let targets = group.targets().filter(|it| Address::new(vpc, it.record().address) == address);
            targets
                .map(|target| TargetKey {
                    target_group: group.config().group.arn.clone(),
                    registration: target.record().registration.clone(),
                })
                .collect()
        };
        let keys: Vec<TargetKey> = state.groups().flat_map(here).collect();
        for key in keys {
            if self.balancer.in_flight.remove(&key).is_some() {
                if self.balancer.closed.contains(&key) {
                    self.says_emptied(key.clone());
                }
                self.connection_fails(key);
            }
        }
    }

    fn connection_fails(&mut self, key: TargetKey) {
        if self.balancer.refused.insert(key.clone()) {
            let (target_group, registration) = (key.target_group, key.registration);
            let event = Event::ConnectionFailed { target_group, registration };
            self.agenda.after(0, Happening::ToBalancer(self.balancer.starts, Box::new(event)));
        }
    }

    /// The target that a request for a service would get now.
    fn choose_target(&self, service: usize, draw: u64) -> Option<(TargetKey, Address)> {
        let state = self.balancer.state.as_ref()?;
        let name = self.operators.name(service);
        let group = state.groups().find(|group| group.config().group.name == *name)?;
        let open: Vec<(TargetKey, Address)> = self.choice(group);
        let open: Vec<_> = open.into_iter().filter(|(key, _)| !self.balancer.refused.contains(key)).collect();
        if open.is_empty() {
            return None;
        }
        let index = usize::try_from(draw % open.len() as u64).expect("below a length");
        open.into_iter().nth(index)
    }

    /// The targets of a group that the core lets requests be given to.
    pub(crate) fn choice(&self, group: &Group) -> Vec<(TargetKey, Address)> {
        let Some(state) = &self.balancer.state else { return Vec::new() };
        let key = |registration: &gantry_types::RegistrationId| TargetKey {
            target_group: group.config().group.arn.clone(),
            registration: registration.clone(),
        };
        // A group that no load balancer uses gets no requests.
        let reachable = |target: &&gantry_lb::core::TargetState| {
            state.outbound(&key(&target.record().registration)).is_some()
        };
        let targets: Vec<_> = group.targets().filter(reachable).collect();
        let standings: Vec<Standing> = targets.iter().map(|target| target.standing()).collect();
        let chosen = match availability(&standings, group.config().promised) {
            Availability::Serve(chosen) | Availability::FailOpen(chosen) => chosen,
            Availability::Hold | Availability::NoTargets => Vec::new(),
        };
        chosen
            .into_iter()
            .map(|index| targets[index].record())
            .map(|record| {
                (key(&record.registration), Address::new(&group.config().group.vpc, record.address))
            })
            .collect()
    }
}
