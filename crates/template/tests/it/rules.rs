//! Rules: a template's own assertions.

use crate::stack::{Account, evaluate};

fn checked(rule: &str, given: &[(&str, &str)]) -> String {
    let text = format!(
        "Parameters:\n  Stage: {{Type: String, Default: test}}\n  Size: {{Type: String, Default: small}}\n  Vpc: {{Type: 'AWS::EC2::VPC::Id', Default: vpc-1}}\n  Subnets: {{Type: 'List<AWS::EC2::Subnet::Id>', Default: 'subnet-1,subnet-1'}}\nRules:\n  Check: {rule}\nResources: {{R: {{Type: T}}}}\n"
    );
    match evaluate(&text, given).and_then(|evaluation| evaluation.check_rules(&Account)) {
        Ok(()) => "kept".to_owned(),
        Err(error) => error.to_string(),
    }
}

const SMALL_UNLESS_PROD: &str = "{RuleCondition: !Not [!Equals [!Ref Stage, prod]], Assertions: [{Assert: !Contains [[small, tiny], !Ref Size], AssertDescription: take a small one}]}";

#[test]
fn rules_are_held_against_the_parameters() {
    for (rule, given, expected) in [
        (SMALL_UNLESS_PROD, &[][..], "kept"),
        (SMALL_UNLESS_PROD, &[("Stage", "prod"), ("Size", "huge")], "kept"),
        (
            SMALL_UNLESS_PROD,
            &[("Size", "huge")],
            "Template validation error: Rule assertion failed. Check: take a small one",
        ),
        (
            "{Assertions: [{Assert: !EachMemberIn [!ValueOf [Subnets, VpcId], !RefAll 'AWS::EC2::VPC::Id']}]}",
            &[],
            "kept",
        ),
        (
            "{Assertions: [{Assert: !EachMemberIn [!ValueOf [Subnets, VpcId], !RefAll 'AWS::EC2::VPC::Id']}]}",
            &[("Subnets", "subnet-1,subnet-9")],
            "Template validation error: Rule assertion failed. Check: the assertion is false",
        ),
        ("{Assertions: [{Assert: !EachMemberEquals [!ValueOf [Subnets, VpcId], !Ref Vpc]}]}", &[], "kept"),
        (
            "{Assertions: [{Assert: !EachMemberEquals [!ValueOfAll ['AWS::EC2::VPC::Id', Tags.Department], IT]}]}",
            &[],
            "kept",
        ),
        (
            "{Assertions: [{Assert: !And [!Equals [a, a], !Or [!Equals [a, b], !Equals [b, b]]]}]}",
            &[],
            "kept",
        ),
        ("{Assertions: [{Assert: !Contains [a, b]}]}", &[], "Template error: Fn::Contains requires a list"),
        (
            "{Assertions: [{Assert: !Equals [!Ref R, b]}]}",
            &[],
            "Template format error: Unresolved dependencies [R]. Cannot reference resources in the Rules block of the template (rule Check)",
        ),
        ("{Assertions: [{AssertDescription: x}]}", &[], "Template format error: Rule Check is malformed."),
        ("{Assert: x}", &[], "Template format error: Rule Check is malformed."),
        ("[]", &[], "Template format error: Rule Check is malformed."),
    ] {
        assert_eq!(checked(rule, given), expected, "{rule}");
    }
}
