//! Bugs on purpose. The simulation is worth what it finds: each of these must be found within a thousand seeds.
//!
//! They stand at the seams between the world and the real parts (messages, commits, views, effects), so that the parts
//! themselves stay as they are; without the feature `planted` none of them exists.

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Planted {
    /// `control` commits without saying what it read.
    SkippedCompareAndSet,
    /// A commit is made a second time, later and whatever happened meanwhile.
    CommitTwice,
    /// What `control` says to forget is not forgotten.
    DroppedForget,
    /// A node that restarts does not see that a container runs already.
    DoubleStart,
    /// A stop is sent without waiting for the targets to drain.
    ForgottenDrain,
    /// The node does not compare what it has with what it shall have.
    IgnoredSynced,
    /// A target is said to be drained while requests are in flight on it.
    DrainedTooEarly,
    /// The disk is not synced before a commit is acknowledged.
    LostCommit,
    /// A new task is given an address that is in use.
    ReusedAddress,
    /// A service may have one task more than its maximum.
    MaximumOffByOne,
    /// The minimum of healthy tasks is taken for zero.
    MinimumIgnored,
    /// A conflict is never answered.
    ConflictNotRetried,
    /// Changes and time do not wake `control` any more after it has run for a while.
    LostWakeUp,
    /// The node stops its tasks when it loses `control`.
    StopsWhenAlone,
    /// `control` decides from a view that is one second old, without saying what it read.
    StaleView,
}

impl Planted {
    pub const ALL: [Self; 15] = [
        Self::SkippedCompareAndSet,
        Self::CommitTwice,
        Self::DroppedForget,
        Self::DoubleStart,
        Self::ForgottenDrain,
        Self::IgnoredSynced,
        Self::DrainedTooEarly,
        Self::LostCommit,
        Self::ReusedAddress,
        Self::MaximumOffByOne,
        Self::MinimumIgnored,
        Self::ConflictNotRetried,
        Self::LostWakeUp,
        Self::StopsWhenAlone,
        Self::StaleView,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::SkippedCompareAndSet => "skipped-compare-and-set",
            Self::CommitTwice => "commit-twice",
            Self::DroppedForget => "dropped-forget",
            Self::DoubleStart => "double-start",
            Self::ForgottenDrain => "forgotten-drain",
            Self::IgnoredSynced => "ignored-synced",
            Self::DrainedTooEarly => "drained-too-early",
            Self::LostCommit => "lost-commit",
            Self::ReusedAddress => "reused-address",
            Self::MaximumOffByOne => "maximum-off-by-one",
            Self::MinimumIgnored => "minimum-ignored",
            Self::ConflictNotRetried => "conflict-not-retried",
            Self::LostWakeUp => "lost-wake-up",
            Self::StopsWhenAlone => "stops-when-alone",
            Self::StaleView => "stale-view",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|planted| planted.name() == name)
    }
}
