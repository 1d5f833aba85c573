//! `AWS::IAM::User`.

use gantry_types::Value;

use super::calls::{self, part};
use super::iam_policies::{self, Holder};
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::Failure;
use crate::cloudformation::resource::{Creation, Kind, Naming, Property, ResourceType, Wanted, Work};

pub(super) struct User;

/// Gantry changes neither path, boundary nor tags of a user that is there: another path or boundary makes another user.
const PROPERTIES: &[Property] = &[
    Property::new("Groups", Kind::Strings),
    Property::new("LoginProfile", Kind::Structure),
    Property::new("ManagedPolicyArns", Kind::Strings),
    Property::new("Path", Kind::String).replaces(),
    Property::new("PermissionsBoundary", Kind::String).replaces(),
    Property::new("Policies", Kind::List),
    Property::new("Tags", Kind::List),
    Property::new("UserName", Kind::String).replaces(),
];
const UNSUPPORTED: &[&str] = &["Groups", "LoginProfile"];

fn of(name: &str) -> Value {
    Value::structure([("UserName", name.into())])
}

impl ResourceType for User {
    fn name(&self) -> &'static str {
        "AWS::IAM::User"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn attributes(&self) -> &'static [&'static str] {
        &["Arn"]
    }
    fn naming(&self) -> Option<Naming> {
        Some(Naming::new("UserName", 64))
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        calls::refuse(wanted, UNSUPPORTED)?;
        let mut input = wanted.input("iam", "CreateUser", &[])?;
        input.set("UserName", wanted.name("UserName"));
        input.set("Tags", wanted.tag_list("Key", "Value"));
        Ok(Creation::call("iam", "CreateUser", input, "User.UserName"))
    }

    fn configure<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        Box::pin(iam_policies::set(caller, wanted, None, Holder::User(id)))
    }

    fn update<'a>(
        &'a self,
        caller: &'a Caller,
        wanted: &'a Wanted<'a>,
        id: &'a str,
        old: &'a Wanted<'a>,
    ) -> Work<'a, ()> {
        Box::pin(async move {
            calls::refuse(wanted, UNSUPPORTED)?;
            iam_policies::set(caller, wanted, Some(old), Holder::User(id)).await
        })
    }

    fn delete<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        Box::pin(async move {
            iam_policies::clear(caller, wanted, Holder::User(id)).await?;
            calls::remove(caller, "iam", "DeleteUser", of(id)).await
        })
    }

    fn read<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, Value> {
        Box::pin(async move {
            let output = caller.call("iam", "GetUser", of(id)).await?;
            Ok(Value::structure([("Arn", part(&output, "User.Arn"))]))
        })
    }
}
