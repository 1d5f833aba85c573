//! What each function gives, and how each is refused.

use gantry_template::{Attribute, KNOWN_AFTER_APPLY, World, is_known};
use gantry_types::Value;

use crate::stack::{Account, evaluate, shown};

const HEAD: &str = r"
Transform: AWS::LanguageExtensions
Parameters:
  Name: {Type: String, Default: web}
  Port: {Type: Number, Default: 0080}
  Subnets: {Type: CommaDelimitedList, Default: 'subnet-1, subnet-2,subnet-3'}
  Ports: {Type: List<Number>, Default: '80,443'}
Mappings:
  Sizes:
    eu-central-1: {Cpu: 256, Zones: [a, b], Account: '0123'}
    small.x-1: {Cpu: 1.50}
Conditions:
  Web: !Equals [!Ref Name, web]
  Never: !Not [!Condition Web]
Resources:
  Other: {Type: Test::Any}
  Missing: {Type: Test::Any}
  Gone: {Type: Test::Any, Condition: Never}
  It:
    Type: Test::Any
    Properties:
      P: ";

/// The property `P` of a resource, as JSON, or the error.
fn property(value: &str) -> String {
    let text = format!("{HEAD}{value}\n");
    match evaluate(&text, &[]).and_then(|evaluation| evaluation.properties("It", &Account)) {
        Ok(properties) => properties.get("P").map_or("nothing".to_owned(), shown),
        Err(error) => error.to_string(),
    }
}

#[test]
fn functions_give_what_they_say() {
    for (value, expected) in [
        // Literals keep what they are.
        ("80", "80"),
        ("'80'", r#""80""#),
        ("0123", r#""0123""#),
        ("1.10", r#""1.10""#),
        ("on", "true"),
        ("2012-10-17", r#""2012-10-17""#),
        ("{a: [1, {b: yes}]}", r#"{"a":[1,{"b":true}]}"#),
        // Ref.
        ("!Ref Name", r#""web""#),
        ("!Ref Port", r#""0080""#),
        ("!Ref Subnets", r#"["subnet-1","subnet-2","subnet-3"]"#),
        ("!Ref Ports", r#"["80","443"]"#),
        ("!Ref Other", r#""id-Other""#),
        ("{Ref: Other}", r#""id-Other""#),
        ("!Ref AWS::Region", r#""eu-central-1""#),
        ("!Ref AWS::AccountId", r#""123456789012""#),
        ("!Ref AWS::Partition", r#""aws""#),
        ("!Ref AWS::URLSuffix", r#""amazonaws.com""#),
        ("!Ref AWS::StackName", r#""shop""#),
        ("!Ref AWS::NotificationARNs", r#"["arn:a","arn:b"]"#),
        ("!Ref AWS::NoValue", "nothing"),
        ("[a, !Ref AWS::NoValue, b]", r#"["a","b"]"#),
        ("{a: 1, b: !Ref AWS::NoValue}", r#"{"a":1}"#),
        // GetAtt, in all its spellings.
        ("!GetAtt Other.Arn", r#""Other/Arn""#),
        ("!GetAtt Other.Outputs.Url", r#""Other/Outputs.Url""#),
        ("!GetAtt [Other, Arn]", r#""Other/Arn""#),
        ("!GetAtt [Other, !Ref Name]", r#""Other/web""#),
        ("{'Fn::GetAtt': Other.Arn}", r#""Other/Arn""#),
        ("{'Fn::GetAtt': [Other, Arn]}", r#""Other/Arn""#),
        // Sub.
        (
            "!Sub '${Name}-${AWS::Region}-${Other}-${Other.Arn}-${!Literal}'",
            r#""web-eu-central-1-id-Other-Other/Arn-${Literal}""#,
        ),
        ("!Sub ['${A}-${Name}', {A: !Join ['', [x, y]], Name: local}]", r#""xy-local""#),
        ("!Sub plain", r#""plain""#),
        ("!Sub '${Port}'", r#""0080""#),
        // Join, Select, Split.
        ("!Join [',', [a, 1, true, !Ref Name]]", r#""a,1,true,web""#),
        ("!Join ['|', !Ref Subnets]", r#""subnet-1|subnet-2|subnet-3""#),
        ("!Join ['', [a, !Ref AWS::NoValue, b]]", r#""ab""#),
        ("!Join ['', []]", r#""""#),
        ("!Select [1, [a, b]]", r#""b""#),
        ("!Select ['0', !Split ['/', a/b]]", r#""a""#),
        ("!Select [2, !Ref Subnets]", r#""subnet-3""#),
        ("!Select [0, !GetAZs '']", r#""eu-central-1a""#),
        ("!Select [1, !GetAtt Other.List]", r#""two""#),
        ("!Split [',', 'a,,b']", r#"["a","","b"]"#),
        ("!Split [' - ', 'a - b']", r#"["a","b"]"#),
        // If.
        ("!If [Web, 1, 2]", "1"),
        ("!If [Never, 1, 2]", "2"),
        ("!If [Never, 1, !Ref AWS::NoValue]", "nothing"),
        ("!If [Never, !Ref Gone, {a: !If [Web, [x], []]}]", r#"{"a":["x"]}"#),
        // FindInMap.
        ("!FindInMap [Sizes, !Ref 'AWS::Region', Cpu]", "256"),
        ("!FindInMap [Sizes, eu-central-1, Zones]", r#"["a","b"]"#),
        ("!FindInMap [Sizes, eu-central-1, Account]", r#""0123""#),
        ("!FindInMap [Sizes, small.x-1, Cpu]", r#""1.50""#),
        ("!FindInMap [Sizes, nowhere, Cpu, {DefaultValue: !Ref Name}]", r#""web""#),
        (
            "!FindInMap [!Sub '${Other2}', a, b, {DefaultValue: 1}]",
            "Template format error: Unresolved resource dependencies [Other2] in the Resources block of the template",
        ),
        // The rest.
        ("!ImportValue network:vpc", r#""vpc-1""#),
        (
            "{'Fn::ImportValue': !Sub 'network:${V}'}",
            "Template format error: Unresolved resource dependencies [V] in the Resources block of the template",
        ),
        ("!Base64 hello", r#""aGVsbG8=""#),
        ("{'Fn::Base64': !Sub '${Name}'}", r#""d2Vi""#),
        ("!Cidr [10.0.0.0/16, 2, 8]", r#"["10.0.0.0/24","10.0.1.0/24"]"#),
        (
            "!Cidr [!Sub '10.${AWS::NoValue2}', 2]",
            "Template format error: Unresolved resource dependencies [AWS::NoValue2] in the Resources block of the template",
        ),
        ("!GetAZs us-east-1", r#"["us-east-1a","us-east-1b","us-east-1c"]"#),
        ("!GetAZs", r#"["eu-central-1a","eu-central-1b","eu-central-1c"]"#),
        ("{'Fn::GetAZs': !Ref AWS::Region}", r#"["eu-central-1a","eu-central-1b","eu-central-1c"]"#),
        ("!ToJsonString {a: !Ref Name, b: [1, true]}", r#""{\"a\":\"web\",\"b\":[1,true]}""#),
        ("!Length [a, !Ref Name]", "2"),
        ("{'Fn::Length': !Ref Subnets}", "3"),
        // A member called Condition is none of ours.
        ("{Condition: {StringEquals: {a: b}}}", r#"{"Condition":{"StringEquals":{"a":"b"}}}"#),
        ("{Condition: Never}", r#"{"Condition":"Never"}"#),
    ] {
        assert_eq!(property(value), expected, "{value}");
    }
}

const JOIN: &str = "Template error: every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of strings to be joined or a function that returns a list of strings (such as Fn::GetAZs) to be joined.";
const SELECT: &str =
    "Template error: Fn::Select requires a list argument with two elements: an integer index and a list";
const SPLIT: &str = "Template error: every Fn::Split object requires two parameters, (1) a string delimiter and (2) a string to be split or a function that returns a string to be split.";
const GET_ATT: &str = "Template error: every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute";
const SUB: &str = "Template error: One or more Fn::Sub intrinsic functions don't specify expected arguments. Specify a string as first argument, and an optional second argument to specify a mapping of values to replace in the string";
const FIND_IN_MAP: &str = "Template error: every Fn::FindInMap object requires three parameters, the map name, map key and the attribute for return value";
const REF: &str = "Template error: every Ref object must have a single String value.";

#[test]
fn functions_with_wrong_arguments_are_refused() {
    for (value, expected) in [
        ("{Ref: [a]}", REF),
        ("{Ref: {a: b}}", REF),
        ("{Ref: ''}", REF),
        ("{Ref: Name, Other: 1}", REF),
        (
            "!Ref Nobody",
            "Template format error: Unresolved resource dependencies [Nobody] in the Resources block of the template",
        ),
        (
            "[!Ref B, !Ref A]",
            "Template format error: Unresolved resource dependencies [A, B] in the Resources block of the template",
        ),
        (
            "!Ref Gone",
            "Template format error: Unresolved resource dependencies [Gone] in the Resources block of the template",
        ),
        (
            "!GetAtt Gone.Arn",
            "Template format error: Unresolved resource dependencies [Gone] in the Resources block of the template",
        ),
        (
            "!Sub '${Gone.Arn}'",
            "Template format error: Unresolved resource dependencies [Gone] in the Resources block of the template",
        ),
        ("!Ref Missing", "resource Missing has no value yet"),
        ("!GetAtt Missing.Arn", "resource Missing has no value yet"),
        ("!GetAtt Other", GET_ATT),
        ("!GetAtt [Other]", GET_ATT),
        ("!GetAtt ['', a]", GET_ATT),
        ("!GetAtt [Other, '']", GET_ATT),
        ("!GetAtt [Other, a, b]", GET_ATT),
        ("!GetAtt [!Ref Other, a]", GET_ATT),
        ("{'Fn::GetAtt': {a: b}}", GET_ATT),
        ("!GetAtt Nobody.Arn", "Template error: instance of Fn::GetAtt references undefined resource Nobody"),
        (
            "!GetAtt Other.Nonsense",
            "Template error: resource Other does not support attribute type Nonsense in Fn::GetAtt",
        ),
        (
            "!Sub '${Nobody}'",
            "Template format error: Unresolved resource dependencies [Nobody] in the Resources block of the template",
        ),
        (
            "!Sub '${Nobody.Arn}'",
            "Template error: instance of Fn::Sub references invalid resource attribute Nobody.Arn",
        ),
        (
            "!Sub '${Subnets}'",
            "Template error: variable ${Subnets} in Fn::Sub expression does not resolve to a string",
        ),
        (
            "!Sub ['${A}', {A: !Ref AWS::NoValue}]",
            "Template error: variable ${A} in Fn::Sub expression does not resolve to a string",
        ),
        ("!Sub [a]", SUB),
        ("!Sub [a, b]", SUB),
        ("!Sub [a, {Ref: Name}]", SUB),
        ("!Sub [a, {}, c]", SUB),
        ("!Sub {a: b}", SUB),
        ("!Join [',']", JOIN),
        ("!Join [',', a]", JOIN),
        ("!Join [!Ref Name, [a]]", JOIN),
        ("!Join [',', [a], b]", JOIN),
        ("!Join [',', [[a]]]", JOIN),
        ("!Join [',', !Ref Name]", JOIN),
        ("!Join a", JOIN),
        ("!Select [0]", SELECT),
        ("!Select [x, [a]]", SELECT),
        ("!Select [0, a]", SELECT),
        ("!Select [0, !Ref Name]", SELECT),
        ("!Select [2, [a, b]]", "Template error: Fn::Select cannot select nonexistent value at index 2"),
        ("!Select [-1, [a, b]]", "Template error: Fn::Select cannot select nonexistent value at index -1"),
        (
            "!Select [9223372036854775807, [a, b]]",
            "Template error: Fn::Select cannot select nonexistent value at index 9223372036854775807",
        ),
        ("!Split [',']", SPLIT),
        ("!Split ['', a]", SPLIT),
        ("!Split [',', [a]]", SPLIT),
        ("!Split [',', !Ref Subnets]", SPLIT),
        ("!If [Web, 1]", "Template error: Fn::If requires a list argument with three elements"),
        (
            "!If [[Web], 1, 2]",
            "Template error: Fn::If requires a list argument with the first element being a condition",
        ),
        ("!If [Nobody, 1, 2]", "Template error: unresolved condition dependency Nobody in Fn::If"),
        ("!FindInMap [Sizes, a]", FIND_IN_MAP),
        ("!FindInMap [Sizes, [a], b]", FIND_IN_MAP),
        ("!FindInMap [Sizes, a, b, {Default: 1}]", FIND_IN_MAP),
        (
            "!FindInMap [Nobody, a, b]",
            "Template error: Mapping named 'Nobody' is not present in the 'Mappings' section of template.",
        ),
        (
            "!FindInMap [!Ref Name, a, b]",
            "Template error: Mapping named 'web' is not present in the 'Mappings' section of template.",
        ),
        ("!FindInMap [Sizes, a, Cpu]", "Template error: Unable to get mapping for Sizes::a::Cpu"),
        (
            "!FindInMap [Sizes, eu-central-1, Ram]",
            "Template error: Unable to get mapping for Sizes::eu-central-1::Ram",
        ),
        ("!ImportValue nothing", "No export named nothing found"),
        ("!ImportValue [a]", "Template error: every Fn::ImportValue object must have a String-typed value."),
        (
            "{'Fn::ImportValue': !Ref Other}",
            "Template error: the attribute in Fn::ImportValue must not depend on any resources, imported values, or Fn::GetAZs",
        ),
        (
            "{'Fn::ImportValue': !Sub '${Other.Arn}'}",
            "Template error: the attribute in Fn::ImportValue must not depend on any resources, imported values, or Fn::GetAZs",
        ),
        (
            "{'Fn::ImportValue': !ImportValue a}",
            "Template error: the attribute in Fn::ImportValue must not depend on any resources, imported values, or Fn::GetAZs",
        ),
        ("!Base64 [a]", "Template error: every Fn::Base64 object must have a String-typed value."),
        (
            "{'Fn::Base64': !Ref Subnets}",
            "Template error: every Fn::Base64 object must have a String-typed value.",
        ),
        ("!GetAZs [a]", "Template error: every Fn::GetAZs object must have a String-typed value."),
        (
            "!Cidr [a]",
            "Template error: every Fn::Cidr object requires two or three parameters, (1) an IP address block, (2) a count and (3) the number of subnet bits",
        ),
        (
            "!Cidr [10.0.0.0/24, 9, 5]",
            "Template error: Fn::Cidr cannot fit 9 blocks with 5 CIDR bits in 10.0.0.0/24",
        ),
        ("!ToJsonString a", "Template error: Fn::ToJsonString requires an object or a list"),
        ("!Length a", "Template error: Fn::Length requires a list or a function that returns a list"),
        (
            "{'Fn::Length': !Ref Name}",
            "Template error: Fn::Length requires a list or a function that returns a list",
        ),
        (
            "!Equals [a, b]",
            "Template error: Fn::Equals can only be used in Conditions, Rules and within other conditions",
        ),
        ("!RefAll AWS::EC2::VPC::Id", "Template error: Fn::RefAll can only be used in Rules"),
        (
            "{'Fn::Join': ['', []], Other: 1}",
            "Template error: Fn::Join must be the only member of its object",
        ),
        (
            "{'Fn::Transform': {Name: 'AWS::Include', Parameters: {Location: s3://b/k}}}",
            "Transform AWS::Include is not supported",
        ),
        ("!Transform {Name: 'AWS::Include'}", "Transform AWS::Include is not supported"),
        (
            "{'Fn::ForEach::Loop': [X, [a, b], {}]}",
            "Fn::ForEach is not supported: the transform AWS::LanguageExtensions serves Fn::ToJsonString and Fn::Length (Fn::ForEach::Loop)",
        ),
    ] {
        assert_eq!(property(value), expected, "{value}");
    }
    let unknown = property("{'Fn::Nonsense': a}");
    assert!(unknown.starts_with("Template error: Encountered unsupported function: Fn::Nonsense Supported functions are: [Fn::Base64, "), "{unknown}");
}

#[test]
fn conditions_decide() {
    for (condition, expected) in [
        ("!Equals [a, a]", true),
        ("!Equals [80, '80']", true),
        ("!Equals [true, 'true']", true),
        ("!Equals [a, b]", false),
        ("!Equals [!Ref AWS::Region, eu-central-1]", true),
        ("!Equals [!Join ['', !Ref List], ab]", true),
        ("!Equals [!Sub '${Name}', web]", true),
        ("!Equals [!FindInMap [M, a, b], c]", true),
        ("!Equals [!Select [0, !Ref List], a]", true),
        ("!Not [!Condition Same]", false),
        ("!And [!Condition Same, !Equals [a, a]]", true),
        ("!And [!Condition Same, !Condition Other]", false),
        ("!Or [!Condition Other, !Condition Same]", true),
        ("!Or [!Condition Other, !Condition Other]", false),
        ("!Condition Same", true),
        // What comes after the answer is left alone.
        ("!Or [!Condition Same, !Equals [!FindInMap [M, nowhere, b], c]]", true),
        ("!And [!Condition Other, !Equals [!FindInMap [M, nowhere, b], c]]", false),
        ("!Equals [!If [Same, a, !FindInMap [M, nowhere, b]], a]", true),
    ] {
        let text = format!(
            "Parameters: {{Name: {{Type: String, Default: web}}, List: {{Type: CommaDelimitedList, Default: 'a,b'}}}}\nMappings: {{M: {{a: {{b: c}}}}}}\nConditions:\n  Same: !Equals [a, a]\n  Other: !Equals [a, b]\n  It: {condition}\nResources: {{R: {{Type: Test::Any, Condition: It}}, Always: {{Type: Test::Any}}}}\n"
        );
        let evaluation = evaluate(&text, &[]).unwrap_or_else(|error| panic!("{condition}: {error}"));
        assert_eq!(evaluation.conditions()["It"], expected, "{condition}");
        assert_eq!(evaluation.resource("R").is_some(), expected, "{condition}");
    }
}

#[test]
fn extensions_of_the_language_need_their_transform() {
    for value in ["!Length [a]", "!ToJsonString {a: b}", "!FindInMap [M, a, c, {DefaultValue: 1}]"] {
        let text = format!(
            "Mappings: {{M: {{a: {{b: c}}}}}}\nResources: {{R: {{Type: T, Properties: {{P: {value}}}}}}}\n"
        );
        let error = evaluate(&text, &[]).unwrap_err().to_string();
        assert!(error.starts_with("Template error: Encountered unsupported function: "), "{value}: {error}");
        assert!(evaluate(&format!("Transform: AWS::LanguageExtensions\n{text}"), &[]).is_ok(), "{value}");
    }
}

/// In a plan, values of resources that will be new are not known; what is made of them is not either, and never an error.
#[test]
fn what_is_made_of_unknown_values_is_unknown() {
    struct Planned;
    impl World for Planned {
        fn reference(&self, _logical_id: &str) -> Option<Value> {
            Some(Value::from(KNOWN_AFTER_APPLY))
        }
        fn attribute(&self, _logical_id: &str, _attribute: &str) -> Attribute {
            Attribute::Value(Value::from(KNOWN_AFTER_APPLY))
        }
        fn import(&self, _export_name: &str) -> Option<Value> {
            None
        }
        fn availability_zones(&self, _region: &str) -> Vec<String> {
            vec![]
        }
    }
    for value in [
        "!Ref Other",
        "!Sub 'a-${Other}'",
        "!Join ['-', [a, !Ref Other]]",
        "!Join ['-', !GetAtt Other.List]",
        "!Select [1, !GetAtt Other.List]",
        "!Select [1, !Split [',', !Ref Other]]",
        "!Split [',', !Ref Other]",
        "{'Fn::Base64': !Sub '${Other.Arn}'}",
        "!Cidr [!GetAtt Other.CidrBlock, 2, 8]",
        "{'Fn::Length': !GetAtt Other.List}",
        "{a: [{b: !Ref Other}]}",
    ] {
        let evaluation = evaluate(&format!("{HEAD}{value}\n"), &[]).unwrap();
        let properties =
            evaluation.properties("It", &Planned).unwrap_or_else(|error| panic!("{value}: {error}"));
        assert!(!is_known(properties.get("P").unwrap()), "{value}");
    }
}
