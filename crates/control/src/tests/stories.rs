use std::time::Duration;

use gantry_domain::Change;
use gantry_domain::elb::{LoadBalancerState, Target, TargetHealthState};
use gantry_domain::network::NetworkInterface;
use gantry_domain::node::{Node, NodeState};
use gantry_domain::service::{DeploymentStatus, ServiceStatus};
use gantry_domain::task::{DesiredStatus, StopCode, Task, TaskStatus};
use gantry_types::Value;

use super::records;
use super::world::World;

const SECOND: Duration = Duration::from_secs(1);

/// One balanced service in its steady state.
pub(super) fn steady(desired_count: u32) -> World {
    let mut world = World::new();
    let now = world.now;
    world.put(records::target_group("web", 80, now));
    world.put(vec![Change::create(records::service("web", desired_count, true, now))]);
    world.until("steady", SECOND * 5, |world| world.service("web").steady);
    world
}

pub(super) fn roll(world: &mut World, number: u64, revision: u32) {
    let now = world.now;
    world.put(vec![Change::put(records::definition(revision, now))]);
    world.change_service("web", |service| {
        for each in &mut service.deployments {
            each.status = DeploymentStatus::Active;
        }
        service.deployments.insert(0, records::deployment(number, revision, service.desired_count, now));
    });
}

pub(super) fn stop_task(world: &mut World, task: &Task) {
    let now = world.now;
    world.change_task(task, |task| {
        task.desired_status = DesiredStatus::Stopped;
        task.stop_code = Some(StopCode::UserInitiated);
        task.stopped_reason = Some("Task stopped by user".to_owned());
        task.times.stopping_at = Some(now);
    });
}

/// Another task's target is healthy.
fn serves_without(world: &World, old: &Task) -> bool {
    let healthy = |target: &Target| {
        target.health.state == TargetHealthState::Healthy && target.task.as_ref() != Some(&old.id)
    };
    world.view.targets_of(&records::group_arn("web")).any(|target| healthy(&target))
}

fn message(world: &World) -> String {
    let events = world.view.events_of(&records::region(), &"lab".into(), &"web".into());
    events.map(|event| format!("{}\n", event.message)).collect()
}

#[test]
fn a_service_comes_up_behind_its_load_balancer() {
    let mut world = World::new();
    let now = world.now;
    world.until("the load balancer is active", SECOND, |world| {
        world
            .view
            .load_balancer(&records::balancer_arn())
            .is_some_and(|b| b.state == LoadBalancerState::Active)
    });
    world.put(records::target_group("web", 80, now));
    world.put(vec![Change::create(records::service("web", 2, true, now))]);
    let created = world.now;
    world.until("steady", SECOND * 5, |world| world.service("web").steady);
    assert!(world.now.since(created) < Duration::from_millis(60), "{:?}", world.now.since(created));
    let tasks = world.tasks();
    assert!(tasks.iter().all(|task| task.last_status == TaskStatus::Running));
    assert_eq!(tasks.iter().map(|task| task.availability_zone.as_str()).collect::<Vec<_>>().len(), 2);
    assert_ne!(tasks[0].availability_zone, tasks[1].availability_zone);
    let spec = world.node.specs.values().next().expect("the node runs it");
    let interface = spec.interface.as_ref().expect("awsvpc mode");
    assert_eq!(interface.dns_address.to_string(), "172.31.0.2");
    let [a, b, c, d] = interface.address.octets();
    assert_eq!(interface.private_dns_name, format!("ip-{a}-{b}-{c}-{d}.ec2.internal"));
    // Its tasks' interfaces and the load balancer's address.
    assert_eq!(world.node.vpcs.get(&"vpc-1".into()), Some(&3));
    let group = &world.lb.groups[&records::group_arn("web")];
    assert_eq!((group.promised, group.in_use, group.targets.len()), (true, true, 2));
    // Nothing more happens by itself.
    let commits = world.commits;
    world.pass(SECOND * 600);
    assert_eq!(world.commits, commits);
}

#[test]
fn the_node_stops_a_task_only_after_its_requests_have_ended() {
    let mut world = steady(1);
    world.lb.drains_after = SECOND * 3;
    let old = world.wanted("web")[0].clone();
    stop_task(&mut world, &old);
    let asked = world.now;
    world.until("a replacement serves", SECOND, |world| serves_without(world, &old));
    assert!(world.now.since(asked) < Duration::from_millis(60), "{:?}", world.now.since(asked));
    let status =
        |world: &World| world.tasks().iter().find(|task| task.id == old.id).map(|task| task.last_status);
    assert_eq!(status(&world), Some(TaskStatus::Deactivating));
    world.until("the old one is told to stop", SECOND * 5, |world| {
        status(world) == Some(TaskStatus::Stopping)
    });
    assert!(world.now.since(asked) >= SECOND * 3);
    world.until("it has stopped", SECOND, |world| status(world) == Some(TaskStatus::Stopped));
    world.pass(SECOND);
    assert!(world.node.tasks.keys().all(|key| !key.path.ends_with(old.id.as_str())), "the node forgot it");
    // The target drains for its whole delay, and its interface is gone.
    let draining = |world: &World| {
        world.view.scan::<Target>("").filter(|t| t.health.state == TargetHealthState::Draining).count()
    };
    assert_eq!((draining(&world), world.view.scan::<NetworkInterface>("").count()), (1, 1));
    world.pass(SECOND * 290);
    assert_eq!(draining(&world), 1);
    world.pass(SECOND * 10);
    assert_eq!(draining(&world), 0);
    world.pass(SECOND * 3700);
    assert_eq!(world.tasks().len(), 1, "an hour later it is not described any more");
}

#[test]
fn a_killed_container_is_replaced_at_once() {
    let mut world = steady(1);
    let old = world.wanted("web")[0].clone();
    world.kill_container(&old);
    let killed = world.now;
    world.until("a replacement serves", SECOND, |world| serves_without(world, &old));
    assert!(world.now.since(killed) < Duration::from_millis(60), "{:?}", world.now.since(killed));
    let old = world.tasks().into_iter().find(|task| task.id == old.id).expect("it stays describable");
    assert_eq!(old.stop_code, Some(StopCode::EssentialContainerExited));
    assert_eq!(old.stopped_reason.as_deref(), Some("Essential container in task exited"));
}

#[test]
fn a_rolling_update_serves_all_the_time() {
    let mut world = steady(3);
    roll(&mut world, 2, 2);
    world.until("one deployment", SECOND * 5, |world| {
        assert!(world.healthy("web") >= 3);
        let service = world.service("web");
        service.steady && service.deployments.len() == 1
    });
    assert!(world.wanted("web").iter().all(|task| task.task_definition == records::definition_arn(2)));
    assert!(message(&world).contains("(deployment ecs-svc/2) deployment completed."));
}

#[test]
fn a_deployment_that_cannot_start_leaves_the_old_one_serving() {
    let mut world = steady(1);
    world.node.cannot_start = Some(records::definition_arn(2));
    roll(&mut world, 2, 2);
    world.pass(SECOND * 20);
    assert_eq!(world.healthy("web"), 1);
    assert!(
        message(&world).contains("is unable to consistently start tasks successfully."),
        "{}",
        message(&world)
    );
    let failed = world.tasks().into_iter().find(Task::is_stopped).expect("one failed");
    assert_eq!(failed.stop_code, Some(StopCode::TaskFailedToStart));
    assert_eq!(failed.stopped_reason.as_deref(), Some("CannotPullContainerError: no such image"));
    roll(&mut world, 3, 3);
    world.until("the next deployment", SECOND * 5, |world| world.service("web").deployments.len() == 1);
}

#[test]
fn an_unhealthy_task_is_replaced() {
    let mut world = steady(1);
    let old = world.wanted("web")[0].clone();
    world.lb.always_unhealthy.insert(old.id.clone());
    world.lb_probes_again();
    world.until("it has stopped", SECOND * 2, |world| {
        world.tasks().iter().any(|task| task.id == old.id && task.is_stopped()) && world.healthy("web") == 1
    });
    assert!(message(&world).contains("Amazon ECS replaced 1 tasks due to an unhealthy status."));
}

#[test]
fn a_service_is_deleted() {
    let mut world = steady(2);
    let now = world.now;
    world.change_service("web", |service| {
        service.status = ServiceStatus::Draining;
        service.deleted_at = Some(now);
    });
    world.until("inactive", SECOND * 2, |world| world.service("web").status == ServiceStatus::Inactive);
    assert!(world.tasks().iter().all(Task::is_stopped));
    world.pass(SECOND * 3700);
    assert_eq!(world.view.scan::<gantry_domain::service::Service>("").count(), 0);
    assert_eq!(world.view.scan::<gantry_domain::service::ServiceEvent>("").count(), 0);
    assert_eq!(world.view.scan::<Target>("").count() + world.view.scan::<NetworkInterface>("").count(), 0);
}

#[test]
fn a_standalone_task_runs_with_its_overrides_and_is_stopped() {
    let mut world = World::new();
    let mut variable = Value::map();
    variable.set("name", "B");
    variable.set("value", "2");
    let mut container = Value::map();
    container.set("name", "app");
    container.set("command", vec!["serve", "--fast"]);
    container.set("environment", vec![variable]);
    let mut overrides = Value::map();
    overrides.set("containerOverrides", vec![container]);
    let task = records::standalone("0123", overrides, world.now);
    world.put(vec![Change::create(task.clone())]);
    world.until("it runs", SECOND, |world| world.tasks()[0].last_status == TaskStatus::Running);
    let spec = world.node.specs.values().next().expect("the node runs it");
    assert_eq!(spec.containers[0].command, Some(vec!["serve".to_owned(), "--fast".to_owned()]));
    assert_eq!(spec.containers[0].environment.len(), 2);
    stop_task(&mut world, &task);
    world.until("it has stopped", SECOND, |world| world.tasks()[0].is_stopped());
    let task = &world.tasks()[0];
    assert_eq!(task.stopped_reason.as_deref(), Some("Task stopped by user"));
    assert_eq!(world.view.scan::<NetworkInterface>("").count(), 0);
}

#[test]
fn a_node_that_is_away_for_a_moment_keeps_its_tasks() {
    let mut world = steady(2);
    let before = world.wanted("web");
    world.node_disconnects();
    world.pass(SECOND * 60);
    assert_eq!(world.view.scan::<Node>("").next().map(|node| node.state), Some(NodeState::Disconnected));
    world.node_returns();
    world.pass(SECOND * 60);
    assert_eq!(world.view.scan::<Node>("").next().map(|node| node.state), Some(NodeState::Active));
    let after = world.wanted("web");
    assert_eq!(
        after.iter().map(|t| &t.id).collect::<Vec<_>>(),
        before.iter().map(|t| &t.id).collect::<Vec<_>>()
    );
}

#[test]
fn a_lost_node_loses_its_tasks_and_stops_them_when_it_returns() {
    let mut world = steady(2);
    world.node_disconnects();
    world.pass(SECOND * 301);
    assert_eq!(world.view.scan::<Node>("").next().map(|node| node.state), Some(NodeState::Lost));
    let lost = world.tasks().into_iter().filter(Task::is_stopped).collect::<Vec<_>>();
    assert_eq!(lost.len(), 2);
    assert_eq!(lost[0].stop_code, Some(StopCode::InfrastructureHealth));
    // The replacements wait for a node.
    assert!(world.wanted("web").iter().all(|task| task.last_status == TaskStatus::Provisioning));
    world.node_returns();
    world.until("steady again", SECOND * 5, |world| world.service("web").steady && world.healthy("web") == 2);
    world.pass(SECOND);
    assert_eq!(world.node.tasks.len(), 2, "what was lost is stopped and forgotten");
}

#[test]
fn after_a_restart_of_the_machine_the_same_services_run_again() {
    let mut world = steady(2);
    world.reboot();
    world.until("steady again", SECOND * 5, |world| {
        world.tasks().iter().filter(|task| task.is_stopped()).count() == 2 && world.service("web").steady
    });
    let task = world.tasks().into_iter().find(Task::is_stopped).expect("two stopped");
    assert_eq!(task.stop_code, Some(StopCode::InfrastructureHealth));
}

#[test]
fn a_new_load_balancer_process_changes_no_verdict() {
    let mut world = steady(2);
    let events = message(&world);
    world.lb_restarts();
    world.pass(SECOND * 5);
    assert_eq!((world.healthy("web"), message(&world)), (2, events));
}

#[test]
fn many_services_cost_little() {
    let mut world = World::new();
    let now = world.now;
    for number in 0..20 {
        let name = format!("s{number}");
        world.put(records::target_group(&name, 8000 + number, now));
        world.put(vec![Change::create(records::service(&name, 5, true, now))]);
    }
    world.until("all are steady", SECOND * 10, |world| {
        (0..20).all(|n| world.service(&format!("s{n}")).steady)
    });
    let (steps, commits) = (world.steps, world.commits);
    let begin = std::time::Instant::now();
    world.pass(SECOND * 3600);
    let spent = begin.elapsed();
    assert_eq!(world.commits, commits);
    // The shell looks at the clock every second; a full pass is made every thirty.
    assert!(world.steps - steps < 4000, "{} steps in an idle hour", world.steps - steps);
    eprintln!("an idle hour of 20 services: {spent:?}, {} steps", world.steps - steps);
}
