//! A target group: its targets take over what load balancers say, and go when their delay is over.

use gantry_domain::elb::{Target, TargetHealth, TargetHealthState};
use gantry_domain::{Stored, View};
use gantry_types::{Arn, Timestamp};

use crate::core::{Core, Decided};
use crate::limits::SWEEP_OPERATIONS_MAX;

pub(super) fn decide(core: &Core, view: &View, arn: &Arn, now: Timestamp) -> Decided {
    let mut decided = Decided::default();
    let delay = view.target_group(arn).map(|group| group.deregistration_delay());
    for target in view.targets_of(arn) {
        if decided.batch.len() >= SWEEP_OPERATIONS_MAX {
            break;
        }
        let Some(delay) = delay else {
            decided.batch.delete(view, target.key());
            continue;
        };
        let next = match target.draining_since {
            // DescribeTargetHealth says `draining` for the whole delay, however early the last request ended.
            Some(since) if now >= since + delay => {
                decided.batch.delete(view, target.key());
                continue;
            }
            Some(since) => {
                // A clock that jumped back must not make the delay longer than it is.
                let since = since.min(now);
                decided.wake_at = decided.wake_at.into_iter().chain([since + delay]).min();
                let drained = target.drained || core.balancers.is_drained(&target);
                Target { draining_since: Some(since), drained, ..target.cloned() }
            }
            None => match core.balancers.health(&target).filter(|said| is_news(said, &target)) {
                Some(health) => Target { health: health.clone(), ..target.cloned() },
                None => continue,
            },
        };
        if next != *target {
            decided.batch.put(view, next);
        }
    }
    decided
}

/// A load balancer that has just started knows nothing yet: the last verdict stands until it has one.
fn is_news(said: &TargetHealth, target: &Target) -> bool {
    let judged = matches!(target.health.state, TargetHealthState::Healthy | TargetHealthState::Unhealthy);
    *said != target.health
        && said.state != TargetHealthState::Draining
        && !(judged && said.state == TargetHealthState::Initial)
}
