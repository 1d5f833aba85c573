//! What became of what was asked for, written into a task's state.

use gantry_domain::assignment::StopCause;
use gantry_domain::task::StopCode;
use gantry_types::Timestamp;

use super::event::{Exit, Found, StartedContainer};
use super::health::HealthMachine;
use super::state::{ContainerPhase, ContainerState, NetworkPhase, TaskState, has_network};

pub(super) fn network_ready(task: &mut TaskState, result: Result<(), String>, now: Timestamp) {
    if task.network != NetworkPhase::SettingUp {
        return;
    }
    match result {
        Ok(()) => task.network = NetworkPhase::Ready,
        // A node that restarted could not look after the interface again; who runs in it has it all the same.
        Err(_) if task.containers.iter().any(|container| container.phase.is_alive()) => {
            task.network = NetworkPhase::Ready;
        }
        Err(error) => {
            task.network = NetworkPhase::Failed;
            fail_to_start(task, format!("ResourceInitializationError: {error}"), now);
        }
    }
}

pub(super) fn image_ready(
    task: &mut TaskState,
    index: usize,
    result: Result<String, String>,
    now: Timestamp,
) {
    let container = &mut task.containers[index];
    if container.phase != ContainerPhase::Pulling {
        return;
    }
    match result {
        Ok(digest) => {
            container.phase = ContainerPhase::Pulled;
            container.image_digest = Some(digest);
            if task.containers.iter().all(|each| each.image_digest.is_some()) {
                task.pull_stopped_at = Some(now);
            }
        }
        Err(error) => {
            let reason = format!("CannotPullContainerError: {error}");
            container.reason = Some(reason.clone());
            container.phase = ContainerPhase::Stopped;
            fail_to_start(task, reason, now);
        }
    }
}

pub(super) fn started(
    task: &mut TaskState,
    index: usize,
    result: Result<StartedContainer, String>,
    now: Timestamp,
) {
    let check = task.spec.containers[index].health_check.clone();
    let container = &mut task.containers[index];
    if container.phase != ContainerPhase::Starting {
        return;
    }
    match result {
        Ok(start) => {
            container.phase = ContainerPhase::Running;
            container.runtime_id = Some(start.runtime_id);
            container.started_at = Some(start.at);
            container.health = check.map(|check| HealthMachine::new(&check, start.at));
        }
        Err(error) => start_failed(task, index, &error, now),
    }
}

pub(super) fn start_failed(task: &mut TaskState, index: usize, error: &str, now: Timestamp) {
    let container = &mut task.containers[index];
    if container.phase == ContainerPhase::Stopped {
        return;
    }
    let reason = format!("CannotStartContainerError: {error}");
    container.reason = Some(reason.clone());
    container.phase = ContainerPhase::Stopped;
    fail_to_start(task, reason, now);
}

pub(super) fn exited(task: &mut TaskState, index: usize, exit: Exit) {
    let essential = task.spec.containers[index].essential;
    let container = &mut task.containers[index];
    if container.phase == ContainerPhase::Stopped {
        return;
    }
    container.phase = ContainerPhase::Stopped;
    container.reason = match exit.out_of_memory {
        true => Some("OutOfMemoryError: Container killed due to memory usage".to_owned()),
        false => exit.reason.clone(),
    };
    let at = exit.at;
    container.exit = Some(exit);
    if essential {
        task.execution_stopped_at.get_or_insert(at);
        if !task.stopping {
            task.stopping = true;
            task.cause = Some(StopCause {
                code: StopCode::EssentialContainerExited,
                reason: "Essential container in task exited".to_owned(),
            });
        }
    }
}

/// A container will not run, because what it waits for cannot come about. An essential one takes the task with it.
pub(super) fn give_up(task: &mut TaskState, index: usize, reason: String, now: Timestamp) {
    let container = &mut task.containers[index];
    container.phase = ContainerPhase::Stopped;
    container.reason = Some(reason.clone());
    if task.spec.containers[index].essential {
        fail_to_start(task, reason, now);
    }
}

pub(super) fn fail_to_start(task: &mut TaskState, reason: String, now: Timestamp) {
    if !task.stopping {
        task.stopping = true;
        task.execution_stopped_at.get_or_insert(now);
        task.cause = Some(StopCause { code: StopCode::TaskFailedToStart, reason });
    }
}

/// Brings a persisted task in line with what was found of it.
pub(super) fn resume(task: &mut TaskState, found: Vec<Found>, now: Timestamp) {
    if task.network != NetworkPhase::Failed && has_network(&task.spec) {
        task.network = NetworkPhase::Waiting;
    }
    for (index, found) in found.into_iter().enumerate().take(task.containers.len()) {
        let check = task.spec.containers[index].health_check.clone();
        match found {
            Found::Running(start) => {
                let container = &mut task.containers[index];
                container.phase = match container.phase {
                    // Its signal was sent; another one could make a program break off what it is finishing.
                    ContainerPhase::Stopping { kill_at } => ContainerPhase::Stopping { kill_at },
                    // It should have died: it is killed again.
                    ContainerPhase::Killed => ContainerPhase::Stopping { kill_at: now },
                    ContainerPhase::Created
                    | ContainerPhase::Pulling
                    | ContainerPhase::Pulled
                    | ContainerPhase::Starting
                    | ContainerPhase::Running
                    | ContainerPhase::Stopped => ContainerPhase::Running,
                };
                container.runtime_id = Some(start.runtime_id);
                container.started_at = container.started_at.or(Some(start.at));
                match (&mut container.health, check) {
                    (Some(machine), _) => machine.resume(now),
                    (none, Some(check)) => *none = Some(HealthMachine::new(&check, start.at)),
                    (None, None) => {}
                }
            }
            Found::Exited(exit) => exited(task, index, exit),
            Found::FailedToStart(error) => start_failed(task, index, &error, now),
            Found::Nothing => {
                let container = &mut task.containers[index];
                if container.phase != ContainerPhase::Stopped {
                    container.phase = ContainerPhase::Created;
                }
            }
        }
    }
    // A node that was killed may not have kept that the task had started: its containers tell.
    let ran = |container: &ContainerState| {
        matches!(container.phase, ContainerPhase::Running)
            || container.exit.as_ref().is_some_and(|exit| exit.code.is_some())
    };
    if task.started_at.is_none() && task.containers.iter().all(ran) {
        task.started_at =
            task.containers.iter().filter_map(|each| Some(each.exit.as_ref()?.at)).min().or(Some(now));
    }
}
