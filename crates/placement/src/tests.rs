use std::collections::BTreeSet;

use gantry_domain::container_instance::{
    ContainerInstance, ContainerInstanceStatus, InstanceInterface, InstanceOrigin,
};
use gantry_domain::network::{Cidr, NetworkInterface, Subnet};
use gantry_domain::node::{Node, NodeState};
use gantry_domain::service::{AwsvpcConfiguration, PlacementConstraint, PlacementStrategy};
use gantry_domain::task::{DesiredStatus, HealthStatus, PlacementWish, Task, TaskStatus, TaskTimes};
use gantry_domain::task_definition::LaunchType;
use gantry_domain::{Change, Stored, View};
use gantry_types::{AvailabilityZone, CpuUnits, Ids, MemoryMib, Timestamp, Value, arn};
use proptest::prelude::*;

use crate::{Addresses, Capacity, Expression, Ports, Refusal, Site, place};

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
}
