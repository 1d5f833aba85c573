//! `AWS::IAM::ManagedPolicy`.

use gantry_types::Value;

use super::calls::{self, changed, part};
use super::iam_policies::{document, named, names_but};
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::{Failure, HandlerErrorCode};
use crate::cloudformation::mapping;
use crate::cloudformation::resource::{Creation, Kind, Naming, Property, ResourceType, Wanted, Work};

pub(super) struct ManagedPolicy;

const PROPERTIES: &[Property] = &[
    Property::new("Description", Kind::String).replaces(),
    Property::new("Groups", Kind::Strings),
    Property::new("ManagedPolicyName", Kind::String).replaces(),
    Property::new("Path", Kind::String).replaces(),
    Property::new("PolicyDocument", Kind::Json).required(),
    Property::new("Roles", Kind::Strings),
    Property::new("Users", Kind::Strings),
];
/// Versions that a policy may have; the oldest makes room.
const VERSIONS_MAX: usize = 5;

fn of(arn: &str) -> Value {
    Value::structure([("PolicyArn", arn.into())])
}

fn of_version(arn: &str, version: &str) -> Value {
    Value::structure([("PolicyArn", arn.into()), ("VersionId", version.into())])
}

/// The versions that are not in force, oldest first.
async fn spare_versions(caller: &Caller, arn: &str) -> Result<Vec<String>, Failure> {
    let output = match caller.call("iam", "ListPolicyVersions", of(arn)).await {
        Err(failure) if failure.is(HandlerErrorCode::NotFound) => return Ok(vec![]),
        outcome => outcome?,
    };
    let number = |id: &String| id.trim_start_matches('v').parse::<u64>().unwrap_or(0);
    let mut spare: Vec<String> = part(&output, "Versions")
        .as_list()
        .iter()
        .filter(|version| version.get("IsDefaultVersion").and_then(Value::as_bool) != Some(true))
        .filter_map(|version| mapping::text(version.get("VersionId")?))
        .collect();
    spare.sort_by_key(number);
    Ok(spare)
}

impl ResourceType for ManagedPolicy {
    fn name(&self) -> &'static str {
        "AWS::IAM::ManagedPolicy"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn attributes(&self) -> &'static [&'static str] {
        &[
            "AttachmentCount",
            "CreateDate",
            "DefaultVersionId",
            "IsAttachable",
            "PermissionsBoundaryUsageCount",
            "PolicyArn",
            "PolicyId",
            "UpdateDate",
        ]
    }
    fn naming(&self) -> Option<Naming> {
        Some(Naming::new("ManagedPolicyName", 128))
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        calls::refuse(wanted, &["Groups"])?;
        let names = names_but(PROPERTIES, &["PolicyDocument"]);
        let mut input = wanted.input_of("iam", "CreatePolicy", &names, &[])?;
        input.set("PolicyName", wanted.name("ManagedPolicyName"));
        input.set("PolicyDocument", document(wanted, "PolicyDocument")?);
        Ok(Creation::call("iam", "CreatePolicy", input, "Policy.Arn"))
    }

    fn configure<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        Box::pin(async move {
            for holder in named(&wanted.texts("Roles"), &wanted.texts("Users")) {
                holder.attach(caller, id).await?;
            }
            Ok(())
        })
    }

    fn update<'a>(
        &'a self,
        caller: &'a Caller,
        wanted: &'a Wanted<'a>,
        id: &'a str,
        old: &'a Wanted<'a>,
    ) -> Work<'a, ()> {
        Box::pin(async move {
            calls::refuse(wanted, &["Groups"])?;
            if changed(wanted, old, &["PolicyDocument"]) {
                let spare = spare_versions(caller, id).await?;
                if let Some(oldest) = spare.first().filter(|_| spare.len() + 1 >= VERSIONS_MAX) {
                    calls::remove(caller, "iam", "DeletePolicyVersion", of_version(id, oldest)).await?;
                }
                let mut input = of(id);
                input.set("PolicyDocument", document(wanted, "PolicyDocument")?);
                input.set("SetAsDefault", true);
                caller.call("iam", "CreatePolicyVersion", input).await?;
            }
            let (roles, users) = (wanted.texts("Roles"), wanted.texts("Users"));
            let now = named(&roles, &users);
            let (old_roles, old_users) = (old.texts("Roles"), old.texts("Users"));
            for holder in named(&old_roles, &old_users) {
                if !now.contains(&holder) {
                    holder.detach(caller, id).await?;
                }
            }
            self.configure(caller, wanted, id).await
        })
    }

    fn delete<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        Box::pin(async move {
            for holder in named(&wanted.texts("Roles"), &wanted.texts("Users")) {
                holder.detach(caller, id).await?;
            }
            for version in spare_versions(caller, id).await? {
                calls::remove(caller, "iam", "DeletePolicyVersion", of_version(id, &version)).await?;
            }
            calls::remove(caller, "iam", "DeletePolicy", of(id)).await
        })
    }

    fn read<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, Value> {
        Box::pin(async move {
            let policy = part(&caller.call("iam", "GetPolicy", of(id)).await?, "Policy");
            let at = |name| match part(&policy, name) {
                Value::Timestamp(at) => Value::String(at.iso8601()),
                other => other,
            };
            Ok(Value::structure([
                ("AttachmentCount", part(&policy, "AttachmentCount")),
                ("CreateDate", at("CreateDate")),
                ("DefaultVersionId", part(&policy, "DefaultVersionId")),
                ("IsAttachable", part(&policy, "IsAttachable")),
                ("PermissionsBoundaryUsageCount", part(&policy, "PermissionsBoundaryUsageCount")),
                ("PolicyArn", id.into()),
                ("PolicyId", part(&policy, "PolicyId")),
                ("UpdateDate", at("UpdateDate")),
            ]))
        })
    }
}
