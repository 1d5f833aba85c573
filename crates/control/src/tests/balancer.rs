//! A load balancer that finds every target healthy, unless it was told otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gantry_domain::elb::{TargetHealth, TargetHealthState};
use gantry_link::{FromLb, Hello, PROTOCOL, Role, TargetGroupConfig, ToLb};
use gantry_types::{Arn, RegistrationId, TaskId};

use super::world::{Happening, LINK, World};
use crate::{Event, LinkId};

const PROBE: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
pub(super) struct FakeLb {
    pub(super) link: Option<LinkId>,
    pub(super) groups: BTreeMap<Arn, TargetGroupConfig>,
    pub(super) health: BTreeMap<RegistrationId, TargetHealthState>,
    /// How long requests in flight keep a target busy.
    pub(super) drains_after: Duration,
    pub(super) always_unhealthy: BTreeSet<TaskId>,
}

impl World {
    pub(super) fn lb_restarts(&mut self) {
        if let Some(link) = self.lb.link.take() {
            self.after(LINK, Happening::ToCore(Event::Gone(link)));
        }
        self.lb.groups.clear();
        self.lb.health.clear();
        self.after(Duration::from_millis(30), Happening::LbConnects);
    }

    pub(super) fn lb_connects(&mut self) {
        if self.core.is_none() || self.lb.link.is_some() {
            return;
        }
        let link = self.new_link();
        self.lb.link = Some(link);
        let hello = Hello {
            protocol: PROTOCOL,
            version: "0.1.0".to_owned(),
            role: Role::LoadBalancer { id: "local".into() },
        };
        self.after(LINK, Happening::ToCore(Event::Hello(link, hello)));
        // What it knows it says again.
        self.lb.health.clear();
        let groups: Vec<TargetGroupConfig> = self.lb.groups.values().cloned().collect();
        for group in groups {
            self.lb_judges(&group);
        }
    }

    pub(super) fn lb_hears(&mut self, message: ToLb) {
        match message {
            ToLb::TargetGroup(config) => {
                self.lb.groups.insert(config.group.arn.clone(), (*config).clone());
                self.lb_judges(&config);
            }
            ToLb::RemoveTargetGroup(arn) => {
                self.lb.groups.remove(&arn);
            }
            ToLb::LoadBalancer(config) => {
                for each in config.listeners {
                    let message = FromLb::Listener { listener: each.listener.arn, error: None };
                    self.lb_says(LINK, message);
                }
            }
            ToLb::RemoveLoadBalancer(_) | ToLb::Synced { .. } | ToLb::Heartbeat => {}
        }
    }

    pub(super) fn lb_judges(&mut self, config: &TargetGroupConfig) {
        for target in &config.targets {
            let (target_group, registration) = (target.target_group.clone(), target.registration.clone());
            if target.draining_since.is_some() {
                self.lb_says(self.lb.drains_after, FromLb::Drained { target_group, registration });
                continue;
            }
            let bad = target.task.as_ref().is_some_and(|task| self.lb.always_unhealthy.contains(task));
            let state = if bad { TargetHealthState::Unhealthy } else { TargetHealthState::Healthy };
            if config.in_use && self.lb.health.insert(registration.clone(), state) != Some(state) {
                self.lb_says(
                    PROBE,
                    FromLb::TargetHealth { target_group, registration, health: TargetHealth::new(state) },
                );
            }
        }
    }

    /// The targets' verdicts are given anew, after `always_unhealthy` was changed.
    pub(super) fn lb_probes_again(&mut self) {
        let groups: Vec<TargetGroupConfig> = self.lb.groups.values().cloned().collect();
        for group in groups {
            self.lb_judges(&group);
        }
    }

    pub(super) fn lb_says(&mut self, delay: Duration, message: FromLb) {
        if let Some(link) = self.lb.link {
            self.after(delay, Happening::FromLb(link, message));
        }
    }
}
