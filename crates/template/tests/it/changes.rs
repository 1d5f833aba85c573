//! What an update does to each resource.

use std::collections::BTreeMap;

use gantry_template::{
    After, Attribute, Before, ChangeAction, Changes, Evaluation, ExistingResource, RequiresRecreation,
    ResourceTypes, TemplateError, World, changed_properties, changes,
};
use gantry_types::Value;

use crate::stack::{Account, evaluate};

/// Changing `Name` always makes a new resource, `Size` sometimes; only `Test::Tagged` takes the stack's tags.
struct Types;

impl ResourceTypes for Types {
    fn requires_recreation(&self, _resource_type: &str, property: &str) -> RequiresRecreation {
        match property {
            "Name" => RequiresRecreation::Always,
            "Size" => RequiresRecreation::Conditionally,
            _ => RequiresRecreation::Never,
        }
    }
    fn takes_stack_tags(&self, resource_type: &str) -> bool {
        resource_type == "Test::Tagged"
    }
}

/// The stack as it stands after the template was deployed.
fn deployed(evaluation: &Evaluation) -> BTreeMap<String, ExistingResource> {
    evaluation
        .resources()
        .map(|(logical_id, resource)| {
            let existing = ExistingResource {
                resource_type: resource.resource_type.clone(),
                physical_id: Some(format!("id-{logical_id}")),
                properties: evaluation.properties(logical_id, &Account).unwrap(),
                metadata: evaluation.metadata(logical_id, &Account).unwrap(),
            };
            (logical_id.clone(), existing)
        })
        .collect()
}

fn update(
    old: &str,
    old_given: &[(&str, &str)],
    new: &str,
    new_given: &[(&str, &str)],
) -> Result<Changes, TemplateError> {
    let (old, new) = (evaluate(old, old_given).unwrap(), evaluate(new, new_given).unwrap());
    let (resources, tags) = (deployed(&old), BTreeMap::new());
    let before = Before { evaluation: &old, resources: &resources, tags: &tags };
    changes(before, After { evaluation: &new, tags: &tags }, &Account, &Types)
}

/// One line per resource, then its details.
fn shown(changes: &Changes) -> Vec<String> {
    let mut lines = Vec::new();
    for change in &changes.resources {
        let replacement =
            change.replacement.map(|replacement| format!(" {}", replacement.name())).unwrap_or_default();
        let policy = change.policy_action.map(|action| format!(" {action}")).unwrap_or_default();
        lines.push(format!("{} {}{replacement}{policy}", change.action.name(), change.logical_id));
        for detail in &change.details {
            let name = detail.name.as_deref().map(|name| format!(".{name}")).unwrap_or_default();
            let cause = detail.source.causing_entity().map(|cause| format!(" {cause}")).unwrap_or_default();
            lines.push(format!(
                "  {}{name} {} {} {}{cause}",
                detail.attribute.name(),
                detail.requires_recreation.name(),
                detail.evaluation.name(),
                detail.source.name()
            ));
        }
    }
    if changes.outputs_change {
        lines.push("outputs".to_owned());
    }
    lines
}

const OLD: &str = "
Parameters: {Image: {Type: String, Default: one}, Count: {Type: Number, Default: 1}}
Resources:
  Task: {Type: Test::Any, Properties: {Name: !Ref Image, Cpu: 256}}
  Service: {Type: Test::Any, Properties: {Task: !Ref Task, Count: !Ref Count, Label: a}}
  Alarm: {Type: Test::Any, Properties: {Watch: !GetAtt Service.Arn}}
  Alone: {Type: Test::Tagged, Properties: {Port: 80, Size: 1}, Metadata: {Note: a}}
Outputs:
  Url: {Value: !GetAtt Service.Url}
";

fn replaced(from: &str, to: &str) -> String {
    assert!(OLD.contains(from), "{from}");
    OLD.replace(from, to)
}

#[test]
fn changes_are_told_with_their_causes() {
    for (case, new, given, expected) in [
        ("nothing", OLD.to_owned(), &[][..], vec![]),
        ("written another way", replaced("Port: 80", "Port: '80'"), &[], vec![]),
        ("the same through a function", replaced("Label: a", "Label: !Sub a"), &[], vec![]),
        (
            "an unused parameter",
            replaced("Count: {Type: Number", "Unused: {Type: String, Default: x}, Count: {Type: Number"),
            &[],
            vec![],
        ),
        (
            "one property",
            replaced("Port: 80", "Port: 81"),
            &[],
            vec!["Modify Alone False", "  Properties.Port Never Static DirectModification"],
        ),
        (
            "a property goes, another comes",
            replaced("Port: 80", "Path: /"),
            &[],
            vec![
                "Modify Alone False",
                "  Properties.Path Never Static DirectModification",
                "  Properties.Port Never Static DirectModification",
            ],
        ),
        (
            "perhaps replaced",
            replaced("Size: 1", "Size: 2"),
            &[],
            vec![
                "Modify Alone Conditional ReplaceAndDelete",
                "  Properties.Size Conditionally Static DirectModification",
            ],
        ),
        (
            "a parameter that replaces the task, which the service names",
            OLD.to_owned(),
            &[("Image", "two")],
            vec![
                "Modify Alarm False",
                "  Properties.Watch Never Dynamic ResourceAttribute Service.Arn",
                "Modify Service False",
                "  Properties.Task Never Static ResourceReference Task",
                "Modify Task True ReplaceAndDelete",
                "  Properties.Name Always Static ParameterReference Image",
                "  Properties.Name Always Dynamic DirectModification",
            ],
        ),
        (
            "a new resource, named by one that is there",
            replaced("  Alone:", "  New: {Type: Test::Any}\n  Alone:").replace("Label: a", "Label: !Ref New"),
            &[],
            vec![
                "Modify Alarm False",
                "  Properties.Watch Never Dynamic ResourceAttribute Service.Arn",
                "Add New",
                "Modify Service False",
                "  Properties.Label Never Static ResourceReference New",
                "  Properties.Label Never Dynamic DirectModification",
            ],
        ),
        (
            "a resource goes",
            replaced("  Alarm: {Type: Test::Any, Properties: {Watch: !GetAtt Service.Arn}}\n", ""),
            &[],
            vec!["Remove Alarm Delete"],
        ),
        (
            "metadata",
            replaced("Note: a", "Note: b"),
            &[],
            vec!["Modify Alone False", "  Metadata Never Static DirectModification"],
        ),
        (
            "a policy alone",
            replaced("Type: Test::Tagged,", "Type: Test::Tagged, DeletionPolicy: Retain,"),
            &[],
            vec![],
        ),
        (
            "a policy with another change",
            replaced("Type: Test::Tagged,", "Type: Test::Tagged, DeletionPolicy: Retain,")
                .replace("Cpu: 256", "Cpu: 512"),
            &[],
            vec![
                "Modify Alone False",
                "  DeletionPolicy Never Static DirectModification",
                "Modify Task False",
                "  Properties.Cpu Never Static DirectModification",
            ],
        ),
        ("outputs", replaced("Outputs:\n", "Outputs:\n  More: {Value: x}\n"), &[], vec!["outputs"]),
    ] {
        let changes = update(OLD, &[], &new, given).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(shown(&changes), expected, "{case}");
        assert_eq!(changes.is_empty(), expected.is_empty(), "{case}");
    }
}

#[test]
fn deletion_and_replacement_follow_the_policies() {
    let old = OLD.replace(
        "Alone: {Type: Test::Tagged,",
        "Alone: {Type: Test::Tagged, DeletionPolicy: Retain, UpdateReplacePolicy: Snapshot,",
    );
    let gone = old.lines().filter(|line| !line.contains("Alone")).collect::<Vec<_>>().join("\n");
    assert_eq!(shown(&update(&old, &[], &gone, &[]).unwrap()), ["Remove Alone Retain"]);
    let bigger = old.replace("Size: 1", "Size: 2");
    assert_eq!(
        shown(&update(&old, &[], &bigger, &[]).unwrap())[0],
        "Modify Alone Conditional ReplaceAndSnapshot"
    );
}

#[test]
fn a_condition_that_turns_removes_and_adds() {
    let text = "
Parameters: {Stage: {Type: String}}
Conditions: {Prod: !Equals [!Ref Stage, prod]}
Resources:
  Extra: {Type: Test::Any, Condition: Prod}
  User: {Type: Test::Any, Properties: {Uses: !If [Prod, !Ref Extra, none]}}
";
    assert_eq!(
        shown(&update(text, &[("Stage", "test")], text, &[("Stage", "prod")]).unwrap()),
        ["Add Extra", "Modify User False", "  Properties.Uses Never Static ResourceReference Extra"]
    );
    assert_eq!(
        shown(&update(text, &[("Stage", "prod")], text, &[("Stage", "test")]).unwrap()),
        ["Remove Extra Delete", "Modify User False", "  Properties.Uses Never Static DirectModification"]
            .map(str::to_owned)
    );
}

#[test]
fn a_resource_keeps_its_type() {
    let other = OLD.replace("Test::Tagged", "Test::Other");
    assert_eq!(
        update(OLD, &[], &other, &[]).unwrap_err().to_string(),
        "Update of resource type is not permitted. The new template modifies resource type of the following resources: [Alone]"
    );
}

#[test]
fn tags_of_the_stack_change_what_takes_them() {
    let evaluation = evaluate(OLD, &[]).unwrap();
    let resources = deployed(&evaluation);
    let (old, new) = (BTreeMap::new(), BTreeMap::from([("team".to_owned(), "shop".to_owned())]));
    let before = Before { evaluation: &evaluation, resources: &resources, tags: &old };
    let changes = changes(before, After { evaluation: &evaluation, tags: &new }, &Account, &Types).unwrap();
    assert_eq!(shown(&changes), ["Modify Alone False", "  Tags Never Static DirectModification"]);
    assert_eq!(changes.resources[0].action, ChangeAction::Modify);
    assert_eq!(changes.resources[0].scope().len(), 1);
}

/// A value that comes from elsewhere, here from an export, may change though nobody touched the template.
#[test]
fn what_comes_from_elsewhere_counts_as_modified() {
    struct Moved;
    impl World for Moved {
        fn reference(&self, logical_id: &str) -> Option<Value> {
            Account.reference(logical_id)
        }
        fn attribute(&self, logical_id: &str, attribute: &str) -> Attribute {
            Account.attribute(logical_id, attribute)
        }
        fn import(&self, _export_name: &str) -> Option<Value> {
            Some(Value::from("vpc-2"))
        }
        fn availability_zones(&self, _region: &str) -> Vec<String> {
            vec![]
        }
    }
    let evaluation =
        evaluate("Resources: {R: {Type: Test::Any, Properties: {Vpc: !ImportValue 'network:vpc'}}}", &[])
            .unwrap();
    let (resources, tags) = (deployed(&evaluation), BTreeMap::new());
    let before = Before { evaluation: &evaluation, resources: &resources, tags: &tags };
    let after = After { evaluation: &evaluation, tags: &tags };
    assert!(changes(before, after, &Account, &Types).unwrap().is_empty());
    assert_eq!(
        shown(&changes(before, after, &Moved, &Types).unwrap()),
        ["Modify R False", "  Properties.Vpc Never Static DirectModification"]
    );
}

#[test]
fn properties_are_compared_as_text() {
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(
        changed_properties(
            &value(r#"{"A": 80, "B": [1, {"x": true}], "C": "a", "D": {}}"#),
            &value(r#"{"A": "80", "B": ["1", {"x": "true"}], "C": "b", "E": {}}"#)
        ),
        ["C", "D", "E"]
    );
}
