//! VPCs.

use serde_json::json;

use super::{filter, gateway, group, subnet, vpc};
use crate::world::{Answer as _, World};

#[tokio::test]
async fn a_vpc_lives() {
    let world = World::new();
    let made = world.ok("ec2 CreateVpc", json!({"CidrBlock": "10.1.2.3/16"})).await["Vpc"].clone();
    let id = made["VpcId"].text();
    assert!(id.starts_with("vpc-") && id.len() == 21, "{id}");
    assert_eq!(
        (&made["CidrBlock"], &made["State"], &made["IsDefault"]),
        (&json!("10.1.0.0/16"), &json!("pending"), &json!(false))
    );
    let found = world.ok("ec2 DescribeVpcs", json!({"VpcIds": [id]})).await["Vpcs"][0].clone();
    assert_eq!((&found["State"], &found["InstanceTenancy"]), (&json!("available"), &json!("default")));
    let association = found["CidrBlockAssociationSet"][0]["AssociationId"].text();
    for (name, value, count) in [
        ("vpc-id", id.as_str(), 1),
        ("cidr", "10.1.0.0/16", 1),
        ("cidr-block-association.association-id", &association, 1),
        ("isDefault", "false", 1),
        ("isDefault", "true", 1),
        ("state", "available", 2),
        ("vpc-id", "vpc-*", 2),
        ("vpc-id", "vpc-?", 0),
        ("tag:Name", "x", 0),
    ] {
        let found = world.ok("ec2 DescribeVpcs", json!({"Filters": filter(name, value)})).await;
        assert_eq!(found["Vpcs"].list().len(), count, "{name}={value}");
    }
    // It comes with a group, a main route table and an access list.
    let of_vpc = json!({"Filters": filter("vpc-id", &id)});
    assert_eq!(
        world.ok("ec2 DescribeSecurityGroups", of_vpc.clone()).await["SecurityGroups"].each("GroupName"),
        ["default"]
    );
    let tables = world.ok("ec2 DescribeRouteTables", of_vpc.clone()).await["RouteTables"].clone();
    assert_eq!((tables.list().len(), &tables[0]["Routes"][0]["GatewayId"]), (1, &json!("local")));
    assert_eq!(world.ok("ec2 DescribeNetworkAcls", of_vpc.clone()).await["NetworkAcls"].list().len(), 1);
    world.ok("ec2 DeleteVpc", json!({"VpcId": id})).await;
    for (operation, member) in [
        ("ec2 DescribeSecurityGroups", "SecurityGroups"),
        ("ec2 DescribeRouteTables", "RouteTables"),
        ("ec2 DescribeNetworkAcls", "NetworkAcls"),
    ] {
        assert_eq!(world.ok(operation, of_vpc.clone()).await[member], json!([]), "{operation}");
    }
    let wording = format!("The vpc ID '{id}' does not exist");
    for operation in ["ec2 DeleteVpc", "ec2 DescribeVpcAttribute", "ec2 ModifyVpcAttribute"] {
        let input = json!({"VpcId": id, "Attribute": "enableDnsSupport"});
        world.refuses(operation, input, "InvalidVpcID.NotFound", &wording).await;
    }
}

#[tokio::test]
async fn attributes_of_a_vpc_are_kept() {
    let world = World::new();
    let id = vpc(&world, "10.0.0.0/16").await;
    let read = |name: &'static str| {
        let (world, id) = (&world, &id);
        async move { world.ok("ec2 DescribeVpcAttribute", json!({"VpcId": id, "Attribute": name})).await }
    };
    assert_eq!(read("enableDnsSupport").await["EnableDnsSupport"], json!({"Value": true}));
    assert_eq!(read("enableDnsHostnames").await["EnableDnsHostnames"], json!({"Value": false}));
    world.ok("ec2 ModifyVpcAttribute", json!({"VpcId": id, "EnableDnsHostnames": {"Value": true}})).await;
    world.ok("ec2 ModifyVpcAttribute", json!({"VpcId": id, "EnableDnsSupport": {"Value": false}})).await;
    assert_eq!(read("enableDnsSupport").await["EnableDnsSupport"], json!({"Value": false}));
    assert_eq!(read("enableDnsHostnames").await["EnableDnsHostnames"], json!({"Value": true}));
    let wrong = json!({"VpcId": id, "Attribute": "colour"});
    world.refuses("ec2 DescribeVpcAttribute", wrong, "InvalidParameterValue", "Unknown attribute").await;
}

#[tokio::test]
async fn create_vpc_says_what_is_wrong() {
    let world = World::new();
    let tagged = |kind: &str, key: &str| json!({"CidrBlock": "10.0.0.0/16", "TagSpecifications": [{"ResourceType": kind, "Tags": [{"Key": key, "Value": "v"}]}]});
    let rows = [
        (json!({}), "MissingParameter", "cidrBlock"),
        (json!({"CidrBlock": ""}), "InvalidParameterValue", "This is not a valid CIDR block."),
        (json!({"CidrBlock": "10.0.0.0"}), "InvalidParameterValue", "This is not a valid CIDR block."),
        (json!({"CidrBlock": "10.0.0.0/33"}), "InvalidParameterValue", "This is not a valid CIDR block."),
        (json!({"CidrBlock": "10.0.0/16"}), "InvalidParameterValue", "This is not a valid CIDR block."),
        (json!({"CidrBlock": "ü/16"}), "InvalidParameterValue", "This is not a valid CIDR block."),
        (json!({"CidrBlock": "10.0.0.0/15"}), "InvalidVpc.Range", "The CIDR '10.0.0.0/15' is invalid."),
        (json!({"CidrBlock": "10.0.0.0/29"}), "InvalidVpc.Range", "The CIDR '10.0.0.0/29' is invalid."),
        (
            json!({"CidrBlock": "10.0.0.0/16", "AmazonProvidedIpv6CidrBlock": true}),
            "UnsupportedOperation",
            "IPv4",
        ),
        (
            json!({"CidrBlock": "10.0.0.0/16", "InstanceTenancy": "dedicated"}),
            "UnsupportedOperation",
            "tenancy",
        ),
        (tagged("subnet", "a"), "InvalidParameterValue", "'subnet' is not a valid taggable resource type"),
        (tagged("vpc", "aws:a"), "InvalidParameterValue", "Tag keys must be"),
        (tagged("vpc", ""), "InvalidParameterValue", "Tag keys must be"),
    ];
    world.refuses_all("ec2 CreateVpc", rows).await;
    let made = world.ok("ec2 CreateVpc", tagged("vpc", "Name")).await;
    assert_eq!(made["Vpc"]["Tags"], json!([{"Key": "Name", "Value": "v"}]));
    for filters in [json!([{"Name": "nonsense", "Values": ["x"]}]), json!([{"Values": ["x"]}])] {
        world
            .refuses("ec2 DescribeVpcs", json!({"Filters": filters}), "InvalidParameterValue", "is invalid")
            .await;
    }
    let many = vec![json!({"Name": "vpc-id", "Values": ["*"]}); 51];
    world.refuses("ec2 DescribeVpcs", json!({"Filters": many}), "FilterLimitExceeded", "At most 50").await;
}

#[tokio::test]
async fn a_vpc_in_use_is_not_deleted() {
    let world = World::new();
    let id = vpc(&world, "10.0.0.0/16").await;
    let refused = || {
        world.refuses(
            "ec2 DeleteVpc",
            json!({"VpcId": id}),
            "DependencyViolation",
            "has dependencies and cannot be deleted.",
        )
    };
    let made = subnet(&world, &id, "10.0.0.0/24").await;
    refused().await;
    world.ok("ec2 DeleteSubnet", json!({"SubnetId": made})).await;
    let made = group(&world, &id, "g").await;
    refused().await;
    world.ok("ec2 DeleteSecurityGroup", json!({"GroupId": made})).await;
    let made = gateway(&world, &id).await;
    refused().await;
    world.ok("ec2 DetachInternetGateway", json!({"InternetGatewayId": made, "VpcId": id})).await;
    let table =
        world.ok("ec2 CreateRouteTable", json!({"VpcId": id})).await["RouteTable"]["RouteTableId"].text();
    refused().await;
    world.ok("ec2 DeleteRouteTable", json!({"RouteTableId": table})).await;
    let input = json!({"Name": "t", "Protocol": "HTTP", "Port": 80, "VpcId": id, "TargetType": "ip"});
    let made = world.ok("elbv2 CreateTargetGroup", input).await["TargetGroups"][0]["TargetGroupArn"].text();
    refused().await;
    world.ok("elbv2 DeleteTargetGroup", json!({"TargetGroupArn": made})).await;
    world.ok("ec2 DeleteVpc", json!({"VpcId": id})).await;
}
