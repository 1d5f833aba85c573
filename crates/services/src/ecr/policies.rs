//! Policies of repositories: who may use one, and what its images live for.
//!
//! There is one account here, which may do everything, so a repository's policy is checked and kept, and nothing more.

use gantry_api::ecr::*;
use gantry_api::{ApiError, CallContext};
use gantry_types::ACCOUNT;

use super::lifecycle;
use super::names::{self, Known, invalid, known};
use super::records::Lifecycle;
use crate::Context;

pub(super) async fn set(
    context: &Context,
    call: &CallContext,
    input: &SetRepositoryPolicyRequest,
) -> Result<SetRepositoryPolicyResponse, ApiError> {
    let known = known(context, call, input.registry_id.as_deref(), &input.repository_name).await?;
    check(&input.policy_text)?;
    names::change(context, &known, |record| {
        record.policy = Some(input.policy_text.clone());
        Ok(SetRepositoryPolicyResponse {
            policy_text: Some(input.policy_text.clone()),
            registry_id: Some(ACCOUNT.to_owned()),
            repository_name: Some(known.name.name().to_owned()),
        })
    })
    .await
}

/// A policy document: a version and statements with an effect, a principal and actions.
fn check(text: &str) -> Result<(), ApiError> {
    let refused = |reason: &str| {
        invalid(format!(
            "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided': {reason}"
        ))
    };
    let document: serde_json::Value =
        serde_json::from_str(text).map_err(|error| refused(&format!("it is no JSON ({error})")))?;
    let statements = match document.get("Statement") {
        Some(serde_json::Value::Array(statements)) => statements.clone(),
        Some(one @ serde_json::Value::Object(_)) => vec![one.clone()],
        _ => return Err(refused("it has no Statement")),
    };
    if let Some(version) = document.get("Version")
        && !matches!(version.as_str(), Some("2012-10-17" | "2008-10-17"))
    {
        return Err(refused("its Version is neither 2012-10-17 nor 2008-10-17"));
    }
    for statement in &statements {
        if !matches!(statement.get("Effect").and_then(|effect| effect.as_str()), Some("Allow" | "Deny")) {
            return Err(refused("a statement's Effect is neither Allow nor Deny"));
        }
        if statement.get("Principal").is_none() && statement.get("NotPrincipal").is_none() {
            return Err(refused("a statement has no Principal"));
        }
        let actions = match statement.get("Action").or(statement.get("NotAction")) {
            Some(serde_json::Value::Array(actions)) => actions.clone(),
            Some(one) => vec![one.clone()],
            None => return Err(refused("a statement has no Action")),
        };
        let is_action = |action: &serde_json::Value| {
            action.as_str().is_some_and(|action| action == "*" || action.starts_with("ecr:"))
        };
        if actions.is_empty() || !actions.iter().all(is_action) {
            return Err(refused("a statement's Action is none of ECR"));
        }
    }
    Ok(())
}

fn no_policy(known: &Known) -> ApiError {
    errors::repository_policy_not_found_exception(format!(
        "Repository policy does not exist for the repository with name '{}' in the registry with id '{ACCOUNT}'",
        known.name.name()
    ))
}

pub(super) async fn get(
    context: &Context,
    call: &CallContext,
    input: &GetRepositoryPolicyRequest,
) -> Result<GetRepositoryPolicyResponse, ApiError> {
    let known = known(context, call, input.registry_id.as_deref(), &input.repository_name).await?;
    let policy = known.record.policy.clone().ok_or_else(|| no_policy(&known))?;
    Ok(GetRepositoryPolicyResponse {
        policy_text: Some(policy),
        registry_id: Some(ACCOUNT.to_owned()),
        repository_name: Some(known.name.name().to_owned()),
    })
}

pub(super) async fn delete(
    context: &Context,
    call: &CallContext,
    input: &DeleteRepositoryPolicyRequest,
) -> Result<DeleteRepositoryPolicyResponse, ApiError> {
    let known = known(context, call, input.registry_id.as_deref(), &input.repository_name).await?;
    names::change(context, &known, |record| {
        let policy = record.policy.take().ok_or_else(|| no_policy(&known))?;
        Ok(DeleteRepositoryPolicyResponse {
            policy_text: Some(policy),
            registry_id: Some(ACCOUNT.to_owned()),
            repository_name: Some(known.name.name().to_owned()),
        })
    })
    .await
}

pub(super) async fn put_lifecycle(
    context: &Context,
    call: &CallContext,
    input: &PutLifecyclePolicyRequest,
) -> Result<PutLifecyclePolicyResponse, ApiError> {
    let known = known(context, call, input.registry_id.as_deref(), &input.repository_name).await?;
    lifecycle::Policy::parse(&input.lifecycle_policy_text).map_err(|reason| {
        invalid(format!(
            "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: \
             {reason}'"
        ))
    })?;
    names::change(context, &known, |record| {
        record.lifecycle = Some(Lifecycle { text: input.lifecycle_policy_text.clone(), evaluated_at: None });
        Ok(PutLifecyclePolicyResponse {
            lifecycle_policy_text: Some(input.lifecycle_policy_text.clone()),
            registry_id: Some(ACCOUNT.to_owned()),
            repository_name: Some(known.name.name().to_owned()),
        })
    })
    .await
}

fn no_lifecycle(known: &Known) -> ApiError {
    errors::lifecycle_policy_not_found_exception(format!(
        "Lifecycle policy does not exist for the repository with name '{}' in the registry with id '{ACCOUNT}'",
        known.name.name()
    ))
}

pub(super) async fn get_lifecycle(
    context: &Context,
    call: &CallContext,
    input: &GetLifecyclePolicyRequest,
) -> Result<GetLifecyclePolicyResponse, ApiError> {
    let known = known(context, call, input.registry_id.as_deref(), &input.repository_name).await?;
    let lifecycle = known.record.lifecycle.clone().ok_or_else(|| no_lifecycle(&known))?;
    Ok(GetLifecyclePolicyResponse {
        last_evaluated_at: Some(lifecycle.evaluated_at.unwrap_or(gantry_types::Timestamp::EPOCH)),
        lifecycle_policy_text: Some(lifecycle.text),
        registry_id: Some(ACCOUNT.to_owned()),
        repository_name: Some(known.name.name().to_owned()),
    })
}

pub(super) async fn delete_lifecycle(
    context: &Context,
    call: &CallContext,
    input: &DeleteLifecyclePolicyRequest,
) -> Result<DeleteLifecyclePolicyResponse, ApiError> {
    let known = known(context, call, input.registry_id.as_deref(), &input.repository_name).await?;
    names::change(context, &known, |record| {
        let lifecycle = record.lifecycle.take().ok_or_else(|| no_lifecycle(&known))?;
        Ok(DeleteLifecyclePolicyResponse {
            last_evaluated_at: lifecycle.evaluated_at,
            lifecycle_policy_text: Some(lifecycle.text),
            registry_id: Some(ACCOUNT.to_owned()),
            repository_name: Some(known.name.name().to_owned()),
        })
    })
    .await
}
