//! `AWS::EC2::InternetGateway`.

use gantry_types::Value;

use super::calls;
use super::tags::{self, Tagged};
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::Failure;
use crate::cloudformation::resource::{Creation, Kind, Property, ResourceType, Wanted, Work};

pub(super) struct InternetGateway;

impl ResourceType for InternetGateway {
    fn name(&self) -> &'static str {
        "AWS::EC2::InternetGateway"
    }
    fn properties(&self) -> &'static [Property] {
        const { &[Property::new("Tags", Kind::List)] }
    }
    fn attributes(&self) -> &'static [&'static str] {
        &["InternetGatewayId"]
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        let tags = wanted.tag_specifications("internet-gateway");
        let input = Value::structure([("TagSpecifications", tags)]);
        Ok(Creation::call("ec2", "CreateInternetGateway", input, "InternetGateway.InternetGatewayId"))
    }

    fn update<'a>(
        &'a self,
        caller: &'a Caller,
        wanted: &'a Wanted<'a>,
        id: &'a str,
        old: &'a Wanted<'a>,
    ) -> Work<'a, ()> {
        Box::pin(tags::update(caller, wanted, old, Tagged::Ec2 { id }))
    }

    fn delete<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        let input = Value::structure([("InternetGatewayId", id.into())]);
        calls::remove(caller, "ec2", "DeleteInternetGateway", input)
    }

    fn read<'a>(&'a self, _caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, Value> {
        Box::pin(async move { Ok(Value::structure([("InternetGatewayId", id.into())])) })
    }
}
