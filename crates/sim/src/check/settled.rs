//! When all faults are over, everything comes to rest, or says what it waits for.

use std::collections::BTreeSet;

use gantry_domain::Key;
use gantry_domain::elb::{Target, TargetHealthState};
use gantry_domain::network::NetworkInterface;
use gantry_domain::service::{RolloutState, Service, ServiceStatus};
use gantry_domain::task::{Task, TaskStatus};
use gantry_types::{TaskId, VpcId};

use crate::happening::Happening;
use crate::links::node_id;
use crate::machine::Address;
use crate::operator::SERVICES;
use crate::program::BAD_REVISIONS;
use crate::records::{region, revision_of};
use crate::trace::trace;
use crate::words::short;
use crate::world::{FAULTS_LAST, World};

const LOOKS_EVERY: u64 = 5_000;
/// A service that cannot come to rest is believed after this, if its events say why.
const PATIENCE: u64 = 300_000;
/// All others have so long: the longest back-off is 27 minutes, and a clock may be ten minutes off.
const DEADLINE: u64 = 2_700_000;

enum Standing {
    Settled,
    /// It never will, and says so.
    Named,
    Moving(String),
}

impl World {
    pub(crate) fn look_whether_settled(&mut self) {
        let waited = self.agenda.now() - FAULTS_LAST;
        match self.moving(waited) {
            None => self.settled_at = Some(self.agenda.now()),
            Some(what) if waited >= DEADLINE => {
                self.violate("everything comes to rest, or says what it waits for", what);
            }
            Some(what) => {
                trace!(self, "not settled: {what}");
                self.agenda.after(LOOKS_EVERY, Happening::LooksWhetherSettled);
            }
        }
    }

    /// Something that has not come to rest.
    fn moving(&self, waited: u64) -> Option<String> {
        // Services that say that they cannot, and whose tasks come and go.
        let mut restless = BTreeSet::new();
        for service in 0..SERVICES {
            let key = self.operators.key(service);
            match self.service_stands(&key) {
                Standing::Settled => {}
                Standing::Named if waited >= PATIENCE => {
                    restless.insert(key);
                }
                Standing::Named => return Some(format!("{key} says what it waits for")),
                Standing::Moving(what) => return Some(format!("{key}: {what}")),
            }
        }
        let is_restless = |task: &Task| restless.contains(&super::limits::service_of(task));
        self.tasks_move(&is_restless)
            .or_else(|| self.targets_move(&is_restless))
            .or_else(|| self.interfaces_are_left(&is_restless))
            .or_else(|| self.nodes_move(&is_restless))
            .or_else(|| self.vpcs_are_left())
            .or_else(|| if restless.is_empty() { self.balancer_moves() } else { None })
            .or_else(|| (restless.is_empty() && !self.core_is_idle()).then(|| "control decides".to_owned()))
    }

    fn service_stands(&self, key: &Key) -> Standing {
        let Some(service) = self.ledger.view.get::<Service>(key) else { return Standing::Settled };
        let tasks: Vec<&Task> = self
            .ledger
            .view
            .tasks_of_service(&service.region, &service.cluster, &service.name)
            .map(|task| task.value())
            .collect();
        if tasks.iter().any(|task| task.is_stopped() && !task.accounted) {
            return Standing::Moving("the end of a task was not counted".to_owned());
        }
        match service.status {
            ServiceStatus::Inactive if tasks.iter().any(|task| !task.is_stopped()) => {
                return Standing::Moving("it is INACTIVE and has tasks".to_owned());
            }
            ServiceStatus::Inactive => return Standing::Settled,
            ServiceStatus::Draining => return Standing::Moving("it is being deleted".to_owned()),
            ServiceStatus::Active => {}
        }
        let wanted: Vec<&&Task> = tasks.iter().filter(|task| task.is_wanted()).collect();
        let running = wanted.iter().filter(|task| task.last_status == TaskStatus::Running).count();
        let desired = service.desired_count as usize;
        let rollout = service.primary().map(|primary| primary.rollout_state);
        let is_complete = rollout == Some(RolloutState::Completed) && service.deployments.len() == 1;
        let is_settled = is_complete && wanted.len() == desired && running == desired && service.steady;
        let is_bad =
            service.deployments.iter().any(|it| BAD_REVISIONS.contains(&revision_of(&it.task_definition)));
        if is_settled {
            // A program that serves for a while and ends, again and again, is replaced each time, and the events say so.
            let is_restless = is_bad && self.says_replaced(service.value());
            return if is_restless { Standing::Named } else { Standing::Settled };
        }
        let what = format!(
            "{running} of {} wanted tasks run, {desired} are desired, the rollout is {rollout:?}, steady: {}",
            wanted.len(),
            service.steady
        );
        // A good deployment must come to rest; one that is bad, or that its own limits block, must say so.
        let is_blocked = service.maximum() <= service.minimum_healthy();
        // The circuit breaker holds a service until somebody deploys anew.
        let is_held = rollout == Some(RolloutState::Failed);
        let said = if is_held {
            self.says_failed(service.value())
        } else {
            service.told.keys().any(|it| names_a_cause(it))
        };
        let said = said || (is_bad && is_complete && self.says_replaced(service.value()));
        if (is_bad || is_blocked || is_held) && said { Standing::Named } else { Standing::Moving(what) }
    }

    fn says_failed(&self, service: &Service) -> bool {
        let Some(primary) = service.primary() else { return false };
        let text = format!("(deployment {}) deployment failed", primary.id);
        let mut events = self.ledger.view.events_of(&service.region, &service.cluster, &service.name);
        events.any(|event| event.message.contains(&text))
    }

    /// Whether tasks were started although nobody asked for anything any more.
    fn says_replaced(&self, service: &Service) -> bool {
        let quiet = self.agenda.now().saturating_sub(FAULTS_LAST + PATIENCE);
        let since = self.wall(0).millis() - i64::try_from(quiet).unwrap_or(0);
        let mut events = self.ledger.view.events_of(&service.region, &service.cluster, &service.name);
        events.any(|event| event.created_at.millis() >= since && event.message.contains(" has started "))
    }

    fn tasks_move(&self, is_restless: &dyn Fn(&Task) -> bool) -> Option<String> {
        for task in self.ledger.view.scan::<Task>("").filter(|task| !task.is_stopped() && !is_restless(task))
        {
            let name = short(task.id.as_str());
            if !task.is_wanted() || task.last_status != TaskStatus::Running {
                return Some(format!("task {name} is {} -> {}", task.last_status, task.desired_status));
            }
            let runs = task
                .attachment
                .as_ref()
                .and_then(|attachment| self.server_at(Address::new(&attachment.vpc, attachment.address)));
            let is_alive = runs.is_some_and(|(found, server)| *found == task.id && server.is_alive());
            if !is_alive {
                return Some(format!("task {name} is RUNNING and does not run"));
            }
        }
        None
    }

    fn targets_move(&self, is_restless: &dyn Fn(&Task) -> bool) -> Option<String> {
        for target in self.ledger.view.scan::<Target>("") {
            let task = target.task.as_ref().and_then(|task| self.record_of(task));
            if task.is_some_and(is_restless) {
                continue;
            }
            let name = short(target.registration.as_str());
            if !task.is_some_and(Task::is_wanted) {
                return Some(format!("target {name} is left, {}", target.health.state));
            }
            if !matches!(target.health.state, TargetHealthState::Healthy | TargetHealthState::Unavailable) {
                return Some(format!("target {name} is {}", target.health.state));
            }
        }
        None
    }

    fn interfaces_are_left(&self, is_restless: &dyn Fn(&Task) -> bool) -> Option<String> {
        let used: BTreeSet<_> = self
            .ledger
            .view
            .scan::<Task>("")
            .filter(|task| !task.is_stopped())
            .filter_map(|task| task.value().attachment.as_ref().map(|attachment| &attachment.interface))
            .collect();
        let mut all = self.ledger.view.scan::<NetworkInterface>("");
        let left = all.find(|interface| {
            let gantry_domain::network::InterfaceOwner::Task(task) = &interface.owner else { return false };
            !used.contains(&interface.id) && !self.record_of(task).is_some_and(is_restless)
        })?;
        Some(format!("interface {} is left", left.id))
    }

    /// Nodes have what they shall have: no more, no less.
    fn nodes_move(&self, is_restless: &dyn Fn(&Task) -> bool) -> Option<String> {
        for index in 0..self.nodes.len() {
            if !self.node_is_idle(index) {
                return Some(format!("node {index} is at work or not connected"));
            }
            let node = &self.nodes[index];
            let restless = |task: &TaskId| self.record_of(task).is_some_and(is_restless);
            let known = node.state.iter().flat_map(|state| state.tasks()).map(|task| &task.spec.task);
            let on_machine = self.machines[index].containers.keys().map(|of| &of.task);
            let with_interface = self.machines[index].interfaces.keys();
            for task in known.chain(node.tasks.keys()).chain(on_machine).chain(with_interface) {
                let record = self.record_of(task);
                let is_wanted =
                    record.is_some_and(|record| record.is_wanted() && record.node == Some(node_id(index)));
                if !is_wanted && !restless(task) {
                    return Some(format!("task {} is left on node {index}", short(task.as_str())));
                }
            }
        }
        None
    }

    /// Nodes have no VPC that does not exist. One in which nothing lives any more may stay.
    fn vpcs_are_left(&self) -> Option<String> {
        let exists = |id: &VpcId| self.ledger.view.vpc(&region(), id).is_some();
        (0..self.nodes.len()).find_map(|index| {
            let left = self.nodes[index].vpcs.keys().find(|id| !exists(id))?;
            Some(format!("{left} is left on node {index}"))
        })
    }

    fn balancer_moves(&self) -> Option<String> {
        let Some(state) = &self.balancer.state else { return Some("the balancer is dead".to_owned()) };
        if self.balancer.link.is_none() {
            return Some("the balancer is not connected".to_owned());
        }
        let has: BTreeSet<_> = state
            .groups()
            .flat_map(|group| group.targets())
            .map(|target| &target.record().registration)
            .collect();
        let shall: Vec<_> =
            self.ledger.view.scan::<Target>("").map(|target| &target.value().registration).collect();
        let left =
            has.iter().find(|it| !shall.contains(it)).map(|it| format!("the balancer has target {it}"));
        left.or_else(|| {
            shall.iter().find(|it| !has.contains(*it)).map(|it| format!("the balancer lacks target {it}"))
        })
    }
}

/// Whether a service's event says why it does not come to rest.
fn names_a_cause(text: &str) -> bool {
    [
        "is unable to consistently start tasks successfully",
        "is unhealthy in (target-group",
        "failed container health checks",
        "was unable to place a task",
        "was unable to stop or start tasks during a deployment",
    ]
    .iter()
    .any(|cause| text.contains(cause))
}
