//! Security groups.

use serde_json::{Value as Json, json};

use super::{filter, group, vpc};
use crate::ecs::with;
use crate::world::{Answer as _, World};

#[tokio::test]
async fn a_security_group_lives_as_terraform_wants_it() {
    let world = World::new();
    let (vpc, _, _) = world.default_network().await;
    let made = world
        .ok(
            "ec2 CreateSecurityGroup",
            json!({"GroupName": "web", "Description": "for the web", "VpcId": vpc}),
        )
        .await;
    let id = made["GroupId"].text();
    assert!(id.starts_with("sg-") && id.len() == 20, "{id}");
    let found =
        world.ok("ec2 DescribeSecurityGroups", json!({"GroupIds": [id]})).await["SecurityGroups"][0].clone();
    assert_eq!(found["IpPermissions"], json!([]));
    let everything = json!([{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": [], "PrefixListIds": [], "UserIdGroupPairs": []}]);
    assert_eq!(found["IpPermissionsEgress"], everything);
    // Terraform revokes the default rule, and the one for IPv6 that only some accounts have.
    let revoke = |ranges: Json| json!({"GroupId": id, "IpPermissions": [with(json!({"IpProtocol": "-1", "FromPort": 0, "ToPort": 0}), &ranges)]});
    let v4 = revoke(json!({"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}));
    world.ok("ec2 RevokeSecurityGroupEgress", v4.clone()).await;
    for again in [v4, revoke(json!({"Ipv6Ranges": [{"CidrIpv6": "::/0"}]}))] {
        world
            .refuses(
                "ec2 RevokeSecurityGroupEgress",
                again,
                "InvalidPermission.NotFound",
                "The specified rule does not exist in this security group.",
            )
            .await;
    }
    for (name, value, count) in [
        ("group-name", "web", 1),
        ("group-name", "we*", 1),
        ("group-name", "Web", 0),
        ("vpc-id", vpc.as_str(), 2),
        ("description", "for the web", 1),
        ("group-id", &id, 1),
    ] {
        let found = world.ok("ec2 DescribeSecurityGroups", json!({"Filters": filter(name, value)})).await;
        assert_eq!(found["SecurityGroups"].list().len(), count, "{name}={value}");
    }
    let by_name = world.ok("ec2 DescribeSecurityGroups", json!({"GroupNames": ["web"]})).await;
    assert_eq!(by_name["SecurityGroups"].each("GroupId"), [id.as_str()]);
    world.ok("ec2 DeleteSecurityGroup", json!({"GroupId": id})).await;
    let wording = format!("The security group '{id}' does not exist");
    for (operation, input) in [
        ("ec2 DeleteSecurityGroup", json!({"GroupId": id})),
        ("ec2 DescribeSecurityGroups", json!({"GroupIds": [id]})),
    ] {
        world.refuses(operation, input, "InvalidGroup.NotFound", &wording).await;
    }
    let wording = format!("The security group 'web' does not exist in default VPC '{vpc}'");
    world
        .refuses(
            "ec2 DescribeSecurityGroups",
            json!({"GroupNames": ["web"]}),
            "InvalidGroup.NotFound",
            &wording,
        )
        .await;
    let malformed = "Invalid id: \"web\" (expecting \"sg-...\")";
    world
        .refuses(
            "ec2 DescribeSecurityGroups",
            json!({"GroupIds": ["web"]}),
            "InvalidGroupId.Malformed",
            malformed,
        )
        .await;
}

#[tokio::test]
async fn create_security_group_says_what_is_wrong() {
    let world = World::new();
    let (vpc, _, default) = world.default_network().await;
    group(&world, &vpc, "taken").await;
    let input = |more: Json| with(json!({"GroupName": "g", "Description": "d", "VpcId": vpc}), &more);
    let value = "InvalidParameterValue";
    let rows = [
        (input(json!({"GroupName": ""})), value, "parameter GroupName is invalid"),
        (input(json!({"GroupName": "sg-web"})), value, "must not begin with sg-"),
        (input(json!({"GroupName": "ü"})), value, "parameter GroupName is invalid"),
        (input(json!({"GroupName": "a\nb"})), value, "parameter GroupName is invalid"),
        (input(json!({"GroupName": " a"})), value, "parameter GroupName is invalid"),
        (input(json!({"GroupName": "x".repeat(256)})), value, "parameter GroupName is invalid"),
        (input(json!({"GroupName": "default"})), value, "Cannot use reserved security group name: default"),
        (input(json!({"Description": ""})), value, "parameter GroupDescription is invalid"),
        (input(json!({"Description": "é"})), value, "parameter GroupDescription is invalid"),
        (input(json!({"VpcId": "vpc-1"})), "InvalidVpcID.NotFound", "does not exist"),
        (
            input(json!({"GroupName": "taken"})),
            "InvalidGroup.Duplicate",
            "The security group 'taken' already exists for VPC",
        ),
    ];
    world.refuses_all("ec2 CreateSecurityGroup", rows).await;
    let other = super::vpc(&world, "10.0.0.0/16").await;
    group(&world, &other, "taken").await;
    let wording = format!("the specified group: \"{default}\" name: \"default\" cannot be deleted by a user");
    world.refuses("ec2 DeleteSecurityGroup", json!({"GroupId": default}), "CannotDelete", &wording).await;
    world.refuses("ec2 DeleteSecurityGroup", json!({}), "MissingParameter", "groupName or groupId").await;
    // Only the default VPC's groups have names without ids.
    world.ok("ec2 DeleteSecurityGroup", json!({"GroupName": "taken"})).await;
    world
        .refuses(
            "ec2 DeleteSecurityGroup",
            json!({"GroupName": "taken"}),
            "InvalidGroup.NotFound",
            "in default VPC",
        )
        .await;
}

#[tokio::test]
async fn a_group_that_others_name_is_deleted_after_them() {
    // The order in which Terraform destroys: it retries until the group that refers to the other one has gone.
    let world = World::new();
    let (vpc, _, _) = world.default_network().await;
    let (balancer, service) = (group(&world, &vpc, "alb").await, group(&world, &vpc, "service").await);
    let rule = |group: &str, other: &str| json!({"GroupId": group, "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 8000, "ToPort": 8000, "UserIdGroupPairs": [{"GroupId": other}]}]});
    world.ok("ec2 AuthorizeSecurityGroupIngress", rule(&service, &balancer)).await;
    // A rule that lets a group into itself holds nobody.
    world.ok("ec2 AuthorizeSecurityGroupIngress", rule(&service, &service)).await;
    world.ok("ec2 AuthorizeSecurityGroupIngress", rule(&balancer, &balancer)).await;
    let wording = format!("resource {balancer} has a dependent object");
    world
        .refuses("ec2 DeleteSecurityGroup", json!({"GroupId": balancer}), "DependencyViolation", &wording)
        .await;
    world.ok("ec2 DeleteSecurityGroup", json!({"GroupId": service})).await;
    world.ok("ec2 DeleteSecurityGroup", json!({"GroupId": balancer})).await;
    let other = super::vpc(&world, "10.0.0.0/16").await;
    let (here, there) = (group(&world, &vpc, "here").await, group(&world, &other, "there").await);
    world
        .refuses(
            "ec2 AuthorizeSecurityGroupIngress",
            rule(&here, &there),
            "InvalidGroup.NotFound",
            "does not exist",
        )
        .await;
    // Both name each other: one rule has to go first.
    let second = group(&world, &vpc, "second").await;
    world.ok("ec2 AuthorizeSecurityGroupIngress", rule(&here, &second)).await;
    world.ok("ec2 AuthorizeSecurityGroupEgress", rule(&second, &here)).await;
    for id in [&here, &second] {
        world
            .refuses(
                "ec2 DeleteSecurityGroup",
                json!({"GroupId": id}),
                "DependencyViolation",
                "has a dependent object",
            )
            .await;
    }
    world.ok("ec2 RevokeSecurityGroupEgress", rule(&second, &here)).await;
    world.ok("ec2 DeleteSecurityGroup", json!({"GroupId": here})).await;
    world.ok("ec2 DeleteSecurityGroup", json!({"GroupId": second})).await;
}

#[tokio::test]
async fn an_interface_holds_its_groups() {
    let world = World::new();
    let (vpc, subnets, _) = world.default_network().await;
    let id = group(&world, &vpc, "g").await;
    let made = world.ok("ec2 CreateNetworkInterface", json!({"SubnetId": subnets[0], "Groups": [id]})).await;
    let interface = made["NetworkInterface"]["NetworkInterfaceId"].text();
    // How Terraform looks for what still has the group.
    let filters = json!([{"Name": "group-id", "Values": [id]}, {"Name": "description", "Values": ["AWS Lambda VPC ENI*"]}]);
    assert_eq!(
        world.ok("ec2 DescribeNetworkInterfaces", json!({"Filters": filters})).await["NetworkInterfaces"],
        json!([])
    );
    world
        .refuses(
            "ec2 DeleteSecurityGroup",
            json!({"GroupId": id}),
            "DependencyViolation",
            "has a dependent object",
        )
        .await;
    world.ok("ec2 DeleteNetworkInterface", json!({"NetworkInterfaceId": interface})).await;
    world.ok("ec2 DeleteSecurityGroup", json!({"GroupId": id})).await;
    let elsewhere = vpc_group(&world).await;
    let wrong = json!({"SubnetId": subnets[0], "Groups": [elsewhere]});
    world.refuses("ec2 CreateNetworkInterface", wrong, "InvalidGroup.NotFound", "does not exist").await;
}

async fn vpc_group(world: &World) -> String {
    let other = vpc(world, "10.0.0.0/16").await;
    group(world, &other, "elsewhere").await
}
