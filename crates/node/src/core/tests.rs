//! Stories of one task, told as events and the effects that must follow.

use std::time::Duration;

use gantry_domain::assignment::{InterfaceSpec, StopOrder, TaskPhase, TaskReport, TaskSpec, VpcSpec};
use gantry_domain::network::Cidr;
use gantry_domain::task::{HealthStatus, StopCode};
use gantry_domain::task_definition::{
    ContainerDefinition, ContainerDependency, ContainerHealthCheck, DependencyCondition, LaunchType,
    NetworkMode,
};
use gantry_link::{TaskName, ToNode};
use gantry_types::{ContainerName, CpuUnits, Timestamp, arn};

use super::*;

fn container(name: &str) -> ContainerDefinition {
    ContainerDefinition {
        name: name.into(),
        image: "page".to_owned(),
        essential: true,
        cpu: CpuUnits(0),
        memory: None,
        memory_reservation: None,
        entry_point: None,
        command: None,
        environment: Default::default(),
        working_directory: None,
        user: None,
        hostname: None,
        port_mappings: vec![],
        health_check: None,
        stop_timeout: None,
        start_timeout: None,
        log: None,
        depends_on: vec![],
        mount_points: vec![],
        read_only_root: false,
        privileged: false,
        init_process: false,
        capabilities_add: vec![],
        capabilities_drop: vec![],
        ulimits: vec![],
        extra_hosts: vec![],
        dns_servers: vec![],
        dns_search_domains: vec![],
        docker_labels: Default::default(),
    }
}

fn after(
    mut definition: ContainerDefinition,
    on: &str,
    condition: DependencyCondition,
) -> ContainerDefinition {
    definition.depends_on.push(ContainerDependency { container: on.into(), condition });
    definition
}

fn spec(containers: Vec<ContainerDefinition>) -> TaskSpec {
    TaskSpec {
        region: "r".into(),
        cluster: "c".into(),
        task: "t".into(),
        arn: arn("ecs", "r", "task/c/t"),
        task_definition: arn("ecs", "r", "task-definition/f:1"),
        family: "f".to_owned(),
        revision: 1,
        service: None,
        launch_type: LaunchType::Fargate,
        availability_zone: "a".into(),
        network_mode: NetworkMode::Awsvpc,
        interface: None,
        instance: None,
        cpu: None,
        memory: None,
        containers,
        volumes: vec![],
        role: None,
        key: None,
        shown: Default::default(),
    }
}

fn name() -> TaskName {
    TaskName { region: "r".into(), cluster: "c".into(), task: "t".into() }
}

/// Runs a story and writes down what was done, as short words.
struct World {
    state: State,
    now: Timestamp,
    report: Option<TaskReport>,
}

impl World {
    fn new() -> Self {
        Self { state: State::default(), now: Timestamp::from_millis(1000), report: None }
    }
    fn step(&mut self, event: Event) -> String {
        let effects = self.state.step(event, self.now);
        let mut words = Vec::new();
        for effect in effects {
            match effect {
                Effect::Persist(_) => words.push("persist".to_owned()),
                Effect::SetUpNetwork(_) => words.push("network".to_owned()),
                Effect::PrepareImage { container, .. } => words.push(format!("image {container}")),
                Effect::Start { container, .. } => words.push(format!("start {container}")),
                Effect::Signal { container, .. } => words.push(format!("signal {container}")),
                Effect::Kill { container, .. } => words.push(format!("kill {container}")),
                Effect::CheckHealth { container, .. } => words.push(format!("check {container}")),
                Effect::Report(report) => {
                    words.push(format!("{:?}", report.phase));
                    self.report = Some(*report);
                }
                Effect::Reported { .. } => words.push("reported".to_owned()),
                Effect::Clean(_) => words.push("clean".to_owned()),
                Effect::Vpc(_) => words.push("vpc".to_owned()),
                Effect::RemoveVpc(_) => words.push("remove vpc".to_owned()),
            }
        }
        words.join(", ")
    }
    fn run(&mut self, containers: Vec<ContainerDefinition>) -> String {
        self.step(Event::Control(ToNode::Run(Box::new(spec(containers)))))
    }
    fn image(&mut self, container: &str) -> String {
        let container = ContainerName::new(container);
        self.step(Event::ImageReady { task: name(), container, result: Ok("sha256:0".to_owned()) })
    }
    fn started(&mut self, container: &str) -> String {
        let result = Ok(StartedContainer { runtime_id: format!("t-{container}"), at: self.now });
        self.step(Event::Started { task: name(), container: container.into(), result })
    }
    fn exited(&mut self, container: &str, code: i32) -> String {
        let exit = Exit { code: Some(code), out_of_memory: false, reason: None, at: self.now };
        self.step(Event::Exited { task: name(), container: container.into(), exit })
    }
    fn stop(&mut self) -> String {
        let order = StopOrder { region: "r".into(), cluster: "c".into(), task: "t".into() };
        self.step(Event::Control(ToNode::Stop(order)))
    }
    fn forget(&mut self) -> String {
        self.step(Event::Control(ToNode::Forget(name())))
    }
    fn pass(&mut self, seconds: u64) -> String {
        self.now = self.now + Duration::from_secs(seconds);
        self.step(Event::Tick)
    }
}

#[test]
fn a_task_lives_and_is_stopped() {
    let mut world = World::new();
    assert_eq!(world.run(vec![container("web")]), "persist, image web, Preparing");
    assert_eq!(world.image("web"), "start web, Preparing");
    assert_eq!(world.started("web"), "persist, Running");
    assert_eq!(world.run(vec![container("web")]), "", "an order that is repeated changes nothing");
    assert_eq!(world.stop(), "persist, signal web, Stopping");
    assert_eq!(world.stop(), "");
    assert_eq!(world.exited("web", 0), "persist, Stopped");
    assert_eq!(world.report.as_ref().and_then(|report| report.stop.clone()), None, "it was told to");
    assert_eq!(world.forget(), "persist, clean");
    assert_eq!(world.run(vec![container("web")]), "", "a forgotten task is never run again");
}

#[test]
fn what_ignores_the_signal_is_killed_when_its_time_is_over() {
    let mut world = World::new();
    let mut web = container("web");
    web.stop_timeout = Some(Duration::from_secs(2));
    world.run(vec![web]);
    world.image("web");
    world.started("web");
    world.stop();
    assert_eq!(world.pass(1), "");
    assert_eq!(world.state.wake_at(), Some(world.now + Duration::from_secs(1)));
    assert_eq!(world.pass(1), "kill web");
    assert_eq!(world.exited("web", 137), "persist, Stopped");
}

#[test]
fn an_essential_container_takes_the_others_with_it() {
    let mut world = World::new();
    let mut side = container("side");
    side.essential = false;
    world.run(vec![container("web"), side]);
    world.image("web");
    world.image("side");
    world.started("web");
    assert_eq!(world.started("side"), "persist, Running");
    assert_eq!(world.exited("web", 1), "persist, signal side, Stopping");
    assert_eq!(world.exited("side", 0), "persist, Stopped");
    let stop = world.report.and_then(|report| report.stop).expect("a cause");
    assert_eq!(
        (stop.code, stop.reason.as_str()),
        (StopCode::EssentialContainerExited, "Essential container in task exited")
    );
}

#[test]
fn a_container_that_may_end_does_not_end_the_task() {
    let mut world = World::new();
    let mut side = container("side");
    side.essential = false;
    world.run(vec![container("web"), side]);
    world.image("web");
    world.image("side");
    world.started("web");
    world.started("side");
    assert_eq!(world.exited("side", 0), "persist, Running");
}

#[test]
fn dependencies_order_the_start_and_reverse_the_stop() {
    let mut world = World::new();
    let mut migrate = container("migrate");
    migrate.essential = false;
    let web = after(container("web"), "migrate", DependencyCondition::Success);
    let proxy = after(container("proxy"), "web", DependencyCondition::Start);
    world.run(vec![migrate, web, proxy]);
    assert_eq!(world.image("proxy"), "Preparing");
    assert_eq!(world.image("web"), "Preparing");
    assert_eq!(world.image("migrate"), "start migrate, Preparing");
    assert_eq!(world.started("migrate"), "Preparing");
    assert_eq!(world.exited("migrate", 0), "persist, start web, Preparing");
    assert_eq!(world.started("web"), "start proxy, Preparing");
    assert_eq!(world.started("proxy"), "persist, Running");
    assert_eq!(world.stop(), "persist, signal proxy, Stopping");
    assert_eq!(world.exited("proxy", 0), "persist, signal web, Stopping");
    assert_eq!(world.exited("web", 0), "persist, Stopped");
}

#[test]
fn a_dependency_that_failed_fails_the_task() {
    let mut world = World::new();
    let mut migrate = container("migrate");
    migrate.essential = false;
    world.run(vec![migrate, after(container("web"), "migrate", DependencyCondition::Success)]);
    world.image("migrate");
    world.image("web");
    world.started("migrate");
    assert_eq!(world.exited("migrate", 1), "persist, Stopped");
    assert_eq!(
        world.report.and_then(|report| report.stop).map(|stop| stop.code),
        Some(StopCode::TaskFailedToStart)
    );
}

/// A story of two containers: `first`, which is not essential, and `second`, which depends on it. Words: `run` starts the first,
/// `+`/`-` are its health checks' outcomes, a number its exit code, `Ns` passes N seconds. Says what was done last.
fn depends(
    condition: DependencyCondition,
    start_timeout_s: Option<u64>,
    essential: bool,
    story: &str,
) -> String {
    let mut world = World::new();
    let mut first = container("first");
    first.essential = false;
    first.start_timeout = start_timeout_s.map(Duration::from_secs);
    if condition == DependencyCondition::Healthy {
        first.health_check = Some(ContainerHealthCheck {
            command: vec!["CMD".to_owned(), "/check".to_owned()],
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            retries: 2,
            start_period: Duration::ZERO,
        });
    }
    let mut second = after(container("second"), "first", condition);
    second.essential = essential;
    world.run(vec![first, second, container("web")]);
    ["first", "second", "web"].iter().for_each(|container| drop(world.image(container)));
    world.started("web");
    let mut last = String::new();
    for word in story.split(' ') {
        last = match word {
            "run" => world.started("first"),
            "+" | "-" => {
                world.pass(10);
                let outcome = if word == "+" { HealthOutcome::Passed } else { HealthOutcome::Failed };
                world.step(Event::HealthChecked { task: name(), container: "first".into(), outcome })
            }
            word => match word.strip_suffix('s') {
                Some(seconds) => world.pass(seconds.parse().expect("seconds")),
                None => world.exited("first", word.parse().expect("a code")),
            },
        };
    }
    last
}

#[test]
fn a_dependency_is_met_or_given_up_as_its_condition_says() {
    use DependencyCondition::{Complete, Healthy, Start, Success};
    const GIVEN_UP: &str = "persist, signal first, signal web, Stopping";
    for (condition, start_timeout_s, story, expected) in [
        (Start, None, "run", "start second, Preparing"),
        (Complete, None, "run", "Preparing"),
        (Complete, None, "run 1", "persist, start second, Preparing"),
        (Success, None, "run 0", "persist, start second, Preparing"),
        (Success, None, "run 1", "persist, signal web, Stopping"),
        (Healthy, None, "run +", "start second, Preparing"),
        (Healthy, None, "run -", ""),
        (Healthy, None, "run - -", GIVEN_UP),
        (Healthy, None, "run 0", "persist, signal web, Stopping"),
        // The wait is as long as the container on which it depends says, from its start on.
        (Complete, None, "run 100000s", ""),
        (Complete, Some(30), "100s", ""),
        (Complete, Some(30), "run 29s", ""),
        (Complete, Some(30), "run 30s", GIVEN_UP),
        (Success, Some(30), "run 30s", GIVEN_UP),
        (Start, Some(30), "100s", ""),
    ] {
        let found = depends(condition, start_timeout_s, true, story);
        assert_eq!(found, expected, "{condition} within {start_timeout_s:?} s: {story}");
    }
}

#[test]
fn a_container_that_is_not_essential_gives_up_alone() {
    assert_eq!(depends(DependencyCondition::Success, None, false, "run 1"), "persist, Running");
    // Who depends on it gives up too.
    let mut world = World::new();
    let (mut first, mut second) = (container("first"), container("second"));
    (first.essential, second.essential) = (false, false);
    let second = after(second, "first", DependencyCondition::Success);
    let third = after(container("third"), "second", DependencyCondition::Start);
    world.run(vec![third, second, first]);
    ["first", "second", "third"].iter().for_each(|container| drop(world.image(container)));
    world.started("first");
    assert_eq!(world.exited("first", 3), "persist, Stopped");
    let reason = "dependency on container second with condition START can not be met";
    assert_eq!(world.reason(), reason);
}

#[test]
fn a_stop_while_a_start_is_on_its_way_leaves_nothing_running() {
    let mut world = World::new();
    world.run(vec![container("web")]);
    world.image("web");
    assert_eq!(world.stop(), "persist, Stopping");
    assert_eq!(world.started("web"), "signal web, Stopping");
    assert_eq!(world.exited("web", 0), "persist, Stopped");
}

#[test]
fn an_image_that_is_missing_is_told() {
    let mut world = World::new();
    world.run(vec![container("web")]);
    let result = Err("pull access denied".to_owned());
    world.step(Event::ImageReady { task: name(), container: "web".into(), result });
    let report = world.report.expect("a report");
    assert_eq!(report.phase, TaskPhase::Stopped);
    assert_eq!(report.stop.expect("a cause").reason, "CannotPullContainerError: pull access denied");
}

#[test]
fn health_is_checked_and_told() {
    let mut world = World::new();
    let mut web = container("web");
    web.health_check = Some(ContainerHealthCheck {
        command: vec!["CMD".to_owned(), "/check".to_owned()],
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(5),
        retries: 1,
        start_period: Duration::ZERO,
    });
    world.run(vec![web]);
    world.image("web");
    world.started("web");
    assert_eq!(world.pass(10), "check web");
    assert_eq!(world.pass(10), "", "one check at a time");
    let checked = |outcome| Event::HealthChecked { task: name(), container: "web".into(), outcome };
    assert_eq!(world.step(checked(HealthOutcome::Passed)), "Running");
    assert_eq!(world.report.as_ref().map(|report| report.health), Some(HealthStatus::Healthy));
    world.pass(10);
    world.step(checked(HealthOutcome::Failed));
    assert_eq!(world.report.as_ref().map(|report| report.health), Some(HealthStatus::Unhealthy));
}

#[test]
fn what_waits_for_its_dependents_to_stop_is_neither_checked_nor_woken_for() {
    let mut world = World::new();
    let mut web = container("web");
    web.health_check = Some(ContainerHealthCheck {
        command: vec!["CMD".to_owned(), "/check".to_owned()],
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(5),
        retries: 1,
        start_period: Duration::ZERO,
    });
    let proxy = after(container("proxy"), "web", DependencyCondition::Start);
    world.run(vec![web, proxy]);
    world.image("web");
    world.image("proxy");
    world.started("web");
    world.started("proxy");
    assert_eq!(world.stop(), "persist, signal proxy, Stopping");
    assert_eq!(world.pass(20), "");
    assert_eq!(world.state.wake_at(), Some(world.now + Duration::from_secs(10)), "the proxy's SIGKILL");
}

#[test]
fn a_node_that_restarts_goes_on_where_it_was() {
    let mut world = World::new();
    world.run(vec![container("web"), container("side")]);
    world.image("web");
    world.image("side");
    world.started("web");
    let task = world.state.task(&name()).expect("it has the task").clone();
    let start = StartedContainer { runtime_id: "t-web".to_owned(), at: world.now };
    let containers = vec![Found::Running(start), Found::Nothing];
    world.state = State::restore(vec![Restored { task, containers }], vec![], world.now);
    assert_eq!(world.step(Event::Linked), "Preparing, reported");
    assert_eq!(world.step(Event::Tick), "image side");
    assert_eq!(world.image("side"), "start side");
    assert_eq!(world.started("side"), "persist, Running");
}

#[test]
fn what_control_does_not_have_is_removed() {
    let mut world = World::new();
    world.run(vec![container("web")]);
    world.image("web");
    world.started("web");
    let synced = Event::Control(ToNode::Synced { tasks: vec![], vpcs: vec![] });
    assert_eq!(world.step(synced), "persist, signal web, Stopping");
    assert_eq!(world.exited("web", 0), "persist, Stopped, clean");
}

fn vpc() -> VpcSpec {
    VpcSpec {
        region: "r".into(),
        vpc: "vpc-1".into(),
        cidr: Cidr::parse("10.0.0.0/16").expect("a range"),
        dns_address: [10, 0, 0, 2].into(),
        local_addresses: vec![],
        groups: Default::default(),
        members: vec![],
        names: Default::default(),
    }
}

fn interface() -> InterfaceSpec {
    InterfaceSpec {
        interface: "eni-1".into(),
        vpc: "vpc-1".into(),
        subnet: "subnet-1".into(),
        subnet_cidr: Cidr::parse("10.0.0.0/20").expect("a range"),
        address: [10, 0, 0, 4].into(),
        mac: "0a:00:0a:00:00:04".to_owned(),
        dns_address: [10, 0, 0, 2].into(),
        private_dns_name: "ip-10-0-0-4.ec2.internal".to_owned(),
    }
}

impl World {
    fn run_in_vpc(&mut self, containers: Vec<ContainerDefinition>) -> String {
        let spec = TaskSpec { interface: Some(interface()), ..spec(containers) };
        self.step(Event::Control(ToNode::Run(Box::new(spec))))
    }
    fn network(&mut self, result: Result<(), &str>) -> String {
        self.step(Event::NetworkReady { task: name(), result: result.map_err(str::to_owned) })
    }
    fn reason(&self) -> String {
        let stop = self.report.as_ref().and_then(|report| report.stop.clone());
        stop.map(|stop| stop.reason).unwrap_or_default()
    }
    /// The node was killed and starts again.
    fn restart(&mut self, containers: Vec<Found>, vpcs: Vec<VpcSpec>) -> String {
        let task = self.state.task(&name()).expect("it has the task").clone();
        self.state = State::restore(vec![Restored { task, containers }], vpcs, self.now);
        self.step(Event::Tick)
    }
    fn running(&self, container: &str) -> Found {
        Found::Running(StartedContainer { runtime_id: format!("t-{container}"), at: self.now })
    }
}

#[test]
fn the_network_waits_for_its_vpc_and_the_start_for_the_network() {
    let mut world = World::new();
    assert_eq!(world.run_in_vpc(vec![container("web")]), "persist, image web, Preparing");
    assert_eq!(world.image("web"), "Preparing");
    assert_eq!(world.step(Event::Control(ToNode::Vpc(Box::new(vpc())))), "vpc, network");
    assert_eq!(world.step(Event::Control(ToNode::Vpc(Box::new(vpc())))), "vpc", "once is enough");
    assert_eq!(world.network(Ok(())), "start web");
    assert_eq!(world.started("web"), "persist, Running");
}

#[test]
fn a_stop_while_the_vpc_is_not_there_ends_the_task_at_once() {
    let mut world = World::new();
    world.run_in_vpc(vec![container("web")]);
    assert_eq!(world.stop(), "persist, Stopped");
}

#[test]
fn a_vpc_that_never_comes_fails_the_task() {
    let mut world = World::new();
    world.run_in_vpc(vec![container("web")]);
    assert_eq!(world.state.wake_at(), Some(world.now + Duration::from_secs(60)));
    assert_eq!(world.pass(59), "");
    assert_eq!(world.pass(1), "persist, Stopped");
    assert_eq!(world.reason(), "ResourceInitializationError: vpc-1 was not made on this machine in time");
}

#[test]
fn a_network_that_fails_fails_the_task() {
    let mut world = World::new();
    world.step(Event::Control(ToNode::Vpc(Box::new(vpc()))));
    assert_eq!(world.run_in_vpc(vec![container("web")]), "persist, network, image web, Preparing");
    assert_eq!(world.network(Err("no link")), "persist, Stopped");
    assert_eq!(world.reason(), "ResourceInitializationError: no link");
}

#[test]
fn a_node_that_restarts_looks_after_the_network_without_stopping_what_runs() {
    let mut world = World::new();
    world.step(Event::Control(ToNode::Vpc(Box::new(vpc()))));
    world.run_in_vpc(vec![container("web")]);
    world.image("web");
    world.network(Ok(()));
    world.started("web");
    let found = vec![world.running("web")];
    assert_eq!(world.restart(found, vec![vpc()]), "network, Running");
    assert_eq!(world.network(Err("no link")), "");
    assert_eq!(world.exited("web", 0), "persist, Stopped");
}

#[test]
fn a_node_that_restarts_while_it_stops_a_task_signals_it_once() {
    let mut world = World::new();
    world.run(vec![container("web")]);
    world.image("web");
    world.started("web");
    assert_eq!(world.stop(), "persist, signal web, Stopping");
    world.pass(10);
    let found = vec![world.running("web")];
    assert_eq!(world.restart(found, vec![]), "Stopping");
    assert_eq!(world.pass(19), "");
    assert_eq!(world.pass(1), "kill web", "30 s after the first signal");
    let found = vec![world.running("web")];
    assert_eq!(world.restart(found, vec![]), "kill web, Stopping", "it outlived the first one");
    assert_eq!(world.exited("web", 137), "persist, Stopped");
}

#[test]
fn what_ended_or_failed_while_the_node_was_away_is_told() {
    let mut world = World::new();
    world.run(vec![container("web")]);
    world.image("web");
    world.started("web");
    let reason = Some("nobody saw its end".to_owned());
    let exit = Exit { code: None, out_of_memory: false, reason: reason.clone(), at: world.now };
    assert_eq!(world.restart(vec![Found::Exited(exit)], vec![]), "Stopped");
    assert_eq!(world.report.as_ref().and_then(|report| report.containers[0].reason.clone()), reason);

    let mut world = World::new();
    world.run(vec![container("web")]);
    world.image("web");
    assert_eq!(world.restart(vec![Found::FailedToStart("no such file".to_owned())], vec![]), "Stopped");
    assert_eq!(world.reason(), "CannotStartContainerError: no such file");
}
