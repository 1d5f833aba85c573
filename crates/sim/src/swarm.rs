//! Which faults a seed has, and how often. Each seed has a random few of them: a bug that needs calm between two faults is found
//! by a seed that has no others.

use crate::chance::Chance;

const MINUTE: u64 = 60_000;

/// What breaks at a moment of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// `kill -9` of `control` between two events.
    ControlDies,
    /// `kill -9` of `control` after some effects of a step were done and before the others were.
    ControlDiesInStep,
    /// `kill -9` of `control` in the middle of a commit: the disk has some of its writes.
    ControlDiesInCommit,
    NodeDies,
    /// `kill -9` of `node` after some effects of a step.
    NodeDiesInStep,
    BalancerDies,
    /// A machine restarts: everything on it at once, no container survives, what was not synced is torn.
    Reboot,
    /// Power fails in the middle of a commit: written sectors are torn, then the machine restarts.
    PowerFailsInCommit,
    LinkBreaks,
    /// A child cannot reach `control` for a while, and neither side is told.
    Partition,
    /// A container's process is killed, or runs out of memory.
    ContainerDies,
    /// The store's disk has no room for a while.
    DiskFull,
    /// Every write of the store's disk fails for a while.
    DiskBroken,
    /// Commits take up to a second for a while.
    SlowDisk,
    /// A machine's clock jumps by minutes.
    ClockJumps,
    /// A definition's image is gone for a while.
    ImageMissing,
    /// Programs fail their health checks for a while.
    AppsFail,
    /// The store's subscribers are told that they missed something, in place of what.
    ChangesMissed,
}

impl Fault {
    const ALL: [Self; 18] = [
        Self::ControlDies,
        Self::ControlDiesInStep,
        Self::ControlDiesInCommit,
        Self::NodeDies,
        Self::NodeDiesInStep,
        Self::BalancerDies,
        Self::Reboot,
        Self::PowerFailsInCommit,
        Self::LinkBreaks,
        Self::Partition,
        Self::ContainerDies,
        Self::DiskFull,
        Self::DiskBroken,
        Self::SlowDisk,
        Self::ClockJumps,
        Self::ImageMissing,
        Self::AppsFail,
        Self::ChangesMissed,
    ];

    /// The shortest mean time between two of them.
    fn interval_min(self) -> u64 {
        match self {
            Self::Reboot | Self::PowerFailsInCommit => 8 * MINUTE,
            Self::DiskFull | Self::DiskBroken | Self::Partition | Self::ClockJumps => 4 * MINUTE,
            Self::ImageMissing | Self::AppsFail | Self::SlowDisk => 4 * MINUTE,
            Self::ControlDies | Self::ControlDiesInStep | Self::ControlDiesInCommit => 2 * MINUTE,
            Self::NodeDies | Self::NodeDiesInStep | Self::BalancerDies | Self::LinkBreaks => 2 * MINUTE,
            Self::ContainerDies | Self::ChangesMissed => MINUTE,
        }
    }
}

/// One seed's world.
#[derive(Debug, Clone)]
pub(crate) struct Swarm {
    pub(crate) nodes: usize,
    /// The subnets' prefix: small subnets use addresses again soon.
    pub(crate) subnet_prefix: u8,
    /// Mean time between two faults of a kind, of the kinds that the seed has.
    pub(crate) faults: Vec<(Fault, u64)>,
    /// Mean time between two calls of operators.
    pub(crate) operation_interval: u64,
    /// Messages that are delivered twice, in a thousand.
    pub(crate) repeated: u64,
    /// Orders and reports that come once more long after, in a thousand.
    pub(crate) late: u64,
    /// A message takes up to so many milliseconds.
    pub(crate) link_delay_max: u64,
    /// A commit takes up to so many milliseconds.
    pub(crate) commit_delay_max: u64,
    /// Starts, network set-ups and probes that fail although nothing is wrong, in a thousand.
    pub(crate) starts_fail: u64,
    pub(crate) networks_fail: u64,
    pub(crate) probes_fail: u64,
    /// Bad task definitions are among those that operators deploy.
    pub(crate) bad_definitions: bool,
    /// Up to so many milliseconds until a program answers.
    pub(crate) boot_max: u64,
    /// Requests that last for minutes, in a thousand.
    pub(crate) long_requests: u64,
}

impl Swarm {
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        // One in eight is calm: what fails there fails without any fault.
        let calm = chance.one_in(8);
        let mut faults = Vec::new();
        for fault in Fault::ALL {
            // Drawn in any case, so that a seed's other choices do not depend on it.
            let (has, interval) = (chance.one_in(3), chance.between(fault.interval_min(), 30 * MINUTE));
            if has && !calm {
                faults.push((fault, interval));
            }
        }
        let mut rate = |one_in: u64, low: u64, high: u64| {
            let (has, rate) = (chance.one_in(one_in), chance.between(low, high));
            if has && !calm { rate } else { 0 }
        };
        let (repeated, late) = (rate(3, 5, 100), rate(3, 5, 100));
        let (starts_fail, networks_fail, probes_fail) = (rate(4, 5, 100), rate(4, 5, 100), rate(4, 1, 30));
        Self {
            nodes: *chance.pick(&[1, 1, 1, 2, 3]),
            subnet_prefix: *chance.pick(&[20, 20, 24, 26]),
            faults,
            operation_interval: chance.between(40_000, 150_000),
            repeated,
            late,
            link_delay_max: chance.log_between(1, 200),
            commit_delay_max: chance.log_between(2, 100),
            starts_fail,
            networks_fail,
            probes_fail,
            bad_definitions: chance.one_in(2),
            boot_max: chance.log_between(20, 20_000),
            long_requests: *chance.pick(&[0, 20, 200]),
        }
    }
}
