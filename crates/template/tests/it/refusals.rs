//! Templates that are refused, and CloudFormation's words for it.

use crate::stack::{evaluate, parse};

fn refusal(text: &str) -> String {
    match evaluate(text, &[]) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    }
}

const R: &str = "Resources: {R: {Type: Test::Any}}\n";

#[test]
fn wrong_templates_are_refused() {
    let many = |section: &str, count: usize, member: &str| {
        let members: String = (0..count).map(|index| format!("  N{index}: {member}\n")).collect();
        format!("{section}:\n{members}")
    };
    let or = |count: usize| vec!["!Equals [a, b]"; count].join(", ");
    for (text, expected) in [
        // The text.
        ("", "Template format error: unsupported structure."),
        ("hello", "Template format error: unsupported structure."),
        ("[a, b]", "Template format error: unsupported structure."),
        ("{", "Template format error: JSON not well-formed. (line 1, column 2)"),
        ("{\n  \"Resources\": {,}\n}", "Template format error: JSON not well-formed. (line 2, column 17)"),
        ("{\"Resources\": {}} x", "Template format error: JSON not well-formed. (line 1, column 19)"),
        ("{'Resources': {}}", "Template format error: JSON not well-formed. (line 1, column 2)"),
        ("{\"A\": 01}", "Template format error: JSON not well-formed. (line 1, column 7)"),
        ("{\"A\": \"\\x\"}", "Template format error: JSON not well-formed. (line 1, column 7)"),
        ("{\"A\": \"\u{1}\"}", "Template format error: JSON not well-formed. (line 1, column 7)"),
        ("{\"A\": 1, \"A\": 2}", "Template format error: Duplicate key 'A' (line 1, column 16)"),
        ("Resources:\n  R: {Type: [}\n", "Template format error: YAML not well-formed. (line 2, column 14)"),
        (
            "Resources:\n  A: {Type: T}\n  A: {Type: T}\n",
            "Template format error: Duplicate key 'A' (line 3, column 3)",
        ),
        (
            "Resources:\n  R: &r {Type: T}\n  Q: *r\n",
            "Template error: YAML aliases are not allowed in CloudFormation templates",
        ),
        (
            "Resources:\n  R: {<<: {Type: T}}\n",
            "Template format error: YAML hash merges are not allowed in CloudFormation templates (line 2, column 7)",
        ),
        ("Resources:\n  R: !Reff a\n", "Template format error: Unsupported tag !Reff (line 2, column 6)"),
        (
            "Resources:\n  R: !!binary aGk=\n",
            "Template format error: Unsupported tag tag:yaml.org,2002:binary (line 2, column 6)",
        ),
        (
            "Resources:\n  ? [a]\n  : {Type: T}\n",
            "Template format error: map keys must be strings; received a list instead (line 2, column 7)",
        ),
        (
            "Resources:\n  !Ref a: {Type: T}\n",
            "Template format error: map keys must be strings; received a map instead (line 2, column 3)",
        ),
        (
            "Resources: {R: {Type: T}}\n---\na: b\n",
            "Template format error: YAML not well-formed. (line 2, column 1)",
        ),
        // Sections.
        ("Resources:\n", "[/Resources] 'null' values are not allowed in templates"),
        (
            "Resources:\n  R:\n    Type: T\n    Properties:\n      L: [a, ~]\n",
            "[/Resources/R/Properties/L/1] 'null' values are not allowed in templates",
        ),
        ("Description: x\n", "Template format error: At least one Resources member must be defined."),
        ("Resources: {}\n", "Template format error: At least one Resources member must be defined."),
        ("Resources: [a]\n", "Template format error: Resources must be an object."),
        ("Foo: 1\nBar: 2\nResources: {R: {Type: T}}\n", "Invalid template property or properties [Bar, Foo]"),
        (
            "AWSTemplateFormatVersion: 2010-09-10\nResources: {R: {Type: T}}\n",
            "Template format error: unsupported value for AWSTemplateFormatVersion.",
        ),
        (
            "Transform: AWS::Serverless-2016-10-31\nResources: {R: {Type: T}}\n",
            "Transform AWS::Serverless-2016-10-31 is not supported; supported transforms: AWS::LanguageExtensions",
        ),
        (
            "Transform: [AWS::LanguageExtensions, Mine]\nResources: {R: {Type: T}}\n",
            "Transform Mine is not supported; supported transforms: AWS::LanguageExtensions",
        ),
        (
            "Transform: {Name: 'AWS::Include'}\nResources: {R: {Type: T}}\n",
            "Transform AWS::Include is not supported; supported transforms: AWS::LanguageExtensions",
        ),
        // Resources.
        ("Resources: {R: a}\n", "Template format error: Any Resources member must be an object."),
        ("Resources: {my-r: {Type: T}}\n", "Template format error: Resource name my-r is non alphanumeric."),
        (
            "Resources: {R: {}}\n",
            "Template format error: [/Resources/R] Every Resources object must contain a Type member.",
        ),
        (
            "Resources: {R: {Type: [a]}}\n",
            "Template format error: [/Resources/R/Type] Every Type member must be a string.",
        ),
        ("Resources: {R: {Type: T, Propertys: {}}}\n", "Invalid template resource property 'Propertys'"),
        (
            "Resources: {R: {Type: T, Properties: [a]}}\n",
            "Template format error: Every Properties member must be an object.",
        ),
        (
            "Resources: {R: {Type: T, Properties: !Ref R}}\n",
            "Template format error: Every Properties member must be an object.",
        ),
        (
            "Resources: {R: {Type: T, DependsOn: {a: b}}}\n",
            "Template format error: DependsOn must be a string or list of strings.",
        ),
        (
            "Resources: {R: {Type: T, DependsOn: [Q]}}\n",
            "Template format error: Unresolved resource dependencies [Q] in the Resources block of the template",
        ),
        (
            "Resources: {R: {Type: T, Condition: C}}\n",
            "Template format error: Unresolved condition dependency C in the Resources block of the template",
        ),
        (
            "Resources: {R: {Type: T, DeletionPolicy: Keep}}\n",
            "Template format error: Unrecognized DeletionPolicy Keep for resource R",
        ),
        (
            "Resources: {R: {Type: T, DeletionPolicy: [Keep]}}\n",
            "Template format error: Every DeletionPolicy member must be a string.",
        ),
        (
            "Resources: {R: {Type: T, UpdateReplacePolicy: RetainExceptOnCreate}}\n",
            "Template format error: Unrecognized UpdateReplacePolicy RetainExceptOnCreate for resource R",
        ),
        (
            "Resources: {R: {Type: T, CreationPolicy: {ResourceSignal: {Timeout: 5M}}}}\n",
            "Template format error: [/Resources/R/CreationPolicy/ResourceSignal/Timeout] Timeout must be an ISO 8601 duration of at most PT12H",
        ),
        (
            "Resources: {R: {Type: T, CreationPolicy: {ResourceSignal: {Timeout: PT13H}}}}\n",
            "Template format error: [/Resources/R/CreationPolicy/ResourceSignal/Timeout] Timeout must be an ISO 8601 duration of at most PT12H",
        ),
        (
            "Resources: {R: {Type: T, CreationPolicy: {ResourceSignal: {Count: x}}}}\n",
            "Template format error: [/Resources/R/CreationPolicy/ResourceSignal/Count] Count must be a non-negative integer",
        ),
        (
            "Resources: {R: {Type: T, Metadata: a}}\n",
            "Template format error: Every Metadata member must be an object.",
        ),
        // Circles.
        (
            "Resources:\n  A: {Type: T, DependsOn: B}\n  B: {Type: T, Properties: {P: !Ref A}}\n  C: {Type: T, DependsOn: A}\n",
            "Circular dependency between resources: [A, B]",
        ),
        (
            "Resources:\n  A: {Type: T, Properties: {P: !Sub '${A.Arn}'}}\n",
            "Circular dependency between resources: [A]",
        ),
        // Parameters.
        (
            "Parameters: {P: a}\nResources: {R: {Type: T}}\n",
            "Template format error: Any Parameters member must be an object.",
        ),
        (
            "Parameters: {my_p: {Type: String}}\nResources: {R: {Type: T}}\n",
            "Template format error: Parameter name my_p is non alphanumeric.",
        ),
        (
            "Parameters: {P: {Default: a}}\nResources: {R: {Type: T}}\n",
            "Template format error: Every Parameters object must contain a Type member.",
        ),
        (
            "Parameters: {P: {Type: Strin}}\nResources: {R: {Type: T}}\n",
            "Template format error: Unrecognized parameter type: Strin",
        ),
        (
            "Parameters: {P: {Type: String, Defaults: a}}\nResources: {R: {Type: T}}\n",
            "Invalid template parameter property 'Defaults'",
        ),
        (
            "Parameters: {P: {Type: String, Default: [a]}}\nResources: {R: {Type: T}}\n",
            "Template format error: Every Default member must be a string.",
        ),
        (
            "Parameters: {P: {Type: String, AllowedValues: a}}\nResources: {R: {Type: T}}\n",
            "Template format error: Every AllowedValues member must be a list.",
        ),
        (
            "Parameters: {P: {Type: String, MinValue: 1}}\nResources: {R: {Type: T}}\n",
            "Template error: Parameter 'P' MinValue must be on a parameter of type Number",
        ),
        (
            "Parameters: {P: {Type: Number, AllowedPattern: a}}\nResources: {R: {Type: T}}\n",
            "Template error: Parameter 'P' AllowedPattern must be on a parameter of type String",
        ),
        (
            "Parameters: {P: {Type: String, MinLength: 3, MaxLength: 2}}\nResources: {R: {Type: T}}\n",
            "Template error: Parameter 'P' MinLength must be less than MaxLength.",
        ),
        (
            "Parameters: {P: {Type: Number, MinValue: 3, MaxValue: 2.5}}\nResources: {R: {Type: T}}\n",
            "Template error: Parameter 'P' MinValue must be less than MaxValue.",
        ),
        (
            "Parameters: {P: {Type: String, Default: c, AllowedValues: [a, b]}}\nResources: {R: {Type: T}}\n",
            "Parameter 'P' must be one of AllowedValues",
        ),
        (
            "Parameters: {P: {Type: String}, Q: {Type: Number}}\nResources: {R: {Type: T}}\n",
            "Parameters: [P, Q] must have values",
        ),
        // Mappings.
        (
            "Mappings: {M: a}\nResources: {R: {Type: T}}\n",
            "Template format error: [/Mappings/M] Every Mappings member must be a map",
        ),
        (
            "Mappings: {M: {a: b}}\nResources: {R: {Type: T}}\n",
            "Template format error: [/Mappings/M/a] Every Mappings attribute must be a map",
        ),
        (
            "Mappings: {M: {a: {b: {c: d}}}}\nResources: {R: {Type: T}}\n",
            "Template format error: [/Mappings/M/a/b] Every Mappings attribute must be a String or a List.",
        ),
        (
            "Mappings: {M: {a_b: {c: d}}}\nResources: {R: {Type: T}}\n",
            "Template format error: Mappings element name 'a_b' must be non-empty and can contain only alphanumerics, '-' or '.'",
        ),
        // Conditions.
        (
            "Conditions: {C: true}\nResources: {R: {Type: T}}\n",
            "Template format error: Conditions can only be boolean operations on parameters and other conditions",
        ),
        (
            "Conditions: {C: !Ref AWS::Region}\nResources: {R: {Type: T}}\n",
            "Template format error: Conditions can only be boolean operations on parameters and other conditions",
        ),
        (
            "Conditions: {C: !Equals [!Ref R, a]}\nResources: {R: {Type: T}}\n",
            "Template format error: Unresolved dependencies [R]. Cannot reference resources in the Conditions block of the template",
        ),
        (
            "Conditions: {C: !Equals [!GetAtt R.Arn, a]}\nResources: {R: {Type: T}}\n",
            "Template format error: Cannot reference resources in the Conditions block of the template",
        ),
        (
            "Conditions: {C: !Not [!Condition D]}\nResources: {R: {Type: T}}\n",
            "Template error: unresolved condition dependency D in Condition",
        ),
        (
            "Conditions: {C: !Not [!Condition D], D: !Not [!Condition C], E: !Not [!Condition C]}\nResources: {R: {Type: T}}\n",
            "Template format error: Circular dependency between conditions: [C, D]",
        ),
        (
            "Conditions: {C: !Not [a]}\nResources: {R: {Type: T}}\n",
            "Template error: every Fn::Not object requires a list with exactly 1 boolean parameter.",
        ),
        (
            "Conditions: {C: !Equals [a]}\nResources: {R: {Type: T}}\n",
            "Template error: every Fn::Equals object requires a list of 2 string parameters.",
        ),
        (
            "Conditions: {C: !And [!Equals [a, a]]}\nResources: {R: {Type: T}}\n",
            "Template error: every Fn::And object requires a list of at least 2 and at most 10 boolean parameters.",
        ),
        (
            &format!("Conditions: {{C: !Or [{}]}}\n{R}", or(11)),
            "Template error: every Fn::Or object requires a list of at least 2 and at most 10 boolean parameters.",
        ),
        (&format!("Conditions: {{C: !Or [{}]}}\n{R}", or(10)), "accepted"),
        (
            "Conditions: {C: !Equals [!ImportValue a, b]}\nResources: {R: {Type: T}}\n",
            "Template error: Cannot use Fn::ImportValue in Conditions.",
        ),
        // Outputs.
        (&format!("{R}Outputs: {{O: a}}\n"), "Template format error: Any Outputs member must be an object."),
        (
            &format!("{R}Outputs: {{O: {{Description: a}}}}\n"),
            "Template format error: [/Outputs/O] Every Outputs member must contain a Value object",
        ),
        (
            &format!("{R}Outputs: {{O: {{Value: [a]}}}}\n"),
            "Template format error: The Value field of every Outputs member must evaluate to a String and not a List.",
        ),
        (&format!("{R}Outputs: {{O: {{Value: a, Foo: b}}}}\n"), "Invalid template output property 'Foo'"),
        (
            &format!("{R}Outputs: {{O-1: {{Value: a}}}}\n"),
            "Template format error: Output name O-1 is non alphanumeric.",
        ),
        (
            &format!("{R}Outputs: {{O: {{Value: !Ref X}}}}\n"),
            "Template format error: Unresolved resource dependencies [X] in the Outputs block of the template",
        ),
        (
            &format!("{R}Outputs: {{O: {{Value: a, Condition: C}}}}\n"),
            "Template format error: Unresolved condition dependency C in the Outputs block of the template",
        ),
        (
            &format!("{R}Outputs: {{O: {{Value: a, Export: {{}}}}}}\n"),
            "Template format error: Output O is malformed. The Name field of every Export member must be specified and consist only of alphanumeric characters, colons, or hyphens.",
        ),
        (
            "Conditions: {N: !Equals [a, b]}\nResources: {R: {Type: T}, G: {Type: T, Condition: N}}\nOutputs: {O: {Value: !Ref G}}\n",
            "Template format error: Unresolved resource dependencies [G] in the Outputs block of the template",
        ),
        (
            "Conditions: {N: !Equals [a, b]}\nResources: {R: {Type: T}, G: {Type: T, Condition: N}}\nOutputs: {O: {Value: !Ref G, Condition: N}}\n",
            "accepted",
        ),
        // Limits.
        (
            &many("Resources", 501, "{Type: T}"),
            "Template format error: Number of resources, 501, is greater than maximum allowed, 500",
        ),
        (&many("Resources", 500, "{Type: T}"), "accepted"),
        (
            &format!("{R}{}", many("Parameters", 201, "{Type: String, Default: a}")),
            "Template format error: Number of parameters, 201, is greater than maximum allowed, 200",
        ),
        (&format!("{R}{}", many("Parameters", 200, "{Type: String, Default: a}")), "accepted"),
        (
            &format!("{R}{}", many("Outputs", 201, "{Value: a}")),
            "Template format error: Number of outputs, 201, is greater than maximum allowed, 200",
        ),
        (
            &format!("{R}{}", many("Mappings", 201, "{a: {b: c}}")),
            "Template format error: Number of mappings, 201, is greater than maximum allowed, 200",
        ),
        (
            &format!("{R}Description: '{}'\n", "x".repeat(1025)),
            "Template format error: 'Description' length is greater than 1024.",
        ),
        (
            &format!("{R}Description: '{}'\n", "x".repeat(51_200)),
            "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to 51200",
        ),
    ] {
        let shown: String = text.chars().take(300).collect();
        assert_eq!(refusal(text), expected, "{shown}");
    }
}

#[test]
fn a_body_may_be_as_long_as_it_says() {
    let body = |length: usize| {
        let head = "Resources: {R: {Type: T}}\n#";
        format!("{head}{}", "x".repeat(length - head.len()))
    };
    assert!(parse(&body(51_200)).is_ok());
    assert!(parse(&body(51_201)).is_err());
    let fetched = gantry_template::limits::FETCHED_BODY_BYTES_MAX;
    assert!(gantry_template::Template::parse(&body(fetched), fetched).is_ok());
    assert!(gantry_template::Template::parse(&body(fetched + 1), fetched).is_err());
}
