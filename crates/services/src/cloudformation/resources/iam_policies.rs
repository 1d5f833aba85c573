//! Policies of roles and users: those inside them, and managed ones that are attached.

use std::collections::BTreeMap;

use gantry_types::Value;

use super::calls;
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::{Failure, HandlerErrorCode};
use crate::cloudformation::mapping;
use crate::cloudformation::resource::{Property, Wanted};

/// Who has policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder<'a> {
    Role(&'a str),
    User(&'a str),
}

impl Holder<'_> {
    fn input<const N: usize>(self, members: [(&str, Value); N]) -> Value {
        let mut input = Value::structure(members);
        match self {
            Self::Role(name) => input.set("RoleName", name),
            Self::User(name) => input.set("UserName", name),
        }
        input
    }
    /// The operation for a role, or the one for a user.
    fn choose(self, role: &'static str, user: &'static str) -> &'static str {
        match self {
            Self::Role(_) => role,
            Self::User(_) => user,
        }
    }

    pub(super) async fn put(self, caller: &Caller, name: &str, document: &str) -> Result<(), Failure> {
        let input = self.input([("PolicyName", name.into()), ("PolicyDocument", document.into())]);
        calls::call(caller, "iam", self.choose("PutRolePolicy", "PutUserPolicy"), input).await
    }
    pub(super) async fn drop(self, caller: &Caller, name: &str) -> Result<(), Failure> {
        let input = self.input([("PolicyName", name.into())]);
        calls::remove(caller, "iam", self.choose("DeleteRolePolicy", "DeleteUserPolicy"), input).await
    }
    pub(super) async fn attach(self, caller: &Caller, arn: &str) -> Result<(), Failure> {
        let input = self.input([("PolicyArn", arn.into())]);
        calls::call(caller, "iam", self.choose("AttachRolePolicy", "AttachUserPolicy"), input).await
    }
    pub(super) async fn detach(self, caller: &Caller, arn: &str) -> Result<(), Failure> {
        let input = self.input([("PolicyArn", arn.into())]);
        calls::remove(caller, "iam", self.choose("DetachRolePolicy", "DetachUserPolicy"), input).await
    }
}

/// Documents by name, from the property `Policies`.
fn inline(policies: &Value) -> BTreeMap<String, String> {
    let pair = |policy: &Value| {
        let name = mapping::text(policy.get("PolicyName")?)?;
        Some((name, mapping::json(policy.get("PolicyDocument")?)?))
    };
    policies.as_list().iter().filter_map(pair).collect()
}

/// Gives `Policies` and `ManagedPolicyArns`, and takes away what they no longer name. What others gave stays.
pub(super) async fn set(
    caller: &Caller,
    wanted: &Wanted<'_>,
    old: Option<&Wanted<'_>>,
    holder: Holder<'_>,
) -> Result<(), Failure> {
    let documents = inline(wanted.property("Policies"));
    let former = old.map(|old| inline(old.property("Policies"))).unwrap_or_default();
    for name in former.into_keys().filter(|name| !documents.contains_key(name)) {
        holder.drop(caller, &name).await?;
    }
    for (name, document) in &documents {
        holder.put(caller, name, document).await?;
    }
    let arns = wanted.texts("ManagedPolicyArns");
    let former = old.map(|old| old.texts("ManagedPolicyArns")).unwrap_or_default();
    for arn in former.iter().filter(|arn| !arns.contains(arn)) {
        holder.detach(caller, arn).await?;
    }
    for arn in &arns {
        holder.attach(caller, arn).await?;
    }
    Ok(())
}

/// Takes away all that the template gave: IAM deletes nobody who has policies.
pub(super) async fn clear(caller: &Caller, wanted: &Wanted<'_>, holder: Holder<'_>) -> Result<(), Failure> {
    for name in inline(wanted.property("Policies")).into_keys() {
        holder.drop(caller, &name).await?;
    }
    for arn in wanted.texts("ManagedPolicyArns") {
        holder.detach(caller, &arn).await?;
    }
    Ok(())
}

/// The holders that a policy names in `Roles` and `Users`.
pub(super) fn named<'a>(roles: &'a [String], users: &'a [String]) -> Vec<Holder<'a>> {
    let roles = roles.iter().map(|name| Holder::Role(name));
    roles.chain(users.iter().map(|name| Holder::User(name))).collect()
}

/// A policy's document, or any other, as IAM takes it.
pub(super) fn document(wanted: &Wanted<'_>, property: &str) -> Result<String, Failure> {
    mapping::json(wanted.property(property)).ok_or_else(|| {
        Failure::handler(HandlerErrorCode::InvalidRequest, format!("#: required key [{property}] not found"))
    })
}

/// The names of a table's properties, for an input that leaves documents out.
pub(super) fn names_but(table: &[Property], documents: &[&str]) -> Vec<&'static str> {
    table.iter().map(|property| property.name).filter(|name| !documents.contains(name)).collect()
}
