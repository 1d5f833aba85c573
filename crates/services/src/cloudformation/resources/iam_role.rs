//! `AWS::IAM::Role`.

use gantry_types::Value;

use super::calls::{self, changed, part};
use super::iam_policies::{self, Holder, document, names_but};
use super::tags::{self, Tagged};
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::Failure;
use crate::cloudformation::mapping;
use crate::cloudformation::resource::{Creation, Kind, Naming, Property, ResourceType, Wanted, Work};

pub(super) struct Role;

const PROPERTIES: &[Property] = &[
    Property::new("AssumeRolePolicyDocument", Kind::Json).required(),
    Property::new("Description", Kind::String),
    Property::new("ManagedPolicyArns", Kind::Strings),
    Property::new("MaxSessionDuration", Kind::Integer),
    Property::new("Path", Kind::String).replaces(),
    Property::new("PermissionsBoundary", Kind::String),
    Property::new("Policies", Kind::List),
    Property::new("RoleName", Kind::String).replaces(),
    Property::new("Tags", Kind::List),
];
const SESSION_SECONDS_DEFAULT: i64 = 3600;

fn of(name: &str) -> Value {
    Value::structure([("RoleName", name.into())])
}

impl ResourceType for Role {
    fn name(&self) -> &'static str {
        "AWS::IAM::Role"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn attributes(&self) -> &'static [&'static str] {
        &["Arn", "RoleId"]
    }
    fn naming(&self) -> Option<Naming> {
        Some(Naming::new("RoleName", 64))
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        let names = names_but(PROPERTIES, &["AssumeRolePolicyDocument"]);
        let mut input = wanted.input_of("iam", "CreateRole", &names, &[])?;
        input.set("RoleName", wanted.name("RoleName"));
        input.set("AssumeRolePolicyDocument", document(wanted, "AssumeRolePolicyDocument")?);
        input.set("Tags", wanted.tag_list("Key", "Value"));
        Ok(Creation::call("iam", "CreateRole", input, "Role.RoleName"))
    }

    fn configure<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        Box::pin(iam_policies::set(caller, wanted, None, Holder::Role(id)))
    }

    fn update<'a>(
        &'a self,
        caller: &'a Caller,
        wanted: &'a Wanted<'a>,
        id: &'a str,
        old: &'a Wanted<'a>,
    ) -> Work<'a, ()> {
        Box::pin(async move {
            let mut trust = of(id);
            trust.set("PolicyDocument", document(wanted, "AssumeRolePolicyDocument")?);
            caller.call("iam", "UpdateAssumeRolePolicy", trust).await?;
            if changed(wanted, old, &["Description", "MaxSessionDuration"]) {
                let seconds = mapping::integer(wanted.property("MaxSessionDuration"));
                let mut input = of(id);
                input.set("Description", wanted.text("Description").unwrap_or_default());
                input.set("MaxSessionDuration", seconds.unwrap_or(SESSION_SECONDS_DEFAULT));
                caller.call("iam", "UpdateRole", input).await?;
            }
            match wanted.text("PermissionsBoundary") {
                Some(arn) => {
                    let mut input = of(id);
                    input.set("PermissionsBoundary", arn);
                    caller.call("iam", "PutRolePermissionsBoundary", input).await?;
                }
                None if changed(wanted, old, &["PermissionsBoundary"]) => {
                    calls::remove(caller, "iam", "DeleteRolePermissionsBoundary", of(id)).await?;
                }
                None => {}
            }
            iam_policies::set(caller, wanted, Some(old), Holder::Role(id)).await?;
            tags::update(caller, wanted, old, Tagged::Role { name: id }).await
        })
    }

    fn delete<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        Box::pin(async move {
            iam_policies::clear(caller, wanted, Holder::Role(id)).await?;
            calls::remove(caller, "iam", "DeleteRole", of(id)).await
        })
    }

    fn read<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, Value> {
        Box::pin(async move {
            let role = part(&caller.call("iam", "GetRole", of(id)).await?, "Role");
            Ok(Value::structure([("Arn", part(&role, "Arn")), ("RoleId", part(&role, "RoleId"))]))
        })
    }
}
