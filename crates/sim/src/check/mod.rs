//! The rules. Each is looked at where it could be broken, by what the world knows and no decider was asked for.

mod commits;
mod limits;
mod settled;
mod stops;
mod tasks;

use std::collections::{BTreeMap, BTreeSet};

use gantry_domain::Key;
use gantry_types::{NodeId, RegistrationId, TaskId};

use crate::agenda::At;
use crate::happening::ContainerRef;

/// What was decided is committed within this.
const COMMIT_MAX: u64 = 3_000;

/// What the rules remember.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// How often the program of each container was begun.
    runs: BTreeMap<ContainerRef, u32>,
    /// When each target was told to drain.
    draining_at: BTreeMap<RegistrationId, At>,
    /// Whose target a registration is.
    task_of: BTreeMap<RegistrationId, TaskId>,
    /// When each node was last known as lost.
    lost_at: BTreeMap<NodeId, At>,
    /// Tasks that ended in the records because their node was lost. They may still run, and their addresses are free.
    given_up: BTreeSet<TaskId>,
    /// Healthy tasks that the commit that is being looked at stops, by their services.
    stopped: BTreeMap<Key, usize>,
    /// Services of which it starts tasks.
    starting: BTreeSet<Key>,
    /// The minute that is counted, and the tasks that each service started in it.
    started: (At, BTreeMap<Key, u32>),
    /// Tasks that became RUNNING.
    pub(crate) tasks_ran: u64,
}
