//! Picking one of several targets.

use std::time::Duration;

use gantry_domain::elb::TargetGroup;
use gantry_types::Timestamp;

/// How a target group spreads its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    #[default]
    RoundRobin,
    LeastOutstandingRequests,
    WeightedRandom,
}

impl Algorithm {
    /// `load_balancing.algorithm.type`; what is not known is AWS's default.
    pub fn of(group: &TargetGroup) -> Self {
        match group.algorithm() {
            "least_outstanding_requests" => Self::LeastOutstandingRequests,
            "weighted_random" => Self::WeightedRandom,
            _ => Self::RoundRobin,
        }
    }
}

/// A target that may be picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Requests in flight on it.
    pub outstanding: usize,
    /// [`SHARE_FULL`], or less during slow start.
    pub share: u32,
    /// Already tried by this request, or out of choice.
    pub excluded: bool,
}

/// The share of a target that is not in slow start.
pub const SHARE_FULL: u32 = 1000;

/// Picks among `count` targets. `turn` is one more with each request of the group; `random` is random.
///
/// Round robin gives each target its turn; while one of them starts slowly, and with weighted random, targets are drawn by
/// their shares. Slow start does not apply to least outstanding requests, as on AWS.
pub fn select_target(
    algorithm: Algorithm,
    count: usize,
    turn: u64,
    random: u64,
    candidate: impl Fn(usize) -> Candidate,
) -> Option<usize> {
    if count == 0 {
        return None;
    }
    let first = usize::try_from(turn % count as u64).unwrap_or(0);
    let in_turn = (first..count).chain(0..first);
    match algorithm {
        Algorithm::LeastOutstandingRequests => in_turn
            .map(|index| (index, candidate(index)))
            .filter(|(_, candidate)| !candidate.excluded)
            .min_by_key(|(_, candidate)| candidate.outstanding)
            .map(|(index, _)| index),
        Algorithm::WeightedRandom => by_share(count, random, candidate),
        Algorithm::RoundRobin => {
            let chosen = in_turn
                .map(|index| (index, candidate(index)))
                .find(|(_, candidate)| !candidate.excluded)
                .map(|(index, _)| index)?;
            let slow = (0..count).any(|index| candidate(index).share < SHARE_FULL);
            if slow { by_share(count, random, candidate) } else { Some(chosen) }
        }
    }
}

fn by_share(count: usize, random: u64, candidate: impl Fn(usize) -> Candidate) -> Option<usize> {
    let share = |index: usize| {
        let candidate = candidate(index);
        if candidate.excluded { 0 } else { u64::from(candidate.share.max(1)) }
    };
    let sum: u64 = (0..count).map(share).sum();
    let mut point = random.checked_rem(sum)?;
    (0..count).find(|index| {
        let own = share(*index);
        let here = point < own;
        point = point.saturating_sub(own);
        here
    })
}

/// A target's share `now`, growing linearly from the moment when it became healthy.
pub fn slow_start_share(started_at: Timestamp, duration: Duration, now: Timestamp) -> u32 {
    let (elapsed, whole) = (now.since(started_at).as_millis(), duration.as_millis());
    if elapsed >= whole {
        return SHARE_FULL;
    }
    u32::try_from(elapsed * u128::from(SHARE_FULL) / whole).unwrap_or(SHARE_FULL).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fit(outstanding: usize, share: u32) -> Candidate {
        Candidate { outstanding, share, excluded: false }
    }
    fn excluded() -> Candidate {
        Candidate { outstanding: 0, share: SHARE_FULL, excluded: true }
    }
    fn select(algorithm: Algorithm, candidates: &[Candidate], turn: u64, random: u64) -> Option<usize> {
        select_target(algorithm, candidates.len(), turn, random, |index| candidates[index])
    }

    #[test]
    fn round_robin_gives_each_its_turn_and_steps_over_the_excluded() {
        let all = [fit(0, SHARE_FULL), excluded(), fit(9, SHARE_FULL)];
        let chosen: Vec<_> =
            (0..6).map(|turn| select(Algorithm::RoundRobin, &all, turn, 0).unwrap()).collect();
        assert_eq!(chosen, [0, 2, 2, 0, 2, 2]);
        assert_eq!(select(Algorithm::RoundRobin, &[excluded()], 3, 3), None);
        assert_eq!(select(Algorithm::RoundRobin, &[], 3, 3), None);
    }

    #[test]
    fn least_outstanding_takes_the_least_and_turns_between_equals() {
        let all = [fit(2, SHARE_FULL), fit(1, SHARE_FULL), fit(1, SHARE_FULL)];
        let chosen: Vec<_> =
            (0..3).map(|turn| select(Algorithm::LeastOutstandingRequests, &all, turn, 0).unwrap()).collect();
        assert_eq!(chosen, [1, 1, 2]);
    }

    #[test]
    fn slow_start_grows_linearly_and_draws_by_share() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let thirty = Duration::from_secs(30);
        assert_eq!(slow_start_share(at(0), thirty, at(0)), 1);
        assert_eq!(slow_start_share(at(0), thirty, at(15)), 500);
        assert_eq!(slow_start_share(at(0), thirty, at(30)), SHARE_FULL);
        let all = [fit(0, SHARE_FULL), fit(0, 250)];
        let second =
            (0..1250).filter(|random| select(Algorithm::RoundRobin, &all, 1, *random) == Some(1)).count();
        assert_eq!(second, 250);
    }

    proptest! {
        #[test]
        fn an_excluded_target_is_never_picked_and_a_fit_one_always_found(
            candidates in prop::collection::vec((0usize..4, 1u32..=1000, any::<bool>()), 0..8),
            turn: u64, random: u64, which in 0usize..3,
        ) {
            let candidates: Vec<_> = candidates
                .into_iter()
                .map(|(outstanding, share, excluded)| Candidate { outstanding, share, excluded })
                .collect();
            let algorithm =
                [Algorithm::RoundRobin, Algorithm::LeastOutstandingRequests, Algorithm::WeightedRandom][which];
            match select(algorithm, &candidates, turn, random) {
                Some(index) => prop_assert!(!candidates[index].excluded),
                None => prop_assert!(candidates.iter().all(|candidate| candidate.excluded)),
            }
        }
    }
}
