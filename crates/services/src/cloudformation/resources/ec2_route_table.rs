//! `AWS::EC2::RouteTable`.

use gantry_types::Value;

use super::calls;
use super::tags::{self, Tagged};
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::Failure;
use crate::cloudformation::resource::{Creation, Kind, Property, ResourceType, Wanted, Work};

pub(super) struct RouteTable;

const PROPERTIES: &[Property] =
    &[Property::new("Tags", Kind::List), Property::new("VpcId", Kind::String).required().replaces()];

impl ResourceType for RouteTable {
    fn name(&self) -> &'static str {
        "AWS::EC2::RouteTable"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn attributes(&self) -> &'static [&'static str] {
        &["RouteTableId"]
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        let mut input = wanted.input("ec2", "CreateRouteTable", &[])?;
        input.set("TagSpecifications", wanted.tag_specifications("route-table"));
        input.set("ClientToken", wanted.token);
        Ok(Creation::call("ec2", "CreateRouteTable", input, "RouteTable.RouteTableId"))
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
        calls::remove(caller, "ec2", "DeleteRouteTable", Value::structure([("RouteTableId", id.into())]))
    }

    fn read<'a>(&'a self, _caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, Value> {
        Box::pin(async move { Ok(Value::structure([("RouteTableId", id.into())])) })
    }
}
