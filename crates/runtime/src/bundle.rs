//! The OCI bundle: what `libcontainer` reads.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::container::accounts::Account;
use crate::limits::{DEFAULT_PATH, OPEN_FILES, SHARED_MEMORY_BYTES};
use crate::spec::{ContainerSpec, MountAccess, Network, RootAccess};
use crate::state::ContainerDirectory;

/// A process that is to run in a container: its first one, or an exec.
#[derive(Debug)]
pub(crate) struct ProcessSpec<'a> {
    pub(crate) account: &'a Account,
    pub(crate) command: &'a [String],
    pub(crate) environment: &'a [(String, String)],
    pub(crate) working_directory: &'a Path,
    pub(crate) capabilities: &'a BTreeSet<String>,
    pub(crate) terminal: bool,
}

pub(crate) fn write_bundle(directory: &ContainerDirectory, config: &Value) -> io::Result<()> {
    for path in [directory.bundle(), directory.oci()] {
        fs::create_dir(path)?;
    }
    fs::write(directory.bundle().join("config.json"), serde_json::to_vec(config)?)
}

pub(crate) fn config(
    spec: &ContainerSpec,
    directory: &ContainerDirectory,
    process: &ProcessSpec<'_>,
    cgroup_views: &[(PathBuf, PathBuf)],
) -> Value {
    json!({
        "ociVersion": "1.0.2",
        "hostname": hostname(spec),
        "root": {"path": directory.rootfs(), "readonly": spec.root_access == RootAccess::ReadOnly},
        "process": self::process(spec, process),
        "mounts": mounts(spec, cgroup_views),
        "linux": {
            "namespaces": namespaces(&spec.network),
            "maskedPaths": MASKED_PATHS,
            "readonlyPaths": READ_ONLY_PATHS,
            "sysctl": system_controls(spec),
        },
    })
}

pub(crate) fn process(spec: &ContainerSpec, process: &ProcessSpec<'_>) -> Value {
    // The system call filters are installed last, which needs this one; the payload then drops it. It is not in the
    // bounding set, so the program cannot get it back.
    let building: BTreeSet<&str> =
        process.capabilities.iter().map(String::as_str).chain(["CAP_SYS_ADMIN"]).collect();
    let environment: Vec<String> =
        process.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    json!({
        "terminal": process.terminal,
        "user": {
            "uid": process.account.uid,
            "gid": process.account.gid,
            "additionalGids": process.account.supplementary_gids,
            "umask": 0o022,
        },
        "args": process.command,
        "env": environment,
        "cwd": process.working_directory,
        "capabilities": {
            "bounding": process.capabilities,
            "effective": building,
            "permitted": building,
            "inheritable": [],
            "ambient": [],
        },
        "rlimits": rlimits(spec),
        "noNewPrivileges": spec.no_new_privileges,
        "oomScoreAdj": 0,
    })
}

/// What the program sees: the task's variables, and those that every container has.
pub(crate) fn environment(spec: &ContainerSpec, account: &Account) -> Vec<(String, String)> {
    let mut environment = spec.environment.clone();
    let defaults = [("PATH", DEFAULT_PATH), ("HOSTNAME", hostname(spec)), ("HOME", &account.home)];
    for (name, value) in defaults {
        if !environment.iter().any(|(known, _)| known == name) {
            environment.push((name.to_owned(), value.to_owned()));
        }
    }
    environment
}

fn hostname(spec: &ContainerSpec) -> &str {
    if spec.hostname.is_empty() { spec.id.as_str() } else { &spec.hostname }
}

fn namespaces(network: &Network) -> Vec<Value> {
    let mut namespaces: Vec<Value> =
        ["pid", "ipc", "uts", "mount", "cgroup"].iter().map(|kind| json!({"type": kind})).collect();
    match network {
        Network::Namespace(path) => namespaces.push(json!({"type": "network", "path": path})),
        Network::Isolated => namespaces.push(json!({"type": "network"})),
        Network::Host => {}
    }
    namespaces
}

/// As with Docker, any user may listen on any port of a network namespace that is not the machine's.
fn system_controls(spec: &ContainerSpec) -> serde_json::Map<String, Value> {
    let mut controls = serde_json::Map::new();
    if spec.network != Network::Host {
        controls.insert("net.ipv4.ip_unprivileged_port_start".to_owned(), json!("0"));
    }
    controls.extend(spec.system_controls.iter().map(|(name, value)| (name.clone(), json!(value))));
    controls
}

fn rlimits(spec: &ContainerSpec) -> Vec<Value> {
    let mut rlimits: Vec<Value> = spec
        .ulimits
        .iter()
        .map(|limit| {
            let kind = format!("RLIMIT_{}", limit.name.to_ascii_uppercase());
            json!({"type": kind, "soft": limit.soft, "hard": limit.hard})
        })
        .collect();
    if !spec.ulimits.iter().any(|limit| limit.name == "nofile") {
        // Without the privilege to raise it, as much as this process may have itself.
        let own = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
        let limit = own.map_or(OPEN_FILES, |own| own.min(OPEN_FILES));
        rlimits.push(json!({"type": "RLIMIT_NOFILE", "soft": limit, "hard": limit}));
    }
    rlimits
}

fn mounts(spec: &ContainerSpec, cgroup_views: &[(PathBuf, PathBuf)]) -> Vec<Value> {
    let shared_memory = spec.shared_memory_bytes.unwrap_or(SHARED_MEMORY_BYTES);
    let mut mounts = vec![
        mount("proc", "proc", "/proc", &["nosuid", "noexec", "nodev"]),
        mount("tmpfs", "tmpfs", "/dev", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "devpts",
            "devpts",
            "/dev/pts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount(
            "tmpfs",
            "shm",
            "/dev/shm",
            &["nosuid", "noexec", "nodev", "mode=1777", &format!("size={shared_memory}")],
        ),
        mount("mqueue", "mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"]),
        // Without a network namespace of its own a container may not mount sysfs for one, and sees the host's.
        mount("sysfs", "sysfs", "/sys", &["nosuid", "noexec", "nodev", "ro"]),
    ];
    if cgroup_views.iter().all(|(_, target)| target != Path::new("/sys/fs/cgroup")) {
        mounts.push(mount(
            "tmpfs",
            "tmpfs",
            "/sys/fs/cgroup",
            &["nosuid", "noexec", "nodev", "mode=755", "size=4k"],
        ));
    }
    for (source, target) in cgroup_views {
        mounts.push(json!({
            "type": "bind", "source": source, "destination": target,
            "options": ["rbind", "ro", "nosuid", "noexec", "nodev"],
        }));
    }
    for tmpfs in &spec.tmpfs {
        let mut options = vec![format!("size={}", tmpfs.size_bytes), "nosuid".to_owned(), "nodev".to_owned()];
        options.extend(tmpfs.options.iter().cloned());
        mounts.push(
            json!({"type": "tmpfs", "source": "tmpfs", "destination": tmpfs.target, "options": options}),
        );
    }
    for volume in &spec.mounts {
        let access = match volume.access {
            MountAccess::ReadOnly => "rro",
            MountAccess::ReadWrite => "rw",
        };
        mounts.push(json!({
            "type": "bind", "source": volume.source, "destination": volume.target, "options": ["rbind", access],
        }));
    }
    mounts
}

fn mount(kind: &str, source: &str, target: &str, options: &[&str]) -> Value {
    json!({"type": kind, "source": source, "destination": target, "options": options})
}

/// Docker's list: what tells of, or reaches, the machine.
const MASKED_PATHS: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READ_ONLY_PATHS: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
