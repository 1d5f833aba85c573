//! What a region begins with.

use serde_json::json;

use super::filter;
use crate::world::{Answer as _, World};

#[tokio::test]
async fn every_region_has_a_default_vpc_of_its_own() {
    let mut world = World::new();
    let mut seen = Vec::new();
    for region in ["us-east-1", "eu-west-2"] {
        world.region = region;
        let (vpc, subnets, group) = world.default_network().await;
        assert_eq!(subnets.len(), 3);
        let found = world.ok("ec2 DescribeVpcs", json!({})).await["Vpcs"].clone();
        assert_eq!((found.list().len(), &found[0]["CidrBlock"]), (1, &json!("172.31.0.0/16")));
        let found =
            world.ok("ec2 DescribeSubnets", json!({"Filters": filter("default-for-az", "true")})).await;
        let mut ranges = found["Subnets"].each("CidrBlock");
        ranges.sort();
        assert_eq!(ranges, ["172.31.0.0/20", "172.31.16.0/20", "172.31.32.0/20"]);
        let mut zones = found["Subnets"].each("AvailabilityZone");
        zones.sort();
        assert_eq!(zones, ["a", "b", "c"].map(|letter| format!("{region}{letter}")));
        for subnet in found["Subnets"].list() {
            assert_eq!(
                (&subnet["MapPublicIpOnLaunch"], &subnet["AvailableIpAddressCount"]),
                (&json!(true), &json!(4091))
            );
        }
        // What Terraform asks of a default VPC.
        let found = world
            .ok("ec2 DescribeVpcAttribute", json!({"VpcId": vpc, "Attribute": "enableDnsHostnames"}))
            .await;
        assert_eq!(found["EnableDnsHostnames"], json!({"Value": true}));
        let filters =
            json!([{"Name": "vpc-id", "Values": [vpc]}, {"Name": "association.main", "Values": ["true"]}]);
        let tables =
            world.ok("ec2 DescribeRouteTables", json!({"Filters": filters})).await["RouteTables"].clone();
        assert_eq!(tables.list().len(), 1);
        assert_eq!(tables[0]["Routes"].each("DestinationCidrBlock"), ["172.31.0.0/16", "0.0.0.0/0"]);
        assert_eq!(tables[0]["Routes"].each("State"), ["active", "active"]);
        let filters = json!([{"Name": "vpc-id", "Values": [vpc]}, {"Name": "default", "Values": ["true"]}]);
        let acls =
            world.ok("ec2 DescribeNetworkAcls", json!({"Filters": filters})).await["NetworkAcls"].clone();
        assert_eq!((acls.list().len(), acls[0]["Associations"].list().len()), (1, 3));
        let filters =
            json!([{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": ["default"]}]);
        let groups =
            world.ok("ec2 DescribeSecurityGroups", json!({"Filters": filters})).await["SecurityGroups"]
                .clone();
        assert_eq!(groups.each("GroupId"), [group.as_str()]);
        assert_eq!(groups[0]["IpPermissions"][0]["UserIdGroupPairs"][0]["GroupId"], json!(group));
        let link = world.ok("ec2 DescribeVpcClassicLink", json!({"VpcIds": [vpc]})).await;
        assert_eq!(link["Vpcs"][0]["ClassicLinkEnabled"], json!(false));
        let support = world.ok("ec2 DescribeVpcClassicLinkDnsSupport", json!({"VpcIds": [vpc]})).await;
        assert_eq!(support["Vpcs"][0]["ClassicLinkDnsSupported"], json!(false));
        let attributes = json!({"AttributeNames": ["supported-platforms", "default-vpc"]});
        let attributes =
            world.ok("ec2 DescribeAccountAttributes", attributes).await["AccountAttributes"].clone();
        assert_eq!(attributes[0]["AttributeValues"], json!([{"AttributeValue": "VPC"}]));
        assert_eq!(attributes[1]["AttributeValues"], json!([{"AttributeValue": vpc}]));
        seen.push(vpc);
    }
    assert_ne!(seen[0], seen[1]);
    // Nothing of one region is seen from the other.
    world
        .refuses("ec2 DescribeVpcs", json!({"VpcIds": [seen[0]]}), "InvalidVpcID.NotFound", "does not exist")
        .await;
}

#[tokio::test]
async fn a_region_that_aws_does_not_have_begins_with_nothing() {
    let mut world = World::new();
    for region in ["us-east-9", "", "../..", "é"] {
        world.region = region;
        for operation in ["ec2 DescribeVpcs", "ecs ListClusters", "elbv2 DescribeLoadBalancers"] {
            world.refuses(operation, json!({}), "InvalidRegion", "does not exist").await;
        }
    }
    assert!(world.read(gantry_domain::View::is_empty));
}

#[tokio::test]
async fn the_default_vpc_can_be_deleted_and_made_again() {
    let world = World::new();
    let (vpc, subnets, _) = world.default_network().await;
    world.refuses("ec2 CreateDefaultVpc", json!({}), "DefaultVpcAlreadyExists", "already exists").await;
    let zone = json!({"AvailabilityZone": "us-east-1b"});
    world
        .refuses(
            "ec2 CreateDefaultSubnet",
            zone.clone(),
            "DefaultSubnetAlreadyExistsInAvailabilityZone",
            "us-east-1b",
        )
        .await;
    world.ok("ec2 DeleteSubnet", json!({"SubnetId": subnets[1]})).await;
    let made = world.ok("ec2 CreateDefaultSubnet", zone.clone()).await["Subnet"].clone();
    assert_eq!((&made["CidrBlock"], &made["DefaultForAz"]), (&json!("172.31.16.0/20"), &json!(true)));
    assert_eq!(made["AvailabilityZone"], "us-east-1b");

    let delete = json!({"VpcId": vpc});
    world
        .refuses(
            "ec2 DeleteVpc",
            delete.clone(),
            "DependencyViolation",
            "has dependencies and cannot be deleted.",
        )
        .await;
    for id in [&subnets[0], &made["SubnetId"].text(), &subnets[2]] {
        world.ok("ec2 DeleteSubnet", json!({"SubnetId": id})).await;
    }
    world.refuses("ec2 DeleteVpc", delete.clone(), "DependencyViolation", "has dependencies").await;
    let gateways =
        world.ok("ec2 DescribeInternetGateways", json!({"Filters": filter("attachment.vpc-id", &vpc)})).await;
    let gateway = gateways["InternetGateways"][0]["InternetGatewayId"].text();
    world.ok("ec2 DetachInternetGateway", json!({"InternetGatewayId": gateway, "VpcId": vpc})).await;
    world.ok("ec2 DeleteVpc", delete).await;
    assert_eq!(world.ok("ec2 DescribeVpcs", json!({})).await["Vpcs"], json!([]));
    let plain = json!({"GroupName": "g", "Description": "d"});
    world
        .refuses("ec2 CreateSecurityGroup", plain, "VPCIdNotSpecified", "No default VPC for this user")
        .await;
    world.refuses("ec2 CreateDefaultSubnet", zone, "DefaultVpcDoesNotExist", "No default VPC").await;
    // It does not come back by itself.
    assert_eq!(world.ok("ec2 DescribeVpcs", json!({})).await["Vpcs"], json!([]));
    let made = world.ok("ec2 CreateDefaultVpc", json!({})).await["Vpc"].clone();
    assert_eq!((&made["IsDefault"], &made["CidrBlock"]), (&json!(true), &json!("172.31.0.0/16")));
    let (_, subnets, _) = world.default_network().await;
    assert_eq!(subnets.len(), 3);
}

#[tokio::test]
async fn a_dry_run_checks_and_changes_nothing() {
    let world = World::new();
    let (vpc, subnets, group) = world.default_network().await;
    let before = world.read(gantry_domain::View::revision);
    for (operation, input) in [
        ("ec2 CreateVpc", json!({"CidrBlock": "10.0.0.0/16"})),
        ("ec2 DescribeVpcs", json!({})),
        ("ec2 DeleteSubnet", json!({"SubnetId": subnets[0]})),
        ("ec2 CreateTags", json!({"Resources": [vpc], "Tags": [{"Key": "a", "Value": "b"}]})),
        ("ec2 CreateSecurityGroup", json!({"GroupName": "g", "Description": "d"})),
    ] {
        let input = crate::ecs::with(input, &json!({"DryRun": true}));
        let error = world.call(operation, input).await.unwrap_err();
        assert_eq!((error.code.as_ref(), error.status), ("DryRunOperation", 412), "{operation}");
        assert_eq!(error.message, "Request would have succeeded, but DryRun flag is set.");
    }
    let wrong = json!({"GroupId": group, "DryRun": true});
    world.refuses("ec2 DeleteSecurityGroup", wrong, "CannotDelete", "cannot be deleted by a user").await;
    assert_eq!(world.read(gantry_domain::View::revision), before);
}
