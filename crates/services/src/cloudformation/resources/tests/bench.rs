//! What the engine does with a type, without stacks: every step twice, as after a restart.

use std::collections::BTreeMap;

use gantry_domain::elb::{LoadBalancer, LoadBalancerState};
use gantry_domain::service::{RolloutState, Service, ServiceStatus};
use gantry_domain::{Change, View};
use gantry_images::Store;
use gantry_images::registry::Registry;
use gantry_types::{Region, Value};
use serde_json::{Map, Value as Json};

use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::Failure;
use crate::cloudformation::mapping;
use crate::cloudformation::resource::{Creation, ResourceType, Stability, Wanted};
use crate::cloudformation::resources;
use crate::ecr::RegistryHost;
use crate::testing::World;

pub(super) struct Bench {
    world: World,
    pub(super) caller: Caller,
    /// By logical id.
    pub(super) made: BTreeMap<String, Made>,
    names: u32,
    _images: tempfile::TempDir,
}

/// A thing that a type made.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) kind: &'static dyn ResourceType,
    pub(super) id: String,
    pub(super) attributes: Value,
    properties: Value,
    name: String,
}

impl Bench {
    pub(super) fn new() -> Self {
        let world = World::new();
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(Store::open(folder.path()).unwrap()).unwrap();
        world.context.set_registry(RegistryHost { registry, port: 4566, region: "us-east-1".to_owned() });
        let region = Region::from("us-east-1");
        let caller = Caller::new(world.context.clone(), region, "arn:aws:iam::123456789012:root");
        Self { world, caller, made: BTreeMap::new(), names: 0, _images: folder }
    }

    /// What stands in for `${Logical}` and `${Logical.Attribute}`.
    pub(super) fn resolve(&self, json: &Json) -> Json {
        match json {
            Json::String(text) => Json::String(self.resolve_text(text)),
            Json::Array(items) => items.iter().map(|item| self.resolve(item)).collect(),
            Json::Object(members) => members
                .iter()
                .map(|(name, value)| (name.clone(), self.resolve(value)))
                .collect::<Map<_, _>>()
                .into(),
            other => other.clone(),
        }
    }

    fn resolve_text(&self, text: &str) -> String {
        let Some((before, rest)) = text.split_once("${") else { return text.to_owned() };
        let (name, after) = rest.split_once('}').unwrap();
        let (logical_id, attribute) = name.split_once('.').unwrap_or((name, ""));
        let made = self.made.get(logical_id).unwrap_or_else(|| panic!("{logical_id} is not made"));
        let value = match attribute {
            "" => made.kind.reference(&made.id),
            name => mapping::text(made.attributes.get(name).unwrap_or_else(|| panic!("no {name}"))).unwrap(),
        };
        format!("{before}{value}{}", self.resolve_text(after))
    }

    pub(super) async fn ask(&self, operation: &str, input: &Json) -> Value {
        let (service, operation) = operation.split_once(' ').unwrap();
        let outcome = self.caller.call(service, operation, to_value(&self.resolve(input))).await;
        outcome.unwrap_or_else(|failure| panic!("{service} {operation} {input}: {}", failure.message()))
    }

    /// Makes a thing and keeps it under its logical id.
    pub(super) async fn create(
        &mut self,
        logical_id: &str,
        kind: &'static dyn ResourceType,
        properties: &Json,
    ) {
        self.names += 1;
        let name = format!("stack-{logical_id}-{:012}", self.names);
        let name =
            if kind.naming().is_some_and(|naming| naming.is_lower_case) { name.to_lowercase() } else { name };
        let name = match kind.naming() {
            Some(naming) if naming.characters_max <= 32 => {
                format!("stack-{:.5}-{:012}", logical_id, self.names)
            }
            _ => name,
        };
        let properties = to_value(&self.resolve(properties));
        let outcome = self.try_create(logical_id, kind, properties, name).await;
        let made =
            outcome.unwrap_or_else(|failure| panic!("{logical_id} was not made: {}", failure.message()));
        self.made.insert(logical_id.to_owned(), made);
    }

    pub(super) async fn try_create(
        &self,
        logical_id: &str,
        kind: &'static dyn ResourceType,
        properties: Value,
        name: String,
    ) -> Result<Made, Failure> {
        mapping::check(logical_id, kind.properties(), &properties, &|_| true)?;
        let mut made = Made { kind, id: String::new(), attributes: Value::map(), properties, name };
        let tags = stack_tags(logical_id);
        let wanted = self.wanted(logical_id, &made, &tags);
        let id = match kind.create(&wanted)? {
            Creation::Configured { id } => id,
            Creation::Call { service, operation, input, id } => {
                let output = self.caller.call(service, operation, input).await?;
                id.of(&output).unwrap_or_else(|| panic!("{logical_id}: no id in {output:?}"))
            }
        };
        for _ in 0..2 {
            kind.configure(&self.caller, &wanted, &id).await?;
        }
        self.settle().await;
        assert_eq!(kind.stability(&self.caller, &wanted, &id).await?, Stability::Stable, "{logical_id}");
        made.attributes = kind.read(&self.caller, &self.wanted(logical_id, &made, &tags), &id).await?;
        made.id = id;
        Ok(made)
    }

    /// Changes a thing in place.
    pub(super) async fn update(&mut self, logical_id: &str, properties: &Json) {
        let properties = to_value(&self.resolve(properties));
        let before = self.made[logical_id].clone();
        let mut made = Made { properties, ..before.clone() };
        let (old_tags, mut tags) = (stack_tags(logical_id), stack_tags(logical_id));
        tags.remove("team");
        let (wanted, old) =
            (self.wanted(logical_id, &made, &tags), self.wanted(logical_id, &before, &old_tags));
        for _ in 0..2 {
            let outcome = made.kind.update(&self.caller, &wanted, &made.id, &old).await;
            outcome.unwrap_or_else(|failure| panic!("{logical_id} did not change: {}", failure.message()));
        }
        self.settle().await;
        made.attributes = made.kind.read(&self.caller, &wanted, &made.id).await.unwrap();
        self.made.insert(logical_id.to_owned(), made);
    }

    /// Takes a thing away.
    pub(super) async fn delete(&self, logical_id: &str, made: &Made) {
        let tags = stack_tags(logical_id);
        let wanted = self.wanted(logical_id, made, &tags);
        for _ in 0..2 {
            let outcome = made.kind.delete(&self.caller, &wanted, &made.id).await;
            outcome.unwrap_or_else(|failure| panic!("{logical_id} did not go: {}", failure.message()));
        }
        self.settle().await;
        assert!(made.kind.is_gone(&self.caller, &wanted, &made.id).await.unwrap(), "{logical_id}");
    }

    fn wanted<'a>(
        &'a self,
        logical_id: &'a str,
        made: &'a Made,
        tags: &'a BTreeMap<String, String>,
    ) -> Wanted<'a> {
        Wanted {
            logical_id,
            resource_type: made.kind.name(),
            properties: &made.properties,
            generated_name: &made.name,
            token: "0b7c3a52-5d0e-4a49-9b0c-0c9b1f2f4a11",
            stack_tags: tags,
        }
    }

    /// What `control` would do: services reach what they want, or end, and load balancers listen.
    async fn settle(&self) {
        let changes = |view: &View| -> Vec<Change> {
            let services = view.scan::<Service>("us-east-1/");
            let settled = services.map(|service| {
                let mut record = service.value().clone();
                if record.status == ServiceStatus::Draining {
                    record.status = ServiceStatus::Inactive;
                }
                record.deployments.truncate(1);
                for deployment in &mut record.deployments {
                    deployment.rollout_state = RolloutState::Completed;
                }
                Change::update(record, service.revision)
            });
            let balancers = view.scan::<LoadBalancer>("").map(|balancer| {
                let record = LoadBalancer { state: LoadBalancerState::Active, ..balancer.value().clone() };
                Change::update(record, balancer.revision)
            });
            settled.chain(balancers).collect()
        };
        self.world.context.attempt(|view, _| Ok(((), changes(view)))).await.unwrap();
    }
}

/// The stack's own, and CloudFormation's.
fn stack_tags(logical_id: &str) -> BTreeMap<String, String> {
    let tags = [
        ("team", "red"),
        ("aws:cloudformation:stack-name", "stack"),
        ("aws:cloudformation:logical-id", logical_id),
    ];
    tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

pub(super) fn find(name: &str) -> &'static dyn ResourceType {
    resources::find(name).unwrap_or_else(|| panic!("{name} is no type"))
}

pub(super) fn to_value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => {
            number.as_i64().map_or_else(|| Value::Float(number.as_f64().unwrap()), Value::Int)
        }
        Json::String(text) => Value::String(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(to_value).collect()),
        Json::Object(members) => {
            Value::Map(members.iter().map(|(name, value)| (name.clone(), to_value(value))).collect())
        }
    }
}
