//! Drain before the kill, and no request where none should go.

use gantry_domain::Key;
use gantry_domain::elb::Target;
use gantry_domain::task::{DesiredStatus, Registration, StopCode};
use gantry_lb::core::TargetKey;
use gantry_node::core::TaskState;
use gantry_types::TaskId;

use super::COMMIT_MAX;
use crate::happening::ContainerRef;
use crate::machine::Address;
use crate::records::task_name;
use crate::words::short;
use crate::world::World;

impl World {
    /// A node is about to send a container its stop signal, or to kill it.
    pub(crate) fn check_signal(&mut self, index: usize, of: &ContainerRef) {
        if !self.machines[index].containers.get(of).is_some_and(|container| container.is_alive()) {
            return;
        }
        let state = self.nodes[index].state.as_ref().and_then(|state| state.task(&task_name(&of.task)));
        // An essential container ended, or one could not be started: the task ends by itself.
        if state.is_some_and(|task: &TaskState| task.cause.is_some()) {
            return;
        }
        let Some(record) = self.record_of(&of.task) else { return };
        if record.desired_status == DesiredStatus::Running {
            let what = format!("{} of task {}", of.name, short(of.task.as_str()));
            return self.violate("a task is stopped only if somebody asked for it", what);
        }
        if self.is_given_up(&of.task) || of.name.as_str() != "app" {
            return;
        }
        for registration in record.registrations.clone() {
            self.check_drained_before_signal(of, &registration);
        }
    }

    /// The node was away for so long that its tasks were given up.
    pub(super) fn is_given_up(&self, task: &TaskId) -> bool {
        let code = self.record_of(task).and_then(|record| record.stop_code);
        code == Some(StopCode::InfrastructureHealth) || self.watched.given_up.contains(task)
    }

    fn check_drained_before_signal(&mut self, of: &ContainerRef, registration: &Registration) {
        let key = TargetKey {
            target_group: registration.target_group.clone(),
            registration: registration.registration.clone(),
        };
        let busy = self.balancer.in_flight.get(&key).map_or(0, std::collections::BTreeSet::len);
        let chosen = self.is_chosen(&key);
        if (busy > 0 || chosen) && !self.delay_is_over(&key) {
            let what = format!(
                "task {} is signalled; its target {} has {busy} requests, in choice: {chosen}",
                short(of.task.as_str()),
                short(key.registration.as_str())
            );
            self.violate("a task is drained before it is stopped", what);
        }
    }

    fn is_chosen(&self, key: &TargetKey) -> bool {
        let Some(state) = &self.balancer.state else { return false };
        let group = state.groups().find(|group| group.config().group.arn == key.target_group);
        group.is_some_and(|group| {
            self.choice(group).iter().any(|(chosen, _)| chosen == key) && !self.balancer.closed.contains(key)
        })
    }

    /// Whether the deregistration delay has passed, or a clock that jumped may have made it pass.
    fn delay_is_over(&self, key: &TargetKey) -> bool {
        let Some(since) = self.watched.draining_at.get(&key.registration) else { return false };
        let Some(group) = self.ledger.view.target_group(&key.target_group) else { return true };
        // It counts from the decision, and is watched from its commit.
        let delay = u64::try_from(group.deregistration_delay().as_millis()).unwrap_or(u64::MAX);
        self.agenda.now() + COMMIT_MAX >= since + delay
            || self.weather.jumped_at.is_some_and(|jumped| jumped >= *since)
    }

    /// The balancer says that a target is drained.
    pub(crate) fn check_drained(&mut self, key: &TargetKey) {
        let busy = self.balancer.in_flight.get(key).map_or(0, std::collections::BTreeSet::len);
        if busy > 0 {
            let what = format!("{} has {busy} requests in flight", short(key.registration.as_str()));
            self.violate("a target is drained when no request is on it", what);
        }
    }

    /// A request is given to a target.
    pub(crate) fn check_request(&mut self, key: &TargetKey, address: Address) {
        const RULE: &str = "no request goes to a target that is not registered";
        let target = short(key.registration.as_str()).to_owned();
        if self.balancer.closed.contains(key) {
            return self.violate(RULE, format!("the balancer has closed {target}"));
        }
        let record = self.ledger.view.get::<Target>(&Key::target(&key.target_group, &key.registration));
        if record.is_some_and(|record| record.drained) && !self.delay_is_over(key) {
            return self.violate(RULE, format!("{target} was said to be drained"));
        }
        if record.is_none() && !self.delay_is_over(key) {
            return self.violate(RULE, format!("{target} is not there"));
        }
        if let (Some(meant), Some((found, server))) =
            (self.watched.task_of.get(&key.registration), self.server_at(address))
            && meant != found
            && server.is_alive()
        {
            let what =
                format!("{target} means task {}, it is {}", short(meant.as_str()), short(found.as_str()));
            self.violate("a request reaches the task that it is meant for", what);
        }
    }
}
