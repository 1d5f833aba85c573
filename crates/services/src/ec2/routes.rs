//! Route tables, internet gateways and network access lists: objects that clients make and read.
//!
//! Every VPC here routes inside itself and out through the machine; a table without a way out is kept and shown, and does not
//! close that way yet.

use gantry_api::ec2::*;
use gantry_api::{ApiError, CallContext, IntoValue};
use gantry_domain::network::Cidr;
use gantry_domain::{Change, View};
use gantry_types::{ACCOUNT, Ids, Region, Value, VpcId};

use super::filters::{matches, one};
use super::region::object;
use super::{bad_value, dependency, subnets, tags, vpcs};
use crate::Decision;
use crate::objects::{self, Found};

pub(super) fn table_class(region: &Region) -> String {
    format!("ec2/route-table/{region}")
}

fn gateway_class(region: &Region) -> String {
    format!("ec2/internet-gateway/{region}")
}

fn acl_class(region: &Region) -> String {
    format!("ec2/network-acl/{region}")
}

fn association(ids: &mut Ids, table: &str, subnet: Option<&str>) -> RouteTableAssociation {
    RouteTableAssociation {
        route_table_association_id: Some(format!("rtbassoc-{}", ids.hex(17))),
        route_table_id: Some(table.to_owned()),
        subnet_id: subnet.map(str::to_owned),
        main: Some(subnet.is_none()),
        association_state: Some(RouteTableAssociationState {
            state: Some("associated".to_owned()),
            status_message: None,
        }),
        ..RouteTableAssociation::default()
    }
}

fn new_table(vpc: &VpcId, cidr: Cidr, main: bool, ids: &mut Ids) -> (String, RouteTable) {
    let id = format!("rtb-{}", ids.hex(17));
    let local = Route {
        destination_cidr_block: Some(cidr.to_string()),
        gateway_id: Some("local".to_owned()),
        origin: Some("CreateRouteTable".to_owned()),
        state: Some("active".to_owned()),
        ..Route::default()
    };
    let table = RouteTable {
        route_table_id: Some(id.clone()),
        vpc_id: Some(vpc.to_string()),
        owner_id: Some(ACCOUNT.to_owned()),
        associations: Some(if main { vec![association(ids, &id, None)] } else { vec![] }),
        propagating_vgws: Some(vec![]),
        routes: Some(vec![local]),
        tags: Some(vec![]),
    };
    (id, table)
}

pub(super) fn main_table(region: &Region, vpc: &VpcId, cidr: Cidr, ids: &mut Ids) -> Change {
    let (id, table) = new_table(vpc, cidr, true, ids);
    object("route-table", region, &id, table)
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

pub(super) fn default_acl(region: &Region, vpc: &VpcId, ids: &mut Ids) -> Change {
    let id = format!("acl-{}", ids.hex(17));
    let entry = |egress: bool, number: i32, action: &str| NetworkAclEntry {
        cidr_block: Some("0.0.0.0/0".to_owned()),
        egress: Some(egress),
        protocol: Some("-1".to_owned()),
        rule_action: Some(action.to_owned()),
        rule_number: Some(number),
        ..NetworkAclEntry::default()
    };
    let acl = NetworkAcl {
        network_acl_id: Some(id.clone()),
        vpc_id: Some(vpc.to_string()),
        is_default: Some(true),
        owner_id: Some(ACCOUNT.to_owned()),
        associations: Some(vec![]),
        entries: Some(vec![
            entry(true, 100, "allow"),
            entry(true, 32767, "deny"),
            entry(false, 100, "allow"),
            entry(false, 32767, "deny"),
        ]),
        tags: Some(vec![]),
    };
    object("network-acl", region, &id, acl)
}

pub(super) fn tables_of(
    view: &View,
    region: &Region,
    vpc: &VpcId,
) -> Result<Vec<Found<RouteTable>>, ApiError> {
    let mut tables = objects::list::<RouteTable>(view, &table_class(region))?;
    tables.retain(|table| table.document.vpc_id.as_deref() == Some(vpc.as_str()));
    Ok(tables)
}

pub(super) fn is_main(table: &RouteTable) -> bool {
    table.associations.iter().flatten().any(|each| each.main == Some(true))
}

pub(super) fn has_gateway(view: &View, region: &Region, vpc: &VpcId) -> Result<bool, ApiError> {
    let gateways = objects::list::<InternetGateway>(view, &gateway_class(region))?;
    Ok(gateways.iter().any(|gateway| is_attached(&gateway.document, vpc.as_str())))
}

fn is_attached(gateway: &InternetGateway, vpc: &str) -> bool {
    gateway.attachments.iter().flatten().any(|each| each.vpc_id.as_deref() == Some(vpc))
}

fn find_table(view: &View, call: &CallContext, id: &str) -> Result<Found<RouteTable>, ApiError> {
    objects::find(view, &table_class(&call.region), id)?.ok_or_else(|| {
        ApiError::sender("InvalidRouteTableID.NotFound", format!("The routeTable ID '{id}' does not exist"))
    })
}

pub(super) fn create_table(
    view: &View,
    call: &CallContext,
    input: &CreateRouteTableRequest,
    ids: &mut Ids,
) -> Decision<CreateRouteTableResult> {
    let vpc = vpcs::find(view, call, &input.vpc_id)?;
    let (id, mut table) = new_table(&vpc.id, vpc.cidr, false, ids);
    table.tags = Some(tags::given(input.tag_specifications.as_deref(), "route-table")?);
    let output =
        CreateRouteTableResult { route_table: Some(table.clone()), client_token: input.client_token.clone() };
    Ok((output, vec![vpcs::check_key(call, &vpc), object("route-table", &call.region, &id, table)]))
}

pub(super) fn delete_table(
    view: &View,
    call: &CallContext,
    input: &DeleteRouteTableRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let table = find_table(view, call, &input.route_table_id)?;
    if table.document.associations.as_ref().is_some_and(|list| !list.is_empty()) {
        return Err(dependency(format!(
            "The routeTable '{}' has dependencies and cannot be deleted.",
            input.route_table_id
        )));
    }
    Ok(((), vec![table.delete()]))
}

pub(super) fn describe_tables(
    view: &View,
    call: &CallContext,
    input: &DescribeRouteTablesRequest,
) -> Result<DescribeRouteTablesResult, ApiError> {
    for id in input.route_table_ids.iter().flatten() {
        find_table(view, call, id)?;
    }
    let mut tables = Vec::new();
    for found in objects::list::<RouteTable>(view, &table_class(&call.region))? {
        let table = found.document;
        if input.route_table_ids.as_ref().is_some_and(|ids| !ids.contains(&found.name)) {
            continue;
        }
        let associations = || table.associations.iter().flatten();
        let routes = || table.routes.iter().flatten();
        let property = |name: &str| match name {
            "route-table-id" => one(&found.name),
            "vpc-id" => table.vpc_id.as_ref().and_then(one),
            "owner-id" => one(ACCOUNT),
            "association.main" => {
                Some(associations().map(|each| each.main.unwrap_or(false).to_string()).collect())
            }
            "association.subnet-id" => {
                Some(associations().filter_map(|each| each.subnet_id.clone()).collect())
            }
            "association.route-table-id" => one(&found.name),
            "association.route-table-association-id" => {
                Some(associations().filter_map(|each| each.route_table_association_id.clone()).collect())
            }
            "route.gateway-id" => Some(routes().filter_map(|each| each.gateway_id.clone()).collect()),
            "route.destination-cidr-block" => {
                Some(routes().filter_map(|each| each.destination_cidr_block.clone()).collect())
            }
            "route.state" => one("active"),
            _ => None,
        };
        if matches(input.filters.as_deref(), table.tags.as_deref().unwrap_or_default(), property)? {
            tables.push(table);
        }
    }
    Ok(DescribeRouteTablesResult { route_tables: Some(tables), next_token: None })
}

pub(super) fn associate(
    view: &View,
    call: &CallContext,
    input: &AssociateRouteTableRequest,
    ids: &mut Ids,
) -> Decision<AssociateRouteTableResult> {
    let mut table = find_table(view, call, &input.route_table_id)?;
    let id = input.subnet_id.as_deref().ok_or_else(|| {
        ApiError::sender("MissingParameter", "The request must contain the parameter subnetId")
    })?;
    let subnet = subnets::find(view, call, id)?;
    if table.document.vpc_id.as_deref() != Some(subnet.vpc.as_str()) {
        return Err(bad_value(format!(
            "Route table {} and subnet {id} belong to different networks",
            table.name
        )));
    }
    for other in objects::list::<RouteTable>(view, &table_class(&call.region))? {
        if other.document.associations.iter().flatten().any(|each| each.subnet_id.as_deref() == Some(id)) {
            return Err(ApiError::sender(
                "Resource.AlreadyAssociated",
                format!(
                    "the specified association for route table {} conflicts with an existing association",
                    table.name
                ),
            ));
        }
    }
    let made = association(ids, &table.name, Some(id));
    let output = AssociateRouteTableResult {
        association_id: made.route_table_association_id.clone(),
        association_state: made.association_state.clone(),
    };
    table.document.associations.get_or_insert_default().push(made);
    Ok((output, vec![table.update()]))
}

pub(super) fn disassociate(
    view: &View,
    call: &CallContext,
    input: &DisassociateRouteTableRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let id = Some(input.association_id.as_str());
    for mut table in objects::list::<RouteTable>(view, &table_class(&call.region))? {
        let associations = table.document.associations.get_or_insert_default();
        if let Some(index) =
            associations.iter().position(|each| each.route_table_association_id.as_deref() == id)
        {
            if associations[index].main == Some(true) {
                return Err(bad_value(format!(
                    "cannot disassociate the main route table association {}",
                    input.association_id
                )));
            }
            associations.remove(index);
            return Ok(((), vec![table.update()]));
        }
    }
    Err(ApiError::sender(
        "InvalidAssociationID.NotFound",
        format!("The association ID '{}' does not exist", input.association_id),
    ))
}

pub(super) fn create_route(
    view: &View,
    call: &CallContext,
    input: &CreateRouteRequest,
    _ids: &mut Ids,
) -> Decision<CreateRouteResult> {
    let mut table = find_table(view, call, &input.route_table_id)?;
    let destination =
        input.destination_cidr_block.clone().or_else(|| input.destination_ipv6_cidr_block.clone());
    let destination = destination.ok_or_else(|| {
        ApiError::sender("MissingParameter", "The request must contain the parameter destinationCidrBlock")
    })?;
    let Some(gateway) = &input.gateway_id else {
        return Err(ApiError::sender(
            "UnsupportedOperation",
            "Gantry supports only routes to internet gateways yet.",
        ));
    };
    let found: Option<Found<InternetGateway>> = objects::find(view, &gateway_class(&call.region), gateway)?;
    if found.is_none() {
        return Err(gateway_not_found(gateway));
    }
    let routes = table.document.routes.get_or_insert_default();
    if routes.iter().any(|route| route.destination_cidr_block.as_ref() == Some(&destination)) {
        return Err(ApiError::sender(
            "RouteAlreadyExists",
            format!("The route identified by {destination} already exists."),
        ));
    }
    routes.push(Route {
        destination_cidr_block: input.destination_cidr_block.clone(),
        destination_ipv6_cidr_block: input.destination_ipv6_cidr_block.clone(),
        gateway_id: Some(gateway.clone()),
        origin: Some("CreateRoute".to_owned()),
        state: Some("active".to_owned()),
        ..Route::default()
    });
    Ok((CreateRouteResult { r#return: Some(true) }, vec![table.update()]))
}

pub(super) fn delete_route(
    view: &View,
    call: &CallContext,
    input: &DeleteRouteRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut table = find_table(view, call, &input.route_table_id)?;
    let routes = table.document.routes.get_or_insert_default();
    let before = routes.len();
    routes.retain(|route| {
        let same = route.destination_cidr_block.is_some()
            && route.destination_cidr_block == input.destination_cidr_block
            || route.destination_ipv6_cidr_block.is_some()
                && route.destination_ipv6_cidr_block == input.destination_ipv6_cidr_block;
        !same || route.gateway_id.as_deref() == Some("local")
    });
    if routes.len() == before {
        let destination = input.destination_cidr_block.as_deref().unwrap_or("");
        return Err(ApiError::sender(
            "InvalidRoute.NotFound",
            format!("no route with destination-cidr-block {destination} in route table {}", table.name),
        ));
    }
    Ok(((), vec![table.update()]))
}

fn gateway_not_found(id: &str) -> ApiError {
    ApiError::sender(
        "InvalidInternetGatewayID.NotFound",
        format!("The internetGateway ID '{id}' does not exist"),
    )
}

fn find_gateway(view: &View, call: &CallContext, id: &str) -> Result<Found<InternetGateway>, ApiError> {
    objects::find(view, &gateway_class(&call.region), id)?.ok_or_else(|| gateway_not_found(id))
}

pub(super) fn create_gateway(
    _view: &View,
    call: &CallContext,
    input: &CreateInternetGatewayRequest,
    ids: &mut Ids,
) -> Decision<CreateInternetGatewayResult> {
    let id = format!("igw-{}", ids.hex(17));
    let gateway = InternetGateway {
        internet_gateway_id: Some(id.clone()),
        owner_id: Some(ACCOUNT.to_owned()),
        attachments: Some(vec![]),
        tags: Some(tags::given(input.tag_specifications.as_deref(), "internet-gateway")?),
    };
    let output = CreateInternetGatewayResult { internet_gateway: Some(gateway.clone()) };
    Ok((output, vec![object("internet-gateway", &call.region, &id, gateway)]))
}

pub(super) fn delete_gateway(
    view: &View,
    call: &CallContext,
    input: &DeleteInternetGatewayRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let gateway = find_gateway(view, call, &input.internet_gateway_id)?;
    if gateway.document.attachments.as_ref().is_some_and(|list| !list.is_empty()) {
        return Err(dependency(format!(
            "The internetGateway '{}' has dependencies and cannot be deleted.",
            gateway.name
        )));
    }
    Ok(((), vec![gateway.delete()]))
}

pub(super) fn attach_gateway(
    view: &View,
    call: &CallContext,
    input: &AttachInternetGatewayRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut gateway = find_gateway(view, call, &input.internet_gateway_id)?;
    let vpc = vpcs::find(view, call, &input.vpc_id)?;
    if gateway.document.attachments.as_ref().is_some_and(|list| !list.is_empty()) {
        return Err(ApiError::sender(
            "Resource.AlreadyAssociated",
            format!("resource {} is already attached to network {}", gateway.name, vpc.id),
        ));
    }
    if has_gateway(view, &call.region, &vpc.id)? {
        return Err(ApiError::sender(
            "InvalidParameterValue",
            format!("Network {} already has an internet gateway attached", vpc.id),
        ));
    }
    let attachment =
        InternetGatewayAttachment { state: Some("available".to_owned()), vpc_id: Some(vpc.id.to_string()) };
    gateway.document.attachments = Some(vec![attachment]);
    Ok(((), vec![vpcs::check_key(call, &vpc), gateway.update()]))
}

pub(super) fn detach_gateway(
    view: &View,
    call: &CallContext,
    input: &DetachInternetGatewayRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut gateway = find_gateway(view, call, &input.internet_gateway_id)?;
    if !is_attached(&gateway.document, &input.vpc_id) {
        return Err(ApiError::sender(
            "Gateway.NotAttached",
            format!("resource {} is not attached to network {}", gateway.name, input.vpc_id),
        ));
    }
    gateway.document.attachments = Some(vec![]);
    Ok(((), vec![gateway.update()]))
}

pub(super) fn describe_gateways(
    view: &View,
    call: &CallContext,
    input: &DescribeInternetGatewaysRequest,
) -> Result<DescribeInternetGatewaysResult, ApiError> {
    for id in input.internet_gateway_ids.iter().flatten() {
        find_gateway(view, call, id)?;
    }
    let mut gateways = Vec::new();
    for found in objects::list::<InternetGateway>(view, &gateway_class(&call.region))? {
        let gateway = found.document;
        if input.internet_gateway_ids.as_ref().is_some_and(|ids| !ids.contains(&found.name)) {
            continue;
        }
        let attachments = || gateway.attachments.iter().flatten();
        let property = |name: &str| match name {
            "internet-gateway-id" => one(&found.name),
            "owner-id" => one(ACCOUNT),
            "attachment.vpc-id" => Some(attachments().filter_map(|each| each.vpc_id.clone()).collect()),
            "attachment.state" => Some(attachments().filter_map(|each| each.state.clone()).collect()),
            _ => None,
        };
        if matches(input.filters.as_deref(), gateway.tags.as_deref().unwrap_or_default(), property)? {
            gateways.push(gateway);
        }
    }
    Ok(DescribeInternetGatewaysResult { internet_gateways: Some(gateways), next_token: None })
}

pub(super) fn describe_acls(
    view: &View,
    call: &CallContext,
    input: &DescribeNetworkAclsRequest,
) -> Result<DescribeNetworkAclsResult, ApiError> {
    let mut acls = Vec::new();
    for found in objects::list::<NetworkAcl>(view, &acl_class(&call.region))? {
        let mut acl = found.document;
        if input.network_acl_ids.as_ref().is_some_and(|ids| !ids.contains(&found.name)) {
            continue;
        }
        let vpc = VpcId::new(acl.vpc_id.clone().unwrap_or_default());
        let property = |name: &str| match name {
            "network-acl-id" => one(&found.name),
            "vpc-id" => one(&vpc),
            "default" => Some(vec![acl.is_default.unwrap_or(false).to_string()]),
            "owner-id" => one(ACCOUNT),
            "association.subnet-id" => {
                Some(view.subnets_of_vpc(&call.region, &vpc).map(|subnet| subnet.id.to_string()).collect())
            }
            _ => None,
        };
        if matches(input.filters.as_deref(), acl.tags.as_deref().unwrap_or_default(), property)? {
            // The default list is every subnet's.
            let associations = view.subnets_of_vpc(&call.region, &vpc).map(|subnet| NetworkAclAssociation {
                network_acl_association_id: Some(subnet.id.as_str().replacen("subnet-", "aclassoc-", 1)),
                network_acl_id: Some(found.name.clone()),
                subnet_id: Some(subnet.id.to_string()),
            });
            acl.associations = Some(associations.collect());
            acls.push(acl);
        }
    }
    Ok(DescribeNetworkAclsResult { network_acls: Some(acls), next_token: None })
}
