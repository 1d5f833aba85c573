//! What every commit keeps to, whoever makes it.

use gantry_domain::elb::{LoadBalancer, Target};
use gantry_domain::network::NetworkInterface;
use gantry_domain::node::{Node, NodeState};
use gantry_domain::task::{DesiredStatus, Task, TaskStatus};
use gantry_domain::{Action, Change, Record};
use gantry_types::NodeId;

use super::COMMIT_MAX;
use crate::ledger::Ledger;
use crate::world::World;

impl World {
    /// Looks at a commit's changes, and makes them in the ledger.
    pub(crate) fn watch_commit(
        &mut self,
        changes: Vec<Change>,
        apply: impl FnOnce(&mut Ledger, Vec<Change>) -> Result<(), String>,
    ) {
        for change in &changes {
            let Action::Put(record) = &change.action else { continue };
            let broken = match record {
                Record::Task(task) => self.watch_task(task),
                Record::Node(node) => {
                    self.watch_node(node);
                    None
                }
                Record::Target(target) => {
                    self.watch_target(target);
                    None
                }
                Record::NetworkInterface(interface) => self.watch_interface(interface),
                _ => None,
            };
            if let Some((invariant, what)) = broken {
                self.violate(invariant, what);
            }
        }
        if let Err(text) = apply(&mut self.ledger, changes) {
            self.violate("the store counts its revisions", text);
        }
    }

    /// A task's life goes one way.
    fn watch_task(&mut self, task: &Task) -> Option<(&'static str, String)> {
        let before = self.ledger.view.get::<Task>(&gantry_domain::Stored::key(task))?;
        if task.is_stopped() && !before.is_stopped() && self.was_lost(task.node.as_ref()) {
            self.watched.given_up.insert(task.id.clone());
        }
        let went_back = task.last_status < before.last_status
            || (before.desired_status == DesiredStatus::Stopped
                && task.desired_status == DesiredStatus::Running)
            || (before.accounted && !task.accounted);
        if before.last_status < TaskStatus::Running && task.last_status == TaskStatus::Running {
            self.watched.tasks_ran += 1;
        }
        went_back.then(|| {
            let what = format!(
                "task {}: {} -> {} became {} -> {}",
                task.id, before.last_status, before.desired_status, task.last_status, task.desired_status
            );
            ("a task's life goes one way", what)
        })
    }

    fn watch_node(&mut self, node: &Node) {
        let was_lost = self.ledger.view.node(&node.id).is_some_and(|before| before.state == NodeState::Lost);
        if was_lost || node.state == NodeState::Lost {
            self.watched.lost_at.insert(node.id.clone(), self.agenda.now());
        }
    }

    /// Whether the node is lost, or was when what is committed now was decided.
    fn was_lost(&self, node: Option<&NodeId>) -> bool {
        node.is_some_and(|id| {
            let is_lost = self.ledger.view.node(id).is_some_and(|node| node.state == NodeState::Lost);
            let at = self.watched.lost_at.get(id);
            is_lost || at.is_some_and(|at| at + COMMIT_MAX >= self.agenda.now())
        })
    }

    fn watch_target(&mut self, target: &Target) {
        let now = self.agenda.now();
        if let Some(task) = &target.task {
            self.watched.task_of.insert(target.registration.clone(), task.clone());
        }
        if target.draining_since.is_some() {
            self.watched.draining_at.entry(target.registration.clone()).or_insert(now);
        }
    }

    fn watch_interface(&self, interface: &NetworkInterface) -> Option<(&'static str, String)> {
        const RULE: &str = "an address has one owner in its VPC";
        let view = &self.ledger.view;
        let other = view
            .interfaces_of_subnet(&interface.subnet)
            .find(|(address, other)| *address == interface.address && other.id != interface.id);
        if let Some((address, other)) = other {
            return Some((RULE, format!("{address} of {} is given to {}", other.id, interface.id)));
        }
        let balancers = view.scan::<LoadBalancer>("").flat_map(|balancer| &balancer.value().subnets);
        let mut balancers = balancers.into_iter();
        let own = balancers.find(|own| own.subnet == interface.subnet && own.address == interface.address)?;
        Some((RULE, format!("{} of the load balancer is given to {}", own.address, interface.id)))
    }
}
