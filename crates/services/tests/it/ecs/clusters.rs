//! Clusters and capacity providers.

use serde_json::json;

use super::Fixture;
use crate::world::{Answer as _, World};

const INVALID: &str = "InvalidParameterException";

#[tokio::test]
async fn a_cluster_lives_and_is_describable_afterwards() {
    let world = World::new();
    let made = world
        .ok("ecs CreateCluster", json!({"clusterName": "web", "tags": [{"key": "team", "value": "a"}]}))
        .await;
    let arn = made["cluster"]["clusterArn"].text();
    assert_eq!(arn, "arn:aws:ecs:us-east-1:123456789012:cluster/web");
    assert_eq!(made["cluster"]["tags"], json!([{"key": "team", "value": "a"}]));
    assert_eq!(made["cluster"]["settings"], json!([{"name": "containerInsights", "value": "disabled"}]));
    // What was not given is not there: Terraform would want to remove an empty configuration again and again.
    assert_eq!(made["cluster"].get("configuration"), None);
    // The same name again gives the same cluster, as at AWS.
    let again = world.ok("ecs CreateCluster", json!({"clusterName": "web"})).await;
    assert_eq!(again["cluster"]["clusterArn"], made["cluster"]["clusterArn"]);
    assert_eq!(world.ok("ecs ListClusters", json!({})).await["clusterArns"], json!([arn]));

    for given in ["web", &arn] {
        let found = world.ok("ecs DescribeClusters", json!({"clusters": [given]})).await;
        assert_eq!(found["clusters"][0]["status"], "ACTIVE", "{given}");
        assert_eq!(found["clusters"][0]["tags"], json!([]), "tags are only shown when asked for");
    }
    let deleted = world.ok("ecs DeleteCluster", json!({"cluster": arn})).await;
    assert_eq!(deleted["cluster"]["status"], "INACTIVE");
    assert_eq!(world.ok("ecs ListClusters", json!({})).await["clusterArns"], json!([]));
    let found = world.ok("ecs DescribeClusters", json!({"clusters": ["web"]})).await;
    assert_eq!(found["clusters"][0]["status"], "INACTIVE");
    world
        .refuses(
            "ecs DeleteCluster",
            json!({"cluster": "web"}),
            "ClusterNotFoundException",
            "Cluster not found.",
        )
        .await;
    let made = world.ok("ecs CreateCluster", json!({"clusterName": "web"})).await;
    assert_eq!(made["cluster"]["status"], "ACTIVE");
}

#[tokio::test]
async fn names_and_arns_of_clusters_are_told_apart() {
    let world = World::new();
    world.ok("ecs CreateCluster", json!({})).await;
    // No name is the default one.
    let found = world.ok("ecs DescribeClusters", json!({})).await;
    assert_eq!(found["clusters"][0]["clusterName"], "default");
    let elsewhere = [
        "arn:aws:ecs:eu-west-1:123456789012:cluster/default",
        "arn:aws:ecs:us-east-1:999999999999:cluster/default",
        "arn:aws:eks:us-east-1:123456789012:cluster/default",
        "nothing",
        "é💥",
    ];
    for given in elsewhere {
        let found = world.ok("ecs DescribeClusters", json!({"clusters": [given]})).await;
        assert_eq!(found["clusters"], json!([]), "{given}");
        assert_eq!(found["failures"][0]["reason"], "MISSING", "{given}");
        world
            .refuses(
                "ecs ListTasks",
                json!({"cluster": given}),
                "ClusterNotFoundException",
                "Cluster not found.",
            )
            .await;
    }
    let prefix = "arn:aws:ecs:us-east-1:123456789012:cluster";
    let found = world.ok("ecs DescribeClusters", json!({"clusters": ["nothing"]})).await;
    assert_eq!(found["failures"][0]["arn"], json!(format!("{prefix}/nothing")));
    let rows = [
        (
            json!({"clusters": ["arn:aws:ecs:us-east-1:123456789012:service/default/x"]}),
            INVALID,
            "Unsupported resource type: service",
        ),
        (
            json!({"clusters": [format!("{prefix}/")]}),
            INVALID,
            "Invalid identifier: Unexpected number of separators",
        ),
        (
            json!({"clusters": [format!("{prefix}/a/b")]}),
            INVALID,
            "Invalid identifier: Unexpected number of separators",
        ),
        (json!({"clusters": ["a/b"]}), INVALID, "Invalid identifier: Unexpected number of separators"),
        (json!({"clusters": ["arn:"]}), INVALID, "Invalid identifier: Unexpected number of separators"),
        (json!({"clusters": vec!["x"; 101]}), INVALID, "Clusters cannot have more than 100 elements."),
    ];
    world.refuses_all("ecs DescribeClusters", rows).await;
    let long = "x".repeat(256);
    for name in ["", "a b", "a/b", "ü", "a\u{0}", long.as_str()] {
        world
            .refuses("ecs CreateCluster", json!({"clusterName": name}), INVALID, "Invalid cluster name")
            .await;
    }
}

#[tokio::test]
async fn a_cluster_in_use_is_not_deleted() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    world.ok("ecs CreateService", fixture.service("site", &json!({}))).await;
    let delete = json!({"cluster": "web"});
    world
        .refuses(
            "ecs DeleteCluster",
            delete.clone(),
            "ClusterContainsServicesException",
            "The Cluster cannot be deleted while Services are active.",
        )
        .await;
    world.ok("ecs DeleteService", json!({"cluster": "web", "service": "site", "force": true})).await;
    fixture.end_service("site").await;
    world.ok("ecs RunTask", fixture.task(&json!({}))).await;
    world
        .refuses(
            "ecs DeleteCluster",
            delete,
            "ClusterContainsTasksException",
            "The Cluster cannot be deleted while Tasks are active.",
        )
        .await;
}

#[tokio::test]
async fn a_cluster_counts_what_is_in_it() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    world.ok("ecs CreateService", fixture.service("site", &json!({}))).await;
    world.ok("ecs RunTask", fixture.task(&json!({"count": 3}))).await;
    let found =
        world.ok("ecs DescribeClusters", json!({"clusters": ["web"], "include": ["STATISTICS"]})).await;
    let cluster = &found["clusters"][0];
    assert_eq!((&cluster["activeServicesCount"], &cluster["pendingTasksCount"]), (&json!(1), &json!(3)));
    let statistics = cluster["statistics"].list();
    let counted =
        |name: &str| statistics.iter().find(|pair| pair["name"] == name).expect(name)["value"].text();
    assert_eq!(counted("pendingFargateTasksCount"), "3");
    assert_eq!(counted("runningFargateTasksCount"), "0");
    assert_eq!(counted("activeFargateServiceCount"), "1");
    assert_eq!(counted("activeEC2ServiceCount"), "0");
}

#[tokio::test]
async fn clusters_are_listed_in_pages() {
    let world = World::new();
    for number in 0..5 {
        world.ok("ecs CreateCluster", json!({"clusterName": format!("c{number}")})).await;
    }
    let (mut seen, mut token) = (Vec::new(), json!(null));
    loop {
        let page = world.ok("ecs ListClusters", json!({"maxResults": 2, "nextToken": token})).await;
        seen.extend(page["clusterArns"].list().iter().map(|arn| arn.text()));
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(seen.len(), 5);
    for size in [0, -1, 101, i32::MAX] {
        world.refuses("ecs ListClusters", json!({"maxResults": size}), INVALID, "maxResults").await;
    }
    for token in ["zz", "0", "🦀"] {
        world.refuses("ecs ListClusters", json!({"nextToken": token}), INVALID, "Invalid token").await;
    }
}

#[tokio::test]
async fn settings_are_checked_and_kept() {
    let world = World::new();
    world.ok("ecs CreateCluster", json!({})).await;
    let setting = |name: &str, value: &str| json!([{"name": name, "value": value}]);
    for (name, value) in [("containerInsights", "yes"), ("containerInsights", ""), ("other", "enabled")] {
        let settings = setting(name, value);
        world
            .refuses(
                "ecs CreateCluster",
                json!({"clusterName": "x", "settings": settings}),
                INVALID,
                "Invalid cluster setting",
            )
            .await;
        let input = json!({"cluster": "default", "settings": settings});
        world.refuses("ecs UpdateClusterSettings", input.clone(), INVALID, "Invalid cluster setting").await;
        world.refuses("ecs UpdateCluster", input, INVALID, "Invalid cluster setting").await;
    }
    let settings = setting("containerInsights", "enhanced");
    let input = json!({"cluster": "default", "settings": settings});
    let updated = world.ok("ecs UpdateClusterSettings", input).await;
    assert_eq!(updated["cluster"]["settings"], settings);
    let configuration = json!({"executeCommandConfiguration": {"logging": "NONE"}});
    let input = json!({"cluster": "default", "configuration": configuration});
    let updated = world.ok("ecs UpdateCluster", input).await;
    assert_eq!(
        (&updated["cluster"]["configuration"], &updated["cluster"]["settings"]),
        (&configuration, &settings)
    );
    for operation in ["ecs UpdateCluster", "ecs UpdateClusterSettings"] {
        let input = json!({"cluster": "none", "settings": settings});
        world.refuses(operation, input, "ClusterNotFoundException", "Cluster not found.").await;
    }
}

#[tokio::test]
async fn capacity_providers_belong_to_a_cluster() {
    let world = World::new();
    world.ok("ecs CreateCluster", json!({})).await;
    let not_associated = "cannot contain a capacity provider that is not associated with the cluster";
    let rows = [
        (
            json!({"cluster": "none", "capacityProviders": [], "defaultCapacityProviderStrategy": []}),
            "ClusterNotFoundException",
            "Cluster not found.",
        ),
        (
            json!({"cluster": "default", "capacityProviders": ["mine"], "defaultCapacityProviderStrategy": []}),
            INVALID,
            "The specified capacity provider was not found.",
        ),
        (
            json!({"cluster": "default", "capacityProviders": [], "defaultCapacityProviderStrategy": [{"capacityProvider": "FARGATE"}]}),
            INVALID,
            not_associated,
        ),
        (
            json!({"cluster": "default", "capacityProviders": ["FARGATE"], "defaultCapacityProviderStrategy": [{"capacityProvider": "FARGATE"}, {"capacityProvider": "FARGATE"}]}),
            INVALID,
            "duplicate capacity providers",
        ),
        (
            json!({"cluster": "default", "capacityProviders": ["FARGATE", "FARGATE_SPOT"], "defaultCapacityProviderStrategy": [{"capacityProvider": "FARGATE"}, {"capacityProvider": "FARGATE_SPOT"}]}),
            INVALID,
            "At least one capacity provider must have a weight value greater than zero",
        ),
        (
            json!({"cluster": "default", "capacityProviders": ["FARGATE", "FARGATE_SPOT"], "defaultCapacityProviderStrategy": [{"capacityProvider": "FARGATE", "base": 1, "weight": 1}, {"capacityProvider": "FARGATE_SPOT", "base": 1}]}),
            INVALID,
            "Only one capacity provider",
        ),
        (
            json!({"cluster": "default", "capacityProviders": ["FARGATE"], "defaultCapacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": -1}]}),
            INVALID,
            "a weight between 0 and 1000",
        ),
    ];
    world.refuses_all("ecs PutClusterCapacityProviders", rows).await;
    let strategy = json!([{"capacityProvider": "FARGATE", "base": 1, "weight": 1}, {"capacityProvider": "FARGATE_SPOT", "weight": 4}]);
    let input = json!({"cluster": "default", "capacityProviders": ["FARGATE", "FARGATE_SPOT"], "defaultCapacityProviderStrategy": strategy});
    let put = world.ok("ecs PutClusterCapacityProviders", input).await;
    assert_eq!(put["cluster"]["capacityProviders"], json!(["FARGATE", "FARGATE_SPOT"]));
    assert_eq!(put["cluster"]["defaultCapacityProviderStrategy"], strategy);
    let all = world.ok("ecs DescribeCapacityProviders", json!({})).await;
    assert_eq!(all["capacityProviders"].each("name"), ["FARGATE", "FARGATE_SPOT"]);
    let some = world
        .ok("ecs DescribeCapacityProviders", json!({"capacityProviders": ["FARGATE_SPOT", "mine"]}))
        .await;
    assert_eq!(some["capacityProviders"].each("name"), ["FARGATE_SPOT"]);
    assert_eq!(some["failures"].each("reason"), ["MISSING"]);
}

#[tokio::test]
async fn there_are_no_container_instances() {
    let world = World::new();
    world.ok("ecs CreateCluster", json!({})).await;
    assert_eq!(world.ok("ecs ListContainerInstances", json!({})).await["containerInstanceArns"], json!([]));
    assert_eq!(
        world.ok("ecs ListAttributes", json!({"targetType": "container-instance"})).await["attributes"],
        json!([])
    );
    let arn = "arn:aws:ecs:us-east-1:123456789012:container-instance/default/i1";
    for given in ["i1", arn] {
        let found = world.ok("ecs DescribeContainerInstances", json!({"containerInstances": [given]})).await;
        assert_eq!(found["failures"], json!([{"arn": arn, "reason": "MISSING"}]), "{given}");
        let input = json!({"containerInstances": [given], "status": "DRAINING"});
        let found = world.ok("ecs UpdateContainerInstancesState", input).await;
        assert_eq!(found["failures"][0]["reason"], "MISSING", "{given}");
    }
    let attributes = json!([{"name": "stack", "value": "a", "targetId": "i1"}]);
    for operation in ["ecs PutAttributes", "ecs DeleteAttributes"] {
        world.refuses(operation, json!({"attributes": attributes}), "TargetNotFoundException", "i1").await;
        world.refuses(operation, json!({"attributes": []}), INVALID, "attributes").await;
    }
    world
        .refuses(
            "ecs DeregisterContainerInstance",
            json!({"containerInstance": "i1"}),
            INVALID,
            "Referenced container instance i1 not found.",
        )
        .await;
    world
        .refuses(
            "ecs DescribeContainerInstances",
            json!({"containerInstances": []}),
            INVALID,
            "cannot be empty",
        )
        .await;
    world
        .refuses("ecs ListServicesByNamespace", json!({"namespace": "n"}), "NamespaceNotFoundException", "n")
        .await;
}
