//! Users, and the account itself.

use gantry_api::iam::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_types::{ACCOUNT, Ids};
use gantry_wire::Principal;

use super::keys::keys_of;
use super::listing::{below, listed};
use super::policies::AnyPolicy;
use super::records::{Entity, USER, arn, exceeded, find_user, given_tags, key, missing, user};
use crate::objects;
use crate::{Decision, Settings};

const USERS_MAX: usize = 5000;

pub(super) fn create(
    view: &View,
    call: &CallContext,
    input: &CreateUserRequest,
    ids: &mut Ids,
) -> Decision<CreateUserResponse> {
    let name = &input.user_name;
    if find_user(view, name)?.is_some() {
        return Err(errors::entity_already_exists_exception(format!(
            "User with name {name} already exists."
        )));
    }
    if objects::list::<Entity<User>>(view, USER)?.len() >= USERS_MAX {
        return Err(exceeded("UsersPerAccount", USERS_MAX));
    }
    let mut changes = Vec::new();
    let mut boundary = None;
    if let Some(arn) = &input.permissions_boundary {
        let policy = AnyPolicy::find(view, arn)?
            .ok_or_else(|| missing(format!("Scope ARN: {arn} does not exist or is not attachable.")))?;
        changes.extend(policy.touch());
        boundary = Some(AttachedPermissionsBoundary {
            permissions_boundary_arn: Some(arn.clone()),
            permissions_boundary_type: Some("PermissionsBoundaryPolicy".to_owned()),
        });
    }
    let path = input.path.clone().unwrap_or_else(|| "/".to_owned());
    let shown = User {
        arn: arn("user", &path, name),
        create_date: call.now,
        password_last_used: None,
        path,
        permissions_boundary: boundary,
        tags: given_tags(call, input.tags.as_deref())?,
        user_id: format!("AIDA{}", ids.base32(17)),
        user_name: name.clone(),
    };
    let entity = Entity { shown: shown.clone(), ..Entity::default() };
    changes.push(objects::create(USER, &key(name), entity));
    Ok((CreateUserResponse { user: Some(shown) }, changes))
}

pub(super) fn delete(
    view: &View,
    _call: &CallContext,
    input: &DeleteUserRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let user = user(view, &input.user_name)?;
    let in_use =
        |what| errors::delete_conflict_exception(format!("Cannot delete entity, must {what} first."));
    if !user.document.attached.is_empty() {
        return Err(in_use("detach all policies"));
    }
    if !user.document.inline.is_empty() {
        return Err(in_use("delete policies"));
    }
    if !keys_of(view, &user.document.shown.user_name)?.is_empty() {
        return Err(in_use("delete access keys"));
    }
    Ok(((), vec![user.delete()]))
}

/// Without a name: whoever calls.
pub(super) fn get(
    view: &View,
    call: &CallContext,
    input: &GetUserRequest,
    _ids: &mut Ids,
    settings: &Settings,
) -> Decision<GetUserResponse> {
    let user = match &input.user_name {
        Some(name) => user(view, name)?.document.shown,
        None if call.principal == Principal::root() => User {
            arn: call.principal.arn.clone(),
            create_date: settings.account_created_at,
            path: "/".to_owned(),
            user_id: ACCOUNT.to_owned(),
            user_name: "root".to_owned(),
            ..User::default()
        },
        None => user(view, caller(call)?)?.document.shown,
    };
    Ok((GetUserResponse { user }, vec![]))
}

/// The name of the user that calls.
pub(super) fn caller(call: &CallContext) -> Result<&str, ApiError> {
    let resource = call.principal.arn.split_once(":user/").map(|(_, resource)| resource);
    resource.and_then(|resource| resource.rsplit('/').next()).ok_or_else(|| {
        ApiError::sender("ValidationError", "Must specify userName when calling with non-User credentials")
    })
}

pub(super) fn list(
    view: &View,
    _call: &CallContext,
    input: &ListUsersRequest,
) -> Result<ListUsersResponse, ApiError> {
    let users = objects::list::<Entity<User>>(view, USER)?.into_iter().map(|user| user.document.shown);
    let users = users.filter(|user| below(&user.path, input.path_prefix.as_deref()));
    let page = listed(users, |user| key(&user.user_name), input.marker.as_deref(), input.max_items)?;
    let brief = |user| User { tags: None, permissions_boundary: None, ..user };
    let users = page.items.into_iter().map(brief).collect();
    Ok(ListUsersResponse { users, is_truncated: page.is_truncated, marker: page.marker })
}

/// An alias is a name for AWS's sign-in page, which there is none of.
pub(super) fn list_account_aliases(
    _view: &View,
    _call: &CallContext,
    _input: &ListAccountAliasesRequest,
) -> Result<ListAccountAliasesResponse, ApiError> {
    Ok(ListAccountAliasesResponse { account_aliases: vec![], is_truncated: Some(false), marker: None })
}
