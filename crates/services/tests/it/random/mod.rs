//! Calls made at random: sensible ones with names of what is there, and of every operation whatever its shape allows, nonsense
//! included. None of them makes
//! a handler panic or fail as if it were the server's fault, and what they leave always hangs together.

mod input;
mod invariants;
mod templates;

use std::time::Duration;

use gantry_domain::Change;
use gantry_domain::service::{Service, ServiceStatus};
use gantry_domain::task::{DesiredStatus, Task, TaskStatus};
use gantry_types::{Ids, Value};
use gantry_wire::OperationModel;
use serde_json::Value as Json;

use crate::world::World;
use input::Source;

const ROUNDS: u32 = 1_000;
const TOGETHER_MAX: u64 = 4;
/// How often the control loop does what is left to it.
const LOOP_EVERY: u32 = 25;
const SERVICES: [&str; 3] = ["ec2", "ecs", "elbv2"];

type Operations = [(String, &'static OperationModel)];
type Templates = [(&'static str, Json)];

/// Every operation that has a handler.
fn operations() -> Vec<(String, &'static OperationModel)> {
    let mut operations = Vec::new();
    for (service, served) in gantry_services::served() {
        for name in served.into_iter().filter(|_| SERVICES.contains(&service.name)) {
            let operation = service.operation(name).expect("a served operation is in the model");
            operations.push((format!("{} {name}", service.name), operation));
        }
    }
    operations
}

/// One of the templates; what deletes comes less often, so that something grows.
fn template<'t>(templates: &'t Templates, random: &mut Ids) -> (&'static str, &'t Json) {
    loop {
        let (name, template) = &templates[random.below(templates.len() as u64) as usize];
        let is_rare = match *name {
            "ecs DeleteCluster" | "ec2 DeleteVpc" | "ec2 DetachInternetGateway" => random.below(12) > 0,
            name if name.contains(" De") || name.contains("Revoke") => random.below(3) > 0,
            _ => false,
        };
        if !is_rare {
            return (name, template);
        }
    }
}

/// What has to end does, as if the control loop had seen to it.
async fn control_loop(world: &World) {
    let changes: Vec<Change> = world.read(|view| {
        let services = view.scan::<Service>("").filter(|service| service.status == ServiceStatus::Draining);
        let ended = services.map(|service| {
            let record = Service { status: ServiceStatus::Inactive, deployments: vec![], ..service.cloned() };
            Change::update(record, service.revision)
        });
        let tasks = view.scan::<Task>("").filter(|task| task.desired_status == DesiredStatus::Stopped);
        let stopped = tasks.filter(|task| !task.is_stopped()).map(|task| {
            Change::update(Task { last_status: TaskStatus::Stopped, ..task.cloned() }, task.revision)
        });
        ended.chain(stopped).take(100).collect()
    });
    if !changes.is_empty() {
        world.commit(changes).await;
    }
}

/// One call: its name and input.
fn call(
    source: &Source,
    operations: &Operations,
    templates: &Templates,
    random: &mut Ids,
) -> (String, Value) {
    if random.below(4) == 0 {
        let (name, operation) = &operations[random.below(operations.len() as u64) as usize];
        return (name.clone(), source.input(operation, random));
    }
    let (name, template) = template(templates, random);
    let operation = operations.iter().find(|(each, _)| each == name).expect("a served operation").1;
    (name.to_owned(), source.fill(template, operation, random))
}

async fn run(seed: u64) {
    let mut world = World::new();
    let mut random = Ids::from_seed(seed);
    let mut source = Source::begin(&world).await;
    let (operations, templates) = (operations(), templates::templates());
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        if round % LOOP_EVERY == 0 {
            control_loop(&world).await;
        }
        world.later(Duration::from_millis(random.below(5_000)));
        world.read(|view| source.look(view));
        // Often several at once, which all decide before any is committed.
        let count = 1 + random.below(TOGETHER_MAX);
        let calls: Vec<(String, Value)> =
            (0..count).map(|_| call(&source, &operations, &templates, &mut random)).collect();
        let inputs = calls.iter().map(|(name, input)| (name.as_str(), input.clone())).collect();
        let outcomes = world.all_together_with(inputs).await;
        for (outcome, (name, input)) in outcomes.into_iter().zip(&calls) {
            match outcome {
                Ok(output) => {
                    accepted += 1;
                    source.learn(&output);
                }
                Err(error) => {
                    refused += 1;
                    let blames_client = (400..500).contains(&error.status) && !error.code.is_empty();
                    assert!(blames_client, "seed {seed}, round {round}: {name} {input:?}: {error}");
                }
            }
        }
        let broken = world.read(invariants::broken);
        assert_eq!(broken, [""; 0], "seed {seed}, after round {round}: {calls:?}");
    }
    // A run in which everything is refused shows nothing.
    let all = accepted + refused;
    assert!(accepted > all / 4 && refused > all / 4, "{accepted} accepted, {refused} refused");
}

#[tokio::test]
async fn random_calls_are_answered_and_leave_everything_together() {
    for seed in 1..=3 {
        run(seed).await;
    }
}
