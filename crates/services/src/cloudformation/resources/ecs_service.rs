//! `AWS::ECS::Service`.

use gantry_types::Value;

use super::calls::{part, refuse};
use super::tags::{self, Tagged};
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::{Failure, HandlerErrorCode};
use crate::cloudformation::mapping;
use crate::cloudformation::resource::{
    Creation, Kind, Naming, Property, ResourceType, Stability, Wanted, Work,
};

pub(super) struct Service;

const PROPERTIES: &[Property] = &[
    Property::new("AvailabilityZoneRebalancing", Kind::String),
    Property::new("CapacityProviderStrategy", Kind::List),
    Property::new("Cluster", Kind::String).replaces(),
    Property::new("DeploymentConfiguration", Kind::Structure),
    Property::new("DeploymentController", Kind::Structure).replaces(),
    Property::new("DesiredCount", Kind::Integer),
    Property::new("EnableECSManagedTags", Kind::Boolean),
    Property::new("EnableExecuteCommand", Kind::Boolean),
    Property::new("ForceNewDeployment", Kind::Structure),
    Property::new("HealthCheckGracePeriodSeconds", Kind::Integer),
    Property::new("LaunchType", Kind::String).replaces(),
    Property::new("LoadBalancers", Kind::List),
    Property::new("NetworkConfiguration", Kind::Structure),
    Property::new("PlacementConstraints", Kind::List),
    Property::new("PlacementStrategies", Kind::List),
    Property::new("PlatformVersion", Kind::String),
    Property::new("PropagateTags", Kind::String),
    Property::new("Role", Kind::String).replaces(),
    Property::new("SchedulingStrategy", Kind::String).replaces(),
    Property::new("ServiceConnectConfiguration", Kind::Structure),
    Property::new("ServiceName", Kind::String).replaces(),
    Property::new("ServiceRegistries", Kind::List),
    Property::new("Tags", Kind::List),
    Property::new("TaskDefinition", Kind::String),
    Property::new("VolumeConfigurations", Kind::List),
    Property::new("VpcLatticeConfigurations", Kind::List),
];
const RENAMES: &[(&str, &str)] = &[("PlacementStrategies", "placementStrategy")];
/// What UpdateService takes.
const UPDATED: &[&str] = &[
    "AvailabilityZoneRebalancing",
    "CapacityProviderStrategy",
    "DeploymentConfiguration",
    "DesiredCount",
    "EnableECSManagedTags",
    "EnableExecuteCommand",
    "HealthCheckGracePeriodSeconds",
    "LoadBalancers",
    "NetworkConfiguration",
    "PlacementConstraints",
    "PlacementStrategies",
    "PlatformVersion",
    "PropagateTags",
    "ServiceRegistries",
    "TaskDefinition",
];
const UNSUPPORTED: &[&str] =
    &["ServiceConnectConfiguration", "ServiceRegistries", "VolumeConfigurations", "VpcLatticeConfigurations"];

impl ResourceType for Service {
    fn name(&self) -> &'static str {
        "AWS::ECS::Service"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn attributes(&self) -> &'static [&'static str] {
        &["Name", "ServiceArn"]
    }
    fn naming(&self) -> Option<Naming> {
        Some(Naming::new("ServiceName", 255))
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        refuse(wanted, UNSUPPORTED)?;
        let mut input =
            mapping::input(wanted, "ecs", "CreateService", RENAMES, &|name| name != "ForceNewDeployment")?;
        input.set("serviceName", wanted.name("ServiceName"));
        input.set("tags", wanted.tag_list("key", "value"));
        input.set("clientToken", token(wanted));
        let is_daemon = wanted.text("SchedulingStrategy").as_deref() == Some("DAEMON");
        if input.get("desiredCount").is_none() && !is_daemon {
            input.set("desiredCount", 1_i64);
        }
        Ok(Creation::call("ecs", "CreateService", input, "service.serviceArn"))
    }

    /// Steady: one deployment, and as many tasks as wanted run. A deployment that failed, or that was rolled back, fails the
    /// resource.
    fn stability<'a>(
        &'a self,
        caller: &'a Caller,
        wanted: &'a Wanted<'a>,
        id: &'a str,
    ) -> Work<'a, Stability> {
        Box::pin(async move {
            let Some(service) = describe(caller, wanted, id).await? else {
                return Err(Failure::handler(
                    HandlerErrorCode::NotFound,
                    format!("Resource of type 'AWS::ECS::Service' with identifier '{id}' was not found."),
                ));
            };
            judge(&service, wanted)
        })
    }

    /// A count that the template does not give is left to whoever scales the service.
    fn update<'a>(
        &'a self,
        caller: &'a Caller,
        wanted: &'a Wanted<'a>,
        id: &'a str,
        old: &'a Wanted<'a>,
    ) -> Work<'a, ()> {
        Box::pin(async move {
            refuse(wanted, UNSUPPORTED)?;
            let mut input = wanted.input_of("ecs", "UpdateService", UPDATED, RENAMES)?;
            set_place(&mut input, wanted);
            input.set("service", id);
            for (property, member) in [
                ("LoadBalancers", "loadBalancers"),
                ("PlacementConstraints", "placementConstraints"),
                ("PlacementStrategies", "placementStrategy"),
            ] {
                // What the template no longer says is taken away.
                if wanted.property(property).is_null() && !old.property(property).is_null() {
                    input.set(member, Value::List(vec![]));
                }
            }
            if forces(wanted, old) {
                input.set("forceNewDeployment", true);
            }
            caller.call("ecs", "UpdateService", input).await?;
            tags::update(caller, wanted, old, Tagged::Ecs { arn: id }).await
        })
    }

    fn delete<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        Box::pin(async move {
            let Some(service) = describe(caller, wanted, id).await? else { return Ok(()) };
            if status(&service) != "ACTIVE" {
                return Ok(());
            }
            let mut input = Value::structure([("service", id.into()), ("force", true.into())]);
            set_place(&mut input, wanted);
            caller.call("ecs", "DeleteService", input).await.map(|_| ())
        })
    }

    /// Its tasks have ended.
    fn is_gone<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, bool> {
        Box::pin(async move {
            let service = describe(caller, wanted, id).await?;
            Ok(service.is_none_or(|service| status(&service) == "INACTIVE"))
        })
    }

    fn read<'a>(&'a self, _caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, Value> {
        Box::pin(async move {
            let name = id.rsplit('/').next().unwrap_or(id);
            Ok(Value::structure([("Name", name.into()), ("ServiceArn", id.into())]))
        })
    }
}

/// At most 36 characters, the same for the same creation.
fn token(wanted: &Wanted<'_>) -> String {
    wanted.token.chars().take(36).collect()
}

fn set_place(input: &mut Value, wanted: &Wanted<'_>) {
    if let Some(cluster) = wanted.text("Cluster") {
        input.set("cluster", cluster);
    }
}

/// Changing tasks' capacity needs a new deployment; a template may also ask for one, by another nonce each time.
fn forces(wanted: &Wanted<'_>, old: &Wanted<'_>) -> bool {
    let moves = wanted.property("CapacityProviderStrategy") != old.property("CapacityProviderStrategy");
    let asked = wanted.property("ForceNewDeployment");
    let enabled = asked.get("EnableForceNewDeployment").and_then(mapping::truth) == Some(true);
    moves || (enabled && asked != old.property("ForceNewDeployment"))
}

async fn describe(caller: &Caller, wanted: &Wanted<'_>, id: &str) -> Result<Option<Value>, Failure> {
    let mut input = Value::structure([("services", vec![id].into())]);
    set_place(&mut input, wanted);
    match caller.call("ecs", "DescribeServices", input).await {
        Ok(output) => Ok(mapping::at(&output, "services.0").cloned()),
        // Its cluster is gone, and it with that.
        Err(failure) if failure.is(HandlerErrorCode::NotFound) => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn status(service: &Value) -> String {
    mapping::text(&part(service, "status")).unwrap_or_default()
}

fn judge(service: &Value, wanted: &Wanted<'_>) -> Result<Stability, Failure> {
    let deployments = part(service, "deployments");
    let text = |value: &Value, name: &str| value.get(name).and_then(mapping::text).unwrap_or_default();
    let Some(primary) = deployments.as_list().iter().find(|each| text(each, "status") == "PRIMARY") else {
        return Ok(Stability::Pending);
    };
    let definition = text(primary, "taskDefinition");
    let rolls_back = text(primary, "rolloutStateReason").contains("rolling back to deploymentId");
    let is_wanted = match wanted.text("TaskDefinition") {
        None => true,
        Some(wanted) if names_revision(&wanted) => revision(&wanted) == revision(&definition),
        // Only the family is known: whatever is deployed is wanted, unless ECS itself went back to it.
        Some(_) => !rolls_back,
    };
    if text(primary, "rolloutState") == "FAILED" || !is_wanted {
        return Err(Failure::handler(
            HandlerErrorCode::GeneralServiceException,
            "Error occurred during operation 'ECS Deployment Circuit Breaker was triggered'.",
        ));
    }
    let count = |name| part(service, name).as_i64().unwrap_or_default();
    let is_steady = deployments.as_list().len() == 1
        && text(primary, "rolloutState") == "COMPLETED"
        && count("runningCount") == count("desiredCount");
    Ok(if is_steady { Stability::Stable } else { Stability::Pending })
}

/// `family:revision` of a task definition's name or ARN.
fn revision(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or(text)
}

fn names_revision(text: &str) -> bool {
    revision(text).contains(':')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn deployment(status: &str, definition: &str, rollout: &str, reason: &str) -> Value {
        Value::structure([
            ("status", status.into()),
            ("taskDefinition", definition.into()),
            ("rolloutState", rollout.into()),
            ("rolloutStateReason", reason.into()),
        ])
    }

    #[test]
    fn a_service_is_stable_when_it_is_steady() {
        const NEW: &str = "arn:aws:ecs:us-east-1:123456789012:task-definition/web:2";
        const OLD: &str = "arn:aws:ecs:us-east-1:123456789012:task-definition/web:1";
        let primary = |definition, rollout, reason| deployment("PRIMARY", definition, rollout, reason);
        let active = |definition, rollout| deployment("ACTIVE", definition, rollout, "");
        let back = "ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/1.";
        let breaker = Err("Error occurred during operation 'ECS Deployment Circuit Breaker was triggered'.");
        let (stable, pending) = (Ok(Stability::Stable), Ok(Stability::Pending));
        for (deployments, wanted, running, expected) in [
            (vec![primary(NEW, "COMPLETED", "")], NEW, 2, stable.clone()),
            (vec![primary(NEW, "COMPLETED", "")], "web:2", 2, stable.clone()),
            (vec![primary(NEW, "COMPLETED", "")], "web", 2, stable.clone()),
            (vec![primary(NEW, "COMPLETED", "")], NEW, 1, pending.clone()),
            (vec![primary(NEW, "IN_PROGRESS", "")], NEW, 2, pending.clone()),
            (vec![primary(NEW, "IN_PROGRESS", ""), active(OLD, "COMPLETED")], NEW, 2, pending.clone()),
            (vec![], NEW, 2, pending.clone()),
            (vec![primary(NEW, "FAILED", "")], NEW, 0, breaker.clone()),
            (vec![primary(OLD, "IN_PROGRESS", back), active(NEW, "FAILED")], NEW, 2, breaker.clone()),
            (vec![primary(OLD, "IN_PROGRESS", back)], "web", 1, breaker.clone()),
            // ECS went back, and nothing of the failed deployment is left.
            (vec![primary(OLD, "COMPLETED", "")], NEW, 2, breaker.clone()),
            // The stack goes back too, and finds the service on its way there.
            (vec![primary(OLD, "IN_PROGRESS", back), active(NEW, "FAILED")], OLD, 2, pending.clone()),
            (vec![primary(OLD, "COMPLETED", back)], OLD, 2, stable.clone()),
        ] {
            let service = Value::structure([
                ("deployments", Value::List(deployments)),
                ("runningCount", Value::Int(running)),
                ("desiredCount", Value::Int(2)),
            ]);
            let tags = BTreeMap::new();
            let properties = Value::structure([("TaskDefinition", wanted.into())]);
            let wanted = Wanted {
                logical_id: "Web",
                resource_type: "AWS::ECS::Service",
                properties: &properties,
                generated_name: "",
                token: "",
                stack_tags: &tags,
            };
            let outcome = judge(&service, &wanted);
            match (&outcome, &expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{service:?}"),
                (Err(failure), Err(message)) => {
                    assert_eq!(failure.message(), *message);
                    assert!(failure.is(HandlerErrorCode::GeneralServiceException));
                }
                _ => panic!("{outcome:?} where {expected:?} was expected: {service:?}"),
            }
        }
    }
}
