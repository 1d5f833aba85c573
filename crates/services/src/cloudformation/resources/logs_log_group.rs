//! `AWS::Logs::LogGroup`.

use gantry_types::{Value, arn};

use super::calls;
use super::tags::{self, Tagged};
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::Failure;
use crate::cloudformation::mapping;
use crate::cloudformation::resource::{Creation, Kind, Naming, Property, ResourceType, Wanted, Work};

pub(super) struct LogGroup;

const PROPERTIES: &[Property] = &[
    Property::new("DataProtectionPolicy", Kind::Json),
    Property::new("DeletionProtectionEnabled", Kind::Boolean),
    Property::new("FieldIndexPolicies", Kind::List),
    Property::new("KmsKeyId", Kind::String),
    Property::new("LogGroupClass", Kind::String),
    Property::new("LogGroupName", Kind::String).replaces(),
    Property::new("ResourcePolicyDocument", Kind::Json),
    Property::new("RetentionInDays", Kind::Integer),
    Property::new("Tags", Kind::List),
];
const UNSUPPORTED: &[&str] = &["DataProtectionPolicy", "FieldIndexPolicies", "ResourcePolicyDocument"];

impl ResourceType for LogGroup {
    fn name(&self) -> &'static str {
        "AWS::Logs::LogGroup"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn attributes(&self) -> &'static [&'static str] {
        &["Arn"]
    }
    fn naming(&self) -> Option<Naming> {
        Some(Naming::new("LogGroupName", 512))
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        calls::refuse(wanted, UNSUPPORTED)?;
        let name = wanted.name("LogGroupName");
        let mut input = wanted.input("logs", "CreateLogGroup", &[])?;
        input.set("logGroupName", name.as_str());
        if !wanted.tags().is_empty() {
            input.set("tags", tags::map(&wanted.tags()));
        }
        Ok(Creation::named("logs", "CreateLogGroup", input, name))
    }

    fn configure<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        Box::pin(async move {
            let Some(days) = mapping::integer(wanted.property("RetentionInDays")) else { return Ok(()) };
            let input = Value::structure([("logGroupName", id.into()), ("retentionInDays", days.into())]);
            caller.call("logs", "PutRetentionPolicy", input).await.map(|_| ())
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
            calls::refuse(wanted, UNSUPPORTED)?;
            if wanted.property("RetentionInDays").is_null() {
                let input = Value::structure([("logGroupName", id.into())]);
                caller.call("logs", "DeleteRetentionPolicy", input).await?;
            } else {
                self.configure(caller, wanted, id).await?;
            }
            let arn = arn("logs", caller.region().as_str(), &format!("log-group:{id}")).to_string();
            tags::update(caller, wanted, old, Tagged::Logs { arn: &arn }).await
        })
    }

    fn delete<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        calls::remove(caller, "logs", "DeleteLogGroup", Value::structure([("logGroupName", id.into())]))
    }

    fn read<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, Value> {
        Box::pin(async move {
            let arn = arn("logs", caller.region().as_str(), &format!("log-group:{id}:*"));
            Ok(Value::structure([("Arn", arn.to_string().into())]))
        })
    }
}
