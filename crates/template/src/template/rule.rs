//! One rule: assertions on the parameters, under a condition.

use gantry_types::Value;

use super::member::text;
use crate::error::{Result, format};
use crate::expression::{Expression, Place, read as read_expression};

#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub condition: Option<Expression>,
    pub assertions: Vec<Assertion>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Assertion {
    pub assert: Expression,
    pub description: Option<String>,
}

pub(super) fn read(name: &str, member: &Value) -> Result<Rule> {
    let Value::Map(members) = member else { return malformed(name) };
    if members.keys().any(|name| !["RuleCondition", "Assertions"].contains(&name.as_str())) {
        return malformed(name);
    }
    let Some(Value::List(assertions)) = members.get("Assertions") else { return malformed(name) };
    Ok(Rule {
        condition: members
            .get("RuleCondition")
            .map(|condition| read_expression(condition, Place::Rule))
            .transpose()?,
        assertions: assertions
            .iter()
            .map(|assertion| match assertion {
                Value::Map(members) => match members.get("Assert") {
                    Some(assert) => Ok(Assertion {
                        assert: read_expression(assert, Place::Rule)?,
                        description: text(members, "AssertDescription")?,
                    }),
                    None => malformed(name),
                },
                _ => malformed(name),
            })
            .collect::<Result<_>>()?,
    })
}

fn malformed<T>(name: &str) -> Result<T> {
    format(format!("Rule {name} is malformed."))
}
