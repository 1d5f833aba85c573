//! A value of a template with its functions, read once: what evaluates it needs no shape checks.

mod read;
mod sub;
mod walk;

use std::collections::BTreeMap;

use gantry_types::Value;

pub(crate) use read::{Place, read, unsupported_function};
pub use sub::SubPart;
pub(crate) use walk::{Walk, walk};

#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// Text, number or boolean.
    Scalar(Value),
    List(Vec<Expression>),
    Map(BTreeMap<String, Expression>),
    Function(Box<Function>),
}

/// CloudFormation's functions with their arguments.
#[derive(Debug, Clone, PartialEq)]
pub enum Function {
    Ref(String),
    GetAtt { logical_id: String, attribute: Expression },
    Sub { parts: Vec<SubPart>, variables: BTreeMap<String, Expression> },
    Join { delimiter: Expression, list: Expression },
    Select { index: Expression, list: Expression },
    Split { delimiter: Expression, text: Expression },
    If { condition: String, then: Expression, otherwise: Expression },
    FindInMap { map: Expression, top: Expression, second: Expression, default: Option<Expression> },
    ImportValue(Expression),
    Base64(Expression),
    Cidr { block: Expression, count: Expression, bits: Option<Expression> },
    GetAzs(Expression),
    ToJsonString(Expression),
    Length(Expression),
    Condition(String),
    Equals(Expression, Expression),
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Not(Expression),
    Contains { list: Expression, value: Expression },
    EachMemberEquals { list: Expression, value: Expression },
    EachMemberIn { list: Expression, of: Expression },
    RefAll(String),
    ValueOf { parameter: String, attribute: String },
    ValueOfAll { parameter_type: String, attribute: String },
}

impl Default for Expression {
    fn default() -> Self {
        Self::Map(BTreeMap::new())
    }
}
