use std::time::Duration;

use gantry_domain::elb::{Target, TargetHealthState};
use gantry_domain::service::{DeploymentStatus, RolloutState, ServiceStatus};
use gantry_domain::task::{DesiredStatus, StopCode, TaskStatus};
use gantry_types::Value;

use super::world::World;
use crate::{Note, Policy, Unplaced};

const SECOND: Duration = Duration::from_secs(1);

fn check(world: &mut World, expected: &str) {
    let expected: String = expected.trim().lines().map(|line| format!("{}\n", line.trim())).collect();
    assert_eq!(world.events(), expected);
    world.forget_events();
}

/// A service of `count` tasks without a load balancer, in its steady state.
fn steady(count: u32, minimum: u32, maximum: u32) -> World {
    let mut world = World::new(count, minimum, maximum);
    world.settle();
    world.run_all();
    world.pass(Policy::HEALTHY_AFTER);
    world.settle();
    assert!(world.service().steady, "{}", world.events());
    world.forget_events();
    world
}

/// The same behind a target group.
fn serving(count: u32) -> World {
    let mut world = World::new(count, 100, 200).with_target_group();
    world.settle();
    world.run_all();
    world.settle();
    world.probe(None, TargetHealthState::Healthy);
    world.settle();
    assert!(world.service().steady, "{}", world.events());
    world.forget_events();
    world
}

#[test]
fn a_service_comes_up_and_is_steady() {
    let mut world = World::new(2, 100, 200);
    assert_eq!(world.settle(), 1);
    world.run_all();
    let plan = world.decide();
    assert_eq!((plan.changes.len(), plan.wake_at), (0, Some(world.now + Policy::HEALTHY_AFTER)));
    assert!(matches!(&plan.why[..], [Note::WaitingForHealth(tasks)] if tasks.len() == 2));
    world.pass(Policy::HEALTHY_AFTER);
    assert_eq!(world.settle(), 1);
    check(
        &mut world,
        "has started 2 tasks: (task T2) (task T1).
         (deployment ecs-svc/1) deployment completed.
         has reached a steady state.",
    );
    let service = world.service();
    assert_eq!(service.deployments[0].rollout_state, RolloutState::Completed);
    assert_eq!(service.deployments[0].rollout_state_reason, "ECS deployment ecs-svc/1 completed.");
    world.pass(SECOND * 3600);
    assert_eq!(world.settle(), 0);
    world.pass(SECOND * 5 * 3600);
    world.settle();
    check(&mut world, "has reached a steady state.");
}

#[test]
fn a_clock_that_jumps_back_makes_no_wait_longer_than_it_is() {
    let mut world = World::new(1, 100, 200);
    world.settle();
    world.run_all();
    world.now = world.now - SECOND * 3600;
    world.settle();
    world.pass(Policy::HEALTHY_AFTER);
    world.settle();
    assert!(world.service().steady, "{}", world.events());
}

#[test]
fn tasks_join_and_leave_their_target_group() {
    let mut world = World::new(1, 100, 200).with_target_group();
    world.settle();
    world.run_all();
    world.settle();
    let target = world.view.scan::<Target>("").next().expect("a target").cloned();
    assert_eq!((target.address.to_string(), target.port), ("10.0.0.1".to_owned(), 8000));
    assert!(!world.service().steady);
    world.probe(None, TargetHealthState::Healthy);
    world.settle();
    world.change_service(|service| service.desired_count = 0);
    world.settle();
    check(
        &mut world,
        "has started 1 tasks: (task T1).
         registered 1 targets in (target-group G)
         (deployment ecs-svc/1) deployment completed.
         has reached a steady state.
         has stopped 1 running tasks: (task T1).
         (service web, taskSet ecs-svc/1) has begun draining connections on 1 tasks.
         deregistered 1 targets in (target-group G)
         has reached a steady state.",
    );
    let task = &world.tasks()[0];
    assert_eq!(task.last_status, TaskStatus::Deactivating);
    assert_eq!(task.stopped_reason.as_deref(), Some("Scaling activity initiated by (deployment ecs-svc/1)"));
    let target = world.view.scan::<Target>("").next().expect("it drains").cloned();
    assert_eq!((target.draining_since, target.health.state), (Some(world.now), TargetHealthState::Draining));
}

#[test]
fn a_rolling_update_replaces_one_after_the_other() {
    let mut world = serving(2);
    world.deploy(2);
    world.settle();
    assert_eq!(world.wanted().len(), 4);
    world.run_all();
    world.settle();
    let new = world.wanted()[2..].to_vec();
    world.probe(Some(&new[0]), TargetHealthState::Healthy);
    world.settle();
    assert_eq!(world.wanted().len(), 3);
    world.probe(Some(&new[1]), TargetHealthState::Healthy);
    world.settle();
    let service = world.service();
    assert_eq!(service.deployments.len(), 1);
    assert_eq!(service.deployments[0].id.as_str(), "ecs-svc/2");
    assert!(world.wanted().iter().all(|task| task.task_definition.name() == "2"));
    check(
        &mut world,
        "has started 2 tasks: (task T3) (task T4).
         registered 2 targets in (target-group G)
         has stopped 1 running tasks: (task T2).
         (service web, taskSet ecs-svc/1) has begun draining connections on 1 tasks.
         deregistered 1 targets in (target-group G)
         has stopped 1 running tasks: (task T1).
         (service web, taskSet ecs-svc/1) has begun draining connections on 1 tasks.
         deregistered 1 targets in (target-group G)
         (deployment ecs-svc/2) deployment completed.
         has reached a steady state.",
    );
}

#[test]
fn a_task_that_a_user_stops_drains_while_its_replacement_starts() {
    let mut world = serving(1);
    world.pass(SECOND);
    let task = world.wanted()[0].clone();
    world.change_task(&task, |task| {
        task.desired_status = DesiredStatus::Stopped;
        task.stop_code = Some(StopCode::UserInitiated);
    });
    let plan = world.decide();
    world.commit(plan.changes);
    assert_eq!(world.tasks()[0].last_status, TaskStatus::Deactivating);
    assert_eq!(world.wanted().len(), 1, "the replacement is in the same commit");
    check(
        &mut world,
        "has started 1 tasks: (task T2).
         (service web, taskSet ecs-svc/1) has begun draining connections on 1 tasks.
         deregistered 1 targets in (target-group G)",
    );
    assert_eq!(world.service().deployments[0].failed_tasks, 0);
}

#[test]
fn an_unhealthy_task_is_replaced_first_and_stopped_then() {
    let mut world = serving(1);
    let bad = world.wanted()[0].clone();
    world.probe(Some(&bad), TargetHealthState::Unhealthy);
    world.settle();
    assert_eq!(world.wanted().len(), 2);
    world.run_all();
    world.settle();
    let good = world.wanted()[1].clone();
    world.probe(Some(&good), TargetHealthState::Healthy);
    world.settle();
    check(
        &mut world,
        "has started 1 tasks: (task T2). Amazon ECS replaced 1 tasks due to an unhealthy status.
         (task T1) (port 8000) is unhealthy in (target-group G) due to (reason Health checks failed with these codes: [502])
         registered 1 targets in (target-group G)
         has stopped 1 running tasks: (task T1).
         (service web, taskSet ecs-svc/1) has begun draining connections on 1 tasks.
         deregistered 1 targets in (target-group G)
         has reached a steady state.",
    );
    let reason = world.tasks()[0].stopped_reason.clone().expect("a reason");
    assert!(reason.starts_with("Task failed ELB health checks in (target-group arn:"), "{reason}");
}

#[test]
fn a_target_that_nobody_probes_is_told_and_not_churned() {
    let mut world = World::new(1, 100, 200).with_target_group();
    world.settle();
    world.run_all();
    world.settle();
    world.forget_events();
    world.probe(None, TargetHealthState::Unused);
    world.settle();
    check(
        &mut world,
        "(task T1) (port 8000) is unhealthy in (target-group G) due to (reason Target is in an Availability Zone that \
         is not enabled for the load balancer)",
    );
    world.pass(SECOND * 600);
    assert_eq!(world.settle(), 0);
    assert_eq!(world.tasks().len(), 1);
}

#[test]
fn without_health_checks_a_program_that_ends_at_once_is_no_healthy_task() {
    let mut world = World::new(1, 100, 200).with_target_group();
    for failures in 1..4 {
        world.settle();
        world.run_all();
        world.settle();
        world.probe(None, TargetHealthState::Unavailable);
        world.settle();
        let task = world.wanted().pop().expect("a task runs");
        assert!(task.times.healthy_at.is_none(), "nobody has looked at it");
        world.end(&task, StopCode::EssentialContainerExited);
        world.settle();
        assert_eq!(world.service().deployments[0].start_failures, failures);
        world.pass(Policy::BACKOFF_STARTED_MAX);
    }
    world.settle();
    world.run_all();
    world.settle();
    world.probe(None, TargetHealthState::Unavailable);
    world.pass(Policy::HEALTHY_AFTER);
    world.settle();
    assert!(world.service().steady, "{}", world.events());
}

#[test]
fn the_grace_period_holds_the_verdict_back() {
    let mut world = World::new(1, 100, 200).with_target_group();
    world.change_service(|service| service.health_check_grace = SECOND * 60);
    world.settle();
    world.run_all();
    world.settle();
    world.probe(None, TargetHealthState::Unhealthy);
    let plan = world.decide();
    let ends = world.tasks()[0].times.started_at.expect("it runs") + SECOND * 60;
    assert_eq!((plan.changes.len(), plan.wake_at), (0, Some(ends)));
    world.now = ends;
    world.settle();
    assert_eq!(world.wanted().len(), 2, "a replacement is started");
}

#[test]
fn tasks_that_never_run_are_started_ever_more_slowly() {
    let mut world = World::new(1, 100, 200);
    let mut waits = Vec::new();
    for _ in 0..13 {
        world.settle();
        let task = world.wanted().pop();
        if let Some(task) = task {
            world.end(&task, StopCode::TaskFailedToStart);
            world.settle();
        }
        if world.wanted().is_empty() {
            let until = world.decide().wake_at.expect("the back-off ends");
            waits.push(until.since(world.now).as_secs());
            world.now = until;
        }
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1620]);
    assert!(world.events().contains("is unable to consistently start tasks successfully."));
    // A new deployment begins anew.
    world.deploy(2);
    world.settle();
    assert_eq!(world.wanted().len(), 1);
    assert!(!world.decide().why.contains(&Note::CannotStartConsistently));
}

#[test]
fn tasks_that_fail_together_are_one_failure() {
    let mut world = World::new(20, 100, 200);
    world.settle();
    world.pass(SECOND);
    for task in world.wanted() {
        world.end(&task, StopCode::TaskFailedToStart);
        let plan = world.decide();
        world.commit(plan.changes);
    }
    let deployment = &world.service().deployments[0];
    assert_eq!(deployment.start_failures, 1, "{:?}", deployment);
    assert!(deployment.failed_tasks >= 20, "{:?}", deployment);
}

#[test]
fn a_task_that_was_healthy_is_replaced_at_once_however_often() {
    let mut world = steady(1, 100, 200);
    for _ in 0..20 {
        let task = world.wanted()[0].clone();
        world.end(&task, StopCode::EssentialContainerExited);
        world.settle();
        assert_eq!(world.wanted().len(), 1);
        world.run_all();
        world.pass(Policy::HEALTHY_AFTER);
        world.settle();
    }
    assert_eq!(world.service().deployments[0].start_failures, 0);
}

#[test]
fn a_program_that_ends_at_once_is_not_started_a_hundred_times_a_second() {
    let mut world = World::new(1, 100, 200);
    let from = world.now;
    for _ in 0..20 {
        world.settle();
        world.run_all();
        let task = world.wanted()[0].clone();
        world.end(&task, StopCode::EssentialContainerExited);
        world.settle();
        if world.wanted().is_empty() {
            world.now = world.decide().wake_at.expect("the back-off ends");
        }
    }
    let seconds = world.now.since(from).as_secs();
    assert!((130..200).contains(&seconds), "{seconds}");
}

#[test]
fn the_circuit_breaker_rolls_back_to_the_last_completed_deployment() {
    let mut world = steady(1, 100, 200);
    world.change_service(|service| {
        service.circuit_breaker.enable = true;
        service.circuit_breaker.rollback = true;
    });
    world.deploy(2);
    for _ in 0..3 {
        world.settle();
        world.now = world.decide().wake_at.unwrap_or(world.now);
        world.settle();
        let task = world.wanted()[1].clone();
        world.end(&task, StopCode::TaskFailedToStart);
    }
    world.settle();
    let service = world.service();
    assert_eq!((service.deployments.len(), service.deployments[0].id.as_str()), (1, "ecs-svc/1"));
    assert_eq!(service.deployments[0].status, DeploymentStatus::Primary);
    assert_eq!(world.wanted().len(), 1, "the old task served all the time");
    check(
        &mut world,
        "has started 1 tasks: (task T2).
         has started 1 tasks: (task T3).
         has started 1 tasks: (task T4).
         (deployment ecs-svc/2) deployment failed: tasks failed to start.
         rolling back to deployment ecs-svc/1.
         (deployment ecs-svc/1) deployment completed.
         has reached a steady state.",
    );
}

#[test]
fn without_a_rollback_a_failed_deployment_stalls() {
    let mut world = steady(1, 100, 200);
    world.change_service(|service| service.circuit_breaker.enable = true);
    world.deploy(2);
    for _ in 0..3 {
        world.settle();
        world.now = world.decide().wake_at.unwrap_or(world.now);
        world.settle();
        let task = world.wanted()[1].clone();
        world.end(&task, StopCode::TaskFailedToStart);
    }
    world.settle();
    world.pass(SECOND * 3600);
    world.settle();
    let service = world.service();
    assert_eq!(service.deployments[0].rollout_state, RolloutState::Failed);
    assert_eq!(
        service.deployments[0].rollout_state_reason,
        "ECS deployment circuit breaker: tasks failed to start."
    );
    assert_eq!((service.deployments.len(), world.wanted().len()), (2, 1));
}

#[test]
fn a_deleted_service_ends_when_its_last_task_has_stopped() {
    let mut world = steady(2, 100, 200);
    world.change_service(|service| service.status = ServiceStatus::Draining);
    world.settle();
    assert_eq!((world.wanted().len(), world.service().status), (0, ServiceStatus::Draining));
    world.stop_all();
    world.settle();
    assert_eq!(world.service().status, ServiceStatus::Inactive);
    assert!(world.tasks().iter().all(|task| task.is_stopped() && task.accounted));
}

#[test]
fn a_task_without_a_place_is_told_once_and_tried_again() {
    let mut world = World::new(1, 100, 200);
    let reason = "The closest matching (container-instance i) has insufficient CPU units available.";
    world.refusal = Some(Unplaced::Refused(reason.to_owned()));
    world.settle();
    let plan = world.decide();
    assert_eq!((plan.changes.len(), plan.wake_at), (0, Some(world.now + Policy::PLACE_AGAIN_AFTER)));
    check(
        &mut world,
        "was unable to place a task because no container instance met all of its requirements. \
         The closest matching (container-instance i) has insufficient CPU units available. \
         For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.",
    );
    world.refusal = Some(Unplaced::Waits);
    world.settle();
    assert_eq!(world.tasks()[0].last_status, TaskStatus::Provisioning);
    // A task that no node has is stopped by a word.
    world.change_service(|service| service.desired_count = 0);
    world.settle();
    assert!(world.tasks()[0].is_stopped());
}

#[test]
fn percentages_that_allow_nothing_are_told() {
    let mut world = steady(1, 100, 100);
    world.deploy(2);
    world.settle();
    check(
        &mut world,
        "was unable to stop or start tasks during a deployment because of the service deployment configuration. \
         Update the minimumHealthyPercent or maximumPercent value and try again.",
    );
}

#[test]
fn a_large_service_comes_up_in_several_commits() {
    let mut world = World::new(500, 100, 200).with_target_group();
    assert_eq!(world.settle(), 6);
    assert_eq!(world.wanted().len(), 500);
    world.run_all();
    world.settle();
    world.probe(None, TargetHealthState::Healthy);
    world.settle();
    assert!(world.service().steady);
    world.deploy(2);
    world.settle();
    world.run_all();
    world.settle();
    world.probe(None, TargetHealthState::Healthy);
    world.settle();
    assert_eq!((world.wanted().len(), world.service().deployments.len()), (500, 1));
}

#[test]
fn a_plan_that_is_full_starts_no_more_than_its_stops_make_room_for() {
    let mut world = World::new(40, 50, 100);
    world.settle();
    world.run_all();
    world.pass(Policy::HEALTHY_AFTER);
    world.settle();
    world.policy.operations_max = 64;
    world.deploy(2);
    for _ in 0..40 {
        let plan = world.decide();
        world.commit(plan.changes);
        assert!(world.wanted().len() <= 40);
        world.run_all();
        world.pass(SECOND);
    }
    assert!(world.service().steady, "{}", world.events());
}

#[test]
fn a_stop_of_a_healthy_task_relies_on_those_that_stay() {
    let mut world = steady(1, 100, 200);
    world.deploy(2);
    world.settle();
    world.run_all();
    world.pass(Policy::HEALTHY_AFTER);
    let plan = world.decide();
    // Meanwhile the new task ends: the plan that would stop the old one is void.
    let new = world.wanted()[1].clone();
    world.end(&new, StopCode::EssentialContainerExited);
    assert!(world.view.check(&plan.changes).is_err());
    world.settle();
    assert!(
        world.wanted().iter().any(|task| task.deployment.as_ref().is_some_and(|d| d.as_str() == "ecs-svc/1"))
    );
}

#[test]
fn only_the_last_hundred_events_are_kept() {
    let mut world = steady(1, 100, 200);
    for _ in 0..70 {
        let task = world.wanted()[0].clone();
        world.end(&task, StopCode::EssentialContainerExited);
        world.settle();
        world.run_all();
        world.pass(Policy::HEALTHY_AFTER);
        world.settle();
    }
    let events = world.view.events_of(&"r".into(), &"c".into(), &"web".into()).count();
    assert_eq!(events, 100);
}

#[test]
fn a_task_has_the_tags_that_its_service_propagates() {
    let tag = |key: &str, value: &str| Value::structure([("key", key.into()), ("value", value.into())]);
    let own = [tag("aws:ecs:clusterName", "c"), tag("aws:ecs:serviceName", "web")];
    for (propagated, managed, expected) in [
        (None, false, vec![]),
        (Some("NONE"), false, vec![]),
        (Some("SERVICE"), false, vec![tag("of", "service")]),
        (Some("TASK_DEFINITION"), false, vec![tag("of", "definition")]),
        (None, true, own.to_vec()),
        (Some("SERVICE"), true, [vec![tag("of", "service")], own.to_vec()].concat()),
    ] {
        let mut world = World::new(1, 100, 200);
        world.change_service(|service| {
            service.document.set("propagateTags", propagated);
            service.document.set("enableECSManagedTags", managed);
            service.document.set("tags", Value::List(vec![tag("of", "service")]));
        });
        world.change_definition(|definition| {
            definition.document.set("tags", Value::List(vec![tag("of", "definition")]));
        });
        world.settle();
        let tasks = world.tasks();
        let tags = tasks[0].document.get("tags").map(Value::as_list).unwrap_or_default();
        assert_eq!(tags, expected, "{propagated:?} {managed}");
    }
}
