//! `AWS::EC2::Route`.

use gantry_types::Value;

use super::calls::{self, changed};
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::{Failure, HandlerErrorCode};
use crate::cloudformation::resource::{Creation, Kind, Property, ResourceType, Wanted, Work};

pub(super) struct Route;

const PROPERTIES: &[Property] = &[
    Property::new("CarrierGatewayId", Kind::String),
    Property::new("CoreNetworkArn", Kind::String),
    Property::new("DestinationCidrBlock", Kind::String).replaces(),
    Property::new("DestinationIpv6CidrBlock", Kind::String).replaces(),
    Property::new("DestinationPrefixListId", Kind::String).replaces(),
    Property::new("EgressOnlyInternetGatewayId", Kind::String),
    Property::new("GatewayId", Kind::String),
    Property::new("InstanceId", Kind::String),
    Property::new("LocalGatewayId", Kind::String),
    Property::new("NatGatewayId", Kind::String),
    Property::new("NetworkInterfaceId", Kind::String),
    Property::new("RouteTableId", Kind::String).required().replaces(),
    Property::new("TransitGatewayId", Kind::String),
    Property::new("VpcEndpointId", Kind::String),
    Property::new("VpcPeeringConnectionId", Kind::String),
];
const DESTINATIONS: [&str; 3] =
    ["DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId"];
const WAYS: &[&str] = &[
    "CarrierGatewayId",
    "CoreNetworkArn",
    "EgressOnlyInternetGatewayId",
    "GatewayId",
    "InstanceId",
    "LocalGatewayId",
    "NatGatewayId",
    "NetworkInterfaceId",
    "TransitGatewayId",
    "VpcEndpointId",
    "VpcPeeringConnectionId",
];

/// Where the route leads, as its table tells routes apart.
fn destination(wanted: &Wanted<'_>) -> Result<String, Failure> {
    DESTINATIONS.iter().find_map(|name| wanted.text(name)).ok_or_else(|| {
        Failure::handler(
            HandlerErrorCode::InvalidRequest,
            format!("Exactly one of [{}] must be specified", DESTINATIONS.join(", ")),
        )
    })
}

fn place(wanted: &Wanted<'_>, operation: &'static str) -> Result<Value, Failure> {
    wanted.input_of("ec2", operation, &[&DESTINATIONS[..], &["RouteTableId"]].concat(), &[])
}

impl ResourceType for Route {
    fn name(&self) -> &'static str {
        "AWS::EC2::Route"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn attributes(&self) -> &'static [&'static str] {
        &["CidrBlock"]
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        let table = wanted.text("RouteTableId").unwrap_or_default();
        let id = format!("{table}|{}", destination(wanted)?);
        let input = wanted.input("ec2", "CreateRoute", &[])?;
        Ok(Creation::named("ec2", "CreateRoute", input, id))
    }

    fn update<'a>(
        &'a self,
        caller: &'a Caller,
        wanted: &'a Wanted<'a>,
        _id: &'a str,
        old: &'a Wanted<'a>,
    ) -> Work<'a, ()> {
        Box::pin(async move {
            if !changed(wanted, old, WAYS) {
                return Ok(());
            }
            let input = wanted.input("ec2", "ReplaceRoute", &[])?;
            caller.call("ec2", "ReplaceRoute", input).await.map(|_| ())
        })
    }

    fn delete<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, _id: &'a str) -> Work<'a, ()> {
        Box::pin(async move {
            let input = place(wanted, "DeleteRoute")?;
            calls::remove(caller, "ec2", "DeleteRoute", input).await
        })
    }

    fn read<'a>(&'a self, _caller: &'a Caller, wanted: &'a Wanted<'a>, _id: &'a str) -> Work<'a, Value> {
        Box::pin(async move { Ok(Value::structure([("CidrBlock", destination(wanted)?.into())])) })
    }
}
