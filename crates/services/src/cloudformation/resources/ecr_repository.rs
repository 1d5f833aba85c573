//! `AWS::ECR::Repository`.

use gantry_types::Value;

use super::calls::{self, changed, part};
use super::tags::{self, Tagged};
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::{Failure, HandlerErrorCode};
use crate::cloudformation::mapping;
use crate::cloudformation::resource::{Creation, Kind, Naming, Property, ResourceType, Wanted, Work};

pub(super) struct Repository;

const PROPERTIES: &[Property] = &[
    Property::new("EmptyOnDelete", Kind::Boolean),
    Property::new("EncryptionConfiguration", Kind::Structure).replaces(),
    Property::new("ImageScanningConfiguration", Kind::Structure),
    Property::new("ImageTagMutability", Kind::String),
    Property::new("ImageTagMutabilityExclusionFilters", Kind::List),
    Property::new("LifecyclePolicy", Kind::Structure),
    Property::new("RepositoryName", Kind::String).replaces(),
    Property::new("RepositoryPolicyText", Kind::Json),
    Property::new("Tags", Kind::List),
];
/// CloudFormation's names of what the API calls otherwise.
const RENAMES: &[(&str, &str)] = &[
    ("ImageTagMutabilityExclusionFilterType", "filterType"),
    ("ImageTagMutabilityExclusionFilterValue", "filter"),
];

impl ResourceType for Repository {
    fn name(&self) -> &'static str {
        "AWS::ECR::Repository"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn attributes(&self) -> &'static [&'static str] {
        &["Arn", "RepositoryUri"]
    }
    fn naming(&self) -> Option<Naming> {
        Some(Naming { is_lower_case: true, ..Naming::new("RepositoryName", 256) })
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        let mut input = wanted.input("ecr", "CreateRepository", RENAMES)?;
        let name = wanted.name("RepositoryName");
        input.set("repositoryName", name.as_str());
        input.set("tags", wanted.tag_list("Key", "Value"));
        Ok(Creation::named("ecr", "CreateRepository", input, name))
    }

    fn configure<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        Box::pin(async move {
            if let Some(text) = lifecycle(wanted.property("LifecyclePolicy")) {
                let input =
                    Value::structure([("repositoryName", id.into()), ("lifecyclePolicyText", text.into())]);
                caller.call("ecr", "PutLifecyclePolicy", input).await?;
            }
            if let Some(text) = mapping::json(wanted.property("RepositoryPolicyText")) {
                let input = Value::structure([("repositoryName", id.into()), ("policyText", text.into())]);
                caller.call("ecr", "SetRepositoryPolicy", input).await?;
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
            let of = || Value::structure([("repositoryName", id.into())]);
            let mutability = ["ImageTagMutability", "ImageTagMutabilityExclusionFilters"];
            if changed(wanted, old, &mutability) {
                let mut input = wanted.input_of("ecr", "PutImageTagMutability", &mutability, RENAMES)?;
                input.set("repositoryName", id);
                if input.get("imageTagMutability").is_none() {
                    input.set("imageTagMutability", "MUTABLE");
                }
                caller.call("ecr", "PutImageTagMutability", input).await?;
            }
            if changed(wanted, old, &["ImageScanningConfiguration"]) {
                let scanning = ["ImageScanningConfiguration"];
                let mut input = wanted.input_of("ecr", "PutImageScanningConfiguration", &scanning, &[])?;
                input.set("repositoryName", id);
                if input.get("imageScanningConfiguration").is_none() {
                    input.set("imageScanningConfiguration", Value::structure([("scanOnPush", false.into())]));
                }
                caller.call("ecr", "PutImageScanningConfiguration", input).await?;
            }
            for (property, removal) in [
                ("LifecyclePolicy", "DeleteLifecyclePolicy"),
                ("RepositoryPolicyText", "DeleteRepositoryPolicy"),
            ] {
                if wanted.property(property).is_null() && changed(wanted, old, &[property]) {
                    calls::remove(caller, "ecr", removal, of()).await?;
                }
            }
            self.configure(caller, wanted, id).await?;
            let arn = repository_arn(caller, id);
            tags::update(caller, wanted, old, Tagged::Ecr { arn: &arn }).await
        })
    }

    /// A repository with images stays, unless the template says otherwise.
    fn delete<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        let force = mapping::truth(wanted.property("EmptyOnDelete")) == Some(true);
        let input = Value::structure([("repositoryName", id.into()), ("force", force.into())]);
        calls::remove(caller, "ecr", "DeleteRepository", input)
    }

    fn read<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, Value> {
        Box::pin(async move {
            let input = Value::structure([("repositoryNames", vec![id].into())]);
            let output = caller.call("ecr", "DescribeRepositories", input).await?;
            let found = part(&output, "repositories.0");
            if found.is_null() {
                return Err(Failure::handler(
                    HandlerErrorCode::NotFound,
                    format!("Resource of type 'AWS::ECR::Repository' with identifier '{id}' was not found."),
                ));
            }
            Ok(Value::structure([
                ("Arn", part(&found, "repositoryArn")),
                ("RepositoryUri", part(&found, "repositoryUri")),
            ]))
        })
    }
}

fn lifecycle(policy: &Value) -> Option<String> {
    mapping::json(policy.get("LifecyclePolicyText")?)
}

fn repository_arn(caller: &Caller, name: &str) -> String {
    gantry_types::arn("ecr", caller.region().as_str(), &format!("repository/{name}")).to_string()
}
