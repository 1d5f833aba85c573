//! What a node that starts finds of its former life.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Instant;

use gantry_domain::assignment::VpcSpec;
use gantry_images::Digest;
use gantry_network::Vpcs;
use gantry_runtime::{ContainerId, ExitWatch, FoundState, StartFailureKind, StopSignal};
use gantry_types::{NetworkInterfaceId, TaskId, Timestamp};

use super::config::NodeError;
use super::exits::exit_of;
use super::image::stop_signal;
use super::layout::container_id;
use super::limits::{START_SETTLE_MAX, START_SETTLE_POLL};
use super::record::{self, Kept};
use super::vpc::instances;
use super::work::{Machine, runtime_id};
use crate::core::{ContainerPhase, ContainerState, Exit, Found, Restored, StartedContainer, TaskState};

/// All that goes on.
#[derive(Debug, Default)]
pub(super) struct Restoration {
    pub(super) tasks: Vec<RestoredTask>,
    /// To be removed: a former process had begun with it.
    pub(super) forgotten: Vec<TaskState>,
    pub(super) vpcs: Vec<VpcSpec>,
}

#[derive(Debug)]
pub(super) struct RestoredTask {
    pub(super) restored: Restored,
    /// In the order of the task's containers; of those that run.
    pub(super) exits: Vec<Option<ExitWatch>>,
    pub(super) stop_signals: Vec<StopSignal>,
}

/// Finds everything, and removes what belongs to nobody. Blocks; called once, before anything else happens.
pub(super) fn restore(machine: &Machine, vpcs: &Vpcs) -> Result<Restoration, NodeError> {
    let layout = &machine.layout;
    let Kept { tasks, forgotten } =
        record::read_tasks(layout).map_err(NodeError::io("read the node's tasks"))?;
    let specs = record::read_vpcs(layout).map_err(NodeError::io("read the node's VPCs"))?;
    let mut found = find_containers(machine)?;
    let holds: BTreeMap<String, Digest> = machine.images.holders()?.into_iter().collect();
    let mut restoration = Restoration { tasks: Vec::new(), forgotten, vpcs: specs };
    for mut task in tasks {
        let mut containers = Vec::new();
        let (mut exits, mut stop_signals) = (Vec::new(), Vec::new());
        for index in 0..task.containers.len() {
            let name = container_id(&task.spec.task, index);
            let image = holds.get(&name).and_then(|digest| machine.images.image(digest).ok());
            let state = &mut task.containers[index];
            if state.image_digest.is_none() {
                state.image_digest = image.as_ref().map(|image| image.manifest_digest.to_string());
            }
            let (state, exit) = settle(machine, state, &task.spec.task, index, found.remove(&name))?;
            containers.push(state);
            exits.push(exit);
            stop_signals.push(image.map_or(StopSignal::TERM, |image| stop_signal(&image.config)));
        }
        let restored = Restored { task, containers };
        restoration.tasks.push(RestoredTask { restored, exits, stop_signals });
    }
    remove_strangers(machine, vpcs, &restoration, found)?;
    Ok(restoration)
}

type FoundContainers = BTreeMap<String, (ContainerId, Option<TaskId>, FoundState)>;

/// Every container, once no start is on its way any more: a shim that was making one goes on without its node.
fn find_containers(machine: &Machine) -> Result<FoundContainers, NodeError> {
    let deadline = Instant::now() + START_SETTLE_MAX;
    loop {
        let found = machine.runtime.adopt().map_err(NodeError::io("find the node's containers"))?;
        let starting = found.iter().any(|container| container.state == FoundState::Starting);
        if !starting || Instant::now() >= deadline {
            let named =
                |found: gantry_runtime::Found| (found.id.to_string(), (found.id, found.task, found.state));
            return Ok(found.into_iter().map(named).collect());
        }
        std::thread::sleep(START_SETTLE_POLL);
    }
}

/// What a container's traces mean, and how its end will be heard of.
fn settle(
    machine: &Machine,
    state: &ContainerState,
    task: &TaskId,
    index: usize,
    found: Option<(ContainerId, Option<TaskId>, FoundState)>,
) -> Result<(Found, Option<ExitWatch>), NodeError> {
    let Some((id, _, found)) = found else { return Ok((without_traces(state), None)) };
    match found {
        FoundState::Running { started_at, .. } => match machine.runtime.watch(&id) {
            Ok(watch) => {
                let started = StartedContainer { runtime_id: id.to_string(), at: started_at };
                Ok((Found::Running(started), Some(watch)))
            }
            Err(error) => {
                tracing::error!(container = %id, "it runs and cannot be watched, so it is ended: {error}");
                machine.runtime.delete(&id)?;
                Ok((Found::Exited(unseen(error.to_string())), None))
            }
        },
        FoundState::Exited(record) => match &record.error {
            // Nothing of it ever ran.
            Some(failure) if record.started_at.is_none() => {
                let (kind, message) = (failure.kind, failure.message.clone());
                machine.runtime.delete(&id)?;
                match kind {
                    StartFailureKind::Lost => Ok((Found::Nothing, None)),
                    _ => Ok((Found::FailedToStart(message), None)),
                }
            }
            _ => Ok((Found::Exited(exit_of(record)), None)),
        },
        FoundState::Starting => {
            let id = runtime_id(task, index).unwrap_or(id);
            machine.runtime.delete(&id)?;
            Ok((Found::FailedToStart("its start was cut off and did not end".to_owned()), None))
        }
    }
}

/// One that ran does not run again, whoever removed what was left of it.
fn without_traces(state: &ContainerState) -> Found {
    match state.phase {
        ContainerPhase::Running | ContainerPhase::Stopping { .. } | ContainerPhase::Killed => {
            Found::Exited(unseen("nothing is left of the container on this machine".to_owned()))
        }
        ContainerPhase::Created
        | ContainerPhase::Pulling
        | ContainerPhase::Pulled
        | ContainerPhase::Starting
        | ContainerPhase::Stopped => Found::Nothing,
    }
}

fn unseen(reason: String) -> Exit {
    Exit { code: None, out_of_memory: false, reason: Some(reason), at: Timestamp::now() }
}

/// Containers, interfaces, holds and spools that no task has.
fn remove_strangers(
    machine: &Machine,
    vpcs: &Vpcs,
    restoration: &Restoration,
    containers: FoundContainers,
) -> Result<(), NodeError> {
    let tasks = || restoration.tasks.iter().map(|each| &each.restored.task).chain(&restoration.forgotten);
    let owned: BTreeSet<String> = tasks()
        .flat_map(|task| (0..task.containers.len()).map(|index| container_id(&task.spec.task, index)))
        .collect();
    for (name, (id, task, _)) in containers {
        if owned.contains(&name) {
            continue;
        }
        tracing::warn!(container = %id, "it belongs to no task, so it is removed");
        machine.runtime.delete(&id)?;
        if let Some(task) = task {
            machine.runtime.delete_task(&task)?;
        }
    }
    let mut interfaces: BTreeSet<NetworkInterfaceId> = tasks()
        .flat_map(|task| task.spec.interface.iter().chain(task.spec.uplink()))
        .map(|each| each.interface.clone())
        .collect();
    interfaces.extend(restoration.vpcs.iter().flat_map(instances));
    let existing = vpcs.list_interfaces()?;
    for container in vpcs.list_containers()?.iter().filter(|container| !owned.contains(*container)) {
        tracing::warn!(%container, "its network belongs to no task, so it is removed");
        // Whichever its instance is.
        for found in &existing {
            vpcs.remove_container(container, Some(&found.interface_id))?;
        }
        vpcs.remove_container(container, None)?;
    }
    for found in existing {
        if !interfaces.contains(&found.interface_id) {
            tracing::warn!(interface = %found.interface_id, "it belongs to no task, so it is removed");
            // Without a VPC only the namespace is left; any id leads there.
            vpcs.remove_interface(&found.vpc_id.unwrap_or_else(|| NO_VPC.into()), &found.interface_id)?;
        }
    }
    for (holder, _) in machine.images.holders()? {
        if !owned.contains(&holder) {
            machine.images.release(&holder)?;
        }
    }
    let spools = machine.layout.spools();
    for entry in fs::read_dir(&spools).map_err(NodeError::io("list the containers' output"))? {
        let entry = entry.map_err(NodeError::io("list the containers' output"))?;
        if !entry.file_name().to_str().is_some_and(|name| owned.contains(name)) {
            record::remove_tree(&entry.path()).map_err(NodeError::io("remove output of no container"))?;
        }
    }
    Ok(())
}

/// A well-formed id that no VPC has.
const NO_VPC: &str = "vpc-00000000000000000";
