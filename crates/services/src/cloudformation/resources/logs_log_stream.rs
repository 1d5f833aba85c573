//! `AWS::Logs::LogStream`.

use gantry_types::Value;

use super::calls;
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::Failure;
use crate::cloudformation::resource::{Creation, Kind, Naming, Property, ResourceType, Wanted, Work};

pub(super) struct LogStream;

const PROPERTIES: &[Property] = &[
    Property::new("LogGroupName", Kind::String).required().replaces(),
    Property::new("LogStreamName", Kind::String).replaces(),
];

fn input(wanted: &Wanted<'_>, id: &str) -> Value {
    Value::structure([("logGroupName", wanted.text("LogGroupName").into()), ("logStreamName", id.into())])
}

impl ResourceType for LogStream {
    fn name(&self) -> &'static str {
        "AWS::Logs::LogStream"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn naming(&self) -> Option<Naming> {
        Some(Naming::new("LogStreamName", 512))
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        Ok(Creation::Configured { id: wanted.name("LogStreamName") })
    }

    fn configure<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        calls::add(caller, "logs", "CreateLogStream", input(wanted, id))
    }

    /// Nothing of it changes in place.
    fn update<'a>(
        &'a self,
        _caller: &'a Caller,
        _wanted: &'a Wanted<'a>,
        _id: &'a str,
        _old: &'a Wanted<'a>,
    ) -> Work<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn delete<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        calls::remove(caller, "logs", "DeleteLogStream", input(wanted, id))
    }
}
