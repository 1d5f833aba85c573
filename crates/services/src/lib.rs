//! The AWS services: one module each. A module translates a call, checks it against the records and proposes changes.
//!
//! Flow: [`Services::handle`] takes an understood call and runs its operation's handler. A handler that only reads is a plain
//! function `(view, call, input) -> output`; one that writes is `(view, call, input, ids) -> (output, changes)`.
//! [`Context::attempt`] commits the changes by compare-and-set and lets the handler decide again if somebody else was
//! faster. So every handler is tested without a server, and none of them does IO.
//!
//! Invariants:
//! - A handler changes nothing but by the changes that it gives back, and names the revision of every record that its decision
//!   rests on.
//! - Errors carry AWS's own code and wording.

#[macro_use]
mod handlers;
mod context;
mod objects;
mod page;
mod reserved;
mod secrets;
#[cfg(test)]
mod testing;
mod ties;

pub mod cloudformation;
pub mod ec2;
pub mod ecr;
pub mod ecs;
pub mod elbv2;
pub mod iam;
pub mod logs;
pub mod ssm;
pub mod sts;

pub use context::{Context, Decision, RootKey, Settings};

use std::collections::BTreeSet;
use std::sync::Arc;

use gantry_api::{ApiError, CallContext, ServiceModel};
use gantry_types::Value;

/// Services whose calls find the region's default VPC there.
const REGIONAL: [&str; 3] = ["ec2", "ecs", "elbv2"];

/// Every service, on one context.
#[derive(Clone)]
pub struct Services {
    context: Arc<Context>,
}

impl Services {
    pub fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Runs the call's operation and gives its output's document.
    pub async fn handle(&self, call: &CallContext) -> Result<Value, ApiError> {
        let context = Arc::clone(&self.context);
        if REGIONAL.contains(&call.service.name) {
            context.prepare_region(call).await?;
        }
        match call.service.name {
            "cloudformation" => {
                gantry_api::cloudformation::dispatch(&cloudformation::Service(context), call).await
            }
            "ec2" => gantry_api::ec2::dispatch(&ec2::Service(context), call).await,
            "ecr" => gantry_api::ecr::dispatch(&ecr::Service(context), call).await,
            "elbv2" => gantry_api::elbv2::dispatch(&elbv2::Service(context), call).await,
            "ecs" => gantry_api::ecs::dispatch(&ecs::Service(context), call).await,
            "iam" => gantry_api::iam::dispatch(&iam::Service(context), call).await,
            "logs" => gantry_api::logs::dispatch(&logs::Service(context), call).await,
            "ssm" => gantry_api::ssm::dispatch(&ssm::Service(context), call).await,
            "sts" => gantry_api::sts::dispatch(&sts::Service(context), call).await,
            name => Err(ApiError::not_implemented(name, call.operation.name)),
        }
    }
}

/// The operations of a service that have a handler, by their methods' names, and how they are wired.
fn methods(service: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match service {
        "cloudformation" => (cloudformation::METHODS, cloudformation::KINDS),
        "ec2" => (ec2::METHODS, ec2::KINDS),
        "ecr" => (ecr::METHODS, ecr::KINDS),
        "ecs" => (ecs::METHODS, ecs::KINDS),
        "elbv2" => (elbv2::METHODS, elbv2::KINDS),
        "iam" => (iam::METHODS, iam::KINDS),
        "logs" => (logs::METHODS, logs::KINDS),
        "ssm" => (ssm::METHODS, ssm::KINDS),
        "sts" => (sts::METHODS, sts::KINDS),
        _ => (&[], &[]),
    }
}

/// A method's and an operation's name, made alike.
fn plain(name: &str) -> String {
    name.replace('_', "").to_ascii_lowercase()
}

/// Whether an operation is wired so that a companion can be in its commit.
pub(crate) fn takes_companion(service: &str, operation: &str) -> bool {
    let (methods, kinds) = methods(service);
    let index = methods.iter().position(|method| plain(method) == plain(operation));
    index.is_some_and(|index| matches!(kinds[index], "write" | "settings" | "secret"))
}

/// Every service that answers, with the operations that are served, in the order of their names.
pub fn served() -> Vec<(&'static ServiceModel, Vec<&'static str>)> {
    let operations = |model: &'static ServiceModel| {
        let handled: BTreeSet<String> = methods(model.name).0.iter().map(|method| plain(method)).collect();
        let names = model.operations.iter().map(|operation| operation.name);
        let mut names: Vec<&str> = names.filter(|name| handled.contains(&plain(name))).collect();
        names.sort_unstable();
        names
    };
    gantry_api::SERVICES.iter().map(|model| (*model, operations(model))).collect()
}
