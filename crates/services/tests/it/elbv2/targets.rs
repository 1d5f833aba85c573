//! Targets.

use serde_json::{Value as Json, json};

use super::Fixture;
use crate::world::Answer as _;

const VALIDATION: &str = "ValidationError";

/// Each target's address, port, state and reason.
async fn health(fixture: &Fixture, group: &str) -> Vec<(String, i64, String, String)> {
    let found = fixture.world.ok("elbv2 DescribeTargetHealth", json!({"TargetGroupArn": group})).await;
    let mut all: Vec<_> = found["TargetHealthDescriptions"]
        .list()
        .iter()
        .map(|each| {
            let (target, health) = (&each["Target"], &each["TargetHealth"]);
            let port = target["Port"].as_i64().unwrap();
            (
                target["Id"].text(),
                port,
                health["State"].text(),
                health["Reason"].as_str().unwrap_or("").to_owned(),
            )
        })
        .collect();
    all.sort();
    all
}

fn named(address: &str, port: i64, state: &str, reason: &str) -> (String, i64, String, String) {
    (address.to_owned(), port, state.to_owned(), reason.to_owned())
}

fn targets(group: &str, targets: &[(&str, Option<i64>)]) -> Json {
    let targets: Vec<Json> = targets.iter().map(|(id, port)| json!({"Id": id, "Port": port})).collect();
    json!({"TargetGroupArn": group, "Targets": targets})
}

#[tokio::test]
async fn targets_come_and_go() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let group = fixture.group("site").await;
    let (a, b) = ("172.31.0.10", "172.31.0.11");
    world
        .ok("elbv2 RegisterTargets", targets(&group, &[(a, None), (b, Some(81)), (a, None), (a, Some(80))]))
        .await;
    world.ok("elbv2 RegisterTargets", targets(&group, &[(a, None)])).await;
    // Nothing forwards to the group yet.
    let unused = "Target.NotInUse";
    assert_eq!(
        health(&fixture, &group).await,
        [named(a, 80, "unused", unused), named(b, 81, "unused", unused)]
    );
    let balancer = fixture.balancer("site").await;
    fixture.listener(&balancer, 80, &group).await;
    let registering = "Elb.RegistrationInProgress";
    assert_eq!(
        health(&fixture, &group).await,
        [named(a, 80, "initial", registering), named(b, 81, "initial", registering)]
    );
    let some = json!({"TargetGroupArn": group, "Targets": [{"Id": b, "Port": 81}, {"Id": b}, {"Id": "172.31.0.99", "Port": 1}]});
    let found = world.ok("elbv2 DescribeTargetHealth", some).await["TargetHealthDescriptions"].clone();
    let states: Vec<_> = found.list().iter().map(|each| each["TargetHealth"]["State"].text()).collect();
    assert_eq!(states, ["initial", "unused", "unused"]);
    assert_eq!(found[1]["TargetHealth"]["Reason"], "Target.NotRegistered");
    assert_eq!(
        (&found[0]["Target"]["AvailabilityZone"], &found[0]["HealthCheckPort"]),
        (&json!("us-east-1a"), &json!("81"))
    );

    // A target with a port of its own is only named together with it.
    world.ok("elbv2 DeregisterTargets", targets(&group, &[(b, None)])).await;
    assert_eq!(health(&fixture, &group).await[1], named(b, 81, "initial", registering));
    world.ok("elbv2 DeregisterTargets", targets(&group, &[(a, None), (b, Some(81)), (b, Some(81))])).await;
    let draining = "Target.DeregistrationInProgress";
    assert_eq!(
        health(&fixture, &group).await,
        [named(a, 80, "draining", draining), named(b, 81, "draining", draining)]
    );
    // What is registered again is shown as it is now.
    world.ok("elbv2 RegisterTargets", targets(&group, &[(a, None)])).await;
    assert_eq!(
        health(&fixture, &group).await,
        [named(a, 80, "initial", registering), named(b, 81, "draining", draining)]
    );
}

#[tokio::test]
async fn a_healthy_target_has_no_reason() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let group = fixture.group("site").await;
    let balancer = fixture.balancer("site").await;
    fixture.listener(&balancer, 80, &group).await;
    world.ok("elbv2 RegisterTargets", targets(&group, &[("172.31.0.10", None)])).await;
    let change = world.read(|view| {
        let found = view.scan::<gantry_domain::elb::Target>("").next().unwrap();
        let mut record = found.cloned();
        record.health = gantry_domain::elb::TargetHealth::new(gantry_domain::elb::TargetHealthState::Healthy);
        gantry_domain::Change::update(record, found.revision)
    });
    world.commit(vec![change]).await;
    let found = world.ok("elbv2 DescribeTargetHealth", json!({"TargetGroupArn": group})).await;
    assert_eq!(found["TargetHealthDescriptions"][0]["TargetHealth"], json!({"State": "healthy"}));
}

#[tokio::test]
async fn where_nothing_is_forwarded_nothing_drains() {
    let fixture = Fixture::new().await;
    let group = fixture.group("site").await;
    fixture.world.ok("elbv2 RegisterTargets", targets(&group, &[("172.31.0.10", None)])).await;
    fixture.world.ok("elbv2 DeregisterTargets", targets(&group, &[("172.31.0.10", None)])).await;
    assert_eq!(health(&fixture, &group).await, []);
    // What is not registered can be taken out again and again.
    fixture.world.ok("elbv2 DeregisterTargets", targets(&group, &[("172.31.0.10", None)])).await;
}

#[tokio::test]
async fn a_thousand_targets_fit_and_no_more() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let group = fixture.group("site").await;
    let addresses: Vec<String> = (0..1000).map(|n| format!("172.31.{}.{}", n / 250, 1 + n % 250)).collect();
    let all: Vec<(&str, Option<i64>)> = addresses.iter().map(|address| (address.as_str(), None)).collect();
    let more = targets(&group, &[("172.31.9.9", None)]);
    let mut too_many = all.clone();
    too_many.push(("172.31.9.9", None));
    world
        .refuses(
            "elbv2 RegisterTargets",
            targets(&group, &too_many),
            "TooManyTargets",
            "maximum number of targets",
        )
        .await;
    assert_eq!(health(&fixture, &group).await.len(), 0);
    world.ok("elbv2 RegisterTargets", targets(&group, &all)).await;
    assert_eq!(health(&fixture, &group).await.len(), 1000);
    world.refuses("elbv2 RegisterTargets", more, "TooManyTargets", "maximum number of targets").await;
    world.ok("elbv2 RegisterTargets", targets(&group, &all)).await;
    world.ok("elbv2 DeregisterTargets", targets(&group, &all)).await;
    assert_eq!(health(&fixture, &group).await.len(), 0);
    world.ok("elbv2 RegisterTargets", targets(&group, &all)).await;
    world.ok("elbv2 DeleteTargetGroup", json!({"TargetGroupArn": group})).await;
}

#[tokio::test]
async fn targets_are_checked() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let group = fixture.group("site").await;
    let instances = world
        .ok("elbv2 CreateTargetGroup", fixture.group_input("instances", &json!({"TargetType": "instance"})))
        .await;
    let instances = instances["TargetGroups"][0]["TargetGroupArn"].text();
    let outside =
        |id: &str| json!({"TargetGroupArn": group, "Targets": [{"Id": id, "AvailabilityZone": "all"}]});
    let rows = [
        (targets(&group, &[]), VALIDATION, "At least one target"),
        (targets(&group, &[("", None)]), VALIDATION, "is not a valid IPv4 address"),
        (targets(&group, &[("i-0123456789abcdef0", None)]), VALIDATION, "is not a valid IPv4 address"),
        (targets(&group, &[("::1", None)]), VALIDATION, "is not a valid IPv4 address"),
        (targets(&group, &[("172.31.0.1", Some(0))]), VALIDATION, "must be between 1 and 65535"),
        (targets(&group, &[("172.31.0.1", Some(65536))]), VALIDATION, "must be between 1 and 65535"),
        (targets(&group, &[("10.1.1.1", None)]), VALIDATION, "is not within a range of the VPC"),
        (
            targets(&group, &[("172.31.0.1", None), ("10.1.1.1", None)]),
            VALIDATION,
            "is not within a range of the VPC",
        ),
        (outside("127.0.0.1"), VALIDATION, "neither in the VPC nor in one of the ranges"),
        (outside("169.254.169.254"), VALIDATION, "neither in the VPC nor in one of the ranges"),
        (outside("0.0.0.0"), VALIDATION, "neither in the VPC nor in one of the ranges"),
        (outside("8.8.8.8"), VALIDATION, "neither in the VPC nor in one of the ranges"),
        (outside("100.128.0.1"), VALIDATION, "neither in the VPC nor in one of the ranges"),
        (
            targets(&instances, &[("i-0123456789abcdef0", None)]),
            "InvalidTarget",
            "are not in a running state",
        ),
        (
            targets(&group.replace("/site/", "/none/"), &[("172.31.0.1", None)]),
            "TargetGroupNotFound",
            "One or more target groups not found",
        ),
    ];
    world.refuses_all("elbv2 RegisterTargets", rows).await;
    assert_eq!(health(&fixture, &group).await, []);
    for id in ["10.1.1.1", "192.168.0.1", "100.64.0.1"] {
        world.ok("elbv2 RegisterTargets", outside(id)).await;
    }
    assert_eq!(health(&fixture, &group).await.len(), 3);
    let missing = group.replace("/site/", "/none/");
    for operation in ["elbv2 DeregisterTargets", "elbv2 DescribeTargetHealth"] {
        let input = targets(&missing, &[("172.31.0.1", None)]);
        world.refuses(operation, input, "TargetGroupNotFound", "One or more target groups not found").await;
    }
}
