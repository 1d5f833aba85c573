use std::collections::BTreeMap;
use std::time::Duration;

use gantry_domain::assignment::{InstanceSpec, TaskShown};
use gantry_domain::network::Cidr;
use gantry_domain::task_definition::{
    ContainerHealthCheck, LogConfiguration, PortMapping, TransportProtocol,
};
use gantry_types::{CpuUnits, MemoryMib};

use super::*;
use crate::core::{Exit, HealthMachine};

const TASK: &str = "0123456789abcdef0123456789abcdef";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_750_000_000_000 + seconds * 1000)
}

fn interface() -> InterfaceSpec {
    InterfaceSpec {
        interface: "eni-1".into(),
        vpc: "vpc-1".into(),
        subnet: "subnet-1".into(),
        subnet_cidr: Cidr::parse("10.0.16.0/20").unwrap(),
        address: [10, 0, 16, 4].into(),
        mac: "0a:00:0a:00:10:04".to_owned(),
        dns_address: [10, 0, 0, 2].into(),
        private_dns_name: "ip-10-0-16-4.eu-west-1.compute.internal".to_owned(),
    }
}

fn definition(name: &str) -> ContainerDefinition {
    let log = [("awslogs-group", "/web"), ("awslogs-stream-prefix", "p")];
    ContainerDefinition {
        name: name.into(),
        image: "page:1".to_owned(),
        essential: true,
        cpu: CpuUnits(64),
        memory: Some(MemoryMib(128)),
        memory_reservation: None,
        entry_point: None,
        command: None,
        environment: Default::default(),
        working_directory: None,
        user: None,
        hostname: None,
        port_mappings: vec![PortMapping {
            name: None,
            container_port: 8000,
            host_port: 32_768,
            protocol: TransportProtocol::Tcp,
        }],
        health_check: None,
        stop_timeout: None,
        start_timeout: None,
        log: Some(LogConfiguration {
            driver: "awslogs".to_owned(),
            options: log.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
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
        docker_labels: [("team".to_owned(), "shop".to_owned())].into(),
    }
}

fn shown(launch_type: LaunchType, network_mode: NetworkMode) -> Shown {
    let instance = InstanceSpec {
        arn: arn("ecs", "eu-west-1", "container-instance/c/i"),
        instance: "i-1".into(),
        interface: InterfaceSpec { address: [10, 0, 16, 9].into(), ..interface() },
    };
    let spec = TaskSpec {
        region: "eu-west-1".into(),
        cluster: "c".into(),
        task: TASK.into(),
        arn: arn("ecs", "eu-west-1", &format!("task/c/{TASK}")),
        task_definition: arn("ecs", "eu-west-1", "task-definition/page:7"),
        family: "page".to_owned(),
        revision: 7,
        service: Some("web".into()),
        launch_type,
        availability_zone: "eu-west-1a".into(),
        network_mode,
        interface: (network_mode == NetworkMode::Awsvpc).then(interface),
        instance: (launch_type == LaunchType::Ec2).then_some(instance),
        cpu: Some(CpuUnits(256)),
        memory: Some(MemoryMib(512)),
        containers: vec![definition("web")],
        volumes: vec![],
        role: None,
        key: None,
        shown: TaskShown {
            container_arns: [("web".into(), arn("ecs", "eu-west-1", "container/c/t/1"))].into(),
            tags: BTreeMap::from([("stage".to_owned(), "test".to_owned())]),
        },
    };
    let state = ContainerState {
        started_at: None,
        phase: ContainerPhase::Running,
        image_digest: Some("sha256:abc".to_owned()),
        runtime_id: Some("r".to_owned()),
        exit: None,
        reason: None,
        health: None,
    };
    let task = TaskState {
        spec,
        network: NetworkPhase::Ready,
        containers: vec![state],
        stopping: false,
        cause: None,
        forget: false,
        accepted_at: at(0),
        pull_started_at: Some(at(1)),
        pull_stopped_at: Some(at(2)),
        started_at: Some(at(3)),
        execution_stopped_at: None,
    };
    Shown { task, started: vec![Some(at(3))] }
}

fn fargate() -> Shown {
    shown(LaunchType::Fargate, NetworkMode::Awsvpc)
}

#[test]
fn a_container_on_fargate_is_told_as_by_aws() {
    let id = container_id(&TASK.into(), 0);
    let expected = json!({
        "DockerId": id,
        "Name": "web",
        "DockerName": "web",
        "Image": "page:1",
        "ImageID": "sha256:abc",
        "Labels": {
            "com.amazonaws.ecs.cluster": "arn:aws:ecs:eu-west-1:123456789012:cluster/c",
            "com.amazonaws.ecs.container-name": "web",
            "com.amazonaws.ecs.task-arn": format!("arn:aws:ecs:eu-west-1:123456789012:task/c/{TASK}"),
            "com.amazonaws.ecs.task-definition-family": "page",
            "com.amazonaws.ecs.task-definition-version": "7",
            "team": "shop",
        },
        "DesiredStatus": "RUNNING",
        "KnownStatus": "RUNNING",
        "Limits": {"CPU": 64, "Memory": 128},
        "CreatedAt": "2025-06-15T15:06:43.000Z",
        "StartedAt": "2025-06-15T15:06:43.000Z",
        "Type": "NORMAL",
        "LogDriver": "awslogs",
        "LogOptions": {
            "awslogs-group": "/web",
            "awslogs-stream-prefix": "p",
            "awslogs-stream": format!("p/web/{TASK}"),
        },
        "ContainerARN": "arn:aws:ecs:eu-west-1:123456789012:container/c/t/1",
        "Snapshotter": "overlayfs",
        "Networks": [{
            "NetworkMode": "awsvpc",
            "IPv4Addresses": ["10.0.16.4"],
            "AttachmentIndex": 0,
            "MACAddress": "0a:00:0a:00:10:04",
            "IPv4SubnetCIDRBlock": "10.0.16.0/20",
            "DomainNameServers": ["10.0.0.2"],
            "DomainNameSearchList": ["eu-west-1.compute.internal"],
            "PrivateDNSName": "ip-10-0-16-4.eu-west-1.compute.internal",
            "SubnetGatewayIpv4Address": "10.0.16.1/20",
        }],
    });
    assert_eq!(container(&fargate(), Part::Container(0), Version::V4), expected);

    // The versions before say less.
    let mut before = expected;
    let object = before.as_object_mut().unwrap();
    for later in ["LogDriver", "LogOptions", "ContainerARN", "Snapshotter"] {
        object.remove(later);
    }
    object["Networks"] = json!([{"NetworkMode": "awsvpc", "IPv4Addresses": ["10.0.16.4"]}]);
    for version in [Version::V2, Version::V3] {
        assert_eq!(container(&fargate(), Part::Container(0), version), before);
    }
}

#[test]
fn a_task_is_told_with_its_containers_and_the_one_that_holds_its_network() {
    let document = task(&fargate(), Version::V4, Tags::Shown);
    let members = [
        ("Cluster", json!("arn:aws:ecs:eu-west-1:123456789012:cluster/c")),
        ("TaskARN", json!(format!("arn:aws:ecs:eu-west-1:123456789012:task/c/{TASK}"))),
        ("Family", json!("page")),
        ("Revision", json!("7")),
        ("DesiredStatus", json!("RUNNING")),
        ("KnownStatus", json!("RUNNING")),
        ("Limits", json!({"CPU": 0.25, "Memory": 512})),
        ("PullStartedAt", json!("2025-06-15T15:06:41.000Z")),
        ("PullStoppedAt", json!("2025-06-15T15:06:42.000Z")),
        ("AvailabilityZone", json!("eu-west-1a")),
        ("LaunchType", json!("FARGATE")),
        ("ServiceName", json!("web")),
        ("VPCID", json!("vpc-1")),
        ("TaskTags", json!({"stage": "test"})),
    ];
    for (name, expected) in members {
        assert_eq!(document[name], expected, "{name}");
    }
    let pause = &document["Containers"][0];
    assert_eq!(pause["Name"], "~internal~ecs~pause");
    assert_eq!(
        (&pause["Type"], &pause["KnownStatus"]),
        (&json!("CNI_PAUSE"), &json!("RESOURCES_PROVISIONED"))
    );
    assert_eq!(pause["Networks"][0]["IPv4Addresses"], json!(["10.0.16.4"]));
    assert_eq!(document["Containers"][1]["Name"], "web");

    let before = task(&fargate(), Version::V2, Tags::Hidden);
    for later in ["LaunchType", "ServiceName", "VPCID", "TaskTags", "FaultInjectionEnabled"] {
        assert_eq!(before.get(later), None, "{later}");
    }
    assert_eq!(before["Containers"][0]["Name"], "~internal~ecs~pause");
}

#[test]
fn on_an_instance_names_are_dockers_and_ports_are_mapped() {
    let bridge = shown(LaunchType::Ec2, NetworkMode::Bridge);
    let document = task(&bridge, Version::V4, Tags::Hidden);
    assert_eq!((&document["Cluster"], &document["LaunchType"]), (&json!("c"), &json!("EC2")));
    let containers = document["Containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1, "nothing holds a network of the task's own");
    assert_eq!(containers[0]["DockerName"], "ecs-page-7-web-fedcba9876543210fedc");
    assert_eq!(
        containers[0]["Ports"],
        json!([{"ContainerPort": 8000, "Protocol": "tcp", "HostPort": 32768, "HostIp": "0.0.0.0"}])
    );
    let networks = json!([{"NetworkMode": "bridge", "IPv4Addresses": ["10.0.16.9"]}]);
    assert_eq!(containers[0]["Networks"], networks);
    let none = container(&shown(LaunchType::Ec2, NetworkMode::None), Part::Container(0), Version::V4);
    assert_eq!(none.get("Networks"), None);
}

#[test]
fn statuses_follow_the_life_of_a_task() {
    let check = |change: fn(&mut TaskState), expected: [&str; 4]| {
        let mut shown = fargate();
        change(&mut shown.task);
        let document = task(&shown, Version::V4, Tags::Hidden);
        let statuses = [
            &document["DesiredStatus"],
            &document["KnownStatus"],
            &document["Containers"][1]["KnownStatus"],
            &document["Containers"][0]["KnownStatus"],
        ];
        assert_eq!(statuses, expected);
    };
    check(
        |task| {
            task.started_at = None;
            task.pull_stopped_at = None;
            task.network = NetworkPhase::SettingUp;
            task.containers[0].phase = ContainerPhase::Pulling;
        },
        ["RUNNING", "NONE", "NONE", "CREATED"],
    );
    check(
        |task| {
            task.started_at = None;
            task.containers[0].phase = ContainerPhase::Pulled;
        },
        ["RUNNING", "PULLED", "PULLED", "RESOURCES_PROVISIONED"],
    );
    check(
        |task| {
            task.started_at = None;
            task.containers[0].phase = ContainerPhase::Starting;
        },
        ["RUNNING", "CREATED", "CREATED", "RESOURCES_PROVISIONED"],
    );
    check(
        |task| {
            task.stopping = true;
            task.containers[0].phase = ContainerPhase::Stopping { kill_at: at(60) };
        },
        ["STOPPED", "RUNNING", "RUNNING", "RESOURCES_PROVISIONED"],
    );
    check(
        |task| {
            task.stopping = true;
            task.containers[0].phase = ContainerPhase::Stopped;
        },
        ["STOPPED", "STOPPED", "STOPPED", "STOPPED"],
    );
}

#[test]
fn ends_and_health_are_told_where_there_are_any() {
    let mut shown = fargate();
    let end = Exit { code: Some(137), out_of_memory: true, reason: None, at: at(9) };
    let container = &mut shown.task.containers[0];
    container.phase = ContainerPhase::Stopped;
    container.exit = Some(end);
    let told = super::container(&shown, Part::Container(0), Version::V4);
    assert_eq!((&told["ExitCode"], &told["FinishedAt"]), (&json!(137), &json!("2025-06-15T15:06:49.000Z")));
    assert_eq!(told.get("Health"), None);
    let check = ContainerHealthCheck {
        command: vec!["CMD".to_owned(), "/check".to_owned()],
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        retries: 3,
        start_period: Duration::ZERO,
    };
    let mut health = HealthMachine::new(&check, at(0));
    shown.task.containers[0].health = Some(health.clone());
    let told = super::container(&shown, Part::Container(0), Version::V4);
    assert_eq!(told.get("Health"), None, "nothing is known yet");
    health.status = HealthStatus::Healthy;
    shown.task.containers[0].health = Some(health);
    let told = super::container(&shown, Part::Container(0), Version::V4);
    assert_eq!(told["Health"], json!({"status": "HEALTHY"}));
}

#[test]
fn every_part_of_a_task_is_found_by_its_id_and_no_other() {
    let spec = fargate().task.spec;
    for part in Part::all(&spec) {
        assert_eq!(Part::of(&spec, &part.id(&spec)), Some(part));
    }
    for id in ["", "..", TASK, "web", &container_id(&TASK.into(), 1), &container_id(&"other".into(), 0)] {
        assert_eq!(Part::of(&spec, id), None, "{id}");
    }
}
