//! Placement constraints and strategies of services that run on instances.

use serde_json::json;

use super::Fixture;

const INVALID: &str = "InvalidParameterException";

#[tokio::test]
async fn placement_is_checked_and_given_back() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let definition =
        json!({"family": "bridge", "containerDefinitions": [{"name": "a", "image": "a", "memory": 64}]});
    world.ok("ecs RegisterTaskDefinition", definition).await;
    let service = |more: serde_json::Value| {
        let plain = json!({"taskDefinition": "bridge", "launchType": "EC2", "networkConfiguration": null});
        fixture.service("site", &super::with(plain, &more))
    };
    let rows = [
        (service(json!({"placementStrategy": [{"type": "spread"}]})), INVALID, "Invalid placement strategy"),
        (
            service(json!({"placementStrategy": [{"type": "binpack", "field": "disk"}]})),
            INVALID,
            "Invalid placement strategy",
        ),
        (service(json!({"placementStrategy": [{"type": "pile"}]})), INVALID, "Invalid placement strategy"),
        (service(json!({"placementStrategy": vec![json!({"type": "random"}); 6]})), INVALID, "At most 5"),
        (
            service(json!({"placementConstraints": [{"type": "memberOf"}]})),
            INVALID,
            "Invalid placement constraint",
        ),
        (
            service(json!({"placementConstraints": [{"type": "memberOf", "expression": "x".repeat(2001)}]})),
            INVALID,
            "Invalid placement constraint",
        ),
        (
            service(json!({"placementConstraints": vec![json!({"type": "distinctInstance"}); 11]})),
            INVALID,
            "At most 10",
        ),
        (service(json!({"platformVersion": "LATEST"})), INVALID, "The platform version must be null"),
    ];
    world.refuses_all("ecs CreateService", rows).await;
    let input = service(json!({
        "placementStrategy": [{"type": "spread", "field": "attribute:ecs.availability-zone"}, {"type": "binpack", "field": "memory"}],
        "placementConstraints": [{"type": "distinctInstance"}, {"type": "memberOf", "expression": "attribute:a == b"}],
    }));
    let made = world.ok("ecs CreateService", input).await["service"].clone();
    let strategy = json!([{"type": "spread", "field": "attribute:ecs.availability-zone"}, {"type": "binpack", "field": "MEMORY"}]);
    assert_eq!(made["placementStrategy"], strategy);
    let constraints =
        json!([{"type": "distinctInstance"}, {"type": "memberOf", "expression": "attribute:a == b"}]);
    assert_eq!(made["placementConstraints"], constraints);
}
