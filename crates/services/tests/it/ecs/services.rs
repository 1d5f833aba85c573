//! Services: creating, describing, listing and deleting them.

use serde_json::{Value as Json, json};

use super::{Fixture, with};
use crate::world::Answer as _;

const CLIENT: &str = "ClientException";
const INVALID: &str = "InvalidParameterException";

#[tokio::test]
async fn a_service_is_described_as_aws_describes_it() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let made = world.ok("ecs CreateService", fixture.service("site", &json!({}))).await["service"].clone();
    assert_eq!(made["serviceArn"], "arn:aws:ecs:us-east-1:123456789012:service/web/site");
    assert_eq!(
        (&made["status"], &made["desiredCount"], &made["runningCount"]),
        (&json!("ACTIVE"), &json!(2), &json!(0))
    );
    assert_eq!((&made["schedulingStrategy"], &made["launchType"]), (&json!("REPLICA"), &json!("FARGATE")));
    assert_eq!((&made["platformVersion"], &made["platformFamily"]), (&json!("LATEST"), &json!("Linux")));
    let configuration = json!({
        "maximumPercent": 200, "minimumHealthyPercent": 100, "strategy": "ROLLING", "bakeTimeInMinutes": 0,
        "deploymentCircuitBreaker": {"enable": false, "rollback": false},
    });
    assert_eq!(made["deploymentConfiguration"], configuration);
    assert_eq!(
        (&made["events"], &made["loadBalancers"], &made["serviceRegistries"]),
        (&json!([]), &json!([]), &json!([]))
    );
    assert_eq!(
        (&made["propagateTags"], &made["availabilityZoneRebalancing"]),
        (&json!("NONE"), &json!("ENABLED"))
    );
    assert_eq!(made["healthCheckGracePeriodSeconds"], json!(null));
    let deployments = made["deployments"].list();
    assert_eq!(deployments.len(), 1);
    let primary = &deployments[0];
    let id = primary["id"].text();
    assert!(id.starts_with("ecs-svc/") && id.len() == 27, "{id}");
    assert_eq!((&primary["status"], &primary["rolloutState"]), (&json!("PRIMARY"), &json!("IN_PROGRESS")));
    assert_eq!(primary["rolloutStateReason"], json!(format!("ECS deployment {id} in progress.")));
    assert_eq!((&primary["desiredCount"], &primary["platformVersion"]), (&json!(2), &json!("1.4.0")));
    let (_, _, group) = world.default_network().await;
    let network = &primary["networkConfiguration"]["awsvpcConfiguration"];
    assert_eq!(
        (&network["securityGroups"], &network["assignPublicIp"]),
        (&json!([group]), &json!("DISABLED"))
    );
    assert_eq!(fixture.describe("site").await["serviceArn"], made["serviceArn"]);
}

#[tokio::test]
async fn members_that_were_not_given_are_not_shown() {
    // An empty networkConfiguration, for one, crashes Terraform's provider.
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let definition =
        json!({"family": "bridge", "containerDefinitions": [{"name": "a", "image": "a", "memory": 64}]});
    world.ok("ecs RegisterTaskDefinition", definition).await;
    let more = json!({"taskDefinition": "bridge", "launchType": "EC2", "networkConfiguration": null});
    let made = world.ok("ecs CreateService", fixture.service("site", &more)).await["service"].clone();
    for member in [
        "networkConfiguration",
        "platformVersion",
        "platformFamily",
        "roleArn",
        "capacityProviderStrategy",
        "healthCheckGracePeriodSeconds",
    ] {
        assert_eq!(made.get(member), None, "{member}");
        assert_eq!(made["deployments"][0].get(member), None, "{member}");
    }
}

#[tokio::test]
async fn create_service_says_what_is_wrong() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let group = fixture.target_group("used").await;
    let input =
        json!({"Name": "lonely", "Protocol": "HTTP", "Port": 80, "VpcId": fixture.vpc, "TargetType": "ip"});
    let lonely = world.ok("elbv2 CreateTargetGroup", input).await["TargetGroups"][0]["TargetGroupArn"].text();
    let service = |more: Json| fixture.service("site", &more);
    let balanced = |more: Json| {
        let plain = json!({"targetGroupArn": group, "containerName": "web", "containerPort": 8000});
        service(json!({"loadBalancers": [with(plain, &more)]}))
    };
    let configured = |more: Json| service(json!({"deploymentConfiguration": more}));
    let elsewhere = group.replace("us-east-1", "eu-west-1");
    let rows = [
        (service(json!({"serviceName": ""})), INVALID, "Invalid service name"),
        (service(json!({"serviceName": "a/b"})), INVALID, "Invalid service name"),
        (service(json!({"serviceName": "x".repeat(256)})), INVALID, "Invalid service name"),
        (service(json!({"cluster": "none"})), "ClusterNotFoundException", "Cluster not found."),
        (service(json!({"taskDefinition": null})), INVALID, "TaskDefinition can not be blank."),
        (service(json!({"taskDefinition": "none"})), CLIENT, "TaskDefinition not found."),
        (service(json!({"desiredCount": null})), INVALID, "desiredCount can not be blank."),
        (service(json!({"desiredCount": -1})), INVALID, "desiredCount can not be negative."),
        (service(json!({"desiredCount": 5001})), INVALID, "desiredCount must be at most 5000."),
        (service(json!({"networkConfiguration": null})), INVALID, "Network Configuration must be provided"),
        (service(json!({"schedulingStrategy": "CRON"})), INVALID, "Invalid scheduling strategy 'CRON'."),
        (
            service(json!({"schedulingStrategy": "DAEMON"})),
            INVALID,
            "The daemon scheduling strategy is not supported for AWS Fargate services.",
        ),
        (
            service(json!({"deploymentController": {"type": "CODE_DEPLOY"}})),
            CLIENT,
            "only the deployment controller ECS",
        ),
        (
            service(json!({"deploymentController": {"type": "MINE"}})),
            INVALID,
            "Invalid deployment controller 'MINE'.",
        ),
        (
            service(json!({"role": "ecsServiceRole"})),
            INVALID,
            "You cannot specify an IAM role for services that require a service linked role.",
        ),
        (
            service(json!({"healthCheckGracePeriodSeconds": 10})),
            INVALID,
            "Health check grace period is only valid for services configured to use load balancers",
        ),
        (
            service(json!({"platformVersion": "2.0"})),
            "PlatformUnknownException",
            "The specified platform does not exist.",
        ),
        (service(json!({"clientToken": "x".repeat(37)})), INVALID, "clientToken must be at most 36"),
        (service(json!({"serviceRegistries": [{"registryArn": "x"}]})), CLIENT, "serviceRegistries"),
        (
            service(json!({"serviceConnectConfiguration": {"enabled": true}})),
            CLIENT,
            "serviceConnectConfiguration",
        ),
        (service(json!({"tags": [{"key": "a"}, {"key": "a"}]})), INVALID, "Duplicate tag key 'a'."),
        (
            service(json!({"tags": (0..51).map(|n| json!({"key": format!("k{n}")})).collect::<Vec<_>>()})),
            INVALID,
            "exceeds the maximum of 50",
        ),
        (
            configured(json!({"maximumPercent": 99})),
            INVALID,
            "maximumPercent must be greater than or equal to 100.",
        ),
        (
            configured(json!({"maximumPercent": 100})),
            INVALID,
            "Both maximumPercent and minimumHealthyPercent cannot be 100",
        ),
        (
            configured(json!({"maximumPercent": 150, "minimumHealthyPercent": 150})),
            INVALID,
            "minimumHealthyPercent must be less than maximumPercent.",
        ),
        (configured(json!({"minimumHealthyPercent": -1})), INVALID, "can not be negative"),
        (configured(json!({"strategy": "CANARY"})), CLIENT, "deployment strategy CANARY"),
        (configured(json!({"bakeTimeInMinutes": 5})), CLIENT, "bakeTimeInMinutes"),
        (
            configured(json!({"alarms": {"enable": true, "rollback": false, "alarmNames": ["a"]}})),
            CLIENT,
            "alarms",
        ),
        (
            service(
                json!({"availabilityZoneRebalancing": "ENABLED", "deploymentConfiguration": {"maximumPercent": 100, "minimumHealthyPercent": 0}}),
            ),
            INVALID,
            "Availability Zone rebalancing requires",
        ),
        (
            balanced(json!({"targetGroupArn": null, "loadBalancerName": "classic"})),
            CLIENT,
            "classic load balancers",
        ),
        (balanced(json!({"targetGroupArn": "nonsense"})), INVALID, "target group not found"),
        (balanced(json!({"targetGroupArn": elsewhere})), INVALID, "target group not found"),
        (balanced(json!({"targetGroupArn": lonely})), INVALID, "does not have an associated load balancer."),
        (
            balanced(json!({"containerName": "other"})),
            INVALID,
            "The container other does not exist in the task definition.",
        ),
        (
            balanced(json!({"containerPort": 81})),
            INVALID,
            "The container web did not have a container port 81 defined.",
        ),
        (balanced(json!({"containerPort": -1})), INVALID, "did not have a container port"),
    ];
    world.refuses_all("ecs CreateService", rows).await;
    assert_eq!(world.ok("ecs ListServices", json!({"cluster": "web"})).await["serviceArns"], json!([]));
}

#[tokio::test]
async fn percents_that_leave_room_are_accepted() {
    let fixture = Fixture::new().await;
    for (minimum, maximum) in [(0, 100), (50, 100), (50, 200), (100, 400), (100, 101), (99, 100)] {
        let name = format!("s-{minimum}-{maximum}");
        let more =
            json!({"deploymentConfiguration": {"minimumHealthyPercent": minimum, "maximumPercent": maximum}});
        let made = fixture.world.ok("ecs CreateService", fixture.service(&name, &more)).await;
        let configuration = &made["service"]["deploymentConfiguration"];
        assert_eq!(
            (&configuration["minimumHealthyPercent"], &configuration["maximumPercent"]),
            (&json!(minimum), &json!(maximum))
        );
        let rebalancing = if maximum > 100 { "ENABLED" } else { "DISABLED" };
        assert_eq!(made["service"]["availabilityZoneRebalancing"], rebalancing, "{name}");
    }
}

#[tokio::test]
async fn a_daemon_has_no_desired_count() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let definition =
        json!({"family": "bridge", "containerDefinitions": [{"name": "a", "image": "a", "memory": 64}]});
    world.ok("ecs RegisterTaskDefinition", definition).await;
    let daemon = |more: Json| {
        let plain = json!({"taskDefinition": "bridge", "launchType": "EC2", "networkConfiguration": null, "schedulingStrategy": "DAEMON", "desiredCount": null});
        fixture.service("daemon", &with(plain, &more))
    };
    let count = "The daemon scheduling strategy does not support a desired count for services.";
    world.refuses("ecs CreateService", daemon(json!({"desiredCount": 1})), INVALID, count).await;
    let configuration = json!({"deploymentConfiguration": {"maximumPercent": 200}});
    world.refuses("ecs CreateService", daemon(configuration), INVALID, "maximumPercent").await;
    let made = world.ok("ecs CreateService", daemon(json!({}))).await["service"].clone();
    let configuration = &made["deploymentConfiguration"];
    assert_eq!(
        (&configuration["minimumHealthyPercent"], &configuration["maximumPercent"]),
        (&json!(0), &json!(100))
    );
    assert_eq!(configuration.get("deploymentCircuitBreaker"), None);
    world
        .refuses(
            "ecs UpdateService",
            json!({"cluster": "web", "service": "daemon", "desiredCount": 1}),
            INVALID,
            count,
        )
        .await;
    // A daemon is deleted without force.
    world.ok("ecs DeleteService", json!({"cluster": "web", "service": "daemon"})).await;
}

#[tokio::test]
async fn a_name_is_free_again_when_its_service_is_over() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let delete = json!({"cluster": "web", "service": "site"});
    let input = fixture.service("site", &json!({"clientToken": "one"}));
    world
        .refuses("ecs DeleteService", delete.clone(), "ServiceNotFoundException", "Service not found.")
        .await;
    let made = world.ok("ecs CreateService", input.clone()).await;
    // The same token gives the same service; without it, the name is taken.
    let again = world.ok("ecs CreateService", input.clone()).await;
    assert_eq!(again["service"]["deployments"][0]["id"], made["service"]["deployments"][0]["id"]);
    let refused = "Creation of service was not idempotent.";
    world.refuses("ecs CreateService", fixture.service("site", &json!({})), INVALID, refused).await;
    world
        .refuses(
            "ecs CreateService",
            fixture.service("site", &json!({"clientToken": "two"})),
            INVALID,
            refused,
        )
        .await;

    world
        .refuses(
            "ecs DeleteService",
            delete.clone(),
            INVALID,
            "The service cannot be stopped while it is scaled above 0.",
        )
        .await;
    let gone = world.ok("ecs DeleteService", with(delete.clone(), &json!({"force": true}))).await;
    assert_eq!(
        (&gone["service"]["status"], &gone["service"]["desiredCount"]),
        (&json!("DRAINING"), &json!(0))
    );
    world
        .refuses(
            "ecs CreateService",
            input.clone(),
            INVALID,
            "Unable to Start a service that is still Draining.",
        )
        .await;
    for operation in ["ecs DeleteService", "ecs UpdateService"] {
        world
            .refuses(operation, delete.clone(), "ServiceNotActiveException", "Service was not ACTIVE.")
            .await;
    }
    let event = gantry_domain::service::ServiceEvent {
        region: "us-east-1".into(),
        cluster: "web".into(),
        service: "site".into(),
        sequence: 1,
        id: "e".to_owned(),
        created_at: world.now,
        message: "(service site) has reached a steady state.".to_owned(),
    };
    world.commit(vec![gantry_domain::Change::create(event)]).await;
    fixture.end_service("site").await;
    let over = fixture.describe("site").await;
    assert_eq!((&over["status"], &over["deployments"]), (&json!("INACTIVE"), &json!([])));
    assert_eq!(over["taskDefinition"], "arn:aws:ecs:us-east-1:123456789012:task-definition/web:1");
    assert_eq!(over["events"].list().len(), 1);
    assert_eq!(world.ok("ecs ListServices", json!({"cluster": "web"})).await["serviceArns"], json!([]));

    let new = world.ok("ecs CreateService", input).await;
    assert_eq!((&new["service"]["status"], &new["service"]["events"]), (&json!("ACTIVE"), &json!([])));
    assert_ne!(new["service"]["deployments"][0]["id"], made["service"]["deployments"][0]["id"]);
    assert_eq!(
        fixture.describe("site").await["events"],
        json!([]),
        "a service does not tell its namesake's story"
    );
}

#[tokio::test]
async fn a_service_with_a_deployment_under_way_is_not_deleted_unforced() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    world.ok("ecs CreateService", fixture.service("site", &json!({}))).await;
    fixture.complete("site").await;
    world
        .ok(
            "ecs UpdateService",
            json!({"cluster": "web", "service": "site", "desiredCount": 0, "forceNewDeployment": true}),
        )
        .await;
    let delete = json!({"cluster": "web", "service": "site"});
    world
        .refuses(
            "ecs DeleteService",
            delete.clone(),
            INVALID,
            "The service cannot be stopped while deployments are active.",
        )
        .await;
    world.ok("ecs DeleteService", with(delete, &json!({"force": true}))).await;
}

#[tokio::test]
async fn services_are_described_and_listed() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    for number in 0..12 {
        world.ok("ecs CreateService", fixture.service(&format!("s{number:02}"), &json!({}))).await;
    }
    let first = world.ok("ecs ListServices", json!({"cluster": "web"})).await;
    assert_eq!(first["serviceArns"].list().len(), 10);
    let second =
        world.ok("ecs ListServices", json!({"cluster": "web", "nextToken": first["nextToken"]})).await;
    assert_eq!((second["serviceArns"].list().len(), &second["nextToken"]), (2, &json!(null)));
    for (input, expected) in [
        (json!({"cluster": "web", "maxResults": 100, "launchType": "FARGATE"}), 12),
        (json!({"cluster": "web", "maxResults": 100, "launchType": "EC2"}), 0),
        (json!({"cluster": "web", "maxResults": 100, "schedulingStrategy": "REPLICA"}), 12),
        (json!({"cluster": "web", "maxResults": 100, "schedulingStrategy": "DAEMON"}), 0),
    ] {
        let found = world.ok("ecs ListServices", input.clone()).await;
        assert_eq!(found["serviceArns"].list().len(), expected, "{input}");
    }
    let arn = "arn:aws:ecs:us-east-1:123456789012:service/web";
    let missing = ["nothing".to_owned(), "arn:aws:ecs:eu-west-1:123456789012:service/web/s01".to_owned()];
    let given = json!({"cluster": "web", "services": ["s01", format!("{arn}/s02"), "arn:aws:ecs:us-east-1:123456789012:service/s03", missing[0], missing[1]]});
    let found = world.ok("ecs DescribeServices", given).await;
    assert_eq!(found["services"].each("serviceName"), ["s01", "s02", "s03"]);
    assert_eq!(found["failures"].each("arn"), [format!("{arn}/nothing"), missing[1].clone()]);
    assert_eq!(found["failures"].each("reason"), ["MISSING", "MISSING"]);
    let rows = [
        (json!({"cluster": "web", "services": []}), INVALID, "Services cannot be empty."),
        (
            json!({"cluster": "web", "services": vec!["s"; 11]}),
            INVALID,
            "Services cannot have more than 10 elements.",
        ),
        (json!({"services": ["s01"]}), "ClusterNotFoundException", "Cluster not found."),
        (
            json!({"cluster": "web", "services": ["arn:aws:ecs:us-east-1:123456789012:service/other/s01"]}),
            INVALID,
            "Identifier is for cluster other. Your cluster is web",
        ),
        (
            json!({"cluster": "web", "services": ["arn:aws:ecs:us-east-1:123456789012:cluster/web"]}),
            INVALID,
            "Unsupported resource type: cluster",
        ),
    ];
    world.refuses_all("ecs DescribeServices", rows).await;
}

#[tokio::test]
async fn a_load_balanced_service_shows_its_balancer_and_role() {
    let fixture = Fixture::new().await;
    let group = fixture.target_group("site").await;
    let balancers = json!([{"targetGroupArn": group, "containerName": "web", "containerPort": 8000}]);
    let input = fixture.service("site", &json!({"loadBalancers": balancers}));
    let made = fixture.world.ok("ecs CreateService", input).await["service"].clone();
    assert_eq!((&made["loadBalancers"], &made["healthCheckGracePeriodSeconds"]), (&balancers, &json!(0)));
    let role = "arn:aws:iam::123456789012:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS";
    assert_eq!(made["roleArn"], role);
}
