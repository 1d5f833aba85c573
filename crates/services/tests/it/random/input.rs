//! Inputs from shapes.

use std::collections::BTreeMap;

use gantry_domain::View;
use gantry_domain::elb::{Listener, LoadBalancer, Rule, TargetGroup};
use gantry_domain::network::{NetworkInterface, Vpc};
use gantry_domain::object::Object;
use gantry_domain::service::{Cluster, Service, ServiceStatus};
use gantry_domain::task::Task;
use gantry_domain::task_definition::{TaskDefinition, TaskDefinitionStatus};
use gantry_types::{Ids, Timestamp, Value};
use gantry_wire::OperationModel;
use gantry_wire::shape::{Kind, Shape};
use serde_json::{Value as Json, json};

use crate::ecs::definition;
use crate::world::{Answer as _, World};

/// What nobody should send.
const NONSENSE: [&str; 14] = [
    "",
    " ",
    "\u{0}",
    "ü",
    "a/b",
    "../..",
    "arn:",
    "arn:aws:ecs:us-east-1:123456789012:cluster/",
    "arn:aws:ecs:eu-west-1:123456789012:service/web/site",
    "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup",
    "vpc-",
    "-1",
    "99999999999999999999",
    "💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥",
];
const RANGES: [&str; 9] = [
    "10.0.0.0/16",
    "10.0.1.0/24",
    "172.31.48.0/20",
    "172.31.64.0/24",
    "172.31.65.0/24",
    "172.31.66.0/28",
    "172.31.128.0/18",
    "0.0.0.0/0",
    "10.0.0.0/33",
];
const NUMBERS: [i64; 14] = [1, 2, 3, 5, 10, 80, 81, 100, 200, 8000, 0, -1, i32::MAX as i64, i32::MIN as i64];
const DEPTH_MAX: u32 = 6;
/// Of what there is more, the oldest is forgotten.
const KNOWN_MAX: usize = 24;

/// Names, by what they are names of.
pub(super) struct Source {
    /// What can be named without being there, and what was there once.
    known: BTreeMap<&'static str, Vec<String>>,
    live: BTreeMap<&'static str, Vec<String>>,
}

/// The kinds of names, by how an id or ARN begins.
const KINDS: [(&str, &str); 14] = [
    ("vpc-", "vpc"),
    ("subnet-", "subnet"),
    ("sg-", "group"),
    ("sgr-", "rule-id"),
    ("rtb-", "table"),
    ("rtbassoc-", "association"),
    ("igw-", "gateway"),
    ("acl-", "acl"),
    ("eni-", "interface"),
    ("arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/", "balancer"),
    ("arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/", "target-group"),
    ("arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/", "listener"),
    ("arn:aws:elasticloadbalancing:us-east-1:123456789012:listener-rule/", "rule"),
    ("arn:aws:ecs:us-east-1:123456789012:task/", "task"),
];

/// The kind that a member names.
fn kind_of(member: &str) -> Option<&'static str> {
    let member = member.to_ascii_lowercase();
    [
        ("securitygrouprule", "rule-id"),
        ("loadbalancer", "balancer"),
        ("targetgroup", "target-group"),
        ("listenerarn", "listener"),
        ("rulearn", "rule"),
        ("resourcearn", "resource"),
        ("resources", "id"),
        ("vpc", "vpc"),
        ("subnet", "subnet"),
        ("group", "group"),
        ("routetable", "table"),
        ("association", "association"),
        ("gateway", "gateway"),
        ("networkacl", "acl"),
        ("networkinterface", "interface"),
        ("taskdefinition", "definition"),
        ("cluster", "cluster"),
        ("service", "service"),
        ("task", "task"),
        ("nexttoken", "token"),
        ("marker", "token"),
    ]
    .into_iter()
    .find(|(part, _)| member.contains(part))
    .map(|(_, kind)| kind)
}

impl Source {
    pub(super) async fn begin(world: &World) -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut known = BTreeMap::new();
        known.insert("cluster", names(&["web", "default", "other"]));
        known.insert("service", names(&["site", "api"]));
        known.insert("definition", names(&["web", "api", "web:1", "web:2", "api:1"]));
        known.insert("family", names(&["web", "api"]));
        known.insert("name", names(&["a", "b", "c", "d", "e"]));
        known.insert("zone", names(&["us-east-1a", "us-east-1b", "us-east-1c"]));
        known.insert("range", names(&RANGES));
        known.insert(
            "address",
            names(&["172.31.0.10", "172.31.0.11", "172.31.16.9", "172.31.64.9", "10.0.1.9"]),
        );
        let mut source = Self { known, live: BTreeMap::new() };
        world.ok("ecs CreateCluster", json!({"clusterName": "web"})).await;
        world.ok("ecs RegisterTaskDefinition", definition("web")).await;
        let (vpc, subnets, group) = world.default_network().await;
        for text in subnets.into_iter().chain([vpc, group]) {
            source.keep(&text);
        }
        let made = world.ok("ec2 DescribeInternetGateways", json!({})).await;
        source.keep(&made["InternetGateways"][0]["InternetGatewayId"].text());
        source
    }

    /// Looks up what is there.
    pub(super) fn look(&mut self, view: &View) {
        self.live.clear();
        let mut put = |kind: &'static str, text: String| {
            if text.starts_with("arn:") {
                self.live.entry("resource").or_default().push(text.clone());
            } else if !matches!(kind, "cluster" | "service" | "definition") {
                self.live.entry("id").or_default().push(text.clone());
            }
            self.live.entry(kind).or_default().push(text);
        };
        // Of several VPCs and clusters one counts, so that what is named together belongs together.
        let vpcs = || view.scan::<Vpc>("");
        let Some(vpc) = vpcs().find(|vpc| vpc.is_default).or_else(|| vpcs().next()) else { return };
        let own = &vpc.value().id;
        put("vpc", own.to_string());
        view.subnets_of_vpc(&vpc.region, own).for_each(|subnet| put("subnet", subnet.id.to_string()));
        for group in view.security_groups_of_vpc(&vpc.region, own) {
            put("group", group.id.to_string());
            group.ingress.iter().chain(&group.egress).for_each(|rule| put("rule-id", rule.id.clone()));
        }
        view.scan::<NetworkInterface>("").for_each(|each| put("interface", each.id.to_string()));
        for object in view.scan::<Object>("ec2/route-table/") {
            if object.document.get("VpcId").and_then(Value::as_str) == Some(own.as_str()) {
                put("table", object.name.clone());
            }
        }
        view.scan::<Object>("ec2/internet-gateway/").for_each(|object| put("gateway", object.name.clone()));
        view.scan::<LoadBalancer>("").for_each(|each| put("balancer", each.arn.to_string()));
        view.scan::<TargetGroup>("")
            .filter(|each| each.vpc == *own)
            .for_each(|each| put("target-group", each.arn.to_string()));
        view.scan::<Listener>("").for_each(|each| put("listener", each.arn.to_string()));
        view.scan::<Rule>("").for_each(|each| put("rule", each.arn.to_string()));
        for task in view.scan::<Task>("").filter(|task| task.cluster.as_str() == "web") {
            put("task", task.arn.to_string());
        }
        if view.scan::<Cluster>("").any(|each| each.active && each.name.as_str() == "web") {
            put("cluster", "web".to_owned());
        }
        for definition in
            view.scan::<TaskDefinition>("").filter(|each| each.status == TaskDefinitionStatus::Active)
        {
            put("definition", definition.arn.resource().replace("task-definition/", ""));
        }
        view.scan::<Service>("")
            .filter(|each| each.status == ServiceStatus::Active)
            .for_each(|each| put("service", each.name.to_string()));
    }

    /// Remembers every name in an answer.
    pub(super) fn learn(&mut self, output: &Value) {
        match output {
            Value::String(text) => self.keep(text),
            Value::List(items) => items.iter().for_each(|item| self.learn(item)),
            Value::Map(members) => members.values().for_each(|member| self.learn(member)),
            _ => {}
        }
    }

    fn keep(&mut self, text: &str) {
        let is_id = |rest: &str| rest.len() == 17 && rest.bytes().all(|byte| byte.is_ascii_hexdigit());
        let found = KINDS.iter().find(|(prefix, _)| {
            text.strip_prefix(prefix).is_some_and(|rest| prefix.starts_with("arn:") || is_id(rest))
        });
        let Some((_, kind)) = found else { return };
        let sets = if text.starts_with("arn:") { [*kind, "resource"] } else { [*kind, "id"] };
        for set in sets {
            let known = self.known.entry(set).or_default();
            if !known.iter().any(|each| each == text) {
                known.push(text.to_owned());
            }
            if known.len() > KNOWN_MAX {
                known.remove(0);
            }
        }
    }

    /// An input that an operation's shape allows.
    pub(super) fn input(&self, operation: &OperationModel, random: &mut Ids) -> Value {
        self.value(operation.input, "", 0, random)
    }

    /// A template with names put in. Now and then one of its members is left out, or is something else.
    pub(super) fn fill(&self, template: &Json, operation: &OperationModel, random: &mut Ids) -> Value {
        let mut filled = self.put_in(template, random);
        if random.below(6) == 0 {
            let members = operation.input.members();
            if let Some(member) = members.get(random.below(members.len().max(1) as u64) as usize)
                && member.name != "DryRun"
            {
                let other = match random.below(3) {
                    0 => Value::Null,
                    _ => self.value(member.shape, member.name, 1, random),
                };
                filled.set(member.name, other);
            }
        }
        filled
    }

    fn put_in(&self, template: &Json, random: &mut Ids) -> Value {
        match template {
            Json::Object(members) => Value::Map(
                members.iter().map(|(name, value)| (name.clone(), self.put_in(value, random))).collect(),
            ),
            Json::Array(items) => Value::List(items.iter().map(|item| self.put_in(item, random)).collect()),
            Json::String(text) => match text.strip_prefix('$') {
                Some("ports") => Value::Int([80, 81, 8000][random.below(3) as usize]),
                Some("counts") => Value::Int(1 + random.below(5) as i64),
                Some(kind) => Value::String(self.name(kind, random).unwrap_or_default()),
                None => Value::String(text.clone()),
            },
            Json::Bool(truth) => Value::Bool(*truth),
            Json::Number(number) => Value::Int(number.as_i64().unwrap_or(0)),
            Json::Null => Value::Null,
        }
    }

    /// A name of this kind, mostly one of what is there.
    fn name(&self, kind: &str, random: &mut Ids) -> Option<String> {
        let live = self.live.get(kind).filter(|_| random.below(8) > 0);
        let known = live.or_else(|| self.known.get(kind))?;
        known.get(random.below(known.len() as u64) as usize).cloned()
    }

    fn value(&self, shape: &Shape, name: &str, depth: u32, random: &mut Ids) -> Value {
        match &shape.kind {
            Kind::Structure(members) | Kind::Union(members) => {
                let mut made = Value::map();
                for member in *members {
                    let wanted = match (member.required, depth) {
                        (true, _) => random.below(50) > 0,
                        (false, 0) => random.below(3) > 0,
                        (false, _) => random.below(3) == 0,
                    };
                    if wanted && depth < DEPTH_MAX && member.name != "DryRun" {
                        made.set(member.name, self.value(member.shape, member.name, depth + 1, random));
                    }
                }
                made
            }
            Kind::List { member, .. } => {
                let count = [0, 1, 1, 1, 2, 2, 3][random.below(7) as usize];
                Value::List((0..count).map(|_| self.value(member, name, depth + 1, random)).collect())
            }
            Kind::Map { .. } => Value::map(),
            Kind::String(values) if !values.is_empty() && random.below(20) > 0 => {
                Value::from(values[random.below(values.len() as u64) as usize])
            }
            Kind::String(_) | Kind::Document => Value::String(self.text(name, random)),
            Kind::Boolean => Value::Bool(random.below(2) == 0),
            Kind::Integer | Kind::Long => {
                // Most numbers have bounds that are far from the ends.
                let count = if random.below(8) == 0 { NUMBERS.len() } else { 10 };
                Value::Int(NUMBERS[random.below(count as u64) as usize])
            }
            Kind::Float | Kind::Double => Value::Float(0.5),
            Kind::Blob => Value::Blob(vec![0, 255]),
            Kind::Timestamp(_) => Value::Timestamp(Timestamp::from_millis(0)),
        }
    }

    fn text(&self, name: &str, random: &mut Ids) -> String {
        let any =
            |texts: &[&str], random: &mut Ids| texts[random.below(texts.len() as u64) as usize].to_owned();
        if random.below(12) == 0 {
            return any(&NONSENSE, random);
        }
        if let Some(known) = kind_of(name).and_then(|kind| self.name(kind, random)) {
            return known;
        }
        let lower = name.to_ascii_lowercase();
        if lower.contains("cidr") {
            return any(&RANGES, random);
        }
        if lower == "cpu" || lower == "memory" {
            return any(&["256", "512", "1024"], random);
        }
        if lower == "id" || lower.contains("address") {
            return any(&["172.31.0.10", "172.31.0.11", "10.0.0.9"], random);
        }
        any(
            &["web", "site", "app", "/", "80", "tcp", "HTTP", "ipv4", "200", "forward", "us-east-1a", "-1"],
            random,
        )
    }
}
