//! Finding the containers that another process started.

use std::fs;
use std::io;
use std::path::Path;

use gantry_types::{TaskId, Timestamp};

use crate::limits::CONTAINERS_ADOPTED_MAX;
use crate::spec::ContainerId;
use crate::state::{ContainerDirectory, ExitRecord};
use crate::watch::recorded_end;

/// A container that has a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub id: ContainerId,
    /// `None` when the start was cut off before it was written down; then there is nothing but a directory.
    pub task: Option<TaskId>,
    pub state: FoundState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundState {
    /// Its shim is at work: a watch tells of its end, a signal is answered when it runs.
    Starting,
    Running {
        pid: i32,
        started_at: Timestamp,
    },
    /// Also one whose shim was killed, or whose start was cut off: its record's error says so.
    Exited(ExitRecord),
}

pub(crate) fn adopt(state_directory: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(state_directory)?.take(CONTAINERS_ADOPTED_MAX) {
        let entry = entry?;
        // Names that are no ids are not ours.
        let Some(id) = entry.file_name().to_str().and_then(|name| ContainerId::new(name).ok()) else {
            continue;
        };
        let directory = ContainerDirectory::new(entry.path());
        if directory.path().is_dir() {
            let task = directory.read_spec().ok().map(|spec| spec.task);
            found.push(Found { id, task, state: state(&directory) });
        }
    }
    found.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(found)
}

fn state(directory: &ContainerDirectory) -> FoundState {
    if let Ok(record) = directory.read_exit() {
        return FoundState::Exited(record);
    }
    let shim = directory.read_shim().ok().filter(|record| record.shim.alive().is_some());
    match shim {
        Some(record) => match (record.container, record.started_at) {
            (Some(container), Some(started_at)) => FoundState::Running { pid: container.pid, started_at },
            _ => FoundState::Starting,
        },
        // Reads the record again: the shim may have written it just before its end.
        None => FoundState::Exited(recorded_end(directory)),
    }
}
