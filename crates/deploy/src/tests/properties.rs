//! Whatever happens, the limits hold; and once the world is fair, the service becomes steady.

use std::time::Duration;

use gantry_domain::elb::{Target, TargetHealthState};
use gantry_domain::service::Service;
use gantry_domain::task::{StopCode, Task, TaskStatus};
use proptest::prelude::*;

use super::world::World;
use crate::Policy;

#[derive(Debug, Clone)]
enum Step {
    Decide,
    Run,
    Probe(usize, bool),
    End(usize, bool),
    Drained,
    Desire(u32),
    Deploy,
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Decide),
        3 => Just(Step::Run),
        3 => (0usize..8, prop::bool::weighted(0.7)).prop_map(|(task, healthy)| Step::Probe(task, healthy)),
        2 => (0usize..8, any::<bool>()).prop_map(|(task, never_ran)| Step::End(task, never_ran)),
        2 => Just(Step::Drained),
        1 => (0u32..6).prop_map(Step::Desire),
        1 => Just(Step::Deploy),
        2 => (0u16..40).prop_map(Step::Pass),
    ]
}

fn healthy(world: &World, task: &Task) -> bool {
    let targets: Vec<_> =
        world.view.scan::<Target>("").filter(|t| t.task.as_ref() == Some(&task.id)).collect();
    task.is_wanted()
        && task.last_status == TaskStatus::Running
        && !targets.is_empty()
        && targets.iter().all(|target| target.health.state == TargetHealthState::Healthy)
}

/// Decides and commits once, and checks what the decision did to the limits.
fn decide(world: &mut World) -> Result<(), TestCaseError> {
    let count = |world: &World| {
        let wanted = world.wanted();
        (wanted.len(), wanted.iter().filter(|task| healthy(world, task)).count())
    };
    let (wanted_before, healthy_before) = count(world);
    let plan = world.decide();
    prop_assert!(plan.changes.len() <= world.policy.operations_max);
    let again = world.decide();
    prop_assert_eq!(plan.changes.is_empty(), again.changes.is_empty());
    world.commit(plan.changes);
    let (wanted_after, healthy_after) = count(world);
    let service: Service = world.service();
    let maximum = service.maximum() as usize;
    prop_assert!(wanted_after <= maximum.max(wanted_before), "{wanted_before} -> {wanted_after}");
    prop_assert!(wanted_after <= wanted_before || wanted_after <= maximum);
    let minimum = service.minimum_healthy() as usize;
    prop_assert!(
        healthy_after >= minimum.min(healthy_before),
        "{healthy_before} -> {healthy_after} of {minimum}"
    );
    Ok(())
}

fn act(world: &mut World, step: &Step, revision: &mut u32) -> Result<(), TestCaseError> {
    match step {
        Step::Decide => decide(world)?,
        Step::Run => world.run_all(),
        Step::Probe(task, passes) => {
            let state = if *passes { TargetHealthState::Healthy } else { TargetHealthState::Unhealthy };
            let task = world.wanted().get(*task).cloned();
            if let Some(task) = task {
                world.probe(Some(&task), state);
            }
        }
        Step::End(task, never_ran) => {
            let task = world.wanted().get(*task).cloned();
            if let Some(task) = task {
                let failed = *never_ran && task.times.started_at.is_none();
                let code =
                    if failed { StopCode::TaskFailedToStart } else { StopCode::EssentialContainerExited };
                world.end(&task, code);
            }
        }
        Step::Drained => world.stop_all(),
        Step::Desire(count) => world.change_service(|service| service.desired_count = *count),
        Step::Deploy => {
            *revision += 1;
            world.deploy(*revision);
        }
        Step::Pass(seconds) => world.pass(Duration::from_secs(u64::from(*seconds))),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn the_limits_hold_and_a_fair_world_is_steady(
        steps in proptest::collection::vec(step(), 1..60),
        (minimum, maximum) in prop_oneof![Just((100, 200)), Just((50, 100)), Just((0, 100)), Just((50, 150))],
        desired in 1u32..5,
        operations_max in prop_oneof![Just(60), Just(72), Just(Policy::OPERATIONS_MAX)],
    ) {
        let mut world = World::new(desired, minimum, maximum).with_target_group();
        world.policy.operations_max = operations_max;
        let mut revision = 1;
        for step in &steps {
            act(&mut world, step, &mut revision)?;
        }
        // Some percentages allow nothing at all for small counts; a fair world is one where they do.
        if world.service().maximum() <= world.service().minimum_healthy() {
            world.change_service(|service| service.maximum_percent = 200);
        }
        for _ in 0..40 {
            decide(&mut world)?;
            world.run_all();
            decide(&mut world)?;
            world.probe(None, TargetHealthState::Healthy);
            decide(&mut world)?;
            world.stop_all();
            world.pass(Duration::from_secs(60));
        }
        let service = world.service();
        prop_assert!(service.steady, "{:?}\n{}", service.deployments, world.events());
        prop_assert_eq!(world.wanted().len(), service.desired_count as usize);
        prop_assert_eq!(service.deployments.len(), 1);
        prop_assert!(world.tasks().iter().all(|task| !task.is_stopped() || task.accounted));
    }
}
