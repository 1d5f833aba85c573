//! Change sets, as `aws cloudformation deploy` uses them.

use serde_json::{Value as Json, json};

use super::world::Site;

const FIRST: &str = "Resources: {V: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.0.0.0/16}}}";

fn set(name: &str, kind: &str, template: &str) -> Json {
    json!({"StackName": "shop", "ChangeSetName": name, "ChangeSetType": kind, "TemplateBody": template})
}

#[tokio::test]
async fn a_stack_is_made_and_changed_by_change_sets() {
    let site = Site::new();
    site.ok("CreateChangeSet", set("one", "CREATE", FIRST)).await;
    assert_eq!(site.settled("shop").await, "REVIEW_IN_PROGRESS");
    let which = json!({"StackName": "shop", "ChangeSetName": "one"});
    let told = site.ok("DescribeChangeSet", which.clone()).await;
    assert_eq!((&told["Status"], &told["ExecutionStatus"]), (&json!("CREATE_COMPLETE"), &json!("AVAILABLE")));
    assert_eq!(told["Changes"][0]["ResourceChange"]["Action"], "Add");
    assert!(site.vpcs().await.is_empty());
    site.ok("ExecuteChangeSet", which.clone()).await;
    assert_eq!(site.settled("shop").await, "CREATE_COMPLETE");
    site.refuses("ExecuteChangeSet", which, "InvalidChangeSetStatus", "EXECUTE_COMPLETE").await;
    // No changes: a change set that failed and says so.
    site.ok("CreateChangeSet", set("same", "UPDATE", FIRST)).await;
    let told = site.ok("DescribeChangeSet", json!({"StackName": "shop", "ChangeSetName": "same"})).await;
    assert_eq!((&told["Status"], &told["ExecutionStatus"]), (&json!("FAILED"), &json!("UNAVAILABLE")));
    assert!(
        told["StatusReason"]
            .as_str()
            .unwrap()
            .starts_with("The submitted information didn't contain changes.")
    );
    // Its name is free again, as is that of one that was executed; one that waits keeps its own.
    site.ok("CreateChangeSet", set("same", "UPDATE", FIRST)).await;
    site.ok("CreateChangeSet", set("one", "UPDATE", FIRST)).await;
    let second = "
Resources:
  V: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.1.0.0/16}}
  S: {Type: AWS::EC2::Subnet, Properties: {VpcId: !Ref V, CidrBlock: 10.1.0.0/24}}
";
    site.ok("CreateChangeSet", set("two", "UPDATE", second)).await;
    site.ok("CreateChangeSet", set("three", "UPDATE", second)).await;
    let again = set("three", "UPDATE", second);
    site.refuses("CreateChangeSet", again, "AlreadyExistsException", "ChangeSet three cannot be created")
        .await;
    let told = site.ok("DescribeChangeSet", json!({"StackName": "shop", "ChangeSetName": "two"})).await;
    let change = &told["Changes"][0]["ResourceChange"];
    assert_eq!((&change["Action"], &change["Replacement"]), (&json!("Modify"), &json!("True")));
    assert_eq!(change["Details"][0]["Target"]["Name"], "CidrBlock");
    assert_eq!(told["Changes"][1]["ResourceChange"]["LogicalResourceId"], "S");
    site.ok("ExecuteChangeSet", json!({"StackName": "shop", "ChangeSetName": "two"})).await;
    assert_eq!(site.settled("shop").await, "UPDATE_COMPLETE", "{:#?}", site.events("shop").await);
    // One that was computed on what the stack was before.
    let stale = json!({"StackName": "shop", "ChangeSetName": "three"});
    site.refuses("ExecuteChangeSet", stale.clone(), "InvalidChangeSetStatus", "OBSOLETE").await;
    site.ok("DeleteChangeSet", stale.clone()).await;
    site.refuses("DescribeChangeSet", stale, "ChangeSetNotFound", "ChangeSet [three] does not exist").await;
    let nothing = json!({"StackName": "other", "ChangeSetName": "x", "TemplateBody": FIRST});
    site.refuses("CreateChangeSet", nothing, "ValidationError", "does not exist").await;
}
