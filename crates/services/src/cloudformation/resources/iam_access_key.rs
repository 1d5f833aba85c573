//! `AWS::IAM::AccessKey`.

use gantry_types::Value;

use super::calls;
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::{Failure, HandlerErrorCode};
use crate::cloudformation::resource::{Creation, Kind, Property, ResourceType, Wanted, Work};
use crate::iam;

pub(super) struct AccessKey;

const PROPERTIES: &[Property] = &[
    Property::new("Serial", Kind::Integer).replaces(),
    Property::new("Status", Kind::String),
    Property::new("UserName", Kind::String).required().replaces(),
];

/// Keys are active as long as they are there.
fn check(wanted: &Wanted<'_>) -> Result<(), Failure> {
    match wanted.text("Status").as_deref() {
        None | Some("Active") => Ok(()),
        Some(other) => Err(Failure::handler(
            HandlerErrorCode::InvalidRequest,
            format!("Gantry does not support the Status {other} of AWS::IAM::AccessKey yet."),
        )),
    }
}

impl ResourceType for AccessKey {
    fn name(&self) -> &'static str {
        "AWS::IAM::AccessKey"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn attributes(&self) -> &'static [&'static str] {
        &["SecretAccessKey"]
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        check(wanted)?;
        let input = wanted.input_of("iam", "CreateAccessKey", &["UserName"], &[])?;
        Ok(Creation::call("iam", "CreateAccessKey", input, "AccessKey.AccessKeyId"))
    }

    fn update<'a>(
        &'a self,
        _caller: &'a Caller,
        wanted: &'a Wanted<'a>,
        _id: &'a str,
        _old: &'a Wanted<'a>,
    ) -> Work<'a, ()> {
        Box::pin(async move { check(wanted) })
    }

    fn delete<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        let input =
            Value::structure([("UserName", wanted.text("UserName").into()), ("AccessKeyId", id.into())]);
        calls::remove(caller, "iam", "DeleteAccessKey", input)
    }

    fn read<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, Value> {
        Box::pin(async move {
            let found = caller.read(|view| iam::find_key(view, id));
            let key = found.map_err(|error| Failure::of_call("Iam", "", &error))?;
            let secret = key.map(|key| key.document.secret_access_key);
            Ok(Value::structure([("SecretAccessKey", secret.into())]))
        })
    }
}
