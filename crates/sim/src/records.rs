//! Records as the API's calls make them.

use std::collections::BTreeMap;
use std::time::Duration;

use gantry_domain::Change;
use gantry_domain::elb::{
    Attributes, Forward, HealthCheck, Listener, ListenerProtocol, LoadBalancer, LoadBalancerState,
    RuleAction, Scheme, TargetGroup, TargetProtocol, TargetType, WeightedTargetGroup,
};
use gantry_domain::service::{
    CircuitBreaker, Cluster, Deployment, DeploymentController, DeploymentStatus, RolloutState,
    SchedulingStrategy, Service, ServiceLoadBalancer, ServiceStatus,
};
use gantry_domain::task::{
    Container, ContainerStatus, DesiredStatus, HealthStatus, PlacementWish, Task, TaskStatus, TaskTimes,
};
use gantry_domain::task_definition::{LaunchType, NetworkMode, TaskDefinition, TaskDefinitionStatus};
use gantry_link::TaskName;
use gantry_types::{
    Arn, AvailabilityZone, ClusterName, CpuUnits, DeploymentId, Ids, MemoryMib, Region, TaskId, Timestamp,
    Value, arn,
};

use crate::chance::Chance;
use crate::program::{PORT, REVISIONS, containers};
use crate::site::Site;

const REGION: &str = "us-east-1";
const ELB: &str = "elasticloadbalancing";
const BALANCER: &str = "app/front/0123456789abcdef";

pub(crate) fn region() -> Region {
    Region::new(REGION)
}
pub(crate) fn cluster() -> ClusterName {
    "lab".into()
}
/// Every task of the world is in one cluster.
pub(crate) fn task_name(task: &TaskId) -> TaskName {
    TaskName { region: region(), cluster: cluster(), task: task.clone() }
}
pub(crate) fn group_arn(name: &str) -> Arn {
    arn(ELB, REGION, &format!("targetgroup/{name}/0123456789abcdef"))
}
fn balancer_arn() -> Arn {
    arn(ELB, REGION, &format!("loadbalancer/{BALANCER}"))
}
pub(crate) fn definition_arn(revision: u32) -> Arn {
    arn("ecs", REGION, &format!("task-definition/app:{revision}"))
}
/// The revision behind a task definition's ARN.
pub(crate) fn revision_of(definition: &Arn) -> u32 {
    definition.as_str().rsplit_once(':').and_then(|(_, text)| text.parse().ok()).unwrap_or(0)
}

/// The networks, the cluster, the load balancer without listeners, and the task definitions.
pub(crate) fn foundation(subnet_prefix: u8, now: Timestamp) -> Vec<Change> {
    let mut changes = Site::Front.records(subnet_prefix, now);
    changes.extend(Site::Apart.records(subnet_prefix, now));
    changes.extend([
        Change::create(Cluster {
            region: region(),
            name: cluster(),
            arn: arn("ecs", REGION, "cluster/lab"),
            active: true,
            document: Value::map(),
        }),
        Change::create(LoadBalancer {
            region: region(),
            arn: balancer_arn(),
            name: "front".to_owned(),
            dns_name: "Front-1.us-east-1.elb.localhost".to_owned(),
            scheme: Scheme::Internal,
            vpc: Site::Front.vpc(),
            subnets: Site::Front.balancer_subnets(),
            outside_address: None,
            security_groups: vec![Site::Front.security_group().into()],
            state: LoadBalancerState::Provisioning,
            state_reason: None,
            attributes: Attributes::new(),
            created_at: now,
            document: Value::map(),
        }),
    ]);
    changes.extend((1..=REVISIONS).map(|revision| Change::create(definition(revision, now))));
    changes
}

fn definition(revision: u32, now: Timestamp) -> TaskDefinition {
    TaskDefinition {
        region: region(),
        arn: definition_arn(revision),
        family: "app".into(),
        revision,
        status: TaskDefinitionStatus::Active,
        network_mode: NetworkMode::Awsvpc,
        requires_compatibilities: vec![LaunchType::Fargate],
        cpu: Some(CpuUnits(256)),
        memory: Some(MemoryMib(512)),
        containers: containers(revision),
        volumes: vec![],
        task_role: None,
        execution_role: None,
        registered_at: now,
        document: Value::map(),
    }
}

/// A target group with a listener that forwards to it.
pub(crate) fn target_group(name: &str, port: u16, chance: &mut Chance, now: Timestamp) -> Vec<Change> {
    let delay = chance.pick(&["2", "15", "30", "60", "300"]).to_string();
    let group = TargetGroup {
        region: region(),
        arn: group_arn(name),
        name: name.to_owned(),
        protocol: TargetProtocol::Http,
        port: 80,
        vpc: Site::Front.vpc(),
        target_type: TargetType::Ip,
        health_check: HealthCheck {
            enabled: !chance.one_in(10),
            protocol: TargetProtocol::Http,
            port: None,
            path: "/".to_owned(),
            interval: Duration::from_secs(*chance.pick(&[10, 15, 30])),
            timeout: Duration::from_secs(5),
            healthy_threshold: *chance.pick(&[2, 3, 5]),
            unhealthy_threshold: *chance.pick(&[2, 3]),
            matcher: "200".to_owned(),
        },
        attributes: Attributes::from([("deregistration_delay.timeout_seconds".to_owned(), delay)]),
        created_at: now,
        document: Value::map(),
    };
    let forward = Forward {
        target_groups: vec![WeightedTargetGroup { target_group: group_arn(name), weight: 1 }],
        stickiness: None,
    };
    let listener = Listener {
        arn: arn(ELB, REGION, &format!("listener/{BALANCER}/{name}")),
        load_balancer: balancer_arn(),
        protocol: ListenerProtocol::Http,
        port,
        default_actions: vec![RuleAction::Forward(forward)],
        attributes: Attributes::new(),
        document: Value::map(),
    };
    vec![Change::create(group), Change::create(listener)]
}

/// A service as CreateService makes it, behind the target group of its own name if it has one.
pub(crate) fn service(
    name: &str,
    is_balanced: bool,
    site: Site,
    revision: u32,
    chance: &mut Chance,
    now: Timestamp,
) -> Service {
    let behind = ServiceLoadBalancer {
        target_group: group_arn(name),
        container_name: "app".into(),
        container_port: PORT,
    };
    let percents = [(100, 200), (100, 200), (100, 150), (50, 200), (50, 150), (50, 100), (0, 100)];
    let (minimum_healthy_percent, maximum_percent) = *chance.pick(&percents);
    let breaker = chance.below(6);
    let grace_s = *chance.pick(&[0, 0, 10, 60]);
    let mut service = Service {
        region: region(),
        cluster: cluster(),
        name: name.into(),
        arn: arn("ecs", REGION, &format!("service/lab/{name}")),
        status: ServiceStatus::Active,
        scheduling: SchedulingStrategy::Replica,
        controller: DeploymentController::Ecs,
        desired_count: *chance.pick(&[1, 1, 1, 2, 2, 3, 4]),
        minimum_healthy_percent,
        maximum_percent,
        circuit_breaker: CircuitBreaker { enable: breaker < 2, rollback: breaker == 0 },
        health_check_grace: if is_balanced { Duration::from_secs(grace_s) } else { Duration::ZERO },
        load_balancers: if is_balanced { vec![behind] } else { vec![] },
        deployments: vec![],
        placement_constraints: vec![],
        placement_strategy: vec![],
        steady: false,
        event_sequence: 0,
        told: BTreeMap::new(),
        created_at: now,
        deleted_at: None,
        document: Value::map(),
    };
    deploy(&mut service, site, revision, chance, now);
    service
}

/// Puts a new PRIMARY deployment in front of the others, as UpdateService does.
pub(crate) fn deploy(service: &mut Service, site: Site, revision: u32, chance: &mut Chance, now: Timestamp) {
    for older in &mut service.deployments {
        older.status = DeploymentStatus::Active;
        older.desired_count = 0;
    }
    let id = DeploymentId::new(format!("ecs-svc/{}", Ids::from_seed(chance.number()).digits(19)));
    let deployment = Deployment {
        rollout_state_reason: format!("ECS deployment {id} in progress."),
        id,
        status: DeploymentStatus::Primary,
        task_definition: definition_arn(revision),
        launch_type: LaunchType::Fargate,
        network: Some(site.configuration()),
        desired_count: service.desired_count,
        rollout_state: RolloutState::InProgress,
        failed_tasks: 0,
        start_failures: 0,
        start_after: None,
        created_at: now,
        updated_at: now,
        document: Value::map(),
    };
    service.deployments.insert(0, deployment);
    service.steady = false;
}

/// A task as RunTask makes it.
pub(crate) fn standalone(site: Site, revision: u32, chance: &mut Chance, now: Timestamp) -> Task {
    let id = TaskId::new(Ids::from_seed(chance.number()).hex(32));
    let container = |name: &gantry_types::ContainerName| Container {
        name: name.clone(),
        arn: arn("ecs", REGION, &format!("container/lab/{id}/{name}")),
        image: name.to_string(),
        image_digest: None,
        runtime_id: None,
        last_status: ContainerStatus::Pending,
        exit_code: None,
        reason: None,
        health: HealthStatus::Unknown,
        network_bindings: Vec::new(),
    };
    Task {
        region: region(),
        cluster: cluster(),
        arn: arn("ecs", REGION, &format!("task/lab/{id}")),
        task_definition: definition_arn(revision),
        group: "family:app".to_owned(),
        started_by: None,
        service: None,
        deployment: None,
        launch_type: LaunchType::Fargate,
        cpu: CpuUnits(256),
        memory: MemoryMib(512),
        wish: PlacementWish { network: Some(site.configuration()), ..PlacementWish::default() },
        node: None,
        container_instance: None,
        availability_zone: AvailabilityZone::default(),
        attachment: None,
        desired_status: DesiredStatus::Running,
        last_status: TaskStatus::Provisioning,
        health: HealthStatus::Unknown,
        stop_code: None,
        stopped_reason: None,
        containers: containers(revision).iter().map(|each| container(&each.name)).collect(),
        registrations: vec![],
        accounted: false,
        times: TaskTimes { created_at: now, ..TaskTimes::default() },
        version: 1,
        document: Value::map(),
        id,
    }
}
