use std::collections::BTreeSet;

use gantry_domain::container_instance::{
    ContainerInstance, ContainerInstanceStatus, InstanceInterface, InstanceOrigin,
};
use gantry_domain::network::{Cidr, NetworkInterface, Subnet, Vpc};
use gantry_domain::node::{Node, NodeState};
use gantry_domain::service::Cluster;
use gantry_domain::service::{AwsvpcConfiguration, PlacementConstraint, PlacementStrategy};
use gantry_domain::task::{
    Container, ContainerStatus, DesiredStatus, HealthStatus, PlacementWish, Task, TaskStatus, TaskTimes,
};
use gantry_domain::task_definition::{
    ContainerDefinition, LaunchType, NetworkMode, PortMapping, TaskDefinition, TaskDefinitionStatus,
    TransportProtocol,
};
use gantry_domain::{Change, Stored, View};
use gantry_types::{AvailabilityZone, CpuUnits, Ids, MemoryMib, Timestamp, Value, arn};
use proptest::prelude::*;

use crate::{Addresses, Capacity, Expression, Lending, Ports, Refusal, Site, lend, lending, place};

struct World {
    view: View,
    capacity: Capacity,
    addresses: Addresses,
    ports: Ports,
    ids: Ids,
    made: u32,
}

impl World {
    /// Nodes as `name cpu memory zone,zone`, each with a container instance of its name.
    fn new(nodes: &[&str], subnets: &[(&str, &str, &str)]) -> Self {
        let mut world = Self {
            view: View::default(),
            capacity: Capacity::default(),
            addresses: Addresses::default(),
            ports: Ports::default(),
            ids: Ids::from_seed(3),
            made: 0,
        };
        for node in nodes {
            let words: Vec<&str> = node.split(' ').collect();
            world.commit(vec![Change::create(Node {
                id: words[0].into(),
                cpu: CpuUnits(words[1].parse().expect("units")),
                memory: MemoryMib(words[2].parse().expect("MiB")),
                availability_zones: words.get(3).map_or(vec![], |z| z.split(',').map(Into::into).collect()),
                state: NodeState::Active,
                since: Timestamp::EPOCH,
                version: "1.2.10".to_owned(),
                document: Value::map(),
            })]);
            world.commit(vec![Change::create(instance(&words))]);
        }
        for (id, zone, cidr) in subnets {
            world.commit(vec![Change::create(Subnet {
                region: "r".into(),
                id: (*id).into(),
                vpc: "vpc-1".into(),
                cidr: Cidr::parse(cidr).expect("a range"),
                availability_zone: (*zone).into(),
                is_default: false,
                map_public_ip: false,
                document: Value::map(),
            })]);
        }
        world
    }

    fn commit(&mut self, changes: Vec<Change>) {
        assert_eq!(self.view.check(&changes), Ok(()));
        let keys: Vec<_> = changes.iter().map(|change| change.key.clone()).collect();
        let revision = self.view.revision() + 1;
        self.view.apply(changes, revision);
        for key in keys {
            if let Some(interface) = self.view.get::<NetworkInterface>(&key) {
                self.addresses.release(&interface.subnet, interface.address);
            }
            self.capacity.apply(&key, self.view.get::<Task>(&key).as_deref());
        }
    }

    fn task(&mut self, launch_type: LaunchType) -> Task {
        self.made += 1;
        Task {
            region: "r".into(),
            cluster: "c".into(),
            id: format!("t{}", self.made).into(),
            arn: arn("ecs", "r", "task/c/t"),
            task_definition: arn("ecs", "r", "task-definition/web:1"),
            group: "service:web".to_owned(),
            started_by: None,
            service: None,
            deployment: None,
            launch_type,
            cpu: CpuUnits(256),
            memory: MemoryMib(512),
            wish: PlacementWish::default(),
            node: None,
            container_instance: None,
            availability_zone: AvailabilityZone::default(),
            attachment: None,
            desired_status: DesiredStatus::Running,
            last_status: TaskStatus::Provisioning,
            health: HealthStatus::Unknown,
            stop_code: None,
            stopped_reason: None,
            containers: vec![],
            registrations: vec![],
            accounted: false,
            times: TaskTimes::default(),
            version: 1,
            document: Value::map(),
        }
    }

    fn place(&mut self, mut task: Task) -> Result<Task, Refusal> {
        let mut site = Site {
            view: &self.view,
            capacity: &self.capacity,
            addresses: &mut self.addresses,
            ports: &mut self.ports,
        };
        let changes = place(&mut task, &mut site, Timestamp::EPOCH, &mut self.ids)?;
        self.commit(changes.into_iter().chain([Change::create(task.clone())]).collect());
        assert_eq!(self.capacity, Capacity::scan(&self.view));
        Ok(task)
    }

    /// Places `count` tasks, and says where each went: `node/zone`.
    fn places(&mut self, count: usize, change: impl Fn(&mut Task)) -> String {
        let place = |world: &mut Self| {
            let mut task = world.task(LaunchType::Ec2);
            change(&mut task);
            match world.place(task) {
                Ok(task) => format!("{}/{}", task.node.expect("it was placed"), task.availability_zone),
                Err(refusal) => refusal.failure().to_owned(),
            }
        };
        (0..count).map(|_| place(self)).collect::<Vec<_>>().join(" ")
    }
}

/// A container instance on the node of the same name, in the node's first zone.
fn instance(words: &[&str]) -> ContainerInstance {
    let zone: AvailabilityZone =
        words.get(3).and_then(|zones| zones.split(',').next()).unwrap_or("ra").into();
    let attributes = [("stack", "prod"), ("ecs.availability-zone", zone.as_str())];
    ContainerInstance {
        region: "r".into(),
        cluster: "c".into(),
        id: words[0].into(),
        arn: arn("ecs", "r", &format!("container-instance/c/{}", words[0])),
        instance: words[0].into(),
        node: words[0].into(),
        origin: InstanceOrigin::Machine,
        status: ContainerInstanceStatus::Active,
        cpu: CpuUnits(words[1].parse().expect("units")),
        memory: MemoryMib(words[2].parse().expect("MiB")),
        interface: InstanceInterface {
            interface: "eni-1".into(),
            vpc: "vpc-1".into(),
            subnet: "subnet-a".into(),
            address: [10, 0, 0, 200].into(),
            mac: String::new(),
            security_groups: vec![],
        },
        attributes: attributes.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).into(),
        availability_zone: zone,
        registered_at: Timestamp::EPOCH,
        version: 1,
        document: Value::map(),
    }
}

const SUBNETS: [(&str, &str, &str); 2] =
    [("subnet-a", "ra", "10.0.0.0/24"), ("subnet-b", "rb", "10.0.1.0/24")];

fn in_subnets(subnets: &[&str]) -> Option<AwsvpcConfiguration> {
    Some(AwsvpcConfiguration {
        subnets: subnets.iter().map(|id| (*id).into()).collect(),
        security_groups: vec!["sg-1".into()],
        assign_public_ip: false,
    })
}

#[test]
fn fargate_spreads_over_zones_and_overcommits_one_machine() {
    let mut world = World::new(&["m 512 512"], &SUBNETS);
    let fargate = |task: &mut Task| {
        task.launch_type = LaunchType::Fargate;
        task.wish.network = in_subnets(&["subnet-a", "subnet-b"]);
    };
    assert_eq!(world.places(4, fargate), "m/ra m/rb m/ra m/rb");
    // What stops makes room in its zone before it has ended.
    let mut stopping = world.view.scan::<Task>("r/c/t1").next().expect("it exists").cloned();
    stopping.desired_status = DesiredStatus::Stopped;
    world.commit(vec![Change::put(stopping)]);
    assert_eq!(world.places(2, fargate), "m/ra m/ra");
}

#[test]
fn ec2_is_strict() {
    let mut world = World::new(&["m1 512 4096 ra", "m2 512 700 rb"], &[]);
    assert_eq!(world.places(4, |_| {}), "m1/ra m2/rb m1/ra RESOURCE:CPU");
    assert_eq!(world.places(1, |task| task.cpu = CpuUnits(0)), "m1/ra");
    let memory = world.places(9, |task| task.cpu = CpuUnits(0));
    assert!(memory.ends_with("RESOURCE:MEMORY"), "{memory}");
}

#[test]
fn strategies_are_tried_in_their_order() {
    let nodes = ["m1 2048 4096 ra", "m2 1024 4096 ra", "m3 1024 8192 rb"];
    let mut world = World::new(&nodes, &[]);
    let binpack = |task: &mut Task| task.wish.strategy = vec![PlacementStrategy::Binpack("cpu".to_owned())];
    assert_eq!(world.places(5, binpack), "m2/ra m2/ra m2/ra m2/ra m3/rb");
    let mut world = World::new(&nodes, &[]);
    let both = |task: &mut Task| {
        task.wish.strategy = vec![
            PlacementStrategy::Spread("attribute:ecs.availability-zone".to_owned()),
            PlacementStrategy::Binpack("memory".to_owned()),
        ];
    };
    assert_eq!(world.places(4, both), "m1/ra m3/rb m1/ra m3/rb");
    let mut world = World::new(&nodes, &[]);
    let distinct = |task: &mut Task| task.wish.constraints = vec![PlacementConstraint::DistinctInstance];
    assert_eq!(world.places(4, distinct), "m1/ra m3/rb m2/ra ATTRIBUTE");
    let mut world = World::new(&nodes, &[]);
    let member = |task: &mut Task| {
        task.wish.constraints =
            vec![PlacementConstraint::MemberOf("attribute:ecs.availability-zone == rb".into())];
    };
    assert_eq!(world.places(1, member), "m3/rb");
}

/// A definition in `bridge` mode unless said otherwise, one container per word: `host:container/protocol,..`.
fn define(world: &mut World, mode: NetworkMode, containers: &[&str]) {
    let mapping = |text: &str| {
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (host, container) = ports.split_once(':').expect("two ports");
        PortMapping {
            name: None,
            container_port: container.parse().expect("a port"),
            host_port: host.parse().expect("a port"),
            protocol: TransportProtocol::parse(protocol).expect("a protocol"),
        }
    };
    let container = |(index, ports): (usize, &&str)| ContainerDefinition {
        name: format!("c{index}").as_str().into(),
        port_mappings: ports.split(',').map(mapping).collect(),
        ..plain_container()
    };
    world.made += 1;
    let definition = TaskDefinition {
        region: "r".into(),
        arn: arn("ecs", "r", &format!("task-definition/web:{}", world.made)),
        family: "web".into(),
        revision: world.made,
        status: TaskDefinitionStatus::Active,
        network_mode: mode,
        requires_compatibilities: vec![],
        cpu: None,
        memory: None,
        containers: containers.iter().enumerate().map(container).collect(),
        volumes: vec![],
        task_role: None,
        execution_role: None,
        registered_at: Timestamp::EPOCH,
        document: Value::map(),
    };
    world.commit(vec![Change::create(definition)]);
}

/// A task of the definition that was made last, which takes nothing but ports.
fn task_with_ports(world: &mut World) -> Task {
    let definition = world.view.scan::<TaskDefinition>("").last().expect("it was made").cloned();
    let mut task = world.task(LaunchType::Ec2);
    task.task_definition = definition.arn;
    task.cpu = CpuUnits(0);
    task.memory = MemoryMib(0);
    task.containers = definition
        .containers
        .iter()
        .map(|each| Container {
            name: each.name.clone(),
            arn: arn("ecs", "r", "container/x"),
            image: each.image.clone(),
            image_digest: None,
            runtime_id: None,
            last_status: ContainerStatus::Pending,
            exit_code: None,
            reason: None,
            health: HealthStatus::Unknown,
            network_bindings: vec![],
        })
        .collect();
    task
}

/// Where a task of the last definition is placed, and with which ports.
fn place_with_ports(world: &mut World) -> String {
    let task = task_with_ports(world);
    match world.place(task) {
        Ok(task) => {
            let bindings = task.containers.iter().flat_map(|container| &container.network_bindings);
            let shown: Vec<String> = bindings
                .map(|each| format!("{}:{}/{}", each.host_port, each.container_port, each.protocol))
                .collect();
            format!("{} {}", task.node.expect("it was placed"), shown.join(","))
        }
        Err(refusal) => refusal.failure().to_owned(),
    }
}

#[test]
fn ports_are_bound_as_the_mode_says() {
    let cases: [(NetworkMode, &[&str], &[&str]); 8] = [
        (NetworkMode::Bridge, &["0:80"], &["m 32768:80/tcp", "m 32769:80/tcp"]),
        (NetworkMode::Bridge, &["0:80,0:81", "0:80"], &["m 32768:80/tcp,32769:81/tcp,32770:80/tcp"]),
        (NetworkMode::Bridge, &["8080:80"], &["m 8080:80/tcp", "RESOURCE:PORTS"]),
        // One number is two ports, TCP's and UDP's.
        (NetworkMode::Bridge, &["53:53,53:53/udp"], &["m 53:53/tcp,53:53/udp", "RESOURCE:PORTS"]),
        // A dynamic port does not stand in the way of one that is asked for by number.
        (NetworkMode::Bridge, &["0:80", "32768:81"], &["m 32769:80/tcp,32768:81/tcp"]),
        (NetworkMode::Host, &["8080:8080"], &["m 8080:8080/tcp", "RESOURCE:PORTS"]),
        (NetworkMode::Bridge, &["22:22"], &["RESOURCE:PORTS"]),
        (NetworkMode::Awsvpc, &["80:80"], &["m ", "m "]),
    ];
    for (mode, containers, expected) in cases {
        let mut world = World::new(&["m 512 512"], &[]);
        define(&mut world, mode, containers);
        let found: Vec<String> = expected.iter().map(|_| place_with_ports(&mut world)).collect();
        assert_eq!(found, expected, "{mode} {containers:?}");
    }
}

#[test]
fn a_port_that_is_held_here_is_free_there() {
    let mut world = World::new(&["m1 512 512 ra", "m2 512 512 rb"], &[]);
    define(&mut world, NetworkMode::Bridge, &["8080:80"]);
    let found: Vec<String> = (0..3).map(|_| place_with_ports(&mut world)).collect();
    assert_eq!(found, ["m1 8080:80/tcp", "m2 8080:80/tcp", "RESOURCE:PORTS"]);
    let task = task_with_ports(&mut world);
    let refusal = world.place(task).expect_err("every port is held");
    assert_eq!(
        refusal.event_reason(),
        "The closest matching (container-instance m1) is already using a port required by your task."
    );
}

#[test]
fn a_dynamic_port_is_used_again_as_late_as_possible() {
    let mut world = World::new(&["m 512 512"], &[]);
    define(&mut world, NetworkMode::Bridge, &["0:80"]);
    let mut seen = BTreeSet::new();
    for _ in 0..100 {
        let task = task_with_ports(&mut world);
        let mut task = world.place(task).expect("there is room");
        assert!(seen.insert(task.containers[0].network_bindings[0].host_port), "not so soon");
        task.last_status = TaskStatus::Stopped;
        world.commit(vec![Change::put(task)]);
    }
}

#[test]
fn a_task_stays_in_its_cluster_and_on_the_instance_that_was_named() {
    let mut world = World::new(&["m1 512 4096 ra", "m2 512 4096 rb"], &[]);
    assert_eq!(world.places(2, |task| task.wish.instance = Some("m2".into())), "m2/rb m2/rb");
    assert_eq!(world.places(1, |task| task.wish.instance = Some("m3".into())), "EMPTY CAPACITY PROVIDER");
    assert_eq!(world.places(1, |task| task.cluster = "other".into()), "EMPTY CAPACITY PROVIDER");
    let mut draining = world.view.scan::<ContainerInstance>("").next().expect("it exists").cloned();
    draining.status = ContainerInstanceStatus::Draining;
    world.commit(vec![Change::put(draining)]);
    assert_eq!(world.places(2, |task| task.cpu = CpuUnits(0)), "m2/rb m2/rb");
}

#[test]
fn a_cluster_without_instances_is_lent_the_machine() {
    let mut world = World::new(&["m 2048 4096"], &SUBNETS);
    let cluster = Cluster {
        region: "r".into(),
        name: "fresh".into(),
        arn: arn("ecs", "r", "cluster/fresh"),
        active: true,
        document: Value::map(),
    };
    world.commit(vec![Change::create(cluster.clone())]);
    let lent = |world: &World, name: &str| {
        matches!(lending(&world.view, &"r".into(), &name.into()), Lending::Possible(_))
    };
    assert!(!lent(&world, "fresh"), "there is no VPC that is the default one");
    world.commit(vec![Change::create(Vpc {
        region: "r".into(),
        id: "vpc-1".into(),
        cidr: Cidr::parse("10.0.0.0/16").expect("a range"),
        is_default: true,
        created_at: Timestamp::EPOCH,
        document: Value::map(),
    })]);
    assert!(lent(&world, "fresh") && !lent(&world, "c") && !lent(&world, "missing"));
    assert_eq!(world.places(1, |task| task.cluster = "fresh".into()), "EMPTY CAPACITY PROVIDER");
    let node = world.view.scan::<Node>("").next().expect("it exists").cloned();
    let (addresses, ids) = (&mut world.addresses, &mut world.ids);
    let (changes, taken) =
        lend(&world.view, &cluster, &node, addresses, Timestamp::EPOCH, ids).expect("there is a subnet");
    assert_eq!(taken.0, "subnet-a".into());
    world.commit(changes);
    assert!(!lent(&world, "fresh"));
    assert_eq!(world.places(1, |task| task.cluster = "fresh".into()), "m/ra");
}

#[test]
fn a_node_that_is_away_takes_nothing() {
    let mut world = World::new(&["m 512 512"], &SUBNETS);
    let mut node = world.view.scan::<Node>("").next().expect("it exists").cloned();
    node.state = NodeState::Disconnected;
    world.commit(vec![Change::put(node)]);
    assert_eq!(world.places(1, |_| {}), "AGENT");
    assert_eq!(World::new(&[], &[]).places(1, |_| {}), "EMPTY CAPACITY PROVIDER");
}

#[test]
fn a_subnet_is_gone_round_and_ends() {
    // 16 addresses, of which AWS keeps five.
    let mut world = World::new(&["m 512 512"], &[("subnet-a", "ra", "10.0.0.0/28")]);
    let fargate = |world: &mut World| {
        let mut task = world.task(LaunchType::Fargate);
        task.wish.network = in_subnets(&["subnet-a", "subnet-missing"]);
        world.place(task)
    };
    let mut addresses = BTreeSet::new();
    for _ in 0..11 {
        let task = fargate(&mut world).expect("there is room");
        addresses.insert(task.attachment.expect("awsvpc").address);
    }
    assert_eq!(addresses.len(), 11);
    assert_eq!(addresses.first().map(|a| a.octets()[3]), Some(4));
    assert_eq!(addresses.last().map(|a| a.octets()[3]), Some(14));
    let refusal = fargate(&mut world).expect_err("the subnet is full");
    assert_eq!(
        refusal.event_reason(),
        "Reason: RESOURCE:ENI. No address is left in subnet-a, subnet-missing."
    );
}

#[test]
fn an_address_is_used_again_as_late_as_possible() {
    let mut world = World::new(&["m 512 512"], &[("subnet-a", "ra", "10.0.0.0/28")]);
    let mut last = Vec::new();
    for _ in 0..22 {
        let mut task = world.task(LaunchType::Fargate);
        task.wish.network = in_subnets(&["subnet-a"]);
        let attachment = world.place(task).expect("there is room").attachment.expect("awsvpc");
        last.push(attachment.address);
        let interface = world.view.scan::<NetworkInterface>("").next().expect("one").cloned();
        world.commit(vec![Change { action: gantry_domain::Action::Delete, ..Change::put(interface) }]);
    }
    for window in last.windows(11) {
        assert_eq!(window.iter().collect::<BTreeSet<_>>().len(), 11);
    }
}

#[test]
fn queries_are_read_as_aws_reads_them() {
    let world = World::new(&["i-1 1024 1024 ra"], &[]);
    let node = world.view.scan::<Node>("").next().expect("it exists").cloned();
    let instance = world.view.scan::<ContainerInstance>("").next().expect("it exists").cloned();
    for (query, expected) in [
        ("attribute:stack == prod", "true"),
        ("attribute:stack equals prod and ec2InstanceId in [i-1, i-2]", "true"),
        ("attribute:stack != prod || attribute:ecs.availability-zone =~ r.*", "true"),
        ("not (attribute:stack exists)", "false"),
        ("attribute:other !exists", "true"),
        ("attribute:stack !in [dev,test]", "true"),
        ("attribute:stack =~ pro", "false"),
        ("agentVersion > 1.2.9", "true"),
        ("agentVersion<=1.2.9", "false"),
        ("runningTasksCount < 1 && agentConnected == true", "true"),
        ("task:group == service:web", "false"),
        ("registeredAt >= 1970-01-01", "true"),
        ("", "expected a subject but the expression ended"),
        ("attribute:stack", "expected an operator but the expression ended"),
        ("attribute:stack == ", "expected a value but the expression ended"),
        ("attribute:stack ~ prod", "expected an operator but found \"~\""),
        ("(attribute:stack == prod", "expected a closing parenthesis but the expression ended"),
        ("attribute:stack == prod prod", "expected and, or, or the end but found \"prod\""),
        ("attribute:stack =~ [", "expected a value but found \"[\""),
        ("name == x", "expected a subject but found \"name\""),
    ] {
        let found = match Expression::parse(query) {
            Ok(expression) => expression.holds(&instance, Some(&node), &world.capacity).to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{query}");
    }
    assert!(Expression::parse(&"(".repeat(1000)).is_err());
}

fn plain_container() -> ContainerDefinition {
    ContainerDefinition {
        name: "c".into(),
        image: "web:1".to_owned(),
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

proptest! {
    #[test]
    fn the_index_is_what_a_scan_counts(steps in proptest::collection::vec((0u8..4, 0u8..12), 1..80)) {
        let mut world = World::new(&["m1 4096 8192 ra", "m2 2048 8192 rb", "m3 2048 4096"], &SUBNETS);
        for (what, which) in steps {
            let key = world.view.scan::<Task>("").nth(which as usize).map(|task| task.key());
            match (what, key) {
                (0, _) | (_, None) => {
                    let mut task = world.task(if which % 2 == 0 { LaunchType::Ec2 } else { LaunchType::Fargate });
                    task.group = format!("service:{}", which % 3);
                    task.wish.network = if which % 3 == 0 { None } else { in_subnets(&["subnet-a", "subnet-b"]) };
                    let _ = world.place(task);
                }
                (1, Some(key)) => {
                    let mut task = world.view.get::<Task>(&key).expect("it exists").cloned();
                    task.desired_status = DesiredStatus::Stopped;
                    world.commit(vec![Change::put(task)]);
                }
                (2, Some(key)) => {
                    let mut task = world.view.get::<Task>(&key).expect("it exists").cloned();
                    task.last_status = TaskStatus::Stopped;
                    world.commit(vec![Change::put(task)]);
                }
                (_, Some(key)) => {
                    let revision = world.view.record(&key).map_or(0, |(revision, _)| revision);
                    world.commit(vec![Change::delete(key, revision)]);
                }
            }
            prop_assert_eq!(&world.capacity, &Capacity::scan(&world.view));
        }
    }

    #[test]
    fn no_query_makes_the_parser_panic(text in ".{0,60}") {
        let _ = Expression::parse(&text);
    }

    #[test]
    fn no_port_is_ever_given_twice(steps in proptest::collection::vec((0u8..6, 0usize..8), 1..60)) {
        let mut world = World::new(&["m1 4096 8192 ra", "m2 2048 8192 rb"], &[]);
        for (what, which) in steps {
            match what {
                0 => define(&mut world, NetworkMode::Bridge, &["0:80", "0:53/udp,0:53"]),
                1 => define(&mut world, NetworkMode::Bridge, &["8080:80,0:81"]),
                2 => define(&mut world, NetworkMode::Host, &["32770:32770", "32768:32768/udp"]),
                3 => {
                    let running = world.view.scan::<Task>("").filter(|task| !task.is_stopped()).nth(which);
                    if let Some(mut task) = running.map(|task| task.cloned()) {
                        task.last_status = TaskStatus::Stopped;
                        world.commit(vec![Change::put(task)]);
                    }
                }
                _ if world.view.scan::<TaskDefinition>("").next().is_some() => {
                    let task = task_with_ports(&mut world);
                    let _ = world.place(task);
                }
                _ => {}
            }
            let mut held = BTreeSet::new();
            for task in world.view.scan::<Task>("").filter(|task| !task.is_stopped()) {
                for each in task.containers.iter().flat_map(|container| &container.network_bindings) {
                    let port = (task.container_instance.clone(), each.protocol, each.host_port);
                    prop_assert!(each.host_port != 0 && held.insert(port.clone()), "{port:?} twice");
                }
            }
        }
    }
}
