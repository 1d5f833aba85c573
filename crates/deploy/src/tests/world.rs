//! A view with one service, and hands that do what placement, the node and the load balancer would.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use gantry_domain::elb::{
    HealthCheck, Target, TargetGroup, TargetHealth, TargetHealthReason, TargetHealthState, TargetProtocol,
    TargetType,
};
use gantry_domain::service::{
    CircuitBreaker, Deployment, DeploymentController, DeploymentStatus, RolloutState, SchedulingStrategy,
    Service, ServiceLoadBalancer, ServiceStatus,
};
use gantry_domain::task::{Attachment, DesiredStatus, StopCode, Task, TaskStatus};
use gantry_domain::task_definition::{
    ContainerDefinition, LaunchType, NetworkMode, TaskDefinition, TaskDefinitionStatus,
};
use gantry_domain::{Batch, Change, Key, View};
use gantry_types::{Arn, CpuUnits, DeploymentId, Ids, MemoryMib, Region, Timestamp, Value, arn};

use crate::{Plan, Policy, ServiceView, Unplaced, reconcile};

pub(super) struct World {
    pub(super) view: View,
    pub(super) now: Timestamp,
    pub(super) ids: Ids,
    pub(super) refusal: Option<Unplaced>,
    pub(super) policy: Policy,
    placed: u32,
}

pub(super) fn group() -> Arn {
    arn("elasticloadbalancing", "r", "targetgroup/web/0123456789abcdef")
}

pub(super) fn service_key() -> Key {
    Key::service(&Region::new("r"), &"c".into(), &"web".into())
}

impl World {
    pub(super) fn new(desired_count: u32, minimum: u32, maximum: u32) -> Self {
        let mut world = Self {
            view: View::default(),
            now: Timestamp::from_millis(1_700_000_000_000),
            ids: Ids::from_seed(1),
            refusal: None,
            policy: Policy::default(),
            placed: 0,
        };
        let service = Service {
            region: "r".into(),
            cluster: "c".into(),
            name: "web".into(),
            arn: arn("ecs", "r", "service/c/web"),
            status: ServiceStatus::Active,
            scheduling: SchedulingStrategy::Replica,
            controller: DeploymentController::Ecs,
            desired_count,
            minimum_healthy_percent: minimum,
            maximum_percent: maximum,
            circuit_breaker: CircuitBreaker::default(),
            health_check_grace: Duration::ZERO,
            load_balancers: vec![],
            deployments: vec![],
            placement_constraints: vec![],
            placement_strategy: vec![],
            steady: false,
            event_sequence: 0,
            told: BTreeMap::new(),
            created_at: world.now,
            deleted_at: None,
            document: Value::map(),
        };
        world.commit(vec![Change::create(service)]);
        world.deploy(1);
        world
    }

    pub(super) fn with_target_group(mut self) -> Self {
        let group = TargetGroup {
            region: "r".into(),
            arn: group(),
            name: "web".to_owned(),
            protocol: TargetProtocol::Http,
            port: 80,
            vpc: "vpc-1".into(),
            target_type: TargetType::Ip,
            health_check: HealthCheck {
                enabled: true,
                protocol: TargetProtocol::Http,
                port: None,
                path: "/".to_owned(),
                interval: Duration::from_secs(30),
                timeout: Duration::from_secs(5),
                healthy_threshold: 5,
                unhealthy_threshold: 2,
                matcher: "200".to_owned(),
            },
            attributes: BTreeMap::new(),
            created_at: self.now,
            document: Value::map(),
        };
        self.commit(vec![Change::create(group)]);
        self.change_service(|service| {
            service.load_balancers = vec![ServiceLoadBalancer {
                target_group: self::group(),
                container_name: "app".into(),
                container_port: 8000,
            }];
        });
        self
    }

    /// Puts a new PRIMARY deployment with a task definition of this revision, as UpdateService does.
    pub(super) fn deploy(&mut self, revision: u32) {
        self.pass(Duration::from_millis(1));
        let definition = TaskDefinition {
            region: "r".into(),
            arn: arn("ecs", "r", &format!("task-definition/web:{revision}")),
            family: "web".into(),
            revision,
            status: TaskDefinitionStatus::Active,
            network_mode: NetworkMode::Awsvpc,
            requires_compatibilities: vec![],
            cpu: Some(CpuUnits(256)),
            memory: Some(MemoryMib(512)),
            containers: vec![container()],
            volumes: vec![],
            task_role: None,
            execution_role: None,
            registered_at: self.now,
            document: Value::map(),
        };
        let task_definition = definition.arn.clone();
        self.commit(vec![Change::put(definition)]);
        let now = self.now;
        self.change_service(|service| {
            for each in &mut service.deployments {
                each.status = DeploymentStatus::Active;
                each.desired_count = 0;
            }
            let id = DeploymentId::new(format!("ecs-svc/{revision}"));
            let reason = format!("ECS deployment {id} in progress.");
            let deployment = Deployment {
                id,
                status: DeploymentStatus::Primary,
                task_definition,
                launch_type: LaunchType::Fargate,
                network: None,
                desired_count: service.desired_count,
                rollout_state: RolloutState::InProgress,
                rollout_state_reason: reason,
                failed_tasks: 0,
                start_failures: 0,
                start_after: None,
                created_at: now,
                updated_at: now,
                document: Value::map(),
            };
            service.deployments.insert(0, deployment);
        });
    }

    pub(super) fn commit(&mut self, changes: Vec<Change>) {
        assert_eq!(self.view.check(&changes), Ok(()));
        let revision = self.view.revision() + 1;
        self.view.apply(changes, revision);
    }

    pub(super) fn service(&self) -> Service {
        self.view.get::<Service>(&service_key()).expect("the service exists").cloned()
    }

    pub(super) fn change_service(&mut self, change: impl FnOnce(&mut Service)) {
        let mut service = self.service();
        change(&mut service);
        self.commit(vec![Change::put(service)]);
    }

    pub(super) fn change_definition(&mut self, change: impl FnOnce(&mut TaskDefinition)) {
        let found = self.view.scan::<TaskDefinition>("").last().expect("a task definition");
        let mut definition = found.cloned();
        let revision = found.revision;
        change(&mut definition);
        self.commit(vec![Change::update(definition, revision)]);
    }

    pub(super) fn tasks(&self) -> Vec<Task> {
        let mut tasks: Vec<Task> = self.view.scan::<Task>("").map(|task| task.cloned()).collect();
        tasks.sort_by(|a, b| (a.times.created_at, &a.id).cmp(&(b.times.created_at, &b.id)));
        tasks
    }

    pub(super) fn wanted(&self) -> Vec<Task> {
        self.tasks().into_iter().filter(Task::is_wanted).collect()
    }

    pub(super) fn decide(&mut self) -> Plan {
        let batch = Batch::default();
        let (placed, refusal) = (&mut self.placed, self.refusal.clone());
        let mut place = |task: &mut Task, _: &mut Ids| {
            if let Some(refusal) = refusal.clone() {
                return Err(refusal);
            }
            *placed += 1;
            task.node = Some("node".into());
            task.last_status = TaskStatus::Pending;
            task.availability_zone = ["ra", "rb"][*placed as usize % 2].into();
            task.attachment = Some(Attachment {
                id: "attachment".to_owned(),
                interface: "eni-1".into(),
                vpc: "vpc-1".into(),
                subnet: "subnet-1".into(),
                address: Ipv4Addr::from(0x0a00_0000 + *placed),
                mac: "0a:00:00:00:00:01".to_owned(),
                security_groups: vec![],
            });
            Ok(vec![])
        };
        let view = ServiceView::gather(&self.view, &batch, &service_key(), self.policy.clone())
            .expect("the service exists");
        reconcile(&view, &mut place, self.now, &mut self.ids)
    }

    /// Decides and commits until nothing is left to decide; says in how many commits.
    pub(super) fn settle(&mut self) -> usize {
        for commits in 0..50 {
            let plan = self.decide();
            assert!(plan.changes.len() <= self.policy.operations_max, "{} changes", plan.changes.len());
            if plan.changes.is_empty() {
                assert_eq!(self.decide().changes, [], "deciding again changes nothing");
                return commits;
            }
            self.commit(plan.changes);
        }
        panic!("the service does not settle: {:?}", self.events());
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    pub(super) fn change_task(&mut self, task: &Task, change: impl FnOnce(&mut Task)) {
        let key = Key::task(&task.region, &task.cluster, &task.id);
        let mut task = self.view.get::<Task>(&key).expect("the task exists").cloned();
        change(&mut task);
        self.commit(vec![Change::put(task)]);
    }

    /// The node got every wanted task to RUNNING.
    pub(super) fn run_all(&mut self) {
        let now = self.now;
        for task in self.wanted().iter().filter(|task| task.node.is_some() && task.times.started_at.is_none())
        {
            self.change_task(task, |task| {
                task.last_status = TaskStatus::Running;
                task.times.started_at = Some(now);
            });
        }
    }

    /// The node stopped every task that is to be stopped.
    pub(super) fn stop_all(&mut self) {
        let now = self.now;
        for task in
            self.tasks().iter().filter(|t| t.desired_status == DesiredStatus::Stopped && !t.is_stopped())
        {
            self.change_task(task, |task| {
                task.last_status = TaskStatus::Stopped;
                task.times.stopped_at = Some(now);
            });
        }
    }

    /// A task's container ended.
    pub(super) fn end(&mut self, task: &Task, code: StopCode) {
        self.pass(Duration::from_millis(1));
        let now = self.now;
        self.change_task(task, |task| {
            task.desired_status = DesiredStatus::Stopped;
            task.last_status = TaskStatus::Stopped;
            task.stop_code = Some(code);
            task.times.stopped_at = Some(now);
        });
    }

    /// The load balancer's verdict on every live target of one task, or of all.
    pub(super) fn probe(&mut self, task: Option<&Task>, state: TargetHealthState) {
        self.pass(Duration::from_millis(1));
        let targets: Vec<Target> = self.view.scan::<Target>("").map(|target| target.cloned()).collect();
        for target in targets.into_iter().filter(|target| target.draining_since.is_none()) {
            if task.is_none_or(|task| target.task.as_ref() == Some(&task.id)) {
                let health = match state {
                    TargetHealthState::Unhealthy => TargetHealth::because(
                        state,
                        TargetHealthReason::ResponseCodeMismatch,
                        "Health checks failed with these codes: [502]",
                    ),
                    TargetHealthState::Unused => TargetHealth::because(
                        state,
                        TargetHealthReason::NotInUse,
                        "Target is in an Availability Zone that is not enabled for the load balancer",
                    ),
                    _ => TargetHealth::new(state),
                };
                self.commit(vec![Change::put(Target { health, ..target })]);
            }
        }
    }

    /// The events since the last call of this kind, shortened: `(service web)`, ids and ARNs are replaced.
    pub(super) fn events(&self) -> String {
        let mut text = String::new();
        for event in self.view.events_of(&"r".into(), &"c".into(), &"web".into()) {
            let mut line = event.message.replace("(service web) ", "").replace(group().as_str(), "G");
            for (number, task) in self.tasks().iter().enumerate() {
                line = line.replace(task.id.as_str(), &format!("T{}", number + 1));
            }
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    pub(super) fn forget_events(&mut self) {
        let keys: Vec<Key> = self
            .view
            .events_of(&"r".into(), &"c".into(), &"web".into())
            .map(|e| Key::service_event(&e.region, &e.cluster, &e.service, e.sequence))
            .collect();
        let delete = |key| Change {
            key,
            expect: gantry_domain::Expect::Anything,
            action: gantry_domain::Action::Delete,
        };
        self.commit(keys.into_iter().map(delete).collect());
    }
}

fn container() -> ContainerDefinition {
    ContainerDefinition {
        name: "app".into(),
        image: "web".to_owned(),
        essential: true,
        cpu: CpuUnits(0),
        memory: None,
        memory_reservation: None,
        entry_point: None,
        command: None,
        environment: BTreeMap::new(),
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
        docker_labels: BTreeMap::new(),
    }
}
