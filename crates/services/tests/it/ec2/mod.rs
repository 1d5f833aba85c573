//! EC2.

mod catalogue;
mod group_rules;
mod groups;
mod interfaces;
mod listing;
mod races;
mod region;
mod routes;
mod subnets;
mod tags;
mod vpcs;

use serde_json::{Value as Json, json};

use crate::world::{Answer as _, World};

pub(crate) async fn vpc(world: &World, range: &str) -> String {
    world.ok("ec2 CreateVpc", json!({"CidrBlock": range})).await["Vpc"]["VpcId"].text()
}

pub(crate) async fn subnet(world: &World, vpc: &str, range: &str) -> String {
    let made = world.ok("ec2 CreateSubnet", json!({"VpcId": vpc, "CidrBlock": range})).await;
    made["Subnet"]["SubnetId"].text()
}

pub(crate) async fn group(world: &World, vpc: &str, name: &str) -> String {
    let input = json!({"GroupName": name, "Description": "d", "VpcId": vpc});
    world.ok("ec2 CreateSecurityGroup", input).await["GroupId"].text()
}

/// An internet gateway that is attached to the VPC.
pub(crate) async fn gateway(world: &World, vpc: &str) -> String {
    let made = world.ok("ec2 CreateInternetGateway", json!({})).await;
    let id = made["InternetGateway"]["InternetGatewayId"].text();
    world.ok("ec2 AttachInternetGateway", json!({"InternetGatewayId": id, "VpcId": vpc})).await;
    id
}

pub(crate) fn filter(name: &str, value: &str) -> Json {
    json!([{"Name": name, "Values": [value]}])
}
