//! Removing a task from this machine, and removing everything.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gantry_domain::assignment::TaskSpec;
use gantry_images::Store;
use gantry_link::LogSource;
use gantry_network::Vpcs;
use gantry_runtime::Runtime;
use rustix::fs::{FlockOperation, flock};

use super::blocking;
use super::config::{NodeConfig, NodeError};
use super::layout::{Layout, container_id};
use super::limits::{
    CLEAN_ATTEMPTS, CLEAN_PAUSE_MAX, CLEAN_PAUSE_MIN, LOCK_POLL, LOCK_WAIT_MAX, SHIPPING_WAIT_MAX,
};
use super::record;
use super::removal::Removals;
use super::work::{Machine, runtime_id};
use crate::logs::{LogShipper, destination};

/// Removes what is left of a task that has stopped. Its processes, its address and its memory go at once; what it wrote is kept
/// until `control` has it. Whatever fails is tried again, at last by the next start of the node.
pub(super) async fn clean(machine: Arc<Machine>, removals: Removals, logs: LogShipper, spec: Arc<TaskSpec>) {
    let again = |error: &String, wait: Duration| {
        tracing::warn!(task = %spec.task, "removing it: {error}; trying again in {} ms", wait.as_millis());
    };
    let first = || {
        let (machine, removals, spec) = (machine.clone(), removals.clone(), spec.clone());
        async move {
            let task = spec.clone();
            blocking(move || remove_containers(&machine, &task)).await?;
            removals.disconnect(&spec).await?;
            match &spec.interface {
                Some(interface) => removals.remove(interface).await,
                None => Ok(()),
            }
        }
    };
    if let Err(error) = retry(first, again).await {
        tracing::error!(task = %spec.task, "it could not be removed; the next start tries again: {error}");
        return;
    }
    let unshipped = Arc::new(finish_shipping(&spec, &logs).await);
    let second = || {
        let (machine, spec, unshipped) = (machine.clone(), spec.clone(), unshipped.clone());
        blocking(move || remove_kept_parts(&machine.layout, &spec, &unshipped))
    };
    if let Err(error) = retry(second, again).await {
        tracing::error!(task = %spec.task, "its files could not be removed; the next start tries again: {error}");
    }
}

/// Waits until `control` has what the task wrote; gives the containers of which it does not.
async fn finish_shipping(spec: &TaskSpec, logs: &LogShipper) -> Vec<usize> {
    let deadline = tokio::time::Instant::now() + SHIPPING_WAIT_MAX;
    let mut unshipped = Vec::new();
    for (index, container) in spec.containers.iter().enumerate() {
        if destination(spec, container, &container_id(&spec.task, index)).is_none() {
            unshipped.push(index);
            continue;
        }
        let source = LogSource { task: spec.task.clone(), container: container.name.to_string() };
        let wait_max = deadline.saturating_duration_since(tokio::time::Instant::now());
        if !logs.finish(source, wait_max).await {
            tracing::warn!(task = %spec.task, container = %container.name, "its last output was not taken in time; it stays on this machine for a while");
            unshipped.push(index);
        }
    }
    unshipped
}

async fn retry<F: Future<Output = Result<(), String>>>(
    attempt: impl Fn() -> F,
    failed: impl Fn(&String, Duration),
) -> Result<(), String> {
    let mut pause = CLEAN_PAUSE_MIN;
    for _ in 1..CLEAN_ATTEMPTS {
        match attempt().await {
            Ok(()) => return Ok(()),
            Err(error) => failed(&error, pause),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(CLEAN_PAUSE_MAX);
    }
    attempt().await
}

fn remove_containers(machine: &Machine, spec: &TaskSpec) -> Result<(), String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    record::mark_forgotten(&machine.layout, &spec.task).map_err(|error| words(&error))?;
    for index in 0..spec.containers.len() {
        machine.runtime.delete(&runtime_id(&spec.task, index)?).map_err(|error| words(&error))?;
        machine.images.release(&container_id(&spec.task, index)).map_err(|error| words(&error))?;
    }
    machine.bridged().retain(|container, _| !container.starts_with(spec.task.as_str()));
    machine.runtime.delete_task(&spec.task).map_err(|error| words(&error))
}

/// Output that nobody has goes to those of the last tasks that ended.
fn remove_kept_parts(layout: &Layout, spec: &TaskSpec, unshipped: &[usize]) -> Result<(), String> {
    let words = |error: std::io::Error| error.to_string();
    for index in 0..spec.containers.len() {
        let id = container_id(&spec.task, index);
        if unshipped.contains(&index) {
            record::keep_ended(layout, &id).map_err(words)?;
        }
        record::remove_tree(&layout.spool(&id)).map_err(words)?;
    }
    record::remove_task(layout, &spec.task).map_err(words)
}

/// Held while a process works in the node's directory.
#[derive(Debug)]
pub(super) struct NodeLock(#[expect(dead_code, reason = "closing the file gives the lock back")] File);

impl NodeLock {
    pub(super) fn take(layout: &Layout) -> Result<Self, NodeError> {
        let path = layout.lock();
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(NodeError::io(format!("open {}", path.display())))?;
        // A process that was forked off the former node holds its lock until it executes its own program.
        let deadline = Instant::now() + LOCK_WAIT_MAX;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self(file)),
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                    std::thread::sleep(LOCK_POLL);
                }
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(NodeError::InUse { path }),
                Err(error) => return Err(NodeError::io(format!("lock {}", path.display()))(error.into())),
            }
        }
    }
}

/// Ends every task of this installation on this machine and removes all that its node made: processes, control groups,
/// interfaces, VPCs, firewall rules, output that was not shipped. Images and the node's id stay. May be repeated; no node may
/// run meanwhile.
pub fn remove_all(config: &NodeConfig) -> Result<(), NodeError> {
    let layout = config.layout();
    if !layout.root().is_dir() {
        return Ok(());
    }
    let _lock = NodeLock::take(&layout)?;
    let runtime =
        Runtime::new(config.runtime()).map_err(NodeError::io("reach the machine's control groups"))?;
    for found in runtime.adopt().map_err(NodeError::io("find the node's containers"))? {
        runtime.delete(&found.id)?;
    }
    runtime.delete_instance()?;
    Vpcs::new(config.network()?)?.teardown_all()?;
    if config.images_dir.is_dir() {
        let images = Store::open(&config.images_dir)?;
        for (holder, _) in images.holders()? {
            images.release(&holder)?;
        }
    }
    for directory in [layout.tasks(), layout.containers(), layout.spools(), layout.ended(), layout.vpcs()] {
        record::remove_tree(&directory).map_err(NodeError::io(format!("remove {}", directory.display())))?;
    }
    Ok(())
}
