//! A service's deployments: how they go, and how one begins.

use gantry_api::ecs::{DeploymentCircuitBreaker, DeploymentConfiguration};
use gantry_api::{ApiError, CallContext, IntoValue};
use gantry_domain::View;
use gantry_domain::service::{
    AwsvpcConfiguration, CircuitBreaker, Deployment as DeploymentRecord, DeploymentStatus, RolloutState,
    SchedulingStrategy, Service as ServiceRecord,
};
use gantry_domain::task_definition::LaunchType;
use gantry_types::{Arn, DeploymentId, Ids, Value};

use crate::ecs::names::{client, invalid, is_set, refuse_unsupported};
use crate::ecs::providers::Capacity;
use crate::ecs::tasks::platform_version;

/// How a service's deployments go.
pub(super) struct Configuration {
    pub(super) minimum_healthy_percent: u32,
    pub(super) maximum_percent: u32,
    pub(super) circuit_breaker: CircuitBreaker,
}

impl Configuration {
    pub(super) fn parse(
        given: Option<&DeploymentConfiguration>,
        scheduling: SchedulingStrategy,
    ) -> Result<Self, ApiError> {
        let defaults = match scheduling {
            SchedulingStrategy::Replica => (100, 200),
            SchedulingStrategy::Daemon => (0, 100),
        };
        let given = given.cloned().unwrap_or_default();
        if let Some(strategy) = given.strategy.as_deref().filter(|strategy| *strategy != "ROLLING") {
            return Err(client(format!("Gantry does not support the deployment strategy {strategy} yet.")));
        }
        let breaker = given.deployment_circuit_breaker;
        let circuit_breaker = CircuitBreaker {
            enable: breaker.as_ref().is_some_and(|breaker| breaker.enable),
            rollback: breaker.as_ref().is_some_and(|breaker| breaker.rollback),
        };
        refuse_unsupported(&[
            ("deploymentConfiguration.alarms", given.alarms.as_ref().is_some_and(|alarms| alarms.enable)),
            ("deploymentConfiguration.lifecycleHooks", is_set(&given.lifecycle_hooks)),
            ("deploymentConfiguration.canaryConfiguration", given.canary_configuration.is_some()),
            ("deploymentConfiguration.linearConfiguration", given.linear_configuration.is_some()),
            (
                "deploymentConfiguration.bakeTimeInMinutes",
                given.bake_time_in_minutes.is_some_and(|minutes| minutes != 0),
            ),
        ])?;
        let percent = |value: Option<i32>, default: u32| {
            value.map_or(Ok(default), |value| {
                u32::try_from(value).map_err(|_| invalid("Deployment percentages can not be negative."))
            })
        };
        let minimum_healthy_percent = percent(given.minimum_healthy_percent, defaults.0)?;
        let maximum_percent = percent(given.maximum_percent, defaults.1)?;
        check_percents(scheduling, minimum_healthy_percent, maximum_percent)?;
        Ok(Self { minimum_healthy_percent, maximum_percent, circuit_breaker })
    }
}

/// A deployment must have room to go on in: above the maximum's 100 %, or below the minimum's.
fn check_percents(scheduling: SchedulingStrategy, minimum: u32, maximum: u32) -> Result<(), ApiError> {
    match scheduling {
        SchedulingStrategy::Daemon if maximum != 100 => Err(invalid(
            "The daemon scheduling strategy does not support values above 100 for maximumPercent.",
        )),
        SchedulingStrategy::Daemon if minimum >= 100 => Err(invalid(
            "The daemon scheduling strategy does not support values above 100 for minimumHealthyPercent.",
        )),
        SchedulingStrategy::Replica if maximum < 100 => {
            Err(invalid("maximumPercent must be greater than or equal to 100."))
        }
        SchedulingStrategy::Replica if (minimum, maximum) == (100, 100) => Err(invalid(
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.",
        )),
        SchedulingStrategy::Replica if minimum >= maximum => {
            Err(invalid("minimumHealthyPercent must be less than maximumPercent."))
        }
        SchedulingStrategy::Daemon | SchedulingStrategy::Replica => Ok(()),
    }
}

/// Members that an update leaves out keep their value.
pub(super) fn merged(record: &ServiceRecord, given: &DeploymentConfiguration) -> DeploymentConfiguration {
    let whole = |number: u32| i32::try_from(number).ok();
    DeploymentConfiguration {
        minimum_healthy_percent: given.minimum_healthy_percent.or(whole(record.minimum_healthy_percent)),
        maximum_percent: given.maximum_percent.or(whole(record.maximum_percent)),
        deployment_circuit_breaker: given.deployment_circuit_breaker.clone().or(Some(
            DeploymentCircuitBreaker {
                enable: record.circuit_breaker.enable,
                rollback: record.circuit_breaker.rollback,
            },
        )),
        ..given.clone()
    }
}

/// Puts a new PRIMARY deployment in front of the others. Of those it replaces, the ones stay that still have tasks, and the one
/// that can be rolled back to.
pub(super) fn deploy(
    view: &View,
    record: &mut ServiceRecord,
    call: &CallContext,
    ids: &mut Ids,
    task_definition: Arn,
    capacity: &Capacity,
    network: Option<AwsvpcConfiguration>,
) -> Result<(), ApiError> {
    let id = DeploymentId::new(format!("ecs-svc/{}", ids.digits(19)));
    let mut document = Value::map();
    if capacity.launch_type == LaunchType::Fargate {
        let given = record.document.get("platformVersion").and_then(Value::as_str);
        document.set("platformVersion", platform_version(given)?);
        document.set("platformFamily", "Linux");
    }
    document.set("capacityProviderStrategy", capacity.strategy.clone().into_value());
    document.set("capacityProviderName", capacity.provider.clone());
    let is_used = |each: &DeploymentRecord| {
        each.rollout_state == RolloutState::Completed
            || view
                .tasks_of_service(&record.region, &record.cluster, &record.name)
                .any(|task| task.deployment.as_ref() == Some(&each.id) && !task.is_stopped())
    };
    let mut deployments = std::mem::take(&mut record.deployments);
    deployments.retain(is_used);
    record.deployments = deployments;
    for older in &mut record.deployments {
        older.status = DeploymentStatus::Active;
        older.desired_count = 0;
    }
    let deployment = DeploymentRecord {
        rollout_state_reason: format!("ECS deployment {id} in progress."),
        id,
        status: DeploymentStatus::Primary,
        task_definition,
        launch_type: capacity.launch_type,
        network,
        desired_count: record.desired_count,
        rollout_state: RolloutState::InProgress,
        failed_tasks: 0,
        start_failures: 0,
        start_after: None,
        created_at: call.now,
        updated_at: call.now,
        document,
    };
    record.deployments.insert(0, deployment);
    record.steady = false;
    Ok(())
}
