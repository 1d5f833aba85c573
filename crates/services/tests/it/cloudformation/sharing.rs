//! Exports and imports.

use serde_json::json;

use super::world::Site;

const GIVES: &str = "
Resources: {V: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.0.0.0/16}}}
Outputs: {V: {Value: !Ref V, Export: {Name: net-vpc}}}
";
const TAKES: &str = "
Resources: {S: {Type: AWS::EC2::Subnet, Properties: {VpcId: !ImportValue net-vpc, CidrBlock: 10.0.1.0/24}}}
";

#[tokio::test]
async fn what_is_imported_cannot_go() {
    let site = Site::new();
    site.create("early", TAKES).await;
    assert_eq!(site.settled("early").await, "ROLLBACK_COMPLETE");
    let events = site.events("early").await;
    let told = "early ROLLBACK_IN_PROGRESS No export named net-vpc found. Rollback requested by user.";
    assert!(events.contains(&told.to_owned()), "{events:#?}");
    site.create("net", GIVES).await;
    assert_eq!(site.settled("net").await, "CREATE_COMPLETE");
    site.create("app", TAKES).await;
    assert_eq!(site.settled("app").await, "CREATE_COMPLETE", "{:#?}", site.events("app").await);
    assert_eq!(site.ok("ListImports", json!({"ExportName": "net-vpc"})).await["Imports"], json!(["app"]));
    assert_eq!(site.ok("ListExports", json!({})).await["Exports"][0]["Name"], "net-vpc");
    site.create("copy", GIVES).await;
    assert_eq!(site.settled("copy").await, "ROLLBACK_COMPLETE");
    let events = site.events("copy").await;
    let wording = "Export with name net-vpc is already exported by stack net";
    assert!(events.iter().any(|line| line.contains(wording)), "{events:#?}");
    site.ok("DeleteStack", json!({"StackName": "net"})).await;
    assert_eq!(site.settled("net").await, "DELETE_FAILED");
    let reason = site.stack("net").await["StackStatusReason"].as_str().unwrap().to_owned();
    assert_eq!(reason, "Export net-vpc cannot be deleted as it is in use by app");
    site.ok("DeleteStack", json!({"StackName": "app"})).await;
    assert_eq!(site.settled("app").await, "GONE");
    site.ok("DeleteStack", json!({"StackName": "net"})).await;
    assert_eq!(site.settled("net").await, "GONE");
    assert!(site.ok("ListExports", json!({})).await["Exports"].as_array().unwrap().is_empty());
}
