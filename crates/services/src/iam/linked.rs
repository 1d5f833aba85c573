//! Roles that belong to a service of AWS.

use gantry_api::iam::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_types::{Ids, Timestamp, Value};

use super::records::{arn, find_role, missing, role};
use super::roles::{SERVICE_PATH, made};
use crate::Decision;
use crate::objects::{self, Found};

/// Deletions whose outcome can be asked for; beyond it the oldest is forgotten.
const DELETIONS_MAX: usize = 100;
const DELETION: &str = "iam/service-linked-role-deletion";

/// A service, its role's name and the policy that the role has.
const SERVICES: [(&str, &str, &str); 6] = [
    ("ecs.amazonaws.com", "AWSServiceRoleForECS", "AmazonECSServiceRolePolicy"),
    (
        "elasticloadbalancing.amazonaws.com",
        "AWSServiceRoleForElasticLoadBalancing",
        "AWSElasticLoadBalancingServiceRolePolicy",
    ),
    ("autoscaling.amazonaws.com", "AWSServiceRoleForAutoScaling", "AutoScalingServiceRolePolicy"),
    (
        "ecs.application-autoscaling.amazonaws.com",
        "AWSServiceRoleForApplicationAutoScaling_ECSService",
        "AWSApplicationAutoscalingECSServicePolicy",
    ),
    ("spot.amazonaws.com", "AWSServiceRoleForEC2Spot", "AWSEC2SpotServiceRolePolicy"),
    ("ops.apigateway.amazonaws.com", "AWSServiceRoleForAPIGateway", "APIGatewayServiceRolePolicy"),
];
/// Services that may have several roles, told apart by a suffix.
const SUFFIXED: [&str; 1] = ["autoscaling.amazonaws.com"];

pub(super) fn create(
    view: &View,
    call: &CallContext,
    input: &CreateServiceLinkedRoleRequest,
    ids: &mut Ids,
) -> Decision<CreateServiceLinkedRoleResponse> {
    let service = input.aws_service_name.as_str();
    let Some((_, base, policy)) = SERVICES.iter().find(|(name, _, _)| *name == service) else {
        return Err(errors::invalid_input_exception(format!("Service-linked role unknown for {service}.")));
    };
    let name = match input.custom_suffix.as_deref() {
        None => (*base).to_owned(),
        Some(suffix) if SUFFIXED.contains(&service) => format!("{base}_{suffix}"),
        Some(_) => {
            let message = format!("Custom suffix is not allowed for {service}");
            return Err(errors::invalid_input_exception(message));
        }
    };
    if find_role(view, &name)?.is_some() {
        return Err(errors::invalid_input_exception(format!(
            "Service role name {name} has been taken in this account, please try a different suffix."
        )));
    }
    let path = format!("{SERVICE_PATH}{service}/");
    let trust = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Action":["sts:AssumeRole"],"Effect":"Allow","Principal":{{"Service":["{service}"]}}}}]}}"#
    );
    let shown = Role {
        arn: arn("role", &path, &name),
        assume_role_policy_document: Some(trust),
        create_date: call.now,
        description: input.description.clone(),
        max_session_duration: Some(3600),
        path,
        role_id: format!("AROA{}", ids.base32(17)),
        role_name: name,
        ..Role::default()
    };
    let attached = vec![format!("arn:aws:iam::aws:policy{SERVICE_PATH}{policy}")];
    let (role, change) = made(view, shown, attached)?;
    Ok((CreateServiceLinkedRoleResponse { role: Some(role) }, vec![change]))
}

/// Deletes at once; that it is done is kept for who asks.
pub(super) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteServiceLinkedRoleRequest,
    ids: &mut Ids,
) -> Decision<DeleteServiceLinkedRoleResponse> {
    let role = role(view, &input.role_name)?;
    let path = &role.document.shown.path;
    if !path.starts_with(SERVICE_PATH) {
        return Err(errors::invalid_input_exception(format!(
            "The role with name {} is not a service-linked role.",
            input.role_name
        )));
    }
    let deletion_task_id = format!("task{path}{}/{}", role.document.shown.role_name, ids.uuid());
    let mut changes =
        vec![role.delete(), objects::create(DELETION, &deletion_task_id, Value::from(call.now))];
    let mut others: Vec<Found<Timestamp>> = objects::list(view, DELETION)?;
    if others.len() >= DELETIONS_MAX {
        others.sort_by_key(|deletion| deletion.document);
        changes.extend(others.first().map(Found::delete));
    }
    Ok((DeleteServiceLinkedRoleResponse { deletion_task_id }, changes))
}

pub(super) fn deletion_status(
    view: &View,
    _call: &CallContext,
    input: &GetServiceLinkedRoleDeletionStatusRequest,
) -> Result<GetServiceLinkedRoleDeletionStatusResponse, ApiError> {
    let found: Option<Found<Timestamp>> = objects::find(view, DELETION, &input.deletion_task_id)?;
    match found {
        Some(_) => {
            Ok(GetServiceLinkedRoleDeletionStatusResponse { reason: None, status: "SUCCEEDED".to_owned() })
        }
        None => Err(missing(format!("Deletion task {} cannot be found.", input.deletion_task_id))),
    }
}
