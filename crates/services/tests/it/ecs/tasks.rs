//! Standalone tasks.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{Fixture, definition, with};
use crate::world::{Answer as _, World};

const CLIENT: &str = "ClientException";
const INVALID: &str = "InvalidParameterException";

#[tokio::test]
async fn tasks_are_run_described_listed_and_stopped() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let run = world.ok("ecs RunTask", fixture.task(&json!({"count": 2, "startedBy": "me"}))).await;
    assert_eq!(run["failures"], json!([]));
    let arns = run["tasks"].each("taskArn");
    let task = &run["tasks"][0];
    assert_eq!((&task["lastStatus"], &task["desiredStatus"]), (&json!("PROVISIONING"), &json!("RUNNING")));
    assert_eq!((&task["group"], &task["startedBy"]), (&json!("family:web"), &json!("me")));
    assert_eq!(
        (&task["cpu"], &task["memory"], &task["launchType"]),
        (&json!("256"), &json!("512"), &json!("FARGATE"))
    );
    assert_eq!(
        (&task["platformVersion"], &task["ephemeralStorage"]["sizeInGiB"]),
        (&json!("1.4.0"), &json!(20))
    );
    assert_eq!(task["overrides"]["containerOverrides"], json!([{"name": "web"}]));
    assert_eq!(task["containers"][0]["lastStatus"], "PENDING");

    let listed = |more: Json| async move {
        world.ok("ecs ListTasks", with(json!({"cluster": "web"}), &more)).await["taskArns"].list().len()
    };
    let rows = [
        (json!({}), 2),
        (json!({"desiredStatus": "RUNNING"}), 2),
        (json!({"desiredStatus": "PENDING"}), 0),
        (json!({"desiredStatus": "STOPPED"}), 0),
        (json!({"family": "web"}), 2),
        (json!({"family": "we"}), 0),
        (json!({"startedBy": "me"}), 2),
        (json!({"startedBy": "you"}), 0),
        (json!({"launchType": "FARGATE"}), 2),
        (json!({"launchType": "EC2"}), 0),
        (json!({"containerInstance": "i"}), 0),
        (json!({"maxResults": 1}), 1),
    ];
    for (input, expected) in rows {
        assert_eq!(listed(input.clone()).await, expected, "{input}");
    }
    let id = arns[0].rsplit('/').next().unwrap().to_owned();
    let unknown = "0".repeat(32);
    for given in [&id, &arns[0], &format!("arn:aws:ecs:us-east-1:123456789012:task/{id}")] {
        let found = world.ok("ecs DescribeTasks", json!({"cluster": "web", "tasks": [given, unknown]})).await;
        assert_eq!(found["tasks"].each("taskArn"), [arns[0].as_str()], "{given}");
        let missing = format!("arn:aws:ecs:us-east-1:123456789012:task/web/{unknown}");
        assert_eq!(found["failures"], json!([{"arn": missing, "reason": "MISSING"}]));
    }
    let stop = json!({"cluster": "web", "task": arns[0], "reason": "enough"});
    let stopped = world.ok("ecs StopTask", stop.clone()).await;
    let task = &stopped["task"];
    assert_eq!((&task["desiredStatus"], &task["stopCode"]), (&json!("STOPPED"), &json!("UserInitiated")));
    assert_eq!((&task["stoppedReason"], &task["version"]), (&json!("enough"), &json!(2)));
    // Stopping twice changes nothing.
    let again = world.ok("ecs StopTask", with(stop, &json!({"reason": "again"}))).await;
    assert_eq!((&again["task"]["stoppedReason"], &again["task"]["version"]), (&json!("enough"), &json!(2)));
    assert_eq!((listed(json!({})).await, listed(json!({"desiredStatus": "STOPPED"})).await), (1, 1));
}

#[tokio::test]
async fn run_task_says_what_is_wrong() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    world
        .ok(
            "ecs RegisterTaskDefinition",
            json!({"family": "bridge", "containerDefinitions": [{"name": "a", "image": "a", "memory": 64}]}),
        )
        .await;
    let (_, _, group) = world.default_network().await;
    let task = |more: Json| fixture.task(&more);
    let network = |more: Json| {
        let plain = fixture.network["awsvpcConfiguration"].clone();
        task(json!({"networkConfiguration": {"awsvpcConfiguration": with(plain, &more)}}))
    };
    let overrides = |more: Json| {
        task(json!({"overrides": {"containerOverrides": [with(json!({"name": "web"}), &more)]}}))
    };
    let rows = [
        (task(json!({"cluster": "none"})), "ClusterNotFoundException", "Cluster not found."),
        (task(json!({"taskDefinition": "none"})), CLIENT, "TaskDefinition not found."),
        (task(json!({"count": 0})), INVALID, "count must be between 1 and 10."),
        (task(json!({"count": -1})), INVALID, "count must be between 1 and 10."),
        (task(json!({"count": i32::MAX})), INVALID, "count must be between 1 and 10."),
        (task(json!({"launchType": "MOON"})), INVALID, "Invalid launch type 'MOON'."),
        (task(json!({"launchType": null})), INVALID, "No Container Instances were found in your cluster."),
        (task(json!({"launchType": "EC2"})), INVALID, "No Container Instances were found in your cluster."),
        (
            task(json!({"taskDefinition": "bridge"})),
            INVALID,
            "Task definition does not support launch_type FARGATE.",
        ),
        (
            task(json!({"launchType": "EXTERNAL"})),
            INVALID,
            "Task definition does not support launch_type EXTERNAL.",
        ),
        (
            task(json!({"capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]})),
            INVALID,
            "Specifying both a launch type and capacity provider strategy is not supported.",
        ),
        (
            task(json!({"launchType": null, "capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]})),
            INVALID,
            "not associated with the cluster",
        ),
        (
            task(json!({"networkConfiguration": null})),
            INVALID,
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        ),
        (network(json!({"subnets": []})), INVALID, "subnets can not be empty."),
        (network(json!({"subnets": vec!["subnet-1"; 17]})), INVALID, "subnets can have at most 16 items."),
        (
            network(json!({"subnets": ["subnet-1"]})),
            INVALID,
            "The subnet ID 'subnet-1' does not exist (ErrorCode: InvalidSubnetID.NotFound)",
        ),
        (
            network(json!({"securityGroups": ["sg-1"]})),
            INVALID,
            "The security group 'sg-1' does not exist (ErrorCode: InvalidGroup.NotFound)",
        ),
        (
            network(json!({"securityGroups": vec![group; 6]})),
            INVALID,
            "securityGroups can have at most 5 items.",
        ),
        (network(json!({"assignPublicIp": "MAYBE"})), INVALID, "Invalid value 'MAYBE' for assignPublicIp."),
        (
            task(json!({"platformVersion": "9.9.9"})),
            "PlatformUnknownException",
            "The specified platform does not exist.",
        ),
        (
            task(json!({"startedBy": "x".repeat(129)})),
            INVALID,
            "startedBy must be at most 128 characters long.",
        ),
        (task(json!({"group": "service:site"})), INVALID, "The task group can not begin with 'service:'."),
        (task(json!({"group": "x".repeat(256)})), INVALID, "group must be between 1 and 255"),
        (task(json!({"clientToken": "x".repeat(65)})), INVALID, "clientToken must be between 1 and 64"),
        (task(json!({"propagateTags": "SERVICE"})), INVALID, "cannot have a service's tags propagated"),
        (
            task(json!({"placementStrategy": [{"type": "random"}]})),
            INVALID,
            "Placement strategies are not supported with FARGATE launch type.",
        ),
        (
            task(json!({"placementConstraints": [{"type": "distinctInstance"}]})),
            INVALID,
            "Placement constraints are not supported with FARGATE launch type.",
        ),
        (
            task(json!({"overrides": {"containerOverrides": [{"name": "other"}]}})),
            INVALID,
            "Override for container named other is not a container in the TaskDefinition.",
        ),
        (
            task(json!({"overrides": {"cpu": "300"}})),
            CLIENT,
            "No Fargate configuration exists for given values: 300 CPU, 512 memory.",
        ),
        (task(json!({"overrides": {"cpu": "x"}})), CLIENT, "Invalid 'cpu' setting for task: 'x'."),
        (
            overrides(json!({"command": ["x".repeat(9000)]})),
            INVALID,
            "Container Overrides length must be at most 8192",
        ),
        (overrides(json!({"command": ["\u{0}"]})), CLIENT, "must not contain the character U+0000"),
        (
            overrides(json!({"environment": [{"name": "A=B", "value": "x"}]})),
            INVALID,
            "must not be empty or contain '='",
        ),
        (overrides(json!({"memory": -1})), INVALID, "memory must be at least 4."),
        (overrides(json!({"environmentFiles": [{"value": "x", "type": "s3"}]})), CLIENT, "environmentFiles"),
    ];
    world.refuses_all("ecs RunTask", rows).await;
    assert_eq!(world.ok("ecs ListTasks", json!({"cluster": "web"})).await["taskArns"], json!([]));
}

#[tokio::test]
async fn overrides_and_providers_show_in_the_task() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let strategy = json!([{"capacityProvider": "FARGATE_SPOT", "weight": 1}]);
    let input = json!({"cluster": "web", "capacityProviders": ["FARGATE", "FARGATE_SPOT"], "defaultCapacityProviderStrategy": strategy});
    world.ok("ecs PutClusterCapacityProviders", input).await;
    let overrides = json!({"cpu": "512", "memory": "1024", "containerOverrides": [{"name": "web", "command": ["x"], "environment": [{"name": "A", "value": "b"}]}]});
    // Without a launch type the cluster's default strategy counts.
    let run =
        world.ok("ecs RunTask", fixture.task(&json!({"launchType": null, "overrides": overrides}))).await;
    let task = &run["tasks"][0];
    assert_eq!((&task["cpu"], &task["memory"]), (&json!("512"), &json!("1024")));
    assert_eq!(task["overrides"], overrides);
    assert_eq!(
        (&task["capacityProviderName"], &task["launchType"]),
        (&json!("FARGATE_SPOT"), &json!("FARGATE"))
    );
}

#[tokio::test]
async fn a_definition_that_fargate_can_run_runs_there_unasked() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let plain = with(definition("plain"), &json!({"requiresCompatibilities": null}));
    world.ok("ecs RegisterTaskDefinition", plain.clone()).await;
    world.ok("ecs RunTask", fixture.task(&json!({"taskDefinition": "plain"}))).await;
    world.ok("ecs RegisterTaskDefinition", with(plain, &json!({"cpu": "300"}))).await;
    let refused = "Task definition does not support launch_type FARGATE.";
    world.refuses("ecs RunTask", fixture.task(&json!({"taskDefinition": "plain"})), INVALID, refused).await;
}

#[tokio::test]
async fn a_client_token_runs_its_tasks_once_for_a_day() {
    let mut fixture = Fixture::new().await;
    let input = fixture.task(&json!({"clientToken": "once", "count": 2}));
    let first = fixture.world.ok("ecs RunTask", input.clone()).await;
    fixture.world.later(Duration::from_secs(23 * 3600));
    let again = fixture.world.ok("ecs RunTask", input.clone()).await;
    assert_eq!(first["tasks"].each("taskArn"), again["tasks"].each("taskArn"));
    // The definition may have gone meanwhile.
    fixture.world.ok("ecs DeregisterTaskDefinition", json!({"taskDefinition": "web:1"})).await;
    let again = fixture.world.ok("ecs RunTask", input.clone()).await;
    assert_eq!(first["tasks"].each("taskArn"), again["tasks"].each("taskArn"));
    fixture.world.ok("ecs RegisterTaskDefinition", definition("web")).await;

    let error =
        fixture.world.call("ecs RunTask", with(input.clone(), &json!({"count": 1}))).await.unwrap_err();
    assert_eq!(error.code, "ConflictException");
    assert_eq!(error.members.get("resourceIds").map(|ids| ids.as_list().len()), Some(2));

    fixture.world.later(Duration::from_secs(3 * 3600));
    let later = fixture.world.ok("ecs RunTask", input).await;
    assert_ne!(first["tasks"].each("taskArn"), later["tasks"].each("taskArn"));
    // Tokens are cleared away by those that come after them.
    let kept =
        fixture.world.read(|view| view.scan::<gantry_domain::object::Object>("ecs/run-task-token/").count());
    assert_eq!(kept, 1);
}

#[tokio::test]
async fn tags_reach_tasks() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let tagged = with(
        definition("tagged"),
        &json!({"tags": [{"key": "a", "value": "definition"}, {"key": "b", "value": "definition"}]}),
    );
    world.ok("ecs RegisterTaskDefinition", tagged).await;
    let input = fixture.task(&json!({
        "taskDefinition": "tagged",
        "tags": [{"key": "a", "value": "call"}],
        "propagateTags": "TASK_DEFINITION",
        "enableECSManagedTags": true,
    }));
    let run = world.ok("ecs RunTask", input).await;
    let tags = json!([
        {"key": "a", "value": "call"},
        {"key": "b", "value": "definition"},
        {"key": "aws:ecs:clusterName", "value": "web"},
    ]);
    assert_eq!(run["tasks"][0]["tags"], tags);
    let arn = run["tasks"][0]["taskArn"].text();
    assert_eq!(world.ok("ecs ListTagsForResource", json!({"resourceArn": arn})).await["tags"], tags);
    // AWS's own tags neither count nor hinder.
    world.ok("ecs TagResource", json!({"resourceArn": arn, "tags": [{"key": "c", "value": "d"}]})).await;
    let untag = json!({"resourceArn": arn, "tagKeys": ["aws:ecs:clusterName"]});
    world.refuses("ecs UntagResource", untag, INVALID, "Tag keys must not begin with aws:.").await;
}

#[tokio::test]
async fn identifiers_of_tasks_are_checked() {
    let world = World::new();
    world.ok("ecs CreateCluster", json!({"clusterName": "web"})).await;
    world.ok("ecs CreateCluster", json!({"clusterName": "other"})).await;
    let id = "0".repeat(32);
    let rows = |list: bool| {
        let wrap = move |text: String| {
            if list {
                json!({"cluster": "web", "tasks": [text]})
            } else {
                json!({"cluster": "web", "task": text})
            }
        };
        vec![
            (wrap(String::new()), INVALID, "taskId length should be one of [32,36]"),
            (wrap("None".to_owned()), INVALID, "taskId length should be one of [32,36]"),
            (wrap("ü".repeat(32)), INVALID, "taskId length should be one of [32,36]"),
            (wrap("a/b".to_owned()), INVALID, "Invalid identifier: Unexpected number of separators"),
            (
                wrap(format!("arn:aws:ecs:us-east-1:123456789012:service/web/{id}")),
                INVALID,
                "Unsupported resource type: service",
            ),
            (
                wrap(format!("arn:aws:ecs:us-east-1:123456789012:task/other/{id}")),
                INVALID,
                "Invalid identifier: Identifier is for cluster other. Your cluster is web",
            ),
        ]
    };
    world.refuses_all("ecs DescribeTasks", rows(true)).await;
    world.refuses_all("ecs StopTask", rows(false)).await;
    let elsewhere = format!("arn:aws:ecs:eu-west-1:123456789012:task/web/{id}");
    let found = world.ok("ecs DescribeTasks", json!({"cluster": "web", "tasks": [elsewhere]})).await;
    assert_eq!(found["failures"], json!([{"arn": elsewhere, "reason": "MISSING"}]));
    for given in [&id, &elsewhere] {
        world
            .refuses(
                "ecs StopTask",
                json!({"cluster": "web", "task": given}),
                INVALID,
                "The referenced task was not found.",
            )
            .await;
    }
    let rows = [
        (json!({"cluster": "web", "tasks": []}), INVALID, "Tasks cannot be empty."),
        (
            json!({"cluster": "web", "tasks": vec![id.clone(); 101]}),
            INVALID,
            "Tasks cannot have more than 100 elements.",
        ),
        (json!({"tasks": [id]}), "ClusterNotFoundException", "Cluster not found."),
    ];
    world.refuses_all("ecs DescribeTasks", rows).await;
    world
        .refuses(
            "ecs StopTask",
            json!({"cluster": "web", "task": "x", "reason": "r".repeat(1025)}),
            INVALID,
            "reason",
        )
        .await;
    world
        .refuses(
            "ecs ListTasks",
            json!({"cluster": "web", "serviceName": "x"}),
            "ServiceNotFoundException",
            "Service not found.",
        )
        .await;
    world
        .refuses(
            "ecs ListTasks",
            json!({"cluster": "web", "desiredStatus": "x"}),
            INVALID,
            "Invalid desiredStatus",
        )
        .await;
}

#[tokio::test]
async fn start_task_needs_an_instance() {
    let fixture = Fixture::new().await;
    let start = |more: Json| {
        let plain = json!({
            "cluster": "web", "taskDefinition": "web", "containerInstances": ["i1"],
            "networkConfiguration": fixture.network,
        });
        with(plain, &more)
    };
    let started = fixture.world.ok("ecs StartTask", start(json!({}))).await;
    assert_eq!((&started["tasks"], &started["failures"][0]["reason"]), (&json!([]), &json!("MISSING")));
    fixture
        .world
        .refuses(
            "ecs StartTask",
            start(json!({"taskDefinition": "none"})),
            CLIENT,
            "TaskDefinition not found.",
        )
        .await;
    fixture
        .world
        .refuses("ecs StartTask", start(json!({"containerInstances": []})), INVALID, "cannot be empty")
        .await;
}
