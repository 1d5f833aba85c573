//! Tasks and VPCs as `control` would describe them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use gantry_domain::assignment::{InterfaceSpec, MemberSpec, SecurityGroupSpec, StopOrder, TaskSpec, VpcSpec};
use gantry_domain::network::{Cidr, IpProtocol, Peer, SecurityRule, mac_address};
use gantry_domain::task_definition::{
    ContainerDefinition, ContainerDependency, ContainerHealthCheck, DependencyCondition, LaunchType,
    LogConfiguration, NetworkMode,
};
use gantry_link::{LogSource, TaskName};
use gantry_types::{CpuUnits, MemoryMib, TaskId, Value, arn};

pub(crate) const REGION: &str = "us-east-1";
pub(crate) const CLUSTER: &str = "default";
pub(crate) const VPC: &str = "vpc-0000000000000000a";
const GROUP: &str = "sg-00000000000000001";

/// A container of the tests' image that runs these words.
pub(crate) fn container(name: &str, words: &[&str]) -> ContainerDefinition {
    ContainerDefinition {
        name: name.into(),
        image: "page".to_owned(),
        essential: true,
        cpu: CpuUnits(0),
        memory: None,
        memory_reservation: None,
        entry_point: None,
        command: Some(words.iter().map(|word| (*word).to_owned()).collect()),
        environment: BTreeMap::new(),
        working_directory: None,
        user: None,
        hostname: None,
        port_mappings: vec![],
        health_check: None,
        stop_timeout: None,
        start_timeout: None,
        log: Some(LogConfiguration {
            driver: "awslogs".to_owned(),
            options: [("awslogs-group", "/ecs/page"), ("awslogs-stream-prefix", "ecs")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        }),
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

pub(crate) fn health_check(words: &[&str], interval_ms: u64, retries: u32) -> ContainerHealthCheck {
    ContainerHealthCheck {
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        interval: Duration::from_millis(interval_ms),
        timeout: Duration::from_secs(5),
        retries,
        start_period: Duration::ZERO,
    }
}

pub(crate) fn after(
    mut definition: ContainerDefinition,
    on: &str,
    condition: DependencyCondition,
) -> ContainerDefinition {
    definition.depends_on.push(ContainerDependency { container: on.into(), condition });
    definition
}

/// A task with its interface: the number tells tasks of one test apart, and is the end of its address.
pub(crate) fn task(number: u8, containers: Vec<ContainerDefinition>) -> TaskSpec {
    let address = address(number);
    let task = TaskId::new(format!("{number:032x}"));
    TaskSpec {
        region: REGION.into(),
        cluster: CLUSTER.into(),
        arn: arn("ecs", REGION, &format!("task/{CLUSTER}/{task}")),
        task,
        task_definition: arn("ecs", REGION, "task-definition/page:1"),
        family: "page".to_owned(),
        revision: 1,
        service: None,
        launch_type: LaunchType::Fargate,
        availability_zone: "us-east-1a".into(),
        network_mode: NetworkMode::Awsvpc,
        interface: Some(InterfaceSpec {
            interface: interface_id(number).as_str().into(),
            vpc: VPC.into(),
            subnet: "subnet-00000000000000001".into(),
            subnet_cidr: Cidr::parse("172.31.0.0/20").unwrap(),
            address,
            mac: mac_address(address, 1),
            dns_address: [172, 31, 0, 2].into(),
            private_dns_name: format!("ip-172-31-1-{number}.ec2.internal"),
        }),
        instance: None,
        cpu: Some(CpuUnits(1024)),
        memory: Some(MemoryMib(512)),
        containers,
        volumes: vec![],
        role: None,
        key: None,
        shown: Default::default(),
    }
}

pub(crate) fn interface_id(number: u8) -> String {
    format!("eni-{number:017x}")
}

pub(crate) fn address(number: u8) -> Ipv4Addr {
    [172, 31, 1, number].into()
}

pub(crate) fn name_of(task: &TaskSpec) -> TaskName {
    TaskName { region: task.region.clone(), cluster: task.cluster.clone(), task: task.task.clone() }
}

pub(crate) fn stop_order(task: &TaskSpec) -> StopOrder {
    StopOrder { region: task.region.clone(), cluster: task.cluster.clone(), task: task.task.clone() }
}

pub(crate) fn source(task: &TaskSpec, container: &str) -> LogSource {
    LogSource { task: task.task.clone(), container: container.to_owned() }
}

/// The VPC with these tasks in a group that lets everything in from itself and everything out.
pub(crate) fn vpc(tasks: &[u8]) -> VpcSpec {
    let rule = |peer| SecurityRule {
        id: "sgr-00000000000000001".to_owned(),
        protocol: IpProtocol::All,
        from_port: -1,
        to_port: -1,
        peer,
        description: None,
        tags: Value::Null,
    };
    let anywhere = Peer::Cidr(Cidr::parse("0.0.0.0/0").unwrap());
    let group =
        SecurityGroupSpec { ingress: vec![rule(Peer::Group(GROUP.into()))], egress: vec![rule(anywhere)] };
    VpcSpec {
        region: REGION.into(),
        vpc: VPC.into(),
        cidr: Cidr::parse("172.31.0.0/16").unwrap(),
        dns_address: [172, 31, 0, 2].into(),
        local_addresses: vec![],
        groups: [(GROUP.into(), group)].into(),
        members: tasks
            .iter()
            .map(|number| MemberSpec {
                address: address(*number),
                interface: Some(interface_id(*number).as_str().into()),
                groups: vec![GROUP.into()],
                is_instance: false,
            })
            .collect(),
        names: [("page.elb.localhost".to_owned(), vec![[172, 31, 0, 200].into()])].into(),
    }
}
