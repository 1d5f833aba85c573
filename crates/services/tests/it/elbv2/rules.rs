//! Rules.

use serde_json::{Value as Json, json};

use super::{Fixture, forward, rule_input, with};
use crate::world::Answer as _;

const VALIDATION: &str = "ValidationError";

#[tokio::test]
async fn a_rule_lives_beside_the_default_one() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let balancer = fixture.balancer("site").await;
    let group = fixture.group("site").await;
    let listener = fixture.listener(&balancer, 80, &group).await;
    let made = world.ok("elbv2 CreateRule", rule_input(&listener, 10, &group)).await["Rules"][0].clone();
    let arn = made["RuleArn"].text();
    assert!(arn.starts_with(&format!("{}/", listener.replace(":listener/", ":listener-rule/"))), "{arn}");
    assert_eq!((&made["Priority"], &made["IsDefault"]), (&json!("10"), &json!(false)));
    let condition =
        json!([{"Field": "path-pattern", "Values": ["/10/*"], "PathPatternConfig": {"Values": ["/10/*"]}}]);
    assert_eq!(made["Conditions"], condition);
    let wording = "Priority '10' is currently in use";
    world.refuses("elbv2 CreateRule", rule_input(&listener, 10, &group), "PriorityInUse", wording).await;
    let second = fixture.rule(&listener, 2, &group).await;
    let found = world.ok("elbv2 DescribeRules", json!({"ListenerArn": listener})).await["Rules"].clone();
    assert_eq!(found.each("Priority"), ["2", "10", "default"]);
    let default = found[2]["RuleArn"].text();
    assert_eq!((&found[2]["IsDefault"], &found[2]["Conditions"]), (&json!(true), &json!([])));
    let found = world.ok("elbv2 DescribeRules", json!({"RuleArns": [default, arn]})).await;
    assert_eq!(found["Rules"].each("Priority"), ["10", "default"]);
    let page = world.ok("elbv2 DescribeRules", json!({"ListenerArn": listener, "PageSize": 2})).await;
    let rest =
        world.ok("elbv2 DescribeRules", json!({"ListenerArn": listener, "Marker": page["NextMarker"]})).await;
    assert_eq!(rest["Rules"].each("Priority"), ["default"]);

    let conditions = json!([{"Field": "host-header", "Values": ["a.example"]}]);
    let modified =
        world.ok("elbv2 ModifyRule", json!({"RuleArn": arn, "Conditions": conditions})).await["Rules"][0]
            .clone();
    assert_eq!(
        (&modified["Conditions"][0]["Field"], &modified["Actions"]),
        (&json!("host-header"), &made["Actions"])
    );
    for (operation, input, what) in [
        ("elbv2 DeleteRule", json!({"RuleArn": default}), "deleted"),
        ("elbv2 ModifyRule", json!({"RuleArn": default, "Conditions": conditions}), "modified"),
        (
            "elbv2 SetRulePriorities",
            json!({"RulePriorities": [{"RuleArn": default, "Priority": 1}]}),
            "given a priority",
        ),
    ] {
        world.refuses(operation, input, "OperationNotPermitted", &format!("cannot be {what}")).await;
    }
    world.ok("elbv2 DeleteRule", json!({"RuleArn": second})).await;
    let wording = "One or more rules not found";
    world.refuses("elbv2 DeleteRule", json!({"RuleArn": second}), "RuleNotFound", wording).await;
    world.refuses("elbv2 DescribeRules", json!({"RuleArns": [second]}), "RuleNotFound", wording).await;
    world.refuses("elbv2 DescribeRules", json!({}), VALIDATION, "You must specify either").await;
}

#[tokio::test]
async fn priorities_are_exchanged_as_one() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let balancer = fixture.balancer("site").await;
    let group = fixture.group("site").await;
    let listener = fixture.listener(&balancer, 80, &group).await;
    let (a, b, c) = (
        fixture.rule(&listener, 1, &group).await,
        fixture.rule(&listener, 2, &group).await,
        fixture.rule(&listener, 3, &group).await,
    );
    let set = |pairs: &[(&String, i64)]| {
        let pairs: Vec<Json> =
            pairs.iter().map(|(rule, priority)| json!({"RuleArn": rule, "Priority": priority})).collect();
        json!({"RulePriorities": pairs})
    };
    let order = || async {
        let found = world.ok("elbv2 DescribeRules", json!({"ListenerArn": listener})).await["Rules"].clone();
        found.each("RuleArn").into_iter().take(3).collect::<Vec<_>>()
    };
    world.ok("elbv2 SetRulePriorities", set(&[(&a, 2), (&b, 1)])).await;
    assert_eq!(order().await, [b.clone(), a.clone(), c.clone()]);
    let rows = [
        (set(&[(&a, 3)]), "PriorityInUse", "Priority '3' is currently in use"),
        (set(&[(&a, 7), (&b, 7)]), "PriorityInUse", "Priority '7' is currently in use"),
        (set(&[(&a, 7), (&a, 8)]), VALIDATION, "more than one priority"),
        (set(&[(&a, 0)]), VALIDATION, "Rule priority must be between 1 and 50000"),
        (set(&[(&a, 50001)]), VALIDATION, "Rule priority must be between 1 and 50000"),
        (set(&[]), VALIDATION, "rule priorities must be specified"),
        (
            set(&[(&a, 9), (&a.replace("/site/", "/none/"), 10)]),
            "RuleNotFound",
            "One or more rules not found",
        ),
    ];
    world.refuses_all("elbv2 SetRulePriorities", rows).await;
    assert_eq!(order().await, [b, a, c]);
}

#[tokio::test]
async fn every_kind_of_condition_is_kept() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let balancer = fixture.balancer("site").await;
    let group = fixture.group("site").await;
    let listener = fixture.listener(&balancer, 80, &group).await;
    let conditions = [
        json!({"Field": "host-header", "HostHeaderConfig": {"Values": ["*.example.com"]}}),
        json!({"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a/*", "/b"]}}),
        json!({"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Version", "Values": ["1*"]}}),
        json!({"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["GET", "HEAD"]}}),
        json!({"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v", "Value": "1"}, {"Value": "x"}]}}),
        json!({"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}}),
    ];
    for (number, condition) in (1..).zip(conditions) {
        let input = with(rule_input(&listener, number, &group), &json!({"Conditions": [condition]}));
        let made = world.ok("elbv2 CreateRule", input).await["Rules"][0]["Conditions"][0].clone();
        for (member, value) in condition.as_object().unwrap() {
            assert_eq!(&made[member], value, "{condition}");
        }
    }
}

#[tokio::test]
async fn create_rule_says_what_is_wrong() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let balancer = fixture.balancer("site").await;
    let group = fixture.group("site").await;
    let listener = fixture.listener(&balancer, 80, &group).await;
    let rule = |more: Json| with(rule_input(&listener, 10, &group), &more);
    let condition = |conditions: Json| rule(json!({"Conditions": conditions}));
    let path = |values: Json| condition(json!([{"Field": "path-pattern", "Values": values}]));
    let rows = [
        (
            rule(json!({"ListenerArn": listener.replace("/site/", "/none/")})),
            "ListenerNotFound",
            "One or more listeners not found",
        ),
        (rule(json!({"Priority": 0})), VALIDATION, "Rule priority must be between 1 and 50000"),
        (rule(json!({"Priority": -1})), VALIDATION, "Rule priority must be between 1 and 50000"),
        (rule(json!({"Priority": 50001})), VALIDATION, "Rule priority must be between 1 and 50000"),
        (rule(json!({"Actions": []})), "InvalidLoadBalancerAction", "You must specify an action"),
        (
            rule(json!({"Actions": forward(&group.replace("/site/", "/none/"))})),
            "TargetGroupNotFound",
            "not found",
        ),
        (rule(json!({"Transforms": [{"Type": "url-rewrite"}]})), VALIDATION, "rule transforms"),
        (condition(json!([])), VALIDATION, "A condition must be specified"),
        (
            condition(json!([{"Field": "moon-phase", "Values": ["full"]}])),
            VALIDATION,
            "Condition field 'moon-phase' must be one of",
        ),
        (condition(json!([{"Values": ["/"]}])), VALIDATION, "Condition field '' must be one of"),
        (path(json!([])), VALIDATION, "must have a value"),
        (path(json!([""])), VALIDATION, "must have between 1 and 128 characters"),
        (path(json!(["ü".repeat(129)])), VALIDATION, "must have between 1 and 128 characters"),
        (
            path(json!(["/1", "/2", "/3", "/4", "/5", "/6"])),
            VALIDATION,
            "A rule can only have '5' condition values",
        ),
        (path(json!(["/*/*/*/*/*/*/?"])), VALIDATION, "A rule can only have '6' condition wildcards"),
        (
            condition(
                json!([{"Field": "path-pattern", "Values": ["/a"]}, {"Field": "path-pattern", "Values": ["/b"]}]),
            ),
            VALIDATION,
            "A rule can only have one 'path-pattern' condition",
        ),
        (
            condition(json!([{"Field": "path-pattern", "RegexValues": ["/a"]}])),
            VALIDATION,
            "regular expressions",
        ),
        (
            condition(json!([{"Field": "http-header", "HttpHeaderConfig": {"Values": ["a"]}}])),
            VALIDATION,
            "HTTP header name",
        ),
        (
            condition(
                json!([{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "Host", "Values": ["a"]}}]),
            ),
            VALIDATION,
            "not Host",
        ),
        (
            condition(
                json!([{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "a b", "Values": ["a"]}}]),
            ),
            VALIDATION,
            "HTTP header name",
        ),
        (
            condition(
                json!([{"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["get"]}}]),
            ),
            VALIDATION,
            "HTTP request method 'get' is not valid",
        ),
        (
            condition(json!([{"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.1"]}}])),
            VALIDATION,
            "is not a valid IPv4 CIDR block",
        ),
        (
            condition(json!([{"Field": "query-string", "QueryStringConfig": {"Values": []}}])),
            VALIDATION,
            "must have a value",
        ),
    ];
    world.refuses_all("elbv2 CreateRule", rows).await;
    let found = world.ok("elbv2 DescribeRules", json!({"ListenerArn": listener})).await;
    assert_eq!(found["Rules"].each("Priority"), ["default"]);
}
