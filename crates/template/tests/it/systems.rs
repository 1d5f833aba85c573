//! Whole templates, as the systems that people run have them.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_template::{DynamicReference, Evaluation, dynamic_references, put_in};

use crate::stack::{Account, inputs, parse, pseudo, shown};

const FARGATE_SERVICE: &str = include_str!("templates/fargate_service.yaml");
const SCALE_OUT: &str = include_str!("templates/scale_out.yaml");
const TODO: &str = include_str!("templates/todo.json");
const MYSFITS: &str = include_str!("templates/mysfits.yaml");

pub(crate) const TEMPLATES: &[&str] = &[FARGATE_SERVICE, SCALE_OUT, TODO, MYSFITS];

fn evaluate(text: &str, given: &[(&str, &str)]) -> Evaluation {
    let template = parse(text).unwrap();
    let mut parameters = template.parameter_values(&inputs(given), &BTreeMap::new()).unwrap();
    parameters.resolve("NodeImage", "ami-1".to_owned());
    let evaluation = Evaluation::new(Arc::new(template), parameters, pseudo()).unwrap();
    evaluation.check_rules(&Account).unwrap();
    evaluation
}

fn property(evaluation: &Evaluation, logical_id: &str, name: &str) -> String {
    shown(evaluation.properties(logical_id, &Account).unwrap().get(name).expect("the property is there"))
}

/// What can be made at the same time, wave after wave.
fn waves(evaluation: &Evaluation) -> Vec<String> {
    let mut done = std::collections::BTreeSet::new();
    let mut waves = Vec::new();
    loop {
        let wave = evaluation.graph().ready(&done);
        if wave.is_empty() {
            return waves;
        }
        waves.push(wave.join(" "));
        done.extend(wave);
    }
}

#[test]
fn a_load_balanced_service() {
    let evaluation = evaluate(FARGATE_SERVICE, &[("DesiredCount", "2")]);
    assert_eq!(
        waves(&evaluation),
        [
            "Cluster ExecutionRole LoadBalancerGroup TargetGroup",
            "LoadBalancer TaskDefinition TaskGroup",
            "Listener",
            "Service"
        ]
    );
    assert_eq!(property(&evaluation, "Service", "DesiredCount"), r#""2""#);
    assert_eq!(property(&evaluation, "TaskDefinition", "Cpu"), "256");
    assert_eq!(
        property(&evaluation, "ExecutionRole", "AssumeRolePolicyDocument"),
        r#"{"Statement":[{"Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"123456789012"}},"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"}}],"Version":"2012-10-17"}"#
    );
    assert_eq!(
        shown(evaluation.template().resources["TaskDefinition"].metadata.as_ref().unwrap()),
        r#"{"Gantry":{"Build":"./app"}}"#
    );
    assert_eq!(evaluation.outputs(&Account).unwrap()[0].value, "http://LoadBalancer/DNSName/");
    assert_eq!(evaluation.template().capabilities().needed, ["CAPABILITY_IAM"]);
}

#[test]
fn nodes_that_follow_the_load() {
    let evaluation = evaluate(SCALE_OUT, &[]);
    assert_eq!(property(&evaluation, "Launch", "ImageId"), r#""ami-1""#);
    let user_data =
        "#!/bin/bash\necho \"ECS_CLUSTER=id-Cluster\" >> /etc/ecs/ecs.config\necho \"${PATH} stays\"\n";
    assert_eq!(property(&evaluation, "Launch", "UserData"), format!("{:?}", base64(user_data)));
    assert_eq!(property(&evaluation, "ServiceTarget", "ResourceId"), r#""service/id-Cluster/Service/Name""#);
    assert_eq!(evaluation.template().resources["Repository"].deletion_policy.name(), "Retain");
    let order = evaluation.graph().order();
    let place = |name: &str| order.iter().position(|other| other == name).expect("the resource is there");
    assert!(
        place("Nodes") < place("Service")
            && place("Cluster") < place("Launch")
            && place("Service") < place("ServiceTarget")
    );
}

#[test]
fn two_services_and_nodes_that_signal() {
    let evaluation = evaluate(TODO, &[]);
    assert_eq!(property(&evaluation, "Nodes", "MaxSize"), r#""4""#);
    let signal = evaluation.creation_policy("Nodes", &Account).unwrap().unwrap().resource_signal.unwrap();
    assert_eq!((signal.count, signal.timeout_seconds), (2, 900));
    assert_eq!(evaluation.import_names().unwrap().into_iter().collect::<Vec<_>>(), ["network:vpc"]);
    assert!(evaluation.resource("Alarm").is_none());
    assert!(
        property(&evaluation, "Task", "ContainerDefinitions")
            .contains(r#""Environment":[{"Name":"SECRET"}]"#)
    );
    let outputs = evaluation.outputs(&Account).unwrap();
    let exports: Vec<_> = outputs.iter().map(|output| output.export_name.as_deref()).collect();
    assert_eq!(exports, [Some("shop:cluster"), Some("shop:url")]);
    let prod = evaluate(TODO, &[("Stage", "prod"), ("Secret", "x")]);
    assert!(prod.resource("Alarm").is_some());
    let template = parse(TODO).unwrap();
    let parameters = template.parameter_values(&inputs(&[("Stage", "prod")]), &BTreeMap::new()).unwrap();
    let refused = Evaluation::new(Arc::new(template), parameters, pseudo()).unwrap().check_rules(&Account);
    assert!(refused.unwrap_err().to_string().contains("production needs a secret"));
}

#[test]
fn microservices_in_their_own_network() {
    let evaluation = evaluate(MYSFITS, &[]);
    assert_eq!(property(&evaluation, "PrivateSubnetOne", "AvailabilityZone"), r#""eu-central-1b""#);
    assert_eq!(
        property(&evaluation, "DynamoDbEndpoint", "ServiceName"),
        r#""com.amazonaws.eu-central-1.dynamodb""#
    );
    let needs: Vec<_> = evaluation.graph().dependencies()["NatGateway"].iter().cloned().collect();
    assert_eq!(needs, ["NatAddress", "PublicSubnetOne"]);
    let outputs = evaluation.outputs(&Account).unwrap();
    assert_eq!(outputs[0].value, "https://console.aws.amazonaws.com/#eu-central-1;table=id-Table");
    let task = evaluation.properties("MonolithTask", &Account).unwrap();
    let reference = DynamicReference { name: "/mysfits/loglevel".to_owned(), version: Some("2".to_owned()) };
    assert!(dynamic_references(&task).unwrap().into_iter().eq([reference.clone()]));
    let known = BTreeMap::from([(reference, "DEBUG".to_owned())]);
    assert!(shown(&put_in(&task, &known)).contains(r#"{"Name":"LOGLEVEL","Value":"DEBUG"}"#));
    assert!(shown(&task).contains(r#"{"Name":"CHAOSMODE","Value":"off"}"#), "a text in quotes stays a text");
}

/// Base64, computed apart from the library that the crate uses.
fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    text.as_bytes()
        .chunks(3)
        .flat_map(|chunk| {
            let bits =
                chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
            (0..4).map(move |at| {
                if at > chunk.len() {
                    '='
                } else {
                    char::from(LETTERS[(bits >> (18 - 6 * at) & 63) as usize])
                }
            })
        })
        .collect()
}
