//! Whether a target group's requests are served, held or refused.
//!
//! AWS leaves the gap between "the old target is gone" and "the new one is healthy" to the client, as a 503. Here a request
//! waits if somebody has promised that a target will come.

use gantry_domain::elb::TargetHealthState;

/// One target as far as this decision reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub state: TargetHealthState,
    /// A connection to it was refused or reset, and no probe has succeeded since.
    pub refused: bool,
}

/// What to do with a group's requests. Indexes are those of the targets as given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    /// These targets are fit.
    Serve(Vec<usize>),
    /// None is fit and none is promised: all that are registered get requests, as on AWS.
    FailOpen(Vec<usize>),
    /// None is fit yet, but one is starting or promised.
    Hold,
    /// None is registered and none is promised: 503.
    NoTargets,
}

/// Decides from the targets' standings and whether a service will register a target.
pub fn availability(targets: &[Standing], promised: bool) -> Availability {
    let indexes = |wanted: fn(&Standing) -> bool| -> Vec<usize> {
        targets.iter().enumerate().filter(|(_, target)| wanted(target)).map(|(index, _)| index).collect()
    };
    let fit = indexes(|target| class(target) == Class::Fit);
    if !fit.is_empty() {
        return Availability::Serve(fit);
    }
    if promised || targets.iter().any(|target| class(target) == Class::Starting) {
        return Availability::Hold;
    }
    let registered = indexes(|target| class(target) == Class::Unfit);
    if registered.is_empty() { Availability::NoTargets } else { Availability::FailOpen(registered) }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Fit,
    Starting,
    Unfit,
    Leaving,
}

fn class(target: &Standing) -> Class {
    match target.state {
        // Without health checks a target is as good as any.
        TargetHealthState::Healthy | TargetHealthState::Unavailable if target.refused => Class::Unfit,
        TargetHealthState::Healthy | TargetHealthState::Unavailable => Class::Fit,
        // A request that meets an unused target shows that the group has just come into use.
        TargetHealthState::Initial | TargetHealthState::Unused => Class::Starting,
        TargetHealthState::Unhealthy => Class::Unfit,
        TargetHealthState::Draining => Class::Leaving,
    }
}

#[cfg(test)]
mod tests {
    use TargetHealthState::{Draining, Healthy, Initial, Unavailable, Unhealthy};

    use super::*;

    fn check(states: &[(TargetHealthState, bool)], promised: bool, expected: &Availability) {
        let targets: Vec<Standing> =
            states.iter().map(|(state, refused)| Standing { state: *state, refused: *refused }).collect();
        assert_eq!(&availability(&targets, promised), expected, "{states:?}, promised {promised}");
    }

    #[test]
    fn requests_are_served_held_or_refused() {
        use Availability::{FailOpen, Hold, NoTargets, Serve};
        check(&[], false, &NoTargets);
        check(&[], true, &Hold);
        check(&[(Draining, false)], false, &NoTargets);
        check(&[(Draining, false)], true, &Hold);
        check(&[(Initial, false)], false, &Hold);
        check(&[(Initial, false), (Unhealthy, false)], false, &Hold);
        check(&[(Unhealthy, false)], false, &FailOpen(vec![0]));
        check(&[(Unhealthy, false)], true, &Hold);
        check(&[(Unhealthy, false), (Healthy, false), (Initial, false)], true, &Serve(vec![1]));
        check(&[(Unavailable, false), (Healthy, false)], false, &Serve(vec![0, 1]));
    }

    #[test]
    fn a_refused_target_is_out_of_choice_while_there_is_another_hope() {
        use Availability::{FailOpen, Hold, Serve};
        check(&[(Healthy, true), (Healthy, false)], false, &Serve(vec![1]));
        check(&[(Healthy, true)], true, &Hold);
        check(&[(Healthy, true), (Initial, false)], false, &Hold);
        check(&[(Healthy, true), (Unhealthy, false)], false, &FailOpen(vec![0, 1]));
        check(&[(Draining, true), (Healthy, true)], false, &FailOpen(vec![1]));
    }
}
