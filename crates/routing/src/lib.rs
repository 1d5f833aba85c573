//! Where a request goes, and which target is fit to take it: the decisions of a load balancer, without its sockets.
//!
//! Flow: listeners and rules are compiled into a [`RouteTable`]. A request, seen as [`RequestFacts`], is held against the rules
//! of its listener, lowest priority first; the first that matches gives an [`Action`]. A forward picks a target group by
//! weight, the group's [`Availability`] says whether its requests are served, held or refused, and [`select_target`] picks the
//! target. Whether a target is fit is what its [`TargetHealthMachine`] says, fed with the results of health checks.
//!
//! Invariants:
//! - Nothing here does IO, reads a clock or draws a random number: they are arguments.
//! - The same table gives the same answer to the same request, turn and random number.
//! - Matching a pattern takes at most `pattern * text` steps, whatever the pattern.

mod action;
mod availability;
mod condition;
mod health;
mod matcher;
mod pattern;
mod redirect;
mod schedule;
mod selection;
mod table;

pub use action::{Action, GroupSlot, WeightedGroups};
pub use availability::{Availability, Standing, availability};
pub use condition::{RequestFacts, RequestHeaders};
pub use health::{HealthEvent, HealthSettings, ProbeResult, TargetHealthMachine, UnusedReason};
pub use matcher::{Matcher, MatcherError};
pub use pattern::{Case, Pattern};
pub use redirect::RedirectTemplate;
pub use schedule::{FAST_PROBE_DELAY_MAX_MS, FAST_PROBE_DELAY_MIN_MS};
pub use selection::{Algorithm, Candidate, SHARE_FULL, select_target, slow_start_share};
pub use table::{ListenerRules, Match, RouteTable};
