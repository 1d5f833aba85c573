//! The two languages of templates.

use crate::stack::parse;

#[test]
fn json_and_yaml_say_the_same() {
    let yaml = parse(
        "AWSTemplateFormatVersion: 2010-09-09\nDescription: >\n  two\n  lines\nMetadata: {Anywhere: [1, yes, 0123, 1.0]}\nConditions: {C: !Equals [!Ref AWS::Region, x]}\nResources:\n  A: {Type: T, Properties: {P: !GetAtt B.C.D, Q: !Base64 x, 443: \"\\u00fc\\n\", R: !GetAZs }}\n  B: {Type: T}\n",
    )
    .unwrap();
    let json = parse(
        r#"{"AWSTemplateFormatVersion": "2010-09-09", "Description": "two lines\n", "Metadata": {"Anywhere": [1, true, "0123", 1.0]},
            "Conditions": {"C": {"Fn::Equals": [{"Ref": "AWS::Region"}, "x"]}},
            "Resources": {"A": {"Type": "T", "Properties": {"P": {"Fn::GetAtt": ["B", "C.D"]}, "Q": {"Fn::Base64": "x"}, "443": "\u00fc\n", "R": {"Fn::GetAZs": ""}}},
            "B": {"Type": "T"}}}"#,
    )
    .unwrap();
    assert_eq!(yaml, json);
    assert_eq!(yaml.description.as_deref(), Some("two lines\n"));
}

#[test]
fn a_byte_order_mark_and_a_surrogate_pair_are_read() {
    let template =
        parse("\u{feff}{\"Description\": \"\\ud83d\\ude80 \\/\", \"Resources\": {\"R\": {\"Type\": \"T\"}}}")
            .unwrap();
    assert_eq!(template.description.as_deref(), Some("🚀 /"));
    assert!(parse("\u{feff}Resources: {R: {Type: T}}\n").is_ok());
}

#[test]
fn block_texts_of_user_data_keep_their_lines() {
    let template = parse("Resources:\n  R:\n    Type: T\n    Properties:\n      UserData:\n        Fn::Base64: !Sub |\n          #!/bin/bash\n          echo ${AWS::Region} >> /etc/x\n").unwrap();
    let properties = crate::stack::evaluate("Resources:\n  R:\n    Type: T\n    Properties:\n      UserData: !Sub |\n          #!/bin/bash\n          echo ${AWS::Region} >> /etc/x\n", &[]).unwrap().properties("R", &crate::stack::Account).unwrap();
    assert_eq!(
        properties.get("UserData").and_then(gantry_types::Value::as_str),
        Some("#!/bin/bash\necho eu-central-1 >> /etc/x\n")
    );
    assert_eq!(template.resources["R"].resource_type, "T");
}
