//! `AWS::ElasticLoadBalancingV2::Listener`.

use gantry_types::Value;

use super::calls::{self, changed};
use super::elbv2_load_balancer::set_attributes;
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::Failure;
use crate::cloudformation::resource::{Creation, Kind, Property, ResourceType, Wanted, Work};

pub(super) struct Listener;

const PROPERTIES: &[Property] = &[
    Property::new("AlpnPolicy", Kind::Strings),
    Property::new("Certificates", Kind::List),
    Property::new("DefaultActions", Kind::List).required(),
    Property::new("ListenerAttributes", Kind::List),
    Property::new("LoadBalancerArn", Kind::String).required().replaces(),
    Property::new("MutualAuthentication", Kind::Structure),
    Property::new("Port", Kind::Integer),
    Property::new("Protocol", Kind::String),
    Property::new("SslPolicy", Kind::String),
];
const MODIFIED: &[&str] = &[
    "AlpnPolicy",
    "Certificates",
    "DefaultActions",
    "MutualAuthentication",
    "Port",
    "Protocol",
    "SslPolicy",
];

impl ResourceType for Listener {
    fn name(&self) -> &'static str {
        "AWS::ElasticLoadBalancingV2::Listener"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn attributes(&self) -> &'static [&'static str] {
        &["ListenerArn"]
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        let input = wanted.input("elbv2", "CreateListener", &[])?;
        Ok(Creation::call("elbv2", "CreateListener", input, "Listeners.0.ListenerArn"))
    }

    fn configure<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        let attributes = wanted.property("ListenerAttributes");
        Box::pin(set_attributes(caller, "ModifyListenerAttributes", "ListenerArn", id, attributes))
    }

    fn update<'a>(
        &'a self,
        caller: &'a Caller,
        wanted: &'a Wanted<'a>,
        id: &'a str,
        old: &'a Wanted<'a>,
    ) -> Work<'a, ()> {
        Box::pin(async move {
            if changed(wanted, old, MODIFIED) {
                let mut input = wanted.input_of("elbv2", "ModifyListener", MODIFIED, &[])?;
                input.set("ListenerArn", id);
                caller.call("elbv2", "ModifyListener", input).await?;
            }
            if changed(wanted, old, &["ListenerAttributes"]) {
                self.configure(caller, wanted, id).await?;
            }
            Ok(())
        })
    }

    fn delete<'a>(&'a self, caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()> {
        calls::remove(caller, "elbv2", "DeleteListener", Value::structure([("ListenerArn", id.into())]))
    }

    fn read<'a>(&'a self, _caller: &'a Caller, _wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, Value> {
        Box::pin(async move { Ok(Value::structure([("ListenerArn", id.into())])) })
    }
}
