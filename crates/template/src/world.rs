//! What a template's functions ask about the account and the stack's resources.

use gantry_types::Value;

/// Answered by the caller from what it has at hand; evaluation asks again when more resources exist.
pub trait World {
    /// What `Ref` on this resource gives; `None` while it does not exist.
    fn reference(&self, logical_id: &str) -> Option<Value>;
    /// What `Fn::GetAtt` gives.
    fn attribute(&self, logical_id: &str, attribute: &str) -> Attribute;
    /// The value of an export of this account and region.
    fn import(&self, export_name: &str) -> Option<Value>;
    /// The names of a region's zones, in order; empty for a region that is not served.
    fn availability_zones(&self, region: &str) -> Vec<String>;
    /// `Fn::RefAll`, in rules: the ids of all that have a parameter type, such as `AWS::EC2::VPC::Id`.
    fn all_of(&self, _parameter_type: &str) -> Vec<String> {
        Vec::new()
    }
    /// `Fn::ValueOf`, in rules: an attribute, or `Tags.key`, of what has this type and id.
    fn value_of(&self, _parameter_type: &str, _id: &str, _attribute: &str) -> Option<Value> {
        None
    }
}

/// An answer to `Fn::GetAtt`.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    Value(Value),
    /// The resource does not exist yet.
    NotYetKnown,
    /// Resources of this type have no such attribute.
    Unsupported,
}

/// Stands, in a plan, for a value that is known only after the plan is carried out; as change sets show it. A text that
/// holds it is not known as a whole.
pub const KNOWN_AFTER_APPLY: &str = "{{changeSet:KNOWN_AFTER_APPLY}}";

/// Whether any part of a value is [`KNOWN_AFTER_APPLY`].
pub fn is_known(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.contains(KNOWN_AFTER_APPLY),
        Value::List(items) => items.iter().all(is_known),
        Value::Map(members) => members.values().all(is_known),
        _ => true,
    }
}
