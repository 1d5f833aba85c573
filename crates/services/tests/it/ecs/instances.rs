//! Container instances: describing and changing them, tasks on them, and instances as targets.

use gantry_domain::container_instance::ContainerInstance;
use gantry_domain::node::{Node, NodeState};
use gantry_domain::{Change, Key};
use gantry_placement::{Addresses, lend};
use gantry_types::{CpuUnits, Ids, MemoryMib, Timestamp, Value};
use serde_json::{Value as Json, json};

use super::{Fixture, with};
use crate::world::Answer as _;

const INVALID: &str = "InvalidParameterException";

fn node() -> Node {
    Node {
        id: "machine".into(),
        cpu: CpuUnits(2048),
        memory: MemoryMib(4096),
        availability_zones: vec![],
        state: NodeState::Active,
        since: Timestamp::EPOCH,
        version: "1.2.3".to_owned(),
        document: Value::map(),
    }
}

/// A cluster with the machine as its instance; its ARN and the id that EC2 would give it.
async fn with_instance() -> (Fixture, String, String) {
    let fixture = Fixture::new().await;
    let bridge = json!({
        "family": "bridge",
        "containerDefinitions": [{
            "name": "web", "image": "a", "memory": 1024, "cpu": 512,
            "portMappings": [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 53, "protocol": "udp"}],
        }],
    });
    fixture.world.ok("ecs RegisterTaskDefinition", bridge).await;
    let (changes, instance) = fixture.world.read(|view| {
        let cluster = view.cluster(&"us-east-1".into(), &"web".into()).expect("a cluster");
        let now = Timestamp::from_millis(1_750_000_000_000);
        let (changes, _) =
            lend(view, &cluster, &node(), &mut Addresses::default(), now, &mut Ids::from_seed(5))
                .expect("the default VPC has subnets");
        let mut view = view.clone();
        view.apply(changes.clone(), view.revision());
        let instance = view.scan::<ContainerInstance>("").next().expect("it was lent").cloned();
        (changes, instance)
    });
    fixture.world.commit(changes.into_iter().chain([Change::create(node())]).collect()).await;
    (fixture, instance.arn.to_string(), instance.instance.to_string())
}

async fn describe(fixture: &Fixture, arn: &str) -> Json {
    let input = json!({"cluster": "web", "containerInstances": [arn], "include": ["TAGS"]});
    let found = fixture.world.ok("ecs DescribeContainerInstances", input).await;
    assert_eq!(found["failures"], json!([]));
    found["containerInstances"][0].clone()
}

fn resource(instance: &Json, which: &str, name: &str) -> Json {
    let all = instance[which].list();
    let found = all.iter().find(|each| each["name"] == name).expect("a resource");
    if found["type"] == "STRINGSET" { found["stringSetValue"].clone() } else { found["integerValue"].clone() }
}

/// What the control loop does: places the task, whose ports follow from the definition.
async fn place(fixture: &Fixture, arn: &str, ports: &[u16]) {
    let id = arn.rsplit('/').next().expect("a task's id").to_owned();
    let (revision, mut task, instance) = fixture.world.read(|view| {
        let key = Key::task(&"us-east-1".into(), &"web".into(), &id.as_str().into());
        let task = view.get::<gantry_domain::task::Task>(&key).expect("a task");
        let instance = view.scan::<ContainerInstance>("").next().expect("an instance").cloned();
        (task.revision, task.cloned(), instance)
    });
    task.node = Some(instance.node);
    task.container_instance = Some(instance.id);
    task.containers[0].runtime_id = Some("c1".to_owned());
    task.containers[0].network_bindings = ports
        .iter()
        .map(|port| gantry_domain::task::NetworkBinding {
            container_port: 80,
            host_port: *port,
            protocol: gantry_domain::task_definition::TransportProtocol::Tcp,
        })
        .collect();
    fixture.world.commit(vec![Change::update(task, revision)]).await;
}

#[tokio::test]
async fn an_instance_is_described_as_aws_describes_one() {
    let (fixture, arn, instance) = with_instance().await;
    let world = &fixture.world;
    let listed = world.ok("ecs ListContainerInstances", json!({"cluster": "web"})).await;
    assert_eq!(listed["containerInstanceArns"], json!([arn]));
    let shown = describe(&fixture, &arn).await;
    for (member, expected) in [
        ("ec2InstanceId", json!(instance)),
        ("status", json!("ACTIVE")),
        ("agentConnected", json!(true)),
        ("runningTasksCount", json!(0)),
        ("pendingTasksCount", json!(0)),
        ("version", json!(1)),
        ("tags", json!([])),
    ] {
        assert_eq!(shown[member], expected, "{member}");
    }
    assert_eq!(shown["versionInfo"]["agentVersion"], "1.2.3");
    assert_eq!(resource(&shown, "registeredResources", "CPU"), 2048);
    assert_eq!(
        resource(&shown, "registeredResources", "PORTS"),
        json!(["22", "2375", "2376", "51678", "51679"])
    );
    assert_eq!(resource(&shown, "registeredResources", "PORTS_UDP"), json!([]));
    let attribute = |name: &str| {
        let all = shown["attributes"].list();
        all.iter().find(|each| each["name"] == name).map(|each| each["value"].clone())
    };
    assert_eq!(attribute("ecs.availability-zone"), Some(json!("us-east-1a")));
    assert_eq!(attribute("ecs.os-type"), Some(json!("linux")));
    assert!(attribute("ecs.instance-type").is_some());
    let clusters = world.ok("ecs DescribeClusters", json!({"clusters": ["web"]})).await;
    assert_eq!(clusters["clusters"][0]["registeredContainerInstancesCount"], 1);
    let filters = json!([{"Name": "attachment.instance-id", "Values": [instance]}]);
    let interfaces = world.ok("ec2 DescribeNetworkInterfaces", json!({"Filters": filters})).await;
    assert_eq!(interfaces["NetworkInterfaces"].list().len(), 1);
}

#[tokio::test]
async fn what_remains_follows_the_tasks() {
    let (fixture, arn, _) = with_instance().await;
    let run = json!({"cluster": "web", "taskDefinition": "bridge", "launchType": "EC2"});
    let answer = fixture.world.ok("ecs RunTask", run.clone()).await;
    assert_eq!(answer["failures"], json!([]));
    let task = answer["tasks"][0].clone();
    assert_eq!((&task["launchType"], &task["lastStatus"]), (&json!("EC2"), &json!("PROVISIONING")));
    assert_eq!(
        (&task["platformVersion"], &task["containers"][0]["networkBindings"]),
        (&Json::Null, &json!([]))
    );
    place(&fixture, &task["taskArn"].text(), &[8080]).await;
    let shown = describe(&fixture, &arn).await;
    assert_eq!(resource(&shown, "remainingResources", "CPU"), 1536);
    assert_eq!(resource(&shown, "remainingResources", "MEMORY"), 3072);
    let ports = resource(&shown, "remainingResources", "PORTS");
    assert!(ports.list().contains(&json!("8080")), "{ports}");
    assert_eq!(shown["pendingTasksCount"], 1);
    let input = json!({"cluster": "web", "tasks": [task["taskArn"]]});
    let task = fixture.world.ok("ecs DescribeTasks", input).await["tasks"][0].clone();
    assert_eq!(task["containerInstanceArn"], arn.as_str());
    assert_eq!(
        task["containers"][0]["networkBindings"],
        json!([{"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 8080, "protocol": "tcp"}])
    );
    let listed = |instance: &str| json!({"cluster": "web", "containerInstance": instance});
    let on_it = fixture.world.ok("ecs ListTasks", listed(&arn)).await;
    assert_eq!(on_it["taskArns"].list().len(), 1);
    assert_eq!(fixture.world.ok("ecs ListTasks", listed("none")).await["taskArns"], json!([]));
    // The static port is held: said at once, with the instance that came closest.
    let refused = fixture.world.ok("ecs RunTask", run).await;
    assert_eq!(refused["failures"], json!([{"arn": arn, "reason": "RESOURCE:PORTS"}]));
    assert_eq!(refused["tasks"], json!([]));
    let input = json!({"cluster": "web", "containerInstance": arn});
    fixture
        .world
        .refuses("ecs DeregisterContainerInstance", input, INVALID, "Found running tasks on the instance.")
        .await;
}

#[tokio::test]
async fn run_task_says_at_once_what_has_no_place() {
    let (fixture, arn, _) = with_instance().await;
    let cases = [(json!({"cpu": "4096"}), "RESOURCE:CPU"), (json!({"memory": "8192"}), "RESOURCE:MEMORY")];
    for (overrides, reason) in cases {
        let input = json!({"cluster": "web", "taskDefinition": "bridge", "launchType": "EC2", "overrides": overrides});
        let answer = fixture.world.ok("ecs RunTask", input).await;
        assert_eq!(answer["failures"], json!([{"arn": arn, "reason": reason}]), "{reason}");
    }
    let constrained = json!({
        "cluster": "web", "taskDefinition": "bridge", "launchType": "EC2", "count": 2,
        "placementConstraints": [{"type": "memberOf", "expression": "attribute:stack == prod"}],
    });
    let answer = fixture.world.ok("ecs RunTask", constrained.clone()).await;
    assert_eq!(answer["failures"], json!([{"arn": arn, "reason": "ATTRIBUTE"}]));
    let attributes = json!([{"name": "stack", "value": "prod", "targetId": arn}]);
    let put = json!({"cluster": "web", "attributes": attributes});
    assert_eq!(fixture.world.ok("ecs PutAttributes", put).await["attributes"], attributes);
    // Two tasks want one static port.
    let answer = fixture.world.ok("ecs RunTask", constrained).await;
    assert_eq!((answer["tasks"].list().len(), answer["failures"].list().len()), (1, 1));
}

#[tokio::test]
async fn an_instance_is_drained_and_given_back() {
    let (fixture, arn, _) = with_instance().await;
    let world = &fixture.world;
    let state = |status: &str| json!({"cluster": "web", "containerInstances": [arn], "status": status});
    let drained = world.ok("ecs UpdateContainerInstancesState", state("DRAINING")).await;
    assert_eq!(drained["containerInstances"][0]["status"], "DRAINING");
    let list = |status: &str| json!({"cluster": "web", "status": status});
    assert_eq!(
        world.ok("ecs ListContainerInstances", list("ACTIVE")).await["containerInstanceArns"],
        json!([])
    );
    let draining = world.ok("ecs ListContainerInstances", list("DRAINING")).await;
    assert_eq!(draining["containerInstanceArns"], json!([arn]));
    world
        .refuses("ecs UpdateContainerInstancesState", state("INACTIVE"), INVALID, "ACTIVE or DRAINING")
        .await;
    // A cluster whose only instance is DRAINING has none for a new task; who names the instance gets it.
    let task = json!({"cluster": "web", "taskDefinition": "bridge"});
    let run = with(task.clone(), &json!({"launchType": "EC2"}));
    world.refuses("ecs RunTask", run, INVALID, "No Container Instances were found in your cluster.").await;
    let start = with(task, &json!({"containerInstances": [arn, "none"]}));
    let started = world.ok("ecs StartTask", start).await;
    assert_eq!(
        (started["tasks"].list().len(), started["failures"].each("reason")),
        (1, vec!["MISSING".to_owned()])
    );
    let input = json!({"cluster": "web", "containerInstance": arn});
    let gone = world.ok("ecs DeregisterContainerInstance", input).await;
    assert_eq!(gone["containerInstance"]["status"], "INACTIVE");
    assert_eq!(
        world.ok("ecs ListContainerInstances", json!({"cluster": "web"})).await["containerInstanceArns"],
        json!([])
    );
}

#[tokio::test]
async fn attributes_are_put_listed_and_filtered() {
    let (fixture, arn, _) = with_instance().await;
    let world = &fixture.world;
    let attributes = |attributes: Json| json!({"cluster": "web", "attributes": attributes});
    let stack = json!([{"name": "stack", "value": "prod", "targetId": arn}]);
    world.ok("ecs PutAttributes", attributes(stack.clone())).await;
    let input = input_of("stack");
    let found = world.ok("ecs ListAttributes", input).await;
    assert_eq!(found["attributes"][0]["value"], "prod");
    for (filter, count) in [
        ("attribute:stack == prod", 1),
        ("attribute:stack == dev", 0),
        ("runningTasksCount == 0 and agentConnected == true", 1),
    ] {
        let input = json!({"cluster": "web", "filter": filter});
        let found = world.ok("ecs ListContainerInstances", input).await;
        assert_eq!(found["containerInstanceArns"].list().len(), count, "{filter}");
    }
    let input = json!({"cluster": "web", "filter": "stack =="});
    world.refuses("ecs ListContainerInstances", input, INVALID, "Invalid filter").await;
    world.ok("ecs DeleteAttributes", attributes(stack)).await;
    assert_eq!(world.ok("ecs ListAttributes", input_of("stack")).await["attributes"], json!([]));
    for (given, wording) in [
        (json!([{"name": "ecs.os-type", "value": "x", "targetId": arn}]), "can not be set"),
        (json!([{"name": "a b", "targetId": arn}]), "Invalid attribute name"),
        (json!([{"name": "a", "value": "é", "targetId": arn}]), "Invalid value"),
    ] {
        world.refuses("ecs PutAttributes", attributes(given), INVALID, wording).await;
    }
    let many: Vec<Json> = (0..10).map(|n| json!({"name": format!("a{n}"), "targetId": arn})).collect();
    world.ok("ecs PutAttributes", attributes(json!(many))).await;
    let more = json!([{"name": "b", "targetId": arn}]);
    world.refuses("ecs PutAttributes", attributes(more), "AttributeLimitExceededException", "10").await;
}

fn input_of(name: &str) -> Json {
    json!({"cluster": "web", "targetType": "container-instance", "attributeName": name})
}

#[tokio::test]
async fn an_instance_is_a_target() {
    let (fixture, _, instance) = with_instance().await;
    let world = &fixture.world;
    let group = |name: &str, vpc: &str| json!({"Name": name, "Protocol": "HTTP", "Port": 80, "VpcId": vpc, "TargetType": "instance"});
    let made = world.ok("elbv2 CreateTargetGroup", group("site", &fixture.vpc)).await;
    let arn = made["TargetGroups"][0]["TargetGroupArn"].text();
    let targets = |arn: &str, id: &str, port: Json| json!({"TargetGroupArn": arn, "Targets": [with(json!({"Id": id}), &json!({"Port": port}))]});
    world.ok("elbv2 RegisterTargets", targets(&arn, &instance, json!(32768))).await;
    world.ok("elbv2 RegisterTargets", targets(&arn, &instance, json!(32769))).await;
    let health = world.ok("elbv2 DescribeTargetHealth", json!({"TargetGroupArn": arn})).await;
    let shown = health["TargetHealthDescriptions"].list();
    let ports: Vec<i64> = shown.iter().filter_map(|each| each["Target"]["Port"].as_i64()).collect();
    assert_eq!(ports.iter().copied().collect::<std::collections::BTreeSet<_>>(), [32768, 32769].into());
    assert!(shown.iter().all(|each| each["Target"]["Id"] == instance.as_str()));
    world.ok("elbv2 DeregisterTargets", targets(&arn, &instance, json!(32768))).await;
    let health = world.ok("elbv2 DescribeTargetHealth", json!({"TargetGroupArn": arn})).await;
    assert_eq!(health["TargetHealthDescriptions"].list().len(), 1);
    let strange = targets(&arn, "i-00000000000000000", Json::Null);
    world.refuses("elbv2 RegisterTargets", strange, "InvalidTarget", "not in a running state").await;
    let vpc = world.ok("ec2 CreateVpc", json!({"CidrBlock": "10.0.0.0/16"})).await["Vpc"]["VpcId"].text();
    let made = world.ok("elbv2 CreateTargetGroup", group("other", &vpc)).await;
    let other = made["TargetGroups"][0]["TargetGroupArn"].text();
    let outside = targets(&other, &instance, Json::Null);
    world.refuses("elbv2 RegisterTargets", outside, "InvalidTarget", "not in the target group VPC").await;
}
