//! `AWS::EC2::SubnetRouteTableAssociation`.

use gantry_types::Value;

use super::calls::{self, part};
use crate::cloudformation::caller::Caller;
use crate::cloudformation::failure::Failure;
use crate::cloudformation::mapping;
use crate::cloudformation::resource::{Creation, Kind, Property, ResourceType, Wanted, Work};

pub(super) struct SubnetRouteTableAssociation;

/// A subnet has one table at a time, so another table takes the place of the former one, and the thing stays.
const PROPERTIES: &[Property] = &[
    Property::new("RouteTableId", Kind::String).required(),
    Property::new("SubnetId", Kind::String).required().replaces(),
];

impl ResourceType for SubnetRouteTableAssociation {
    fn name(&self) -> &'static str {
        "AWS::EC2::SubnetRouteTableAssociation"
    }
    fn properties(&self) -> &'static [Property] {
        PROPERTIES
    }
    fn attributes(&self) -> &'static [&'static str] {
        &["Id"]
    }

    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure> {
        let input = wanted.input("ec2", "AssociateRouteTable", &[])?;
        Ok(Creation::call("ec2", "AssociateRouteTable", input, "AssociationId"))
    }

    /// EC2 gives the association another id with each table: it is looked for by its subnet.
    fn update<'a>(
        &'a self,
        caller: &'a Caller,
        wanted: &'a Wanted<'a>,
        _id: &'a str,
        _old: &'a Wanted<'a>,
    ) -> Work<'a, ()> {
        Box::pin(async move {
            let table = wanted.text("RouteTableId").unwrap_or_default();
            match association(caller, wanted).await? {
                Some((_, now)) if now == table => Ok(()),
                Some((id, _)) => {
                    let input =
                        Value::structure([("AssociationId", id.into()), ("RouteTableId", table.into())]);
                    calls::call(caller, "ec2", "ReplaceRouteTableAssociation", input).await
                }
                None => {
                    let input = wanted.input("ec2", "AssociateRouteTable", &[])?;
                    calls::call(caller, "ec2", "AssociateRouteTable", input).await
                }
            }
        })
    }

    fn delete<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, _id: &'a str) -> Work<'a, ()> {
        Box::pin(async move {
            let table = wanted.text("RouteTableId").unwrap_or_default();
            match association(caller, wanted).await? {
                Some((id, now)) if now == table => {
                    let input = Value::structure([("AssociationId", id.into())]);
                    calls::remove(caller, "ec2", "DisassociateRouteTable", input).await
                }
                // Somebody gave the subnet another table: that is none of ours.
                _ => Ok(()),
            }
        })
    }

    fn read<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, Value> {
        Box::pin(async move {
            let now = association(caller, wanted).await?.map(|(now, _)| now);
            Ok(Value::structure([("Id", now.unwrap_or_else(|| id.to_owned()).into())]))
        })
    }
}

/// The id of the subnet's association, and its table's.
async fn association(caller: &Caller, wanted: &Wanted<'_>) -> Result<Option<(String, String)>, Failure> {
    let subnet = wanted.text("SubnetId").unwrap_or_default();
    let filters = Value::List(vec![calls::filter("association.subnet-id", &subnet)]);
    let output = caller.call("ec2", "DescribeRouteTables", Value::structure([("Filters", filters)])).await?;
    let associations = part(&output, "RouteTables.0.Associations");
    let text = |each: &Value, name: &str| each.get(name).and_then(mapping::text);
    let own = associations.as_list().iter().find(|each| text(each, "SubnetId").as_ref() == Some(&subnet));
    Ok(own.and_then(|each| Some((text(each, "RouteTableAssociationId")?, text(each, "RouteTableId")?))))
}
