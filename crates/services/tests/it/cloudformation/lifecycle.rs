//! Creating, updating, failing, rolling back, deleting.

use serde_json::json;

use super::world::Site;

const NETWORK: &str = r"
Parameters:
  Range: {Type: String, Default: 10.0.0.0/16}
Resources:
  Vpc:
    Type: AWS::EC2::VPC
    Properties:
      CidrBlock: !Ref Range
      EnableDnsHostnames: 'true'
      Tags: [{Key: Name, Value: !Sub '${AWS::StackName}-vpc'}]
  Subnet:
    Type: AWS::EC2::Subnet
    Properties: {VpcId: !Ref Vpc, CidrBlock: !Select [0, !Cidr [!GetAtt Vpc.CidrBlock, 4, 8]]}
  Cluster:
    Type: AWS::ECS::Cluster
Outputs:
  Vpc: {Value: !Ref Vpc, Description: where it is}
  Arn: {Value: !GetAtt Cluster.Arn}
";

#[tokio::test]
async fn a_stack_is_made_with_its_events_and_outputs_and_goes() {
    let site = Site::new();
    site.create("shop", NETWORK).await;
    assert_eq!(site.settled("shop").await, "CREATE_COMPLETE", "{:#?}", site.events("shop").await);
    let vpc = site.physical_id("shop", "Vpc").await;
    assert_eq!(site.output("shop", "Vpc").await, vpc);
    let cluster = site.physical_id("shop", "Cluster").await;
    assert!(cluster.starts_with("shop-Cluster-") && cluster.len() == "shop-Cluster-".len() + 12, "{cluster}");
    assert_eq!(
        site.output("shop", "Arn").await,
        format!("arn:aws:ecs:us-east-1:123456789012:cluster/{cluster}")
    );
    let events = site.events("shop").await;
    assert_eq!(events[0], "shop CREATE_IN_PROGRESS User Initiated");
    assert_eq!(events.last().unwrap(), "shop CREATE_COMPLETE");
    let of = |id: &str| -> Vec<&String> { events.iter().filter(|line| line.starts_with(id)).collect() };
    assert_eq!(
        of("Vpc "),
        [
            "Vpc CREATE_IN_PROGRESS",
            "Vpc CREATE_IN_PROGRESS Resource creation Initiated",
            "Vpc CREATE_COMPLETE"
        ]
    );
    let at = |line: &str| events.iter().position(|event| event == line).unwrap();
    assert!(at("Vpc CREATE_COMPLETE") < at("Subnet CREATE_IN_PROGRESS"));
    // A thing's own tags, and CloudFormation's.
    let found = site.ok("ec2 DescribeVpcs", json!({"VpcIds": [vpc]})).await;
    let tags = found["Vpcs"][0]["Tags"].to_string();
    for part in ["shop-vpc", "aws:cloudformation:stack-name", "aws:cloudformation:logical-id"] {
        assert!(tags.contains(part), "{tags}");
    }
    let id = site.stack("shop").await["StackId"].as_str().unwrap().to_owned();
    site.ok("DeleteStack", json!({"StackName": "shop"})).await;
    assert_eq!(site.settled("shop").await, "GONE");
    assert_eq!((site.vpcs().await.len(), site.clusters().await.len()), (0, 0));
    // By its id it is remembered.
    assert_eq!(site.stack(&id).await["StackStatus"], "DELETE_COMPLETE");
    let events = site.events(&id).await;
    let at = |line: &str| events.iter().position(|event| event == line).unwrap();
    assert!(at("Subnet DELETE_COMPLETE") < at("Vpc DELETE_IN_PROGRESS"));
    let deleted = site.ok("ListStacks", json!({"StackStatusFilter": ["DELETE_COMPLETE"]})).await;
    assert_eq!(deleted["StackSummaries"][0]["StackName"], "shop");
    // The name is free again.
    site.create("shop", NETWORK).await;
    assert_eq!(site.settled("shop").await, "CREATE_COMPLETE");
}

#[tokio::test]
async fn an_update_changes_in_place_replaces_and_cleans_up() {
    let site = Site::new();
    site.create("shop", NETWORK).await;
    assert_eq!(site.settled("shop").await, "CREATE_COMPLETE");
    let (vpc, subnet) = (site.physical_id("shop", "Vpc").await, site.physical_id("shop", "Subnet").await);
    let same = json!({"StackName": "shop", "TemplateBody": NETWORK});
    site.refuses("UpdateStack", same, "ValidationError", "No updates are to be performed.").await;
    let changed = NETWORK.replace("EnableDnsHostnames: 'true'", "EnableDnsHostnames: 'false'");
    site.update("shop", &changed).await;
    assert_eq!(site.settled("shop").await, "UPDATE_COMPLETE", "{:#?}", site.events("shop").await);
    assert_eq!(site.physical_id("shop", "Vpc").await, vpc);
    let moved = json!({
        "StackName": "shop", "UsePreviousTemplate": true,
        "Parameters": [{"ParameterKey": "Range", "ParameterValue": "10.9.0.0/16"}],
    });
    // The first template's hostnames stay away: the previous template is the changed one.
    site.ok("UpdateStack", moved).await;
    assert_eq!(site.settled("shop").await, "UPDATE_COMPLETE", "{:#?}", site.events("shop").await);
    let (new_vpc, new_subnet) =
        (site.physical_id("shop", "Vpc").await, site.physical_id("shop", "Subnet").await);
    assert!(new_vpc != vpc && new_subnet != subnet);
    assert_eq!(site.vpcs().await, std::slice::from_ref(&new_vpc));
    assert_eq!(site.output("shop", "Vpc").await, new_vpc);
    let events = site.events("shop").await;
    let replacing = "Vpc UPDATE_IN_PROGRESS Requested update requires the creation of a new physical resource; hence creating one.";
    assert!(events.iter().any(|line| line == replacing), "{events:#?}");
    let at = |line: &str| events.iter().rposition(|event| event == line).unwrap();
    assert!(at("shop UPDATE_COMPLETE_CLEANUP_IN_PROGRESS") < at("Subnet DELETE_IN_PROGRESS"));
    assert!(at("Subnet DELETE_COMPLETE") < at("Vpc DELETE_IN_PROGRESS"));
    // What the template lets go of goes; what it says to keep stays.
    let without = "Resources:\n  Vpc: {Type: AWS::EC2::VPC, DeletionPolicy: Retain, Properties: {CidrBlock: 10.9.0.0/16}}\n";
    site.update("shop", without).await;
    assert_eq!(site.settled("shop").await, "UPDATE_COMPLETE", "{:#?}", site.events("shop").await);
    assert!(site.clusters().await.is_empty());
    let id = site.stack("shop").await["StackId"].as_str().unwrap().to_owned();
    site.ok("DeleteStack", json!({"StackName": "shop"})).await;
    assert_eq!(site.settled("shop").await, "GONE");
    assert_eq!(site.vpcs().await, [new_vpc]);
    assert!(site.events(&id).await.contains(&"Vpc DELETE_SKIPPED".to_owned()));
}

const BROKEN: &str = r"
Resources:
  Cluster: {Type: AWS::ECS::Cluster}
  Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.0.0.0/16}}
  Inside: {Type: AWS::EC2::Subnet, Properties: {VpcId: !Ref Vpc, CidrBlock: 10.0.0.0/24}}
  Outside: {Type: AWS::EC2::Subnet, DependsOn: Inside, Properties: {VpcId: !Ref Vpc, CidrBlock: 192.168.0.0/24}}
";

#[tokio::test]
async fn a_creation_that_fails_leaves_what_was_asked_for() {
    for (member, value, status, vpcs) in [
        ("DisableRollback", json!(false), "ROLLBACK_COMPLETE", 0),
        ("OnFailure", json!("DELETE"), "GONE", 0),
        ("OnFailure", json!("DO_NOTHING"), "CREATE_FAILED", 1),
    ] {
        let site = Site::new();
        let mut input = json!({"StackName": "shop", "TemplateBody": BROKEN});
        input[member] = value;
        let id = site.ok("CreateStack", input).await["StackId"].as_str().unwrap().to_owned();
        assert_eq!(site.settled("shop").await, status, "{:#?}", site.events(&id).await);
        assert_eq!(site.vpcs().await.len(), vpcs, "{status}");
        let events = site.events(&id).await;
        let failed = events.iter().find(|line| line.starts_with("Outside CREATE_FAILED")).unwrap();
        assert!(
            failed.contains("Resource handler returned message: \"") && failed.contains("HandlerErrorCode: "),
            "{failed}"
        );
        let told =
            events.iter().any(|line| line.contains("The following resource(s) failed to create: [Outside]."));
        assert!(told, "{events:#?}");
        if status == "ROLLBACK_COMPLETE" {
            let again = json!({"StackName": "shop", "TemplateBody": BROKEN});
            let wording = "is in ROLLBACK_COMPLETE state and can not be updated.";
            site.refuses("UpdateStack", again, "ValidationError", wording).await;
        }
        site.ok("DeleteStack", json!({"StackName": "shop"})).await;
        assert_eq!(site.settled("shop").await, "GONE");
        assert!(site.vpcs().await.is_empty() && site.clusters().await.is_empty());
    }
}

#[tokio::test]
async fn an_update_that_fails_is_taken_back() {
    let site = Site::new();
    let good = "
Resources:
  Cluster: {Type: AWS::ECS::Cluster, Properties: {ClusterSettings: [{Name: containerInsights, Value: disabled}]}}
  Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.0.0.0/16}}
";
    site.create("shop", good).await;
    assert_eq!(site.settled("shop").await, "CREATE_COMPLETE");
    let vpc = site.physical_id("shop", "Vpc").await;
    let bad = "
Resources:
  Cluster: {Type: AWS::ECS::Cluster, Properties: {ClusterSettings: [{Name: containerInsights, Value: enabled}]}}
  Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.7.0.0/16}}
  New: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.8.0.0/16}}
  Bad:
    Type: AWS::EC2::Subnet
    DependsOn: [Cluster, New]
    Properties: {VpcId: !Ref Vpc, CidrBlock: 192.168.0.0/24}
";
    site.update("shop", bad).await;
    assert_eq!(site.settled("shop").await, "UPDATE_ROLLBACK_COMPLETE", "{:#?}", site.events("shop").await);
    assert_eq!(site.vpcs().await, std::slice::from_ref(&vpc));
    assert_eq!(site.physical_id("shop", "Vpc").await, vpc);
    let cluster = site.physical_id("shop", "Cluster").await;
    let found =
        site.ok("ecs DescribeClusters", json!({"clusters": [cluster], "include": ["SETTINGS"]})).await;
    assert_eq!(found["clusters"][0]["settings"][0]["value"], "disabled");
    let listed = site.ok("ListStackResources", json!({"StackName": "shop"})).await;
    assert_eq!(listed["StackResourceSummaries"].as_array().unwrap().len(), 2, "{listed}");
    // And it can be updated again.
    site.update("shop", &bad.replace("192.168.0.0/24", "10.7.1.0/24")).await;
    assert_eq!(site.settled("shop").await, "UPDATE_COMPLETE", "{:#?}", site.events("shop").await);
    assert_eq!(site.vpcs().await.len(), 2);
}

#[tokio::test]
async fn a_name_that_is_taken_is_left_alone() {
    let site = Site::new();
    site.ok("ecs CreateCluster", json!({"clusterName": "mine"})).await;
    let template = "Resources: {C: {Type: AWS::ECS::Cluster, Properties: {ClusterName: mine}}}";
    site.create("shop", template).await;
    assert_eq!(site.settled("shop").await, "ROLLBACK_COMPLETE", "{:#?}", site.events("shop").await);
    let events = site.events("shop").await;
    let failed = events.iter().find(|line| line.starts_with("C CREATE_FAILED")).unwrap();
    assert!(
        failed.contains("already exists") && failed.contains("HandlerErrorCode: AlreadyExists"),
        "{failed}"
    );
    assert_eq!(site.clusters().await, ["mine"]);
}

#[tokio::test]
async fn what_is_protected_stays() {
    let site = Site::new();
    let template = "Resources: {C: {Type: AWS::ECS::Cluster}}";
    let input = json!({"StackName": "shop", "TemplateBody": template, "EnableTerminationProtection": true});
    site.ok("CreateStack", input).await;
    assert_eq!(site.settled("shop").await, "CREATE_COMPLETE");
    let wording = "Stack [shop] cannot be deleted while TerminationProtection is enabled";
    site.refuses("DeleteStack", json!({"StackName": "shop"}), "ValidationError", wording).await;
    let off = json!({"StackName": "shop", "EnableTerminationProtection": false});
    site.ok("UpdateTerminationProtection", off).await;
    let policy = r#"{"Statement":[{"Effect":"Deny","Action":"Update:*","Principal":"*","Resource":"*"}]}"#;
    site.ok("SetStackPolicy", json!({"StackName": "shop", "StackPolicyBody": policy})).await;
    let renamed = "Resources: {C: {Type: AWS::ECS::Cluster, Properties: {ClusterName: other}}}";
    site.update("shop", renamed).await;
    assert_eq!(site.settled("shop").await, "UPDATE_ROLLBACK_COMPLETE", "{:#?}", site.events("shop").await);
    let events = site.events("shop").await;
    assert!(events.iter().any(|line| line.contains("Action denied by stack policy")), "{events:#?}");
    let without = "Resources: {V: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.0.0.0/16}}}";
    site.update("shop", without).await;
    assert_eq!(site.settled("shop").await, "UPDATE_ROLLBACK_COMPLETE", "{:#?}", site.events("shop").await);
    assert_eq!((site.vpcs().await.len(), site.clusters().await.len()), (0, 1));
    site.ok("DeleteStack", json!({"StackName": "shop"})).await;
    assert_eq!(site.settled("shop").await, "GONE");
}

#[tokio::test]
async fn a_creation_waits_for_its_signals() {
    let site = Site::new();
    let template = "
Resources:
  C:
    Type: AWS::ECS::Cluster
    CreationPolicy: {ResourceSignal: {Count: 2, Timeout: PT5M}}
";
    site.create("shop", template).await;
    let signal = |id: &str| json!({"StackName": "shop", "LogicalResourceId": "C", "UniqueId": id, "Status": "SUCCESS"});
    // Before its creation there is nothing to signal.
    while site.call("SignalResource", signal("i-1")).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(site.stack("shop").await["StackStatus"], "CREATE_IN_PROGRESS");
    site.ok("SignalResource", signal("i-1")).await;
    site.ok("SignalResource", signal("i-2")).await;
    assert_eq!(site.settled("shop").await, "CREATE_COMPLETE", "{:#?}", site.events("shop").await);
    let events = site.events("shop").await;
    let received =
        events.iter().filter(|line| line.contains("Received SUCCESS signal with UniqueId i-")).count();
    assert_eq!(received, 2, "{events:#?}");
    // And one that comes too late fails it.
    site.create("late", &template.replace("PT5M", "PT0S")).await;
    assert_eq!(site.settled("late").await, "ROLLBACK_COMPLETE");
    let events = site.events("late").await;
    let wording = "Failed to receive 2 resource signal(s) for the current batch.  Each resource signal timeout is counted as a FAILURE.";
    assert!(events.iter().any(|line| line.ends_with(wording)), "{events:#?}");
}

#[tokio::test]
async fn orders_given_meanwhile_are_followed() {
    let site = Site::new();
    let waiting = "
Resources:
  V: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.0.0.0/16}}
  C:
    Type: AWS::ECS::Cluster
    DependsOn: V
    CreationPolicy: {ResourceSignal: {Timeout: PT1H}}
";
    site.create("shop", waiting).await;
    while site.clusters().await.is_empty() {
        tokio::task::yield_now().await;
    }
    site.ok("DeleteStack", json!({"StackName": "shop"})).await;
    assert_eq!(site.settled("shop").await, "GONE");
    assert!(site.vpcs().await.is_empty() && site.clusters().await.is_empty());
    // An update that is cancelled goes back.
    let first = "Resources: {V: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.0.0.0/16}}}";
    site.create("shop", first).await;
    assert_eq!(site.settled("shop").await, "CREATE_COMPLETE");
    site.update("shop", waiting).await;
    while site.clusters().await.is_empty() {
        tokio::task::yield_now().await;
    }
    site.ok("CancelUpdateStack", json!({"StackName": "shop"})).await;
    assert_eq!(site.settled("shop").await, "UPDATE_ROLLBACK_COMPLETE", "{:#?}", site.events("shop").await);
    assert_eq!((site.vpcs().await.len(), site.clusters().await.len()), (1, 0));
    let events = site.events("shop").await;
    assert!(events.contains(&"C CREATE_FAILED Resource creation cancelled".to_owned()), "{events:#?}");
}
