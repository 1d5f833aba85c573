//! Route tables and which subnets are under them.

use gantry_api::ec2::{
    AssociateRouteTableRequest, AssociateRouteTableResult, CreateRouteTableRequest, CreateRouteTableResult,
    DeleteRouteTableRequest, DescribeRouteTablesRequest, DescribeRouteTablesResult,
    DisassociateRouteTableRequest, ReplaceRouteTableAssociationRequest, ReplaceRouteTableAssociationResult,
    Route, RouteTable, RouteTableAssociation, RouteTableAssociationState,
};
use gantry_api::{ApiError, CallContext};
use gantry_domain::network::Cidr;
use gantry_domain::{Change, View};
use gantry_types::{ACCOUNT, Ids, Region, VpcId};

use super::filters::{matches, one};
use super::listing::listing;
use super::region::object;
use super::{bad_value, dependency, gateways, subnets, tags, vpcs};
use crate::Decision;
use crate::objects::{self, Found};
use crate::ties::touch;

pub(super) fn table_class(region: &Region) -> String {
    format!("ec2/route-table/{region}")
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

pub(super) fn not_found(id: &str) -> ApiError {
    ApiError::sender("InvalidRouteTableID.NotFound", format!("The routeTable ID '{id}' does not exist"))
}

pub(super) fn find_table(view: &View, call: &CallContext, id: &str) -> Result<Found<RouteTable>, ApiError> {
    objects::find(view, &table_class(&call.region), id)?.ok_or_else(|| not_found(id))
}

pub(super) fn create_table(
    view: &View,
    call: &CallContext,
    input: &CreateRouteTableRequest,
    ids: &mut Ids,
) -> Decision<CreateRouteTableResult> {
    let vpc = vpcs::find(view, call, &input.vpc_id)?;
    let (id, mut table) = new_table(&vpc.id, vpc.cidr, false, ids);
    table.tags = Some(tags::given(call, input.tag_specifications.as_deref(), "route-table")?);
    let output =
        CreateRouteTableResult { route_table: Some(table.clone()), client_token: input.client_token.clone() };
    Ok((output, vec![touch(&vpc), object("route-table", &call.region, &id, table)]))
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
        let mut table = found.document;
        if input.route_table_ids.as_ref().is_some_and(|ids| !ids.contains(&found.name)) {
            continue;
        }
        mark_states(view, call, &mut table)?;
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
            "route.state" => Some(routes().filter_map(|each| each.state.clone()).collect()),
            "route.origin" => Some(routes().filter_map(|each| each.origin.clone()).collect()),
            _ => None,
        };
        if matches(input.filters.as_deref(), table.tags.as_deref().unwrap_or_default(), property)? {
            tables.push(table);
        }
    }
    let key = |table: &RouteTable| table.route_table_id.clone().unwrap_or_default();
    let page = listing(tables, key, input.max_results, input.next_token.as_deref())?;
    Ok(DescribeRouteTablesResult { route_tables: Some(page.items), next_token: page.next })
}

/// A route to a gateway that is not attached to the VPC any more leads nowhere.
fn mark_states(view: &View, call: &CallContext, table: &mut RouteTable) -> Result<(), ApiError> {
    let vpc = table.vpc_id.clone().unwrap_or_default();
    for route in table.routes.iter_mut().flatten() {
        let Some(id) = route.gateway_id.as_deref().filter(|id| *id != "local") else { continue };
        let leads = gateways::is_attached_to(view, &call.region, id, &vpc)?;
        route.state = Some(if leads { "active" } else { "blackhole" }.to_owned());
    }
    Ok(())
}

pub(super) fn associate(
    view: &View,
    call: &CallContext,
    input: &AssociateRouteTableRequest,
    ids: &mut Ids,
) -> Decision<AssociateRouteTableResult> {
    if input.gateway_id.is_some() {
        return Err(ApiError::sender(
            "UnsupportedOperation",
            "Gantry supports only associations with subnets yet.",
        ));
    }
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
    // Two associations of one subnet, made at the same time, conflict, and so does the subnet's deletion.
    Ok((output, vec![touch(&subnet), table.update()]))
}

/// Puts the subnet of an association, or the main one, under another table.
pub(super) fn replace_association(
    view: &View,
    call: &CallContext,
    input: &ReplaceRouteTableAssociationRequest,
    ids: &mut Ids,
) -> Decision<ReplaceRouteTableAssociationResult> {
    let (mut from, index) = find_association(view, call, &input.association_id)?;
    let mut to = find_table(view, call, &input.route_table_id)?;
    if from.document.vpc_id != to.document.vpc_id {
        return Err(bad_value(format!(
            "Route table {} and association {} belong to different networks",
            to.name, input.association_id
        )));
    }
    let former = from.document.associations.get_or_insert_default().remove(index);
    let made = association(ids, &to.name, former.subnet_id.as_deref());
    let output = ReplaceRouteTableAssociationResult {
        new_association_id: made.route_table_association_id.clone(),
        association_state: made.association_state.clone(),
    };
    let changes = if from.name == to.name {
        from.document.associations.get_or_insert_default().push(made);
        vec![from.update()]
    } else {
        to.document.associations.get_or_insert_default().push(made);
        vec![from.update(), to.update()]
    };
    Ok((output, changes))
}

/// The table that has the association, and where.
fn find_association(
    view: &View,
    call: &CallContext,
    id: &str,
) -> Result<(Found<RouteTable>, usize), ApiError> {
    for table in objects::list::<RouteTable>(view, &table_class(&call.region))? {
        let mut associations = table.document.associations.iter().flatten();
        if let Some(index) =
            associations.position(|each| each.route_table_association_id.as_deref() == Some(id))
        {
            return Ok((table, index));
        }
    }
    Err(ApiError::sender(
        "InvalidAssociationID.NotFound",
        format!("The association ID '{id}' does not exist"),
    ))
}

/// What keeps tables from naming a subnet that is being deleted.
pub(super) fn forget_subnet(view: &View, region: &Region, subnet: &str) -> Result<Vec<Change>, ApiError> {
    let mut changes = Vec::new();
    for mut table in objects::list::<RouteTable>(view, &table_class(region))? {
        let associations = table.document.associations.get_or_insert_default();
        let before = associations.len();
        associations.retain(|each| each.subnet_id.as_deref() != Some(subnet));
        if associations.len() != before {
            changes.push(table.update());
        }
    }
    Ok(changes)
}

pub(super) fn disassociate(
    view: &View,
    call: &CallContext,
    input: &DisassociateRouteTableRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let (mut table, index) = find_association(view, call, &input.association_id)?;
    let associations = table.document.associations.get_or_insert_default();
    if associations[index].main == Some(true) {
        return Err(bad_value(format!(
            "cannot disassociate the main route table association {}",
            input.association_id
        )));
    }
    associations.remove(index);
    Ok(((), vec![table.update()]))
}
