//! Tags of things that are there already. Creations take theirs in the call that makes the thing.

use std::collections::BTreeMap;

use gantry_types::Value;

use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::Failure;
use crate::cloudformation::resource::{TagChanges, Wanted};

/// Which service keeps the tags, and of what.
pub(super) enum Tagged<'a> {
    Ec2 { id: &'a str },
    Ecr { arn: &'a str },
    Ecs { arn: &'a str },
    Elbv2 { arn: &'a str },
    Logs { arn: &'a str },
    Parameter { name: &'a str },
    Role { name: &'a str },
}

/// Sets what is wanted and removes what template and stack no longer name. Tags that others gave to the thing stay.
pub(super) async fn update(
    caller: &Caller,
    wanted: &Wanted<'_>,
    old: &Wanted<'_>,
    tagged: Tagged<'_>,
) -> Result<(), Failure> {
    let changes = TagChanges::between(old, wanted);
    let (service, (add, added), (remove, removed)) = tagged.calls(&changes);
    if !changes.removed.is_empty() {
        caller.call(service, remove, removed).await?;
    }
    if !changes.set.is_empty() {
        caller.call(service, add, added).await?;
    }
    Ok(())
}

type Call = (&'static str, Value);

impl Tagged<'_> {
    /// The service, the call that adds tags, and the one that removes.
    fn calls(&self, changes: &TagChanges) -> (&'static str, Call, Call) {
        let list = || changes.set_list("Key", "Value");
        let keys = || Value::from(changes.removed.clone());
        match *self {
            Self::Ec2 { id } => {
                let resources = || Value::from(vec![id]);
                let key = |key: &String| Value::structure([("Key", key.as_str().into())]);
                let keys = changes.removed.iter().map(key).collect();
                (
                    "ec2",
                    ("CreateTags", Value::structure([("Resources", resources()), ("Tags", list())])),
                    (
                        "DeleteTags",
                        Value::structure([("Resources", resources()), ("Tags", Value::List(keys))]),
                    ),
                )
            }
            Self::Ecr { arn } => (
                "ecr",
                ("TagResource", Value::structure([("resourceArn", arn.into()), ("tags", list())])),
                ("UntagResource", Value::structure([("resourceArn", arn.into()), ("tagKeys", keys())])),
            ),
            Self::Ecs { arn } => {
                let tags = changes.set_list("key", "value");
                (
                    "ecs",
                    ("TagResource", Value::structure([("resourceArn", arn.into()), ("tags", tags)])),
                    ("UntagResource", Value::structure([("resourceArn", arn.into()), ("tagKeys", keys())])),
                )
            }
            Self::Elbv2 { arn } => {
                let arns = || Value::from(vec![arn]);
                (
                    "elbv2",
                    ("AddTags", Value::structure([("ResourceArns", arns()), ("Tags", list())])),
                    ("RemoveTags", Value::structure([("ResourceArns", arns()), ("TagKeys", keys())])),
                )
            }
            Self::Logs { arn } => (
                "logs",
                ("TagResource", Value::structure([("resourceArn", arn.into()), ("tags", map(&changes.set))])),
                ("UntagResource", Value::structure([("resourceArn", arn.into()), ("tagKeys", keys())])),
            ),
            Self::Parameter { name } => {
                let of = |member, value| {
                    let kind = ("ResourceType", "Parameter".into());
                    Value::structure([kind, ("ResourceId", name.into()), (member, value)])
                };
                (
                    "ssm",
                    ("AddTagsToResource", of("Tags", list())),
                    ("RemoveTagsFromResource", of("TagKeys", keys())),
                )
            }
            Self::Role { name } => {
                let of = |member, value| Value::structure([("RoleName", name.into()), (member, value)]);
                ("iam", ("TagRole", of("Tags", list())), ("UntagRole", of("TagKeys", keys())))
            }
        }
    }
}

/// Tags as a map, where an operation takes them so.
pub(super) fn map(tags: &BTreeMap<String, String>) -> Value {
    Value::Map(tags.iter().map(|(key, value)| (key.clone(), Value::String(value.clone()))).collect())
}
