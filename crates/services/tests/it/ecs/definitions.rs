//! Task definitions.

use serde_json::{Value as Json, json};

use super::{definition, with};
use crate::world::{Answer as _, World};

const CLIENT: &str = "ClientException";
const INVALID: &str = "InvalidParameterException";

/// The definition with members of its one container put over it.
fn container(more: &Json) -> Json {
    let mut given = definition("web");
    given["containerDefinitions"][0] = with(given["containerDefinitions"][0].clone(), more);
    given
}

#[tokio::test]
async fn a_family_counts_its_revisions() {
    let world = World::new();
    for revision in 1..=12 {
        let made = world.ok("ecs RegisterTaskDefinition", definition("web")).await;
        let arn = format!("arn:aws:ecs:us-east-1:123456789012:task-definition/web:{revision}");
        assert_eq!(made["taskDefinition"]["taskDefinitionArn"], json!(arn));
    }
    world.ok("ecs RegisterTaskDefinition", definition("web-2")).await;
    let newest = world.ok("ecs DescribeTaskDefinition", json!({"taskDefinition": "web"})).await;
    assert_eq!(newest["taskDefinition"]["revision"], 12);
    let listed = |input: Json| async {
        let found = world.ok("ecs ListTaskDefinitions", input).await;
        let names = found["taskDefinitionArns"].list().iter().map(|arn| arn.text());
        names.map(|arn| arn.rsplit('/').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed(json!({"familyPrefix": "web", "maxResults": 3})).await, ["web:1", "web:2", "web:3"]);
    let descending = json!({"familyPrefix": "web", "sort": "DESC", "maxResults": 3});
    assert_eq!(listed(descending.clone()).await, ["web:12", "web:11", "web:10"]);
    let token = world.ok("ecs ListTaskDefinitions", descending.clone()).await["nextToken"].clone();
    assert_eq!(listed(with(descending, &json!({"nextToken": token}))).await, ["web:9", "web:8", "web:7"]);
    assert_eq!(listed(json!({"familyPrefix": "we"})).await, [""; 0], "the whole family's name counts here");

    world.ok("ecs DeregisterTaskDefinition", json!({"taskDefinition": "web:12"})).await;
    let newest = world.ok("ecs DescribeTaskDefinition", json!({"taskDefinition": "web"})).await;
    assert_eq!(newest["taskDefinition"]["revision"], 11);
    assert_eq!(listed(json!({"status": "INACTIVE"})).await, ["web:12"]);
    // A number is never used again, even when the revision was deleted.
    world.ok("ecs DeleteTaskDefinitions", json!({"taskDefinitions": ["web:12"]})).await;
    let made = world.ok("ecs RegisterTaskDefinition", definition("web")).await;
    assert_eq!(made["taskDefinition"]["revision"], 13);
}

#[tokio::test]
async fn families_are_listed_by_their_status() {
    let world = World::new();
    for family in ["a", "b", "bc"] {
        world.ok("ecs RegisterTaskDefinition", definition(family)).await;
    }
    world.ok("ecs DeregisterTaskDefinition", json!({"taskDefinition": "b:1"})).await;
    let rows = [
        (json!({}), vec!["a", "b", "bc"]),
        (json!({"status": "ALL"}), vec!["a", "b", "bc"]),
        (json!({"status": "ACTIVE"}), vec!["a", "bc"]),
        (json!({"status": "INACTIVE"}), vec!["b"]),
        (json!({"familyPrefix": "b"}), vec!["b", "bc"]),
        (json!({"familyPrefix": "b", "maxResults": 1}), vec!["b"]),
        (json!({"familyPrefix": "ü"}), vec![]),
    ];
    for (input, expected) in rows {
        let found = world.ok("ecs ListTaskDefinitionFamilies", input.clone()).await;
        assert_eq!(found["families"], json!(expected), "{input}");
    }
}

#[tokio::test]
async fn defaults_come_back_as_aws_fills_them_in() {
    let world = World::new();
    let made = world.ok("ecs RegisterTaskDefinition", definition("web")).await;
    let shown = world.ok("ecs DescribeTaskDefinition", json!({"taskDefinition": "web:1"})).await;
    assert_eq!(shown["taskDefinition"], made["taskDefinition"]);
    assert_eq!(shown["tags"], json!(null));
    let container = json!({
        "name": "web",
        "image": "web:1",
        "cpu": 0,
        "essential": true,
        "environment": [],
        "mountPoints": [],
        "volumesFrom": [],
        "systemControls": [],
        "portMappings": [{"containerPort": 8000, "hostPort": 8000, "protocol": "tcp"}],
    });
    let shown = &shown["taskDefinition"];
    assert_eq!(shown["containerDefinitions"][0], container);
    assert_eq!(shown["compatibilities"], json!(["EC2", "FARGATE"]));
    assert_eq!((&shown["volumes"], &shown["placementConstraints"]), (&json!([]), &json!([])));
    assert_eq!(shown["status"], "ACTIVE");

    // Amounts with units come back as numbers; bridge mode leaves the host port to the instance.
    let bridge = json!({
        "family": "bridge",
        "containerDefinitions": [{
            "name": "a", "image": "a", "memory": 128,
            "portMappings": [{"containerPort": 80}],
            "healthCheck": {"command": ["CMD-SHELL", "true"]},
        }],
    });
    let shown = world.ok("ecs RegisterTaskDefinition", bridge).await["taskDefinition"].clone();
    assert_eq!(shown["containerDefinitions"][0]["portMappings"][0]["hostPort"], 0);
    assert_eq!(shown["networkMode"], json!(null));
    assert_eq!(shown["compatibilities"], json!(["EXTERNAL", "EC2"]));
    let check = json!({"command": ["CMD-SHELL", "true"], "interval": 30, "timeout": 5, "retries": 3});
    assert_eq!(shown["containerDefinitions"][0]["healthCheck"], check);
    let sized = with(definition("sized"), &json!({"cpu": ".5 vCPU", "memory": "1 GB"}));
    let shown = world.ok("ecs RegisterTaskDefinition", sized).await["taskDefinition"].clone();
    assert_eq!((&shown["cpu"], &shown["memory"]), (&json!("512"), &json!("1024")));
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_at_registration() {
    let world = World::new();
    let top = |more: Json| with(definition("web"), &more);
    let two = |first: Json, second: Json| {
        let plain = json!({"image": "a"});
        top(json!({"containerDefinitions": [with(plain.clone(), &first), with(plain, &second)]}))
    };
    let nul = "a\u{0}b";
    let rows = [
        (top(json!({"family": "a b"})), CLIENT, "Family contains invalid characters"),
        (top(json!({"family": ""})), CLIENT, "Family contains invalid characters"),
        (top(json!({"containerDefinitions": []})), CLIENT, "Container list cannot be empty."),
        (top(json!({"networkMode": "bridge"})), CLIENT, "Fargate only supports network mode 'awsvpc'."),
        (top(json!({"networkMode": "nat"})), CLIENT, "Invalid networkMode 'nat'."),
        (top(json!({"cpu": null})), CLIENT, "Fargate requires that 'cpu' be defined at the task level."),
        (
            top(json!({"memory": null})),
            CLIENT,
            "Fargate requires that 'memory' be defined at the task level.",
        ),
        (
            top(json!({"cpu": "300"})),
            CLIENT,
            "No Fargate configuration exists for given values: 300 CPU, 512 memory.",
        ),
        (top(json!({"memory": "1536"})), CLIENT, "No Fargate configuration exists"),
        (top(json!({"cpu": "-1"})), CLIENT, "Invalid 'cpu' setting for task: '-1'."),
        (top(json!({"memory": "lots"})), CLIENT, "Invalid 'memory' setting for task: 'lots'."),
        (top(json!({"requiresCompatibilities": ["MOON"]})), CLIENT, "Invalid value 'MOON'"),
        (top(json!({"ephemeralStorage": {"sizeInGiB": 20}})), CLIENT, "sizeInGiB must be between 21 and 200"),
        (top(json!({"pidMode": "task"})), CLIENT, "Gantry does not support pidMode yet."),
        (top(json!({"ipcMode": "host"})), CLIENT, "Gantry does not support ipcMode yet."),
        (top(json!({"runtimePlatform": {"cpuArchitecture": "ARM64"}})), CLIENT, "cpuArchitecture"),
        (top(json!({"volumes": [{"name": "a"}, {"name": "a"}]})), CLIENT, "Duplicate volume name 'a'."),
        (
            top(json!({"volumes": [{"name": "a", "host": {"sourcePath": "/x"}}]})),
            CLIENT,
            "host.sourcePath should not be set",
        ),
        (
            top(json!({"volumes": [{"name": "a", "efsVolumeConfiguration": {"fileSystemId": "x"}}]})),
            CLIENT,
            "bind mounts",
        ),
        (
            top(json!({"tags": [{"key": "aws:x", "value": "y"}]})),
            INVALID,
            "Tag keys must not begin with aws:.",
        ),
        (container(&json!({"name": null})), CLIENT, "Container.name should not be null or empty."),
        (container(&json!({"name": "a/b"})), CLIENT, "Container name 'a/b' is invalid"),
        (container(&json!({"image": ""})), CLIENT, "Container.image should not be null or empty."),
        (container(&json!({"cpu": -1})), CLIENT, "cpu must be between 0"),
        (container(&json!({"cpu": i32::MAX})), CLIENT, "cpu must be between 0"),
        (
            container(&json!({"cpu": 512})),
            CLIENT,
            "The total of the containers' cpu is larger than the task's.",
        ),
        (container(&json!({"memory": 3})), CLIENT, "The memory must be between 4"),
        (container(&json!({"memory": 1024})), CLIENT, "The container's memory must not exceed the task's."),
        (
            container(&json!({"memory": 128, "memoryReservation": 256})),
            CLIENT,
            "'memoryReservation' must be less than or equal to 'memory'.",
        ),
        (
            container(&json!({"essential": false})),
            CLIENT,
            "Task definition does not have an essential container.",
        ),
        (container(&json!({"command": [nul]})), CLIENT, "must not contain the character U+0000"),
        (container(&json!({"entryPoint": [nul]})), CLIENT, "must not contain the character U+0000"),
        (container(&json!({"workingDirectory": nul})), CLIENT, "must not contain the character U+0000"),
        (
            container(&json!({"environment": [{"name": "A", "value": nul}]})),
            CLIENT,
            "must not contain the character U+0000",
        ),
        (
            container(&json!({"environment": [{"name": "A=B", "value": "c"}]})),
            CLIENT,
            "must not be empty or contain '='",
        ),
        (container(&json!({"environment": [{"value": "c"}]})), CLIENT, "must not be empty or contain '='"),
        (
            container(&json!({"dnsServers": ["1.1.1.1\nnameserver 2.2.2.2"]})),
            CLIENT,
            "neither a name nor an address",
        ),
        (
            container(&json!({"extraHosts": [{"hostname": "a b", "ipAddress": "1.2.3.4"}]})),
            CLIENT,
            "extraHosts needs",
        ),
        (
            container(&json!({"extraHosts": [{"hostname": "a", "ipAddress": "1.2.3"}]})),
            CLIENT,
            "extraHosts needs",
        ),
        (
            container(&json!({"portMappings": [{"containerPort": 0}]})),
            CLIENT,
            "Container port must be between 1 and 65535",
        ),
        (container(&json!({"portMappings": [{"containerPort": 65536}]})), CLIENT, "Invalid port 65536"),
        (container(&json!({"portMappings": [{"containerPort": -80}]})), CLIENT, "Invalid port -80"),
        (
            container(&json!({"portMappings": [{"containerPort": 80, "hostPort": 81}]})),
            CLIENT,
            "the host ports and container ports in port mappings must match.",
        ),
        (
            container(&json!({"portMappings": [{"containerPort": 80}, {"containerPort": 80}]})),
            CLIENT,
            "Host port 80 is mapped more than once.",
        ),
        (
            container(&json!({"portMappings": [{"containerPort": 80, "protocol": "sctp"}]})),
            CLIENT,
            "Invalid protocol 'sctp'",
        ),
        (
            container(&json!({"portMappings": [{"containerPortRange": "80-90"}]})),
            CLIENT,
            "containerPortRange",
        ),
        (container(&json!({"stopTimeout": 121})), CLIENT, "stopTimeout must be between 2 and 120."),
        (container(&json!({"stopTimeout": -1})), CLIENT, "stopTimeout must be between 2 and 120."),
        (container(&json!({"privileged": true})), CLIENT, "do not support privileged mode"),
        (
            container(&json!({"linuxParameters": {"capabilities": {"add": ["SYS_ADMIN"]}}})),
            CLIENT,
            "can only add the SYS_PTRACE capability",
        ),
        (
            container(&json!({"linuxParameters": {"sharedMemorySize": 64}})),
            CLIENT,
            "linuxParameters.sharedMemorySize",
        ),
        (
            container(&json!({"linuxParameters": {"tmpfs": [{"containerPath": "/x", "size": 1}]}})),
            CLIENT,
            "linuxParameters.tmpfs",
        ),
        (container(&json!({"interactive": true})), CLIENT, "interactive"),
        (
            container(&json!({"secrets": [{"name": "a", "valueFrom": "b"}]})),
            CLIENT,
            "secrets (container 'web')",
        ),
        (
            container(&json!({"mountPoints": [{"sourceVolume": "x", "containerPath": "/x"}]})),
            CLIENT,
            "Unknown volume 'x'.",
        ),
        (
            container(&json!({"mountPoints": [{"sourceVolume": "x", "containerPath": "x"}]})),
            CLIENT,
            "absolute containerPath",
        ),
        (
            container(&json!({"ulimits": [{"name": "nofile", "softLimit": 10, "hardLimit": 1}]})),
            CLIENT,
            "exceeds its hard limit",
        ),
        (container(&json!({"healthCheck": {"command": []}})), CLIENT, "the command must begin with CMD"),
        (
            container(&json!({"healthCheck": {"command": ["CMD", "x"], "interval": 4}})),
            CLIENT,
            "interval must be between 5 and 300.",
        ),
        (
            container(&json!({"healthCheck": {"command": ["CMD", "x"], "timeout": 61}})),
            CLIENT,
            "timeout must be between 2 and 60.",
        ),
        (
            container(&json!({"healthCheck": {"command": ["CMD", "x"], "retries": -1}})),
            CLIENT,
            "retries must be between 1 and 10.",
        ),
        (
            container(&json!({"healthCheck": {"command": ["CMD", "x"], "startPeriod": 301}})),
            CLIENT,
            "startPeriod must be between 0 and 300.",
        ),
        (
            container(&json!({"logConfiguration": {"logDriver": "splunk"}})),
            CLIENT,
            "does not support the log driver 'splunk'",
        ),
        (
            container(
                &json!({"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "g"}}}),
            ),
            CLIENT,
            "requires option 'awslogs-region'",
        ),
        (
            container(
                &json!({"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "g", "awslogs-region": "r", "awslogs-stream-prefix": "p"}}}),
            ),
            CLIENT,
            "execution role ARN to support log driver awslogs",
        ),
        (two(json!({"name": "a"}), json!({"name": "a"})), CLIENT, "Duplicate container name 'a'."),
        (
            two(
                json!({"name": "a", "portMappings": [{"containerPort": 80}]}),
                json!({"name": "b", "portMappings": [{"containerPort": 80}]}),
            ),
            CLIENT,
            "Host port 80 is mapped more than once.",
        ),
        (
            two(
                json!({"name": "a", "dependsOn": [{"containerName": "c", "condition": "START"}]}),
                json!({"name": "b"}),
            ),
            CLIENT,
            "Cannot depend on container + 'c' because it does not exist",
        ),
        (
            two(
                json!({"name": "a", "dependsOn": [{"containerName": "b", "condition": "START"}]}),
                json!({"name": "b", "dependsOn": [{"containerName": "a", "condition": "START"}]}),
            ),
            CLIENT,
            "Container dependencies should not have a cycle",
        ),
        (
            two(
                json!({"name": "a", "dependsOn": [{"containerName": "b", "condition": "COMPLETE"}]}),
                json!({"name": "b"}),
            ),
            CLIENT,
            "with SUCCESS or COMPLETE condition cannot be an essential container",
        ),
        (
            two(
                json!({"name": "a", "dependsOn": [{"containerName": "b", "condition": "HEALTHY"}]}),
                json!({"name": "b"}),
            ),
            CLIENT,
            "needs a health check in container 'b'.",
        ),
        (
            json!({"family": "bridge", "containerDefinitions": [{"name": "a", "image": "a"}]}),
            CLIENT,
            "At least one of 'memory' or 'memoryReservation' must be specified.",
        ),
        (
            json!({"family": "huge", "containerDefinitions": vec![json!({"name": "a", "image": "a", "memory": i32::MAX}); 10]}),
            CLIENT,
            "The memory must be between 4",
        ),
        (
            top(
                json!({"containerDefinitions": (0..11).map(|n| json!({"name": format!("c{n}"), "image": "a"})).collect::<Vec<_>>()}),
            ),
            CLIENT,
            "at most 10 containers",
        ),
    ];
    world.refuses_all("ecs RegisterTaskDefinition", rows).await;
    let found = world.ok("ecs ListTaskDefinitions", json!({})).await;
    assert_eq!(found["taskDefinitionArns"], json!([]), "nothing of what was refused is kept");
}

#[tokio::test]
async fn many_large_containers_do_not_overflow() {
    let world = World::new();
    let containers: Vec<Json> = (0..10)
        .map(|n| json!({"name": format!("c{n}"), "image": "a", "cpu": 196_608, "memory": 4_000_000}))
        .collect();
    let made = world
        .ok("ecs RegisterTaskDefinition", json!({"family": "large", "containerDefinitions": containers}))
        .await;
    assert_eq!(made["taskDefinition"]["revision"], 1);
}

#[tokio::test]
async fn definitions_are_found_by_name_number_and_arn() {
    let world = World::new();
    world.ok("ecs RegisterTaskDefinition", definition("web")).await;
    let arn = "arn:aws:ecs:us-east-1:123456789012:task-definition/web:1";
    for given in ["web", "web:1", arn, "arn:aws:ecs:us-east-1:123456789012:task-definition/web"] {
        let found = world.ok("ecs DescribeTaskDefinition", json!({"taskDefinition": given})).await;
        assert_eq!(found["taskDefinition"]["taskDefinitionArn"], json!(arn), "{given}");
    }
    let unknown = [
        "",
        "we",
        "web:2",
        "web:0",
        "web:+1",
        "web:1:1",
        "web:99999999999999999999",
        "web:ü",
        "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:1",
        "arn:aws:ecs:us-east-1:999999999999:task-definition/web:1",
        "arn:aws:s3:us-east-1:123456789012:task-definition/web:1",
        "arn:aws:ecs:us-east-1:123456789012:cluster/web",
    ];
    for given in unknown {
        let input = json!({"taskDefinition": given});
        world
            .refuses(
                "ecs DescribeTaskDefinition",
                input.clone(),
                CLIENT,
                "Unable to describe task definition.",
            )
            .await;
        assert!(world.call("ecs DeregisterTaskDefinition", input).await.is_err(), "{given}");
    }
    world
        .refuses(
            "ecs DeregisterTaskDefinition",
            json!({"taskDefinition": "web"}),
            CLIENT,
            "Revision is missing.",
        )
        .await;
}

#[tokio::test]
async fn deregistered_revisions_can_be_deleted() {
    let fixture = super::Fixture::new().await;
    let world = &fixture.world;
    world.ok("ecs RegisterTaskDefinition", definition("web")).await;
    world.ok("ecs CreateService", fixture.service("site", &json!({"taskDefinition": "web:1"}))).await;
    let gone = world.ok("ecs DeregisterTaskDefinition", json!({"taskDefinition": "web:1"})).await;
    assert_eq!(gone["taskDefinition"]["status"], "INACTIVE");
    let again = world.ok("ecs DeregisterTaskDefinition", json!({"taskDefinition": "web:1"})).await;
    assert_eq!(again["taskDefinition"]["status"], "INACTIVE");
    world
        .refuses(
            "ecs RunTask",
            fixture.task(&json!({"taskDefinition": "web:1"})),
            CLIENT,
            "TaskDefinition is inactive",
        )
        .await;

    let arn = |revision: u32| format!("arn:aws:ecs:us-east-1:123456789012:task-definition/web:{revision}");
    let given = json!({"taskDefinitions": ["web:1", arn(1), "web:2", "web:3", "web"]});
    let deleted = world.ok("ecs DeleteTaskDefinitions", given).await;
    // The service still runs what was deregistered, so that one stays until it does not.
    assert_eq!(deleted["taskDefinitions"].each("status"), ["DELETE_IN_PROGRESS"]);
    assert_eq!(deleted["failures"].each("arn"), [arn(2), "web:3".to_owned(), "web".to_owned()]);
    let found = world.ok("ecs DescribeTaskDefinition", json!({"taskDefinition": "web:1"})).await;
    assert_eq!(found["taskDefinition"]["status"], "DELETE_IN_PROGRESS");

    world.ok("ecs DeregisterTaskDefinition", json!({"taskDefinition": "web:2"})).await;
    world.ok("ecs DeleteTaskDefinitions", json!({"taskDefinitions": ["web:2"]})).await;
    world
        .refuses(
            "ecs DescribeTaskDefinition",
            json!({"taskDefinition": "web:2"}),
            CLIENT,
            "Unable to describe",
        )
        .await;
    let many = json!({"taskDefinitions": vec!["web:1"; 11]});
    world.refuses("ecs DeleteTaskDefinitions", many, INVALID, "at most 10").await;
}
