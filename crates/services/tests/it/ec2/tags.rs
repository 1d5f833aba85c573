//! Tags of EC2's resources.

use serde_json::{Value as Json, json};

use super::{filter, gateway, group, subnet, vpc};
use crate::world::{Answer as _, World};

#[tokio::test]
async fn everything_with_an_id_has_tags() {
    let world = World::new();
    let vpc = vpc(&world, "10.0.0.0/16").await;
    let subnet = subnet(&world, &vpc, "10.0.0.0/24").await;
    let group = group(&world, &vpc, "g").await;
    let rule = world
        .ok("ec2 DescribeSecurityGroupRules", json!({"Filters": filter("group-id", &group)}))
        .await["SecurityGroupRules"][0]["SecurityGroupRuleId"]
        .text();
    let interface = world.ok("ec2 CreateNetworkInterface", json!({"SubnetId": subnet})).await["NetworkInterface"]["NetworkInterfaceId"].text();
    let of_vpc = json!({"Filters": filter("vpc-id", &vpc)});
    let table =
        world.ok("ec2 DescribeRouteTables", of_vpc.clone()).await["RouteTables"][0]["RouteTableId"].text();
    let acl = world.ok("ec2 DescribeNetworkAcls", of_vpc).await["NetworkAcls"][0]["NetworkAclId"].text();
    let gateway = gateway(&world, &vpc).await;
    let kinds = [
        (vpc, "vpc"),
        (subnet, "subnet"),
        (group, "security-group"),
        (rule, "security-group-rule"),
        (interface, "network-interface"),
        (table, "route-table"),
        (acl, "network-acl"),
        (gateway, "internet-gateway"),
    ];
    let mut ids: Vec<&String> = kinds.iter().map(|(id, _)| id).collect();
    ids.push(&kinds[0].0);
    world
        .ok("ec2 CreateTags", json!({"Resources": ids, "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b"}]}))
        .await;
    world.ok("ec2 CreateTags", json!({"Resources": ids, "Tags": [{"Key": "a", "Value": "2"}]})).await;
    for (id, kind) in &kinds {
        let found =
            world.ok("ec2 DescribeTags", json!({"Filters": filter("resource-id", id)})).await["Tags"].clone();
        let expected = json!([
            {"Key": "a", "Value": "2", "ResourceId": id, "ResourceType": kind},
            {"Key": "b", "Value": "", "ResourceId": id, "ResourceType": kind},
        ]);
        assert_eq!(found, expected, "{kind}");
    }
    let found = world.ok("ec2 DescribeTags", json!({"Filters": filter("value", "2")})).await;
    assert_eq!(found["Tags"].list().len(), kinds.len());
    let found = world.ok("ec2 DescribeSubnets", json!({"Filters": filter("tag:a", "2")})).await;
    assert_eq!(found["Subnets"].each("SubnetId"), [kinds[1].0.as_str()]);
    for (name, value, count) in
        [("tag-key", "b", 1), ("tag-value", "2", 1), ("tag:a", "1", 0), ("tag:c", "*", 0)]
    {
        let found = world.ok("ec2 DescribeVpcs", json!({"Filters": filter(name, value)})).await;
        assert_eq!(found["Vpcs"].list().len(), count, "{name}={value}");
    }
    // A value that is given has to be the one that is there.
    world
        .ok("ec2 DeleteTags", json!({"Resources": ids, "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b"}]}))
        .await;
    let left = world.ok("ec2 DescribeTags", json!({})).await["Tags"].clone();
    assert_eq!(left.each("Key"), vec!["a"; kinds.len()]);
    world.ok("ec2 DeleteTags", json!({"Resources": ids})).await;
    assert_eq!(world.ok("ec2 DescribeTags", json!({})).await["Tags"], json!([]));
}

#[tokio::test]
async fn many_rules_of_one_group_are_tagged_in_one_call() {
    let world = World::new();
    let (vpc, _, _) = world.default_network().await;
    let id = group(&world, &vpc, "g").await;
    let permissions: Vec<Json> = (1..=30)
        .map(|port| json!({"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}))
        .collect();
    let added = world
        .ok("ec2 AuthorizeSecurityGroupIngress", json!({"GroupId": id, "IpPermissions": permissions}))
        .await;
    let rules = added["SecurityGroupRules"].each("SecurityGroupRuleId");
    world.ok("ec2 CreateTags", json!({"Resources": rules, "Tags": [{"Key": "a", "Value": "1"}]})).await;
    let found = world.ok("ec2 DescribeSecurityGroupRules", json!({"Filters": filter("tag:a", "1")})).await;
    assert_eq!(found["SecurityGroupRules"].list().len(), 30);
}

#[tokio::test]
async fn every_type_has_a_code_for_what_is_missing() {
    let world = World::new();
    let (vpc, _, _) = world.default_network().await;
    let rows = [
        ("vpc-1", "InvalidVpcID.NotFound"),
        ("subnet-1", "InvalidSubnetID.NotFound"),
        ("sg-1", "InvalidGroup.NotFound"),
        ("sgr-1", "InvalidSecurityGroupRuleId.NotFound"),
        ("rtb-1", "InvalidRouteTableID.NotFound"),
        ("igw-1", "InvalidInternetGatewayID.NotFound"),
        ("acl-1", "InvalidNetworkAclID.NotFound"),
        ("eni-1", "InvalidNetworkInterfaceID.NotFound"),
        ("vol-1", "InvalidID"),
        ("nonsense", "InvalidID"),
        ("", "InvalidID"),
        ("ü-1", "InvalidID"),
    ];
    for (id, code) in rows {
        for operation in ["ec2 CreateTags", "ec2 DeleteTags"] {
            let input = json!({"Resources": [vpc, id], "Tags": [{"Key": "a", "Value": "1"}]});
            world.refuses(operation, input, code, id).await;
        }
    }
    let tags = |tags: Json| json!({"Resources": [vpc], "Tags": tags});
    let many: Vec<Json> = (0..51).map(|n| json!({"Key": format!("k{n}"), "Value": ""})).collect();
    let rows = [
        (tags(json!([{"Key": ""}])), "InvalidParameterValue", "Tag keys must be"),
        (tags(json!([{"Key": "AWS:x"}])), "InvalidParameterValue", "Tag keys must be"),
        (tags(json!([{"Key": "x".repeat(128)}])), "InvalidParameterValue", "Tag keys must be"),
        (
            tags(json!([{"Key": "x", "Value": "ü".repeat(257)}])),
            "InvalidParameterValue",
            "Tag values must be",
        ),
        (tags(json!(many)), "TagLimitExceeded", "The maximum number of Tags for a resource is 50."),
        (json!({"Resources": [], "Tags": []}), "MissingParameter", "resourceIdSet"),
        (json!({"Resources": vec![vpc.clone(); 1001], "Tags": []}), "InvalidParameterValue", "At most 1000"),
    ];
    world.refuses_all("ec2 CreateTags", rows).await;
    // What was refused together with something that is missing was not done either.
    assert_eq!(world.ok("ec2 DescribeTags", json!({})).await["Tags"], json!([]));
}
