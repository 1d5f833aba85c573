//! Calls of services from inside: through the same handlers, with the same checks, as a call from outside.

use std::sync::Arc;

use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_types::{ACCOUNT, Region, Timestamp, Value};
use gantry_wire::{Principal, check_input};

use super::failure::{Failure, HandlerErrorCode};
use crate::context::Companion;
use crate::{Context, Services};

/// Who calls, in place of a person: its calls may set and remove tags that begin with `aws:`. No credential from outside has
/// this as its user id.
pub(crate) const INTERNAL: &str = "cloudformation.amazonaws.com";

/// The companion's answer where a creation changed nothing.
pub(super) const ALREADY_THERE: &str = "cloudformation:AlreadyThere";

/// Whether CloudFormation itself calls.
pub(crate) fn is_internal(call: &CallContext) -> bool {
    call.principal.user_id == INTERNAL
}

/// Calls services for one stack.
#[derive(Clone)]
pub(crate) struct Caller {
    context: Arc<Context>,
    region: Region,
    /// The ARN of who ordered the stack's operation.
    arn: String,
}

impl Caller {
    pub(crate) fn new(context: Arc<Context>, region: Region, arn: impl Into<String>) -> Self {
        Self { context, region, arn: arn.into() }
    }

    pub(crate) fn region(&self) -> &Region {
        &self.region
    }

    /// Reads the records as they are.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&View) -> T) -> T {
        self.context.read(read)
    }

    /// Calls an operation with an input by its model's names, and gives its output's document.
    pub(crate) async fn call(&self, service: &str, operation: &str, input: Value) -> Result<Value, Failure> {
        self.run(Arc::clone(&self.context), service, operation, input).await
    }

    /// The same, where an error of the service is an answer too.
    pub(crate) async fn ask(
        &self,
        service: &str,
        operation: &str,
        input: Value,
    ) -> Result<Result<Value, ApiError>, Failure> {
        let call = self.context_of(service, operation, input)?;
        Ok(self.handle(&self.context, &call).await)
    }

    /// Calls an operation whose commit has a companion.
    pub(super) async fn call_with(
        &self,
        companion: Companion,
        service: &str,
        operation: &str,
        input: Value,
    ) -> Result<Value, Failure> {
        self.run(Arc::new(self.context.accompanied(companion)), service, operation, input).await
    }

    async fn run(
        &self,
        context: Arc<Context>,
        service: &str,
        operation: &str,
        input: Value,
    ) -> Result<Value, Failure> {
        let call = self.context_of(service, operation, input)?;
        let outcome = self.handle(&context, &call).await;
        outcome.map_err(|error| {
            if error.code == ALREADY_THERE {
                return Failure::handler(HandlerErrorCode::AlreadyExists, error.message);
            }
            Failure::of_call(display_name(&call), &call.request_id, &error)
        })
    }

    async fn handle(&self, context: &Arc<Context>, call: &CallContext) -> Result<Value, ApiError> {
        check_input(call)?;
        Box::pin(Services::new(Arc::clone(context)).handle(call)).await
    }

    fn context_of(&self, service: &str, operation: &str, input: Value) -> Result<CallContext, Failure> {
        let model = gantry_api::SERVICES.iter().find(|each| each.name == service).copied();
        let found = model.and_then(|model| Some((model, model.operation(operation)?)));
        let Some((service, operation)) = found else {
            return Err(Failure::plain(format!("Gantry does not serve {service}:{operation} yet.")));
        };
        Ok(CallContext {
            service,
            operation,
            protocol: service.protocols[0],
            region: self.region.clone(),
            request_id: self.context.uuid(),
            now: Timestamp::now(),
            access_key: String::new(),
            principal: Principal {
                arn: self.arn.clone(),
                user_id: INTERNAL.to_owned(),
                account: ACCOUNT.to_owned(),
            },
            input,
            query_mode: false,
        })
    }
}

/// The service as AWS's SDK for Java names it in messages: `Ecs`, `ElasticLoadBalancingV2`.
fn display_name(call: &CallContext) -> &'static str {
    match call.service.name {
        "ecs" => "AmazonECS",
        "ecr" => "Ecr",
        "elbv2" => "ElasticLoadBalancingV2",
        "ec2" => "Ec2",
        "iam" => "Iam",
        "logs" => "CloudWatchLogs",
        "ssm" => "Ssm",
        _ => call.service.service_id,
    }
}
