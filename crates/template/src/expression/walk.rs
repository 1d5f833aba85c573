//! Visits every function of an expression, parents before children.

use super::{Expression, Function};

/// Whether to look at what is inside of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walk {
    Everything,
    /// Of an `Fn::If`, only the branch that the visitor names.
    Then,
    Otherwise,
    Nothing,
}

pub(crate) fn walk<'a>(expression: &'a Expression, visit: &mut dyn FnMut(&'a Function) -> Walk) {
    match expression {
        Expression::Scalar(_) => {}
        Expression::List(items) => items.iter().for_each(|item| walk(item, visit)),
        Expression::Map(members) => members.values().for_each(|member| walk(member, visit)),
        Expression::Function(function) => match (visit(function), function.as_ref()) {
            (Walk::Nothing, _) => {}
            (Walk::Then, Function::If { then: branch, .. })
            | (Walk::Otherwise, Function::If { otherwise: branch, .. }) => {
                walk(branch, visit);
            }
            (_, function) => function.arguments().into_iter().for_each(|argument| walk(argument, visit)),
        },
    }
}

impl Function {
    /// All expressions that this function takes.
    pub(crate) fn arguments(&self) -> Vec<&Expression> {
        match self {
            Self::Ref(_)
            | Self::Condition(_)
            | Self::RefAll(_)
            | Self::ValueOf { .. }
            | Self::ValueOfAll { .. } => vec![],
            Self::GetAtt { attribute: one, .. }
            | Self::ImportValue(one)
            | Self::Base64(one)
            | Self::GetAzs(one)
            | Self::ToJsonString(one)
            | Self::Length(one)
            | Self::Not(one) => vec![one],
            Self::Join { delimiter: one, list: two }
            | Self::Select { index: one, list: two }
            | Self::Split { delimiter: one, text: two }
            | Self::If { then: one, otherwise: two, .. }
            | Self::Equals(one, two)
            | Self::Contains { list: one, value: two }
            | Self::EachMemberEquals { list: one, value: two }
            | Self::EachMemberIn { list: one, of: two } => vec![one, two],
            Self::Sub { variables, .. } => variables.values().collect(),
            Self::FindInMap { map, top, second, default } => {
                [map, top, second].into_iter().chain(default).collect()
            }
            Self::Cidr { block, count, bits } => [block, count].into_iter().chain(bits).collect(),
            Self::And(all) | Self::Or(all) => all.iter().collect(),
        }
    }
}
