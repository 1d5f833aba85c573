//! What is there without being made, and what is not there at all.

use serde_json::json;

use super::filter;
use crate::world::{Answer as _, World};

#[tokio::test]
async fn zones_and_regions_are_described() {
    let world = World::new();
    let zones = world.ok("ec2 DescribeAvailabilityZones", json!({})).await["AvailabilityZones"].clone();
    assert_eq!(zones.each("ZoneName"), ["us-east-1a", "us-east-1b", "us-east-1c"]);
    assert_eq!(zones.each("ZoneId"), ["use1-az1", "use1-az2", "use1-az3"]);
    for (input, count) in [
        (json!({"ZoneNames": ["us-east-1b"]}), 1),
        (json!({"ZoneIds": ["use1-az3"]}), 1),
        (json!({"Filters": filter("state", "available")}), 3),
        (json!({"Filters": filter("opt-in-status", "opt-in-not-required")}), 3),
        (json!({"Filters": filter("zone-name", "*c")}), 1),
        (json!({"AllAvailabilityZones": true}), 3),
    ] {
        let found = world.ok("ec2 DescribeAvailabilityZones", input.clone()).await;
        assert_eq!(found["AvailabilityZones"].list().len(), count, "{input}");
    }
    let value = "InvalidParameterValue";
    world
        .refuses(
            "ec2 DescribeAvailabilityZones",
            json!({"ZoneNames": ["x"]}),
            value,
            "Invalid availability zone: [x]",
        )
        .await;
    world
        .refuses(
            "ec2 DescribeAvailabilityZones",
            json!({"ZoneIds": ["x"]}),
            value,
            "Invalid availability zone-id: [x]",
        )
        .await;
    let regions =
        world.ok("ec2 DescribeRegions", json!({"RegionNames": ["eu-west-1"]})).await["Regions"].clone();
    assert_eq!(regions.each("Endpoint"), ["ec2.eu-west-1.amazonaws.com"]);
    assert!(world.ok("ec2 DescribeRegions", json!({})).await["Regions"].list().len() > 20);
    world
        .refuses(
            "ec2 DescribeRegions",
            json!({"RegionNames": ["x"]}),
            value,
            "Invalid region name(s) provided: x",
        )
        .await;
}

#[tokio::test]
async fn what_cannot_be_made_is_not_there() {
    let world = World::new();
    for (operation, member, named, code) in [
        (
            "ec2 DescribeInstances",
            "Reservations",
            json!({"InstanceIds": ["i-1"]}),
            "InvalidInstanceID.NotFound",
        ),
        ("ec2 DescribeImages", "Images", json!({"ImageIds": ["ami-1"]}), "InvalidAMIID.NotFound"),
        (
            "ec2 DescribeAddresses",
            "Addresses",
            json!({"AllocationIds": ["eipalloc-1"]}),
            "InvalidAllocationID.NotFound",
        ),
        ("ec2 DescribeAddresses", "Addresses", json!({"PublicIps": ["1.2.3.4"]}), "InvalidAddress.NotFound"),
    ] {
        assert_eq!(world.ok(operation, json!({})).await[member], json!([]), "{operation}");
        world.refuses(operation, named, code, "").await;
    }
    let options = world.ok("ec2 DescribeDhcpOptions", json!({})).await["DhcpOptions"].clone();
    let id = options[0]["DhcpOptionsId"].text();
    let vpcs = world.ok("ec2 DescribeVpcs", json!({"Filters": filter("dhcp-options-id", &id)})).await;
    assert_eq!(vpcs["Vpcs"].list().len(), 1);
    world
        .refuses(
            "ec2 DescribeDhcpOptions",
            json!({"DhcpOptionsIds": ["dopt-1"]}),
            "InvalidDhcpOptionID.NotFound",
            "dopt-1",
        )
        .await;
}

#[tokio::test]
async fn operations_without_a_handler_say_so() {
    let world = World::new();
    for (operation, input) in [
        ("ec2 AllocateAddress", json!({})),
        ("ec2 CreateNetworkAcl", json!({"VpcId": "vpc-1"})),
        ("ecs UpdateTaskProtection", json!({"cluster": "c", "tasks": ["t"], "protectionEnabled": true})),
        ("ecs ListServiceDeployments", json!({"service": "s"})),
        ("elbv2 AddListenerCertificates", json!({"ListenerArn": "l", "Certificates": []})),
    ] {
        let wording = format!("Gantry does not implement {} yet.", operation.replace(' ', ":"));
        world.refuses(operation, input, "NotImplemented", &wording).await;
    }
}
