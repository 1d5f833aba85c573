//! The functions that are true or false.

use gantry_types::Value;

use super::compute::Scope;
use crate::document::same;
use crate::error::{Result, function};
use crate::expression::{Expression, Function};

const CONDITION: &str = "every condition must evaluate to true or false";

impl Scope<'_> {
    /// A condition or an assertion.
    pub(super) fn truth(&self, expression: &Expression) -> Result<bool> {
        match self.evaluate(expression)? {
            Some(Value::Bool(truth)) => Ok(truth),
            Some(Value::String(text)) if text == "true" => Ok(true),
            Some(Value::String(text)) if text == "false" => Ok(false),
            _ => function(CONDITION),
        }
    }

    /// The later operands of `Fn::And` and `Fn::Or` are left alone once the answer is known.
    pub(super) fn decide(&self, called: &Function) -> Result<bool> {
        let every = |items: &[Value], of: &dyn Fn(&Value) -> bool| items.iter().all(of);
        Ok(match called {
            Function::Condition(name) => self.named(name)?,
            Function::Equals(left, right) => match (self.evaluate(left)?, self.evaluate(right)?) {
                (Some(left), Some(right)) => same(&left, &right),
                (left, right) => left.is_none() && right.is_none(),
            },
            Function::And(all) => {
                for operand in all {
                    if !self.truth(operand)? {
                        return Ok(false);
                    }
                }
                true
            }
            Function::Or(all) => {
                for operand in all {
                    if self.truth(operand)? {
                        return Ok(true);
                    }
                }
                false
            }
            Function::Not(negated) => !self.truth(negated)?,
            Function::Contains { list, value } => {
                let (list, value) = (self.list(list, "Fn::Contains")?, self.evaluate(value)?);
                value.is_some_and(|value| list.iter().any(|item| same(item, &value)))
            }
            Function::EachMemberEquals { list, value } => {
                let (list, value) = (self.list(list, "Fn::EachMemberEquals")?, self.evaluate(value)?);
                value.is_some_and(|value| every(&list, &|item| same(item, &value)))
            }
            Function::EachMemberIn { list, of } => {
                let (list, of) = (self.list(list, "Fn::EachMemberIn")?, self.list(of, "Fn::EachMemberIn")?);
                every(&list, &|item| of.iter().any(|other| same(item, other)))
            }
            _ => return function(CONDITION),
        })
    }

    pub(super) fn named(&self, name: &str) -> Result<bool> {
        match self.conditions.get(name) {
            Some(truth) => Ok(*truth),
            None => function(format!("unresolved condition dependency {name} in Condition")),
        }
    }

    fn list(&self, expression: &Expression, name: &str) -> Result<Vec<Value>> {
        match self.evaluate(expression)? {
            Some(Value::List(items)) => Ok(items),
            _ => function(format!("{name} requires a list")),
        }
    }
}
