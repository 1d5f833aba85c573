//! What needs what, and what is taken on a condition's branches.

use std::collections::BTreeSet;

use crate::stack::{Account, evaluate};

const TEXT: &str = "
Parameters: {Stage: {Type: String, Default: test}}
Conditions: {Prod: !Equals [!Ref Stage, prod]}
Resources:
  Vpc: {Type: T}
  Role: {Type: T, Condition: Prod}
  Subnet: {Type: T, Properties: {VpcId: !Ref Vpc}}
  Group: {Type: T, Properties: {VpcId: !Sub '${Vpc}', Name: !Sub ['${X}', {X: !GetAtt Subnet.Arn}]}}
  Service:
    Type: T
    DependsOn: [Listener]
    Properties:
      Role: !If [Prod, !GetAtt Role.Arn, !Ref AWS::NoValue]
      Groups: [!Ref Group]
  Listener: {Type: T, Metadata: {See: !Ref Group}}
Outputs:
  Url: {Value: !Sub 'http://${Listener.Dns}/', Description: where it is, Export: {Name: !Sub '${AWS::StackName}:url'}}
  Role: {Value: !Ref Role, Condition: Prod}
  Number: {Value: 80}
";

fn needs(given: &[(&str, &str)]) -> String {
    let evaluation = evaluate(TEXT, given).unwrap();
    evaluation
        .graph()
        .dependencies()
        .iter()
        .map(|(name, needed)| format!("{name}<{}", needed.iter().cloned().collect::<Vec<_>>().join("+")))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn resources_need_what_they_name_on_the_branches_that_are_taken() {
    assert_eq!(needs(&[]), "Group<Subnet+Vpc Listener<Group Service<Group+Listener Subnet<Vpc Vpc<");
    assert_eq!(
        needs(&[("Stage", "prod")]),
        "Group<Subnet+Vpc Listener<Group Role< Service<Group+Listener+Role Subnet<Vpc Vpc<"
    );
    let evaluation = evaluate(TEXT, &[("Stage", "prod")]).unwrap();
    assert_eq!(evaluation.graph().ready(&BTreeSet::new()), ["Role", "Vpc"]);
    assert_eq!(evaluation.graph().deletable(&BTreeSet::new()), ["Service"]);
    assert_eq!(evaluation.graph().order(), ["Role", "Vpc", "Subnet", "Group", "Listener", "Service"]);
}

#[test]
fn outputs_say_what_the_stack_is() {
    let outputs = evaluate(TEXT, &[]).unwrap().outputs(&Account).unwrap();
    let shown: Vec<_> = outputs
        .iter()
        .map(|output| {
            (
                output.name.as_str(),
                output.value.as_str(),
                output.description.as_deref(),
                output.export_name.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("Number", "80", None, None),
            ("Url", "http://Listener/Dns/", Some("where it is"), Some("shop:url"))
        ]
    );
    assert_eq!(evaluate(TEXT, &[("Stage", "prod")]).unwrap().outputs(&Account).unwrap().len(), 3);
    let wrong = TEXT.replace("${AWS::StackName}:url", "a b");
    assert_eq!(
        evaluate(&wrong, &[]).unwrap().outputs(&Account).unwrap_err().to_string(),
        "Template format error: Output Url is malformed. The Name field of every Export member must be specified and consist only of alphanumeric characters, colons, or hyphens."
    );
}

#[test]
fn imports_are_known_before_any_resource() {
    let text = "Parameters: {Net: {Type: String, Default: net}}\nConditions: {Never: !Equals [a, b]}\nResources:\n  A: {Type: T, Properties: {V: {'Fn::ImportValue': !Sub '${Net}-vpc'}, W: !If [Never, !ImportValue never, x]}}\n  B: {Type: T, Condition: Never, Properties: {V: !ImportValue neither}}\nOutputs: {O: {Value: !ImportValue shown}}\n";
    let names = evaluate(text, &[]).unwrap().import_names().unwrap();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["net-vpc", "shown"]);
}

#[test]
fn policies_are_read_with_their_parameters() {
    let text = "Parameters: {Count: {Type: Number, Default: 2}, Long: {Type: String, Default: PT15M}}\nResources:\n  G:\n    Type: T\n    CreationPolicy: {ResourceSignal: {Count: !Ref Count, Timeout: !Ref Long}, AutoScalingCreationPolicy: {MinSuccessfulInstancesPercent: 50}}\n    UpdatePolicy: {AutoScalingRollingUpdate: {MinInstancesInService: !Ref Count}}\n    DeletionPolicy: RetainExceptOnCreate\n    UpdateReplacePolicy: Snapshot\n    Metadata: {Gantry: {Build: !Sub './${Count}'}}\n  H: {Type: T, CreationPolicy: {ResourceSignal: {}}}\n  I: {Type: T}\n";
    let evaluation = evaluate(text, &[]).unwrap();
    let policy = evaluation.creation_policy("G", &Account).unwrap().unwrap();
    let signal = policy.resource_signal.unwrap();
    assert_eq!(
        (signal.count, signal.timeout_seconds, policy.successful_instances_percent_min),
        (2, 900, Some(50))
    );
    let signal = evaluation.creation_policy("H", &Account).unwrap().unwrap().resource_signal.unwrap();
    assert_eq!((signal.count, signal.timeout_seconds), (1, 300));
    assert_eq!(evaluation.creation_policy("I", &Account).unwrap(), None);
    let resource = evaluation.resource("G").unwrap();
    assert_eq!(
        (resource.deletion_policy.name(), resource.update_replace_policy.name()),
        ("RetainExceptOnCreate", "Snapshot")
    );
    let shown = |value| crate::stack::shown(&value);
    assert_eq!(
        shown(evaluation.update_policy("G", &Account).unwrap().unwrap()),
        r#"{"AutoScalingRollingUpdate":{"MinInstancesInService":"2"}}"#
    );
    assert_eq!(shown(evaluation.metadata("G", &Account).unwrap().unwrap()), r#"{"Gantry":{"Build":"./2"}}"#);
    assert_eq!(shown(resource.metadata.clone().unwrap()), r#"{"Gantry":{"Build":{"Fn::Sub":"./${Count}"}}}"#);
    let wrong = evaluate(text, &[("Long", "soon")]).unwrap().creation_policy("G", &Account);
    assert!(wrong.unwrap_err().to_string().contains("Timeout must be an ISO 8601 duration"));
}
