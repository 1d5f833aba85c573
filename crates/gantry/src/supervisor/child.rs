//! One child: its process, its socket, its next start.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::backoff::Backoff;
use super::{ChildPlan, Role};
use crate::descriptors::Channel;

pub(super) struct Child {
    pub(super) plan: ChildPlan,
    pub(super) phase: Phase,
    /// It has said once that it serves.
    pub(super) ready: bool,
    backoff: Backoff,
}

pub(super) enum Phase {
    /// Not running; to be started at this time.
    Waiting { until: Instant },
    /// `channel` is gone once the child closed it, which it does not do while it is well.
    Running { pid: Pid, since: Instant, channel: Option<Channel> },
    /// Not running, and not to be started.
    Ended,
}

impl Child {
    pub(super) fn new(plan: ChildPlan, now: Instant) -> Self {
        Self { plan, phase: Phase::Waiting { until: now }, ready: false, backoff: Backoff::default() }
    }

    pub(super) fn role(&self) -> Role {
        self.plan.role
    }

    pub(super) fn pid(&self) -> Option<Pid> {
        match &self.phase {
            Phase::Running { pid, .. } => Some(*pid),
            Phase::Waiting { .. } | Phase::Ended => None,
        }
    }

    pub(super) fn channel(&self) -> Option<&Channel> {
        match &self.phase {
            Phase::Running { channel, .. } => channel.as_ref(),
            Phase::Waiting { .. } | Phase::Ended => None,
        }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        matches!(self.phase, Phase::Waiting { until } if until <= now)
    }

    /// Starts the process. One that cannot be started counts as one that ended at once.
    pub(super) fn start(&mut self, program: &Path, now: Instant) {
        let name = self.role().name();
        match spawn(program, &self.plan) {
            Ok((pid, channel)) => {
                tracing::debug!(pid = pid.as_raw_nonzero().get(), "{name} starts");
                self.phase = Phase::Running { pid, since: now, channel: Some(channel) };
            }
            Err(error) => {
                let wait = self.backoff.after(std::time::Duration::ZERO);
                tracing::error!("starting {name}: {error}; next attempt in {} ms", wait.as_millis());
                self.phase = Phase::Waiting { until: now + wait };
            }
        }
    }

    /// The process has ended; a start follows.
    pub(super) fn ended(&mut self, how: &str, now: Instant) {
        let Phase::Running { since, .. } = self.phase else { return };
        let wait = self.backoff.after(now.saturating_duration_since(since));
        let name = self.role().name();
        match wait.as_millis() {
            0 => tracing::warn!("{name} {how}; it is started again"),
            millis => tracing::warn!("{name} {how}; it is started again in {millis} ms"),
        }
        self.phase = Phase::Waiting { until: now + wait };
    }

    /// No more starts: what runs is told to end, what waits has ended.
    pub(super) fn end(&mut self, signal: Signal) {
        match &self.phase {
            Phase::Running { pid, .. } => {
                // It may have ended in this moment: then it will be reaped.
                let _ = kill_process(*pid, signal);
            }
            Phase::Waiting { .. } => self.phase = Phase::Ended,
            Phase::Ended => {}
        }
    }

    /// A child without its socket would neither be ready nor learn of the supervisor's end.
    pub(super) fn lost_channel(&mut self) {
        if let Phase::Running { pid, channel, .. } = &mut self.phase
            && channel.take().is_some()
        {
            let _ = kill_process(*pid, Signal::KILL);
        }
    }
}

/// The socket is the child's standard input: inherited without a name, a fixed number or a gap in which another could get it.
fn spawn(program: &Path, plan: &ChildPlan) -> io::Result<(Pid, Channel)> {
    let (ours, theirs) = Channel::pair()?;
    let child = Command::new(program)
        .arg0("gantry")
        .args(&plan.arguments)
        .stdin(Stdio::from(theirs.into_descriptor()))
        // Children log to standard error; standard output is where `--detach` learns of readiness.
        .stdout(Stdio::null())
        // Ctrl-C in a terminal reaches the supervisor alone, which ends the children in order.
        .process_group(0)
        .spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    Ok((pid.ok_or_else(|| io::Error::other("the kernel gave no process id"))?, ours))
}
