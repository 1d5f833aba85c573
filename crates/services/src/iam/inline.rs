//! Policies that stand in a role or user and live as long as it does.

use std::collections::BTreeMap;

use gantry_api::iam::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_types::Ids;

use super::documents::{DocumentKind, check, encoded, size};
use super::listing::listed;
use super::records::{missing, role, user};
use super::roles::unprotected;
use crate::Decision;

/// Characters of all inline policies together.
const ROLE_CHARACTERS_MAX: usize = 10_240;
const USER_CHARACTERS_MAX: usize = 2_048;

type Policies = BTreeMap<String, String>;

/// Whose policies they are, in the words of errors.
struct Owner<'a> {
    kind: &'static str,
    name: &'a str,
    characters_max: usize,
}

impl<'a> Owner<'a> {
    fn role(name: &'a str) -> Self {
        Self { kind: "role", name, characters_max: ROLE_CHARACTERS_MAX }
    }
    fn user(name: &'a str) -> Self {
        Self { kind: "user", name, characters_max: USER_CHARACTERS_MAX }
    }
    fn put(&self, policies: &mut Policies, name: &str, document: &str) -> Result<(), ApiError> {
        check(document, DocumentKind::Identity)?;
        policies.insert(name.to_owned(), document.to_owned());
        if policies.values().map(|document| size(document)).sum::<usize>() > self.characters_max {
            let (most, kind, owner) = (self.characters_max, self.kind, self.name);
            return Err(errors::limit_exceeded_exception(format!(
                "Maximum policy size of {most} bytes exceeded for {kind} {owner}"
            )));
        }
        Ok(())
    }
    fn missing(&self, name: &str) -> ApiError {
        missing(format!("The {} policy with name {name} cannot be found.", self.kind))
    }
}

pub(super) fn put_role_policy(
    view: &View,
    _call: &CallContext,
    input: &PutRolePolicyRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut role = unprotected(view, &input.role_name)?;
    let owner = Owner::role(&input.role_name);
    owner.put(&mut role.document.inline, &input.policy_name, &input.policy_document)?;
    Ok(((), vec![role.update()]))
}

pub(super) fn delete_role_policy(
    view: &View,
    _call: &CallContext,
    input: &DeleteRolePolicyRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut role = unprotected(view, &input.role_name)?;
    match role.document.inline.remove(&input.policy_name) {
        Some(_) => Ok(((), vec![role.update()])),
        None => Err(Owner::role(&input.role_name).missing(&input.policy_name)),
    }
}

pub(super) fn get_role_policy(
    view: &View,
    _call: &CallContext,
    input: &GetRolePolicyRequest,
) -> Result<GetRolePolicyResponse, ApiError> {
    let role = role(view, &input.role_name)?;
    let document = role.document.inline.get(&input.policy_name);
    let document = document.ok_or_else(|| Owner::role(&input.role_name).missing(&input.policy_name))?;
    Ok(GetRolePolicyResponse {
        policy_document: encoded(document),
        policy_name: input.policy_name.clone(),
        role_name: role.document.shown.role_name,
    })
}

pub(super) fn list_role_policies(
    view: &View,
    _call: &CallContext,
    input: &ListRolePoliciesRequest,
) -> Result<ListRolePoliciesResponse, ApiError> {
    let names = role(view, &input.role_name)?.document.inline.into_keys();
    let page = listed(names, String::clone, input.marker.as_deref(), input.max_items)?;
    Ok(ListRolePoliciesResponse {
        policy_names: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

pub(super) fn put_user_policy(
    view: &View,
    _call: &CallContext,
    input: &PutUserPolicyRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut user = user(view, &input.user_name)?;
    let owner = Owner::user(&input.user_name);
    owner.put(&mut user.document.inline, &input.policy_name, &input.policy_document)?;
    Ok(((), vec![user.update()]))
}

pub(super) fn delete_user_policy(
    view: &View,
    _call: &CallContext,
    input: &DeleteUserPolicyRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut user = user(view, &input.user_name)?;
    match user.document.inline.remove(&input.policy_name) {
        Some(_) => Ok(((), vec![user.update()])),
        None => Err(Owner::user(&input.user_name).missing(&input.policy_name)),
    }
}

pub(super) fn get_user_policy(
    view: &View,
    _call: &CallContext,
    input: &GetUserPolicyRequest,
) -> Result<GetUserPolicyResponse, ApiError> {
    let user = user(view, &input.user_name)?;
    let document = user.document.inline.get(&input.policy_name);
    let document = document.ok_or_else(|| Owner::user(&input.user_name).missing(&input.policy_name))?;
    Ok(GetUserPolicyResponse {
        policy_document: encoded(document),
        policy_name: input.policy_name.clone(),
        user_name: user.document.shown.user_name,
    })
}

pub(super) fn list_user_policies(
    view: &View,
    _call: &CallContext,
    input: &ListUserPoliciesRequest,
) -> Result<ListUserPoliciesResponse, ApiError> {
    let names = user(view, &input.user_name)?.document.inline.into_keys();
    let page = listed(names, String::clone, input.marker.as_deref(), input.max_items)?;
    Ok(ListUserPoliciesResponse {
        policy_names: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}
