//! Versions of managed policies.

use gantry_api::iam::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_types::Ids;

use super::documents::encoded;
use super::listing::listed;
use super::policies::{AnyPolicy, check_document, customer_policy, policy};
use super::records::{CustomerPolicy, Version, missing};
use crate::Decision;

const VERSIONS_MAX: usize = 5;

/// The versions of a policy of either kind, newest first, without their documents' encoding.
fn versions(policy: &AnyPolicy) -> Vec<PolicyVersion> {
    match policy {
        AnyPolicy::Aws(policy) => vec![PolicyVersion {
            create_date: policy.shown().create_date,
            document: Some(policy.document()),
            is_default_version: Some(true),
            version_id: Some(super::managed::VERSION.to_owned()),
        }],
        AnyPolicy::Customer(found) => {
            let newest_first = found.document.versions.iter().rev();
            newest_first.map(|version| shown(&found.document, version)).collect()
        }
    }
}

fn shown(policy: &CustomerPolicy, version: &Version) -> PolicyVersion {
    PolicyVersion {
        create_date: Some(version.created_at),
        document: Some(version.document.clone()),
        is_default_version: Some(policy.shown.default_version_id.as_ref() == Some(&version.id)),
        version_id: Some(version.id.clone()),
    }
}

fn not_found(arn: &str, id: &str) -> ApiError {
    missing(format!("Policy {arn} version {id} does not exist or is not attachable."))
}

pub(super) fn create(
    view: &View,
    call: &CallContext,
    input: &CreatePolicyVersionRequest,
    _ids: &mut Ids,
) -> Decision<CreatePolicyVersionResponse> {
    let mut policy = customer_policy(view, &input.policy_arn)?;
    check_document(&input.policy_document)?;
    let record = &mut policy.document;
    if record.versions.len() >= VERSIONS_MAX {
        return Err(errors::limit_exceeded_exception(format!(
            "A managed policy can have up to {VERSIONS_MAX} versions. Before you create a new version, you must delete an \
             existing version."
        )));
    }
    record.last_version += 1;
    let id = format!("v{}", record.last_version);
    let version = Version { id: id.clone(), document: input.policy_document.clone(), created_at: call.now };
    if input.set_as_default == Some(true) {
        record.shown.default_version_id = Some(id);
    }
    record.shown.update_date = Some(call.now);
    let made = PolicyVersion { document: None, ..shown(record, &version) };
    record.versions.push(version);
    Ok((CreatePolicyVersionResponse { policy_version: Some(made) }, vec![policy.update()]))
}

pub(super) fn delete(
    view: &View,
    _call: &CallContext,
    input: &DeletePolicyVersionRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut policy = customer_policy(view, &input.policy_arn)?;
    let place = policy.document.versions.iter().position(|version| version.id == input.version_id);
    let place = place.ok_or_else(|| not_found(&input.policy_arn, &input.version_id))?;
    if policy.document.shown.default_version_id.as_ref() == Some(&input.version_id) {
        return Err(errors::delete_conflict_exception("Cannot delete the default version of a policy."));
    }
    policy.document.versions.remove(place);
    Ok(((), vec![policy.update()]))
}

pub(super) fn get(
    view: &View,
    _call: &CallContext,
    input: &GetPolicyVersionRequest,
) -> Result<GetPolicyVersionResponse, ApiError> {
    let versions = versions(&policy(view, &input.policy_arn)?);
    let found = versions.into_iter().find(|version| version.version_id.as_ref() == Some(&input.version_id));
    let mut version = found.ok_or_else(|| not_found(&input.policy_arn, &input.version_id))?;
    version.document = version.document.as_deref().map(encoded);
    Ok(GetPolicyVersionResponse { policy_version: Some(version) })
}

pub(super) fn list(
    view: &View,
    _call: &CallContext,
    input: &ListPolicyVersionsRequest,
) -> Result<ListPolicyVersionsResponse, ApiError> {
    let versions = versions(&policy(view, &input.policy_arn)?);
    // Newest first: their numbers, counted down.
    let order = |version: &PolicyVersion| {
        let number = version.version_id.as_deref().and_then(|id| id.strip_prefix('v')?.parse::<u32>().ok());
        format!("{:010}", u32::MAX - number.unwrap_or(0))
    };
    let page = listed(versions, order, input.marker.as_deref(), input.max_items)?;
    let brief = |version| PolicyVersion { document: None, ..version };
    Ok(ListPolicyVersionsResponse {
        versions: Some(page.items.into_iter().map(brief).collect()),
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

pub(super) fn set_default(
    view: &View,
    call: &CallContext,
    input: &SetDefaultPolicyVersionRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut policy = customer_policy(view, &input.policy_arn)?;
    if !policy.document.versions.iter().any(|version| version.id == input.version_id) {
        return Err(not_found(&input.policy_arn, &input.version_id));
    }
    policy.document.shown.default_version_id = Some(input.version_id.clone());
    policy.document.shown.update_date = Some(call.now);
    Ok(((), vec![policy.update()]))
}
