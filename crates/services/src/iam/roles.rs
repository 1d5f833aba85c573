//! Roles.

use gantry_api::iam::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::{Change, View};
use gantry_types::Ids;

use super::documents::{DocumentKind, check, encoded, size};
use super::listing::{below, listed};
use super::policies::AnyPolicy;
use super::records::{Entity, PROFILE, ROLE, arn, exceeded, find_role, given_tags, key, missing, role};
use crate::Decision;
use crate::objects::{self, Found};

const ROLES_MAX: usize = 1000;
const TRUST_POLICY_CHARACTERS_MAX: usize = 2048;
const SESSION_SECONDS_DEFAULT: i32 = 3600;
/// Roles below this path belong to a service of AWS.
pub(super) const SERVICE_PATH: &str = "/aws-service-role/";

pub(super) fn create(
    view: &View,
    call: &CallContext,
    input: &CreateRoleRequest,
    ids: &mut Ids,
) -> Decision<CreateRoleResponse> {
    let name = &input.role_name;
    check_trust(&input.assume_role_policy_document)?;
    if find_role(view, name)?.is_some() {
        return Err(errors::entity_already_exists_exception(format!(
            "Role with name {name} already exists."
        )));
    }
    let path = input.path.clone().unwrap_or_else(|| "/".to_owned());
    if path.starts_with(SERVICE_PATH) {
        return Err(errors::invalid_input_exception(format!(
            "Roles below {SERVICE_PATH} are made by CreateServiceLinkedRole."
        )));
    }
    let mut changes = Vec::new();
    let boundary = input.permissions_boundary.as_deref().map(|arn| boundary(view, arn, &mut changes));
    let shown = Role {
        arn: arn("role", &path, name),
        assume_role_policy_document: Some(input.assume_role_policy_document.clone()),
        create_date: call.now,
        description: input.description.clone(),
        max_session_duration: Some(input.max_session_duration.unwrap_or(SESSION_SECONDS_DEFAULT)),
        path,
        permissions_boundary: boundary.transpose()?,
        role_id: format!("AROA{}", ids.base32(17)),
        role_last_used: None,
        role_name: name.clone(),
        tags: given_tags(call, input.tags.as_deref())?,
    };
    let (role, change) = made(view, shown, vec![])?;
    changes.push(change);
    Ok((CreateRoleResponse { role }, changes))
}

/// A new role with policies attached, as its maker sees it.
pub(super) fn made(view: &View, shown: Role, attached: Vec<String>) -> Result<(Role, Change), ApiError> {
    if objects::list::<Entity<Role>>(view, ROLE)?.len() >= ROLES_MAX {
        return Err(exceeded("RolesPerAccount", ROLES_MAX));
    }
    let entity = Entity { shown, attached, ..Entity::default() };
    let seen = whole(&entity.shown);
    Ok((seen, objects::create(ROLE, &key(&entity.shown.role_name), entity)))
}

/// The boundary that a policy makes. The policy is written again, so that it is not deleted meanwhile.
fn boundary(
    view: &View,
    arn: &str,
    changes: &mut Vec<Change>,
) -> Result<AttachedPermissionsBoundary, ApiError> {
    let policy = AnyPolicy::find(view, arn)?
        .ok_or_else(|| missing(format!("Scope ARN: {arn} does not exist or is not attachable.")))?;
    changes.extend(policy.touch());
    Ok(AttachedPermissionsBoundary {
        permissions_boundary_arn: Some(arn.to_owned()),
        permissions_boundary_type: Some("PermissionsBoundaryPolicy".to_owned()),
    })
}

fn check_trust(document: &str) -> Result<(), ApiError> {
    check(document, DocumentKind::Trust)?;
    if size(document) > TRUST_POLICY_CHARACTERS_MAX {
        return Err(exceeded("ACLSizePerRole", TRUST_POLICY_CHARACTERS_MAX));
    }
    Ok(())
}

/// All that is known of a role.
pub(super) fn whole(role: &Role) -> Role {
    Role {
        assume_role_policy_document: role.assume_role_policy_document.as_deref().map(encoded),
        ..role.clone()
    }
}

/// A role as listings and instance profiles show it.
pub(super) fn brief(role: &Role) -> Role {
    Role { tags: None, permissions_boundary: None, ..whole(role) }
}

/// A role that is changed by its owner, not by a service of AWS.
pub(super) fn unprotected(view: &View, name: &str) -> Result<Found<Entity<Role>>, ApiError> {
    let role = role(view, name)?;
    if role.document.shown.path.starts_with(SERVICE_PATH) {
        return Err(errors::unmodifiable_entity_exception(format!(
            "Cannot perform the operation on the protected role '{name}' - this role is only modifiable by AWS"
        )));
    }
    Ok(role)
}

pub(super) fn delete(
    view: &View,
    _call: &CallContext,
    input: &DeleteRoleRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let role = unprotected(view, &input.role_name)?;
    let in_use =
        |what| errors::delete_conflict_exception(format!("Cannot delete entity, must {what} first."));
    if in_profile(view, &role.document.shown.role_name)? {
        return Err(in_use("remove roles from instance profile"));
    }
    if !role.document.attached.is_empty() {
        return Err(in_use("detach all policies"));
    }
    if !role.document.inline.is_empty() {
        return Err(in_use("delete policies"));
    }
    Ok(((), vec![role.delete()]))
}

fn in_profile(view: &View, name: &str) -> Result<bool, ApiError> {
    let profiles = objects::list::<InstanceProfile>(view, PROFILE)?;
    Ok(profiles.iter().any(|profile| profile.document.roles.iter().any(|role| role.role_name == name)))
}

pub(super) fn get(
    view: &View,
    _call: &CallContext,
    input: &GetRoleRequest,
) -> Result<GetRoleResponse, ApiError> {
    let role = whole(&role(view, &input.role_name)?.document.shown);
    Ok(GetRoleResponse { role: Role { role_last_used: Some(RoleLastUsed::default()), ..role } })
}

pub(super) fn list(
    view: &View,
    _call: &CallContext,
    input: &ListRolesRequest,
) -> Result<ListRolesResponse, ApiError> {
    let roles = objects::list::<Entity<Role>>(view, ROLE)?.into_iter().map(|role| role.document.shown);
    let roles = roles.filter(|role| below(&role.path, input.path_prefix.as_deref()));
    let page = listed(roles, |role| key(&role.role_name), input.marker.as_deref(), input.max_items)?;
    let roles = page.items.iter().map(brief).collect();
    Ok(ListRolesResponse { roles, is_truncated: page.is_truncated, marker: page.marker })
}

pub(super) fn update(
    view: &View,
    _call: &CallContext,
    input: &UpdateRoleRequest,
    _ids: &mut Ids,
) -> Decision<UpdateRoleResponse> {
    let mut role = unprotected(view, &input.role_name)?;
    if let Some(description) = &input.description {
        role.document.shown.description = Some(description.clone());
    }
    if let Some(seconds) = input.max_session_duration {
        role.document.shown.max_session_duration = Some(seconds);
    }
    Ok((UpdateRoleResponse {}, vec![role.update()]))
}

pub(super) fn update_description(
    view: &View,
    _call: &CallContext,
    input: &UpdateRoleDescriptionRequest,
    _ids: &mut Ids,
) -> Decision<UpdateRoleDescriptionResponse> {
    let mut role = role(view, &input.role_name)?;
    role.document.shown.description = Some(input.description.clone());
    let seen = whole(&role.document.shown);
    Ok((UpdateRoleDescriptionResponse { role: Some(seen) }, vec![role.update()]))
}

pub(super) fn update_assume_role_policy(
    view: &View,
    _call: &CallContext,
    input: &UpdateAssumeRolePolicyRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut role = unprotected(view, &input.role_name)?;
    check_trust(&input.policy_document)?;
    role.document.shown.assume_role_policy_document = Some(input.policy_document.clone());
    Ok(((), vec![role.update()]))
}

pub(super) fn put_boundary(
    view: &View,
    _call: &CallContext,
    input: &PutRolePermissionsBoundaryRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut role = unprotected(view, &input.role_name)?;
    let mut changes = Vec::new();
    role.document.shown.permissions_boundary =
        Some(boundary(view, &input.permissions_boundary, &mut changes)?);
    changes.push(role.update());
    Ok(((), changes))
}

pub(super) fn delete_boundary(
    view: &View,
    _call: &CallContext,
    input: &DeleteRolePermissionsBoundaryRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut role = unprotected(view, &input.role_name)?;
    role.document.shown.permissions_boundary = None;
    Ok(((), vec![role.update()]))
}
