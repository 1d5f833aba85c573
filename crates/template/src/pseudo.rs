//! What CloudFormation itself puts into every template.

use gantry_types::Value;

/// The stack and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PseudoParameters {
    pub account_id: String,
    pub region: String,
    pub stack_name: String,
    /// The stack's ARN.
    pub stack_id: String,
    pub notification_arns: Vec<String>,
}

pub(crate) const NO_VALUE: &str = "AWS::NoValue";

const NAMES: &[&str] = &[
    "AWS::AccountId",
    "AWS::NotificationARNs",
    NO_VALUE,
    "AWS::Partition",
    "AWS::Region",
    "AWS::StackId",
    "AWS::StackName",
    "AWS::URLSuffix",
];

pub(crate) fn is_pseudo(name: &str) -> bool {
    NAMES.contains(&name)
}

impl PseudoParameters {
    /// `AWS::NoValue` has no value; the evaluation knows it by its name.
    pub(crate) fn get(&self, name: &str) -> Option<Value> {
        Some(match name {
            "AWS::AccountId" => Value::from(self.account_id.as_str()),
            "AWS::NotificationARNs" => Value::from(self.notification_arns.clone()),
            "AWS::Partition" => Value::from(self.partition()),
            "AWS::Region" => Value::from(self.region.as_str()),
            "AWS::StackId" => Value::from(self.stack_id.as_str()),
            "AWS::StackName" => Value::from(self.stack_name.as_str()),
            "AWS::URLSuffix" => Value::from(self.url_suffix()),
            _ => return None,
        })
    }

    fn partition(&self) -> &'static str {
        match self.region.as_str() {
            region if region.starts_with("cn-") => "aws-cn",
            region if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        }
    }

    fn url_suffix(&self) -> &'static str {
        if self.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
    }
}
