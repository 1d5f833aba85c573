//! What a container is to be, checked once when it arrives.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use gantry_types::{CpuUnits, TaskId};
use serde::{Deserialize, Serialize};

use crate::capability::CapabilityChanges;
use crate::limits::{LAYERS_MAX, MOUNTS_MAX, PIDS_LIMIT_MIN};

/// Names a container on this machine: its directory and its cgroup. Letters, digits, `_`, `.`, `-`; at most 128.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

impl ContainerId {
    pub fn new(text: impl Into<String>) -> Result<Self, SpecError> {
        let text = text.into();
        check_name("container id", &text)?;
        Ok(Self(text))
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl TryFrom<String> for ContainerId {
    type Error = SpecError;
    fn try_from(text: String) -> Result<Self, SpecError> {
        Self::new(text)
    }
}
impl From<ContainerId> for String {
    fn from(id: ContainerId) -> Self {
        id.0
    }
}
impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// What all containers of a task share: the cgroup above theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    pub id: TaskId,
    /// The time on processors that the task's containers may use together.
    #[serde(default)]
    pub cpu_quota: Option<CpuUnits>,
    #[serde(default)]
    pub memory_limit_bytes: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    pub id: ContainerId,
    pub task: TaskId,
    /// The image's layers, unpacked, topmost first. Never written to.
    pub layers: Vec<PathBuf>,
    /// The program and its arguments: ENTRYPOINT and CMD put together.
    pub command: Vec<String>,
    /// `PATH`, `HOME` and `HOSTNAME` are added when they are missing.
    pub environment: Vec<(String, String)>,
    /// Made if it is missing, as Docker does.
    pub working_directory: PathBuf,
    /// `name`, `uid`, `name:group` or `uid:gid`; empty is root.
    #[serde(default)]
    pub user: String,
    #[serde(default)]
    pub hostname: String,
    pub network: Network,
    #[serde(default)]
    pub mounts: Vec<Mount>,
    #[serde(default)]
    pub tmpfs: Vec<Tmpfs>,
    /// The size of `/dev/shm`.
    #[serde(default)]
    pub shared_memory_bytes: Option<u64>,
    #[serde(default)]
    pub root_access: RootAccess,
    #[serde(default)]
    pub capabilities: CapabilityChanges,
    #[serde(default)]
    pub no_new_privileges: bool,
    #[serde(default)]
    pub ulimits: Vec<Ulimit>,
    /// Namespaced kernel parameters (ECS `systemControls`).
    #[serde(default)]
    pub system_controls: Vec<(String, String)>,
    /// The weight against other containers when processors are short; 1024 is one processor's worth.
    #[serde(default)]
    pub cpu_shares: Option<CpuUnits>,
    #[serde(default)]
    pub cpu_quota: Option<CpuUnits>,
    #[serde(default)]
    pub memory_limit_bytes: Option<u64>,
    #[serde(default)]
    pub memory_reservation_bytes: Option<u64>,
    #[serde(default)]
    pub pids_limit: Option<u32>,
    /// ECS `initProcessEnabled`: process 1 reaps orphans and forwards signals.
    #[serde(default)]
    pub init_process: bool,
    pub output: OutputTarget,
}

/// What the binary's sink is opened with, inside the shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputTarget {
    pub path: PathBuf,
    pub bytes_max: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// An existing network namespace, by path.
    Namespace(PathBuf),
    /// A namespace of its own with nothing in it.
    Isolated,
    /// The node's own.
    Host,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    pub source: PathBuf,
    pub target: PathBuf,
    pub access: MountAccess,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountAccess {
    ReadOnly,
    ReadWrite,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    pub target: PathBuf,
    pub size_bytes: u64,
    /// Mount options as ECS takes them, for example `noexec`.
    #[serde(default)]
    pub options: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RootAccess {
    #[default]
    ReadWrite,
    ReadOnly,
}

/// A resource limit by ECS's name, for example `nofile`; `u64::MAX` is unlimited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    pub name: String,
    pub soft: u64,
    pub hard: u64,
}

/// A signal by name or number, as STOPSIGNAL takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StopSignal(i32);

impl StopSignal {
    pub const TERM: Self = Self(15);
    pub const KILL: Self = Self(9);

    /// `SIGTERM`, `TERM`, `15`, `RTMIN+3`.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let unknown = || SpecError::Signal(text.to_owned());
        let name = text.trim().to_ascii_uppercase();
        if let Ok(number) = name.parse() {
            return Self::number(number).ok_or_else(unknown);
        }
        let short = name.strip_prefix("SIG").unwrap_or(&name);
        // The C library keeps the first real-time signals for itself, so the base is known at run time only.
        let (base, offset) = match (short.strip_prefix("RTMIN"), short.strip_prefix("RTMAX")) {
            (Some(offset), _) => (nix::libc::SIGRTMIN(), offset),
            (_, Some(offset)) => (nix::libc::SIGRTMAX(), offset),
            _ => {
                let signal: nix::sys::signal::Signal =
                    format!("SIG{short}").parse().map_err(|_| unknown())?;
                return Ok(Self(signal as i32));
            }
        };
        let offset = if offset.is_empty() { 0 } else { offset.parse().map_err(|_| unknown())? };
        base.checked_add(offset).and_then(Self::number).ok_or_else(unknown)
    }

    pub fn number(number: i32) -> Option<Self> {
        (1..=64).contains(&number).then_some(Self(number))
    }
    pub fn as_raw(self) -> i32 {
        self.0
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error(
        "{what} {text:?} is not 1 to 128 letters, digits, '_', '.', '-' that begin with a letter or digit"
    )]
    Name { what: &'static str, text: String },
    #[error("a container needs between 1 and {LAYERS_MAX} layers, not {0}")]
    Layers(usize),
    #[error("a container's command is empty")]
    NoCommand,
    #[error("{what} holds a NUL byte")]
    Nul { what: &'static str },
    #[error("environment variable name {0:?} is empty or holds '='")]
    VariableName(String),
    #[error("{what} {path:?} is not an absolute path without '..'")]
    Path { what: &'static str, path: PathBuf },
    #[error("a container takes at most {MOUNTS_MAX} mounts, not {0}")]
    Mounts(usize),
    #[error("unknown signal {0:?}")]
    Signal(String),
    #[error("unknown capability {0:?}")]
    Capability(String),
    #[error("unknown ulimit {0:?}")]
    Ulimit(String),
    #[error("ulimit {name}: the soft limit {soft} is above the hard limit {hard}")]
    UlimitOrder { name: String, soft: u64, hard: u64 },
    #[error("system control {0:?} is not namespaced, so a container may not set it")]
    SystemControl(String),
    #[error("the memory reservation of {reservation} bytes is above the limit of {limit}")]
    Reservation { reservation: u64, limit: u64 },
    #[error("a limit of {0} processes is below the {PIDS_LIMIT_MIN} that starting a container takes")]
    PidsLimit(u32),
    #[error("mount option {0:?} of a tmpfs is not allowed")]
    TmpfsOption(String),
}

impl TaskSpec {
    pub(crate) fn check(&self) -> Result<(), SpecError> {
        check_name("task id", self.id.as_str())
    }
}

impl ContainerSpec {
    /// Everything that can be known wrong without touching the machine.
    pub fn check(&self) -> Result<(), SpecError> {
        check_name("task id", self.task.as_str())?;
        if self.layers.is_empty() || self.layers.len() > LAYERS_MAX {
            return Err(SpecError::Layers(self.layers.len()));
        }
        for layer in &self.layers {
            check_path("layer", layer)?;
        }
        match self.command.first() {
            None => return Err(SpecError::NoCommand),
            Some(program) if program.is_empty() => return Err(SpecError::NoCommand),
            Some(_) => {}
        }
        for argument in &self.command {
            check_nul("the command", argument)?;
        }
        check_environment(&self.environment)?;
        check_path("working directory", &self.working_directory)?;
        check_nul("the user", &self.user)?;
        check_nul("the hostname", &self.hostname)?;
        if let Network::Namespace(path) = &self.network {
            check_path("network namespace", path)?;
        }
        self.check_mounts()?;
        self.capabilities.check()?;
        for ulimit in &self.ulimits {
            ulimit.check()?;
        }
        for (name, value) in &self.system_controls {
            check_system_control(name)?;
            check_nul("a system control", value)?;
        }
        if let Some(limit) = self.pids_limit.filter(|limit| *limit < PIDS_LIMIT_MIN) {
            return Err(SpecError::PidsLimit(limit));
        }
        match (self.memory_reservation_bytes, self.memory_limit_bytes) {
            (Some(reservation), Some(limit)) if reservation > limit => {
                Err(SpecError::Reservation { reservation, limit })
            }
            _ => Ok(()),
        }
    }

    fn check_mounts(&self) -> Result<(), SpecError> {
        let count = self.mounts.len() + self.tmpfs.len();
        if count > MOUNTS_MAX {
            return Err(SpecError::Mounts(count));
        }
        for mount in &self.mounts {
            check_path("mount source", &mount.source)?;
            check_path("mount target", &mount.target)?;
        }
        for tmpfs in &self.tmpfs {
            check_path("tmpfs target", &tmpfs.target)?;
            let known =
                ["ro", "rw", "noexec", "exec", "nosuid", "suid", "nodev", "dev", "noatime", "relatime"];
            for option in &tmpfs.options {
                let sized = ["mode=", "uid=", "gid=", "nr_inodes="].iter().any(|key| option.starts_with(key));
                if !(known.contains(&option.as_str()) || sized) {
                    return Err(SpecError::TmpfsOption(option.clone()));
                }
            }
        }
        Ok(())
    }
}

impl Ulimit {
    fn check(&self) -> Result<(), SpecError> {
        let known = [
            "core",
            "cpu",
            "data",
            "fsize",
            "locks",
            "memlock",
            "msgqueue",
            "nice",
            "nofile",
            "nproc",
            "rss",
            "rtprio",
            "rttime",
            "sigpending",
            "stack",
        ];
        if !known.contains(&self.name.as_str()) {
            return Err(SpecError::Ulimit(self.name.clone()));
        }
        if self.soft > self.hard {
            return Err(SpecError::UlimitOrder { name: self.name.clone(), soft: self.soft, hard: self.hard });
        }
        Ok(())
    }
}

/// A kernel parameter that belongs to a namespace of the container; any other is the whole machine's.
fn check_system_control(name: &str) -> Result<(), SpecError> {
    let ipc = ["kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem"];
    let allowed = name.starts_with("net.")
        || name.starts_with("fs.mqueue.")
        || name.starts_with("kernel.shm")
        || ipc.contains(&name);
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        && !name.contains("..");
    if allowed && plain { Ok(()) } else { Err(SpecError::SystemControl(name.to_owned())) }
}

pub(crate) fn check_environment(environment: &[(String, String)]) -> Result<(), SpecError> {
    for (name, value) in environment {
        if name.is_empty() || name.contains('=') {
            return Err(SpecError::VariableName(name.clone()));
        }
        check_nul("the environment", name)?;
        check_nul("the environment", value)?;
    }
    Ok(())
}

pub(crate) fn check_nul(what: &'static str, text: &str) -> Result<(), SpecError> {
    if text.contains('\0') { Err(SpecError::Nul { what }) } else { Ok(()) }
}

fn check_name(what: &'static str, text: &str) -> Result<(), SpecError> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if plain && begins && text.len() <= 128 {
        Ok(())
    } else {
        Err(SpecError::Name { what, text: text.to_owned() })
    }
}

fn check_path(what: &'static str, path: &Path) -> Result<(), SpecError> {
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    let nul = path.as_os_str().as_encoded_bytes().contains(&0);
    // The bundle is JSON, so a path has to be UTF-8.
    if path.is_absolute() && plain && !nul && path.to_str().is_some() {
        Ok(())
    } else {
        Err(SpecError::Path { what, path: path.to_owned() })
    }
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;
