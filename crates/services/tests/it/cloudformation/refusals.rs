//! Templates and requests that are refused: AWS's words, and nothing made.

use serde_json::{Value as Json, json};

use super::world::Site;

#[tokio::test]
async fn what_cannot_be_is_refused_before_anything_is_made() {
    let site = Site::new();
    let vpc = "Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.0.0.0/16}";
    let deep = format!("Resources: {{V: {{{vpc}}}}}\nMetadata: {}1{}", "[".repeat(400), "]".repeat(400));
    let long = format!("Resources: {{V: {{{vpc}}}}}\n#{}", "x".repeat(51_201));
    let rows: Vec<(Json, &str, &str)> = vec![
        (
            json!(
                "Resources:\n  A: {Type: AWS::ECS::Cluster, DependsOn: B}\n  B: {Type: AWS::ECS::Cluster, DependsOn: A}\n"
            ),
            "ValidationError",
            "Circular dependency between resources: [A, B]",
        ),
        (
            json!("Resources: {A: {Type: 'AWS::Nothing::Here'}, V: {Type: AWS::ECS::Cluster}}"),
            "ValidationError",
            "Template format error: Unrecognized resource types: [AWS::Nothing::Here]. Gantry supports: AWS::EC2::",
        ),
        (
            json!("Parameters: {P: {Type: String}}\nResources: {A: {Type: AWS::ECS::Cluster}}"),
            "ValidationError",
            "Parameters: [P] must have values",
        ),
        (
            json!("Resources: {A: {Type: AWS::ECS::Cluster, Properties: {ClusterName: !Ref Nobody}}}"),
            "ValidationError",
            "Template format error: Unresolved resource dependencies [Nobody] in the Resources block of the template",
        ),
        (
            json!(
                "Resources: {A: {Type: AWS::ECS::Cluster}, B: {Type: AWS::ECS::Cluster, Properties: {ClusterName: !GetAtt A.Colour}}}"
            ),
            "ValidationError",
            "Colour",
        ),
        (json!(long), "ValidationError", "Member must have length less than or equal to 51200"),
        (json!(deep), "ValidationError", "Template"),
        (
            json!(
                "Resources: {R: {Type: AWS::IAM::Role, Properties: {RoleName: r, AssumeRolePolicyDocument: {}}}}"
            ),
            "InsufficientCapabilitiesException",
            "Requires capabilities : [CAPABILITY_NAMED_IAM]",
        ),
        (
            json!(
                "Parameters: {P: {Type: 'AWS::EC2::Subnet::Id', Default: subnet-1}}\nResources: {A: {Type: AWS::ECS::Cluster}}"
            ),
            "ValidationError",
            "subnet-1",
        ),
    ];
    for (body, code, wording) in rows {
        let input = json!({"StackName": "shop", "TemplateBody": body});
        site.refuses("CreateStack", input, code, wording).await;
    }
    for (name, wording) in [("1shop", "Member must satisfy regular expression pattern"), ("a_b", "pattern")] {
        let input = json!({"StackName": name, "TemplateBody": "Resources: {A: {Type: AWS::ECS::Cluster}}"});
        site.refuses("CreateStack", input, "ValidationError", wording).await;
    }
    let nothing = json!({"StackName": "shop"});
    site.refuses("DescribeStacks", nothing.clone(), "ValidationError", "Stack with id shop does not exist")
        .await;
    site.refuses("UpdateStack", nothing.clone(), "ValidationError", "does not exist").await;
    site.ok("DeleteStack", nothing).await;
    let url = json!({"StackName": "shop", "TemplateURL": "https://s3.amazonaws.com/b/t.yaml"});
    site.refuses("CreateStack", url, "ValidationError", "TemplateURL").await;
    assert!(site.clusters().await.is_empty() && site.vpcs().await.is_empty());
}

#[tokio::test]
async fn a_wrong_property_fails_the_stack_before_anything_is_made() {
    let site = Site::new();
    for (index, (properties, wording)) in [
        ("{CidrBlock: 10.1.0.0/16, Colour: red}", "#: extraneous key [Colour] is not permitted"),
        ("{CidrBlock: [10.1.0.0/16]}", "Value of property CidrBlock must be of type String"),
        (
            "{CidrBlock: 10.1.0.0/16, EnableDnsSupport: maybe}",
            "Value of property EnableDnsSupport must be of type Boolean",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("shop{index}");
        let template = format!(
            "Resources: {{C: {{Type: AWS::ECS::Cluster}}, V: {{Type: AWS::EC2::VPC, Properties: {properties}}}}}"
        );
        site.create(&name, &template).await;
        assert_eq!(site.settled(&name).await, "ROLLBACK_COMPLETE");
        let events = site.events(&name).await;
        let failed = events.iter().find(|line| line.starts_with("V CREATE_FAILED")).unwrap();
        assert!(failed.contains(wording), "{failed}");
        assert!(!events.iter().any(|line| line.starts_with("C CREATE")), "{events:#?}");
    }
}

#[tokio::test]
async fn tokens_make_a_request_one() {
    let site = Site::new();
    let template = "Resources: {A: {Type: AWS::ECS::Cluster}}";
    let input = json!({"StackName": "shop", "TemplateBody": template, "ClientRequestToken": "t-1"});
    let first = site.ok("CreateStack", input.clone()).await;
    assert_eq!(site.ok("CreateStack", input).await, first);
    let other = json!({"StackName": "shop", "TemplateBody": template, "ClientRequestToken": "t-2"});
    site.refuses("CreateStack", other, "AlreadyExistsException", "Stack [shop] already exists").await;
    assert_eq!(site.settled("shop").await, "CREATE_COMPLETE");
}

#[tokio::test]
async fn templates_are_told_about() {
    let site = Site::new();
    let template = "
Description: a shop
Parameters: {P: {Type: Number, Default: 3, Description: how many, NoEcho: true}}
Resources:
  R: {Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: {}}}
";
    let told = site.ok("ValidateTemplate", json!({"TemplateBody": template})).await;
    assert_eq!(told["Description"], "a shop");
    assert_eq!(told["Capabilities"], json!(["CAPABILITY_IAM"]));
    assert_eq!(told["Parameters"][0]["DefaultValue"], "3");
    let told = site.ok("GetTemplateSummary", json!({"TemplateBody": template})).await;
    assert_eq!(told["ResourceTypes"], json!(["AWS::IAM::Role"]));
    assert_eq!(told["Parameters"][0]["ParameterType"], "Number");
    let plain = "Resources: {A: {Type: AWS::ECS::Cluster}}";
    site.create("shop", plain).await;
    assert_eq!(site.settled("shop").await, "CREATE_COMPLETE");
    assert_eq!(site.ok("GetTemplate", json!({"StackName": "shop"})).await["TemplateBody"], plain);
}
