//! What goes in and what comes out.

use gantry_domain::{Change, Key};
use gantry_link::{FromLb, FromNode, Hello, ToLb, ToNode};
use gantry_types::Timestamp;

/// One connection of a node or load balancer; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// One commit that the core asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub u64);

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The store committed, by whomever, as this revision; the view that the step is given has it already. The order and the
    /// number of keys do not matter: a key that is missing here is seen by the next full pass.
    Changed(u64, Vec<Key>),
    /// The store committed more than could be told: everything is looked at anew.
    ChangesMissed,
    /// A commit of ours was made, as this revision.
    Committed(CommitId, u64),
    /// A commit of ours was not made.
    NotCommitted(CommitId, CommitFailure),
    /// A child or another machine connected and said who it is.
    Hello(LinkId, Hello),
    FromNode(LinkId, FromNode),
    FromLb(LinkId, FromLb),
    /// The link is closed.
    Gone(LinkId),
    /// Time passed.
    Tick,
}

/// Why a commit was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitFailure {
    /// Some record was not as it was read.
    Conflict,
    /// The commit has more bytes than the store takes at once: the unit makes smaller ones.
    TooLarge,
    /// The store cannot write now, or nobody knows whether it did; both are tried again by deciding again.
    Unavailable,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Commit these changes together, and answer with [`Event::Committed`] or [`Event::NotCommitted`].
    Commit(CommitId, Vec<Change>),
    ToNode(LinkId, ToNode),
    ToLb(LinkId, ToLb),
    /// Close the link, and log why.
    Close(LinkId, String),
    /// Call again with [`Event::Tick`] no later than this; replaces what was said before.
    WakeAt(Timestamp),
}
