//! Managed policies at roles and users.

use gantry_api::iam::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::{Change, View};
use gantry_types::Ids;

use super::listing::{below, listed};
use super::policies::{AnyPolicy, policy};
use super::records::{Entity, ROLE, USER, exceeded, key, missing, role, user};
use super::roles::unprotected;
use crate::Decision;
use crate::objects;

const POLICIES_PER_ENTITY_MAX: usize = 10;

/// Attaches once, however often it is asked. The policy is written again, so that it is not deleted meanwhile.
fn attach(view: &View, attached: &mut Vec<String>, arn: &str, quota: &str) -> Result<Vec<Change>, ApiError> {
    let policy = AnyPolicy::find(view, arn)?
        .ok_or_else(|| missing(format!("Policy {arn} does not exist or is not attachable.")))?;
    if attached.iter().any(|own| own == arn) {
        return Ok(vec![]);
    }
    if attached.len() >= POLICIES_PER_ENTITY_MAX {
        return Err(exceeded(quota, POLICIES_PER_ENTITY_MAX));
    }
    attached.push(arn.to_owned());
    Ok(policy.touch().into_iter().collect())
}

fn detach(attached: &mut Vec<String>, arn: &str) -> Result<(), ApiError> {
    let place = attached.iter().position(|own| own == arn);
    attached.remove(place.ok_or_else(|| missing(format!("Policy {arn} was not found.")))?);
    Ok(())
}

/// Attached policies as they are listed. Their names are unique but for one of AWS and one of the customer's.
fn shown(attached: &[String], prefix: Option<&str>) -> Vec<AttachedPolicy> {
    let path = |arn: &str| {
        let resource = arn.split_once(":policy").map_or("", |(_, resource)| resource);
        resource.rfind('/').map_or("/", |end| &resource[..=end]).to_owned()
    };
    let wanted = attached.iter().filter(|arn| below(&path(arn), prefix));
    let shown = wanted.map(|arn| AttachedPolicy {
        policy_arn: Some(arn.clone()),
        policy_name: arn.rsplit('/').next().map(str::to_owned),
    });
    shown.collect()
}

fn order(policy: &AttachedPolicy) -> String {
    let is_aws = policy.policy_arn.as_deref().is_some_and(|arn| arn.starts_with("arn:aws:iam::aws:"));
    format!("{}/{}", policy.policy_name.as_deref().unwrap_or(""), u8::from(is_aws))
}

pub(super) fn attach_role_policy(
    view: &View,
    _call: &CallContext,
    input: &AttachRolePolicyRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut role = unprotected(view, &input.role_name)?;
    let mut changes = attach(view, &mut role.document.attached, &input.policy_arn, "PoliciesPerRole")?;
    changes.push(role.update());
    Ok(((), changes))
}

pub(super) fn detach_role_policy(
    view: &View,
    _call: &CallContext,
    input: &DetachRolePolicyRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut role = unprotected(view, &input.role_name)?;
    detach(&mut role.document.attached, &input.policy_arn)?;
    Ok(((), vec![role.update()]))
}

pub(super) fn list_attached_role_policies(
    view: &View,
    _call: &CallContext,
    input: &ListAttachedRolePoliciesRequest,
) -> Result<ListAttachedRolePoliciesResponse, ApiError> {
    let role = role(view, &input.role_name)?;
    let policies = shown(&role.document.attached, input.path_prefix.as_deref());
    let page = listed(policies, order, input.marker.as_deref(), input.max_items)?;
    Ok(ListAttachedRolePoliciesResponse {
        attached_policies: Some(page.items),
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

pub(super) fn attach_user_policy(
    view: &View,
    _call: &CallContext,
    input: &AttachUserPolicyRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut user = user(view, &input.user_name)?;
    let mut changes = attach(view, &mut user.document.attached, &input.policy_arn, "PoliciesPerUser")?;
    changes.push(user.update());
    Ok(((), changes))
}

pub(super) fn detach_user_policy(
    view: &View,
    _call: &CallContext,
    input: &DetachUserPolicyRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut user = user(view, &input.user_name)?;
    detach(&mut user.document.attached, &input.policy_arn)?;
    Ok(((), vec![user.update()]))
}

pub(super) fn list_attached_user_policies(
    view: &View,
    _call: &CallContext,
    input: &ListAttachedUserPoliciesRequest,
) -> Result<ListAttachedUserPoliciesResponse, ApiError> {
    let user = user(view, &input.user_name)?;
    let policies = shown(&user.document.attached, input.path_prefix.as_deref());
    let page = listed(policies, order, input.marker.as_deref(), input.max_items)?;
    Ok(ListAttachedUserPoliciesResponse {
        attached_policies: Some(page.items),
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

/// A role or user that has a policy.
enum Holder {
    Role(PolicyRole),
    User(PolicyUser),
}

pub(super) fn list_entities_for_policy(
    view: &View,
    _call: &CallContext,
    input: &ListEntitiesForPolicyRequest,
) -> Result<ListEntitiesForPolicyResponse, ApiError> {
    let arn = &input.policy_arn;
    policy(view, arn)?;
    let wants = |kind: &str| input.entity_filter.as_deref().is_none_or(|filter| filter == kind);
    let as_boundary = input.policy_usage_filter.as_deref() != Some("PermissionsPolicy");
    let as_policy = input.policy_usage_filter.as_deref() != Some("PermissionsBoundary");
    let holds = |attached: &[String], boundary: Option<&AttachedPermissionsBoundary>| {
        as_policy && attached.iter().any(|own| own == arn)
            || as_boundary
                && boundary.is_some_and(|own| own.permissions_boundary_arn.as_deref() == Some(arn.as_str()))
    };
    let prefix = input.path_prefix.as_deref();
    let mut holders = Vec::new();
    for Entity { shown, attached, .. } in
        objects::list::<Entity<Role>>(view, ROLE)?.into_iter().map(|found| found.document)
    {
        if wants("Role")
            && below(&shown.path, prefix)
            && holds(&attached, shown.permissions_boundary.as_ref())
        {
            let role = PolicyRole { role_id: Some(shown.role_id), role_name: Some(shown.role_name) };
            holders.push(Holder::Role(role));
        }
    }
    for Entity { shown, attached, .. } in
        objects::list::<Entity<User>>(view, USER)?.into_iter().map(|found| found.document)
    {
        if wants("User")
            && below(&shown.path, prefix)
            && holds(&attached, shown.permissions_boundary.as_ref())
        {
            let user = PolicyUser { user_id: Some(shown.user_id), user_name: Some(shown.user_name) };
            holders.push(Holder::User(user));
        }
    }
    let order = |holder: &Holder| match holder {
        Holder::Role(role) => format!("role/{}", key(role.role_name.as_deref().unwrap_or(""))),
        Holder::User(user) => format!("user/{}", key(user.user_name.as_deref().unwrap_or(""))),
    };
    let page = listed(holders, order, input.marker.as_deref(), input.max_items)?;
    let (mut roles, mut users) = (Vec::new(), Vec::new());
    for holder in page.items {
        match holder {
            Holder::Role(role) => roles.push(role),
            Holder::User(user) => users.push(user),
        }
    }
    Ok(ListEntitiesForPolicyResponse {
        policy_groups: Some(vec![]),
        policy_roles: Some(roles),
        policy_users: Some(users),
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}
