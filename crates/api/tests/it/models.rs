use std::collections::BTreeSet;

use gantry_api::SERVICES;
use gantry_wire::Shape;
use gantry_wire::shape::Kind;

/// Every shape that the operations reach from their inputs.
fn input_shapes() -> Vec<&'static Shape> {
    let operations = SERVICES.iter().flat_map(|service| service.operations);
    reached(operations.map(|operation| operation.input).collect())
}

/// Every shape that the operations reach at all.
fn shapes() -> Vec<&'static Shape> {
    let operations = SERVICES.iter().flat_map(|service| service.operations);
    let all = operations.flat_map(|operation| {
        let errors = operation.errors.iter().map(|error| error.shape);
        [operation.input, operation.output].into_iter().chain(errors)
    });
    reached(all.collect())
}

fn reached(mut waiting: Vec<&'static Shape>) -> Vec<&'static Shape> {
    let mut seen = BTreeSet::new();
    let mut shapes: Vec<&'static Shape> = Vec::new();
    while let Some(shape) = waiting.pop() {
        if !seen.insert(std::ptr::from_ref(shape)) {
            continue;
        }
        shapes.push(shape);
        waiting.extend(shape.members().iter().map(|member| member.shape));
        match shape.kind {
            Kind::List { member, .. } => waiting.push(member),
            Kind::Map { key, value, .. } => waiting.extend([key, value]),
            _ => {}
        }
    }
    shapes
}

#[test]
fn every_pattern_of_every_input_is_enforced() {
    let patterns: Vec<_> = input_shapes().into_iter().filter_map(|shape| shape.pattern.as_ref()).collect();
    assert!(patterns.len() > 30, "{}", patterns.len());
    for pattern in patterns {
        assert!(pattern.regex().is_some(), "{}", pattern.text);
    }
}

#[test]
fn tables_are_sorted_as_their_searches_need() {
    for shape in shapes() {
        assert!(shape.members().is_sorted_by(|a, b| a.name < b.name), "{}", shape.name);
    }
    for service in SERVICES {
        assert!(service.operations.is_sorted_by(|a, b| a.name < b.name), "{}", service.name);
        assert!(service.unserved.is_sorted(), "{}", service.name);
        assert!(
            service.operations.iter().all(|operation| !service.is_unserved(operation.name)),
            "{}",
            service.name
        );
    }
}

#[test]
fn every_service_says_what_it_serves_and_what_not() {
    let names: Vec<&str> = SERVICES.iter().map(|service| service.name).collect();
    for name in ["ec2", "ecs", "elbv2", "iam", "logs", "sts"] {
        assert!(names.contains(&name), "{name}");
    }
    let ecs = &gantry_api::ecs::MODEL;
    assert!(ecs.operation("CreateService").is_some());
    assert!(ecs.operation("ExecuteCommand").is_none() && ecs.is_unserved("ExecuteCommand"));
    assert!(!ecs.is_unserved("CreateServices"));
}
