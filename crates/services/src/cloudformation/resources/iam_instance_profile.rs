//! `AWS::IAM::InstanceProfile`.

use gantry_types::Value;

use super::calls::{self, part};
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::{Failure, HandlerErrorCode};
use crate::cloudformation::mapping;
use crate::cloudformation::resource::{Creation, Kind, Naming, Property, ResourceType, Wanted, Work};

pub(super) struct InstanceProfile;

const PROPERTIES: &[Property] = &[
    Property::new("InstanceProfileName", Kind::String).replaces(),
    Property::new("Path", Kind::String).replaces(),
    Property::new("Roles", Kind::Strings).required(),
];

fn of(name: &str) -> Value {
    Value::structure([("InstanceProfileName", name.into())])
}

fn with_role(name: &str, role: &str) -> Value {
    Value::structure([("InstanceProfileName", name.into()), ("RoleName", role.into())])
}

/// The roles that are in the profile; none where it is gone.
async fn roles(caller: &Caller, id: &str) -> Result<Vec<String>, Failure> {
    let output = match caller.call("iam", "GetInstanceProfile", of(id)).await {
        Err(failure) if failure.is(HandlerErrorCode::NotFound) => return Ok(vec![]),
        outcome => outcome?,
    };
    let roles = part(&output, "InstanceProfile.Roles");
    Ok(roles.as_list().iter().filter_map(|role| mapping::text(role.get("RoleName")?)).collect())
}

impl ResourceType for InstanceProfile {
    fn name(&self) -> &'static str {
        "AWS::IAM::InstanceProfile"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn attributes(&self) -> &'static [&'static str] {
        &["Arn"]
    }
    fn naming(&self) -> Option<Naming> {
        Some(Naming::new("InstanceProfileName", 128))
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        let mut input = wanted.input("iam", "CreateInstanceProfile", &[])?;
        input.set("InstanceProfileName", wanted.name("InstanceProfileName"));
        Ok(Creation::call("iam", "CreateInstanceProfile", input, "InstanceProfile.InstanceProfileName"))
    }

    fn configure<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        Box::pin(async move {
            let there = roles(caller, id).await?;
            for role in wanted.texts("Roles").iter().filter(|role| !there.contains(role)) {
                calls::call(caller, "iam", "AddRoleToInstanceProfile", with_role(id, role)).await?;
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
            // A profile has room for one role: the former one goes first.
            let now = wanted.texts("Roles");
            for role in old.texts("Roles").iter().filter(|role| !now.contains(role)) {
                calls::remove(caller, "iam", "RemoveRoleFromInstanceProfile", with_role(id, role)).await?;
            }
            self.configure(caller, wanted, id).await
        })
    }

    fn delete<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        Box::pin(async move {
            for role in roles(caller, id).await? {
                calls::remove(caller, "iam", "RemoveRoleFromInstanceProfile", with_role(id, &role)).await?;
            }
            calls::remove(caller, "iam", "DeleteInstanceProfile", of(id)).await
        })
    }

    fn read<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, Value> {
        Box::pin(async move {
            let output = caller.call("iam", "GetInstanceProfile", of(id)).await?;
            Ok(Value::structure([("Arn", part(&output, "InstanceProfile.Arn"))]))
        })
    }
}
