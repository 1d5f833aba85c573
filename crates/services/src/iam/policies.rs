//! Managed policies: AWS's and the customer's.

use std::collections::HashMap;

use gantry_api::iam::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::{Change, View};
use gantry_types::Ids;

use super::documents::{DocumentKind, check, size};
use super::listing::{below, listed};
use super::managed::{self, ManagedPolicy};
use super::records::{
    CustomerPolicy, Entity, POLICY, ROLE, USER, Version, arn, exceeded, find_policy, given_tags, key, missing,
};
use crate::Decision;
use crate::objects::{self, Found};

const POLICIES_MAX: usize = 1500;
const POLICY_CHARACTERS_MAX: usize = 6144;

/// A managed policy of either kind.
pub(super) enum AnyPolicy {
    Aws(&'static ManagedPolicy),
    Customer(Box<Found<CustomerPolicy>>),
}

impl AnyPolicy {
    pub(super) fn find(view: &View, arn: &str) -> Result<Option<Self>, ApiError> {
        if let Some(policy) = managed::find(arn) {
            return Ok(Some(Self::Aws(policy)));
        }
        Ok(find_policy(view, arn)?.map(|found| Self::Customer(Box::new(found))))
    }

    /// Writes the policy as it is, so that its deletion conflicts with who attaches it.
    pub(super) fn touch(self) -> Option<Change> {
        match self {
            Self::Aws(_) => None,
            Self::Customer(found) => Some(found.update()),
        }
    }

    pub(super) fn shown(&self) -> Policy {
        match self {
            Self::Aws(policy) => policy.shown(),
            Self::Customer(found) => found.document.shown.clone(),
        }
    }
}

pub(super) fn policy(view: &View, arn: &str) -> Result<AnyPolicy, ApiError> {
    AnyPolicy::find(view, arn)?.ok_or_else(|| not_found(arn))
}

/// A policy that its owner may change.
pub(super) fn customer_policy(view: &View, arn: &str) -> Result<Found<CustomerPolicy>, ApiError> {
    if managed::find(arn).is_some() {
        let message = format!("Policy {arn} is managed by AWS and cannot be changed.");
        return Err(ApiError::sender("AccessDenied", message).with_status(403));
    }
    find_policy(view, arn)?.ok_or_else(|| not_found(arn))
}

fn not_found(arn: &str) -> ApiError {
    missing(format!("Policy {arn} was not found."))
}

/// How often each policy is used, by ARN: attached, and as a boundary.
#[derive(Default)]
struct Uses(HashMap<String, (i32, i32)>);

impl Uses {
    fn count(view: &View) -> Result<Self, ApiError> {
        let mut uses = Self::default();
        for role in objects::list::<Entity<Role>>(view, ROLE)? {
            uses.add(&role.document.attached, role.document.shown.permissions_boundary.as_ref());
        }
        for user in objects::list::<Entity<User>>(view, USER)? {
            uses.add(&user.document.attached, user.document.shown.permissions_boundary.as_ref());
        }
        Ok(uses)
    }
    fn add(&mut self, attached: &[String], boundary: Option<&AttachedPermissionsBoundary>) {
        for arn in attached {
            self.0.entry(arn.clone()).or_default().0 += 1;
        }
        if let Some(arn) = boundary.and_then(|boundary| boundary.permissions_boundary_arn.as_ref()) {
            self.0.entry(arn.clone()).or_default().1 += 1;
        }
    }
    fn of(&self, policy: &Policy) -> (i32, i32) {
        policy.arn.as_ref().and_then(|arn| self.0.get(arn)).copied().unwrap_or_default()
    }
    fn shown(&self, policy: Policy) -> Policy {
        let (attached, boundaries) = self.of(&policy);
        Policy {
            attachment_count: Some(attached),
            permissions_boundary_usage_count: Some(boundaries),
            ..policy
        }
    }
}

pub(super) fn check_document(document: &str) -> Result<(), ApiError> {
    check(document, DocumentKind::Identity)?;
    if size(document) > POLICY_CHARACTERS_MAX {
        return Err(exceeded("PolicySize", POLICY_CHARACTERS_MAX));
    }
    Ok(())
}

pub(super) fn create(
    view: &View,
    call: &CallContext,
    input: &CreatePolicyRequest,
    ids: &mut Ids,
) -> Decision<CreatePolicyResponse> {
    check_document(&input.policy_document)?;
    let name = &input.policy_name;
    let others = objects::list::<CustomerPolicy>(view, POLICY)?;
    if others.iter().any(|other| other.name == key(name)) {
        return Err(errors::entity_already_exists_exception(format!(
            "A policy called {name} already exists. Duplicate names are not allowed."
        )));
    }
    if others.len() >= POLICIES_MAX {
        return Err(exceeded("PoliciesPerAccount", POLICIES_MAX));
    }
    let path = input.path.clone().unwrap_or_else(|| "/".to_owned());
    let shown = Policy {
        arn: Some(arn("policy", &path, name)),
        attachment_count: Some(0),
        create_date: Some(call.now),
        default_version_id: Some("v1".to_owned()),
        description: input.description.clone(),
        is_attachable: Some(true),
        path: Some(path),
        permissions_boundary_usage_count: Some(0),
        policy_id: Some(format!("ANPA{}", ids.base32(17))),
        policy_name: Some(name.clone()),
        tags: given_tags(call, input.tags.as_deref())?,
        update_date: Some(call.now),
    };
    let version =
        Version { id: "v1".to_owned(), document: input.policy_document.clone(), created_at: call.now };
    let record = CustomerPolicy { shown: shown.clone(), versions: vec![version], last_version: 1 };
    // AWS gives the description with GetPolicy alone.
    let policy = Policy { description: None, ..shown };
    Ok((CreatePolicyResponse { policy: Some(policy) }, vec![objects::create(POLICY, &key(name), record)]))
}

pub(super) fn delete(
    view: &View,
    _call: &CallContext,
    input: &DeletePolicyRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let policy = customer_policy(view, &input.policy_arn)?;
    if Uses::count(view)?.of(&policy.document.shown) != (0, 0) {
        return Err(errors::delete_conflict_exception("Cannot delete a policy attached to entities."));
    }
    if policy.document.versions.len() > 1 {
        return Err(errors::delete_conflict_exception(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The \
             default version is deleted with the policy.",
        ));
    }
    Ok(((), vec![policy.delete()]))
}

pub(super) fn get(
    view: &View,
    _call: &CallContext,
    input: &GetPolicyRequest,
) -> Result<GetPolicyResponse, ApiError> {
    let policy = policy(view, &input.policy_arn)?.shown();
    Ok(GetPolicyResponse { policy: Some(Uses::count(view)?.shown(policy)) })
}

pub(super) fn list(
    view: &View,
    _call: &CallContext,
    input: &ListPoliciesRequest,
) -> Result<ListPoliciesResponse, ApiError> {
    let scope = input.scope.as_deref().unwrap_or("All");
    let mut policies = Vec::new();
    if scope != "Local" {
        policies.extend(managed::all().map(|policy| (1, policy.shown())));
    }
    if scope != "AWS" {
        let own = objects::list::<CustomerPolicy>(view, POLICY)?;
        policies.extend(own.into_iter().map(|found| (0, found.document.shown)));
    }
    let uses = Uses::count(view)?;
    let is_wanted = |policy: &Policy| {
        let (attached, boundaries) = uses.of(policy);
        let used = match input.policy_usage_filter.as_deref() {
            Some("PermissionsBoundary") => boundaries > 0,
            Some(_) => attached > 0,
            None => attached > 0 || boundaries > 0,
        };
        let must_be_used = input.only_attached == Some(true) || input.policy_usage_filter.is_some();
        below(policy.path.as_deref().unwrap_or("/"), input.path_prefix.as_deref()) && (used || !must_be_used)
    };
    policies.retain(|(_, policy)| is_wanted(policy));
    let order = |(kind, policy): &(u8, Policy)| {
        format!("{}/{kind}", key(policy.policy_name.as_deref().unwrap_or("")))
    };
    let page = listed(policies, order, input.marker.as_deref(), input.max_items)?;
    let listed = |(_, policy)| Policy { description: None, tags: None, ..uses.shown(policy) };
    Ok(ListPoliciesResponse {
        policies: Some(page.items.into_iter().map(listed).collect()),
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}
