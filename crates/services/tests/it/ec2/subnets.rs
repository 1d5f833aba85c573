//! Subnets.

use serde_json::{Value as Json, json};

use super::{filter, subnet, vpc};
use crate::ecs::with;
use crate::world::{Answer as _, World};

#[tokio::test]
async fn a_subnet_lives() {
    let world = World::new();
    let vpc = vpc(&world, "10.0.0.0/16").await;
    let input = json!({"VpcId": vpc, "CidrBlock": "10.0.1.9/24", "AvailabilityZone": "us-east-1b"});
    let made = world.ok("ec2 CreateSubnet", input).await["Subnet"].clone();
    let id = made["SubnetId"].text();
    assert_eq!((&made["CidrBlock"], &made["AvailableIpAddressCount"]), (&json!("10.0.1.0/24"), &json!(251)));
    assert_eq!(
        (&made["AvailabilityZoneId"], &made["MapPublicIpOnLaunch"]),
        (&json!("use1-az2"), &json!(false))
    );
    world
        .ok("ec2 ModifySubnetAttribute", json!({"SubnetId": id, "MapPublicIpOnLaunch": {"Value": true}}))
        .await;
    // What it has already may be said again.
    world
        .ok(
            "ec2 ModifySubnetAttribute",
            json!({"SubnetId": id, "AssignIpv6AddressOnCreation": {"Value": false}}),
        )
        .await;
    let wrong = json!({"SubnetId": id, "EnableDns64": {"Value": true}});
    world.refuses("ec2 ModifySubnetAttribute", wrong, "UnsupportedOperation", "mapPublicIpOnLaunch").await;
    for (name, value, count) in [
        ("subnet-id", id.as_str(), 1),
        ("vpc-id", &vpc, 1),
        ("availability-zone", "us-east-1b", 2),
        ("availability-zone-id", "use1-az2", 2),
        ("cidr-block", "10.0.1.0/24", 1),
        ("map-public-ip-on-launch", "true", 4),
        ("default-for-az", "false", 1),
        ("available-ip-address-count", "251", 1),
    ] {
        let found = world.ok("ec2 DescribeSubnets", json!({"Filters": filter(name, value)})).await;
        assert_eq!(found["Subnets"].list().len(), count, "{name}={value}");
    }
    world.ok("ec2 DeleteSubnet", json!({"SubnetId": id})).await;
    let wording = format!("The subnet ID '{id}' does not exist");
    world.refuses("ec2 DeleteSubnet", json!({"SubnetId": id}), "InvalidSubnetID.NotFound", &wording).await;
    world
        .refuses("ec2 DescribeSubnets", json!({"SubnetIds": [id]}), "InvalidSubnetID.NotFound", &wording)
        .await;
}

#[tokio::test]
async fn create_subnet_says_what_is_wrong() {
    let world = World::new();
    let vpc = vpc(&world, "10.0.0.0/24").await;
    subnet(&world, &vpc, "10.0.0.0/26").await;
    let input = |more: Json| with(json!({"VpcId": vpc, "CidrBlock": "10.0.0.64/26"}), &more);
    let rows = [
        (input(json!({"VpcId": "vpc-1"})), "InvalidVpcID.NotFound", "The vpc ID 'vpc-1' does not exist"),
        (input(json!({"CidrBlock": null})), "MissingParameter", "cidrBlock"),
        (input(json!({"CidrBlock": "x"})), "InvalidParameterValue", "This is not a valid CIDR block."),
        (
            input(json!({"CidrBlock": "10.0.0.0/29"})),
            "InvalidSubnet.Range",
            "The CIDR '10.0.0.0/29' is invalid.",
        ),
        (input(json!({"CidrBlock": "10.0.0.0/23"})), "InvalidSubnet.Range", "is invalid."),
        (input(json!({"CidrBlock": "10.0.1.0/26"})), "InvalidSubnet.Range", "is invalid."),
        (input(json!({"CidrBlock": "0.0.0.0/0"})), "InvalidSubnet.Range", "is invalid."),
        (
            input(json!({"CidrBlock": "10.0.0.32/27"})),
            "InvalidSubnet.Conflict",
            "conflicts with another subnet",
        ),
        (
            input(json!({"CidrBlock": "10.0.0.0/24"})),
            "InvalidSubnet.Conflict",
            "conflicts with another subnet",
        ),
        (
            input(json!({"AvailabilityZone": "us-east-1z"})),
            "InvalidParameterValue",
            "us-east-1a, us-east-1b, us-east-1c",
        ),
        (
            input(json!({"AvailabilityZone": "eu-west-1a"})),
            "InvalidParameterValue",
            "availabilityZone is invalid",
        ),
        (
            input(json!({"AvailabilityZoneId": "use1-az9"})),
            "InvalidParameterValue",
            "availabilityZoneId is invalid",
        ),
        (input(json!({"Ipv6CidrBlock": "::/64"})), "UnsupportedOperation", "IPv4"),
    ];
    world.refuses_all("ec2 CreateSubnet", rows).await;
    let made = world.ok("ec2 CreateSubnet", input(json!({"AvailabilityZoneId": "use1-az3"}))).await;
    assert_eq!(made["Subnet"]["AvailabilityZone"], "us-east-1c");
}

#[tokio::test]
async fn a_deleted_subnet_is_under_no_route_table() {
    let world = World::new();
    let vpc = vpc(&world, "10.0.0.0/16").await;
    let id = subnet(&world, &vpc, "10.0.0.0/24").await;
    let table =
        world.ok("ec2 CreateRouteTable", json!({"VpcId": vpc})).await["RouteTable"]["RouteTableId"].text();
    world.ok("ec2 AssociateRouteTable", json!({"RouteTableId": table, "SubnetId": id})).await;
    world
        .refuses(
            "ec2 DeleteRouteTable",
            json!({"RouteTableId": table}),
            "DependencyViolation",
            "has dependencies",
        )
        .await;
    world.ok("ec2 DeleteSubnet", json!({"SubnetId": id})).await;
    world.ok("ec2 DeleteRouteTable", json!({"RouteTableId": table})).await;
}
