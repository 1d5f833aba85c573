//! `AWS::SSM::Parameter`.

use gantry_types::Value;

use super::calls;
use super::tags::{self, Tagged};
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::{Failure, HandlerErrorCode};
use crate::cloudformation::resource::{Creation, Kind, Naming, Property, ResourceType, Wanted, Work};

pub(super) struct Parameter;

const PROPERTIES: &[Property] = &[
    Property::new("AllowedPattern", Kind::String),
    Property::new("DataType", Kind::String),
    Property::new("Description", Kind::String),
    Property::new("Name", Kind::String).replaces(),
    Property::new("Policies", Kind::String),
    Property::new("Tags", Kind::Json),
    Property::new("Tier", Kind::String),
    Property::new("Type", Kind::String).required(),
    Property::new("Value", Kind::String).required(),
];

/// CloudFormation makes no secrets: their values would stand in the template.
fn check(wanted: &Wanted<'_>) -> Result<(), Failure> {
    match wanted.text("Type").as_deref() {
        Some("String" | "StringList") => Ok(()),
        other => Err(Failure::handler(
            HandlerErrorCode::InvalidRequest,
            format!("{} is not a valid enum value", other.unwrap_or_default()),
        )),
    }
}

impl ResourceType for Parameter {
    fn name(&self) -> &'static str {
        "AWS::SSM::Parameter"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn attributes(&self) -> &'static [&'static str] {
        &["Type", "Value"]
    }
    fn naming(&self) -> Option<Naming> {
        Some(Naming::new("Name", 1011))
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        check(wanted)?;
        let name = wanted.name("Name");
        let mut input = wanted.input("ssm", "PutParameter", &[])?;
        input.set("Name", name.as_str());
        input.set("Tags", wanted.tag_list("Key", "Value"));
        Ok(Creation::named("ssm", "PutParameter", input, name))
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
            let mut input = wanted.input("ssm", "PutParameter", &[])?;
            input.set("Name", id);
            input.set("Overwrite", true);
            caller.call("ssm", "PutParameter", input).await?;
            tags::update(caller, wanted, old, Tagged::Parameter { name: id }).await
        })
    }

    fn delete<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        calls::remove(caller, "ssm", "DeleteParameter", Value::structure([("Name", id.into())]))
    }

    fn read<'a>(&'a self, _caller: &'a Caller, wanted: &'a Wanted<'a>, _id: &'a str) -> Work<'a, Value> {
        Box::pin(async move {
            Ok(Value::structure([
                ("Type", wanted.text("Type").into()),
                ("Value", wanted.text("Value").into()),
            ]))
        })
    }
}
