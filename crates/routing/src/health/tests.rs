use proptest::prelude::*;

use super::*;

const OK: ProbeResult = ProbeResult::Status(200);
const BAD: ProbeResult = ProbeResult::Status(500);

fn settings() -> HealthSettings {
    HealthSettings {
        interval: Duration::from_secs(30),
        healthy_threshold: 3,
        unhealthy_threshold: 2,
        matcher: Matcher::default(),
    }
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

/// Runs every probe that is due up to `until`, each answered at once, and gives their times.
fn probes(machine: &mut TargetHealthMachine, until: i64, result: ProbeResult) -> Vec<i64> {
    let mut times = Vec::new();
    while let Some(due) = machine.probe_at().filter(|due| due.millis() <= until) {
        machine.begin_probe(due);
        machine.on(HealthEvent::Probed(result), due);
        times.push(due.millis());
        assert!(times.len() < 10_000, "the schedule does not advance");
    }
    times
}

fn words(machine: &TargetHealthMachine) -> String {
    let health = machine.health();
    let reason = health.reason.map_or("-", TargetHealthReason::as_str);
    format!("{} {reason} {}", health.state, health.description.as_deref().unwrap_or("-"))
}

#[test]
fn a_new_target_needs_one_success_then_goes_by_the_book() {
    let mut machine = TargetHealthMachine::new(settings(), at(0));
    assert_eq!(words(&machine), "initial Elb.RegistrationInProgress Target registration is in progress");
    assert_eq!(probes(&mut machine, 0, OK), [0]);
    assert_eq!(words(&machine), "healthy - -");
    assert_eq!(probes(&mut machine, 90_000, OK), [30_000, 60_000, 90_000]);
}

#[test]
fn a_new_target_that_does_not_answer_is_probed_quickly_for_one_interval() {
    let mut machine = TargetHealthMachine::new(settings(), at(0));
    let times = probes(&mut machine, 1_200, ProbeResult::Failed);
    assert_eq!(times, [0, 10, 30, 70, 150, 310, 560, 810, 1060]);
    assert_eq!(words(&machine), "initial Elb.InitialHealthChecking Initial health checks in progress");
    // The probe at 30 s is the second by the book: the threshold of two is reached, and the quick ones did not count.
    probes(&mut machine, 29_999, ProbeResult::Failed);
    assert_eq!(machine.health().state, TargetHealthState::Initial);
    assert_eq!(probes(&mut machine, 60_000, ProbeResult::Failed), [30_000, 60_000]);
    assert_eq!(words(&machine), "unhealthy Target.FailedHealthChecks Health checks failed");
}

#[test]
fn a_higher_threshold_keeps_a_new_target_initial_without_quick_probes_for_ever() {
    let settings = HealthSettings { unhealthy_threshold: 5, ..settings() };
    let mut machine = TargetHealthMachine::new(settings, at(0));
    probes(&mut machine, 30_000, BAD);
    assert_eq!(probes(&mut machine, 119_000, BAD), [60_000, 90_000]);
    assert_eq!(machine.health().state, TargetHealthState::Initial);
    probes(&mut machine, 120_000, BAD);
    assert_eq!(
        words(&machine),
        "unhealthy Target.ResponseCodeMismatch Health checks failed with these codes: [500]"
    );
}

#[test]
fn thresholds_are_consecutive() {
    let mut machine = TargetHealthMachine::new(settings(), at(0));
    probes(&mut machine, 0, OK);
    for (result, expected) in [
        (BAD, "healthy"),
        (OK, "healthy"),
        (BAD, "healthy"),
        (ProbeResult::TimedOut, "unhealthy"),
        (OK, "unhealthy"),
        (OK, "unhealthy"),
        (BAD, "unhealthy"),
        (OK, "unhealthy"),
        (OK, "unhealthy"),
        (OK, "healthy"),
    ] {
        let due = machine.probe_at().unwrap();
        machine.begin_probe(due);
        machine.on(HealthEvent::Probed(result), due);
        assert_eq!(machine.health().state.as_str(), expected, "{result:?}");
    }
}

#[test]
fn the_interval_does_not_depend_on_the_response_time() {
    let mut machine = TargetHealthMachine::new(settings(), at(0));
    probes(&mut machine, 0, OK);
    machine.begin_probe(at(30_000));
    assert_eq!(machine.probe_at(), None, "one probe at a time");
    machine.on(HealthEvent::Probed(OK), at(34_900));
    assert_eq!(machine.probe_at(), Some(at(60_000)));
    // Asleep for minutes: one probe now, then a new beat.
    machine.begin_probe(at(200_000));
    machine.on(HealthEvent::Probed(OK), at(200_001));
    assert_eq!(machine.probe_at(), Some(at(230_000)));
}

#[test]
fn a_refused_connection_takes_the_target_out_until_a_probe_succeeds() {
    let mut machine = TargetHealthMachine::new(settings(), at(0));
    probes(&mut machine, 0, OK);
    machine.on(HealthEvent::ConnectionFailed, at(5_000));
    assert!(machine.standing().refused);
    assert_eq!(words(&machine), "healthy - -", "by the book it is still healthy");
    assert_eq!(probes(&mut machine, 5_100, ProbeResult::Failed), [5_010, 5_030, 5_070]);
    machine.on(HealthEvent::ConnectionFailed, at(5_100));
    assert_eq!(machine.probe_at(), Some(at(5_150)), "a second refusal does not restart the delays");
    machine.begin_probe(at(5_150));
    machine.on(HealthEvent::Probed(OK), at(5_150));
    assert!(!machine.standing().refused);
    assert_eq!(machine.probe_at(), Some(at(30_000)));
}

#[test]
fn without_health_checks_only_a_refused_target_is_probed() {
    let mut machine = TargetHealthMachine::new(settings(), at(0));
    machine.on(HealthEvent::Unchecked, at(0));
    assert_eq!(words(&machine), "unavailable Target.HealthCheckDisabled Health checks are disabled");
    assert_eq!(machine.probe_at(), None);
    machine.on(HealthEvent::ConnectionFailed, at(10));
    probes(&mut machine, 100, ProbeResult::Failed);
    assert!(machine.standing().refused);
    probes(&mut machine, 1_000, BAD);
    assert!(!machine.standing().refused, "any answer shows that it is back");
    assert_eq!(machine.probe_at(), None);
}

#[test]
fn a_target_out_of_use_is_not_probed_and_begins_anew() {
    let mut machine = TargetHealthMachine::new(settings(), at(0));
    probes(&mut machine, 0, OK);
    machine.on(HealthEvent::Unused(UnusedReason::GroupNotInUse), at(1));
    assert_eq!(
        words(&machine),
        "unused Target.NotInUse Target group is not configured to receive traffic from the load balancer"
    );
    assert_eq!(machine.probe_at(), None);
    machine.on(HealthEvent::Unused(UnusedReason::ZoneNotEnabled), at(2));
    assert_eq!(
        words(&machine),
        "unused Target.NotInUse Target is in an Availability Zone that is not enabled for the load balancer"
    );
    machine.on(HealthEvent::Checked, at(3));
    assert_eq!(machine.probe_at(), Some(at(3)));
    assert_eq!(machine.health(), TargetHealth::registering());
}

#[test]
fn a_registration_that_ended_stays_ended() {
    let mut machine = TargetHealthMachine::new(settings(), at(0));
    machine.begin_probe(at(0));
    machine.on(HealthEvent::Deregistered, at(1));
    machine.on(HealthEvent::Probed(OK), at(2));
    machine.on(HealthEvent::Checked, at(3));
    assert_eq!(
        words(&machine),
        "draining Target.DeregistrationInProgress Target deregistration is in progress"
    );
    assert_eq!(machine.probe_at(), None);
}

#[test]
fn a_record_is_taken_for_what_it_says() {
    let mut machine = TargetHealthMachine::new(settings(), at(0));
    probes(&mut machine, 200_000, BAD);
    for health in
        [machine.health(), TargetHealth::new(TargetHealthState::Healthy), TargetHealth::registering()]
    {
        let machine = TargetHealthMachine::recorded(settings(), &health, at(7));
        assert_eq!(machine.health(), health);
        assert_eq!(machine.probe_at(), Some(at(7)));
    }
}

#[test]
fn a_shorter_interval_brings_the_next_probe_forward() {
    let mut machine = TargetHealthMachine::new(settings(), at(0));
    probes(&mut machine, 0, OK);
    let shorter = HealthSettings { interval: Duration::from_secs(5), ..settings() };
    machine.configure(shorter, at(1_000));
    assert_eq!(machine.probe_at(), Some(at(6_000)));
}

fn events() -> impl Strategy<Value = HealthEvent> {
    prop_oneof![
        6 => prop_oneof![
            Just(OK), Just(BAD), Just(ProbeResult::Failed), Just(ProbeResult::TimedOut), Just(ProbeResult::InternalError)
        ].prop_map(HealthEvent::Probed),
        2 => Just(HealthEvent::ConnectionFailed),
        1 => Just(HealthEvent::Checked),
        1 => Just(HealthEvent::Unchecked),
        1 => Just(HealthEvent::Unused(UnusedReason::GroupNotInUse)),
    ]
}

proptest! {
    /// Whatever happens: AWS's words fit the state, a checked target is always about to be probed, and a success ends the
    /// exclusion of a target that refused.
    #[test]
    fn the_machine_keeps_its_promises(steps in prop::collection::vec((events(), 0i64..40_000), 0..80)) {
        let mut machine = TargetHealthMachine::new(settings(), at(0));
        let mut now = 0;
        let mut failures_in_a_row = 0u32;
        for (event, pause) in steps {
            if let HealthEvent::Probed(result) = event {
                // A result needs a probe.
                let Some(due) = machine.probe_at() else { continue };
                now = now.max(due.millis());
                machine.begin_probe(at(now));
                failures_in_a_row = if result == OK { 0 } else { failures_in_a_row + 1 };
            } else {
                now += pause;
            }
            machine.on(event, at(now));
            let health = machine.health();
            prop_assert_eq!(health.reason.is_none(), health.state == TargetHealthState::Healthy);
            prop_assert_eq!(health.reason.is_some(), health.description.is_some());
            let probed = matches!(
                health.state,
                TargetHealthState::Initial | TargetHealthState::Healthy | TargetHealthState::Unhealthy
            );
            if probed {
                let due = machine.probe_at().expect("a checked target has a next probe");
                prop_assert!(due.millis() <= now + 30_000, "due {due}, now {now}");
            }
            prop_assert_eq!(machine.healthy_since().is_some(), health.state == TargetHealthState::Healthy);
            if failures_in_a_row == 0 && matches!(event, HealthEvent::Probed(_)) {
                prop_assert!(!machine.standing().refused);
            }
        }
    }
}
