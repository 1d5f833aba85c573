//! The loop.

use std::io;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal as NixSignal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, WaitOptions, wait};

use super::child::{Child, Phase};
use super::{Plan, SupervisorError, waits};
use crate::descriptors::Table;
use crate::descriptors::handoff::Taken;
use crate::descriptors::message::Request;

struct Supervisor {
    plan: Plan,
    children: Vec<Child>,
    table: Table,
    /// The load balancer of an earlier supervisor, until ours serves.
    old_load_balancer: Option<Taken>,
    stage: Stage,
    on_ready: Option<Box<dyn FnOnce()>>,
}

/// How far the end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Serving,
    /// `control` and `node` were told to end.
    EndingWork {
        kill_at: Instant,
    },
    /// They have ended; the load balancer finishes what is in flight.
    Draining {
        kill_at: Instant,
    },
    /// Everything was killed.
    Killed {
        give_up_at: Instant,
    },
    Done,
}

/// How a supervisor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// In order, and its children with it.
    Stopped,
    /// Alone: load balancer and containers wait for the next one.
    HandedOver,
}

/// Supervises until a signal ends it: SIGTERM, SIGINT and SIGHUP end the children in order (a second one at once); SIGUSR2 ends
/// the supervisor alone, for the next one to take over.
pub fn run(mut plan: Plan) -> Result<Ended, SupervisorError> {
    let signals = take_signals().map_err(SupervisorError::Signals)?;
    let now = Instant::now();
    let mut supervisor = Supervisor {
        children: plan.children.drain(..).map(|child| Child::new(child, now)).collect(),
        on_ready: Some(std::mem::replace(&mut plan.on_ready, Box::new(|| ()))),
        table: Table::default(),
        old_load_balancer: None,
        stage: Stage::Serving,
        plan,
    };
    for (role, name, descriptor) in std::mem::take(&mut supervisor.plan.descriptors) {
        if let Err(refusal) = supervisor.table.put(role.name(), name.to_owned(), vec![descriptor]) {
            tracing::error!("keeping {name} for {}: {refusal}", role.name());
        }
    }
    supervisor.take_over();
    while supervisor.stage != Stage::Done {
        supervisor.advance(Instant::now());
        let (readable, signalled) = supervisor.wait(&signals).map_err(SupervisorError::Poll)?;
        for index in readable {
            supervisor.serve(index);
        }
        if signalled {
            while let Ok(Some(signal)) = signals.read_signal() {
                if supervisor.signal(i32::try_from(signal.ssi_signo).unwrap_or(0)) {
                    tracing::info!(
                        "handing over: the load balancer and the containers go on without a supervisor"
                    );
                    return Ok(Ended::HandedOver);
                }
            }
        }
    }
    tracing::info!("stopped");
    Ok(Ended::Stopped)
}

fn take_signals() -> io::Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in
        [NixSignal::SIGCHLD, NixSignal::SIGTERM, NixSignal::SIGINT, NixSignal::SIGHUP, NixSignal::SIGUSR2]
    {
        set.add(signal);
    }
    set.thread_block()?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

impl Supervisor {
    /// Takes the sockets of a load balancer that outlived its supervisor.
    fn take_over(&mut self) {
        match Taken::take(&self.plan.handoff_socket) {
            Ok(None) => {}
            Ok(Some(mut taken)) => {
                let sets = std::mem::take(&mut taken.sets);
                tracing::info!(
                    pid = taken.process,
                    sockets = sets.iter().map(|(_, set)| set.len()).sum::<usize>(),
                    "taking over from a load balancer that outlived its supervisor"
                );
                for (name, set) in sets {
                    if let Err(refusal) = self.table.put(super::Role::Lb.name(), name, set) {
                        tracing::error!("keeping a socket of the old load balancer: {refusal}");
                    }
                }
                self.old_load_balancer = Some(taken);
            }
            Err(stuck) => {
                // It would go on taking connections that nobody answers.
                tracing::error!("{stuck}; it is killed, and a new one starts without its sockets");
                if let Err(error) = super::signal(stuck.process, Signal::KILL) {
                    tracing::error!("killing process {}: {error}", stuck.process);
                }
            }
        }
    }

    /// Does what the time has come for.
    fn advance(&mut self, now: Instant) {
        match self.stage {
            Stage::Serving => {
                for child in self.children.iter_mut().filter(|child| child.is_due(now)) {
                    child.start(&self.plan.program, now);
                }
            }
            Stage::EndingWork { kill_at } => {
                let work = || self.children.iter().filter(|child| !child.role().carries_traffic());
                if work().all(|child| matches!(child.phase, Phase::Ended)) {
                    self.drain(now);
                } else if kill_at <= now {
                    for child in self.children.iter_mut().filter(|child| !child.role().carries_traffic()) {
                        child.end(Signal::KILL);
                    }
                    self.drain(now);
                }
            }
            Stage::Draining { kill_at } => {
                if self.all_ended() {
                    self.stage = Stage::Done;
                } else if kill_at <= now {
                    self.kill(now);
                }
            }
            Stage::Killed { give_up_at } => {
                if self.all_ended() || give_up_at <= now {
                    self.stage = Stage::Done;
                }
            }
            Stage::Done => {}
        }
    }

    fn all_ended(&self) -> bool {
        self.children.iter().all(|child| matches!(child.phase, Phase::Ended))
    }

    fn drain(&mut self, now: Instant) {
        self.drain_old_load_balancer();
        for child in self.children.iter_mut().filter(|child| child.role().carries_traffic()) {
            child.end(Signal::TERM);
        }
        self.stage = Stage::Draining { kill_at: now + waits::DRAIN_MAX };
        self.advance(now);
    }

    fn kill(&mut self, now: Instant) {
        for child in &mut self.children {
            child.end(Signal::KILL);
        }
        self.stage = Stage::Killed { give_up_at: now + waits::KILL_MAX };
    }

    fn drain_old_load_balancer(&mut self) {
        if let Some(old) = self.old_load_balancer.take() {
            let process = old.process;
            match old.drain() {
                Ok(()) => tracing::info!(pid = process, "the old load balancer drains"),
                Err(error) => {
                    tracing::warn!(pid = process, "telling the old load balancer to drain: {error}");
                }
            }
        }
    }

    /// When something must be done although nothing happens.
    fn next_deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Serving => self
                .children
                .iter()
                .filter_map(|child| match child.phase {
                    Phase::Waiting { until } => Some(until),
                    Phase::Running { .. } | Phase::Ended => None,
                })
                .min(),
            Stage::EndingWork { kill_at } | Stage::Draining { kill_at } => Some(kill_at),
            Stage::Killed { give_up_at } => Some(give_up_at),
            Stage::Done => Some(Instant::now()),
        }
    }

    /// Waits for children, signals or the next deadline. Returns the children whose sockets have something, and whether a
    /// signal came.
    fn wait(&self, signals: &SignalFd) -> io::Result<(Vec<usize>, bool)> {
        let timeout = self.next_deadline().map(|deadline| {
            // A millisecond more: never early, never a busy loop.
            let wait = deadline.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            Timespec {
                tv_sec: wait.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: wait.subsec_nanos().into(),
            }
        });
        let mut indexes = Vec::new();
        let mut descriptors = vec![PollFd::new(signals, PollFlags::IN)];
        for (index, child) in self.children.iter().enumerate() {
            if let Some(channel) = child.channel() {
                indexes.push(index);
                descriptors.push(PollFd::new(channel, PollFlags::IN));
            }
        }
        match poll(&mut descriptors, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let signalled = !descriptors[0].revents().is_empty();
        let happened = descriptors[1..].iter().map(|descriptor| !descriptor.revents().is_empty());
        Ok((
            indexes.into_iter().zip(happened).filter_map(|(index, yes)| yes.then_some(index)).collect(),
            signalled,
        ))
    }

    /// Answers one request of a child. A child that breaks the protocol is killed: a new one does not.
    fn serve(&mut self, index: usize) {
        let child = &mut self.children[index];
        let role = child.role();
        let Some(channel) = child.channel() else { return };
        let packet = match channel.receive::<Request>() {
            Ok(Some(packet)) => packet,
            Ok(None) => return child.lost_channel(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => {
                tracing::error!("{} sent what is no request ({error}) and is killed", role.name());
                return child.lost_channel();
            }
        };
        let is_ready = packet.message == Request::Ready;
        let (reply, beside) = self.table.answer(role.name(), packet.message, packet.descriptors);
        if let Err(error) = channel.send(&reply, &beside) {
            tracing::error!("{} does not take its answer ({error}) and is killed", role.name());
            return child.lost_channel();
        }
        if is_ready {
            child.ready = true;
            if role.carries_traffic() {
                self.drain_old_load_balancer();
            }
            if self.children.iter().all(|child| child.ready)
                && let Some(on_ready) = self.on_ready.take()
            {
                on_ready();
            }
        }
    }

    /// True when the supervisor shall leave at once.
    fn signal(&mut self, signal: i32) -> bool {
        match NixSignal::try_from(signal) {
            Ok(NixSignal::SIGCHLD) => self.reap(),
            Ok(NixSignal::SIGUSR2) => return true,
            Ok(_) => self.stop(),
            Err(_) => {}
        }
        false
    }

    fn stop(&mut self) {
        let now = Instant::now();
        match self.stage {
            Stage::Serving => {
                tracing::info!("stopping: requests in flight are finished; again, and they are not");
                for child in &mut self.children {
                    if child.role().carries_traffic() {
                        if matches!(child.phase, Phase::Waiting { .. }) {
                            child.phase = Phase::Ended;
                        }
                    } else {
                        child.end(Signal::TERM);
                    }
                }
                self.stage = Stage::EndingWork { kill_at: now + waits::STOP_MAX };
            }
            Stage::EndingWork { .. } | Stage::Draining { .. } => {
                self.drain_old_load_balancer();
                self.kill(now);
            }
            Stage::Killed { .. } | Stage::Done => {}
        }
    }

    /// Collects every process that ended; as the first process of a container there are also others than children.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let Some(child) = self.children.iter_mut().find(|child| child.pid() == Some(pid)) else {
                continue;
            };
            let how = match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => format!("ended with exit code {code}"),
                (None, Some(signal)) => format!("was ended by signal {signal}"),
                (None, None) => "ended".to_owned(),
            };
            let now = Instant::now();
            match self.stage {
                Stage::Serving => child.ended(&how, now),
                _ => {
                    tracing::debug!("{} {how}", child.role().name());
                    child.phase = Phase::Ended;
                }
            }
        }
    }
}
