//! What a template needs before it can be deployed: `GetTemplateSummary`, `ValidateTemplate`.

use std::collections::BTreeSet;

use crate::expression::{Expression, Function};
use crate::pseudo::NO_VALUE;
use crate::template::Template;

pub const CAPABILITY_IAM: &str = "CAPABILITY_IAM";
pub const CAPABILITY_NAMED_IAM: &str = "CAPABILITY_NAMED_IAM";
pub const CAPABILITY_AUTO_EXPAND: &str = "CAPABILITY_AUTO_EXPAND";

/// What the caller has to acknowledge, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    pub needed: Vec<&'static str>,
    pub reason: Option<String>,
}

/// Resource types that change who may do what, each with the property that gives it a name of one's own.
const IAM_TYPES: &[(&str, Option<&str>)] = &[
    ("AWS::IAM::AccessKey", None),
    ("AWS::IAM::Group", Some("GroupName")),
    ("AWS::IAM::GroupPolicy", None),
    ("AWS::IAM::InstanceProfile", Some("InstanceProfileName")),
    ("AWS::IAM::ManagedPolicy", Some("ManagedPolicyName")),
    ("AWS::IAM::Policy", None),
    ("AWS::IAM::Role", Some("RoleName")),
    ("AWS::IAM::RolePolicy", None),
    ("AWS::IAM::User", Some("UserName")),
    ("AWS::IAM::UserPolicy", None),
    ("AWS::IAM::UserToGroupAddition", None),
];

impl Template {
    pub fn capabilities(&self) -> Capabilities {
        let mut types = BTreeSet::new();
        let mut is_named = false;
        for resource in self.resources.values() {
            if let Some((name, property)) = IAM_TYPES.iter().find(|(name, _)| *name == resource.resource_type)
            {
                types.insert(*name);
                is_named |=
                    property.and_then(|property| resource.properties.get(property)).is_some_and(is_value);
            }
        }
        let mut capabilities = Capabilities::default();
        if !types.is_empty() {
            capabilities.needed.push(if is_named { CAPABILITY_NAMED_IAM } else { CAPABILITY_IAM });
            let types: Vec<&str> = types.into_iter().collect();
            capabilities.reason =
                Some(format!("The following resource(s) require capabilities: [{}]", types.join(", ")));
        }
        if !self.transforms.is_empty() {
            capabilities.needed.push(CAPABILITY_AUTO_EXPAND);
            capabilities.reason.get_or_insert(format!(
                "The following transform(s) require capabilities: [{}]",
                self.transforms.join(", ")
            ));
        }
        capabilities
    }
}

/// A property that is `AWS::NoValue` is none.
fn is_value(expression: &Expression) -> bool {
    match expression {
        Expression::Function(function) => {
            !matches!(function.as_ref(), Function::Ref(name) if name == NO_VALUE)
        }
        _ => true,
    }
}

impl Capabilities {
    /// What a request did not acknowledge. Who acknowledges names acknowledges IAM.
    pub fn missing(&self, given: &[String]) -> Vec<&'static str> {
        let has = |name: &str| {
            given
                .iter()
                .any(|given| given == name || (name == CAPABILITY_IAM && given == CAPABILITY_NAMED_IAM))
        };
        self.needed.iter().copied().filter(|needed| !has(needed)).collect()
    }
}
