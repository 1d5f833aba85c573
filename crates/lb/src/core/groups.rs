//! Targets over time: probes, health, draining, reports.

use gantry_domain::elb::TargetHealthState;
use gantry_link::FromLb;
use gantry_routing::HealthEvent;
use gantry_types::Timestamp;

use super::{Effect, Predecessor, ProbeOrder, State, TargetKey};
use crate::outbound::Outbound;

impl State {
    /// Feeds a target's machine, and does what follows from its new health.
    pub(super) fn on_health(
        &mut self,
        key: &TargetKey,
        event: HealthEvent,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let Some(target) = self.target_mut(key) else { return };
        let before = target.machine.standing();
        target.machine.on(event, now);
        let after = target.machine.standing();
        if before.refused && !after.refused {
            effects.push(Effect::Readmit(key.clone()));
        }
        if before != after {
            self.apply_slow_start(key, before.state, now);
            effects.push(Effect::Publish);
            effects.push(Effect::Save);
        }
        self.report_health(key, effects);
        self.schedule(key);
    }

    /// A target starts slowly if another one is already there to carry the load.
    fn apply_slow_start(&mut self, key: &TargetKey, before: TargetHealthState, now: Timestamp) {
        let Some(group) = self.groups.get_mut(&key.target_group) else { return };
        let duration = group.config.group.slow_start();
        let carried = group.targets.iter().any(|(registration, other)| {
            *registration != key.registration
                && other.machine.standing().state == TargetHealthState::Healthy
                && other.slow_start_from.is_none_or(|from| now.since(from) >= duration)
        });
        let Some(target) = group.targets.get_mut(&key.registration) else { return };
        let healthy = target.machine.standing().state == TargetHealthState::Healthy;
        if !healthy {
            target.slow_start_from = None;
        } else if before != TargetHealthState::Healthy {
            target.slow_start_from = (!duration.is_zero() && carried).then_some(now);
        }
    }

    /// Says a target's health if `control` does not know it. Of a draining target `control` knows more than we.
    fn report_health(&mut self, key: &TargetKey, effects: &mut Vec<Effect>) {
        let linked = self.linked;
        let Some(target) = self.target_mut(key) else { return };
        if !linked || target.leaving.is_some() {
            return;
        }
        let health = target.machine.health();
        if target.told.health.as_ref().unwrap_or(&target.record.health) == &health {
            return;
        }
        target.told.health = Some(health.clone());
        effects.push(Effect::Report(FromLb::TargetHealth {
            target_group: key.target_group.clone(),
            registration: key.registration.clone(),
            health,
        }));
    }

    pub(super) fn on_emptied(&mut self, key: &TargetKey, effects: &mut Vec<Effect>) {
        if let Some(leaving) = self.target_mut(key).and_then(|target| target.leaving.as_mut()) {
            leaving.empty = true;
        }
        self.report_drained(key, effects);
    }

    pub(super) fn report_drained(&mut self, key: &TargetKey, effects: &mut Vec<Effect>) {
        if !self.linked || self.predecessor != Predecessor::Gone {
            return;
        }
        let Some(target) = self.target_mut(key) else { return };
        let done = target.leaving.is_some_and(|leaving| leaving.empty && !leaving.gone);
        if done && !target.told.drained && !target.record.drained {
            target.told.drained = true;
            effects.push(Effect::Report(FromLb::Drained {
                target_group: key.target_group.clone(),
                registration: key.registration.clone(),
            }));
        }
    }

    /// A target's time has come: a probe, or the end of its deregistration delay.
    pub(super) fn on_due(&mut self, key: &TargetKey, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.cut_at(key).is_some_and(|at| at <= now) {
            let Some(target) = self.target_mut(key) else { return };
            let Some(leaving) = &mut target.leaving else { return };
            if !leaving.cut {
                leaving.cut = true;
                effects.push(Effect::Cut(key.clone()));
            }
            if leaving.gone
                && let Some(group) = self.groups.get_mut(&key.target_group)
            {
                group.targets.remove(&key.registration);
                effects.push(Effect::Publish);
            }
            return;
        }
        let Some(order) = self.probe_order(key) else { return };
        let Some(target) = self.target_mut(key) else { return };
        if target.machine.probe_at().is_some_and(|at| at <= now) {
            target.machine.begin_probe(now);
            effects.push(Effect::Probe(Box::new(order)));
        }
    }

    /// Puts a target where it belongs in the agenda.
    pub(super) fn schedule(&mut self, key: &TargetKey) {
        let probe = self.users.contains_key(&key.target_group);
        let probe_at = self.target(key).filter(|_| probe).and_then(|target| target.machine.probe_at());
        let due = [probe_at, self.cut_at(key)].into_iter().flatten().min();
        let Some(target) = self.target_mut(key) else { return };
        let before = std::mem::replace(&mut target.due, due);
        if before == due {
            return;
        }
        if let Some(before) = before {
            self.agenda.remove(&(before, key.clone()));
        }
        if let Some(due) = due {
            self.agenda.insert((due, key.clone()));
        }
    }

    /// When the requests that still run on a leaving target end; `None` once that is done.
    fn cut_at(&self, key: &TargetKey) -> Option<Timestamp> {
        let group = self.groups.get(&key.target_group)?;
        let leaving = group.targets.get(&key.registration)?.leaving?;
        let wanted = !leaving.cut || leaving.gone;
        wanted.then(|| leaving.since + group.config.group.deregistration_delay())
    }

    fn probe_order(&self, key: &TargetKey) -> Option<ProbeOrder> {
        let group = self.groups.get(&key.target_group)?;
        let target = group.targets.get(&key.registration)?;
        let check = &group.config.group.health_check;
        let port = check.port.unwrap_or(target.record.port);
        Some(ProbeOrder {
            target: key.clone(),
            address: std::net::SocketAddrV4::new(target.record.address, port),
            outbound: self.outbound(key)?,
            path: check.path.clone(),
            timeout: check.timeout,
            protocol: check.protocol,
        })
    }

    /// From where a target is reached: its load balancer's address in the target's zone, else its first one.
    pub fn outbound(&self, key: &TargetKey) -> Option<Outbound> {
        let target = self.target(key)?;
        let user = &self.load_balancers.get(self.users.get(&key.target_group)?)?.load_balancer;
        let zone = target.record.availability_zone.as_ref();
        let same_zone = user.subnets.iter().find(|subnet| Some(&subnet.availability_zone) == zone);
        let subnet = same_zone.or(user.subnets.first())?;
        Some(Outbound { vpc: user.vpc.clone(), source: subnet.address })
    }
}
