//! The cluster query language, as `memberOf` constraints use it.
//!
//! `attribute:ecs.instance-type =~ t2.* and not task:group == service:web`. Operators have words too (`equals`, `not_equals`,
//! `greater_than`, `less_than`, `matches`, ...), `&& || !` stand for `and or not`, lists are `[a, b]`.

use std::cmp::Ordering;

use gantry_domain::container_instance::ContainerInstance;
use gantry_domain::node::{Node, NodeState};
use gantry_types::Timestamp;
use regex::Regex;

use crate::Capacity;
use crate::capacity::Host;

/// AWS's own limit on an expression's length.
const LENGTH_MAX: usize = 2000;
/// Parentheses and negations are nested at most so deeply.
const DEPTH_MAX: usize = 32;

/// A parsed query.
#[derive(Debug, Clone)]
pub struct Expression(Query);

/// What is wrong with a query, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionError {
    pub expected: &'static str,
    pub found: Option<String>,
}

impl std::fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.found {
            Some(found) => write!(f, "expected {} but found {found:?}", self.expected),
            None => write!(f, "expected {} but the expression ended", self.expected),
        }
    }
}
impl std::error::Error for ExpressionError {}

#[derive(Debug, Clone)]
enum Query {
    Or(Vec<Query>),
    And(Vec<Query>),
    Not(Box<Query>),
    Test(Subject, Test),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    AgentConnected,
    AgentVersion,
    Attribute(String),
    InstanceId,
    RegisteredAt,
    RunningTasks,
    TaskGroup,
}

#[derive(Debug, Clone)]
enum Test {
    Exists,
    In(Vec<String>),
    Matches(Regex),
    Compares(Ordering, String),
}

impl Expression {
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        if text.len() > LENGTH_MAX {
            return Err(ExpressionError { expected: "at most 2000 characters", found: None });
        }
        let mut parser = Parser { words: words(text), at: 0, depth: 0 };
        let root = parser.any_of()?;
        match parser.peek() {
            None => Ok(Self(root)),
            Some(_) => Err(parser.error("and, or, or the end")),
        }
    }

    /// Whether an instance on a machine satisfies the query.
    pub fn holds(&self, instance: &ContainerInstance, node: Option<&Node>, capacity: &Capacity) -> bool {
        holds(&self.0, &Asked { instance, node, capacity })
    }
}

/// Whom a query is asked about.
struct Asked<'a> {
    instance: &'a ContainerInstance,
    node: Option<&'a Node>,
    capacity: &'a Capacity,
}

fn holds(expression: &Query, asked: &Asked<'_>) -> bool {
    match expression {
        Query::Or(each) => each.iter().any(|each| holds(each, asked)),
        Query::And(each) => each.iter().all(|each| holds(each, asked)),
        Query::Not(inner) => !holds(inner, asked),
        Query::Test(subject, test) => values(subject, asked).iter().any(|value| passes(subject, test, value)),
    }
}

fn passes(subject: &Subject, test: &Test, value: &str) -> bool {
    match test {
        Test::Exists => true,
        Test::In(list) => list.iter().any(|each| each == value),
        Test::Matches(pattern) => pattern.is_match(value),
        Test::Compares(wanted, against) => compare(subject, value, against) == Some(*wanted),
    }
}

fn compare(subject: &Subject, value: &str, against: &str) -> Option<Ordering> {
    if *subject == Subject::RegisteredAt {
        return Some(time(value)?.cmp(&time(against)?));
    }
    if let (Ok(a), Ok(b)) = (value.parse::<f64>(), against.parse::<f64>()) {
        return a.partial_cmp(&b);
    }
    if *subject == Subject::AgentVersion {
        let numbers = |text: &str| text.split('.').map(|n| n.parse().unwrap_or(0)).collect::<Vec<u64>>();
        return Some(numbers(value).cmp(&numbers(against)));
    }
    Some(value.cmp(against))
}

/// A timestamp, or a date's first moment.
fn time(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text).or_else(|| Timestamp::parse(&format!("{text}T00:00:00Z")))
}

/// What a subject is on this instance; nothing if it does not exist there.
fn values(subject: &Subject, Asked { instance, node, capacity }: &Asked<'_>) -> Vec<String> {
    match subject {
        Subject::AgentConnected => {
            vec![node.is_some_and(|node| node.state == NodeState::Active).to_string()]
        }
        Subject::AgentVersion => node.iter().map(|node| node.version.clone()).collect(),
        Subject::InstanceId => vec![instance.instance.to_string()],
        Subject::RegisteredAt => vec![instance.registered_at.iso8601()],
        Subject::RunningTasks => vec![capacity.instance_load(&instance.id).tasks.to_string()],
        Subject::TaskGroup => {
            capacity.groups_on(&Host::Instance(instance.id.clone())).map(str::to_owned).collect()
        }
        Subject::Attribute(name) => match instance.attributes.get(name) {
            Some(value) => vec![value.clone().unwrap_or_default()],
            None => vec![],
        },
    }
}

/// Splits a query into words, operators and the marks of lists and groups.
fn words(text: &str) -> Vec<String> {
    const OPERATORS: [&str; 11] = ["==", "!=", ">=", "<=", "=~", "!~", "&&", "||", ">", "<", "!"];
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if let Some(operator) = OPERATORS.iter().find(|each| rest.starts_with(**each)) {
            operator.len()
        } else if matches!(first, '(' | ')' | '[' | ']' | ',') {
            1
        } else if first == '"' || first == '\'' {
            let end = rest[1..].find(first).map_or(rest.len(), |at| at + 2);
            words.push(rest[1..end].trim_end_matches(first).to_owned());
            rest = rest[end..].trim_start();
            continue;
        } else {
            let ends = |c: char| c.is_whitespace() || matches!(c, '[' | ',') || (matches!(c, ')' | ']'));
            let operator_at =
                ["==", "!=", ">=", "<=", "=~", "!~", "&&", "||"].iter().filter_map(|o| rest.find(o)).min();
            rest.find(ends).unwrap_or(rest.len()).min(operator_at.unwrap_or(rest.len())).max(first.len_utf8())
        };
        words.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    words
}

struct Parser {
    words: Vec<String>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&str> {
        self.words.get(self.at).map(String::as_str)
    }
    fn next(&mut self) -> Option<String> {
        let word = self.words.get(self.at).cloned();
        self.at += 1;
        word
    }
    fn eat(&mut self, any: &[&str]) -> bool {
        let found = self.peek().is_some_and(|word| any.iter().any(|each| each.eq_ignore_ascii_case(word)));
        self.at += usize::from(found);
        found
    }
    fn error(&self, expected: &'static str) -> ExpressionError {
        ExpressionError { expected, found: self.peek().map(str::to_owned) }
    }

    fn any_of(&mut self) -> Result<Query, ExpressionError> {
        let mut each = vec![self.all_of()?];
        while self.eat(&["or", "||"]) {
            each.push(self.all_of()?);
        }
        Ok(Query::Or(each))
    }

    fn all_of(&mut self) -> Result<Query, ExpressionError> {
        let mut each = vec![self.one()?];
        while self.eat(&["and", "&&"]) {
            each.push(self.one()?);
        }
        Ok(Query::And(each))
    }

    fn one(&mut self) -> Result<Query, ExpressionError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error("less nesting"));
        }
        let node = if self.eat(&["not", "!"]) {
            Query::Not(Box::new(self.one()?))
        } else if self.eat(&["("]) {
            let inner = self.any_of()?;
            if !self.eat(&[")"]) {
                return Err(self.error("a closing parenthesis"));
            }
            inner
        } else {
            self.test()?
        };
        self.depth -= 1;
        Ok(node)
    }

    fn test(&mut self) -> Result<Query, ExpressionError> {
        let subject = self.subject()?;
        let negated = |test| Query::Not(Box::new(Query::Test(subject.clone(), test)));
        let plain = |test| Query::Test(subject.clone(), test);
        let bang = self.eat(&["!"]);
        let operator = self.next().ok_or(ExpressionError { expected: "an operator", found: None })?;
        let operator = operator.to_ascii_lowercase();
        Ok(match (bang, operator.as_str()) {
            (false, "exists") => plain(Test::Exists),
            (true, "exists") | (false, "not_exists") => negated(Test::Exists),
            (false, "in") => plain(Test::In(self.list()?)),
            (true, "in") | (false, "not_in") => negated(Test::In(self.list()?)),
            (false, "==" | "equals") => plain(Test::Compares(Ordering::Equal, self.value()?)),
            (false, "!=" | "not_equals") => negated(Test::Compares(Ordering::Equal, self.value()?)),
            (false, ">" | "greater_than") => plain(Test::Compares(Ordering::Greater, self.value()?)),
            (false, "<" | "less_than") => plain(Test::Compares(Ordering::Less, self.value()?)),
            (false, ">=" | "greater_than_equal") => negated(Test::Compares(Ordering::Less, self.value()?)),
            (false, "<=" | "less_than_equal") => negated(Test::Compares(Ordering::Greater, self.value()?)),
            (false, "=~" | "matches") => plain(Test::Matches(self.pattern()?)),
            (false, "!~" | "not_matches") => negated(Test::Matches(self.pattern()?)),
            _ => {
                self.at -= 1;
                return Err(self.error("an operator"));
            }
        })
    }

    fn subject(&mut self) -> Result<Subject, ExpressionError> {
        let subject = match self.peek() {
            Some("agentConnected") => Subject::AgentConnected,
            Some("agentVersion") => Subject::AgentVersion,
            Some("ec2InstanceId") => Subject::InstanceId,
            Some("registeredAt") => Subject::RegisteredAt,
            Some("runningTasksCount") => Subject::RunningTasks,
            Some("task:group") => Subject::TaskGroup,
            Some(word) => match word.strip_prefix("attribute:") {
                Some(name) if !name.is_empty() => Subject::Attribute(name.to_owned()),
                _ => return Err(self.error("a subject")),
            },
            None => return Err(self.error("a subject")),
        };
        self.at += 1;
        Ok(subject)
    }

    fn value(&mut self) -> Result<String, ExpressionError> {
        match self.peek() {
            Some("(" | ")" | "[" | "]" | ",") | None => Err(self.error("a value")),
            Some(_) => Ok(self.next().unwrap_or_default()),
        }
    }

    fn pattern(&mut self) -> Result<Regex, ExpressionError> {
        let text = self.value()?;
        // The whole value has to match, as in Java.
        Regex::new(&format!("^(?:{text})$"))
            .map_err(|_| ExpressionError { expected: "a regular expression", found: Some(text) })
    }

    fn list(&mut self) -> Result<Vec<String>, ExpressionError> {
        if !self.eat(&["["]) {
            return Err(self.error("a list"));
        }
        let mut list = vec![self.value()?];
        while self.eat(&[","]) {
            list.push(self.value()?);
        }
        if self.eat(&["]"]) { Ok(list) } else { Err(self.error("a closing bracket")) }
    }
}
