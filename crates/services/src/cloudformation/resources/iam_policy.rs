//! `AWS::IAM::Policy`: one document inside of roles and users.

use gantry_types::Value;

use super::calls;
use super::iam_policies::{Holder, document, named};
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::{Failure, HandlerErrorCode};
use crate::cloudformation::mapping;
use crate::cloudformation::resource::{Creation, Kind, Naming, Property, ResourceType, Wanted, Work};

pub(super) struct Policy;

const PROPERTIES: &[Property] = &[
    Property::new("Groups", Kind::Strings),
    Property::new("PolicyDocument", Kind::Json).required(),
    Property::new("PolicyName", Kind::String).required(),
    Property::new("Roles", Kind::Strings),
    Property::new("Users", Kind::Strings),
];

fn check(wanted: &Wanted<'_>) -> Result<(), Failure> {
    calls::refuse(wanted, &["Groups"])?;
    if wanted.texts("Roles").is_empty() && wanted.texts("Users").is_empty() {
        return Err(Failure::handler(
            HandlerErrorCode::InvalidRequest,
            "At least one of [Groups,Roles,Users] must be non-empty.",
        ));
    }
    Ok(())
}

impl ResourceType for Policy {
    fn name(&self) -> &'static str {
        "AWS::IAM::Policy"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn attributes(&self) -> &'static [&'static str] {
        &["Id"]
    }
    /// The physical id is no name that IAM knows, and no property gives it.
    fn naming(&self) -> Option<Naming> {
        Some(Naming::new("", 128))
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        check(wanted)?;
        Ok(Creation::Configured { id: wanted.generated_name.to_owned() })
    }

    fn configure<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, _id: &'a str) -> Work<'a, ()> {
        Box::pin(async move {
            let text = document(wanted, "PolicyDocument")?;
            let name = wanted.text("PolicyName").unwrap_or_default();
            for holder in named(&wanted.texts("Roles"), &wanted.texts("Users")) {
                holder.put(caller, &name, &text).await?;
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
            check(wanted)?;
            self.configure(caller, wanted, id).await?;
            let former_name = mapping::text(old.property("PolicyName")).unwrap_or_default();
            let renamed = wanted.text("PolicyName").as_deref() != Some(former_name.as_str());
            let (roles, users) = (wanted.texts("Roles"), wanted.texts("Users"));
            let now = named(&roles, &users);
            let (old_roles, old_users) = (old.texts("Roles"), old.texts("Users"));
            for holder in named(&old_roles, &old_users) {
                if renamed || !now.contains(&holder) {
                    Holder::drop(holder, caller, &former_name).await?;
                }
            }
            Ok(())
        })
    }

    fn delete<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, _id: &'a str) -> Work<'a, ()> {
        Box::pin(async move {
            let name = wanted.text("PolicyName").unwrap_or_default();
            for holder in named(&wanted.texts("Roles"), &wanted.texts("Users")) {
                Holder::drop(holder, caller, &name).await?;
            }
            Ok(())
        })
    }

    fn read<'a>(&'a self, _caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, Value> {
        Box::pin(async move { Ok(Value::structure([("Id", id.into())])) })
    }
}
