//! The last steps inside the container, and the execution of its program.

use std::ffi::CString;
use std::fmt;
use std::io::{self, Read, Write};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::rc::Rc;

use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use nix::errno::Errno;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::termios::{Winsize, tcsetwinsize};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use seccompiler::BpfProgram;

use super::{init, seccomp};
use crate::error::{StartFailure, StartFailureKind};
use crate::limits::CONTROL_LINE_BYTES_MAX;
use crate::session::WindowSize;

/// What is executed and with which rights. `libcontainer` has made the namespaces, mounts and user before.
#[derive(Clone)]
pub(crate) struct Payload(Rc<Inner>);

struct Inner {
    /// The program as it was asked for, and where it is looked for.
    program: String,
    candidates: Vec<CString>,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    capabilities: CapabilitySet,
    filters: Vec<BpfProgram>,
    init: InitProcess,
    /// Of the terminal that is its standard input.
    window: Option<WindowSize>,
    report: RawFd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InitProcess {
    /// The program itself is process 1.
    None,
    Ours,
}

impl Payload {
    /// `report` closes when the program is executed, or carries why it could not be.
    pub(crate) fn new(
        command: &[String],
        environment: &[(String, String)],
        capabilities: CapabilitySet,
        init: InitProcess,
        window: Option<WindowSize>,
        report: &OwnedFd,
    ) -> Result<Self, StartFailure> {
        let program = command.first().cloned().unwrap_or_default();
        let path =
            environment.iter().rev().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value.as_str());
        let filters = seccomp::filters(capabilities)
            .map_err(|error| failure(format!("could not make the system call filter: {error}")))?;
        Ok(Self(Rc::new(Inner {
            candidates: candidates(&program, path).iter().map(|path| text(path)).collect::<Result<_, _>>()?,
            program,
            arguments: command.iter().map(|argument| text(argument)).collect::<Result<_, _>>()?,
            environment: environment
                .iter()
                .map(|(name, value)| text(&format!("{name}={value}")))
                .collect::<Result<_, _>>()?,
            capabilities,
            filters,
            init,
            window,
            report: report.as_raw_fd(),
        })))
    }
}

impl Inner {
    /// Comes back only with the reason why the program could not be executed.
    fn execute(&self) -> StartFailure {
        if let Some(window) = self.window {
            let size = Winsize { ws_row: window.rows, ws_col: window.columns, ws_xpixel: 0, ws_ypixel: 0 };
            // A program that is told no size takes the usual one.
            let _ = tcsetwinsize(io::stdin(), size);
        }
        match self.restrict() {
            Ok(()) => self.execute_program(),
            Err(failure) => failure,
        }
    }

    fn restrict(&self) -> Result<(), StartFailure> {
        self.die_with_the_shim()?;
        for filter in &self.filters {
            seccomp::install(filter)
                .map_err(|error| failure(format!("could not install the system call filter: {error}")))?;
        }
        // Only the filters needed more than the container's own capabilities.
        let sets = CapabilitySets {
            effective: self.capabilities,
            permitted: self.capabilities,
            inheritable: CapabilitySet::empty(),
        };
        set_capabilities(None, sets)
            .map_err(|error| failure(format!("could not drop capabilities: {error}")))?;
        if self.init == InitProcess::Ours {
            init::split_off()
                .map_err(|error| failure(format!("could not fork from the init process: {error}")))?;
        }
        Ok(())
    }

    fn die_with_the_shim(&self) -> Result<(), StartFailure> {
        set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| failure(format!("could not bind the container to its shim: {error}")))?;
        // Had the shim died before, nobody would hear: then the other end of the report pipe is closed.
        // SAFETY: the builder keeps the descriptor open until this process executes the program.
        let report = unsafe { BorrowedFd::borrow_raw(self.report) };
        let mut descriptors = [PollFd::new(&report, PollFlags::empty())];
        match poll(&mut descriptors, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(0) => Ok(()),
            _ => Err(failure("the shim is gone".to_owned())),
        }
    }

    fn execute_program(&self) -> StartFailure {
        let mut denied = None;
        for candidate in &self.candidates {
            let error = match nix::unistd::execve(candidate, &self.arguments, &self.environment) {
                Err(error) => error,
                Ok(never) => match never {},
            };
            match error {
                Errno::ENOENT if Path::new(&*candidate.to_string_lossy()).exists() => {
                    return invalid(&self.program, "its interpreter or dynamic loader is not in the image");
                }
                Errno::ENOENT | Errno::ENOTDIR => {}
                // Another directory of PATH may have one that can be executed.
                Errno::EACCES | Errno::EPERM => denied = Some(error),
                Errno::ENOEXEC => return invalid(&self.program, "exec format error"),
                error => return invalid(&self.program, error.desc()),
            }
        }
        match denied {
            Some(_) => {
                let message = format!("exec: {:?}: permission denied", self.program);
                StartFailure::new(StartFailureKind::PermissionDenied, message)
            }
            None => {
                let place = if self.program.contains('/') {
                    "no such file or directory"
                } else {
                    "executable file not found in $PATH"
                };
                StartFailure::new(
                    StartFailureKind::ExecutableNotFound,
                    format!("exec: {:?}: {place}", self.program),
                )
            }
        }
    }

    fn report(&self, failure: &StartFailure) {
        // SAFETY: the descriptor is open (see `die_with_the_shim`) and is not closed by this handle.
        let mut pipe = ManuallyDrop::new(unsafe { std::fs::File::from_raw_fd(self.report) });
        if let Ok(text) = serde_json::to_vec(failure) {
            // Nobody reads any more when the shim is gone.
            let _ = pipe.write_all(&text);
        }
    }
}

impl Executor for Payload {
    fn validate(&self, _spec: &oci_spec::runtime::Spec) -> Result<(), ExecutorValidationError> {
        // The kernel's own answer at the execution is exact.
        Ok(())
    }

    fn setup_envs(
        &self,
        _environment: std::collections::HashMap<String, String>,
    ) -> Result<(), ExecutorSetEnvsError> {
        // Given to the execution as a list, in its order.
        Ok(())
    }

    fn exec(&self, _spec: &oci_spec::runtime::Spec) -> Result<(), ExecutorError> {
        let failure = self.0.execute();
        self.0.report(&failure);
        Err(ExecutorError::Other(failure.message))
    }
}

/// Reads the report pipe to its end: nothing when the program runs.
pub(crate) fn read_report(pipe: OwnedFd) -> io::Result<Option<StartFailure>> {
    let mut text = Vec::new();
    std::fs::File::from(pipe).take(CONTROL_LINE_BYTES_MAX as u64).read_to_end(&mut text)?;
    if text.is_empty() { Ok(None) } else { Ok(Some(serde_json::from_slice(&text)?)) }
}

/// A program with a slash is a path; any other is looked for in each directory of PATH.
fn candidates(program: &str, path: &str) -> Vec<String> {
    if program.contains('/') {
        return vec![program.to_owned()];
    }
    path.split(':')
        .map(|directory| if directory.is_empty() { "." } else { directory })
        .map(|directory| format!("{directory}/{program}"))
        .collect()
}

fn text(text: &str) -> Result<CString, StartFailure> {
    CString::new(text).map_err(|_| failure(format!("{text:?} holds a NUL byte")))
}

fn invalid(program: &str, reason: &str) -> StartFailure {
    StartFailure::new(StartFailureKind::InvalidExecutable, format!("exec: {program:?}: {reason}"))
}

fn failure(message: String) -> StartFailure {
    StartFailure::new(StartFailureKind::Runtime, message)
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload").field("program", &self.0.program).finish_non_exhaustive()
    }
}
