//! `AWS::ECS::Cluster`.

use gantry_types::Value;

use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::{Failure, HandlerErrorCode};
use crate::cloudformation::resource::{
    Creation, Kind, Naming, Property, ResourceType, TagChanges, Wanted, Work,
};

pub(super) struct Cluster;

const PROPERTIES: &[Property] = &[
    Property::new("CapacityProviders", Kind::Strings),
    Property::new("ClusterName", Kind::String).replaces(),
    Property::new("ClusterSettings", Kind::List),
    Property::new("Configuration", Kind::Structure),
    Property::new("DefaultCapacityProviderStrategy", Kind::List),
    Property::new("ServiceConnectDefaults", Kind::Structure),
    Property::new("Tags", Kind::List),
];
const RENAMES: &[(&str, &str)] = &[("ClusterSettings", "settings")];

impl ResourceType for Cluster {
    fn name(&self) -> &'static str {
        "AWS::ECS::Cluster"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn attributes(&self) -> &'static [&'static str] {
        &["Arn"]
    }
    fn naming(&self) -> Option<Naming> {
        Some(Naming::new("ClusterName", 255))
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        let mut input = wanted.input("ecs", "CreateCluster", RENAMES)?;
        input.set("clusterName", wanted.name("ClusterName"));
        input.set("tags", wanted.tag_list("key", "value"));
        Ok(Creation::call("ecs", "CreateCluster", input, "cluster.clusterName"))
    }

    fn update<'a>(
        &'a self,
        caller: &'a Caller,
        wanted: &'a Wanted<'a>,
        id: &'a str,
        old: &'a Wanted<'a>,
    ) -> Work<'a, ()> {
        Box::pin(async move {
            let mut input = wanted.input("ecs", "UpdateCluster", RENAMES)?;
            input.set("cluster", id);
            caller.call("ecs", "UpdateCluster", input).await?;
            let mut input = wanted.input("ecs", "PutClusterCapacityProviders", RENAMES)?;
            input.set("cluster", id);
            for required in ["capacityProviders", "defaultCapacityProviderStrategy"] {
                if input.get(required).is_none() {
                    input.set(required, Value::List(vec![]));
                }
            }
            caller.call("ecs", "PutClusterCapacityProviders", input).await?;
            let arn = arn_of(caller, id);
            let tags = TagChanges::between(old, wanted);
            if !tags.set.is_empty() {
                let tags = tags.set_list("key", "value");
                let input = Value::structure([("resourceArn", arn.clone().into()), ("tags", tags)]);
                caller.call("ecs", "TagResource", input).await?;
            }
            if !tags.removed.is_empty() {
                let input = Value::structure([("resourceArn", arn.into()), ("tagKeys", tags.removed.into())]);
                caller.call("ecs", "UntagResource", input).await?;
            }
            Ok(())
        })
    }

    fn delete<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        Box::pin(async move {
            match caller.call("ecs", "DeleteCluster", Value::structure([("cluster", id.into())])).await {
                Err(failure) if failure.is(HandlerErrorCode::NotFound) => Ok(()),
                outcome => outcome.map(|_| ()),
            }
        })
    }

    fn read<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, Value> {
        Box::pin(async move { Ok(Value::structure([("Arn", arn_of(caller, id).into())])) })
    }
}

fn arn_of(caller: &Caller, name: &str) -> String {
    gantry_types::arn("ecs", caller.region().as_str(), &format!("cluster/{name}")).to_string()
}
