//! Calls that meet: both decide before either is committed.

use gantry_api::ApiError;
use serde_json::{Value as Json, json};

use super::{Fixture, listener_input, rule_input};
use crate::world::Answer as _;

fn code(outcome: &Result<Json, ApiError>) -> &str {
    match outcome {
        Ok(_) => "ok",
        Err(error) => &error.code,
    }
}

#[tokio::test]
async fn of_two_with_one_name_one_is_made() {
    let fixture = Fixture::new().await;
    for (operation, first, second, refusal) in [
        (
            "elbv2 CreateLoadBalancer",
            fixture.balancer_input("site", &json!({})),
            fixture.balancer_input("site", &json!({"Subnets": fixture.subnets})),
            "DuplicateLoadBalancerName",
        ),
        (
            "elbv2 CreateTargetGroup",
            fixture.group_input("site", &json!({})),
            fixture.group_input("site", &json!({"Port": 81})),
            "DuplicateTargetGroupName",
        ),
    ] {
        let (made, refused) = fixture.world.together((operation, first), (operation, second)).await;
        assert_eq!((code(&made), code(&refused)), ("ok", refusal), "{operation}");
    }
}

#[tokio::test]
async fn load_balancers_made_at_once_have_addresses_of_their_own() {
    let fixture = Fixture::new().await;
    let calls = (0..20)
        .map(|number| ("elbv2 CreateLoadBalancer", fixture.balancer_input(&format!("b{number}"), &json!({}))))
        .collect();
    assert!(fixture.world.all_together(calls).await.iter().all(Result::is_ok));
    let interfaces = fixture.world.ok("ec2 DescribeNetworkInterfaces", json!({})).await;
    let mut addresses = interfaces["NetworkInterfaces"].each("PrivateIpAddress");
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 40);
    let mut outside: Vec<_> = fixture.world.read(|view| {
        let balancers = view.scan::<gantry_domain::elb::LoadBalancer>("");
        balancers.filter_map(|balancer| balancer.outside_address).collect()
    });
    outside.sort();
    outside.dedup();
    assert_eq!(outside.len(), 20);
}

#[tokio::test]
async fn of_two_listeners_of_one_port_one_is_made() {
    let fixture = Fixture::new().await;
    let balancer = fixture.balancer("site").await;
    let (a, b) = (fixture.group("a").await, fixture.group("b").await);
    let (made, refused) = fixture
        .world
        .together(
            ("elbv2 CreateListener", listener_input(&balancer, 80, &a)),
            ("elbv2 CreateListener", listener_input(&balancer, 80, &b)),
        )
        .await;
    assert_eq!((code(&made), code(&refused)), ("ok", "DuplicateListener"));
    let second = fixture.listener(&balancer, 81, &b).await;
    let (made, refused) = fixture
        .world
        .together(
            ("elbv2 CreateListener", listener_input(&balancer, 82, &a)),
            ("elbv2 ModifyListener", json!({"ListenerArn": second, "Port": 82})),
        )
        .await;
    assert_eq!((code(&made), code(&refused)), ("ok", "DuplicateListener"));
}

#[tokio::test]
async fn of_two_rules_of_one_priority_one_is_made() {
    let fixture = Fixture::new().await;
    let balancer = fixture.balancer("site").await;
    let group = fixture.group("site").await;
    let listener = fixture.listener(&balancer, 80, &group).await;
    let create = ("elbv2 CreateRule", rule_input(&listener, 1, &group));
    let (made, refused) = fixture.world.together(create.clone(), create).await;
    assert_eq!((code(&made), code(&refused)), ("ok", "PriorityInUse"));
    let first = made.unwrap()["Rules"][0]["RuleArn"].text();
    let (moved, refused) = fixture
        .world
        .together(
            ("elbv2 SetRulePriorities", json!({"RulePriorities": [{"RuleArn": first, "Priority": 7}]})),
            ("elbv2 CreateRule", rule_input(&listener, 7, &group)),
        )
        .await;
    assert_eq!((code(&moved), code(&refused)), ("ok", "PriorityInUse"));
}

#[tokio::test]
async fn a_target_group_is_not_deleted_under_what_begins_to_name_it() {
    for by_rule in [false, true] {
        for named_first in [true, false] {
            let fixture = Fixture::new().await;
            let balancer = fixture.balancer("site").await;
            let (own, group) = (fixture.group("own").await, fixture.group("group").await);
            let listener = fixture.listener(&balancer, 80, &own).await;
            let name = if by_rule {
                ("elbv2 CreateRule", rule_input(&listener, 1, &group))
            } else {
                ("elbv2 CreateListener", listener_input(&balancer, 81, &group))
            };
            let delete = ("elbv2 DeleteTargetGroup", json!({"TargetGroupArn": group}));
            if named_first {
                let (named, deleted) = fixture.world.together(name, delete).await;
                assert_eq!((code(&named), code(&deleted)), ("ok", "ResourceInUse"), "{by_rule}");
            } else {
                let (deleted, named) = fixture.world.together(delete, name).await;
                assert_eq!((code(&deleted), code(&named)), ("ok", "TargetGroupNotFound"), "{by_rule}");
            }
        }
    }
}

#[tokio::test]
async fn a_target_group_gets_into_one_load_balancer() {
    let fixture = Fixture::new().await;
    let (a, b) = (fixture.balancer("a").await, fixture.balancer("b").await);
    let group = fixture.group("site").await;
    let (first, second) = fixture
        .world
        .together(
            ("elbv2 CreateListener", listener_input(&a, 80, &group)),
            ("elbv2 CreateListener", listener_input(&b, 80, &group)),
        )
        .await;
    assert_eq!((code(&first), code(&second)), ("ok", "TargetGroupAssociationLimit"));
}

#[tokio::test]
async fn what_a_load_balancer_stands_on_is_not_deleted_under_it() {
    let fixture = Fixture::new().await;
    let input = json!({"GroupName": "g", "Description": "d"});
    let group = fixture.world.ok("ec2 CreateSecurityGroup", input).await["GroupId"].text();
    let create = |name: &str| {
        let more = json!({"SecurityGroups": [group], "Subnets": [fixture.subnets[0], fixture.subnets[2]]});
        ("elbv2 CreateLoadBalancer", fixture.balancer_input(name, &more))
    };
    let (made, deleted) =
        fixture.world.together(create("a"), ("ec2 DeleteSecurityGroup", json!({"GroupId": group}))).await;
    assert_eq!((code(&made), code(&deleted)), ("ok", "DependencyViolation"));
    let arn = made.unwrap()["LoadBalancers"][0]["LoadBalancerArn"].text();
    fixture.world.ok("elbv2 DeleteLoadBalancer", json!({"LoadBalancerArn": arn})).await;
    let delete = ("ec2 DeleteSubnet", json!({"SubnetId": fixture.subnets[2]}));
    let (made, deleted) = fixture.world.together(create("a"), delete.clone()).await;
    assert_eq!((code(&made), code(&deleted)), ("ok", "DependencyViolation"));
    let arn = made.unwrap()["LoadBalancers"][0]["LoadBalancerArn"].text();
    fixture.world.ok("elbv2 DeleteLoadBalancer", json!({"LoadBalancerArn": arn})).await;
    let (deleted, made) = fixture.world.together(delete, create("a")).await;
    assert_eq!((code(&deleted), code(&made)), ("ok", "SubnetNotFound"));
    let gone = ("elbv2 DeleteLoadBalancer", json!({"LoadBalancerArn": fixture.balancer("b").await}));
    let balancer = gone.1["LoadBalancerArn"].text();
    let target_group = fixture.group("site").await;
    let listen = ("elbv2 CreateListener", listener_input(&balancer, 80, &target_group));
    let (deleted, made) = fixture.world.together(gone, listen).await;
    assert_eq!((code(&deleted), code(&made)), ("ok", "LoadBalancerNotFound"));
}

#[tokio::test]
async fn a_target_is_registered_once() {
    let fixture = Fixture::new().await;
    let group = fixture.group("site").await;
    let register =
        ("elbv2 RegisterTargets", json!({"TargetGroupArn": group, "Targets": [{"Id": "172.31.0.10"}]}));
    let (first, second) = fixture.world.together(register.clone(), register.clone()).await;
    assert_eq!((code(&first), code(&second)), ("ok", "ok"));
    let found = fixture.world.ok("elbv2 DescribeTargetHealth", json!({"TargetGroupArn": group})).await;
    assert_eq!(found["TargetHealthDescriptions"].list().len(), 1);
    let other = json!({"TargetGroupArn": group, "Targets": [{"Id": "172.31.0.11"}]});
    let delete = ("elbv2 DeleteTargetGroup", json!({"TargetGroupArn": group}));
    let (deleted, registered) = fixture.world.together(delete, ("elbv2 RegisterTargets", other)).await;
    assert_eq!((code(&deleted), code(&registered)), ("ok", "TargetGroupNotFound"));
}
