//! `AWS::ECS::Cluster`.

use gantry_types::Value;

use super::calls::{self, changed};
use super::tags::{self, Tagged};
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::Failure;
use crate::cloudformation::resource::{Creation, Kind, Naming, Property, ResourceType, Wanted, Work};

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
const PROVIDERS: &[&str] = &["CapacityProviders", "DefaultCapacityProviderStrategy"];

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
            // Another resource may have given the cluster its providers: they are changed where this one names them.
            if changed(wanted, old, PROVIDERS) {
                let mut input = wanted.input_of("ecs", "PutClusterCapacityProviders", PROVIDERS, &[])?;
                input.set("cluster", id);
                for required in ["capacityProviders", "defaultCapacityProviderStrategy"] {
                    if input.get(required).is_none() {
                        input.set(required, Value::List(vec![]));
                    }
                }
                caller.call("ecs", "PutClusterCapacityProviders", input).await?;
            }
            let arn = arn_of(caller, id);
            tags::update(caller, wanted, old, Tagged::Ecs { arn: &arn }).await
        })
    }

    fn delete<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        calls::remove(caller, "ecs", "DeleteCluster", Value::structure([("cluster", id.into())]))
    }

    fn read<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, Value> {
        Box::pin(async move { Ok(Value::structure([("Arn", arn_of(caller, id).into())])) })
    }
}

fn arn_of(caller: &Caller, name: &str) -> String {
    gantry_types::arn("ecs", caller.region().as_str(), &format!("cluster/{name}")).to_string()
}
