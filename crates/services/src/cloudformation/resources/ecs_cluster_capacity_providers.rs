//! `AWS::ECS::ClusterCapacityProviderAssociations`.

use gantry_types::Value;

use super::calls;
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::Failure;
use crate::cloudformation::resource::{Creation, Kind, Property, ResourceType, Wanted, Work};

pub(super) struct ClusterCapacityProviderAssociations;

const PROPERTIES: &[Property] = &[
    Property::new("CapacityProviders", Kind::Strings),
    Property::new("Cluster", Kind::String).required().replaces(),
    Property::new("DefaultCapacityProviderStrategy", Kind::List).required(),
];

impl ResourceType for ClusterCapacityProviderAssociations {
    fn name(&self) -> &'static str {
        "AWS::ECS::ClusterCapacityProviderAssociations"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        Ok(Creation::Configured { id: wanted.text("Cluster").unwrap_or_default() })
    }

    fn configure<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, _id: &'a str) -> Work<'a, ()> {
        Box::pin(async move {
            let mut input = wanted.input("ecs", "PutClusterCapacityProviders", &[])?;
            if input.get("capacityProviders").is_none() {
                input.set("capacityProviders", Value::List(vec![]));
            }
            caller.call("ecs", "PutClusterCapacityProviders", input).await?;
            Ok(())
        })
    }

    fn update<'a>(
        &'a self,
        caller: &'a Caller,
        wanted: &'a Wanted<'a>,
        id: &'a str,
        _old: &'a Wanted<'a>,
    ) -> Work<'a, ()> {
        self.configure(caller, wanted, id)
    }

    fn delete<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        let none = || Value::List(vec![]);
        let input = Value::structure([
            ("cluster", id.into()),
            ("capacityProviders", none()),
            ("defaultCapacityProviderStrategy", none()),
        ]);
        calls::remove(caller, "ecs", "PutClusterCapacityProviders", input)
    }
}
