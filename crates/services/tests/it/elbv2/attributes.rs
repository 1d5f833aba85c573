//! Attributes.

use serde_json::{Value as Json, json};

use super::Fixture;
use crate::world::Answer as _;

const VALIDATION: &str = "ValidationError";
const CONFIGURATION: &str = "InvalidConfigurationRequest";

fn value(answer: &Json, key: &str) -> String {
    let found = answer["Attributes"].list().iter().find(|each| each["Key"] == key);
    found.unwrap_or_else(|| panic!("{key} is not in {answer}"))["Value"].text()
}

#[tokio::test]
async fn attributes_have_their_defaults_and_are_changed_together_or_not_at_all() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let balancer = fixture.balancer("site").await;
    let group = fixture.group("site").await;
    let listener = fixture.listener(&balancer, 80, &group).await;
    let cases = [
        ("LoadBalancer", "LoadBalancerArn", &balancer, "idle_timeout.timeout_seconds", "60", "61", "4001"),
        (
            "TargetGroup",
            "TargetGroupArn",
            &group,
            "deregistration_delay.timeout_seconds",
            "300",
            "15",
            "3601",
        ),
        (
            "Listener",
            "ListenerArn",
            &listener,
            "routing.http.response.server.enabled",
            "true",
            "false",
            "perhaps",
        ),
    ];
    for (what, member, arn, key, default, other, wrong) in cases {
        let (describe, modify) =
            (format!("elbv2 Describe{what}Attributes"), format!("elbv2 Modify{what}Attributes"));
        let set = |pairs: &[(&str, &str)]| {
            let pairs: Vec<Json> =
                pairs.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
            json!({member: arn, "Attributes": pairs})
        };
        assert_eq!(value(&world.ok(&describe, json!({member: arn})).await, key), default);
        world.refuses(&modify, set(&[(key, other), (key, wrong)]), VALIDATION, "must be").await;
        world
            .refuses(
                &modify,
                set(&[(key, other), ("no.such.key", "1")]),
                VALIDATION,
                "attribute key 'no.such.key' is not recognized",
            )
            .await;
        assert_eq!(value(&world.ok(&describe, json!({member: arn})).await, key), default);
        assert_eq!(value(&world.ok(&modify, set(&[(key, other)])).await, key), other);
        assert_eq!(value(&world.ok(&describe, json!({member: arn})).await, key), other);
    }
}

#[tokio::test]
async fn no_capacity_is_reserved() {
    // Terraform asks for every load balancer that it reads.
    let fixture = Fixture::new().await;
    let arn = fixture.balancer("site").await;
    let found = fixture.world.ok("elbv2 DescribeCapacityReservation", json!({"LoadBalancerArn": arn})).await;
    assert_eq!(found, json!({"CapacityReservationState": []}));
    let missing = json!({"LoadBalancerArn": arn.replace("/site/", "/none/")});
    let wording = "One or more load balancers not found";
    fixture
        .world
        .refuses("elbv2 DescribeCapacityReservation", missing, "LoadBalancerNotFound", wording)
        .await;
}

#[tokio::test]
async fn what_would_not_be_done_is_refused() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let balancer = fixture.balancer("site").await;
    let group = fixture.group("site").await;
    for (key, given, code) in [
        ("access_logs.s3.enabled", "true", CONFIGURATION),
        ("load_balancing.cross_zone.enabled", "false", CONFIGURATION),
        ("routing.http.desync_mitigation_mode", "lax", VALIDATION),
        ("routing.http2.enabled", "TRUE", VALIDATION),
        ("idle_timeout.timeout_seconds", "", VALIDATION),
        ("idle_timeout.timeout_seconds", "+5", VALIDATION),
        ("idle_timeout.timeout_seconds", "-1", VALIDATION),
        ("idle_timeout.timeout_seconds", "99999999999999999999", VALIDATION),
        ("access_logs.s3.bucket", "a\nb", VALIDATION),
        ("", "x", VALIDATION),
    ] {
        let input = json!({"LoadBalancerArn": balancer, "Attributes": [{"Key": key, "Value": given}]});
        world.refuses("elbv2 ModifyLoadBalancerAttributes", input, code, key).await;
    }
    for (key, given, code) in [
        ("stickiness.enabled", "true", CONFIGURATION),
        ("load_balancing.algorithm.type", "fastest", VALIDATION),
        ("slow_start.duration_seconds", "29", VALIDATION),
        ("slow_start.duration_seconds", "901", VALIDATION),
    ] {
        let input = json!({"TargetGroupArn": group, "Attributes": [{"Key": key, "Value": given}]});
        world.refuses("elbv2 ModifyTargetGroupAttributes", input, code, key).await;
    }
    for (key, given) in [
        ("slow_start.duration_seconds", "0"),
        ("slow_start.duration_seconds", "30"),
        ("stickiness.enabled", "false"),
        ("load_balancing.algorithm.type", "least_outstanding_requests"),
    ] {
        let input = json!({"TargetGroupArn": group, "Attributes": [{"Key": key, "Value": given}]});
        assert_eq!(value(&world.ok("elbv2 ModifyTargetGroupAttributes", input).await, key), given);
    }
}
