//! The `awsvpc` configuration of a task or service: its subnets and groups exist and belong together.

use gantry_api::ecs::{self as api, NetworkConfiguration};
use gantry_api::{ApiError, CallContext};
use gantry_domain::network::SecurityGroup;
use gantry_domain::service::AwsvpcConfiguration;
use gantry_domain::task_definition::{NetworkMode, TaskDefinition};
use gantry_domain::{Key, View};

use super::names::invalid;

const SUBNETS_MAX: usize = 16;
const SECURITY_GROUPS_MAX: usize = 5;

/// What the task's interfaces are made from; a VPC's default group where none is named.
pub(super) fn resolve(
    view: &View,
    call: &CallContext,
    definition: &TaskDefinition,
    given: Option<&NetworkConfiguration>,
) -> Result<Option<AwsvpcConfiguration>, ApiError> {
    let given = given.and_then(|configuration| configuration.awsvpc_configuration.as_ref());
    match (definition.network_mode, given) {
        (NetworkMode::Awsvpc, Some(given)) => check(view, call, given).map(Some),
        (NetworkMode::Awsvpc, None) => {
            Err(invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified."))
        }
        (_, Some(_)) => Err(invalid(
            "Network Configuration is not valid for the given networkMode of this task definition.",
        )),
        (_, None) => Ok(None),
    }
}

fn check(
    view: &View,
    call: &CallContext,
    given: &api::AwsVpcConfiguration,
) -> Result<AwsvpcConfiguration, ApiError> {
    if given.subnets.is_empty() {
        return Err(invalid("subnets can not be empty."));
    }
    if given.subnets.len() > SUBNETS_MAX {
        return Err(invalid(format!("subnets can have at most {SUBNETS_MAX} items.")));
    }
    let mut vpc = None;
    for id in &given.subnets {
        let subnet = view.subnet(&call.region, &id.as_str().into()).ok_or_else(|| {
            invalid(format!(
                "Error retrieving subnet information for [{id}]: The subnet ID '{id}' does not exist (ErrorCode: InvalidSubnetID.NotFound)"
            ))
        })?;
        if *vpc.get_or_insert_with(|| subnet.vpc.clone()) != subnet.vpc {
            return Err(invalid("The provided subnets must belong to the same VPC."));
        }
    }
    let vpc = vpc.unwrap_or_default();
    let groups = given.security_groups.as_deref().unwrap_or_default();
    if groups.len() > SECURITY_GROUPS_MAX {
        return Err(invalid(format!("securityGroups can have at most {SECURITY_GROUPS_MAX} items.")));
    }
    for id in groups {
        let group = view.get::<SecurityGroup>(&Key::security_group(&call.region, &id.as_str().into())).ok_or_else(|| {
            invalid(format!(
                "Error retrieving security group information for [{id}]: The security group '{id}' does not exist (ErrorCode: InvalidGroup.NotFound)"
            ))
        })?;
        if group.vpc != vpc {
            return Err(invalid(format!(
                "The security group '{id}' and the subnets belong to different VPCs."
            )));
        }
    }
    let mut security_groups: Vec<_> = groups.iter().map(|id| id.as_str().into()).collect();
    if security_groups.is_empty() {
        let default = view.security_groups_of_vpc(&call.region, &vpc).find(|group| group.name == "default");
        security_groups.extend(default.map(|group| group.id.clone()));
    }
    Ok(AwsvpcConfiguration {
        subnets: given.subnets.iter().map(|id| id.as_str().into()).collect(),
        security_groups,
        assign_public_ip: match given.assign_public_ip.as_deref() {
            None | Some("DISABLED") => false,
            Some("ENABLED") => true,
            Some(other) => return Err(invalid(format!("Invalid value '{other}' for assignPublicIp."))),
        },
    })
}

/// As Describe gives it back.
pub(super) fn shown(configuration: &AwsvpcConfiguration) -> NetworkConfiguration {
    NetworkConfiguration {
        awsvpc_configuration: Some(api::AwsVpcConfiguration {
            subnets: configuration.subnets.iter().map(ToString::to_string).collect(),
            security_groups: Some(configuration.security_groups.iter().map(ToString::to_string).collect()),
            assign_public_ip: Some(
                if configuration.assign_public_ip { "ENABLED" } else { "DISABLED" }.to_owned(),
            ),
        }),
    }
}
