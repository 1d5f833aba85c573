//! A container's directory: what it was asked to be, who its shim is, how it ended.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use gantry_types::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;
use crate::error::StartFailure;
use crate::identity::ProcessIdentity;
use crate::limits::STATE_FILE_BYTES_MAX;
use crate::spec::{ContainerId, ContainerSpec};

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// What the program returned, or 128 and the signal that killed it; `None` when it never started or when nobody
    /// saw its end.
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    /// The kernel killed it because it reached its memory limit.
    pub oom_killed: bool,
    pub started_at: Option<Timestamp>,
    pub finished_at: Timestamp,
    /// Why it never started, or why its end was not seen.
    pub error: Option<StartFailure>,
    /// Lines that the output sink refused.
    pub output_lines_lost: u64,
}

/// What a shim says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShimRecord {
    pub(crate) shim: ProcessIdentity,
    /// There from the moment when the container runs.
    pub(crate) container: Option<ProcessIdentity>,
    pub(crate) started_at: Option<Timestamp>,
    /// So that `delete` needs nothing else.
    pub(crate) cgroup: Cgroup,
}

/// Paths inside one container's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContainerDirectory(PathBuf);

impl ContainerDirectory {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }
    pub(crate) fn of(state_directory: &Path, id: &ContainerId) -> Self {
        Self(state_directory.join(id.as_str()))
    }
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
    pub(crate) fn upper(&self) -> PathBuf {
        self.0.join("upper")
    }
    pub(crate) fn work(&self) -> PathBuf {
        self.0.join("work")
    }
    /// Where the overlay is mounted, in the shim's mount namespace only.
    pub(crate) fn rootfs(&self) -> PathBuf {
        self.0.join("rootfs")
    }
    pub(crate) fn bundle(&self) -> PathBuf {
        self.0.join("bundle")
    }
    /// libcontainer's own state.
    pub(crate) fn oci(&self) -> PathBuf {
        self.0.join("oci")
    }
    /// Where the container's cgroups are bound, in the shim's mount namespace only.
    pub(crate) fn cgroup_mounts(&self) -> PathBuf {
        self.0.join("cgroup")
    }

    pub(crate) fn read_spec(&self) -> io::Result<ContainerSpec> {
        read_json(&self.0.join("spec.json"))
    }
    pub(crate) fn write_spec(&self, spec: &ContainerSpec) -> io::Result<()> {
        write_json(&self.0.join("spec.json"), spec)
    }
    pub(crate) fn read_shim(&self) -> io::Result<ShimRecord> {
        read_json(&self.0.join("shim.json"))
    }
    pub(crate) fn write_shim(&self, record: &ShimRecord) -> io::Result<()> {
        write_json(&self.0.join("shim.json"), record)
    }
    pub(crate) fn read_exit(&self) -> io::Result<ExitRecord> {
        read_json(&self.0.join("exit.json"))
    }
    /// Takes the room on the disk that the exit record will need, while there is some.
    pub(crate) fn reserve_exit(&self) -> io::Result<()> {
        fs::write(self.0.join(EXIT_DRAFT), [b' '; EXIT_RECORD_BYTES])
    }
    /// Written in place and cut to size, so that a full disk cannot lose it; then given its name, whole.
    pub(crate) fn write_exit(&self, record: &ExitRecord) -> io::Result<()> {
        let text = serde_json::to_vec(record)?;
        let draft = self.0.join(EXIT_DRAFT);
        let mut file = OpenOptions::new().create(true).write(true).truncate(false).open(&draft)?;
        file.write_all(&text)?;
        file.set_len(text.len() as u64)?;
        fs::rename(&draft, self.0.join("exit.json"))
    }
}

const EXIT_DRAFT: &str = "exit.draft";
/// Messages of failed starts may make it longer; those are told to the node at once.
const EXIT_RECORD_BYTES: usize = 4096;
pub(crate) const CONTROL_SOCKET: &str = "control.sock";

fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    let mut text = Vec::new();
    File::open(path)?.take(STATE_FILE_BYTES_MAX).read_to_end(&mut text)?;
    serde_json::from_slice(&text).map_err(io::Error::from)
}

/// Readers see the old file or the whole new one. Not synced to disk: after a crash of the machine no container of
/// the directory lives, and the boot recorded in it says so.
fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let text = serde_json::to_vec(value)?;
    let temporary = path.with_extension("new");
    File::create(&temporary)?.write_all(&text)?;
    fs::rename(&temporary, path)
}
