//! Load balancers.

use serde_json::json;

use super::{Fixture, OTHER_REGION, with};
use crate::world::Answer as _;

const VALIDATION: &str = "ValidationError";
const CONFIGURATION: &str = "InvalidConfigurationRequest";

#[tokio::test]
async fn a_load_balancer_lives() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let made = world.ok("elbv2 CreateLoadBalancer", fixture.balancer_input("site", &json!({}))).await;
    let made = made["LoadBalancers"][0].clone();
    let arn = made["LoadBalancerArn"].text();
    let id = arn
        .strip_prefix("arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/site/")
        .unwrap();
    assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{arn}");
    assert_eq!(
        (&made["State"]["Code"], &made["Scheme"]),
        (&json!("provisioning"), &json!("internet-facing"))
    );
    assert_eq!((&made["Type"], &made["IpAddressType"]), (&json!("application"), &json!("ipv4")));
    assert_eq!((&made["VpcId"], &made["SecurityGroups"]), (&json!(fixture.vpc), &json!([fixture.group])));
    assert_eq!(made["AvailabilityZones"].each("ZoneName"), ["us-east-1a", "us-east-1b"]);
    let name = made["DNSName"].text();
    assert!(name.starts_with("site-") && name.ends_with(".us-east-1.elb.localhost"), "{name}");
    // The same again is the same; other settings are a duplicate.
    let again = world.ok("elbv2 CreateLoadBalancer", fixture.balancer_input("site", &json!({}))).await;
    assert_eq!(again["LoadBalancers"][0], made);
    let reversed = json!({"Subnets": [fixture.subnets[1], fixture.subnets[0]]});
    let again = world.ok("elbv2 CreateLoadBalancer", fixture.balancer_input("site", &reversed)).await;
    assert_eq!(again["LoadBalancers"][0]["LoadBalancerArn"], json!(arn));
    for more in [json!({"Scheme": "internal"}), json!({"Subnets": fixture.subnets})] {
        let input = fixture.balancer_input("site", &more);
        let wording = "A load balancer with the same name 'site' exists, but with different settings";
        world.refuses("elbv2 CreateLoadBalancer", input, "DuplicateLoadBalancerName", wording).await;
    }
    // It has an address in each of its subnets.
    let filters = json!([{"Name": "description", "Values": [format!("ELB app/site/{id}")]}]);
    let interfaces = world.ok("ec2 DescribeNetworkInterfaces", json!({"Filters": filters})).await;
    let interfaces = interfaces["NetworkInterfaces"].clone();
    let mut subnets = interfaces.each("SubnetId");
    let mut expected = fixture.subnets[..2].to_vec();
    subnets.sort();
    expected.sort();
    assert_eq!(subnets, expected);
    world
        .refuses(
            "ec2 DeleteSubnet",
            json!({"SubnetId": fixture.subnets[0]}),
            "DependencyViolation",
            "has dependencies",
        )
        .await;

    for input in [json!({}), json!({"Names": ["site"]}), json!({"LoadBalancerArns": [arn]})] {
        let found = world.ok("elbv2 DescribeLoadBalancers", input.clone()).await;
        assert_eq!(found["LoadBalancers"].each("LoadBalancerArn"), [arn.as_str()], "{input}");
    }
    world.ok("elbv2 DeleteLoadBalancer", json!({"LoadBalancerArn": arn})).await;
    // Deleting what is gone succeeds, as at AWS.
    world.ok("elbv2 DeleteLoadBalancer", json!({"LoadBalancerArn": arn})).await;
    let wording = "One or more load balancers not found";
    world
        .refuses(
            "elbv2 DescribeLoadBalancers",
            json!({"LoadBalancerArns": [arn]}),
            "LoadBalancerNotFound",
            wording,
        )
        .await;
    world
        .refuses(
            "elbv2 DescribeLoadBalancers",
            json!({"Names": ["site"]}),
            "LoadBalancerNotFound",
            "'[site]' not found",
        )
        .await;
    let interfaces = world.ok("ec2 DescribeNetworkInterfaces", json!({"Filters": filters})).await;
    assert_eq!(interfaces["NetworkInterfaces"], json!([]));
    // Its name and addresses are free again.
    fixture.balancer("site").await;
}

#[tokio::test]
async fn create_load_balancer_says_what_is_wrong() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let vpc = world.ok("ec2 CreateVpc", json!({"CidrBlock": "10.0.0.0/16"})).await["Vpc"]["VpcId"].text();
    let mut private = Vec::new();
    for (range, zone) in
        [("10.0.1.0/24", "us-east-1a"), ("10.0.2.0/24", "us-east-1b"), ("10.0.3.0/24", "us-east-1a")]
    {
        let input = json!({"VpcId": vpc, "CidrBlock": range, "AvailabilityZone": zone});
        private.push(world.ok("ec2 CreateSubnet", input).await["Subnet"]["SubnetId"].text());
    }
    let balancer = |more| fixture.balancer_input("site", &more);
    let two = "At least two subnets in two different Availability Zones must be specified";
    let rows = [
        (balancer(json!({"Name": ""})), VALIDATION, "cannot be longer than '32' characters"),
        (balancer(json!({"Name": "x".repeat(33)})), VALIDATION, "cannot be longer than '32' characters"),
        (balancer(json!({"Name": "a_b"})), VALIDATION, "alphanumeric characters or hyphens(-)"),
        (balancer(json!({"Name": "é"})), VALIDATION, "alphanumeric characters or hyphens(-)"),
        (balancer(json!({"Name": "-a"})), VALIDATION, "cannot begin or end with a hyphen(-)"),
        (balancer(json!({"Name": "internal-a"})), VALIDATION, "cannot begin with 'internal-'"),
        (balancer(json!({"Type": "network"})), CONFIGURATION, "only load balancers of the type application"),
        (balancer(json!({"Type": "classic"})), VALIDATION, "Invalid load balancer type 'classic'"),
        (balancer(json!({"IpAddressType": "dualstack"})), CONFIGURATION, "only the IP address type ipv4"),
        (balancer(json!({"Scheme": "public"})), "InvalidScheme", "Invalid scheme 'public'"),
        (balancer(json!({"Subnets": null})), VALIDATION, two),
        (balancer(json!({"Subnets": []})), VALIDATION, two),
        (balancer(json!({"Subnets": [fixture.subnets[0]]})), VALIDATION, two),
        (
            balancer(json!({"Subnets": [fixture.subnets[0], fixture.subnets[0]]})),
            CONFIGURATION,
            "multiple subnets in the same Availability Zone",
        ),
        (
            balancer(json!({"Subnets": [private[0], private[2]]})),
            CONFIGURATION,
            "multiple subnets in the same Availability Zone",
        ),
        (
            balancer(json!({"Subnets": [fixture.subnets[0], private[1]]})),
            CONFIGURATION,
            "The subnets must belong to the same VPC",
        ),
        (
            balancer(json!({"Subnets": ["subnet-1", fixture.subnets[0]]})),
            "SubnetNotFound",
            "The subnet ID 'subnet-1' does not exist",
        ),
        (balancer(json!({"Subnets": private[..2]})), "InvalidSubnet", "has no internet gateway"),
        (
            balancer(json!({"SubnetMappings": [{"SubnetId": fixture.subnets[0]}]})),
            VALIDATION,
            "at the same time",
        ),
        (
            balancer(
                json!({"Subnets": null, "SubnetMappings": [{"SubnetId": fixture.subnets[0], "AllocationId": "eipalloc-1"}]}),
            ),
            CONFIGURATION,
            "cannot be given addresses",
        ),
        (
            balancer(json!({"SecurityGroups": ["sg-1"]})),
            "InvalidSecurityGroup",
            "The security group 'sg-1' does not exist",
        ),
        (
            balancer(
                json!({"Subnets": private[..2], "Scheme": "internal", "SecurityGroups": [fixture.group]}),
            ),
            CONFIGURATION,
            "is in another VPC",
        ),
        (
            balancer(json!({"Tags": [{"Key": "aws:a", "Value": "b"}]})),
            VALIDATION,
            "Tag key 'aws:a' is invalid",
        ),
        (balancer(json!({"Tags": [{"Key": "a"}, {"Key": "a"}]})), "DuplicateTagKeys", "more than once"),
    ];
    world.refuses_all("elbv2 CreateLoadBalancer", rows).await;
    assert_eq!(world.ok("elbv2 DescribeLoadBalancers", json!({})).await["LoadBalancers"], json!([]));
    // Inside, no way out is needed; mappings do as well as subnets, and a group counts once.
    let group = world
        .ok("ec2 CreateSecurityGroup", json!({"GroupName": "g", "Description": "d", "VpcId": vpc}))
        .await["GroupId"]
        .text();
    let mappings = json!([{"SubnetId": private[0]}, {"SubnetId": private[1]}]);
    let input = balancer(
        json!({"Subnets": null, "SubnetMappings": mappings, "Scheme": "internal", "SecurityGroups": [group, group]}),
    );
    let made = world.ok("elbv2 CreateLoadBalancer", input).await["LoadBalancers"][0].clone();
    assert!(made["DNSName"].text().starts_with("internal-site-"));
    assert_eq!(made["SecurityGroups"], json!([group]));
}

#[tokio::test]
async fn arns_of_elsewhere_are_no_arns_here() {
    let mut fixture = Fixture::new().await;
    let balancer = fixture.balancer("site").await;
    let group = fixture.group("site").await;
    let listener = fixture.listener(&balancer, 80, &group).await;
    let rule = fixture.rule(&listener, 1, &group).await;
    let wrong = |arn: &str| {
        vec![
            String::new(),
            "site".to_owned(),
            "ü".to_owned(),
            arn.replace("us-east-1", OTHER_REGION),
            arn.replace("123456789012", "999999999999"),
            arn.replace("elasticloadbalancing", "ecs"),
            "arn:aws:elasticloadbalancing:us-east-1:123456789012:something/app/site/1".to_owned(),
        ]
    };
    let world = &fixture.world;
    for (operations, member, arn, what) in [
        (
            &["DescribeLoadBalancerAttributes", "DeleteLoadBalancer", "DescribeListeners"][..],
            "LoadBalancerArn",
            &balancer,
            "load balancer",
        ),
        (
            &[
                "DeleteTargetGroup",
                "DescribeTargetHealth",
                "ModifyTargetGroup",
                "DescribeTargetGroupAttributes",
            ],
            "TargetGroupArn",
            &group,
            "target group",
        ),
        (&["DeleteListener", "DescribeRules", "ModifyListener"], "ListenerArn", &listener, "listener"),
        (&["DeleteRule", "ModifyRule"], "RuleArn", &rule, "listener rule"),
    ] {
        for operation in operations {
            for text in wrong(arn) {
                let wording = format!("'{text}' is not a valid {what} ARN");
                world
                    .refuses(&format!("elbv2 {operation}"), json!({member: text}), VALIDATION, &wording)
                    .await;
            }
        }
    }
    // The caller's region counts, not the ARN's.
    fixture.world.region = OTHER_REGION;
    let world = &fixture.world;
    let wording = "is not a valid load balancer ARN";
    world
        .refuses("elbv2 DeleteLoadBalancer", json!({"LoadBalancerArn": balancer}), VALIDATION, wording)
        .await;
    assert_eq!(world.ok("elbv2 DescribeLoadBalancers", json!({})).await["LoadBalancers"], json!([]));
    assert_eq!(world.ok("elbv2 DescribeTargetGroups", json!({})).await["TargetGroups"], json!([]));
}

#[tokio::test]
async fn deletion_protection_protects() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let arn = fixture.balancer("site").await;
    let protect = |value: &str| json!({"LoadBalancerArn": arn, "Attributes": [{"Key": "deletion_protection.enabled", "Value": value}]});
    world.ok("elbv2 ModifyLoadBalancerAttributes", protect("true")).await;
    let wording = format!("Load balancer '{arn}' cannot be deleted because deletion protection is enabled");
    world
        .refuses(
            "elbv2 DeleteLoadBalancer",
            json!({"LoadBalancerArn": arn}),
            "OperationNotPermitted",
            &wording,
        )
        .await;
    world.ok("elbv2 ModifyLoadBalancerAttributes", protect("false")).await;
    world.ok("elbv2 DeleteLoadBalancer", json!({"LoadBalancerArn": arn})).await;
}

#[tokio::test]
async fn a_large_load_balancer_is_deleted_whole() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let balancer = fixture.balancer("site").await;
    let group = fixture.group("site").await;
    let mut listeners = Vec::new();
    for port in 1..=50 {
        listeners.push(fixture.listener(&balancer, port, &group).await);
    }
    let more = super::listener_input(&balancer, 51, &group);
    world.refuses("elbv2 CreateListener", more, "TooManyListeners", "maximum number of listeners").await;
    for number in 0..100 {
        fixture.rule(&listeners[number % 50], 1 + number as u32, &group).await;
    }
    let more = super::rule_input(&listeners[0], 999, &group);
    world.refuses("elbv2 CreateRule", more, "TooManyRules", "maximum number of rules").await;
    world.ok("elbv2 DeleteLoadBalancer", json!({"LoadBalancerArn": balancer})).await;
    let left = world.read(|view| {
        use gantry_domain::elb::{Listener, LoadBalancer, Rule};
        view.scan::<Rule>("").count()
            + view.scan::<Listener>("").count()
            + view.scan::<LoadBalancer>("").count()
    });
    assert_eq!(left, 0);
    world.ok("elbv2 DeleteTargetGroup", json!({"TargetGroupArn": group})).await;
}

#[tokio::test]
async fn subnets_and_groups_can_be_exchanged() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let arn = fixture.balancer("site").await;
    let addresses = || async {
        let found = world.ok("ec2 DescribeNetworkInterfaces", json!({})).await["NetworkInterfaces"].clone();
        let mut all: Vec<(String, String)> =
            found.each("SubnetId").into_iter().zip(found.each("PrivateIpAddress")).collect();
        all.sort();
        all
    };
    let before = addresses().await;
    let subnets = json!({"LoadBalancerArn": arn, "Subnets": [fixture.subnets[1], fixture.subnets[2]]});
    let set = world.ok("elbv2 SetSubnets", subnets).await;
    assert_eq!(set["AvailabilityZones"].each("ZoneName"), ["us-east-1b", "us-east-1c"]);
    let after = addresses().await;
    let kept: Vec<_> = before.iter().filter(|pair| after.contains(pair)).collect();
    assert_eq!(
        (after.len(), kept.len(), &kept[0].0),
        (2, 1, &fixture.subnets[1]),
        "the subnet that stays keeps its address"
    );
    world.ok("ec2 DeleteSubnet", json!({"SubnetId": fixture.subnets[0]})).await;
    let one = json!({"LoadBalancerArn": arn, "Subnets": [fixture.subnets[1]]});
    world.refuses("elbv2 SetSubnets", one, VALIDATION, "At least two subnets").await;
    world
        .refuses("elbv2 SetSubnets", json!({"LoadBalancerArn": arn}), VALIDATION, "At least two subnets")
        .await;

    let input = json!({"GroupName": "g", "Description": "d"});
    let group = world.ok("ec2 CreateSecurityGroup", input).await["GroupId"].text();
    let set = json!({"LoadBalancerArn": arn, "SecurityGroups": [group]});
    assert_eq!(world.ok("elbv2 SetSecurityGroups", set.clone()).await["SecurityGroupIds"], json!([group]));
    let interfaces = world.ok("ec2 DescribeNetworkInterfaces", json!({})).await;
    for interface in interfaces["NetworkInterfaces"].list() {
        assert_eq!(interface["Groups"].each("GroupId"), [group.as_str()]);
    }
    world
        .refuses(
            "ec2 DeleteSecurityGroup",
            json!({"GroupId": group}),
            "DependencyViolation",
            "has a dependent object",
        )
        .await;
    let rows = [
        (with(set.clone(), &json!({"SecurityGroups": []})), VALIDATION, "At least one security group"),
        (
            with(set.clone(), &json!({"SecurityGroups": ["sg-1"]})),
            "InvalidSecurityGroup",
            "'sg-1' does not exist",
        ),
        (
            with(set, &json!({"SecurityGroups": ["sg-1", "sg-1", "sg-1", "sg-1", "sg-1", "sg-1"]})),
            "InvalidSecurityGroup",
            "'sg-1'",
        ),
    ];
    world.refuses_all("elbv2 SetSecurityGroups", rows).await;
    world.ok("elbv2 SetIpAddressType", json!({"LoadBalancerArn": arn, "IpAddressType": "ipv4"})).await;
    let dual = json!({"LoadBalancerArn": arn, "IpAddressType": "dualstack"});
    world.refuses("elbv2 SetIpAddressType", dual, CONFIGURATION, "ipv4").await;
}

#[tokio::test]
async fn load_balancers_are_described_in_pages() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    for number in 0..5 {
        fixture.balancer(&format!("b{number}")).await;
    }
    let (mut seen, mut marker) = (Vec::new(), json!(null));
    loop {
        let page = world.ok("elbv2 DescribeLoadBalancers", json!({"PageSize": 2, "Marker": marker})).await;
        seen.extend(page["LoadBalancers"].each("LoadBalancerName"));
        marker = page["NextMarker"].clone();
        if marker.is_null() {
            break;
        }
    }
    assert_eq!(seen, ["b0", "b1", "b2", "b3", "b4"]);
    for size in [0, -1, 401] {
        world
            .refuses(
                "elbv2 DescribeLoadBalancers",
                json!({"PageSize": size}),
                VALIDATION,
                "PageSize must be between 1 and 400",
            )
            .await;
    }
    world
        .refuses("elbv2 DescribeLoadBalancers", json!({"Marker": "?"}), VALIDATION, "The marker is not valid")
        .await;
    let both = json!({"Names": ["b0"], "LoadBalancerArns": [fixture.balancer("b0").await]});
    world.refuses("elbv2 DescribeLoadBalancers", both, VALIDATION, "at the same time").await;
    let limits = world.ok("elbv2 DescribeAccountLimits", json!({})).await;
    assert!(limits["Limits"].each("Name").contains(&"target-groups".to_owned()));
    assert_eq!(world.ok("elbv2 DescribeSSLPolicies", json!({})).await["SslPolicies"], json!([]));
    world
        .refuses("elbv2 DescribeSSLPolicies", json!({"Names": ["x"]}), "SSLPolicyNotFound", "'x' not found")
        .await;
}
