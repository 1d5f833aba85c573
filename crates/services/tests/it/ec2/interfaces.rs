//! Network interfaces.

use serde_json::{Value as Json, json};

use super::{filter, subnet, vpc};
use crate::ecs::with;
use crate::world::{Answer as _, World};

#[tokio::test]
async fn an_interface_holds_an_address() {
    let world = World::new();
    let vpc = vpc(&world, "10.0.0.0/16").await;
    let id = subnet(&world, &vpc, "10.0.0.0/28").await;
    let create = |more: Json| with(json!({"SubnetId": id}), &more);
    let made = world
        .ok(
            "ec2 CreateNetworkInterface",
            create(json!({"PrivateIpAddress": "10.0.0.4", "Description": "mine"})),
        )
        .await["NetworkInterface"]
        .clone();
    assert_eq!(
        (&made["PrivateIpAddress"], &made["Description"], &made["Status"]),
        (&json!("10.0.0.4"), &json!("mine"), &json!("pending"))
    );
    assert_eq!(made["PrivateDnsName"], "ip-10-0-0-4.ec2.internal");
    let interface = made["NetworkInterfaceId"].text();
    for (name, value, count) in [
        ("network-interface-id", interface.as_str(), 1),
        ("status", "available", 1),
        ("status", "in-use", 0),
        ("subnet-id", &id, 1),
        ("private-ip-address", "10.0.0.4", 1),
        ("private-dns-name", "ip-10-0-0-4.ec2.internal", 1),
        ("description", "mi*", 1),
        ("requester-managed", "false", 1),
        ("attachment.status", "attached", 0),
    ] {
        let found = world.ok("ec2 DescribeNetworkInterfaces", json!({"Filters": filter(name, value)})).await;
        assert_eq!(found["NetworkInterfaces"].list().len(), count, "{name}={value}");
    }
    let rows = [
        (
            create(json!({"PrivateIpAddress": "10.0.0.4"})),
            "InvalidIPAddress.InUse",
            "Address 10.0.0.4 is in use.",
        ),
        (
            create(json!({"PrivateIpAddress": "10.0.0.3"})),
            "InvalidParameterValue",
            "does not fall within the subnet's address range",
        ),
        (create(json!({"PrivateIpAddress": "10.0.0.15"})), "InvalidParameterValue", "does not fall within"),
        (create(json!({"PrivateIpAddress": "10.0.1.4"})), "InvalidParameterValue", "does not fall within"),
        (
            create(json!({"PrivateIpAddress": "9.255.255.255"})),
            "InvalidParameterValue",
            "does not fall within",
        ),
        (
            create(json!({"PrivateIpAddress": "x"})),
            "InvalidParameterValue",
            "invalid value for parameter address",
        ),
        (create(json!({"SubnetId": "subnet-1"})), "InvalidSubnetID.NotFound", "does not exist"),
        (create(json!({"Groups": ["sg-1"]})), "InvalidGroup.NotFound", "does not exist"),
        (
            create(json!({"SecondaryPrivateIpAddressCount": 1})),
            "UnsupportedOperation",
            "one private IPv4 address",
        ),
        (create(json!({"InterfaceType": "efa"})), "UnsupportedOperation", "one private IPv4 address"),
        (create(json!({"Description": "x".repeat(256)})), "InvalidParameterValue", "at most 255"),
    ];
    world.refuses_all("ec2 CreateNetworkInterface", rows).await;
    // 16 addresses, 5 of them AWS's own.
    for _ in 0..10 {
        world.ok("ec2 CreateNetworkInterface", create(json!({}))).await;
    }
    world
        .refuses(
            "ec2 CreateNetworkInterface",
            create(json!({})),
            "InsufficientFreeAddressesInSubnet",
            "not enough free addresses",
        )
        .await;
    let found = world.ok("ec2 DescribeSubnets", json!({"SubnetIds": [id]})).await;
    assert_eq!(found["Subnets"][0]["AvailableIpAddressCount"], 0);
    world.ok("ec2 DeleteNetworkInterface", json!({"NetworkInterfaceId": interface})).await;
    world
        .refuses(
            "ec2 DeleteNetworkInterface",
            json!({"NetworkInterfaceId": interface}),
            "InvalidNetworkInterfaceID.NotFound",
            "does not exist",
        )
        .await;
    world
        .refuses(
            "ec2 DescribeNetworkInterfaces",
            json!({"NetworkInterfaceIds": [interface]}),
            "InvalidNetworkInterfaceID.NotFound",
            "does not exist",
        )
        .await;
    world.ok("ec2 CreateNetworkInterface", create(json!({"PrivateIpAddress": "10.0.0.4"}))).await;
}

#[tokio::test]
async fn a_load_balancers_interface_is_not_deleted() {
    let world = World::new();
    let (_, subnets, group) = world.default_network().await;
    world.ok("elbv2 CreateLoadBalancer", json!({"Name": "site", "Subnets": subnets})).await;
    let found = world
        .ok("ec2 DescribeNetworkInterfaces", json!({"Filters": filter("group-id", &group)}))
        .await["NetworkInterfaces"]
        .clone();
    assert_eq!(found.list().len(), 3);
    let first = &found[0];
    assert_eq!(
        (&first["Status"], &first["RequesterManaged"], &first["Attachment"]["Status"]),
        (&json!("in-use"), &json!(true), &json!("attached"))
    );
    let input = json!({"NetworkInterfaceId": first["NetworkInterfaceId"]});
    world
        .refuses("ec2 DeleteNetworkInterface", input, "InvalidNetworkInterface.InUse", "is currently in use.")
        .await;
}
