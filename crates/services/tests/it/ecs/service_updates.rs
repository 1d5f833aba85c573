//! UpdateService: what begins a deployment and what does not.

use serde_json::{Value as Json, json};

use super::{Fixture, definition, with};
use crate::world::Answer as _;

const INVALID: &str = "InvalidParameterException";

fn update(more: Json) -> Json {
    with(json!({"cluster": "web", "service": "site"}), &more)
}

#[tokio::test]
async fn only_what_changes_the_tasks_begins_a_deployment() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let group = fixture.target_group("site").await;
    let balancers = json!([{"targetGroupArn": group, "containerName": "web", "containerPort": 8000}]);
    world.ok("ecs RegisterTaskDefinition", definition("web")).await;
    let input = fixture.service("site", &json!({"taskDefinition": "web:1", "loadBalancers": balancers}));
    world.ok("ecs CreateService", input).await;
    let other_network = json!({"awsvpcConfiguration": {"subnets": [fixture.subnets[2]]}});
    let two_ports = json!({
        "containerDefinitions": [{"name": "web", "image": "web:2", "portMappings": [{"containerPort": 8000}, {"containerPort": 9000}]}],
    });
    world.ok("ecs RegisterTaskDefinition", with(definition("two"), &two_ports)).await;
    let rows = [
        (json!({}), false),
        (json!({"desiredCount": 5}), false),
        (json!({"taskDefinition": "web:1"}), false),
        (json!({"taskDefinition": "arn:aws:ecs:us-east-1:123456789012:task-definition/web:1"}), false),
        (json!({"forceNewDeployment": false}), false),
        (json!({"networkConfiguration": fixture.network}), false),
        (json!({"loadBalancers": balancers}), false),
        (json!({"platformVersion": "1.4.0"}), false),
        (json!({"healthCheckGracePeriodSeconds": 30}), false),
        (json!({"deploymentConfiguration": {"maximumPercent": 150}}), false),
        (
            json!({"propagateTags": "SERVICE", "enableECSManagedTags": true, "enableExecuteCommand": true}),
            false,
        ),
        (json!({"capacityProviderStrategy": []}), false),
        (json!({"forceNewDeployment": true}), true),
        // A family alone is its newest revision.
        (json!({"taskDefinition": "web"}), true),
        (json!({"taskDefinition": "web"}), false),
        (json!({"networkConfiguration": other_network}), true),
        (json!({"taskDefinition": "two"}), true),
        (
            json!({"loadBalancers": [{"targetGroupArn": group, "containerName": "web", "containerPort": 9000}]}),
            true,
        ),
    ];
    for (input, deploys) in rows {
        let before = fixture.describe("site").await["deployments"][0]["id"].text();
        let updated = world.ok("ecs UpdateService", update(input.clone())).await;
        let after = updated["service"]["deployments"][0]["id"].text();
        assert_eq!(before != after, deploys, "{input}");
    }
    let service = fixture.describe("site").await;
    assert_eq!(
        (&service["desiredCount"], &service["healthCheckGracePeriodSeconds"]),
        (&json!(5), &json!(30))
    );
    assert_eq!(service["deployments"][0]["desiredCount"], 5);
    let configuration = &service["deploymentConfiguration"];
    assert_eq!(
        (&configuration["maximumPercent"], &configuration["minimumHealthyPercent"]),
        (&json!(150), &json!(100))
    );
    assert_eq!(
        (&service["propagateTags"], &service["enableECSManagedTags"]),
        (&json!("SERVICE"), &json!(true))
    );
    assert_eq!(service["loadBalancers"][0]["containerPort"], 9000);
}

#[tokio::test]
async fn replaced_deployments_stay_while_they_have_tasks_or_can_be_rolled_back_to() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    world.ok("ecs CreateService", fixture.service("site", &json!({}))).await;
    // Nothing ever started: a deployment that is replaced has nothing to show for itself.
    for _ in 0..20 {
        world.ok("ecs UpdateService", update(json!({"forceNewDeployment": true}))).await;
    }
    assert_eq!(fixture.describe("site").await["deployments"].list().len(), 1);
    fixture.complete("site").await;
    for _ in 0..3 {
        world.ok("ecs UpdateService", update(json!({"forceNewDeployment": true}))).await;
    }
    let deployments = fixture.describe("site").await["deployments"].clone();
    assert_eq!(deployments.each("rolloutState"), ["IN_PROGRESS", "COMPLETED"]);
    assert_eq!(deployments.each("status"), ["PRIMARY", "ACTIVE"]);
    assert_eq!(deployments[1]["desiredCount"], 0);
}

#[tokio::test]
async fn a_service_that_was_rolled_back_goes_on_from_there() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    world.ok("ecs CreateService", fixture.service("site", &json!({}))).await;
    fixture.complete("site").await;
    let good = fixture.describe("site").await["deployments"][0]["id"].text();
    world.ok("ecs RegisterTaskDefinition", definition("web")).await;
    world.ok("ecs UpdateService", update(json!({"taskDefinition": "web:2"}))).await;
    fixture.roll_back("site").await;
    let service = fixture.describe("site").await;
    assert_eq!(service["deployments"][0]["id"], json!(good));
    assert_eq!(service["taskDefinition"], "arn:aws:ecs:us-east-1:123456789012:task-definition/web:1");

    // Neither a count nor the definition that runs begins a deployment; the one that failed does, and so does force.
    let count = world.ok("ecs UpdateService", update(json!({"desiredCount": 3}))).await;
    assert_eq!(count["service"]["deployments"][0]["id"], json!(good));
    let same = world.ok("ecs UpdateService", update(json!({"taskDefinition": "web:1"}))).await;
    assert_eq!(same["service"]["deployments"][0]["id"], json!(good));
    let forced = world.ok("ecs UpdateService", update(json!({"forceNewDeployment": true}))).await;
    let primary = &forced["service"]["deployments"][0];
    assert_eq!(primary["taskDefinition"], "arn:aws:ecs:us-east-1:123456789012:task-definition/web:1");
    let again = world.ok("ecs UpdateService", update(json!({"taskDefinition": "web:2"}))).await;
    let primary = &again["service"]["deployments"][0];
    assert_eq!(primary["taskDefinition"], "arn:aws:ecs:us-east-1:123456789012:task-definition/web:2");
}

#[tokio::test]
async fn a_deregistered_definition_goes_on_running() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    world.ok("ecs CreateService", fixture.service("site", &json!({}))).await;
    world.ok("ecs DeregisterTaskDefinition", json!({"taskDefinition": "web:1"})).await;
    world.ok("ecs UpdateService", update(json!({"desiredCount": 3}))).await;
    world.ok("ecs UpdateService", update(json!({"forceNewDeployment": true}))).await;
    let refused = "TaskDefinition is inactive";
    world
        .refuses("ecs UpdateService", update(json!({"taskDefinition": "web:1"})), "ClientException", refused)
        .await;
}

#[tokio::test]
async fn update_service_says_what_is_wrong() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let group = fixture.target_group("site").await;
    let balancers = json!([{"targetGroupArn": group, "containerName": "web", "containerPort": 8000}]);
    world.ok("ecs CreateService", fixture.service("site", &json!({"loadBalancers": balancers}))).await;
    let other = json!({"containerDefinitions": [{"name": "other", "image": "o"}]});
    world.ok("ecs RegisterTaskDefinition", with(definition("other"), &other)).await;
    let bridge =
        json!({"family": "bridge", "containerDefinitions": [{"name": "web", "image": "a", "memory": 64}]});
    world.ok("ecs RegisterTaskDefinition", bridge).await;
    let input =
        json!({"cluster": "web", "capacityProviders": ["FARGATE"], "defaultCapacityProviderStrategy": []});
    world.ok("ecs PutClusterCapacityProviders", input).await;
    let strategy = json!([{"capacityProvider": "FARGATE", "weight": 1}]);
    let rows = [
        (json!({"cluster": "none", "service": "site"}), "ClusterNotFoundException", "Cluster not found."),
        (update(json!({"service": "none"})), "ServiceNotFoundException", "Service not found."),
        (
            update(json!({"service": "arn:aws:ecs:us-east-1:123456789012:service/other/site"})),
            INVALID,
            "Identifier is for cluster other.",
        ),
        (update(json!({"desiredCount": -1})), INVALID, "desiredCount can not be negative."),
        (update(json!({"desiredCount": i32::MAX})), INVALID, "desiredCount must be at most 5000."),
        (update(json!({"taskDefinition": "none"})), "ClientException", "TaskDefinition not found."),
        (
            update(json!({"taskDefinition": "bridge"})),
            INVALID,
            "Task definition does not support launch_type FARGATE.",
        ),
        (
            update(json!({"taskDefinition": "other"})),
            INVALID,
            "The container web does not exist in the task definition.",
        ),
        (
            update(json!({"deploymentConfiguration": {"maximumPercent": 100}})),
            INVALID,
            "Both maximumPercent and minimumHealthyPercent cannot be 100",
        ),
        (update(json!({"healthCheckGracePeriodSeconds": -1})), INVALID, "healthCheckGracePeriodSeconds"),
        (update(json!({"platformVersion": "0.0"})), "PlatformUnknownException", "does not exist"),
        (
            update(json!({"placementStrategy": [{"type": "random"}]})),
            INVALID,
            "Placement strategies are not supported with FARGATE launch type.",
        ),
        (update(json!({"capacityProviderStrategy": strategy})), INVALID, "you must force a new deployment."),
        (
            update(json!({"deploymentController": {"type": "EXTERNAL"}})),
            "ClientException",
            "deploymentController",
        ),
        (
            update(json!({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}})),
            INVALID,
            "InvalidSubnetID.NotFound",
        ),
    ];
    let before = fixture.describe("site").await;
    world.refuses_all("ecs UpdateService", rows).await;
    assert_eq!(fixture.describe("site").await, before, "a refused update changes nothing");
    let input = update(json!({"capacityProviderStrategy": strategy, "forceNewDeployment": true}));
    let updated = world.ok("ecs UpdateService", input).await["service"].clone();
    assert_eq!(updated["capacityProviderStrategy"], strategy);
    assert_eq!(updated.get("launchType"), None);
    // What the service is on already needs no force.
    world.ok("ecs UpdateService", update(json!({"capacityProviderStrategy": strategy}))).await;
    let input = json!({"cluster": "web", "capacityProviders": [], "defaultCapacityProviderStrategy": []});
    world.refuses("ecs PutClusterCapacityProviders", input, "ResourceInUseException", "in use").await;
}

#[tokio::test]
async fn load_balancers_can_be_taken_away() {
    let fixture = Fixture::new().await;
    let group = fixture.target_group("site").await;
    let balancers = json!([{"targetGroupArn": group, "containerName": "web", "containerPort": 8000}]);
    let input =
        fixture.service("site", &json!({"loadBalancers": balancers, "healthCheckGracePeriodSeconds": 60}));
    fixture.world.ok("ecs CreateService", input).await;
    let updated =
        fixture.world.ok("ecs UpdateService", update(json!({"loadBalancers": []}))).await["service"].clone();
    assert_eq!((&updated["loadBalancers"], updated.get("healthCheckGracePeriodSeconds")), (&json!([]), None));
}
