//! Calls that meet: both decide before either is committed.

use gantry_api::ApiError;
use serde_json::{Value as Json, json};

use super::{group, subnet, vpc};
use crate::world::{Answer as _, World};

fn code(outcome: &Result<Json, ApiError>) -> &str {
    match outcome {
        Ok(_) => "ok",
        Err(error) => &error.code,
    }
}

#[tokio::test]
async fn of_two_overlapping_subnets_one_is_made() {
    let world = World::new();
    let vpc = vpc(&world, "10.0.0.0/16").await;
    let create = |range: &str| ("ec2 CreateSubnet", json!({"VpcId": vpc, "CidrBlock": range}));
    let (made, refused) = world.together(create("10.0.0.0/24"), create("10.0.0.128/25")).await;
    assert_eq!((code(&made), code(&refused)), ("ok", "InvalidSubnet.Conflict"));
    let (first, second) = world.together(create("10.0.1.0/24"), create("10.0.2.0/24")).await;
    assert_eq!((code(&first), code(&second)), ("ok", "ok"));
}

#[tokio::test]
async fn of_two_groups_of_one_name_one_is_made() {
    let world = World::new();
    let create = ("ec2 CreateSecurityGroup", json!({"GroupName": "g", "Description": "d"}));
    let (made, refused) = world.together(create.clone(), create).await;
    assert_eq!((code(&made), code(&refused)), ("ok", "InvalidGroup.Duplicate"));
}

#[tokio::test]
async fn a_vpc_is_not_deleted_under_what_is_being_made_in_it() {
    for (make, input) in [
        ("ec2 CreateSubnet", json!({"CidrBlock": "10.0.0.0/24"})),
        ("ec2 CreateSecurityGroup", json!({"GroupName": "g", "Description": "d"})),
        ("ec2 CreateRouteTable", json!({})),
        ("ec2 AttachInternetGateway", json!({})),
        ("elbv2 CreateTargetGroup", json!({"Name": "t", "Protocol": "HTTP", "Port": 80, "TargetType": "ip"})),
    ] {
        for made_first in [true, false] {
            let world = World::new();
            let vpc = vpc(&world, "10.0.0.0/16").await;
            let mut input = input.clone();
            input["VpcId"] = json!(vpc);
            if make == "ec2 AttachInternetGateway" {
                let made = world.ok("ec2 CreateInternetGateway", json!({})).await;
                input["InternetGatewayId"] = made["InternetGateway"]["InternetGatewayId"].clone();
            }
            let delete = ("ec2 DeleteVpc", json!({"VpcId": vpc}));
            if made_first {
                let (made, deleted) = world.together((make, input), delete).await;
                assert_eq!((code(&made), code(&deleted)), ("ok", "DependencyViolation"), "{make}");
            } else {
                let (deleted, made) = world.together(delete, (make, input)).await;
                let refusal =
                    if make.starts_with("elbv2") { "ValidationError" } else { "InvalidVpcID.NotFound" };
                assert_eq!((code(&deleted), code(&made)), ("ok", refusal), "{make}");
            }
        }
    }
}

#[tokio::test]
async fn a_group_is_not_deleted_under_what_begins_to_name_it() {
    for by_rule in [true, false] {
        for named_first in [true, false] {
            let world = World::new();
            let (vpc, subnets, _) = world.default_network().await;
            let (named, other) = (group(&world, &vpc, "named").await, group(&world, &vpc, "other").await);
            let permission = json!([{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": named}]}]);
            let name = if by_rule {
                ("ec2 AuthorizeSecurityGroupIngress", json!({"GroupId": other, "IpPermissions": permission}))
            } else {
                ("ec2 CreateNetworkInterface", json!({"SubnetId": subnets[0], "Groups": [named]}))
            };
            let delete = ("ec2 DeleteSecurityGroup", json!({"GroupId": named}));
            if named_first {
                let (named, deleted) = world.together(name, delete).await;
                assert_eq!((code(&named), code(&deleted)), ("ok", "DependencyViolation"), "{by_rule}");
            } else {
                let (deleted, named) = world.together(delete, name).await;
                assert_eq!((code(&deleted), code(&named)), ("ok", "InvalidGroup.NotFound"), "{by_rule}");
            }
        }
    }
}

#[tokio::test]
async fn an_address_is_given_once() {
    let world = World::new();
    let vpc = vpc(&world, "10.0.0.0/16").await;
    let id = subnet(&world, &vpc, "10.0.0.0/24").await;
    let create = ("ec2 CreateNetworkInterface", json!({"SubnetId": id}));
    let (first, second) = world.together(create.clone(), create).await;
    let address = |made: Result<Json, ApiError>| made.unwrap()["NetworkInterface"]["PrivateIpAddress"].text();
    assert_ne!(address(first), address(second));
    let create = ("ec2 CreateNetworkInterface", json!({"SubnetId": id, "PrivateIpAddress": "10.0.0.9"}));
    let (made, refused) = world.together(create.clone(), create).await;
    assert_eq!((code(&made), code(&refused)), ("ok", "InvalidIPAddress.InUse"));
}

#[tokio::test]
async fn a_subnet_gets_under_one_table() {
    let world = World::new();
    let vpc = vpc(&world, "10.0.0.0/16").await;
    let id = subnet(&world, &vpc, "10.0.0.0/24").await;
    let mut tables = Vec::new();
    for _ in 0..2 {
        let made = world.ok("ec2 CreateRouteTable", json!({"VpcId": vpc})).await;
        tables.push(made["RouteTable"]["RouteTableId"].text());
    }
    let associate = |table: &str| ("ec2 AssociateRouteTable", json!({"RouteTableId": table, "SubnetId": id}));
    let (made, refused) = world.together(associate(&tables[0]), associate(&tables[1])).await;
    assert_eq!((code(&made), code(&refused)), ("ok", "Resource.AlreadyAssociated"));
    world.ok("ec2 DisassociateRouteTable", json!({"AssociationId": made.unwrap()["AssociationId"]})).await;
    let delete = ("ec2 DeleteSubnet", json!({"SubnetId": id}));
    let (deleted, refused) = world.together(delete, associate(&tables[0])).await;
    assert_eq!((code(&deleted), code(&refused)), ("ok", "InvalidSubnetID.NotFound"));
}

#[tokio::test]
async fn a_vpc_gets_one_gateway_and_a_route_an_attached_one() {
    let world = World::new();
    let vpc = vpc(&world, "10.0.0.0/16").await;
    let mut spare = Vec::new();
    for _ in 0..2 {
        let made = world.ok("ec2 CreateInternetGateway", json!({})).await;
        spare.push(made["InternetGateway"]["InternetGatewayId"].text());
    }
    let attach = |id: &str| ("ec2 AttachInternetGateway", json!({"InternetGatewayId": id, "VpcId": vpc}));
    let (made, refused) = world.together(attach(&spare[0]), attach(&spare[1])).await;
    assert_eq!((code(&made), code(&refused)), ("ok", "InvalidParameterValue"));
    let table =
        world.ok("ec2 CreateRouteTable", json!({"VpcId": vpc})).await["RouteTable"]["RouteTableId"].text();
    let route = json!({"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": spare[0]});
    let detach = ("ec2 DetachInternetGateway", json!({"InternetGatewayId": spare[0], "VpcId": vpc}));
    let (detached, refused) = world.together(detach, ("ec2 CreateRoute", route)).await;
    assert_eq!((code(&detached), code(&refused)), ("ok", "InvalidParameterValue"));
}

#[tokio::test]
async fn two_first_calls_make_one_default_vpc() {
    let mut world = World::new();
    world.ok("ec2 DescribeVpcs", json!({})).await;
    world.region = "eu-west-1";
    let both = world.first_together("ec2 DescribeVpcs", json!({})).await;
    assert_eq!(both[0], both[1]);
    assert_eq!(both[0]["Vpcs"].list().len(), 1);
    // The same for one that is made again.
    let (vpc, subnets, _) = world.default_network().await;
    for id in subnets {
        world.ok("ec2 DeleteSubnet", json!({"SubnetId": id})).await;
    }
    let gateways = world.ok("ec2 DescribeInternetGateways", json!({})).await;
    let id = gateways["InternetGateways"][0]["InternetGatewayId"].text();
    world.ok("ec2 DetachInternetGateway", json!({"InternetGatewayId": id, "VpcId": vpc})).await;
    world.ok("ec2 DeleteVpc", json!({"VpcId": vpc})).await;
    let create = ("ec2 CreateDefaultVpc", json!({}));
    let (made, refused) = world.together(create.clone(), create).await;
    assert_eq!((code(&made), code(&refused)), ("ok", "DefaultVpcAlreadyExists"));
}

#[tokio::test]
async fn two_rules_of_one_group_are_both_added() {
    let world = World::new();
    let (vpc, _, _) = world.default_network().await;
    let id = group(&world, &vpc, "g").await;
    let authorize = |port: i64| {
        let permission = json!([{"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]);
        ("ec2 AuthorizeSecurityGroupIngress", json!({"GroupId": id, "IpPermissions": permission}))
    };
    let outcomes = world.all_together((1..=40).map(authorize).collect()).await;
    assert!(outcomes.iter().all(Result::is_ok));
    let found = world.ok("ec2 DescribeSecurityGroups", json!({"GroupIds": [id]})).await;
    assert_eq!(found["SecurityGroups"][0]["IpPermissions"].list().len(), 40);
    let (made, refused) = world.together(authorize(50), authorize(50)).await;
    assert_eq!((code(&made), code(&refused)), ("ok", "InvalidPermission.Duplicate"));
}
