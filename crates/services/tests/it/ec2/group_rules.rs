//! Rules of security groups.

use serde_json::{Value as Json, json};

use super::{filter, group};
use crate::ecs::with;
use crate::world::{Answer as _, World};

fn tcp(port: i64, range: &str) -> Json {
    json!({"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": range}]})
}

fn permissions(group: &str, permissions: Json) -> Json {
    json!({"GroupId": group, "IpPermissions": permissions})
}

async fn fixture() -> (World, String) {
    let world = World::new();
    let (vpc, _, _) = world.default_network().await;
    let id = group(&world, &vpc, "web").await;
    (world, id)
}

#[tokio::test]
async fn rules_are_authorized_described_and_revoked() {
    let (world, id) = fixture().await;
    let specification =
        json!([{"ResourceType": "security-group-rule", "Tags": [{"Key": "Name", "Value": "http"}]}]);
    let input = with(
        permissions(&id, json!([tcp(80, "0.0.0.0/0"), tcp(80, "10.1.2.3/8")])),
        &json!({"TagSpecifications": specification}),
    );
    let added = world.ok("ec2 AuthorizeSecurityGroupIngress", input).await["SecurityGroupRules"].clone();
    assert_eq!(added.each("CidrIpv4"), ["0.0.0.0/0", "10.0.0.0/8"]);
    assert_eq!(added[0]["Tags"], json!([{"Key": "Name", "Value": "http"}]));
    let ids = added.each("SecurityGroupRuleId");
    // Rules of the same protocol and ports stand together.
    let found =
        world.ok("ec2 DescribeSecurityGroups", json!({"GroupIds": [id]})).await["SecurityGroups"][0].clone();
    assert_eq!(found["IpPermissions"].list().len(), 1);
    assert_eq!(found["IpPermissions"][0]["IpRanges"].each("CidrIp"), ["0.0.0.0/0", "10.0.0.0/8"]);
    let all = world.ok("ec2 DescribeSecurityGroupRules", json!({"Filters": filter("group-id", &id)})).await;
    let mut directions: Vec<bool> =
        all["SecurityGroupRules"].list().iter().map(|rule| rule["IsEgress"].as_bool().unwrap()).collect();
    directions.sort_unstable();
    assert_eq!(directions, [false, false, true]);
    let tagged =
        world.ok("ec2 DescribeSecurityGroupRules", json!({"Filters": filter("tag:Name", "http")})).await;
    assert_eq!(tagged["SecurityGroupRules"].list().len(), 2);
    let one = world.ok("ec2 DescribeSecurityGroupRules", json!({"SecurityGroupRuleIds": [ids[1]]})).await;
    assert_eq!(one["SecurityGroupRules"].each("CidrIpv4"), ["10.0.0.0/8"]);

    let revoked = world
        .ok("ec2 RevokeSecurityGroupIngress", json!({"GroupId": id, "SecurityGroupRuleIds": [ids[0]]}))
        .await;
    assert_eq!(revoked["RevokedSecurityGroupRules"].each("SecurityGroupRuleId"), [ids[0].as_str()]);
    let wording = format!("The security group rule ID '{}' does not exist", ids[0]);
    let code = "InvalidSecurityGroupRuleId.NotFound";
    world
        .refuses(
            "ec2 RevokeSecurityGroupIngress",
            json!({"GroupId": id, "SecurityGroupRuleIds": [ids[0]]}),
            code,
            &wording,
        )
        .await;
    world
        .refuses("ec2 DescribeSecurityGroupRules", json!({"SecurityGroupRuleIds": [ids[0]]}), code, &wording)
        .await;
    // One that is missing keeps all from being revoked.
    let both = json!({"GroupId": id, "SecurityGroupRuleIds": [ids[1], ids[0]]});
    world.refuses("ec2 RevokeSecurityGroupIngress", both, code, &wording).await;
    world.ok("ec2 RevokeSecurityGroupIngress", permissions(&id, json!([tcp(80, "10.0.0.0/8")]))).await;
    let found = world.ok("ec2 DescribeSecurityGroups", json!({"GroupIds": [id]})).await;
    assert_eq!(found["SecurityGroups"][0]["IpPermissions"], json!([]));
}

#[tokio::test]
async fn older_clients_name_one_rule_in_single_parameters() {
    let (world, id) = fixture().await;
    let input = json!({"GroupName": "web", "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "10.0.0.0/8"});
    world.ok("ec2 AuthorizeSecurityGroupIngress", input.clone()).await;
    let found = world
        .ok("ec2 DescribeSecurityGroups", json!({"Filters": filter("ip-permission.cidr", "10.0.0.0/8")}))
        .await;
    assert_eq!(found["SecurityGroups"].each("GroupId"), [id]);
    world.ok("ec2 RevokeSecurityGroupIngress", input).await;
}

#[tokio::test]
async fn every_kind_of_rule_comes_back() {
    let (world, id) = fixture().await;
    let given = json!([
        {"IpProtocol": "6", "FromPort": 0, "ToPort": 65535, "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "all of it"}]},
        {"IpProtocol": "udp", "FromPort": 53, "ToPort": 53, "Ipv6Ranges": [{"CidrIpv6": "2001:DB8::1/32"}]},
        {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]},
        {"IpProtocol": "50", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]},
        {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": id, "Description": "itself"}]},
    ]);
    world.ok("ec2 AuthorizeSecurityGroupIngress", permissions(&id, given)).await;
    let found = world.ok("ec2 DescribeSecurityGroups", json!({"GroupIds": [id]})).await;
    let empty = json!({"IpRanges": [], "Ipv6Ranges": [], "PrefixListIds": [], "UserIdGroupPairs": []});
    let expected = json!([
        with(
            empty.clone(),
            &json!({"IpProtocol": "tcp", "FromPort": 0, "ToPort": 65535, "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "all of it"}]})
        ),
        with(
            empty.clone(),
            &json!({"IpProtocol": "udp", "FromPort": 53, "ToPort": 53, "Ipv6Ranges": [{"CidrIpv6": "2001:db8::/32"}]})
        ),
        with(
            empty.clone(),
            &json!({"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]})
        ),
        with(empty.clone(), &json!({"IpProtocol": "50", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]})),
        with(
            empty,
            &json!({"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": id, "UserId": "123456789012", "Description": "itself"}]})
        ),
    ]);
    assert_eq!(found["SecurityGroups"][0]["IpPermissions"], expected);
}

#[tokio::test]
async fn authorizing_says_what_is_wrong() {
    let (world, id) = fixture().await;
    world.ok("ec2 AuthorizeSecurityGroupIngress", permissions(&id, json!([tcp(80, "0.0.0.0/0")]))).await;
    let input = |permission: Json| permissions(&id, json!([permission]));
    let value = "InvalidParameterValue";
    let rows = [
        (
            permissions("sg-1", json!([tcp(80, "0.0.0.0/0")])),
            "InvalidGroup.NotFound",
            "The security group 'sg-1' does not exist",
        ),
        (permissions(&id, json!([])), "MissingParameter", "ipPermissions"),
        (json!({"IpPermissions": [tcp(80, "0.0.0.0/0")]}), "MissingParameter", "groupName or groupId"),
        (input(json!({"FromPort": 1, "ToPort": 1})), "MissingParameter", "IpProtocol"),
        (
            input(json!({"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1})),
            "MissingParameter",
            "ipPermissions",
        ),
        (
            input(json!({"IpProtocol": "smoke", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]})),
            value,
            "Unknown protocol",
        ),
        (
            input(json!({"IpProtocol": "256", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]})),
            value,
            "Unknown protocol",
        ),
        (
            input(json!({"IpProtocol": "tcp", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]})),
            value,
            "Must specify both from and to ports with TCP/UDP.",
        ),
        (
            input(
                json!({"IpProtocol": "tcp", "FromPort": 2, "ToPort": 1, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}),
            ),
            value,
            "Invalid TCP/UDP port range (2:1)",
        ),
        (
            input(
                json!({"IpProtocol": "udp", "FromPort": -1, "ToPort": 65536, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}),
            ),
            value,
            "Invalid TCP/UDP port range",
        ),
        (
            input(
                json!({"IpProtocol": "icmp", "FromPort": 256, "ToPort": 0, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}),
            ),
            value,
            "out of range",
        ),
        (input(tcp(1, "0.0.0.0")), value, "CIDR block 0.0.0.0 is malformed"),
        (input(tcp(1, "ü")), value, "is malformed"),
        (input(json!({"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "::/129"}]})), value, "is malformed"),
        (
            input(json!({"IpProtocol": "-1", "PrefixListIds": [{"PrefixListId": "pl-1"}]})),
            "InvalidPrefixListID.NotFound",
            "'pl-1' does not exist",
        ),
        (
            input(json!({"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-1"}]})),
            "InvalidGroup.NotFound",
            "'sg-1'",
        ),
        (
            input(json!({"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "ü"}]})),
            value,
            "Invalid rule description",
        ),
        (
            input(tcp(80, "0.0.0.0/0")),
            "InvalidPermission.Duplicate",
            "the specified rule \"peer: 0.0.0.0/0, TCP, from port: 80, to port: 80, ALLOW\" already exists",
        ),
        (
            permissions(&id, json!([tcp(81, "0.0.0.0/0"), tcp(81, "0.0.0.0/0")])),
            "InvalidPermission.Duplicate",
            "already exists",
        ),
        (
            permissions(&id, Json::Array((1..=60).map(|port| tcp(port + 1000, "0.0.0.0/0")).collect())),
            "RulesPerSecurityGroupLimitExceeded",
            "maximum number of rules",
        ),
    ];
    world.refuses_all("ec2 AuthorizeSecurityGroupIngress", rows).await;
    let found = world.ok("ec2 DescribeSecurityGroups", json!({"GroupIds": [id]})).await;
    let ports: Vec<_> = found["SecurityGroups"][0]["IpPermissions"]
        .list()
        .iter()
        .map(|each| each["FromPort"].clone())
        .collect();
    assert_eq!(ports, [json!(80)], "a call adds all of its rules or none");
}

#[tokio::test]
async fn rules_can_be_changed_where_they_stand() {
    let (world, id) = fixture().await;
    let added = world
        .ok(
            "ec2 AuthorizeSecurityGroupIngress",
            permissions(&id, json!([tcp(80, "0.0.0.0/0"), tcp(81, "0.0.0.0/0")])),
        )
        .await;
    let rules = added["SecurityGroupRules"].each("SecurityGroupRuleId");
    let modify = |rule: &str, given: Json| json!({"GroupId": id, "SecurityGroupRules": [{"SecurityGroupRuleId": rule, "SecurityGroupRule": given}]});
    let other = json!({"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIpv4": "10.0.0.0/8", "Description": "inside"});
    world.ok("ec2 ModifySecurityGroupRules", modify(&rules[0], other.clone())).await;
    let shown = world.ok("ec2 DescribeSecurityGroupRules", json!({"SecurityGroupRuleIds": [rules[0]]})).await
        ["SecurityGroupRules"][0]
        .clone();
    assert_eq!(
        (&shown["FromPort"], &shown["CidrIpv4"], &shown["Description"]),
        (&json!(443), &json!("10.0.0.0/8"), &json!("inside"))
    );
    let rows = [
        (modify(&rules[1], other.clone()), "InvalidPermission.Duplicate", "already exists"),
        (modify("sgr-1", other.clone()), "InvalidSecurityGroupRuleId.NotFound", "'sgr-1' does not exist"),
        (modify(&rules[0], with(other.clone(), &json!({"CidrIpv4": null}))), "MissingParameter", ""),
        (
            modify(&rules[0], with(other.clone(), &json!({"CidrIpv6": "::/0"}))),
            "InvalidParameterValue",
            "exactly one source or destination",
        ),
        (with(modify(&rules[0], other), &json!({"GroupId": "sg-1"})), "InvalidGroup.NotFound", "'sg-1'"),
    ];
    world.refuses_all("ec2 ModifySecurityGroupRules", rows).await;

    let by_id = json!({"GroupId": id, "SecurityGroupRuleDescriptions": [{"SecurityGroupRuleId": rules[1], "Description": "one"}]});
    world.ok("ec2 UpdateSecurityGroupRuleDescriptionsIngress", by_id).await;
    let permission =
        json!([{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "out"}]}]);
    world.ok("ec2 UpdateSecurityGroupRuleDescriptionsEgress", permissions(&id, permission.clone())).await;
    world
        .refuses(
            "ec2 UpdateSecurityGroupRuleDescriptionsIngress",
            permissions(&id, permission),
            "InvalidPermission.NotFound",
            "does not exist",
        )
        .await;
    let all = world.ok("ec2 DescribeSecurityGroupRules", json!({"Filters": filter("group-id", &id)})).await;
    let mut texts = all["SecurityGroupRules"].each("Description");
    texts.sort();
    assert_eq!(texts, ["inside", "one", "out"]);
}
