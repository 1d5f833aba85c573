//! What the decision reads.

use std::collections::BTreeMap;

use gantry_domain::container_instance::{ContainerInstance, ContainerInstanceStatus};
use gantry_domain::elb::{Target, TargetGroup};
use gantry_domain::node::{Node, NodeState};
use gantry_domain::service::Service;
use gantry_domain::task::Task;
use gantry_domain::task_definition::TaskDefinition;
use gantry_domain::{Batch, Key, Versioned, View};
use gantry_types::Arn;

use crate::Policy;

/// One service with everything that its reconciliation reads.
#[derive(Debug)]
pub struct ServiceView<'a> {
    pub service: Versioned<'a, Service>,
    /// Oldest first. A stopped task is among them until its end was accounted.
    pub tasks: Vec<TaskView<'a>>,
    /// By ARN, those of the service's deployments and tasks.
    pub definitions: BTreeMap<&'a Arn, &'a TaskDefinition>,
    /// By ARN, those that the service or its tasks are registered in.
    pub target_groups: BTreeMap<&'a Arn, &'a TargetGroup>,
    /// How many instances of the cluster take tasks: what a DAEMON service is as large as.
    pub active_instances: u32,
    pub policy: Policy,
}

/// One task with what decides about its health.
#[derive(Debug, Clone)]
pub struct TaskView<'a> {
    pub task: Versioned<'a, Task>,
    /// The task's registrations that still exist.
    pub targets: Vec<Versioned<'a, Target>>,
    /// Where an EC2 task was placed, if that is still registered.
    pub instance: Option<Versioned<'a, ContainerInstance>>,
    /// The task's node or container instance is to be emptied.
    pub node_draining: bool,
}

impl<'a> ServiceView<'a> {
    /// Collects a service's records, as they will be when `batch` is committed.
    pub fn gather(view: &'a View, batch: &'a Batch, service: &Key, policy: Policy) -> Option<Self> {
        let service = batch.read::<Service>(view, service)?;
        let mut tasks: Vec<TaskView<'a>> = view
            .tasks_of_service(&service.region, &service.cluster, &service.name)
            .filter(|task| !(task.is_stopped() && task.accounted))
            .filter_map(|task| batch.read_again(task))
            .map(|task| TaskView::gather(view, batch, task))
            .collect();
        tasks.sort_by(|a, b| age(a).cmp(&age(b)));
        let deployed = service.value().deployments.iter().map(|deployment| &deployment.task_definition);
        let mut definitions = BTreeMap::new();
        for arn in deployed.chain(tasks.iter().map(|task| &task.task.value().task_definition)) {
            if !definitions.contains_key(arn) {
                definitions.extend(view.task_definition(arn).map(|definition| (arn, definition.value())));
            }
        }
        let configured = service.value().load_balancers.iter().map(|each| &each.target_group);
        let target_groups = configured
            .chain(
                tasks.iter().flat_map(|task| &task.task.value().registrations).map(|each| &each.target_group),
            )
            .filter_map(|arn| Some((arn, view.target_group(arn)?.value())))
            .collect();
        let instances = view.instances_of_cluster(&service.region, &service.cluster);
        let active = instances.filter(|instance| instance.status == ContainerInstanceStatus::Active).count();
        let active_instances = u32::try_from(active).unwrap_or(u32::MAX);
        Some(Self { service, tasks, definitions, target_groups, active_instances, policy })
    }
}

impl<'a> TaskView<'a> {
    fn gather(view: &'a View, batch: &'a Batch, task: Versioned<'a, Task>) -> Self {
        let targets = task
            .value()
            .registrations
            .iter()
            .filter_map(|each| batch.read(view, &Key::target(&each.target_group, &each.registration)))
            .collect();
        let node: Option<Versioned<'_, Node>> = task.node.as_ref().and_then(|id| view.node(id));
        let instance = view.instance_of(task.value());
        let node_draining = node.is_some_and(|node| node.state == NodeState::Draining)
            || instance.is_some_and(|instance| instance.status == ContainerInstanceStatus::Draining);
        Self { task, targets, instance, node_draining }
    }
}

fn age<'t>(task: &'t TaskView<'_>) -> (gantry_types::Timestamp, &'t str) {
    (task.task.times.created_at, task.task.value().id.as_str())
}
