//! What is on disk of tasks and VPCs.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use gantry_domain::assignment::VpcSpec;
use gantry_types::{TaskId, VpcId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::layout::{Layout, is_plain};
use super::limits::{ENDED_OUTPUTS_MAX, RECORD_BYTES_MAX, RECORDS_MAX};
use crate::core::TaskState;

/// Grows when a record can no longer be read by an older program.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    task: &'a TaskState,
}

#[derive(Deserialize)]
struct ReadBack {
    version: u32,
    task: TaskState,
}

/// A task's record as bytes.
pub(super) fn encode_task(task: &TaskState) -> Vec<u8> {
    serde_json::to_vec(&Written { version: VERSION, task }).expect("a task is representable as JSON")
}

/// Keeps a task: when this returns, a crash of the machine does not take it away.
pub(super) fn write_task(layout: &Layout, task: &TaskId, record: &[u8]) -> io::Result<()> {
    let directory = layout.task(task);
    let is_new = match DirBuilder::new().mode(0o700).create(&directory) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(error),
    };
    replace(&layout.task_record(task), record, Durability::Synced)?;
    if is_new { sync_directory(&layout.tasks()) } else { Ok(()) }
}

/// From here on the task is being removed, also by a node that starts in the middle of it.
pub(super) fn mark_forgotten(layout: &Layout, task: &TaskId) -> io::Result<()> {
    match fs::rename(layout.task_record(task), layout.forgotten_record(task)) {
        Ok(()) => sync_directory(&layout.task(task)),
        // Marked already, or never written.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

pub(super) fn remove_task(layout: &Layout, task: &TaskId) -> io::Result<()> {
    remove_tree(&layout.task(task))
}

/// The tasks of the node's former life.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) tasks: Vec<TaskState>,
    /// Their removal was cut off.
    pub(super) forgotten: Vec<TaskState>,
}

/// Reads all tasks. One whose record cannot be read is not run again: what is left of it is removed like anything that belongs
/// to nobody.
pub(super) fn read_tasks(layout: &Layout) -> io::Result<Kept> {
    let mut kept = Kept::default();
    for entry in fs::read_dir(layout.tasks())?.take(RECORDS_MAX) {
        let entry = entry?;
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        let task = TaskId::from(name.as_str());
        let mine = |state: &TaskState| state.spec.task == task && is_plain(&name);
        let forgotten = read::<ReadBack>(&layout.forgotten_record(&task));
        match (read::<ReadBack>(&layout.task_record(&task)), forgotten) {
            (Ok(record), _) if record.version <= VERSION && mine(&record.task) => {
                kept.tasks.push(record.task);
            }
            (_, Ok(record)) if record.version <= VERSION && mine(&record.task) => {
                kept.forgotten.push(record.task);
            }
            (wanted, _) => {
                if let Err(error) = wanted
                    && error.kind() != io::ErrorKind::NotFound
                {
                    tracing::error!(%task, %error, "a task's record cannot be read: what is left of it is removed");
                }
                remove_tree(&entry.path())?;
            }
        }
    }
    Ok(kept)
}

/// Keeps a VPC for a node that starts while `control` is dead. Not synced: after a crash of the machine nothing lives in it.
pub(super) fn write_vpc(layout: &Layout, spec: &VpcSpec) -> io::Result<()> {
    let text = serde_json::to_vec(spec)?;
    replace(&layout.vpc(&spec.vpc), &text, Durability::Cached)
}

pub(super) fn remove_vpc(layout: &Layout, vpc: &VpcId) -> io::Result<()> {
    absent_is_fine(fs::remove_file(layout.vpc(vpc)))
}

pub(super) fn read_vpcs(layout: &Layout) -> io::Result<Vec<VpcSpec>> {
    let mut specs = Vec::new();
    for entry in fs::read_dir(layout.vpcs())?.take(RECORDS_MAX) {
        let path = entry?.path();
        match read::<VpcSpec>(&path) {
            Ok(spec) if path == layout.vpc(&spec.vpc) => specs.push(spec),
            _ => {
                tracing::warn!(path = %path.display(), "what is kept of a VPC cannot be read; control sends it again");
                absent_is_fine(fs::remove_file(&path))?;
            }
        }
    }
    Ok(specs)
}

/// Keeps what a container wrote beyond its task, in place of the oldest that is kept.
pub(super) fn keep_ended(layout: &Layout, container: &str) -> io::Result<()> {
    let (spool, ended) = (layout.spool(container), layout.ended());
    if !spool.is_dir() {
        return Ok(());
    }
    make_directory(&ended)?;
    let mut kept = Vec::new();
    for entry in fs::read_dir(&ended)?.take(RECORDS_MAX) {
        let entry = entry?;
        kept.push((entry.metadata()?.modified()?, entry.path()));
    }
    kept.sort();
    for (_, oldest) in kept.iter().take((kept.len() + 1).saturating_sub(ENDED_OUTPUTS_MAX)) {
        remove_tree(oldest)?;
    }
    fs::rename(spool, ended.join(container))
}

/// The node's own id, made once.
pub(super) fn node_id(layout: &Layout) -> io::Result<String> {
    match fs::read_to_string(layout.id()) {
        Ok(text) if is_plain(text.trim()) => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    replace(&layout.id(), id.as_bytes(), Durability::Synced)?;
    Ok(id)
}

pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_dir_all(path))
}

fn absent_is_fine(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Durability {
    /// Survives a crash of the machine.
    Synced,
    /// Survives a crash of this process.
    Cached,
}

/// Readers see the old file or the whole new one.
fn replace(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    if durability == Durability::Synced {
        file.sync_data()?;
    }
    fs::rename(&temporary, path)?;
    match (durability, path.parent()) {
        (Durability::Synced, Some(directory)) => sync_directory(directory),
        _ => Ok(()),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    let mut text = Vec::new();
    File::open(path)?.take(RECORD_BYTES_MAX).read_to_end(&mut text)?;
    serde_json::from_slice(&text).map_err(io::Error::from)
}
