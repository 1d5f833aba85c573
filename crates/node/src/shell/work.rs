//! The works of one task: what each effect does on this machine. All of these block.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use gantry_domain::assignment::TaskSpec;
use gantry_domain::task_definition::{ContainerDefinition, NetworkMode, Volume};
use gantry_images::Store;
use gantry_runtime::{
    ContainerId, ExecError, ExecRequest, ExitWatch, Runtime, SignalError, StopSignal, health_check_command,
};
use gantry_types::TaskId;

use super::container::{Place, container_spec, hostname, hosts_file, resolv_conf};
use super::image::{Found, ImageSource, Prepared, stop_signal};
use super::layout::{Layout, container_id};
use super::limits::{HEALTH_OUTPUT_BYTES_MAX, KILL_ATTEMPTS, KILL_PAUSE};
use super::modes;
use super::record::make_directory;
use super::translate::internal_domain;
use crate::core::{HealthOutcome, StartedContainer};

/// What works act on.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) layout: Layout,
    pub(super) runtime: Runtime,
    pub(super) images: Store,
    pub(super) image_source: ImageSource,
    /// Where the namespaces of tasks are mounted.
    pub(super) namespaces: PathBuf,
    /// What this machine cannot enforce is said once.
    pub(super) told: Mutex<BTreeSet<String>>,
    /// The addresses of containers in `bridge` mode, by their ids.
    pub(super) bridged: Mutex<BTreeMap<String, Ipv4Addr>>,
}

/// A container that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) started: StartedContainer,
    pub(super) exit: ExitWatch,
    pub(super) stop_signal: StopSignal,
}

/// The runtime's name of a task's container.
pub(super) fn runtime_id(task: &TaskId, index: usize) -> Result<ContainerId, String> {
    ContainerId::new(container_id(task, index)).map_err(|error| error.to_string())
}

impl Machine {
    /// The control group of the whole task.
    pub(super) fn prepare_task(&self, spec: &TaskSpec) -> Result<(), String> {
        let task = gantry_runtime::TaskSpec {
            id: spec.task.clone(),
            cpu_quota: spec.cpu,
            memory_limit_bytes: spec.memory.map(|memory| memory.bytes()),
        };
        let unenforced = self.runtime.prepare_task(&task).map_err(|error| error.to_string())?;
        self.tell_unenforced(unenforced);
        Ok(())
    }

    pub(super) fn find_image(&self, spec: &TaskSpec, index: usize) -> Result<Found, String> {
        self.image_source.find(&spec.containers[index].image, &container_id(&spec.task, index))
    }

    /// Runs a container's program. The error is a sentence for the user.
    pub(super) fn start(&self, spec: &TaskSpec, index: usize, prepared: Prepared) -> Result<Running, String> {
        let definition = &spec.containers[index];
        let place = Place {
            id: runtime_id(&spec.task, index)?,
            index,
            layout: &self.layout,
            namespace: self.namespaces.join(modes::namespace(spec, index)?),
        };
        let stop_signal = stop_signal(&prepared.config);
        let container = container_spec(spec, definition, &prepared.config, prepared.layers, place)?;
        self.write_files(spec, index, definition)
            .map_err(|error| format!("could not write the container's network files: {error}"))?;
        for (index, volume) in spec.volumes.iter().enumerate() {
            self.make_volume(&spec.task, index, volume)
                .map_err(|error| format!("could not make the volume {}: {error}", volume.name))?;
        }
        make_directory(&container.output.path)
            .map_err(|error| format!("could not make the spool of its output: {error}"))?;
        let started = self.runtime.start(&container).map_err(|error| error.to_string())?;
        self.tell_unenforced(started.unenforced);
        Ok(Running {
            started: StartedContainer { runtime_id: container.id.to_string(), at: started.started_at },
            exit: started.exit,
            stop_signal,
        })
    }

    fn write_files(&self, spec: &TaskSpec, index: usize, definition: &ContainerDefinition) -> io::Result<()> {
        let directory = self.layout.files(&spec.task, index);
        make_directory(&directory)?;
        let dns = spec.uplink().map(|interface| interface.dns_address.to_string());
        let name = hostname(spec, definition, index);
        let own = self.address(spec, index).map(|address| (address, name.as_str()));
        let contents = [
            ("hosts", hosts_file(definition, own)),
            ("hostname", format!("{name}\n")),
            ("resolv.conf", resolv_conf(definition, dns.as_deref(), &internal_domain(&spec.region))),
        ];
        for (name, text) in contents {
            write_readable(&directory.join(name), &text)?;
        }
        Ok(())
    }

    /// Where a container is reached.
    fn address(&self, spec: &TaskSpec, index: usize) -> Option<Ipv4Addr> {
        match spec.network_mode {
            NetworkMode::Awsvpc | NetworkMode::Host => spec.uplink().map(|interface| interface.address),
            NetworkMode::Bridge => self.bridged().get(&container_id(&spec.task, index)).copied(),
            NetworkMode::None => None,
        }
    }

    pub(super) fn bridged(&self) -> MutexGuard<'_, BTreeMap<String, Ipv4Addr>> {
        self.bridged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make_volume(&self, task: &TaskId, index: usize, volume: &Volume) -> io::Result<()> {
        match &volume.host_path {
            // It may be a file; where it is missing it is made, as Docker does.
            Some(path) if Path::new(path).exists() => Ok(()),
            Some(path) => fs::create_dir_all(path),
            None => {
                let path = self.layout.volume(task, index);
                make_directory(&path)?;
                set_mode(&path, 0o755)
            }
        }
    }

    /// The stop signal now. SIGKILL after the timeout is also with the shim, in case that this process is not there then.
    pub(super) fn signal(&self, spec: &TaskSpec, index: usize, signal: StopSignal) -> Result<(), String> {
        let id = runtime_id(&spec.task, index)?;
        let timeout = spec.containers[index].stop_timeout.unwrap_or(TaskSpec::STOP_TIMEOUT_DEFAULT);
        ended_is_fine(self.runtime.stop(&id, signal, timeout))
    }

    pub(super) fn kill(&self, spec: &TaskSpec, index: usize) -> Result<(), String> {
        let id = runtime_id(&spec.task, index)?;
        let mut attempt = 1;
        loop {
            match ended_is_fine(self.runtime.kill(&id)) {
                Err(error) if attempt < KILL_ATTEMPTS => {
                    tracing::warn!(container = %id, "{error}; trying again");
                    std::thread::sleep(KILL_PAUSE);
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    pub(super) fn check_health(&self, spec: &TaskSpec, index: usize) -> HealthOutcome {
        let check = spec.containers[index].health_check.as_ref();
        // A check that names no command never fails.
        let command = check.and_then(|check| Some((check, health_check_command(&check.command)?)));
        let Some((check, command)) = command else { return HealthOutcome::Passed };
        let Ok(id) = runtime_id(&spec.task, index) else { return HealthOutcome::Failed };
        let request = ExecRequest {
            command,
            environment: Vec::new(),
            user: None,
            working_directory: None,
            timeout: check.timeout,
            output_bytes_max: HEALTH_OUTPUT_BYTES_MAX,
        };
        match self.runtime.exec(&id, &request) {
            Ok(result) if result.exit_code == Some(0) => HealthOutcome::Passed,
            Ok(result) => {
                let output = String::from_utf8_lossy(&result.output);
                tracing::debug!(container = %id, code = ?result.exit_code, timed_out = result.timed_out, %output, "a health check failed");
                HealthOutcome::Failed
            }
            // Its end is told by other means.
            Err(ExecError::NotRunning(_)) => HealthOutcome::Failed,
            Err(error) => {
                tracing::warn!(container = %id, "a health check could not be run: {error}");
                HealthOutcome::Failed
            }
        }
    }

    fn tell_unenforced(&self, unenforced: Vec<String>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for what in unenforced {
            if !told.contains(&what) {
                tracing::warn!("this machine does not enforce {what}");
                told.insert(what);
            }
        }
    }
}

/// What has ended needs no signal.
fn ended_is_fine(outcome: Result<(), SignalError>) -> Result<(), String> {
    match outcome {
        Err(error @ SignalError::Io { .. }) => Err(error.to_string()),
        Ok(()) | Err(SignalError::NotFound(_) | SignalError::NotRunning(_)) => Ok(()),
    }
}

/// A file that every user of a container may read.
fn write_readable(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text)?;
    set_mode(path, 0o644)
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}
