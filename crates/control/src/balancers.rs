//! What the load balancers said, and what they were told.

use std::collections::{BTreeMap, BTreeSet};

use gantry_domain::elb::{
    Listener, LoadBalancer, LoadBalancerState, Rule, RuleAction, Target, TargetGroup, TargetHealth,
};
use gantry_domain::network::SecurityGroup;
use gantry_domain::service::{Service, ServiceStatus};
use gantry_domain::{Key, View};
use gantry_link::{FromLb, ListenerConfig, LoadBalancerConfig, TargetGroupConfig, ToLb};
use gantry_types::{Arn, RegistrationId, Value};

use crate::event::{Effect, LinkId};
use crate::limits::TARGETS_PER_BALANCER_MAX;

/// All load balancer processes that are connected. While one takes over from another there are two.
#[derive(Debug, Default)]
pub(crate) struct Balancers {
    links: BTreeMap<LinkId, BalancerLink>,
    dirty_groups: BTreeSet<Arn>,
    dirty_balancers: BTreeSet<Arn>,
    /// Everything is compared: what forwards where may have changed, or something is gone.
    all_dirty: bool,
}

#[derive(Debug, Default)]
struct BalancerLink {
    synced: bool,
    balancers: BTreeMap<Arn, LoadBalancerConfig>,
    /// As sent last.
    groups: BTreeMap<Arn, TargetGroupConfig>,
    health: BTreeMap<(Arn, RegistrationId), TargetHealth>,
    drained: BTreeSet<(Arn, RegistrationId)>,
    listeners: BTreeMap<Arn, Option<String>>,
}

/// What a message asks the core to decide anew.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Nothing,
    Group(Arn),
    Listener(Arn),
    Nonsense(&'static str),
}

/// How far a load balancer's listeners are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Listening {
    /// No process has everything of it yet.
    NotYet,
    Ready,
    /// Some listener cannot listen.
    Impaired(String),
}

impl Balancers {
    pub(crate) fn join(&mut self, link: LinkId) {
        self.links.insert(link, BalancerLink::default());
        self.all_dirty = true;
    }

    pub(crate) fn leave(&mut self, link: LinkId) -> bool {
        self.links.remove(&link).is_some()
    }

    pub(crate) fn hear(&mut self, link: LinkId, message: FromLb) -> Said {
        let Some(balancer) = self.links.get_mut(&link) else { return Said::Nothing };
        if balancer.health.len() + balancer.drained.len() > TARGETS_PER_BALANCER_MAX {
            return Said::Nonsense("it spoke of more targets than there can be");
        }
        match message {
            FromLb::TargetHealth { target_group, registration, health } => {
                balancer.health.insert((target_group.clone(), registration), health);
                Said::Group(target_group)
            }
            FromLb::Drained { target_group, registration } => {
                balancer.drained.insert((target_group.clone(), registration));
                Said::Group(target_group)
            }
            FromLb::Listener { listener, error } => {
                balancer.listeners.insert(listener.clone(), error);
                Said::Listener(listener)
            }
            FromLb::Hello(_) => Said::Nonsense("it said Hello twice"),
            FromLb::Heartbeat => Said::Nothing,
        }
    }

    /// The newest process's verdict on a target.
    pub(crate) fn health(&self, target: &Target) -> Option<&TargetHealth> {
        let key = (target.target_group.clone(), target.registration.clone());
        self.links.values().rev().find_map(|link| link.health.get(&key))
    }

    /// Every process that knows of the target says that nothing is in flight on it, and at least one does.
    pub(crate) fn is_drained(&self, target: &Target) -> bool {
        let key = (target.target_group.clone(), target.registration.clone());
        let knows = |link: &&BalancerLink| {
            let config = link.groups.get(&target.target_group);
            config.is_some_and(|config| {
                config.targets.iter().any(|each| each.registration == target.registration)
            })
        };
        let mut said = self.links.values().filter(knows).map(|link| link.drained.contains(&key)).peekable();
        said.peek().is_some() && said.all(|drained| drained)
    }

    /// How far the newest process that knows of the load balancer is with it.
    pub(crate) fn listening(&self, view: &View, balancer: &Arn) -> Listening {
        let Some(link) = self.links.values().rev().find(|link| link.balancers.contains_key(balancer)) else {
            return Listening::NotYet;
        };
        for listener in view.listeners_of(balancer) {
            match link.listeners.get(&listener.arn) {
                None => return Listening::NotYet,
                Some(Some(error)) => {
                    return Listening::Impaired(format!("Listener on port {}: {error}", listener.port));
                }
                Some(None) => {}
            }
        }
        Listening::Ready
    }

    pub(crate) fn touch_group(&mut self, group: Arn) {
        self.dirty_groups.insert(group);
    }
    pub(crate) fn touch_balancer(&mut self, balancer: Arn) {
        self.dirty_balancers.insert(balancer);
    }
    pub(crate) fn touch_all(&mut self) {
        self.all_dirty = true;
    }

    /// Sends each process the difference between what the view says and what it was told. Gives the load balancers about which
    /// something was said for the first time: they may be ready by that.
    pub(crate) fn tell(&mut self, view: &View, effects: &mut Vec<Effect>) -> Vec<Arn> {
        let groups = std::mem::take(&mut self.dirty_groups);
        let balancers = std::mem::take(&mut self.dirty_balancers);
        let all = std::mem::take(&mut self.all_dirty);
        if self.links.is_empty() || (groups.is_empty() && balancers.is_empty() && !all) {
            return Vec::new();
        }
        let usage = Usage::scan(view);
        let groups: BTreeSet<Arn> =
            if all { view.scan::<TargetGroup>("").map(|g| g.arn.clone()).collect() } else { groups };
        let balancers: BTreeSet<Arn> =
            if all { view.scan::<LoadBalancer>("").map(|b| b.arn.clone()).collect() } else { balancers };
        let balancers: Vec<(Arn, Option<LoadBalancerConfig>)> =
            balancers.into_iter().map(|arn| (arn.clone(), balancer_config(view, &arn))).collect();
        let mut new = Vec::new();
        for (id, link) in &mut self.links {
            let mut messages = Vec::new();
            // Groups before the rules that name them.
            for arn in &groups {
                if !link.knows_group(view, &usage, arn) {
                    link.tell_group(arn, usage.group(view, arn), &mut messages);
                }
            }
            for (arn, config) in &balancers {
                if config.is_some() && !link.balancers.contains_key(arn) {
                    new.push(arn.clone());
                }
                link.tell_balancer(arn, config.as_ref(), &mut messages);
            }
            if all {
                link.remove_gone(view, &mut messages);
            }
            if all && !link.synced {
                link.synced = true;
                messages.push(ToLb::Synced {
                    load_balancers: link.balancers.keys().cloned().collect(),
                    target_groups: link.groups.keys().cloned().collect(),
                });
            }
            effects.extend(messages.into_iter().map(|message| Effect::ToLb(*id, message)));
        }
        new
    }
}

impl BalancerLink {
    /// Whether nothing of a target group is news to the process. Load balancers' own words are not news to them.
    fn knows_group(&self, view: &View, usage: &Usage<'_>, arn: &Arn) -> bool {
        match (self.groups.get(arn), view.target_group(arn)) {
            (Some(told), Some(group)) => {
                told.promised == usage.promised.contains(arn)
                    && told.in_use == usage.forwarded.contains(arn)
                    && told.group == without_document(group.cloned())
                    && told.targets.len() == view.targets_of(arn).count()
                    && told.targets.iter().zip(view.targets_of(arn)).all(|(told, now)| is_no_news(told, &now))
            }
            (None, None) => true,
            _ => false,
        }
    }

    fn tell_group(&mut self, arn: &Arn, config: Option<TargetGroupConfig>, messages: &mut Vec<ToLb>) {
        let Some(config) = config else {
            self.forget_group(arn, messages);
            return;
        };
        let lives =
            |registration: &RegistrationId| config.targets.iter().any(|t| t.registration == *registration);
        self.health.retain(|(group, registration), _| group != arn || lives(registration));
        self.drained.retain(|(group, registration)| group != arn || lives(registration));
        self.groups.insert(arn.clone(), config.clone());
        messages.push(ToLb::TargetGroup(Box::new(config)));
    }

    fn forget_group(&mut self, arn: &Arn, messages: &mut Vec<ToLb>) {
        if self.groups.remove(arn).is_some() {
            self.health.retain(|(group, _), _| group != arn);
            self.drained.retain(|(group, _)| group != arn);
            messages.push(ToLb::RemoveTargetGroup(arn.clone()));
        }
    }

    fn tell_balancer(&mut self, arn: &Arn, config: Option<&LoadBalancerConfig>, messages: &mut Vec<ToLb>) {
        match config {
            Some(config) if self.balancers.get(arn) != Some(config) => {
                let listeners: BTreeSet<&Arn> =
                    config.listeners.iter().map(|each| &each.listener.arn).collect();
                let before = self.balancers.insert(arn.clone(), config.clone());
                let gone = before.iter().flat_map(|before| &before.listeners).map(|each| &each.listener.arn);
                for listener in gone.filter(|listener| !listeners.contains(listener)) {
                    self.listeners.remove(listener);
                }
                messages.push(ToLb::LoadBalancer(Box::new(config.clone())));
            }
            Some(_) => {}
            None => {
                if let Some(before) = self.balancers.remove(arn) {
                    for each in &before.listeners {
                        self.listeners.remove(&each.listener.arn);
                    }
                    messages.push(ToLb::RemoveLoadBalancer(arn.clone()));
                }
            }
        }
    }

    fn remove_gone(&mut self, view: &View, messages: &mut Vec<ToLb>) {
        let balancers: Vec<Arn> =
            self.balancers.keys().filter(|arn| view.load_balancer(arn).is_none()).cloned().collect();
        for arn in balancers {
            self.tell_balancer(&arn, None, messages);
        }
        let groups: Vec<Arn> =
            self.groups.keys().filter(|arn| view.target_group(arn).is_none()).cloned().collect();
        for arn in groups {
            self.forget_group(&arn, messages);
        }
    }
}

/// Whether a process that was told of a target once needs to hear no more of it. What load balancers themselves report is no news
/// to them. The first message to a new process has it, so that it begins with the last known verdicts.
fn is_no_news(told: &Target, now: &Target) -> bool {
    let Target {
        target_group,
        registration,
        target_id,
        address,
        port,
        availability_zone,
        task,
        registered_at,
        draining_since,
        drained: _,
        health: _,
    } = now;
    told.registration == *registration
        && told.draining_since == *draining_since
        && told.address == *address
        && told.port == *port
        && told.registered_at == *registered_at
        && told.target_id == *target_id
        && told.availability_zone == *availability_zone
        && told.task == *task
        && told.target_group == *target_group
}

fn without_document(group: TargetGroup) -> TargetGroup {
    TargetGroup { document: Value::Null, ..group }
}

/// Which target groups listeners forward to, and which ones services promise targets to.
struct Usage<'v> {
    forwarded: BTreeSet<&'v Arn>,
    promised: BTreeSet<&'v Arn>,
}

impl<'v> Usage<'v> {
    fn scan(view: &'v View) -> Self {
        let mut forwarded = BTreeSet::new();
        let defaults = view.scan::<Listener>("").flat_map(|listener| &listener.value().default_actions);
        let rules = view.scan::<Rule>("").flat_map(|rule| &rule.value().actions);
        for action in defaults.chain(rules) {
            if let RuleAction::Forward(forward) = action {
                forwarded.extend(forward.target_groups.iter().map(|each| &each.target_group));
            }
        }
        let alive =
            view.scan::<Service>("").filter(|s| s.status == ServiceStatus::Active && s.desired_count > 0);
        let promised = alive
            .flat_map(|service| &service.value().load_balancers)
            .map(|each| &each.target_group)
            .collect();
        Self { forwarded, promised }
    }

    fn group(&self, view: &View, arn: &Arn) -> Option<TargetGroupConfig> {
        let group = without_document(view.target_group(arn)?.cloned());
        Some(TargetGroupConfig {
            promised: self.promised.contains(arn),
            in_use: self.forwarded.contains(arn),
            targets: view.targets_of(arn).map(|target| target.cloned()).collect(),
            group,
        })
    }
}

fn balancer_config(view: &View, arn: &Arn) -> Option<LoadBalancerConfig> {
    let mut load_balancer = view.load_balancer(arn)?.cloned();
    load_balancer.document = Value::Null;
    // What becomes of it is found out by sending it: the state is no news to the process.
    load_balancer.state = LoadBalancerState::Active;
    load_balancer.state_reason = None;
    let groups = load_balancer
        .security_groups
        .iter()
        .filter_map(|id| view.get::<SecurityGroup>(&Key::security_group(&load_balancer.region, id)));
    let ingress = groups.flat_map(|group| group.value().ingress.clone()).collect();
    let listeners = view
        .listeners_of(arn)
        .map(|listener| ListenerConfig {
            rules: view
                .rules_of(&listener.arn)
                .iter()
                .map(|rule| Rule { document: Value::Null, ..rule.cloned() })
                .collect(),
            listener: Listener { document: Value::Null, ..listener.cloned() },
        })
        .collect();
    Some(LoadBalancerConfig { load_balancer, listeners, ingress })
}
