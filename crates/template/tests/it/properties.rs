//! What holds for every template, found by making many.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gantry_template::{Evaluation, Template, TemplateError, limits};
use gantry_types::Value;
use proptest::prelude::*;

use crate::stack::{Account, inputs, pseudo};
use crate::systems::TEMPLATES;

/// Everything that is done to a template on its way to a stack.
fn go_all_the_way(text: &str) -> Result<(), TemplateError> {
    let template = Template::parse(text, limits::FETCHED_BODY_BYTES_MAX)?;
    template.capabilities();
    let given: Vec<(&str, &str)> = template
        .parameters
        .iter()
        .filter(|(_, parameter)| parameter.default.is_none())
        .map(|(name, _)| (name.as_str(), "1"))
        .collect();
    let mut parameters = template.parameter_values(&inputs(&given), &BTreeMap::new())?;
    let names: Vec<String> = parameters.iter().map(|(name, _)| name.clone()).collect();
    parameters.lookups();
    names.iter().for_each(|name| parameters.resolve(name, "x".to_owned()));
    let evaluation = Evaluation::new(Arc::new(template), parameters, pseudo())?;
    evaluation.check_rules(&Account)?;
    for logical_id in evaluation.graph().order() {
        let properties = evaluation.properties(&logical_id, &Account)?;
        gantry_template::dynamic_references(&properties)?;
        evaluation.metadata(&logical_id, &Account)?;
        evaluation.creation_policy(&logical_id, &Account)?;
        evaluation.update_policy(&logical_id, &Account)?;
    }
    evaluation.outputs(&Account).map(|_| ())
}

/// Pieces that mean something in a template, so that mutations get past the first check.
const PIECES: &[&str] = &[
    "!Ref ",
    "!Sub '${A}'",
    "!GetAtt A.B",
    "{",
    "}",
    "[",
    "]",
    ":",
    " ",
    "\n",
    "  ",
    "- ",
    "'",
    "\"",
    "|",
    ">",
    "&a ",
    "*a",
    "<<",
    "Fn::If",
    "Fn::Join",
    "AWS::NoValue",
    "Condition",
    "null",
    "~",
    "yes",
    "0x1",
    "${",
    "!!str ",
    "? ",
    "%",
    "---\n",
    "\t",
    "\u{feff}",
    "ü",
];

fn mutated(text: &str, cuts: &[(usize, usize, usize)]) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for (at, length, piece) in cuts {
        let at = at % (characters.len() + 1);
        let end = (at + length).min(characters.len());
        characters.splice(at..end, PIECES[piece % PIECES.len()].chars());
    }
    characters.into_iter().collect()
}

/// A value as YAML's flow style writes it with quotes around every text.
fn yaml(value: &Value) -> String {
    match value {
        Value::List(items) => format!("[{}]", items.iter().map(yaml).collect::<Vec<_>>().join(", ")),
        Value::Map(members) => {
            let members: Vec<String> =
                members.iter().map(|(key, member)| format!("{}: {}", quoted(key), yaml(member))).collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::String(text) => quoted(text),
        other => gantry_template::text_of(other).expect("a scalar").into_owned(),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1000i32..1000, 1u32..100)
            .prop_map(|(whole, part)| Value::Float(f64::from(whole) + f64::from(part) / 128.0)),
        "[ -~üé]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            prop::collection::btree_map("[A-Za-z0-9.-]{1,8}", inner, 0..5).prop_map(Value::Map),
        ]
    })
}

/// Edges from later to earlier resources: no circles.
fn edges() -> impl Strategy<Value = Vec<Vec<usize>>> {
    prop::collection::vec(prop::collection::vec(0usize..30, 0..4), 1..30).prop_map(|all| {
        all.into_iter().enumerate().map(|(at, to)| to.into_iter().filter(|to| *to < at).collect()).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,200}") {
        let _ = go_all_the_way(&text);
        let _ = go_all_the_way(&format!("{{{text}"));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = go_all_the_way(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_damaged_template_makes_it_panic(
        which in 0..TEMPLATES.len(),
        cuts in prop::collection::vec((any::<usize>(), 0usize..12, any::<usize>()), 1..6),
    ) {
        let _ = go_all_the_way(&mutated(TEMPLATES[which], &cuts));
    }

    #[test]
    fn json_and_yaml_of_a_document_are_the_same(value in values()) {
        let mut properties = Value::map();
        properties.set("P", value);
        let mut resource = Value::map();
        resource.set("Type", "Test::Any");
        resource.set("Properties", properties);
        let document = Value::Map(BTreeMap::from([("Resources".to_owned(), Value::Map(BTreeMap::from([("R".to_owned(), resource)])))]));
        let json = Template::parse(&plain_json(&document), limits::BODY_BYTES_MAX);
        let yaml_text = format!("'Resources': {}\n", yaml(document.get("Resources").unwrap()));
        prop_assert_eq!(&json, &Template::parse(&yaml_text, limits::BODY_BYTES_MAX));
        if let Ok(template) = json {
            let evaluation = Evaluation::new(Arc::new(template), Default::default(), pseudo()).unwrap();
            let evaluated = evaluation.properties("R", &Account).unwrap();
            prop_assert_eq!(evaluated.get("P"), document.get("Resources").unwrap().get("R").unwrap().get("Properties").unwrap().get("P"));
        }
    }

    #[test]
    fn order_and_readiness_respect_every_edge(edges in edges()) {
        let mut text = "Resources:\n".to_owned();
        for (at, to) in edges.iter().enumerate() {
            let refs: Vec<String> = to.iter().map(|to| format!("!Ref R{to}")).collect();
            text.push_str(&format!("  R{at}: {{Type: T, Properties: {{P: [{}]}}}}\n", refs.join(", ")));
        }
        let evaluation = Evaluation::new(Arc::new(Template::parse(&text, limits::FETCHED_BODY_BYTES_MAX).unwrap()), Default::default(), pseudo()).unwrap();
        let graph = evaluation.graph();
        let place: BTreeMap<String, usize> = graph.order().into_iter().enumerate().map(|(at, name)| (name, at)).collect();
        prop_assert_eq!(place.len(), edges.len());
        for (at, to) in edges.iter().enumerate() {
            for to in to {
                let (needed, needing) = (format!("R{to}"), format!("R{at}"));
                prop_assert!(place[&needed] < place[&needing]);
            }
        }
        // Taking always what is ready gets through, and so does deleting always what nothing needs.
        for deleting in [false, true] {
            let mut done = BTreeSet::new();
            while done.len() < edges.len() {
                let next = if deleting { graph.deletable(&done) } else { graph.ready(&done) };
                prop_assert!(!next.is_empty());
                let against = if deleting { graph.dependents() } else { graph.dependencies() };
                for name in &next {
                    prop_assert!(against[name].is_subset(&done));
                }
                done.extend(next);
            }
        }
    }

    #[test]
    fn evaluation_does_not_depend_on_its_order(which in 0..TEMPLATES.len(), seed in any::<u64>()) {
        let template = Template::parse(TEMPLATES[which], limits::BODY_BYTES_MAX).unwrap();
        let parameters = template.parameter_values(&BTreeMap::new(), &BTreeMap::new()).unwrap();
        let evaluation = Evaluation::new(Arc::new(template), parameters, pseudo()).unwrap();
        let mut names = evaluation.graph().order();
        let expected: BTreeMap<String, Value> = names.iter().map(|name| (name.clone(), evaluation.properties(name, &Account).unwrap())).collect();
        let count = names.len();
        for at in 0..count {
            names.swap(at, (seed as usize).wrapping_mul(at + 7) % count);
        }
        for name in names {
            prop_assert_eq!(&evaluation.properties(&name, &Account).unwrap(), &expected[&name]);
        }
    }

    /// The same changes in any document: an update to itself is none.
    #[test]
    fn a_value_is_the_same_as_itself(value in values()) {
        prop_assert!(gantry_template::same(&value, &value));
        prop_assert_eq!(gantry_template::changed_properties(&value, &value), Vec::<String>::new());
    }
}

fn plain_json(value: &Value) -> String {
    match value {
        Value::List(items) => format!("[{}]", items.iter().map(plain_json).collect::<Vec<_>>().join(",")),
        Value::Map(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(key, member)| {
                    format!("{}:{}", serde_json::to_string(key).unwrap(), plain_json(member))
                })
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::String(text) => serde_json::to_string(text).unwrap(),
        other => gantry_template::text_of(other).expect("a scalar").into_owned(),
    }
}
