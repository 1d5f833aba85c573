//! Pages of Describe calls.

use serde_json::json;

use super::{gateway, group, vpc};
use crate::world::{Answer as _, World};

#[tokio::test]
async fn every_listing_has_pages() {
    let world = World::new();
    let (default, subnets, _) = world.default_network().await;
    for number in 0..7 {
        let made = vpc(&world, &format!("10.{number}.0.0/16")).await;
        super::subnet(&world, &made, &format!("10.{number}.0.0/24")).await;
        gateway(&world, &made).await;
        group(&world, &default, &format!("g{number}")).await;
        world.ok("ec2 CreateNetworkInterface", json!({"SubnetId": subnets[0]})).await;
        world.ok("ec2 CreateTags", json!({"Resources": [made], "Tags": [{"Key": "a", "Value": "1"}]})).await;
    }
    for (operation, member, id, count) in [
        ("ec2 DescribeVpcs", "Vpcs", "VpcId", 8),
        ("ec2 DescribeSubnets", "Subnets", "SubnetId", 10),
        ("ec2 DescribeSecurityGroups", "SecurityGroups", "GroupId", 15),
        ("ec2 DescribeSecurityGroupRules", "SecurityGroupRules", "SecurityGroupRuleId", 23),
        ("ec2 DescribeRouteTables", "RouteTables", "RouteTableId", 8),
        ("ec2 DescribeNetworkAcls", "NetworkAcls", "NetworkAclId", 8),
        ("ec2 DescribeInternetGateways", "InternetGateways", "InternetGatewayId", 8),
        ("ec2 DescribeNetworkInterfaces", "NetworkInterfaces", "NetworkInterfaceId", 7),
        ("ec2 DescribeTags", "Tags", "ResourceId", 7),
    ] {
        let all = world.ok(operation, json!({})).await;
        assert_eq!((all[member].list().len(), &all["NextToken"]), (count, &json!(null)), "{operation}");
        let (mut seen, mut token, mut pages) = (Vec::new(), json!(null), 0);
        loop {
            let page = world.ok(operation, json!({"MaxResults": 5, "NextToken": token})).await;
            assert!(page[member].list().len() <= 5, "{operation}");
            seen.extend(page[member].each(id));
            (token, pages) = (page["NextToken"].clone(), pages + 1);
            if token.is_null() {
                break;
            }
        }
        let mut expected = all[member].each(id);
        expected.sort();
        assert_eq!((&seen, pages), (&expected, count.div_ceil(5)), "{operation}");
        for size in [4, 0, -1, i32::MIN] {
            let wording = format!(
                "Value ( {size} ) for parameter maxResults is invalid. Expecting a value greater than 5."
            );
            world.refuses(operation, json!({"MaxResults": size}), "InvalidParameterValue", &wording).await;
        }
        for token in ["x", "zz", "é"] {
            world
                .refuses(
                    operation,
                    json!({"MaxResults": 5, "NextToken": token}),
                    "InvalidNextToken",
                    "not valid",
                )
                .await;
        }
        let large = world.ok(operation, json!({"MaxResults": i32::MAX})).await;
        assert_eq!(large[member].list().len(), count, "{operation}");
    }
}
