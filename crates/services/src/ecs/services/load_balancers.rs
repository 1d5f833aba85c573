//! The load balancers that a service's tasks are registered with.

use gantry_api::ecs::LoadBalancer;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_domain::elb::{self, TargetType};
use gantry_domain::service::ServiceLoadBalancer;
use gantry_domain::task_definition::{NetworkMode, TaskDefinition as DefinitionRecord};
use gantry_types::Arn;

use crate::ecs::names::{client, invalid, refuse_unsupported};

const LOAD_BALANCERS_MAX: usize = 5;

pub(super) fn parse(
    view: &View,
    call: &CallContext,
    definition: &DefinitionRecord,
    given: &[LoadBalancer],
) -> Result<Vec<ServiceLoadBalancer>, ApiError> {
    if given.len() > LOAD_BALANCERS_MAX {
        return Err(invalid(format!("load balancers can have at most {LOAD_BALANCERS_MAX} items.")));
    }
    given.iter().map(|each| parse_one(view, call, definition, each)).collect()
}

fn parse_one(
    view: &View,
    call: &CallContext,
    definition: &DefinitionRecord,
    given: &LoadBalancer,
) -> Result<ServiceLoadBalancer, ApiError> {
    refuse_unsupported(&[("loadBalancers.advancedConfiguration", given.advanced_configuration.is_some())])?;
    let Some(text) = &given.target_group_arn else {
        return Err(client("Gantry does not support classic load balancers; name a target group."));
    };
    let not_found = || {
        invalid(format!(
            "Unable to assume role and validate the specified targetGroupArn {text}: target group not found."
        ))
    };
    let target_group: Arn = text.parse().map_err(|_| not_found())?;
    if view.target_group(&target_group).is_none_or(|group| group.region != call.region) {
        return Err(not_found());
    }
    if !is_attached(view, &target_group) {
        return Err(invalid(format!(
            "The target group with targetGroupArn {text} does not have an associated load balancer."
        )));
    }
    let found = ServiceLoadBalancer {
        target_group,
        container_name: given.container_name.as_deref().unwrap_or("").into(),
        container_port: given.container_port.and_then(|port| u16::try_from(port).ok()).unwrap_or(0),
    };
    check_definition(view, definition, std::slice::from_ref(&found))?;
    Ok(found)
}

/// A task definition must have the containers and ports that the load balancers forward to, in a mode that the target
/// groups can reach.
pub(super) fn check_definition(
    view: &View,
    definition: &DefinitionRecord,
    load_balancers: &[ServiceLoadBalancer],
) -> Result<(), ApiError> {
    for each in load_balancers {
        let (name, port) = (&each.container_name, each.container_port);
        let wanted = match definition.network_mode {
            NetworkMode::Awsvpc => TargetType::Ip,
            NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None => TargetType::Instance,
        };
        if let Some(group) = view.target_group(&each.target_group).filter(|group| group.target_type != wanted)
        {
            return Err(invalid(format!(
                "The provided target group {} has target type {}, which is incompatible with the {} network mode specified in the task definition.",
                group.arn, group.target_type, definition.network_mode
            )));
        }
        let Some(container) = definition.containers.iter().find(|container| container.name == *name) else {
            return Err(invalid(format!("The container {name} does not exist in the task definition.")));
        };
        if !container.port_mappings.iter().any(|mapping| mapping.container_port == port) {
            return Err(invalid(format!(
                "The container {name} did not have a container port {port} defined."
            )));
        }
    }
    Ok(())
}

/// Whether some listener or rule forwards to the group.
fn is_attached(view: &View, target_group: &Arn) -> bool {
    let forwards = |actions: &[elb::RuleAction]| {
        actions.iter().any(|action| match action {
            elb::RuleAction::Forward(forward) => {
                forward.target_groups.iter().any(|each| each.target_group == *target_group)
            }
            elb::RuleAction::Redirect(_) | elb::RuleAction::FixedResponse(_) => false,
        })
    };
    view.scan::<elb::Listener>("").any(|listener| forwards(&listener.default_actions))
        || view.scan::<elb::Rule>("").any(|rule| forwards(&rule.actions))
}
