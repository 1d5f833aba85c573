//! The page that lists the types says what the code says.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::cloudformation::resource::Update;
use crate::cloudformation::resources::TYPES;

/// What `Ref` gives; the walk through all types holds it against what they make.
const REFERENCES: &[(&str, &str)] = &[
    ("AWS::EC2::InternetGateway", "id"),
    ("AWS::EC2::Route", "`table\\|destination`"),
    ("AWS::EC2::RouteTable", "id"),
    ("AWS::EC2::SecurityGroup", "id"),
    ("AWS::EC2::SecurityGroupEgress", "the rule's id"),
    ("AWS::EC2::SecurityGroupIngress", "the rule's id"),
    ("AWS::EC2::Subnet", "id"),
    ("AWS::EC2::SubnetRouteTableAssociation", "id"),
    ("AWS::EC2::VPC", "id"),
    ("AWS::EC2::VPCGatewayAttachment", "`IGW\\|vpc`"),
    ("AWS::ECR::Repository", "name"),
    ("AWS::ECS::Cluster", "name"),
    ("AWS::ECS::ClusterCapacityProviderAssociations", "the cluster's name"),
    ("AWS::ECS::Service", "ARN"),
    ("AWS::ECS::TaskDefinition", "ARN"),
    ("AWS::ElasticLoadBalancingV2::Listener", "ARN"),
    ("AWS::ElasticLoadBalancingV2::ListenerRule", "ARN"),
    ("AWS::ElasticLoadBalancingV2::LoadBalancer", "ARN"),
    ("AWS::ElasticLoadBalancingV2::TargetGroup", "ARN"),
    ("AWS::IAM::AccessKey", "the key's id"),
    ("AWS::IAM::InstanceProfile", "name"),
    ("AWS::IAM::ManagedPolicy", "ARN"),
    ("AWS::IAM::Policy", "a generated id"),
    ("AWS::IAM::Role", "name"),
    ("AWS::IAM::User", "name"),
    ("AWS::Logs::LogGroup", "name"),
    ("AWS::Logs::LogStream", "name"),
    ("AWS::SSM::Parameter", "name"),
];

fn table() -> String {
    let mut table = "| Type | `Ref` | `GetAtt` | Properties |\n|---|---|---|---|\n".to_owned();
    for kind in TYPES {
        let (_, reference) =
            REFERENCES.iter().find(|(name, _)| *name == kind.name()).expect("every type has a Ref");
        let properties: Vec<String> = kind
            .properties()
            .iter()
            .map(|property| {
                let required = if property.required { "*" } else { "" };
                let mark = match property.update {
                    Update::InPlace => "",
                    Update::Replacement => "!",
                    Update::Conditional => "?",
                };
                format!("{}{required}{mark}", property.name)
            })
            .collect();
        let attributes = kind.attributes().join(", ");
        writeln!(table, "| `{}` | {reference} | {attributes} | {} |", kind.name(), properties.join(", "))
            .unwrap();
    }
    table
}

/// With `GANTRY_UPDATE_DOCS` set, the page is written anew.
#[test]
fn the_page_lists_every_type_as_it_is() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/cloudformation.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once("<!-- types -->\n").expect("the page marks where the types begin");
    let (listed, after) = rest.split_once("<!-- end of types -->").expect("and where they end");
    let table = table();
    if std::env::var_os("GANTRY_UPDATE_DOCS").is_some() {
        std::fs::write(&page, format!("{before}<!-- types -->\n{table}<!-- end of types -->{after}"))
            .unwrap();
        return;
    }
    assert_eq!(listed, table, "docs/cloudformation.md is behind: run this test with GANTRY_UPDATE_DOCS=1");
}

#[test]
fn types_are_in_order_and_each_has_its_properties_once() {
    let names: Vec<&str> = TYPES.iter().map(|kind| kind.name()).collect();
    assert!(names.is_sorted(), "{names:?}");
    for kind in TYPES {
        let properties: Vec<&str> = kind.properties().iter().map(|property| property.name).collect();
        assert!(properties.windows(2).all(|pair| pair[0] < pair[1]), "{}: {properties:?}", kind.name());
        assert!(kind.attributes().is_sorted(), "{}", kind.name());
        let named = kind.naming().map_or("", |naming| naming.property);
        assert!(named.is_empty() || properties.contains(&named), "{}: {named}", kind.name());
    }
}
