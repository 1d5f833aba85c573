//! `AWS::EC2::VPCGatewayAttachment`.

use gantry_types::Value;

use super::calls::{self, part};
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::Failure;
use crate::cloudformation::mapping;
use crate::cloudformation::resource::{Creation, Kind, Property, ResourceType, Wanted, Work};

pub(super) struct VpcGatewayAttachment;

const PROPERTIES: &[Property] = &[
    Property::new("InternetGatewayId", Kind::String),
    Property::new("VpcId", Kind::String).required().replaces(),
    Property::new("VpnGatewayId", Kind::String),
];

impl ResourceType for VpcGatewayAttachment {
    fn name(&self) -> &'static str {
        "AWS::EC2::VPCGatewayAttachment"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn attributes(&self) -> &'static [&'static str] {
        &["AttachmentType"]
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        calls::refuse(wanted, &["VpnGatewayId"])?;
        Ok(Creation::Configured { id: format!("IGW|{}", wanted.text("VpcId").unwrap_or_default()) })
    }

    fn configure<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, _id: &'a str) -> Work<'a, ()> {
        Box::pin(async move {
            let gateway = wanted.text("InternetGatewayId").unwrap_or_default();
            let vpc = wanted.text("VpcId").unwrap_or_default();
            if is_attached(caller, &gateway, &vpc).await? {
                return Ok(());
            }
            calls::call(caller, "ec2", "AttachInternetGateway", input(&gateway, &vpc)).await
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
            let former = mapping::text(old.property("InternetGatewayId")).unwrap_or_default();
            let vpc = wanted.text("VpcId").unwrap_or_default();
            if wanted.text("InternetGatewayId").as_deref() != Some(former.as_str()) {
                detach(caller, &former, &vpc).await?;
            }
            self.configure(caller, wanted, id).await
        })
    }

    fn delete<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, _id: &'a str) -> Work<'a, ()> {
        Box::pin(async move {
            let text = |name| wanted.text(name).unwrap_or_default();
            detach(caller, &text("InternetGatewayId"), &text("VpcId")).await
        })
    }

    fn read<'a>(&'a self, _caller: &'a Caller, _wanted: &'a Wanted<'a>, _id: &'a str) -> Work<'a, Value> {
        Box::pin(async { Ok(Value::structure([("AttachmentType", "IGW".into())])) })
    }
}

fn input(gateway: &str, vpc: &str) -> Value {
    Value::structure([("InternetGatewayId", gateway.into()), ("VpcId", vpc.into())])
}

async fn detach(caller: &Caller, gateway: &str, vpc: &str) -> Result<(), Failure> {
    if is_attached(caller, gateway, vpc).await? {
        calls::remove(caller, "ec2", "DetachInternetGateway", input(gateway, vpc)).await?;
    }
    Ok(())
}

async fn is_attached(caller: &Caller, gateway: &str, vpc: &str) -> Result<bool, Failure> {
    let filters =
        vec![calls::filter("internet-gateway-id", gateway), calls::filter("attachment.vpc-id", vpc)];
    let input = Value::structure([("Filters", Value::List(filters))]);
    let output = caller.call("ec2", "DescribeInternetGateways", input).await?;
    Ok(!part(&output, "InternetGateways").as_list().is_empty())
}
