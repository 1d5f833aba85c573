//! Every type through its life: made, changed in place, replaced, removed.

use std::collections::BTreeSet;

use gantry_types::Value;
use serde_json::{Value as Json, json};

use super::Bench;
use super::bench::{find, to_value};
use super::lives::{Life, balancing, containers, identity, records};
use super::network::network;
use crate::cloudformation::mapping;
use crate::cloudformation::resource::Update;
use crate::cloudformation::resources::TYPES;

#[tokio::test]
async fn every_type_is_made_changed_replaced_and_removed() {
    let mut bench = Bench::new();
    let before = left(&bench).await;
    let lives: Vec<Life> =
        [network(), identity(), records(), balancing(), containers()].into_iter().flatten().collect();
    let walked: BTreeSet<&str> = lives.iter().map(|life| life.kind).collect();
    assert_eq!(walked, TYPES.iter().map(|kind| kind.name()).collect(), "a type has no life here");
    for life in &lives {
        live(&mut bench, life).await;
    }
    for life in lives.iter().rev() {
        let made = bench.made[life.logical_id].clone();
        bench.delete(life.logical_id, &made).await;
    }
    assert_eq!(left(&bench).await, before);
}

async fn live(bench: &mut Bench, life: &Life) {
    let (id, kind) = (life.logical_id, find(life.kind));
    bench.create(id, kind, &life.properties).await;
    let made = bench.made[id].clone();
    assert!(matches(&kind.reference(&made.id), life.reference), "{id}: Ref is {}", made.id);
    let told: Vec<&str> = made.attributes.as_map().unwrap().keys().map(String::as_str).collect();
    assert_eq!(told, kind.attributes(), "{id}: what GetAtt gives");
    for (name, expected) in life.attributes.as_object().unwrap() {
        let found = &made.attributes.get(name).cloned().unwrap_or_default();
        let fits = match (found, expected) {
            (Value::String(text), Json::String(pattern)) => matches(text, pattern),
            (found, expected) => *found == to_value(expected),
        };
        assert!(fits, "{id}: GetAtt {name} is {found:?}");
    }

    let changed = over(&life.properties, &life.changed);
    check_updates(bench, life, &life.changed, Update::InPlace);
    bench.update(id, &changed).await;
    let (operation, input, path, expected) = &life.shown;
    let output = bench.ask(operation, input).await;
    let found = mapping::at(&output, path).cloned().unwrap_or_default();
    assert_eq!(found, to_value(&bench.resolve(expected)), "{id}: {operation} {path} of {output:?}");

    if !life.replaced.is_null() {
        check_updates(bench, life, &life.replaced, Update::Replacement);
        let former = bench.made[id].clone();
        bench.create(id, kind, &over(&life.properties, &life.replaced)).await;
        assert_ne!(bench.made[id].id, former.id, "{id}");
        bench.delete(id, &former).await;
    }
}

/// Each of these properties' changes does what is expected of it.
fn check_updates(bench: &Bench, life: &Life, properties: &Json, expected: Update) {
    let kind = find(life.kind);
    for (name, new) in properties.as_object().unwrap() {
        let property = kind.properties().iter().find(|property| property.name == name);
        let property = property.unwrap_or_else(|| panic!("{} has no property {name}", life.kind));
        let old = life.properties.get(name).cloned().unwrap_or_default();
        let (old, new) = (to_value(&bench.resolve(&old)), to_value(&bench.resolve(new)));
        let update = match property.update {
            Update::Conditional if kind.must_replace(name, &old, &new) => Update::Replacement,
            Update::Conditional => Update::InPlace,
            update => update,
        };
        assert_eq!(update, expected, "{} {name}", life.kind);
    }
}

fn over(properties: &Json, changed: &Json) -> Json {
    let mut properties = properties.as_object().unwrap().clone();
    for (name, value) in changed.as_object().unwrap() {
        if value.is_null() {
            properties.remove(name);
        } else {
            properties.insert(name.clone(), value.clone());
        }
    }
    Json::Object(properties)
}

/// Whether a text is of a pattern in which `*` stands for any text.
fn matches(text: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => text == pattern,
        Some((before, "")) => text.starts_with(before),
        Some((before, after)) => {
            let Some(rest) = text.strip_prefix(before) else { return false };
            (0..=rest.len()).any(|at| rest.is_char_boundary(at) && matches(&rest[at..], after))
        }
    }
}

/// How many things of each kind there are.
async fn left(bench: &Bench) -> Vec<(&'static str, usize)> {
    let mut counts = Vec::new();
    for (operation, path) in [
        ("ec2 DescribeVpcs", "Vpcs"),
        ("ec2 DescribeSubnets", "Subnets"),
        ("ec2 DescribeInternetGateways", "InternetGateways"),
        ("ec2 DescribeRouteTables", "RouteTables"),
        ("ec2 DescribeSecurityGroups", "SecurityGroups"),
        ("ec2 DescribeNetworkInterfaces", "NetworkInterfaces"),
        ("iam ListRoles", "Roles"),
        ("iam ListUsers", "Users"),
        ("iam ListInstanceProfiles", "InstanceProfiles"),
        ("logs DescribeLogGroups", "logGroups"),
        ("ssm DescribeParameters", "Parameters"),
        ("ecr DescribeRepositories", "repositories"),
        ("elbv2 DescribeLoadBalancers", "LoadBalancers"),
        ("elbv2 DescribeTargetGroups", "TargetGroups"),
        ("ecs ListClusters", "clusterArns"),
        ("ecs ListTaskDefinitions", "taskDefinitionArns"),
    ] {
        let output = bench.ask(operation, &json!({})).await;
        counts.push((operation, mapping::at(&output, path).map_or(0, |list| list.as_list().len())));
    }
    counts
}
