//! `AWS::ECS::TaskDefinition`.

use gantry_types::Value;

use super::calls;
use super::tags::{self, Tagged};
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::Failure;
use crate::cloudformation::resource::{Creation, Kind, Naming, Property, ResourceType, Wanted, Work};

pub(super) struct TaskDefinition;

/// A revision never changes: any other wish is another revision.
const PROPERTIES: &[Property] = &[
    Property::new("ContainerDefinitions", Kind::List).replaces(),
    Property::new("Cpu", Kind::String).replaces(),
    Property::new("EnableFaultInjection", Kind::Boolean).replaces(),
    Property::new("EphemeralStorage", Kind::Structure).replaces(),
    Property::new("ExecutionRoleArn", Kind::String).replaces(),
    Property::new("Family", Kind::String).replaces(),
    Property::new("InferenceAccelerators", Kind::List).replaces(),
    Property::new("IpcMode", Kind::String).replaces(),
    Property::new("Memory", Kind::String).replaces(),
    Property::new("NetworkMode", Kind::String).replaces(),
    Property::new("PidMode", Kind::String).replaces(),
    Property::new("PlacementConstraints", Kind::List).replaces(),
    Property::new("ProxyConfiguration", Kind::Structure).replaces(),
    Property::new("RequiresCompatibilities", Kind::Strings).replaces(),
    Property::new("RuntimePlatform", Kind::Structure).replaces(),
    Property::new("Tags", Kind::List),
    Property::new("TaskRoleArn", Kind::String).replaces(),
    Property::new("Volumes", Kind::List).replaces(),
];
const RENAMES: &[(&str, &str)] = &[("ProxyConfigurationProperties", "properties")];

impl ResourceType for TaskDefinition {
    fn name(&self) -> &'static str {
        "AWS::ECS::TaskDefinition"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn attributes(&self) -> &'static [&'static str] {
        &["TaskDefinitionArn"]
    }
    fn naming(&self) -> Option<Naming> {
        Some(Naming { is_repeatable: true, ..Naming::new("Family", 255) })
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        let mut input = wanted.input("ecs", "RegisterTaskDefinition", RENAMES)?;
        input.set("family", wanted.name("Family"));
        input.set("tags", wanted.tag_list("key", "value"));
        Ok(Creation::call("ecs", "RegisterTaskDefinition", input, "taskDefinition.taskDefinitionArn"))
    }

    fn update<'a>(
        &'a self,
        caller: &'a Caller,
        wanted: &'a Wanted<'a>,
        id: &'a str,
        old: &'a Wanted<'a>,
    ) -> Work<'a, ()> {
        Box::pin(tags::update(caller, wanted, old, Tagged::Ecs { arn: id }))
    }

    /// Tasks and services that use the revision go on with it.
    fn delete<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        Box::pin(async move {
            let input = Value::structure([("taskDefinition", id.into())]);
            let described = caller.ask("ecs", "DescribeTaskDefinition", input.clone()).await?;
            // Somebody deleted it: ECS has no code of its own for that.
            if described.is_err() {
                return Ok(());
            }
            calls::remove(caller, "ecs", "DeregisterTaskDefinition", input).await
        })
    }

    fn read<'a>(&'a self, _caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, Value> {
        Box::pin(async move { Ok(Value::structure([("TaskDefinitionArn", id.into())])) })
    }
}
