//! What has to be acknowledged.

use crate::stack::parse;

#[test]
fn iam_has_to_be_acknowledged() {
    let named = "{Type: 'AWS::IAM::Role', Properties: {RoleName: x}}";
    for (resources, needed, reason) in [
        ("{A: {Type: 'AWS::ECS::Cluster'}}".to_owned(), &[][..], None),
        (
            "{A: {Type: 'AWS::IAM::Role'}, B: {Type: 'AWS::IAM::InstanceProfile'}, C: {Type: 'AWS::IAM::Role'}}".to_owned(),
            &["CAPABILITY_IAM"],
            Some("The following resource(s) require capabilities: [AWS::IAM::InstanceProfile, AWS::IAM::Role]"),
        ),
        (
            format!("{{A: {named}}}"),
            &["CAPABILITY_NAMED_IAM"],
            Some("The following resource(s) require capabilities: [AWS::IAM::Role]"),
        ),
        (
            "{A: {Type: 'AWS::IAM::Policy', Properties: {PolicyName: x}}}".to_owned(),
            &["CAPABILITY_IAM"],
            Some("The following resource(s) require capabilities: [AWS::IAM::Policy]"),
        ),
    ] {
        let capabilities = parse(&format!("Resources: {resources}\n")).unwrap().capabilities();
        assert_eq!(capabilities.needed, needed, "{resources}");
        assert_eq!(capabilities.reason.as_deref(), reason);
    }
    let given = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let iam = parse("Resources: {A: {Type: 'AWS::IAM::Role'}}\n").unwrap().capabilities();
    assert_eq!(iam.missing(&given(&[])), ["CAPABILITY_IAM"]);
    assert!(iam.missing(&given(&["CAPABILITY_NAMED_IAM"])).is_empty());
    let named = parse(&format!("Transform: AWS::LanguageExtensions\nResources: {{A: {named}}}\n"))
        .unwrap()
        .capabilities();
    assert_eq!(
        named.missing(&given(&["CAPABILITY_IAM"])),
        ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
    );
    assert!(named.missing(&given(&["CAPABILITY_AUTO_EXPAND", "CAPABILITY_NAMED_IAM"])).is_empty());
}
