//! One more process in a running container: health checks, and whatever else is asked from outside.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::control::{Incoming, LineBuffer, write_line};
use crate::error::{ExecError, StartFailure};
use crate::limits::{EXEC_GRACE, KILL_TIMEOUT};
use crate::runtime::Runtime;
use crate::session::SessionRequest;
use crate::spec::{ContainerId, SpecError, check_environment, check_nul};
use crate::state::ContainerDirectory;
use crate::watch::wait_readable;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRequest {
    pub command: Vec<String>,
    /// Added to, and stronger than, the container's own.
    #[serde(default)]
    pub environment: Vec<(String, String)>,
    /// The container's when `None`.
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub working_directory: Option<PathBuf>,
    /// Then the command and every process that it made are killed.
    pub timeout: Duration,
    /// How much of stdout and stderr together is kept; the rest is read and thrown away.
    pub output_bytes_max: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecResult {
    /// What the command returned, or 128 and the signal that killed it; `None` after the timeout.
    pub exit_code: Option<i32>,
    pub timed_out: bool,
    pub output: Vec<u8>,
    pub output_truncated: bool,
}

/// The first line of an exec supervisor's answer; the output follows.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ExecReply {
    Ended { exit_code: Option<i32>, timed_out: bool, output_bytes: usize, output_truncated: bool },
    NotRunning,
    Failed(StartFailure),
}

/// The command of an ECS health check (`CMD` with arguments, `CMD-SHELL` with a line for the shell, `NONE`), `None`
/// where there is none.
pub fn health_check_command(command: &[String]) -> Option<Vec<String>> {
    let shell = |line: &[String]| vec!["/bin/sh".to_owned(), "-c".to_owned(), line.join(" ")];
    match command.split_first() {
        Some((kind, [])) if kind == "CMD" || kind == "CMD-SHELL" => None,
        Some((kind, arguments)) if kind == "CMD" => Some(arguments.to_vec()),
        Some((kind, line)) if kind == "CMD-SHELL" => Some(shell(line)),
        Some((kind, _)) if kind == "NONE" => None,
        // ECS takes a bare command for a shell's line.
        Some(_) => Some(shell(command)),
        None => None,
    }
}

/// What an exec's supervisor is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ExecOrder {
    Run(ExecRequest),
    /// Pipes come beside it.
    Session(SessionRequest),
}

pub(crate) fn check_program(
    command: &[String],
    environment: &[(String, String)],
    working_directory: Option<&Path>,
) -> Result<(), SpecError> {
    if command.first().is_none_or(String::is_empty) {
        return Err(SpecError::NoCommand);
    }
    for argument in command {
        check_nul("the command", argument)?;
    }
    check_environment(environment)?;
    match working_directory {
        Some(path) if !path.is_absolute() => {
            Err(SpecError::Path { what: "working directory", path: path.to_owned() })
        }
        _ => Ok(()),
    }
}

pub(crate) fn exec(
    runtime: &Runtime,
    id: &ContainerId,
    request: &ExecRequest,
) -> Result<ExecResult, ExecError> {
    check_program(&request.command, &request.environment, request.working_directory.as_deref())?;
    let io = |attempted| move |source| ExecError::Io { attempted, source };
    let directory = ContainerDirectory::of(runtime.state_directory(), id);
    if !directory.path().is_dir() {
        return Err(ExecError::NotRunning(id.clone()));
    }
    let (link, mut supervisor) =
        runtime.spawn(runtime.exec_command(), &directory).map_err(io("start the command's supervisor"))?;
    let answer = converse(&link, request);
    // When nobody listens any more the supervisor kills what it started, and ends.
    drop(link);
    let pid = i32::try_from(supervisor.id()).ok().and_then(Pid::from_raw);
    let pidfd = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let ended = pidfd.is_some_and(|pidfd| wait_readable(pidfd.as_fd(), KILL_TIMEOUT).unwrap_or(false));
    if !ended {
        let _ = supervisor.kill();
    }
    let _ = supervisor.wait();
    match answer.map_err(io("hear from the command's supervisor"))? {
        (ExecReply::Ended { exit_code, timed_out, output_truncated, .. }, output) => {
            Ok(ExecResult { exit_code, timed_out, output, output_truncated })
        }
        (ExecReply::NotRunning, _) => Err(ExecError::NotRunning(id.clone())),
        (ExecReply::Failed(failure), _) => Err(ExecError::Failed(failure)),
    }
}

fn converse(link: &UnixStream, request: &ExecRequest) -> io::Result<(ExecReply, Vec<u8>)> {
    link.set_read_timeout(Some(request.timeout.saturating_add(EXEC_GRACE)))?;
    write_line(link, &ExecOrder::Run(request.clone()))?;
    let mut buffer = LineBuffer::default();
    let reply = match buffer.read(link)? {
        Incoming::Message(reply) => reply,
        Incoming::Pending => return Err(io::ErrorKind::TimedOut.into()),
        Incoming::Closed => return Err(io::ErrorKind::UnexpectedEof.into()),
    };
    let mut output = buffer.into_rest();
    if let ExecReply::Ended { output_bytes, .. } = &reply {
        let missing = output_bytes.saturating_sub(output.len());
        link.take(missing as u64).read_to_end(&mut output)?;
    }
    Ok((reply, output))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_checks_become_commands() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let cases: [(&[&str], Option<&[&str]>); 7] = [
            (&["CMD", "/check", "a b"], Some(&["/check", "a b"])),
            (&["CMD-SHELL", "curl -f x || exit 1"], Some(&["/bin/sh", "-c", "curl -f x || exit 1"])),
            (&["curl -f x"], Some(&["/bin/sh", "-c", "curl -f x"])),
            (&["NONE"], None),
            (&["CMD"], None),
            (&["CMD-SHELL"], None),
            (&[], None),
        ];
        for (command, expected) in cases {
            assert_eq!(health_check_command(&words(command)), expected.map(words), "{command:?}");
        }
    }
}
