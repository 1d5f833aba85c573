//! Keeping the tasks' registrations in step with the tasks.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use gantry_domain::container_instance::ContainerInstance;
use gantry_domain::elb::{Target, TargetHealth, TargetHealthReason, TargetHealthState};
use gantry_domain::service::ServiceLoadBalancer;
use gantry_domain::task::{Attachment, NetworkBinding, Registration, TaskStatus};
use gantry_domain::task_definition::TransportProtocol;
use gantry_domain::{Change, Stored};
use gantry_types::{Arn, DeploymentId, Ids, RegistrationId};

use crate::classify::Condition;
use crate::note::Note;
use crate::plan::Work;

/// What a plan registered and deregistered, for its events.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    registered: BTreeMap<Arn, usize>,
    deregistered: BTreeMap<Arn, usize>,
    draining: BTreeMap<DeploymentId, usize>,
}

impl Moved {
    pub(crate) fn into_notes(self) -> impl Iterator<Item = Note> {
        let registered =
            self.registered.into_iter().map(|(target_group, count)| Note::Registered { count, target_group });
        let draining =
            self.draining.into_iter().map(|(deployment, count)| Note::Draining { deployment, count });
        let deregistered = self
            .deregistered
            .into_iter()
            .map(|(target_group, count)| Note::Deregistered { count, target_group });
        registered.chain(draining).chain(deregistered)
    }
}

/// Takes the targets of all leaving tasks out of service: no new request reaches them, those in flight end. A task that its
/// node is to stop is stopped only after this.
pub(crate) fn deregister(work: &mut Work<'_, '_>) {
    for index in 0..work.conditions.len() {
        if work.conditions[index] != Condition::Leaving {
            continue;
        }
        let mut left = false;
        for target in &work.view.tasks[index].targets {
            if target.draining_since.is_some() || work.batch.contains(&target.key()) || !work.has_room(1) {
                continue;
            }
            let draining = Target {
                draining_since: Some(work.now),
                health: TargetHealth::because(
                    TargetHealthState::Draining,
                    TargetHealthReason::DeregistrationInProgress,
                    "Target deregistration is in progress",
                ),
                ..Target::clone(target)
            };
            *work.moved.deregistered.entry(target.target_group.clone()).or_default() += 1;
            work.batch.add(Change::update(draining, target.revision));
            left = true;
        }
        if !left {
            continue;
        }
        if let Some(deployment) = work.task(index).deployment.clone() {
            *work.moved.draining.entry(deployment).or_default() += 1;
        }
        if work.task(index).last_status == TaskStatus::Running {
            let task = work.task_mut(index);
            task.last_status = TaskStatus::Deactivating;
            task.version += 1;
        }
    }
}

/// Registers what runs and shall serve.
pub(crate) fn register(work: &mut Work<'_, '_>, ids: &mut Ids) {
    for index in 0..work.conditions.len() {
        if work.conditions[index] == Condition::Leaving || work.task(index).last_status != TaskStatus::Running
        {
            continue;
        }
        // Tasks of an older deployment keep the target groups that they were started for.
        if !work.is_current(index) && !work.task(index).registrations.is_empty() {
            continue;
        }
        for wanted in work.view.service.value().load_balancers.iter() {
            let Some(reached) = reached(work, index, wanted) else { continue };
            let group = &wanted.target_group;
            let exists = work.view.target_groups.contains_key(group);
            if !exists || is_registered(work, index, wanted, reached.port) || !work.has_room(2) {
                continue;
            }
            let (registration, now) = (RegistrationId::new(ids.hex(32)), work.now);
            let task = work.task_mut(index);
            let target = Target {
                target_group: group.clone(),
                registration: registration.clone(),
                target_id: reached.id(),
                address: reached.address,
                port: reached.port,
                availability_zone: Some(task.availability_zone.clone()),
                task: Some(task.id.clone()),
                registered_at: now,
                draining_since: None,
                drained: false,
                health: TargetHealth::registering(),
            };
            task.registrations.push(Registration { target_group: group.clone(), registration });
            task.version += 1;
            work.batch.add(Change::create(target));
            *work.moved.registered.entry(group.clone()).or_default() += 1;
        }
    }
}

/// Where a load balancer finds a task's container.
struct Reached<'a> {
    /// `None`: at an interface of its own.
    instance: Option<&'a ContainerInstance>,
    address: Ipv4Addr,
    port: u16,
}

impl Reached<'_> {
    fn id(&self) -> String {
        match self.instance {
            Some(instance) => instance.instance.to_string(),
            None => self.address.to_string(),
        }
    }
}

/// A task with an interface of its own is reached there, any other on its instance, where placement bound the port.
fn reached<'a>(work: &Work<'_, 'a>, index: usize, wanted: &ServiceLoadBalancer) -> Option<Reached<'a>> {
    let task = work.task(index);
    if let Some(Attachment { address, .. }) = task.attachment {
        return Some(Reached { instance: None, address, port: wanted.container_port });
    }
    let instance = work.view.tasks[index].instance?.value();
    let container = task.containers.iter().find(|container| container.name == wanted.container_name)?;
    let leads = |binding: &&NetworkBinding| {
        binding.container_port == wanted.container_port && binding.protocol == TransportProtocol::Tcp
    };
    let binding = container.network_bindings.iter().find(leads)?;
    Some(Reached { instance: Some(instance), address: instance.interface.address, port: binding.host_port })
}

/// A registration whose target is gone counts: somebody deregistered it, and that is not undone behind their back.
fn is_registered(work: &Work<'_, '_>, index: usize, wanted: &ServiceLoadBalancer, port: u16) -> bool {
    work.task(index).registrations.iter().filter(|each| each.target_group == wanted.target_group).any(
        |each| {
            let targets = &work.view.tasks[index].targets;
            let target = targets.iter().find(|target| target.registration == each.registration);
            target.is_none_or(|target| target.port == port)
        },
    )
}
