use std::collections::BTreeMap;

use gantry_domain::elb::{
    FixedResponse, Forward, ListenerProtocol, RuleAction, RuleCondition, WeightedTargetGroup,
};
use gantry_domain::network::Cidr;
use gantry_types::{Value, arn};

use super::*;

fn elb(resource: &str) -> Arn {
    arn("elasticloadbalancing", "us-east-1", resource)
}

fn forward(group: &str) -> Vec<RuleAction> {
    let target_groups = vec![WeightedTargetGroup { target_group: elb(group), weight: 1 }];
    vec![RuleAction::Forward(Forward { target_groups, stickiness: None })]
}

fn listener(default_actions: Vec<RuleAction>) -> Listener {
    Listener {
        arn: elb("listener/app/a/1/2"),
        load_balancer: elb("loadbalancer/app/a/1"),
        protocol: ListenerProtocol::Http,
        port: 80,
        default_actions,
        attributes: BTreeMap::new(),
        document: Value::Null,
    }
}

fn rule(priority: u32, conditions: Vec<RuleCondition>) -> Rule {
    let body = priority.to_string();
    let response = FixedResponse { status: 200, content_type: None, body };
    Rule {
        arn: elb(&format!("listener-rule/app/a/1/2/{priority}")),
        listener: elb("listener/app/a/1/2"),
        priority,
        conditions,
        actions: vec![RuleAction::FixedResponse(response)],
        document: Value::Null,
    }
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|text| (*text).to_owned()).collect()
}

/// Matches one request against one rule; its answer must be `expected`.
fn check(conditions: Vec<RuleCondition>, change: impl FnOnce(&mut RequestFacts<'_>), expected: bool) {
    let headers: &[(&str, &str)] = &[("X-Tier", "silver"), ("x-tier", "Gold card"), ("Accept", "a*b")];
    let mut facts = RequestFacts {
        method: b"GET",
        host: b"shop.example.com",
        path: b"/Img/cat.png",
        query: Some(b"v=1&Debug&color=Red"),
        source: "10.1.2.3".parse().unwrap(),
        headers: &headers,
    };
    change(&mut facts);
    let case = format!("{conditions:?}");
    let table = RouteTable::compile(
        [(&listener(forward("targetgroup/g/1")), &[rule(7, conditions)][..])].into_iter(),
    );
    let found = table.listener(&elb("listener/app/a/1/2")).unwrap().evaluate(&facts);
    assert_eq!(found.priority == 7, expected, "{case}");
}

#[test]
fn each_kind_of_condition_is_held_against_the_request() {
    use RuleCondition::{HostHeader, HttpHeader, HttpRequestMethod, PathPattern, QueryString, SourceIp};
    let same = |_: &mut RequestFacts<'_>| {};
    check(vec![HostHeader(texts(&["other.com", "SHOP.*.com"]))], same, true);
    check(vec![HostHeader(texts(&["shop"]))], same, false);
    check(vec![PathPattern(texts(&["/Img/*"]))], same, true);
    check(vec![PathPattern(texts(&["/img/*"]))], same, false);
    check(vec![PathPattern(texts(&["*v=1*"]))], same, false);
    let header = |name: &str, value: &str| HttpHeader { name: name.to_owned(), values: texts(&[value]) };
    check(vec![header("X-TIER", "gold*")], same, true);
    check(vec![header("x-tier", "bronze")], same, false);
    check(vec![header("x-other", "*")], same, false);
    check(vec![header("accept", r"a\*b")], same, true);
    check(vec![HttpRequestMethod(texts(&["POST", "GET"]))], same, true);
    check(vec![HttpRequestMethod(texts(&["get"]))], same, false);
    let query =
        |key: Option<&str>, value: &str| QueryString(vec![(key.map(str::to_owned), value.to_owned())]);
    check(vec![query(Some("V"), "1")], same, true);
    check(vec![query(Some("v"), "2")], same, false);
    check(vec![query(None, "red")], same, true);
    check(vec![query(Some("debug"), "")], same, true);
    check(vec![query(None, "*")], |facts| facts.query = None, false);
    let range = |text: &str| SourceIp(vec![Cidr::parse(text).unwrap()]);
    check(vec![range("10.1.0.0/16")], same, true);
    check(vec![range("10.2.0.0/16")], same, false);
    check(vec![], same, true);
}

#[test]
fn every_condition_of_a_rule_must_hold() {
    let host = || RuleCondition::HostHeader(texts(&["shop.*"]));
    check(vec![host(), RuleCondition::PathPattern(texts(&["/Img/*"]))], |_| {}, true);
    check(vec![host(), RuleCondition::PathPattern(texts(&["/x"]))], |_| {}, false);
}

#[test]
fn the_lowest_priority_that_matches_wins_and_the_default_is_last() {
    let path = |text: &str| vec![RuleCondition::PathPattern(texts(&[text]))];
    let rules = [rule(20, path("/a*")), rule(10, path("/a/b")), rule(5, path("/c"))];
    let table = RouteTable::compile([(&listener(forward("targetgroup/g/1")), &rules[..])].into_iter());
    let rules = table.listener(&elb("listener/app/a/1/2")).unwrap();
    let headers: &[(&str, &str)] = &[];
    let facts = |path: &'static [u8]| RequestFacts {
        method: b"GET",
        host: b"",
        path,
        query: None,
        source: "127.0.0.1".parse().unwrap(),
        headers: &headers,
    };
    let evaluate = |path| {
        let found = rules.evaluate(&facts(path));
        (found.priority, found.evaluations, found.rule.is_some())
    };
    assert_eq!(evaluate(b"/a/b"), (10, 2, true));
    assert_eq!(evaluate(b"/a"), (20, 3, true));
    assert_eq!(evaluate(b"/x"), (0, 3, false));
    assert_eq!(table.groups(), [elb("targetgroup/g/1")]);
    assert_eq!(rules.group_slots().collect::<Vec<_>>(), [GroupSlot(0)]);
}
