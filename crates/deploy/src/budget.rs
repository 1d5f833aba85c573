//! How many tasks to stop and to start, and which: arithmetic over buckets, with nothing else in sight.

use std::collections::BTreeMap;

use gantry_types::AvailabilityZone;

/// No plan has room for more stops than this; looking for more of them would only cost time in a large service.
const STOPS_MAX: usize = 128;

/// What a wanted task is worth, in the order in which tasks are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Pending,
    Unhealthy,
    Starting,
    Healthy,
}

/// One wanted task.
#[derive(Debug, Clone)]
pub(crate) struct Member<'a> {
    /// Where the caller finds the task again.
    pub(crate) index: usize,
    /// It belongs to the primary deployment and is not on a node that is to be emptied.
    pub(crate) current: bool,
    pub(crate) rank: Rank,
    pub(crate) zone: &'a AvailabilityZone,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) desired: usize,
    /// At least so many tasks stay healthy, as far as it is ours to say.
    pub(crate) minimum: usize,
    /// At most so many tasks are wanted.
    pub(crate) maximum: usize,
    pub(crate) rollout: Rollout,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rollout {
    Proceeds,
    /// The circuit breaker opened and nothing was there to roll back to: no task is started or replaced any more.
    Stalled,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Decision {
    pub(crate) stop: Vec<usize>,
    pub(crate) start: usize,
    /// So many tasks of the primary deployment are unhealthy.
    pub(crate) unhealthy: usize,
    /// Tasks are missing, none is on its way, and the percentages allow neither a stop nor a start.
    pub(crate) blocked: bool,
}

pub(crate) fn decide(members: &[Member<'_>], limits: Limits) -> Decision {
    let mut stops = Stops::new(members, limits.minimum);
    let count =
        |current: bool, rank: Rank| members.iter().filter(|m| m.current == current && m.rank == rank).count();
    let current_healthy = count(true, Rank::Healthy).min(limits.desired);
    let on_their_way = count(true, Rank::Pending) + count(true, Rank::Starting);
    let good = on_their_way + count(true, Rank::Healthy);
    let missing = limits.desired.saturating_sub(good);
    let unhealthy = count(true, Rank::Unhealthy);

    // Too many of the right ones: what serves least goes first.
    stops.take(good.saturating_sub(limits.desired), |m| m.current && m.rank != Rank::Unhealthy);
    // What never ran and shall not run.
    if limits.rollout == Rollout::Proceeds {
        stops.take(usize::MAX, |m| !m.current && m.rank == Rank::Pending);
    }
    // Whom healthy tasks of the primary deployment have replaced.
    let still_needed = limits.desired - current_healthy;
    stops.take(unhealthy.saturating_sub(still_needed), |m| m.current && m.rank == Rank::Unhealthy);
    let old_running = members.iter().filter(|m| !m.current && m.rank != Rank::Pending).count();
    stops.take(old_running.saturating_sub(still_needed), |m| !m.current && m.rank != Rank::Pending);

    if limits.rollout == Rollout::Stalled {
        return Decision { stop: stops.chosen, start: 0, unhealthy, blocked: false };
    }
    // Room under the maximum for those that are missing. Below the minimum unhealthy tasks go one by one, since even they may
    // answer something; what has not begun to serve goes freely.
    let room = |stops: &Stops<'_>| limits.maximum.saturating_sub(members.len() - stops.chosen.len());
    let mut short = missing.saturating_sub(room(&stops));
    short -= stops.take(short, |m| !m.current && m.rank == Rank::Starting);
    let unhealthy_free = if stops.healthy_left >= limits.minimum {
        usize::MAX
    } else {
        usize::from(on_their_way == 0 && stops.chosen.is_empty())
    };
    short -= stops.take(short.min(unhealthy_free), |m| m.rank == Rank::Unhealthy);
    stops.take(short, |m| !m.current);

    let start = missing.min(room(&stops));
    let blocked = missing > 0 && start == 0 && stops.chosen.is_empty() && on_their_way == 0;
    Decision { stop: stops.chosen, start, unhealthy, blocked }
}

/// The tasks that were chosen to be stopped so far.
struct Stops<'m> {
    members: &'m [Member<'m>],
    left: Vec<bool>,
    by_zone: BTreeMap<&'m AvailabilityZone, usize>,
    healthy_left: usize,
    minimum: usize,
    chosen: Vec<usize>,
}

impl<'m> Stops<'m> {
    fn new(members: &'m [Member<'m>], minimum: usize) -> Self {
        let mut by_zone = BTreeMap::new();
        for member in members {
            *by_zone.entry(member.zone).or_insert(0) += 1;
        }
        let healthy_left = members.iter().filter(|m| m.rank == Rank::Healthy).count();
        Self { members, left: vec![true; members.len()], by_zone, healthy_left, minimum, chosen: Vec::new() }
    }

    /// Chooses up to `count` of those that `which` allows: the lowest rank first, then the zone with the most tasks, then the
    /// newest. A healthy one is taken only while more than the minimum are left. Says how many it took.
    fn take(&mut self, count: usize, which: impl Fn(&Member<'_>) -> bool) -> usize {
        let mut taken = 0;
        while taken < count && self.chosen.len() < STOPS_MAX {
            let allowed = |i: &usize| {
                let member = &self.members[*i];
                let spare = member.rank != Rank::Healthy || self.healthy_left > self.minimum;
                self.left[*i] && spare && which(member)
            };
            let first = |i: &usize| {
                let member = &self.members[*i];
                (member.rank, std::cmp::Reverse(self.by_zone[member.zone]), std::cmp::Reverse(*i))
            };
            let Some(next) = (0..self.members.len()).filter(allowed).min_by_key(first) else { break };
            let member = &self.members[next];
            self.left[next] = false;
            self.healthy_left -= usize::from(member.rank == Rank::Healthy);
            if let Some(tasks) = self.by_zone.get_mut(member.zone) {
                *tasks -= 1;
            }
            self.chosen.push(member.index);
            taken += 1;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Tasks as words: `n` of the primary deployment or `o` older; P, U, S or H for the rank; a digit for the zone.
    fn check(limits: &str, tasks: &str, expected: &str) {
        let (limits, stalled) = limits.split_once(' ').map_or((limits, false), |(limits, _)| (limits, true));
        let numbers: Vec<usize> = limits.split('/').map(|n| n.parse().expect("a number")).collect();
        let zones: Vec<AvailabilityZone> = tasks.split_whitespace().map(|w| w[2..].into()).collect();
        let members: Vec<Member<'_>> = tasks
            .split_whitespace()
            .enumerate()
            .map(|(index, word)| Member {
                index,
                current: word.starts_with('n'),
                rank: match &word[1..2] {
                    "P" => Rank::Pending,
                    "U" => Rank::Unhealthy,
                    "S" => Rank::Starting,
                    "H" => Rank::Healthy,
                    other => panic!("no rank {other:?}"),
                },
                zone: &zones[index],
            })
            .collect();
        let rollout = if stalled { Rollout::Stalled } else { Rollout::Proceeds };
        let limits = Limits { desired: numbers[0], minimum: numbers[1], maximum: numbers[2], rollout };
        let decision = decide(&members, limits);
        let stop = decision.stop.iter().map(|i| i.to_string()).collect::<Vec<_>>().join(",");
        let blocked = if decision.blocked { " blocked" } else { "" };
        assert_eq!(
            format!("stop [{stop}] start {}{blocked}", decision.start),
            expected,
            "{limits:?} {tasks}"
        );
    }

    #[test]
    fn the_count_follows_the_desired_count() {
        check("3/3/6", "", "stop [] start 3");
        check("3/3/6", "nH nP", "stop [] start 1");
        check("3/3/6", "nH nH nH", "stop [] start 0");
        // Down: what does not serve yet goes first, and of equals the newest in the fullest zone.
        check("1/1/2", "nH nP nS", "stop [1,2] start 0");
        check("2/2/4", "nHa nHb nHb nHb", "stop [3,2] start 0");
        check("0/0/0", "nH nU oH oP", "stop [0,3,1,2] start 0");
    }

    #[test]
    fn a_rolling_update_stays_inside_its_limits() {
        // 100/200: all new ones first, then one old goes for each new one that is healthy.
        check("3/3/6", "oH oH oH", "stop [] start 3");
        check("3/3/6", "oH oH oH nP nS nP", "stop [] start 0");
        check("3/3/6", "oH oH oH nH nS nP", "stop [2] start 0");
        check("3/3/6", "oH oH oH nH nH nH", "stop [2,1,0] start 0");
        // 50/100: half is stopped first.
        check("4/2/4", "oH oH oH oH", "stop [3,2] start 2");
        check("4/2/4", "oH oH nP nP", "stop [] start 0");
        check("4/2/4", "oH oH nH nH", "stop [1,0] start 2");
        // 0/100 with one task.
        check("1/0/1", "oH", "stop [0] start 1");
        // 100/100 can do nothing.
        check("1/1/1", "oH", "stop [] start 0 blocked");
        // A second update while the first one is under way: its tasks never served, so they make the room.
        check("3/3/6", "oH oH oH oS oS oP", "stop [5,4,3] start 3");
    }

    #[test]
    fn unhealthy_tasks_are_replaced_before_they_are_stopped() {
        check("2/2/4", "nH nU", "stop [] start 1");
        check("2/2/4", "nH nU nS", "stop [] start 0");
        check("2/2/4", "nH nU nH", "stop [1] start 0");
        // No room: one by one while the minimum is missed.
        check("3/3/3", "nU nU nU", "stop [2] start 1");
        check("3/3/3", "nU nU nS", "stop [] start 0");
        check("3/3/3", "nU nU nH", "stop [1] start 1");
        // The minimum holds without them: all at once.
        check("4/2/4", "nH nH nU nU", "stop [3,2] start 2");
        // The replacement fails too: churn goes on with one at a time.
        check("1/1/2", "nU nU", "stop [1] start 1");
    }

    #[test]
    fn a_stalled_deployment_starts_and_replaces_nothing() {
        check("3/3/6 stalled", "oH oH nU", "stop [] start 0");
        check("1/1/2 stalled", "oH oH", "stop [1] start 0");
    }

    fn tasks() -> impl Strategy<Value = Vec<(bool, u8, u8)>> {
        proptest::collection::vec((any::<bool>(), 0u8..4, 0u8..3), 0..24)
    }

    proptest! {
        #[test]
        fn never_above_the_maximum_nor_below_the_minimum_by_our_own_act(
            tasks in tasks(), desired in 0usize..10, minimum in 0u64..=100, maximum in 100u64..=400
        ) {
            let zones = ["a", "b", "c"].map(AvailabilityZone::from);
            let ranks = [Rank::Pending, Rank::Unhealthy, Rank::Starting, Rank::Healthy];
            let members: Vec<Member<'_>> = tasks.iter().enumerate().map(|(index, (current, rank, zone))| Member {
                index, current: *current, rank: ranks[*rank as usize], zone: &zones[*zone as usize],
            }).collect();
            let limits = Limits {
                desired,
                minimum: (desired as u64 * minimum).div_ceil(100) as usize,
                maximum: (desired as u64 * maximum / 100) as usize,
                rollout: Rollout::Proceeds,
            };
            let decision = decide(&members, limits);
            let healthy = |m: &&Member<'_>| m.rank == Rank::Healthy;
            let stopped: Vec<&Member<'_>> = decision.stop.iter().map(|index| &members[*index]).collect();
            let before = members.iter().filter(healthy).count();
            let after = before - stopped.iter().copied().filter(healthy).count();
            prop_assert!(after >= limits.minimum.min(before), "{decision:?}");
            let wanted = members.len() - stopped.len() + decision.start;
            prop_assert!(wanted <= limits.maximum.max(members.len()), "{decision:?}");
            prop_assert!(decision.start == 0 || wanted <= limits.maximum, "{decision:?}");
            let mut unique = decision.stop.clone();
            unique.sort_unstable();
            unique.dedup();
            prop_assert_eq!(unique.len(), decision.stop.len());
        }
    }
}
