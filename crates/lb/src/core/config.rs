//! What `control` says, or what was kept of it.

use std::collections::{BTreeMap, BTreeSet};

use gantry_domain::elb::{RuleAction, Target, TargetHealthState};
use gantry_link::{LoadBalancerConfig, TargetGroupConfig, ToLb};
use gantry_routing::{HealthEvent, HealthSettings, TargetHealthMachine, UnusedReason};
use gantry_types::{Arn, RegistrationId, Timestamp};

use super::{Effect, Group, Leaving, State, TargetKey, TargetState, Told};

/// Where a message comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Control,
    Disk,
}

impl State {
    pub(super) fn on_message(
        &mut self,
        message: ToLb,
        origin: Origin,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        match message {
            ToLb::Heartbeat => return,
            ToLb::LoadBalancer(config) => {
                self.load_balancers.insert(config.load_balancer.arn.clone(), *config);
                self.on_load_balancers(now, effects);
            }
            ToLb::RemoveLoadBalancer(arn) => {
                self.load_balancers.remove(&arn);
                self.on_load_balancers(now, effects);
            }
            ToLb::TargetGroup(config) => self.on_target_group(*config, now, effects),
            ToLb::RemoveTargetGroup(arn) => self.remove_group(&arn, effects),
            ToLb::Synced { load_balancers, target_groups } => {
                let load_balancers: BTreeSet<Arn> = load_balancers.into_iter().collect();
                self.load_balancers.retain(|arn, _| load_balancers.contains(arn));
                let target_groups: BTreeSet<Arn> = target_groups.into_iter().collect();
                let gone: Vec<Arn> =
                    self.groups.keys().filter(|arn| !target_groups.contains(*arn)).cloned().collect();
                for arn in gone {
                    self.remove_group(&arn, effects);
                }
                self.on_load_balancers(now, effects);
            }
        }
        effects.push(Effect::Publish);
        if origin == Origin::Control {
            effects.push(Effect::Save);
        }
    }

    /// Load balancers or their rules have changed: which group is used by whom, and from where, may have as well.
    fn on_load_balancers(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.users = users(&self.load_balancers);
        let listeners: BTreeSet<&Arn> = self
            .load_balancers
            .values()
            .flat_map(|config| &config.listeners)
            .map(|listener| &listener.listener.arn)
            .collect();
        self.listeners.retain(|arn, _| listeners.contains(arn));
        for key in self.keys() {
            self.apply_use(&key, now, effects);
        }
    }

    fn on_target_group(&mut self, config: TargetGroupConfig, now: Timestamp, effects: &mut Vec<Effect>) {
        let arn = config.group.arn.clone();
        let settings = HealthSettings::of(&config.group.health_check);
        let records: BTreeMap<RegistrationId, Target> =
            config.targets.iter().map(|target| (target.registration.clone(), target.clone())).collect();
        let config = TargetGroupConfig { targets: Vec::new(), ..config };
        let group = self
            .groups
            .entry(arn.clone())
            .or_insert_with(|| Group { config: config.clone(), targets: BTreeMap::new() });
        group.config = config;
        let mut keys: BTreeSet<RegistrationId> = group.targets.keys().cloned().collect();
        keys.extend(records.keys().cloned());
        for registration in keys {
            let record = records.get(&registration);
            let key = TargetKey { target_group: arn.clone(), registration };
            self.on_record(&key, record, &settings, now, effects);
        }
    }

    /// One target as the message has it; `None` if the message has it no more.
    fn on_record(
        &mut self,
        key: &TargetKey,
        record: Option<&Target>,
        settings: &HealthSettings,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let Some(group) = self.groups.get_mut(&key.target_group) else { return };
        let target = match (group.targets.get_mut(&key.registration), record) {
            (Some(target), Some(record)) => {
                target.record = record.clone();
                target
            }
            (Some(target), None) => target,
            (None, Some(record)) => group
                .targets
                .entry(key.registration.clone())
                .or_insert_with(|| TargetState::taken_on(record, settings.clone(), now)),
            (None, None) => return,
        };
        target.machine.configure(settings.clone(), now);
        let since = match record {
            Some(record) => record.draining_since,
            None => Some(target.leaving.map_or(now, |leaving| leaving.since)),
        };
        let gone = record.is_none();
        match (since, &mut target.leaving) {
            // A registration that was told to leave never comes back, whatever an old message says.
            (None, Some(_) | None) => {}
            (Some(since), Some(leaving)) => *leaving = Leaving { since, gone, ..*leaving },
            (Some(since), None) => {
                target.leaving = Some(Leaving { since, empty: false, cut: false, gone });
                target.machine.on(HealthEvent::Deregistered, now);
                effects.push(Effect::Drain(key.clone()));
            }
        }
        self.apply_use(key, now, effects);
        self.report_drained(key, effects);
    }

    /// Whether the target is to be checked at all, and if not, why.
    fn apply_use(&mut self, key: &TargetKey, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get(&key.target_group) else { return };
        let Some(target) = group.targets.get(&key.registration) else { return };
        let user = self.users.get(&key.target_group).and_then(|arn| self.load_balancers.get(arn));
        let used = user.is_some() || group.config.in_use;
        let event = if !used {
            HealthEvent::Unused(UnusedReason::GroupNotInUse)
        } else if !zone_is_enabled(&target.record, user) {
            HealthEvent::Unused(UnusedReason::ZoneNotEnabled)
        } else if group.config.group.health_check.enabled {
            HealthEvent::Checked
        } else {
            HealthEvent::Unchecked
        };
        self.on_health(key, event, now, effects);
    }

    fn remove_group(&mut self, arn: &Arn, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.remove(arn) else { return };
        for (registration, target) in group.targets {
            let key = TargetKey { target_group: arn.clone(), registration };
            if let Some(due) = target.due {
                self.agenda.remove(&(due, key.clone()));
            }
            if target.leaving.is_none() {
                effects.push(Effect::Drain(key));
            }
        }
    }
}

impl TargetState {
    /// A registration that is new here. One with a health on record is taken for what it was: this process is new, not the
    /// target.
    fn taken_on(record: &Target, settings: HealthSettings, now: Timestamp) -> Self {
        let machine = match record.health.state {
            TargetHealthState::Initial | TargetHealthState::Unused => TargetHealthMachine::new(settings, now),
            TargetHealthState::Healthy
            | TargetHealthState::Unhealthy
            | TargetHealthState::Draining
            | TargetHealthState::Unavailable => TargetHealthMachine::recorded(settings, &record.health, now),
        };
        Self {
            record: record.clone(),
            machine,
            leaving: None,
            told: Told::default(),
            slow_start_from: None,
            due: None,
        }
    }
}

/// A target without a zone of the VPC (`all`, or an address outside) is reached from any.
fn zone_is_enabled(target: &Target, user: Option<&LoadBalancerConfig>) -> bool {
    match (&target.availability_zone, user) {
        (Some(zone), Some(user)) if zone.as_str() != "all" => {
            user.load_balancer.subnets.iter().any(|subnet| subnet.availability_zone == *zone)
        }
        _ => true,
    }
}

fn users(load_balancers: &BTreeMap<Arn, LoadBalancerConfig>) -> BTreeMap<Arn, Arn> {
    let mut users = BTreeMap::new();
    for (arn, config) in load_balancers {
        let actions = config.listeners.iter().flat_map(|listener| {
            let rules = listener.rules.iter().flat_map(|rule| &rule.actions);
            listener.listener.default_actions.iter().chain(rules)
        });
        for action in actions {
            if let RuleAction::Forward(forward) = action {
                for group in &forward.target_groups {
                    users.entry(group.target_group.clone()).or_insert_with(|| arn.clone());
                }
            }
        }
    }
    users
}
