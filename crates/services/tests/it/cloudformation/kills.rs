//! A machine that loses its power at every step of a stack's life: it goes on where it was, and makes nothing twice.

use serde_json::{Value as Json, json};

use super::world::Site;

const FIRST: &str = "
Resources:
  V: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.0.0.0/16, EnableDnsHostnames: true}}
  S: {Type: AWS::EC2::Subnet, Properties: {VpcId: !Ref V, CidrBlock: 10.0.1.0/24}}
  C: {Type: AWS::ECS::Cluster}
Outputs: {V: {Value: !Ref V, Export: {Name: v}}}
";
const SECOND: &str = "
Resources:
  V: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.5.0.0/16}}
  S: {Type: AWS::EC2::Subnet, Properties: {VpcId: !Ref V, CidrBlock: 10.5.1.0/24}}
  D: {Type: AWS::ECS::Cluster}
Outputs: {V: {Value: !Ref V, Export: {Name: v}}}
";
const FAILING: &str = "
Resources:
  V: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.6.0.0/16}}
  S: {Type: AWS::EC2::Subnet, Properties: {VpcId: !Ref V, CidrBlock: 10.6.1.0/24}}
  C: {Type: AWS::ECS::Cluster, Properties: {ClusterSettings: [{Name: containerInsights, Value: enabled}]}}
  X: {Type: AWS::EC2::Subnet, DependsOn: [C, S], Properties: {VpcId: !Ref V, CidrBlock: 192.168.0.0/24}}
";

/// What there is: VPCs, subnets in them, clusters, and the stack's own records of them.
async fn found(site: &Site) -> Json {
    let vpcs = site.vpcs().await;
    let filters = json!([{"Name": "default-for-az", "Values": ["false"]}]);
    let subnets = site.ok("ec2 DescribeSubnets", json!({"Filters": filters})).await;
    let subnets = subnets["Subnets"].as_array().unwrap().len();
    json!({"vpcs": vpcs.len(), "subnets": subnets, "clusters": site.clusters().await.len()})
}

struct Case {
    name: &'static str,
    /// What the stack is before; none where there is none.
    before: Option<&'static str>,
    operation: &'static str,
    template: Option<&'static str>,
    status: &'static str,
    left: Json,
}

/// Cuts the power after every so many operations of the disk, until one run gets through without.
async fn at_every_step(case: Case) {
    let mut cuts = 0;
    for step in 0.. {
        let site = Site::new();
        if let Some(before) = case.before {
            site.create("shop", before).await;
            assert_eq!(site.settled("shop").await, "CREATE_COMPLETE");
        }
        site.ok("ec2 DescribeVpcs", json!({})).await;
        // The engine begins when the disk is counting.
        let mut site = Site::idle(site.kill().await, 100);
        let mut input = json!({"StackName": "shop"});
        if let Some(template) = case.template {
            input["TemplateBody"] = json!(template);
        }
        site.ok(case.operation, input).await;
        let stack = site.stack("shop").await["StackId"].as_str().unwrap().to_owned();
        site.disk.lose_power_after(step);
        site.start();
        site.settled_or_dark(&stack).await;
        let was_cut = site.disk.has_lost_power();
        let disk = site.kill().await;
        disk.crash();
        let site = Site::on(disk, 1000 + step);
        let status = site.settled(&stack).await;
        let (name, events) = (case.name, site.events(&stack).await);
        assert_eq!(status, case.status, "{name}, cut at {step}: {events:#?}");
        assert_eq!(found(&site).await, case.left, "{name}, cut at {step}: {events:#?}");
        // Nothing was made twice, and each resource was told complete once.
        let initiated = events.iter().filter(|line| line.ends_with("Resource creation Initiated"));
        let mut initiated: Vec<&String> = initiated.collect();
        let all = initiated.len();
        initiated.sort();
        initiated.dedup();
        // The same line may stand there for the creation and once more for the replacement, never more often.
        let before = if case.before.is_some() { 3 } else { 0 };
        assert!(all <= initiated.len() + before, "{name}, cut at {step}: {events:#?}");
        if !was_cut {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 50, "{}: {cuts} cuts are too few to have met every step", case.name);
}

#[tokio::test]
async fn of_a_creation() {
    at_every_step(Case {
        name: "creation",
        before: None,
        operation: "CreateStack",
        template: Some(FIRST),
        status: "CREATE_COMPLETE",
        left: json!({"vpcs": 1, "subnets": 1, "clusters": 1}),
    })
    .await;
}

#[tokio::test]
async fn of_a_creation_that_fails() {
    at_every_step(Case {
        name: "failing creation",
        before: None,
        operation: "CreateStack",
        template: Some(FAILING),
        status: "ROLLBACK_COMPLETE",
        left: json!({"vpcs": 0, "subnets": 0, "clusters": 0}),
    })
    .await;
}

#[tokio::test]
async fn of_an_update() {
    at_every_step(Case {
        name: "update",
        before: Some(FIRST),
        operation: "UpdateStack",
        template: Some(SECOND),
        status: "UPDATE_COMPLETE",
        left: json!({"vpcs": 1, "subnets": 1, "clusters": 1}),
    })
    .await;
}

#[tokio::test]
async fn of_an_update_that_fails() {
    at_every_step(Case {
        name: "failing update",
        before: Some(FIRST),
        operation: "UpdateStack",
        template: Some(FAILING),
        status: "UPDATE_ROLLBACK_COMPLETE",
        left: json!({"vpcs": 1, "subnets": 1, "clusters": 1}),
    })
    .await;
}

#[tokio::test]
async fn of_a_deletion() {
    at_every_step(Case {
        name: "deletion",
        before: Some(FIRST),
        operation: "DeleteStack",
        template: None,
        status: "DELETE_COMPLETE",
        left: json!({"vpcs": 0, "subnets": 0, "clusters": 0}),
    })
    .await;
}
