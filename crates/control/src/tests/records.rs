//! Records to begin with: a VPC, a task definition, a load balancer and services behind it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use gantry_domain::Change;
use gantry_domain::elb::{
    Forward, HealthCheck, Listener, ListenerProtocol, LoadBalancer, LoadBalancerState, LoadBalancerSubnet,
    RuleAction, Scheme, TargetGroup, TargetProtocol, TargetType, WeightedTargetGroup,
};
use gantry_domain::network::{Cidr, SecurityGroup, Subnet, Vpc};
use gantry_domain::service::{
    AwsvpcConfiguration, CircuitBreaker, Deployment, DeploymentController, DeploymentStatus, RolloutState,
    SchedulingStrategy, Service, ServiceLoadBalancer, ServiceStatus,
};
use gantry_domain::task::{
    Container, ContainerStatus, DesiredStatus, HealthStatus, PlacementWish, Task, TaskStatus, TaskTimes,
};
use gantry_domain::task_definition::{
    ContainerDefinition, LaunchType, NetworkMode, TaskDefinition, TaskDefinitionStatus,
};
use gantry_types::{Arn, AvailabilityZone, CpuUnits, DeploymentId, MemoryMib, Region, Timestamp, Value, arn};

pub(super) fn region() -> Region {
    Region::new("us-east-1")
}

pub(super) fn group_arn(name: &str) -> Arn {
    arn("elasticloadbalancing", "us-east-1", &format!("targetgroup/{name}/0123456789abcdef"))
}

pub(super) fn balancer_arn() -> Arn {
    arn("elasticloadbalancing", "us-east-1", "loadbalancer/app/front/0123456789abcdef")
}

pub(super) fn definition_arn(revision: u32) -> Arn {
    arn("ecs", "us-east-1", &format!("task-definition/web:{revision}"))
}

/// The network, the load balancer without listeners, and one task definition.
pub(super) fn foundation(now: Timestamp) -> Vec<Change> {
    let subnet = |id: &str, zone: &str, cidr: &str| Subnet {
        region: region(),
        id: id.into(),
        vpc: "vpc-1".into(),
        cidr: Cidr::parse(cidr).expect("a range"),
        availability_zone: zone.into(),
        is_default: true,
        map_public_ip: true,
        document: Value::map(),
    };
    let balancer = LoadBalancer {
        region: region(),
        arn: balancer_arn(),
        name: "front".to_owned(),
        dns_name: "Front-1.us-east-1.elb.localhost".to_owned(),
        scheme: Scheme::InternetFacing,
        vpc: "vpc-1".into(),
        subnets: vec![LoadBalancerSubnet {
            subnet: "subnet-a".into(),
            availability_zone: "us-east-1a".into(),
            address: Ipv4Addr::new(172, 31, 0, 4),
        }],
        outside_address: None,
        security_groups: vec!["sg-1".into()],
        state: LoadBalancerState::Provisioning,
        state_reason: None,
        attributes: BTreeMap::new(),
        created_at: now,
        document: Value::map(),
    };
    vec![
        Change::create(Vpc {
            region: region(),
            id: "vpc-1".into(),
            cidr: Cidr::parse("172.31.0.0/16").expect("a range"),
            is_default: true,
            created_at: now,
            document: Value::map(),
        }),
        Change::create(subnet("subnet-a", "us-east-1a", "172.31.0.0/20")),
        Change::create(subnet("subnet-b", "us-east-1b", "172.31.16.0/20")),
        Change::create(SecurityGroup {
            region: region(),
            id: "sg-1".into(),
            name: "default".to_owned(),
            description: "default".to_owned(),
            vpc: "vpc-1".into(),
            ingress: vec![],
            egress: vec![],
            document: Value::map(),
        }),
        Change::create(definition(1, now)),
        Change::create(balancer),
    ]
}

pub(super) fn definition(revision: u32, now: Timestamp) -> TaskDefinition {
    TaskDefinition {
        region: region(),
        arn: definition_arn(revision),
        family: "web".into(),
        revision,
        status: TaskDefinitionStatus::Active,
        network_mode: NetworkMode::Awsvpc,
        requires_compatibilities: vec![LaunchType::Fargate],
        cpu: Some(CpuUnits(256)),
        memory: Some(MemoryMib(512)),
        containers: vec![container()],
        volumes: vec![],
        task_role: None,
        execution_role: None,
        registered_at: now,
        document: Value::map(),
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
        environment: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
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

/// A target group with a listener that forwards to it.
pub(super) fn target_group(name: &str, port: u16, now: Timestamp) -> Vec<Change> {
    let group = TargetGroup {
        region: region(),
        arn: group_arn(name),
        name: name.to_owned(),
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
        created_at: now,
        document: Value::map(),
    };
    let listener = Listener {
        arn: arn("elasticloadbalancing", "us-east-1", &format!("listener/app/front/0123456789abcdef/{name}")),
        load_balancer: balancer_arn(),
        protocol: ListenerProtocol::Http,
        port,
        default_actions: vec![RuleAction::Forward(Forward {
            target_groups: vec![WeightedTargetGroup { target_group: group_arn(name), weight: 1 }],
            stickiness: None,
        })],
        attributes: BTreeMap::new(),
        document: Value::map(),
    };
    vec![Change::create(group), Change::create(listener)]
}

pub(super) fn network() -> AwsvpcConfiguration {
    AwsvpcConfiguration {
        subnets: vec!["subnet-a".into(), "subnet-b".into()],
        security_groups: vec!["sg-1".into()],
        assign_public_ip: true,
    }
}

pub(super) fn deployment(number: u64, revision: u32, desired_count: u32, now: Timestamp) -> Deployment {
    Deployment {
        id: DeploymentId::new(format!("ecs-svc/{number}")),
        status: DeploymentStatus::Primary,
        task_definition: definition_arn(revision),
        launch_type: LaunchType::Fargate,
        network: Some(network()),
        desired_count,
        rollout_state: RolloutState::InProgress,
        rollout_state_reason: format!("ECS deployment ecs-svc/{number} in progress."),
        failed_tasks: 0,
        start_failures: 0,
        start_after: None,
        created_at: now,
        updated_at: now,
        document: Value::map(),
    }
}

/// A service, behind the target group of its own name if `balanced`.
pub(super) fn service(name: &str, desired_count: u32, balanced: bool, now: Timestamp) -> Service {
    let behind = ServiceLoadBalancer {
        target_group: group_arn(name),
        container_name: "app".into(),
        container_port: 8000,
    };
    Service {
        region: region(),
        cluster: "lab".into(),
        name: name.into(),
        arn: arn("ecs", "us-east-1", &format!("service/lab/{name}")),
        status: ServiceStatus::Active,
        scheduling: SchedulingStrategy::Replica,
        controller: DeploymentController::Ecs,
        desired_count,
        minimum_healthy_percent: 100,
        maximum_percent: 200,
        circuit_breaker: CircuitBreaker::default(),
        health_check_grace: Duration::ZERO,
        load_balancers: if balanced { vec![behind] } else { vec![] },
        deployments: vec![deployment(1, 1, desired_count, now)],
        placement_constraints: vec![],
        placement_strategy: vec![],
        steady: false,
        event_sequence: 0,
        told: BTreeMap::new(),
        created_at: now,
        deleted_at: None,
        document: Value::map(),
    }
}

/// A task as RunTask makes it.
pub(super) fn standalone(id: &str, overrides: Value, now: Timestamp) -> Task {
    let mut document = Value::map();
    document.set("overrides", overrides);
    Task {
        region: region(),
        cluster: "lab".into(),
        id: id.into(),
        arn: arn("ecs", "us-east-1", &format!("task/lab/{id}")),
        task_definition: definition_arn(1),
        group: "family:web".to_owned(),
        started_by: None,
        service: None,
        deployment: None,
        launch_type: LaunchType::Fargate,
        cpu: CpuUnits(256),
        memory: MemoryMib(512),
        wish: PlacementWish { network: Some(network()), ..PlacementWish::default() },
        node: None,
        container_instance: None,
        availability_zone: AvailabilityZone::default(),
        attachment: None,
        desired_status: DesiredStatus::Running,
        last_status: TaskStatus::Provisioning,
        health: HealthStatus::Unknown,
        stop_code: None,
        stopped_reason: None,
        containers: vec![Container {
            name: "app".into(),
            arn: arn("ecs", "us-east-1", &format!("container/lab/{id}/1")),
            image: "web".to_owned(),
            image_digest: None,
            runtime_id: None,
            last_status: ContainerStatus::Pending,
            exit_code: None,
            reason: None,
            health: HealthStatus::Unknown,
            network_bindings: Vec::new(),
        }],
        registrations: vec![],
        accounted: false,
        times: TaskTimes { created_at: now, ..TaskTimes::default() },
        version: 1,
        document,
    }
}
