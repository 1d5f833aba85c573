//! Parameters of a request against those of a template.

use std::collections::BTreeMap;

use gantry_template::{ParameterInput, ParameterLookup, lookup_failed};

use crate::stack::{Account, evaluate, inputs, parse, shown};

fn given(declaration: &str, value: &str) -> String {
    let text = format!(
        "Parameters: {{P: {declaration}}}\nResources: {{R: {{Type: T, Properties: {{P: !Ref P}}}}}}\n"
    );
    let properties =
        evaluate(&text, &[("P", value)]).and_then(|evaluation| evaluation.properties("R", &Account));
    match properties {
        Ok(properties) => shown(properties.get("P").expect("a parameter has a value")),
        Err(error) => error.to_string(),
    }
}

#[test]
fn values_are_held_against_their_declaration() {
    for (declaration, value, expected) in [
        ("{Type: String}", "a", r#""a""#),
        ("{Type: String}", "", r#""""#),
        ("{Type: Number}", "0080", r#""0080""#),
        ("{Type: Number}", "-1.5", r#""-1.5""#),
        ("{Type: Number}", "x", "Parameter 'P' must be a number"),
        ("{Type: Number}", "", "Parameter 'P' must be a number"),
        ("{Type: Number}", "inf", "Parameter 'P' must be a number"),
        ("{Type: Number, MinValue: 2}", "1.9", "Parameter 'P' must be a number not less than 2"),
        ("{Type: Number, MaxValue: 2.50}", "2.6", "Parameter 'P' must be a number not greater than 2.50"),
        ("{Type: List<Number>}", "1, 2", r#"["1","2"]"#),
        ("{Type: List<Number>}", "1,x", "Parameter 'P' must be a number"),
        ("{Type: CommaDelimitedList}", " a , b", r#"["a","b"]"#),
        ("{Type: CommaDelimitedList}", "", r#"[""]"#),
        ("{Type: CommaDelimitedList, AllowedValues: [a, b]}", "a,b", r#"["a","b"]"#),
        (
            "{Type: CommaDelimitedList, AllowedValues: [a, b]}",
            "a,c",
            "Parameter 'P' must be one of AllowedValues",
        ),
        ("{Type: String, AllowedValues: [a, 80, yes]}", "80", r#""80""#),
        ("{Type: String, AllowedValues: [a, 80, yes]}", "true", r#""true""#),
        ("{Type: String, AllowedValues: [a]}", "b", "Parameter 'P' must be one of AllowedValues"),
        (
            "{Type: String, AllowedValues: [a], ConstraintDescription: take a}",
            "b",
            "Parameter P failed to satisfy constraint: take a",
        ),
        ("{Type: String, AllowedPattern: '[a-z]*'}", "abc", r#""abc""#),
        ("{Type: String, AllowedPattern: '[a-z]*'}", "abc1", "Parameter 'P' must match pattern [a-z]*"),
        ("{Type: String, AllowedPattern: 'a|b'}", "ab", "Parameter 'P' must match pattern a|b"),
        (
            "{Type: String, AllowedPattern: '[a-z]*', ConstraintDescription: letters}",
            "1",
            "Parameter P failed to satisfy constraint: letters",
        ),
        (
            "{Type: CommaDelimitedList, AllowedPattern: '[a-z]*'}",
            "a,1",
            "Parameter 'P' must match pattern [a-z]*",
        ),
        ("{Type: String, MinLength: 2}", "ü", "Parameter 'P' must contain at least 2 characters"),
        ("{Type: String, MaxLength: 2}", "üü", r#""üü""#),
        ("{Type: String, MaxLength: 2}", "abc", "Parameter 'P' must contain at most 2 characters"),
        ("{Type: List<AWS::EC2::Subnet::Id>}", "subnet-1,subnet-2", r#"["subnet-1","subnet-2"]"#),
        (
            "{Type: String, AllowedPattern: '('}",
            "a",
            "Template error: Parameter 'P' AllowedPattern must be a valid regular expression.",
        ),
    ] {
        assert_eq!(given(declaration, value), expected, "{declaration} {value}");
    }
    let long = "x".repeat(4097);
    assert_eq!(
        given("{Type: String}", &long),
        "Parameter 'P' value length is greater than maximum allowed, 4096"
    );
}

#[test]
fn a_default_may_be_a_list() {
    let text = "Parameters: {P: {Type: CommaDelimitedList, Default: [a, 1]}}\nResources: {R: {Type: T, Properties: {P: !Ref P}}}\n";
    let properties = evaluate(text, &[]).unwrap().properties("R", &Account).unwrap();
    assert_eq!(shown(&properties), r#"{"P":["a","1"]}"#);
}

#[test]
fn what_a_request_leaves_out_comes_from_the_default_and_what_it_keeps_from_the_stack() {
    let template = parse("Parameters: {A: {Type: String, Default: x}, B: {Type: String, NoEcho: true}}\nResources: {R: {Type: T}}\n").unwrap();
    let previous =
        BTreeMap::from([("A".to_owned(), "old".to_owned()), ("B".to_owned(), "secret".to_owned())]);
    let keep = |names: &[&str]| -> BTreeMap<String, ParameterInput> {
        names.iter().map(|name| ((*name).to_owned(), ParameterInput::Previous)).collect()
    };
    let values = template.parameter_values(&keep(&["A", "B"]), &previous).unwrap();
    assert_eq!(values.given(), previous);
    assert_eq!(values.get("A").unwrap().shown(), "old");
    assert_eq!(values.get("B").unwrap().shown(), "****");
    let values = template.parameter_values(&keep(&["B"]), &previous).unwrap();
    assert_eq!(
        values.get("A").unwrap().given,
        "x",
        "what is left out takes the default, not the stack's value"
    );
    for (inputs, expected) in [
        (keep(&[]), "Parameters: [B] must have values"),
        (inputs(&[("B", "b"), ("D", "d"), ("C", "c")]), "Parameters: [C, D] do not exist in the template"),
    ] {
        assert_eq!(template.parameter_values(&inputs, &previous).unwrap_err().to_string(), expected);
    }
    assert_eq!(
        template.parameter_values(&keep(&["B"]), &BTreeMap::new()).unwrap_err().to_string(),
        "Invalid input for parameter key B. Cannot specify usePreviousValue as true for a parameter key not in the previous template"
    );
}

#[test]
fn the_caller_looks_up_what_only_the_account_knows() {
    let template = parse(
        "Parameters:\n  Vpc: {Type: 'AWS::EC2::VPC::Id'}\n  Subnets: {Type: 'List<AWS::EC2::Subnet::Id>'}\n  Key: {Type: 'AWS::SSM::Parameter::Name'}\n  Image: {Type: 'AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>', Default: /images/web}\n  Names: {Type: 'AWS::SSM::Parameter::Value<List<String>>', Default: names}\nResources: {R: {Type: T, Properties: {I: !Ref Image, N: !Ref Names}}}\n",
    )
    .unwrap();
    let mut values = template
        .parameter_values(
            &inputs(&[("Vpc", "vpc-1"), ("Subnets", "subnet-1, subnet-2"), ("Key", "/key")]),
            &BTreeMap::new(),
        )
        .unwrap();
    let resource = |parameter: &str, parameter_type: &str, value: &str| ParameterLookup::Resource {
        parameter: parameter.to_owned(),
        parameter_type: parameter_type.to_owned(),
        value: value.to_owned(),
    };
    let ssm = |parameter: &str, name: &str| ParameterLookup::SsmValue {
        parameter: parameter.to_owned(),
        name: name.to_owned(),
    };
    assert_eq!(
        values.lookups(),
        [
            ssm("Image", "/images/web"),
            ParameterLookup::SsmName { parameter: "Key".to_owned(), name: "/key".to_owned() },
            ssm("Names", "names"),
            resource("Subnets", "AWS::EC2::Subnet::Id", "subnet-1"),
            resource("Subnets", "AWS::EC2::Subnet::Id", "subnet-2"),
            resource("Vpc", "AWS::EC2::VPC::Id", "vpc-1"),
        ]
    );
    values.resolve("Image", "ami-1".to_owned());
    values.resolve("Names", "a,b".to_owned());
    assert_eq!(values.lookups()[0], resource("Image", "AWS::EC2::Image::Id", "ami-1"));
    assert!(!values.lookups().iter().any(|lookup| matches!(lookup, ParameterLookup::SsmValue { .. })));
    assert_eq!(values.given()["Image"], "/images/web", "the stack keeps the name, not the value");
    let evaluation =
        gantry_template::Evaluation::new(template.into(), values, crate::stack::pseudo()).unwrap();
    assert_eq!(shown(&evaluation.properties("R", &Account).unwrap()), r#"{"I":"ami-1","N":["a","b"]}"#);
    assert_eq!(
        lookup_failed(&ssm("Image", "/images/web")).to_string(),
        "Unable to fetch parameters [/images/web] from parameter store for this account."
    );
    assert_eq!(
        lookup_failed(&resource("Vpc", "AWS::EC2::VPC::Id", "vpc-9")).to_string(),
        "Parameter validation failed: parameter value vpc-9 for parameter name Vpc does not exist"
    );
}
