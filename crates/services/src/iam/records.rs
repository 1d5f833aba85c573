//! What IAM keeps, and finding it by name.

use std::collections::BTreeMap;

use gantry_api::iam::{InstanceProfile, Policy, Role, Tag, User, errors};
use gantry_api::{ApiError, CallContext, FromValue, IntoValue, Mismatch};
use gantry_domain::View;
use gantry_types::{ACCOUNT, Timestamp, Value};

use crate::objects::{self, Found};

pub(super) const ROLE: &str = "iam/role";
pub(super) const USER: &str = "iam/user";
pub(super) const POLICY: &str = "iam/policy";
pub(super) const PROFILE: &str = "iam/instance-profile";

/// A role or user: what callers are shown, with documents as they were given, and what is attached.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entity<T> {
    pub(crate) shown: T,
    /// Documents by policy name.
    pub(super) inline: BTreeMap<String, String>,
    /// ARNs of managed policies.
    pub(super) attached: Vec<String>,
}

impl<T: FromValue> FromValue for Entity<T> {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        Ok(Self {
            shown: T::from_value(part(value, "Shown"))?,
            inline: FromValue::from_value(part(value, "Inline"))?,
            attached: FromValue::from_value(part(value, "Attached"))?,
        })
    }
}

impl<T: IntoValue> IntoValue for Entity<T> {
    fn into_value(self) -> Value {
        Value::structure([
            ("Shown", self.shown.into_value()),
            ("Inline", self.inline.into_value()),
            ("Attached", self.attached.into_value()),
        ])
    }
}

/// A policy that a customer made, with its versions, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct CustomerPolicy {
    pub(super) shown: Policy,
    pub(super) versions: Vec<Version>,
    /// The number of the newest version there ever was: none is used twice.
    pub(super) last_version: i32,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Version {
    pub(super) id: String,
    pub(super) document: String,
    pub(super) created_at: Timestamp,
}

impl FromValue for CustomerPolicy {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        Ok(Self {
            shown: Policy::from_value(part(value, "Shown"))?,
            versions: FromValue::from_value(part(value, "Versions"))?,
            last_version: FromValue::from_value(part(value, "LastVersion"))?,
        })
    }
}

impl IntoValue for CustomerPolicy {
    fn into_value(self) -> Value {
        Value::structure([
            ("Shown", self.shown.into_value()),
            ("Versions", self.versions.into_value()),
            ("LastVersion", self.last_version.into_value()),
        ])
    }
}

impl FromValue for Version {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        Ok(Self {
            id: FromValue::from_value(part(value, "Id"))?,
            document: FromValue::from_value(part(value, "Document"))?,
            created_at: FromValue::from_value(part(value, "CreatedAt"))?,
        })
    }
}

impl IntoValue for Version {
    fn into_value(self) -> Value {
        Value::structure([
            ("Id", self.id.into_value()),
            ("Document", self.document.into_value()),
            ("CreatedAt", self.created_at.into_value()),
        ])
    }
}

fn part<'v>(value: &'v Value, name: &str) -> &'v Value {
    value.get(name).unwrap_or(&Value::Null)
}

/// The name that a record has in the store.
pub(super) fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// IAM's ARNs have no region.
pub(super) fn arn(kind: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:{kind}{path}{name}")
}

pub(crate) fn find_role(view: &View, name: &str) -> Result<Option<Found<Entity<Role>>>, ApiError> {
    objects::find(view, ROLE, &key(name))
}

pub(crate) fn find_user(view: &View, name: &str) -> Result<Option<Found<Entity<User>>>, ApiError> {
    objects::find(view, USER, &key(name))
}

pub(super) fn role(view: &View, name: &str) -> Result<Found<Entity<Role>>, ApiError> {
    find_role(view, name)?.ok_or_else(|| missing(format!("The role with name {name} cannot be found.")))
}

pub(super) fn user(view: &View, name: &str) -> Result<Found<Entity<User>>, ApiError> {
    find_user(view, name)?.ok_or_else(|| missing(format!("The user with name {name} cannot be found.")))
}

pub(super) fn profile(view: &View, name: &str) -> Result<Found<InstanceProfile>, ApiError> {
    objects::find(view, PROFILE, &key(name))?
        .ok_or_else(|| missing(format!("Instance Profile {name} cannot be found.")))
}

/// A customer's policy by its ARN.
pub(super) fn find_policy(view: &View, arn: &str) -> Result<Option<Found<CustomerPolicy>>, ApiError> {
    let name = arn.rsplit('/').next().unwrap_or("");
    let found: Option<Found<CustomerPolicy>> = objects::find(view, POLICY, &key(name))?;
    Ok(found.filter(|found| found.document.shown.arn.as_deref() == Some(arn)))
}

pub(super) fn missing(message: impl Into<String>) -> ApiError {
    errors::no_such_entity_exception(message)
}

pub(super) fn exceeded(quota: &str, most: usize) -> ApiError {
    errors::limit_exceeded_exception(format!("Cannot exceed quota for {quota}: {most}"))
}

/// Where roles, users, policies and profiles keep their tags.
pub(super) fn given_tags(call: &CallContext, tags: Option<&[Tag]>) -> Result<Option<Vec<Tag>>, ApiError> {
    let mut own = Vec::new();
    super::tags::put(call, &mut own, tags.unwrap_or_default())?;
    Ok((!own.is_empty()).then_some(own))
}
