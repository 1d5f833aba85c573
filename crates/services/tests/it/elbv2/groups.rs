//! Target groups.

use serde_json::{Value as Json, json};

use super::{Fixture, with};
use crate::world::Answer as _;

const VALIDATION: &str = "ValidationError";

#[tokio::test]
async fn a_target_group_lives() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let made =
        world.ok("elbv2 CreateTargetGroup", fixture.group_input("site", &json!({}))).await["TargetGroups"][0]
            .clone();
    let arn = made["TargetGroupArn"].text();
    assert!(
        arn.starts_with("arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/site/"),
        "{arn}"
    );
    let defaults = json!({
        "HealthCheckEnabled": true, "HealthCheckIntervalSeconds": 30, "HealthCheckPath": "/",
        "HealthCheckPort": "traffic-port", "HealthCheckProtocol": "HTTP", "HealthCheckTimeoutSeconds": 5,
        "HealthyThresholdCount": 5, "UnhealthyThresholdCount": 2, "Matcher": {"HttpCode": "200"},
        "ProtocolVersion": "HTTP1", "LoadBalancerArns": [], "IpAddressType": "ipv4", "TargetType": "ip",
    });
    for (member, value) in defaults.as_object().unwrap() {
        assert_eq!(&made[member], value, "{member}");
    }
    let again = world.ok("elbv2 CreateTargetGroup", fixture.group_input("site", &json!({}))).await;
    assert_eq!(again["TargetGroups"][0], made);
    for more in
        [json!({"Port": 81}), json!({"HealthCheckPath": "/health"}), json!({"TargetType": "instance"})]
    {
        let wording = "A target group with the same name 'site' exists, but with different settings";
        world
            .refuses(
                "elbv2 CreateTargetGroup",
                fixture.group_input("site", &more),
                "DuplicateTargetGroupName",
                wording,
            )
            .await;
    }
    let balancer = fixture.balancer("site").await;
    let other = fixture.group("other").await;
    let listener = fixture.listener(&balancer, 80, &arn).await;
    for (input, expected) in [
        (json!({}), vec!["other", "site"]),
        (json!({"Names": ["site"]}), vec!["site"]),
        (json!({"TargetGroupArns": [arn]}), vec!["site"]),
        (json!({"LoadBalancerArn": balancer}), vec!["site"]),
    ] {
        let found = world.ok("elbv2 DescribeTargetGroups", input.clone()).await;
        assert_eq!(found["TargetGroups"].each("TargetGroupName"), expected, "{input}");
    }
    let found = world.ok("elbv2 DescribeTargetGroups", json!({"Names": ["site"]})).await;
    assert_eq!(found["TargetGroups"][0]["LoadBalancerArns"], json!([balancer]));
    let wording = format!("Target group '{arn}' is currently in use by a listener or a rule");
    world.refuses("elbv2 DeleteTargetGroup", json!({"TargetGroupArn": arn}), "ResourceInUse", &wording).await;
    // A rule's group is in use as well.
    let rule = fixture.rule(&listener, 1, &other).await;
    world
        .refuses("elbv2 DeleteTargetGroup", json!({"TargetGroupArn": other}), "ResourceInUse", "in use")
        .await;
    world.ok("elbv2 DeleteRule", json!({"RuleArn": rule})).await;
    world.ok("elbv2 DeleteTargetGroup", json!({"TargetGroupArn": other})).await;
    world.ok("elbv2 DeleteTargetGroup", json!({"TargetGroupArn": other})).await;
    for input in [json!({"TargetGroupArns": [other]}), json!({"Names": ["other"]})] {
        world
            .refuses(
                "elbv2 DescribeTargetGroups",
                input,
                "TargetGroupNotFound",
                "One or more target groups not found",
            )
            .await;
    }
    let both = json!({"Names": ["site"], "LoadBalancerArn": balancer});
    world.refuses("elbv2 DescribeTargetGroups", both, VALIDATION, "at the same time").await;
    fixture.group("other").await;
}

fn wrong_checks() -> Vec<(Json, &'static str, &'static str)> {
    vec![
        (json!({"HealthCheckEnabled": false}), VALIDATION, "Health check enabled must be true"),
        (json!({"HealthCheckProtocol": "TCP"}), "UnsupportedProtocol", "not 'TCP'"),
        (json!({"HealthCheckPort": "0"}), VALIDATION, "must be 'traffic-port' or a port"),
        (json!({"HealthCheckPort": "65536"}), VALIDATION, "must be 'traffic-port' or a port"),
        (json!({"HealthCheckPort": "http"}), VALIDATION, "must be 'traffic-port' or a port"),
        (json!({"HealthCheckPath": "health"}), VALIDATION, "must begin with a '/' character"),
        (json!({"HealthCheckPath": "/a b"}), VALIDATION, "must begin with a '/' character"),
        (json!({"HealthCheckPath": "/a\r\nX: y"}), VALIDATION, "must begin with a '/' character"),
        (json!({"HealthCheckPath": "/ü"}), VALIDATION, "must begin with a '/' character"),
        (
            json!({"HealthCheckPath": format!("/{}", "x".repeat(1024))}),
            VALIDATION,
            "must begin with a '/' character",
        ),
        (
            json!({"HealthCheckIntervalSeconds": 4}),
            VALIDATION,
            "Health check interval must be between 5 and 300",
        ),
        (
            json!({"HealthCheckIntervalSeconds": -5}),
            VALIDATION,
            "Health check interval must be between 5 and 300",
        ),
        (
            json!({"HealthCheckTimeoutSeconds": 1}),
            VALIDATION,
            "Health check timeout must be between 2 and 120",
        ),
        (json!({"HealthCheckTimeoutSeconds": 30}), VALIDATION, "interval must be greater than the timeout"),
        (json!({"HealthyThresholdCount": 1}), VALIDATION, "Healthy threshold count must be between 2 and 10"),
        (
            json!({"UnhealthyThresholdCount": 11}),
            VALIDATION,
            "Unhealthy threshold count must be between 2 and 10",
        ),
        (json!({"Matcher": {"HttpCode": "199"}}), VALIDATION, "must be within '200-499' inclusive"),
        (json!({"Matcher": {"HttpCode": "200-"}}), VALIDATION, "must be within '200-499' inclusive"),
        (json!({"Matcher": {"GrpcCode": "0"}}), VALIDATION, "gRPC code"),
    ]
}

#[tokio::test]
async fn create_target_group_says_what_is_wrong() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let group = |more: Json| fixture.group_input("site", &more);
    let rows = vec![
        (group(json!({"Name": "a/b"})), VALIDATION, "alphanumeric characters or hyphens(-)"),
        (group(json!({"TargetType": "lambda"})), "InvalidConfigurationRequest", "not lambda, yet"),
        (group(json!({"TargetType": "moon"})), VALIDATION, "Invalid target type 'moon'"),
        (group(json!({"Protocol": null})), VALIDATION, "A protocol must be specified"),
        (group(json!({"Protocol": "TCP"})), "UnsupportedProtocol", "not 'TCP'"),
        (group(json!({"Protocol": "HTTPS"})), "UnsupportedProtocol", "HTTPS targets"),
        (group(json!({"ProtocolVersion": "GRPC"})), "InvalidConfigurationRequest", "not 'GRPC'"),
        (group(json!({"Port": null})), VALIDATION, "A port between 1 and 65535 must be specified"),
        (group(json!({"Port": 0})), VALIDATION, "A port between 1 and 65535 must be specified"),
        (group(json!({"Port": 65536})), VALIDATION, "A port between 1 and 65535 must be specified"),
        (group(json!({"Port": -1})), VALIDATION, "A port between 1 and 65535 must be specified"),
        (group(json!({"VpcId": null})), VALIDATION, "A VPC ID must be specified"),
        (group(json!({"VpcId": "vpc-1"})), VALIDATION, "The VPC ID 'vpc-1' is not found"),
        (group(json!({"IpAddressType": "ipv6"})), "InvalidConfigurationRequest", "ipv4"),
    ];
    world.refuses_all("elbv2 CreateTargetGroup", rows).await;
    let rows: Vec<_> =
        wrong_checks().into_iter().map(|(more, code, wording)| (group(more), code, wording)).collect();
    world.refuses_all("elbv2 CreateTargetGroup", rows).await;
    assert_eq!(world.ok("elbv2 DescribeTargetGroups", json!({})).await["TargetGroups"], json!([]));
}

#[tokio::test]
async fn empty_texts_are_members_that_are_not_set() {
    // Terraform sends them.
    let fixture = Fixture::new().await;
    let empty = json!({
        "ProtocolVersion": "", "IpAddressType": "", "HealthCheckPort": "", "HealthCheckPath": "",
        "HealthCheckProtocol": "", "Matcher": {"HttpCode": ""},
    });
    fixture.world.ok("elbv2 CreateTargetGroup", fixture.group_input("site", &empty)).await;
    let empty = json!({"Type": "", "IpAddressType": "", "Scheme": ""});
    fixture.world.ok("elbv2 CreateLoadBalancer", fixture.balancer_input("site", &empty)).await;
}

#[tokio::test]
async fn a_health_check_is_changed_member_by_member() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let arn = fixture.group("site").await;
    let modify = |more: Json| with(json!({"TargetGroupArn": arn}), &more);
    let more = json!({"HealthCheckPath": "/health", "HealthCheckIntervalSeconds": 10, "Matcher": {"HttpCode": "200,202-299"}, "HealthCheckPort": "8080"});
    world.ok("elbv2 ModifyTargetGroup", modify(more)).await;
    let changed = world.ok("elbv2 ModifyTargetGroup", modify(json!({"HealthyThresholdCount": 2}))).await["TargetGroups"][0].clone();
    assert_eq!(
        (&changed["HealthCheckPath"], &changed["HealthCheckPort"]),
        (&json!("/health"), &json!("8080"))
    );
    assert_eq!(
        (&changed["Matcher"]["HttpCode"], &changed["HealthyThresholdCount"]),
        (&json!("200,202-299"), &json!(2))
    );
    // The timeout is held against the interval that is there.
    let rows = [(
        modify(json!({"HealthCheckTimeoutSeconds": 10})),
        VALIDATION,
        "interval must be greater than the timeout",
    )];
    world.refuses_all("elbv2 ModifyTargetGroup", rows).await;
    let rows: Vec<_> =
        wrong_checks().into_iter().map(|(more, code, wording)| (modify(more), code, wording)).collect();
    world.refuses_all("elbv2 ModifyTargetGroup", rows).await;
    let found = world.ok("elbv2 DescribeTargetGroups", json!({})).await;
    assert_eq!(found["TargetGroups"][0], changed);
}
