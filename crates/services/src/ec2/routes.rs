//! Routes.
//!
//! Every VPC here routes inside itself and out through the machine; a table without a way out is kept and shown, and does not
//! close that way yet.

use gantry_api::ec2::{
    CreateRouteRequest, CreateRouteResult, DeleteRouteRequest, InternetGateway, ReplaceRouteRequest, Route,
    RouteTable,
};
use gantry_api::{ApiError, CallContext, IntoValue};
use gantry_domain::View;
use gantry_domain::network::Cidr;
use gantry_types::{Ids, Value};

use super::tables::find_table;
use super::{bad_value, gateways, rules};
use crate::Decision;
use crate::objects::Found;

const ROUTES_MAX: usize = 500;

/// Where a route leads to.
enum Destination {
    V4(Cidr),
    V6(String),
}

impl Destination {
    fn parse(v4: Option<&str>, v6: Option<&str>) -> Result<Self, ApiError> {
        let malformed = |name: &str, text: &str| {
            bad_value(format!(
                "Value ({text}) for parameter {name} is invalid. This is not a valid CIDR block."
            ))
        };
        match (v4, v6) {
            (Some(text), None) => {
                let cidr = Cidr::parse(text).ok_or_else(|| malformed("destinationCidrBlock", text))?;
                Ok(Self::V4(cidr))
            }
            (None, Some(text)) => {
                let range =
                    rules::ipv6_range(text).ok_or_else(|| malformed("destinationIpv6CidrBlock", text))?;
                Ok(Self::V6(range))
            }
            (Some(_), Some(_)) => Err(ApiError::sender(
                "InvalidParameterCombination",
                "The parameters destinationCidrBlock and destinationIpv6CidrBlock cannot be used together",
            )),
            (None, None) => Err(ApiError::sender(
                "MissingParameter",
                "The request must contain the parameter destinationCidrBlock",
            )),
        }
    }

    fn is_of(&self, route: &Route) -> bool {
        match self {
            Self::V4(cidr) => route.destination_cidr_block.as_deref() == Some(&cidr.to_string()),
            Self::V6(range) => route.destination_ipv6_cidr_block.as_ref() == Some(range),
        }
    }

    fn route_to(&self, gateway: &str) -> Route {
        let (v4, v6) = match self {
            Self::V4(cidr) => (Some(cidr.to_string()), None),
            Self::V6(range) => (None, Some(range.clone())),
        };
        Route {
            destination_cidr_block: v4,
            destination_ipv6_cidr_block: v6,
            gateway_id: Some(gateway.to_owned()),
            origin: Some("CreateRoute".to_owned()),
            state: Some("active".to_owned()),
            ..Route::default()
        }
    }

    /// Its place in a table, where it is no route to the VPC itself.
    fn find(&self, table: &Found<RouteTable>) -> Result<usize, ApiError> {
        let mut routes = table.document.routes.iter().flatten();
        let Some((index, route)) = routes.by_ref().enumerate().find(|(_, route)| self.is_of(route)) else {
            let name = match self {
                Self::V4(_) => "destination-cidr-block",
                Self::V6(_) => "destination-ipv6-cidr-block",
            };
            return Err(ApiError::sender(
                "InvalidRoute.NotFound",
                format!("no route with {name} {self} in route table {}", table.name),
            ));
        };
        if route.gateway_id.as_deref() == Some("local") {
            return Err(bad_value(format!("cannot remove local route {self} in route table {}", table.name)));
        }
        Ok(index)
    }
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::V4(cidr) => write!(f, "{cidr}"),
            Self::V6(range) => f.write_str(range),
        }
    }
}

/// The gateway that a route names, which is attached to the table's VPC.
fn way_out(
    view: &View,
    call: &CallContext,
    table: &RouteTable,
    given: Option<&str>,
) -> Result<Found<InternetGateway>, ApiError> {
    let Some(id) = given else {
        return Err(ApiError::sender(
            "UnsupportedOperation",
            "Gantry supports only routes to internet gateways yet.",
        ));
    };
    let gateway = gateways::find(view, call, id)?;
    let vpc = table.vpc_id.as_deref().unwrap_or("");
    if !gateways::is_attached(&gateway.document, vpc) {
        let table = table.route_table_id.as_deref().unwrap_or("");
        return Err(bad_value(format!(
            "route table {table} and network gateway {id} belong to different networks"
        )));
    }
    Ok(gateway)
}

/// The default VPC's way out.
pub(super) fn add_default_route(document: &mut Value, gateway: &str) {
    let route = Route {
        destination_cidr_block: Some("0.0.0.0/0".to_owned()),
        gateway_id: Some(gateway.to_owned()),
        origin: Some("CreateRoute".to_owned()),
        state: Some("active".to_owned()),
        ..Route::default()
    };
    let mut routes = document.get("Routes").map(|routes| routes.as_list().to_vec()).unwrap_or_default();
    routes.push(route.into_value());
    document.set("Routes", Value::List(routes));
}

pub(super) fn create(
    view: &View,
    call: &CallContext,
    input: &CreateRouteRequest,
    _ids: &mut Ids,
) -> Decision<CreateRouteResult> {
    let mut table = find_table(view, call, &input.route_table_id)?;
    let destination = Destination::parse(
        input.destination_cidr_block.as_deref(),
        input.destination_ipv6_cidr_block.as_deref(),
    )?;
    let gateway = way_out(view, call, &table.document, input.gateway_id.as_deref())?;
    let routes = table.document.routes.get_or_insert_default();
    if routes.iter().any(|route| destination.is_of(route)) {
        return Err(ApiError::sender(
            "RouteAlreadyExists",
            format!("The route identified by {destination} already exists."),
        ));
    }
    if routes.len() >= ROUTES_MAX {
        return Err(ApiError::sender(
            "RouteLimitExceeded",
            "The maximum number of routes of this route table has been reached.",
        ));
    }
    routes.push(destination.route_to(&gateway.name));
    Ok((CreateRouteResult { r#return: Some(true) }, vec![gateway.check(), table.update()]))
}

pub(super) fn replace(
    view: &View,
    call: &CallContext,
    input: &ReplaceRouteRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut table = find_table(view, call, &input.route_table_id)?;
    let destination = Destination::parse(
        input.destination_cidr_block.as_deref(),
        input.destination_ipv6_cidr_block.as_deref(),
    )?;
    let index = destination.find(&table)?;
    let gateway = way_out(view, call, &table.document, input.gateway_id.as_deref())?;
    table.document.routes.get_or_insert_default()[index] = destination.route_to(&gateway.name);
    Ok(((), vec![gateway.check(), table.update()]))
}

pub(super) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteRouteRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut table = find_table(view, call, &input.route_table_id)?;
    let destination = Destination::parse(
        input.destination_cidr_block.as_deref(),
        input.destination_ipv6_cidr_block.as_deref(),
    )?;
    let index = destination.find(&table)?;
    table.document.routes.get_or_insert_default().remove(index);
    Ok(((), vec![table.update()]))
}
