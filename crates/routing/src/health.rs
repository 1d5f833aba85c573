//! What is known of one target's health: one registration, one machine.

use std::time::Duration;

use gantry_domain::elb::{HealthCheck, TargetHealth, TargetHealthReason, TargetHealthState};
use gantry_types::Timestamp;

use crate::availability::Standing;
use crate::matcher::Matcher;
use crate::schedule::{Schedule, Weight};

/// The target group's health check, as far as the machine reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSettings {
    pub interval: Duration,
    pub healthy_threshold: u32,
    pub unhealthy_threshold: u32,
    pub matcher: Matcher,
}

impl HealthSettings {
    /// A matcher that cannot be read is AWS's default: the API refuses it, so it comes from a newer version.
    pub fn of(check: &HealthCheck) -> Self {
        Self {
            interval: check.interval.max(Duration::from_millis(1)),
            healthy_threshold: check.healthy_threshold.max(1),
            unhealthy_threshold: check.unhealthy_threshold.max(1),
            matcher: Matcher::parse(&check.matcher).unwrap_or_default(),
        }
    }
}

/// How a probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeResult {
    /// The target answered with this status code.
    Status(u16),
    /// Nothing, or not all, within the health check's timeout.
    TimedOut,
    /// Refused, reset, or no HTTP.
    Failed,
    /// The probe could not be made.
    InternalError,
}

/// Why a target gets no traffic and no probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnusedReason {
    /// No listener forwards to its group.
    GroupNotInUse,
    /// The load balancer has no subnet in the target's zone.
    ZoneNotEnabled,
}

/// What happens to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthEvent {
    Probed(ProbeResult),
    /// A request's connection was refused, reset or not answered.
    ConnectionFailed,
    /// Some listener forwards to its group, and its zone is enabled; health checks are on.
    Checked,
    /// The same, with health checks turned off.
    Unchecked,
    Unused(UnusedReason),
    Deregistered,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Unused(UnusedReason),
    /// Health checks are off.
    Unchecked,
    /// New: one success makes it healthy. Failures by the book are counted.
    Initial {
        failures: u32,
        answered: Answered,
    },
    /// With the number of failures in a row.
    Healthy {
        failures: u32,
    },
    /// With the number of successes in a row, and what the last failure was.
    Unhealthy {
        successes: u32,
        cause: Cause,
    },
    Draining,
}

/// Whether a new target's first probe has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answered {
    No,
    Yes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Code(u16),
    TimedOut,
    Failed,
    Internal,
}

/// The health of one registration. Feed it events; it says when to probe and how the target stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetHealthMachine {
    settings: HealthSettings,
    state: State,
    schedule: Schedule,
    refused: bool,
    healthy_since: Option<Timestamp>,
}

impl TargetHealthMachine {
    /// A target that was just registered: its first probe is due at once.
    pub fn new(settings: HealthSettings, now: Timestamp) -> Self {
        let state = State::Initial { failures: 0, answered: Answered::No };
        Self { settings, state, schedule: Schedule::starting(now), refused: false, healthy_since: None }
    }

    /// A target whose health is on record, after a restart: it is taken for what it was, and probed at once.
    pub fn recorded(settings: HealthSettings, health: &TargetHealth, now: Timestamp) -> Self {
        let mut machine = Self::new(settings, now);
        machine.state = match health.state {
            TargetHealthState::Healthy => State::Healthy { failures: 0 },
            TargetHealthState::Unhealthy => State::Unhealthy { successes: 0, cause: recorded_cause(health) },
            TargetHealthState::Unavailable => State::Unchecked,
            TargetHealthState::Draining => State::Draining,
            TargetHealthState::Initial | TargetHealthState::Unused => machine.state,
        };
        machine.healthy_since = (health.state == TargetHealthState::Healthy).then_some(Timestamp::EPOCH);
        machine
    }

    /// The group's health check was modified.
    pub fn configure(&mut self, settings: HealthSettings, now: Timestamp) {
        if self.settings != settings {
            self.schedule.follow(settings.interval, now);
            self.settings = settings;
        }
    }

    /// When the next probe is due; `None` if none is, or one is under way.
    pub fn probe_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Initial { .. } | State::Healthy { .. } | State::Unhealthy { .. } => self.schedule.due_at(),
            // Without health checks only a target that refused is asked whether it is back.
            State::Unchecked if self.refused => self.schedule.due_at(),
            State::Unchecked | State::Unused(_) | State::Draining => None,
        }
    }

    /// A due probe begins. Its result is given back by [`HealthEvent::Probed`], exactly once.
    pub fn begin_probe(&mut self, now: Timestamp) {
        self.schedule.begin(self.settings.interval, now);
    }

    pub fn on(&mut self, event: HealthEvent, now: Timestamp) {
        let was_healthy = self.is_healthy();
        let state = std::mem::replace(&mut self.state, State::Draining);
        self.state = self.next(state, event, now);
        match (was_healthy, self.is_healthy()) {
            (false, true) => self.healthy_since = Some(now),
            (_, false) => self.healthy_since = None,
            (true, true) => {}
        }
    }

    fn next(&mut self, state: State, event: HealthEvent, now: Timestamp) -> State {
        match (state, event) {
            (State::Draining, HealthEvent::Probed(_)) => {
                self.schedule.end();
                State::Draining
            }
            // A registration that ended stays ended: the address comes back under another one.
            (
                State::Draining,
                HealthEvent::ConnectionFailed
                | HealthEvent::Checked
                | HealthEvent::Unchecked
                | HealthEvent::Unused(_)
                | HealthEvent::Deregistered,
            ) => State::Draining,
            (
                State::Unused(_)
                | State::Unchecked
                | State::Initial { .. }
                | State::Healthy { .. }
                | State::Unhealthy { .. },
                HealthEvent::Deregistered,
            ) => State::Draining,

            (
                State::Unused(_)
                | State::Unchecked
                | State::Initial { .. }
                | State::Healthy { .. }
                | State::Unhealthy { .. },
                HealthEvent::Unused(reason),
            ) => {
                self.refused = false;
                State::Unused(reason)
            }
            (
                State::Unused(_)
                | State::Unchecked
                | State::Initial { .. }
                | State::Healthy { .. }
                | State::Unhealthy { .. },
                HealthEvent::Unchecked,
            ) => State::Unchecked,

            (State::Unused(_) | State::Unchecked, HealthEvent::Checked) => {
                self.schedule = Schedule::starting(now);
                State::Initial { failures: 0, answered: Answered::No }
            }
            (
                state @ (State::Initial { .. } | State::Healthy { .. } | State::Unhealthy { .. }),
                HealthEvent::Checked,
            ) => state,

            (state @ State::Unused(_), HealthEvent::ConnectionFailed) => state,
            (
                state @ (State::Unchecked
                | State::Initial { .. }
                | State::Healthy { .. }
                | State::Unhealthy { .. }),
                HealthEvent::ConnectionFailed,
            ) => {
                if !self.refused {
                    self.refused = true;
                    self.schedule.settle();
                    self.schedule.quicken(self.settings.interval, now);
                }
                state
            }

            (state @ State::Unused(_), HealthEvent::Probed(_)) => {
                self.schedule.end();
                state
            }
            (State::Unchecked, HealthEvent::Probed(result)) => {
                self.schedule.end();
                // Any answer at all shows that it is back.
                if matches!(result, ProbeResult::Status(_)) {
                    self.came_back();
                } else {
                    self.ask_again(now);
                }
                State::Unchecked
            }
            (State::Initial { failures, .. }, HealthEvent::Probed(result)) => {
                let weight = self.schedule.end();
                match (self.failure(result), weight) {
                    (None, _) => {
                        self.came_back();
                        State::Healthy { failures: 0 }
                    }
                    (Some(cause), Weight::ByTheBook) => self.initial_failed(failures + 1, cause, now),
                    (Some(cause), Weight::Quick) => self.initial_failed(failures, cause, now),
                }
            }
            (State::Healthy { failures }, HealthEvent::Probed(result)) => {
                let weight = self.schedule.end();
                match (self.failure(result), weight) {
                    (None, _) => {
                        self.came_back();
                        State::Healthy { failures: 0 }
                    }
                    (Some(cause), Weight::ByTheBook) if failures + 1 >= self.settings.unhealthy_threshold => {
                        self.came_back();
                        State::Unhealthy { successes: 0, cause }
                    }
                    (Some(_), Weight::ByTheBook) => {
                        self.ask_again(now);
                        State::Healthy { failures: failures + 1 }
                    }
                    (Some(_), Weight::Quick) => {
                        self.ask_again(now);
                        State::Healthy { failures }
                    }
                }
            }
            (State::Unhealthy { successes, cause }, HealthEvent::Probed(result)) => {
                let weight = self.schedule.end();
                match (self.failure(result), weight) {
                    (None, Weight::ByTheBook) if successes + 1 >= self.settings.healthy_threshold => {
                        self.came_back();
                        State::Healthy { failures: 0 }
                    }
                    (None, Weight::ByTheBook) => {
                        self.came_back();
                        State::Unhealthy { successes: successes + 1, cause }
                    }
                    (None, Weight::Quick) => {
                        self.came_back();
                        State::Unhealthy { successes, cause }
                    }
                    (Some(cause), Weight::ByTheBook | Weight::Quick) => {
                        self.ask_again(now);
                        State::Unhealthy { successes: 0, cause }
                    }
                }
            }
        }
    }

    fn initial_failed(&mut self, failures: u32, cause: Cause, now: Timestamp) -> State {
        if failures >= self.settings.unhealthy_threshold {
            self.schedule.settle();
            return State::Unhealthy { successes: 0, cause };
        }
        self.schedule.quicken(self.settings.interval, now);
        State::Initial { failures, answered: Answered::Yes }
    }

    fn came_back(&mut self) {
        self.refused = false;
        self.schedule.settle();
    }

    fn ask_again(&mut self, now: Timestamp) {
        if self.refused {
            self.schedule.quicken(self.settings.interval, now);
        }
    }

    fn failure(&self, result: ProbeResult) -> Option<Cause> {
        match result {
            ProbeResult::Status(code) if self.settings.matcher.matches(code) => None,
            ProbeResult::Status(code) => Some(Cause::Code(code)),
            ProbeResult::TimedOut => Some(Cause::TimedOut),
            ProbeResult::Failed => Some(Cause::Failed),
            ProbeResult::InternalError => Some(Cause::Internal),
        }
    }

    fn is_healthy(&self) -> bool {
        matches!(self.state, State::Healthy { .. })
    }

    /// Since when the target is healthy without a break; the epoch if it was when this process began.
    pub fn healthy_since(&self) -> Option<Timestamp> {
        self.healthy_since
    }

    /// How the target stands for the choice of targets.
    pub fn standing(&self) -> Standing {
        Standing { state: self.health().state, refused: self.refused }
    }

    /// The health as DescribeTargetHealth gives it, in AWS's words.
    pub fn health(&self) -> TargetHealth {
        use TargetHealthReason as Reason;
        use TargetHealthState::{Draining, Healthy, Initial, Unavailable, Unhealthy, Unused};
        match &self.state {
            State::Healthy { .. } => TargetHealth::new(Healthy),
            State::Initial { answered: Answered::No, .. } => TargetHealth::registering(),
            State::Initial { answered: Answered::Yes, .. } => TargetHealth::because(
                Initial,
                Reason::InitialHealthChecking,
                "Initial health checks in progress",
            ),
            State::Unhealthy { cause, .. } => {
                let (reason, description) = match cause {
                    Cause::Code(code) => (
                        Reason::ResponseCodeMismatch,
                        format!("Health checks failed with these codes: [{code}]"),
                    ),
                    Cause::TimedOut => (Reason::Timeout, "Request timed out".to_owned()),
                    Cause::Failed => (Reason::FailedHealthChecks, "Health checks failed".to_owned()),
                    Cause::Internal => {
                        (Reason::InternalError, "Health checks failed due to an internal error".to_owned())
                    }
                };
                TargetHealth::because(Unhealthy, reason, description)
            }
            State::Unused(reason) => TargetHealth::because(
                Unused,
                Reason::NotInUse,
                match reason {
                    UnusedReason::GroupNotInUse => {
                        "Target group is not configured to receive traffic from the load balancer"
                    }
                    UnusedReason::ZoneNotEnabled => {
                        "Target is in an Availability Zone that is not enabled for the load balancer"
                    }
                },
            ),
            State::Unchecked => {
                TargetHealth::because(Unavailable, Reason::HealthCheckDisabled, "Health checks are disabled")
            }
            State::Draining => TargetHealth::because(
                Draining,
                Reason::DeregistrationInProgress,
                "Target deregistration is in progress",
            ),
        }
    }
}

/// The cause behind a recorded reason; the code of a mismatch is read from its description.
fn recorded_cause(health: &TargetHealth) -> Cause {
    match health.reason {
        Some(TargetHealthReason::Timeout) => Cause::TimedOut,
        Some(TargetHealthReason::InternalError) => Cause::Internal,
        Some(TargetHealthReason::ResponseCodeMismatch) => {
            let description = health.description.as_deref().unwrap_or_default();
            let code = description.split(['[', ']']).nth(1).and_then(|code| code.parse().ok());
            code.map_or(Cause::Failed, Cause::Code)
        }
        Some(_) | None => Cause::Failed,
    }
}

#[cfg(test)]
mod tests;
