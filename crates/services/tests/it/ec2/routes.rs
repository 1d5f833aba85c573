//! Route tables, routes and gateways.

use serde_json::{Value as Json, json};

use super::{filter, gateway, subnet, vpc};
use crate::ecs::with;
use crate::world::{Answer as _, World};

async fn table(world: &World, vpc: &str) -> String {
    world.ok("ec2 CreateRouteTable", json!({"VpcId": vpc})).await["RouteTable"]["RouteTableId"].text()
}

async fn shown(world: &World, table: &str) -> Json {
    world.ok("ec2 DescribeRouteTables", json!({"RouteTableIds": [table]})).await["RouteTables"][0].clone()
}

#[tokio::test]
async fn routes_lead_out_while_their_gateway_is_there() {
    let world = World::new();
    let vpc = vpc(&world, "10.0.0.0/16").await;
    let (table, gateway) = (table(&world, &vpc).await, gateway(&world, &vpc).await);
    let route = |more: Json| {
        with(json!({"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": gateway}), &more)
    };
    assert_eq!(world.ok("ec2 CreateRoute", route(json!({}))).await["Return"], json!(true));
    let rows = [
        (route(json!({})), "RouteAlreadyExists", "The route identified by 0.0.0.0/0 already exists."),
        (
            route(json!({"DestinationCidrBlock": "10.0.0.0/16"})),
            "RouteAlreadyExists",
            "10.0.0.0/16 already exists",
        ),
        (route(json!({"DestinationCidrBlock": null})), "MissingParameter", "destinationCidrBlock"),
        (
            route(json!({"DestinationCidrBlock": "everywhere"})),
            "InvalidParameterValue",
            "This is not a valid CIDR block.",
        ),
        (
            route(json!({"DestinationIpv6CidrBlock": "::/0"})),
            "InvalidParameterCombination",
            "cannot be used together",
        ),
        (route(json!({"GatewayId": null})), "UnsupportedOperation", "only routes to internet gateways"),
        (
            route(json!({"GatewayId": "igw-1"})),
            "InvalidInternetGatewayID.NotFound",
            "The internetGateway ID 'igw-1' does not exist",
        ),
        (
            route(json!({"RouteTableId": "rtb-1"})),
            "InvalidRouteTableID.NotFound",
            "The routeTable ID 'rtb-1' does not exist",
        ),
    ];
    world.refuses_all("ec2 CreateRoute", rows).await;
    let v6 = json!({"RouteTableId": table, "DestinationIpv6CidrBlock": "0::0/0", "GatewayId": gateway});
    world.ok("ec2 CreateRoute", v6).await;
    let routes = shown(&world, &table).await["Routes"].clone();
    assert_eq!(routes[2]["DestinationIpv6CidrBlock"], "::/0");
    assert_eq!(routes.each("State"), ["active", "active", "active"]);
    world.ok("ec2 DetachInternetGateway", json!({"InternetGatewayId": gateway, "VpcId": vpc})).await;
    assert_eq!(shown(&world, &table).await["Routes"].each("State"), ["active", "blackhole", "blackhole"]);
    let found =
        world.ok("ec2 DescribeRouteTables", json!({"Filters": filter("route.state", "blackhole")})).await;
    assert_eq!(found["RouteTables"].each("RouteTableId"), [table.as_str()]);
    let wording = "belong to different networks";
    world.refuses("ec2 ReplaceRoute", route(json!({})), "InvalidParameterValue", wording).await;
    let other = super::gateway(&world, &vpc).await;
    world.ok("ec2 ReplaceRoute", route(json!({"GatewayId": other}))).await;
    assert_eq!(shown(&world, &table).await["Routes"].each("State"), ["active", "active", "blackhole"]);
    for (operation, input, code, wording) in [
        (
            "ec2 ReplaceRoute",
            route(json!({"DestinationCidrBlock": "1.0.0.0/8"})),
            "InvalidRoute.NotFound",
            "no route with destination-cidr-block 1.0.0.0/8",
        ),
        (
            "ec2 DeleteRoute",
            route(json!({"DestinationCidrBlock": "1.0.0.0/8", "GatewayId": null})),
            "InvalidRoute.NotFound",
            "no route with destination-cidr-block",
        ),
        (
            "ec2 DeleteRoute",
            route(json!({"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": null})),
            "InvalidParameterValue",
            "cannot remove local route 10.0.0.0/16",
        ),
    ] {
        world.refuses(operation, input, code, wording).await;
    }
    world.ok("ec2 DeleteRoute", route(json!({"GatewayId": null}))).await;
    assert_eq!(shown(&world, &table).await["Routes"].list().len(), 2);
}

#[tokio::test]
async fn subnets_are_under_one_table() {
    let world = World::new();
    let vpc = vpc(&world, "10.0.0.0/16").await;
    let (first, second) = (table(&world, &vpc).await, table(&world, &vpc).await);
    let id = subnet(&world, &vpc, "10.0.0.0/24").await;
    let associate = |table: &str| json!({"RouteTableId": table, "SubnetId": id});
    let made = world.ok("ec2 AssociateRouteTable", associate(&first)).await["AssociationId"].text();
    world
        .refuses(
            "ec2 AssociateRouteTable",
            associate(&second),
            "Resource.AlreadyAssociated",
            "conflicts with an existing association",
        )
        .await;
    let found =
        world.ok("ec2 DescribeRouteTables", json!({"Filters": filter("association.subnet-id", &id)})).await;
    assert_eq!(found["RouteTables"].each("RouteTableId"), [first.as_str()]);
    let replaced = world
        .ok("ec2 ReplaceRouteTableAssociation", json!({"AssociationId": made, "RouteTableId": second}))
        .await;
    let made = replaced["NewAssociationId"].text();
    assert_eq!(shown(&world, &first).await["Associations"], json!([]));
    assert_eq!(shown(&world, &second).await["Associations"][0]["SubnetId"], json!(id));
    world.ok("ec2 DisassociateRouteTable", json!({"AssociationId": made})).await;
    let wording = format!("The association ID '{made}' does not exist");
    for operation in ["ec2 DisassociateRouteTable", "ec2 ReplaceRouteTableAssociation"] {
        let input = json!({"AssociationId": made, "RouteTableId": second});
        world.refuses(operation, input, "InvalidAssociationID.NotFound", &wording).await;
    }
    // The main association can be put under another table, and not taken away.
    let filters =
        json!([{"Name": "vpc-id", "Values": [vpc]}, {"Name": "association.main", "Values": ["true"]}]);
    let main =
        world.ok("ec2 DescribeRouteTables", json!({"Filters": filters})).await["RouteTables"][0].clone();
    let association = main["Associations"][0]["RouteTableAssociationId"].text();
    world
        .refuses(
            "ec2 DisassociateRouteTable",
            json!({"AssociationId": association}),
            "InvalidParameterValue",
            "main route table association",
        )
        .await;
    world
        .refuses(
            "ec2 DeleteRouteTable",
            json!({"RouteTableId": main["RouteTableId"]}),
            "DependencyViolation",
            "has dependencies",
        )
        .await;
    world
        .ok("ec2 ReplaceRouteTableAssociation", json!({"AssociationId": association, "RouteTableId": first}))
        .await;
    assert_eq!(shown(&world, &first).await["Associations"][0]["Main"], json!(true));
    world.ok("ec2 DeleteRouteTable", json!({"RouteTableId": main["RouteTableId"]})).await;
    world
        .refuses(
            "ec2 DescribeRouteTables",
            json!({"RouteTableIds": [main["RouteTableId"]]}),
            "InvalidRouteTableID.NotFound",
            "does not exist",
        )
        .await;

    let other = super::vpc(&world, "10.1.0.0/16").await;
    let elsewhere = table(&world, &other).await;
    let rows = [
        (associate(&elsewhere), "InvalidParameterValue", "belong to different networks"),
        (json!({"RouteTableId": first}), "MissingParameter", "subnetId"),
        (
            json!({"RouteTableId": first, "SubnetId": "subnet-1"}),
            "InvalidSubnetID.NotFound",
            "does not exist",
        ),
        (
            json!({"RouteTableId": first, "GatewayId": "igw-1"}),
            "UnsupportedOperation",
            "only associations with subnets",
        ),
    ];
    world.refuses_all("ec2 AssociateRouteTable", rows).await;
    world
        .refuses("ec2 CreateRouteTable", json!({"VpcId": "vpc-1"}), "InvalidVpcID.NotFound", "does not exist")
        .await;
}

#[tokio::test]
async fn a_gateway_is_attached_to_one_vpc() {
    let world = World::new();
    let (first, second) = (vpc(&world, "10.0.0.0/16").await, vpc(&world, "10.1.0.0/16").await);
    let id = gateway(&world, &first).await;
    let attach = |gateway: &str, vpc: &str| json!({"InternetGatewayId": gateway, "VpcId": vpc});
    let spare =
        world.ok("ec2 CreateInternetGateway", json!({})).await["InternetGateway"]["InternetGatewayId"].text();
    let rows = [
        (attach(&id, &second), "Resource.AlreadyAssociated", "is already attached to network"),
        (attach(&spare, &first), "InvalidParameterValue", "already has an internet gateway attached"),
        (attach("igw-1", &first), "InvalidInternetGatewayID.NotFound", "does not exist"),
        (attach(&spare, "vpc-1"), "InvalidVpcID.NotFound", "does not exist"),
    ];
    world.refuses_all("ec2 AttachInternetGateway", rows).await;
    world
        .refuses(
            "ec2 DeleteInternetGateway",
            json!({"InternetGatewayId": id}),
            "DependencyViolation",
            "has dependencies",
        )
        .await;
    world
        .refuses(
            "ec2 DetachInternetGateway",
            attach(&id, &second),
            "Gateway.NotAttached",
            "is not attached to network",
        )
        .await;
    world.ok("ec2 DetachInternetGateway", attach(&id, &first)).await;
    world.ok("ec2 DeleteInternetGateway", json!({"InternetGatewayId": id})).await;
    world
        .refuses(
            "ec2 DescribeInternetGateways",
            json!({"InternetGatewayIds": [id]}),
            "InvalidInternetGatewayID.NotFound",
            "does not exist",
        )
        .await;
    world
        .refuses(
            "ec2 DescribeNetworkAcls",
            json!({"NetworkAclIds": ["acl-1"]}),
            "InvalidNetworkAclID.NotFound",
            "'acl-1' does not exist",
        )
        .await;
}
