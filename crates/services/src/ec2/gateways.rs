//! Internet gateways.

use gantry_api::ec2::{
    AttachInternetGatewayRequest, CreateInternetGatewayRequest, CreateInternetGatewayResult,
    DeleteInternetGatewayRequest, DescribeInternetGatewaysRequest, DescribeInternetGatewaysResult,
    DetachInternetGatewayRequest, InternetGateway, InternetGatewayAttachment,
};
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_types::{ACCOUNT, Ids, Region, VpcId};

use super::filters::{matches, one};
use super::listing::listing;
use super::region::object;
use super::{dependency, tags, vpcs};
use crate::Decision;
use crate::objects::{self, Found};
use crate::ties::touch;

fn gateway_class(region: &Region) -> String {
    format!("ec2/internet-gateway/{region}")
}

pub(super) fn has_gateway(view: &View, region: &Region, vpc: &VpcId) -> Result<bool, ApiError> {
    let gateways = objects::list::<InternetGateway>(view, &gateway_class(region))?;
    Ok(gateways.iter().any(|gateway| is_attached(&gateway.document, vpc.as_str())))
}

pub(super) fn is_attached(gateway: &InternetGateway, vpc: &str) -> bool {
    gateway.attachments.iter().flatten().any(|each| each.vpc_id.as_deref() == Some(vpc))
}

/// Whether the gateway exists and is attached to the VPC.
pub(super) fn is_attached_to(view: &View, region: &Region, id: &str, vpc: &str) -> Result<bool, ApiError> {
    let found = objects::find::<InternetGateway>(view, &gateway_class(region), id)?;
    Ok(found.is_some_and(|gateway| is_attached(&gateway.document, vpc)))
}

pub(super) fn not_found(id: &str) -> ApiError {
    ApiError::sender(
        "InvalidInternetGatewayID.NotFound",
        format!("The internetGateway ID '{id}' does not exist"),
    )
}

pub(super) fn find(view: &View, call: &CallContext, id: &str) -> Result<Found<InternetGateway>, ApiError> {
    objects::find(view, &gateway_class(&call.region), id)?.ok_or_else(|| not_found(id))
}

pub(super) fn create(
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
        tags: Some(tags::given(call, input.tag_specifications.as_deref(), "internet-gateway")?),
    };
    let output = CreateInternetGatewayResult { internet_gateway: Some(gateway.clone()) };
    Ok((output, vec![object("internet-gateway", &call.region, &id, gateway)]))
}

pub(super) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteInternetGatewayRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let gateway = find(view, call, &input.internet_gateway_id)?;
    if gateway.document.attachments.as_ref().is_some_and(|list| !list.is_empty()) {
        return Err(dependency(format!(
            "The internetGateway '{}' has dependencies and cannot be deleted.",
            gateway.name
        )));
    }
    Ok(((), vec![gateway.delete()]))
}

pub(super) fn attach(
    view: &View,
    call: &CallContext,
    input: &AttachInternetGatewayRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut gateway = find(view, call, &input.internet_gateway_id)?;
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
    Ok(((), vec![touch(&vpc), gateway.update()]))
}

pub(super) fn detach(
    view: &View,
    call: &CallContext,
    input: &DetachInternetGatewayRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut gateway = find(view, call, &input.internet_gateway_id)?;
    if !is_attached(&gateway.document, &input.vpc_id) {
        return Err(ApiError::sender(
            "Gateway.NotAttached",
            format!("resource {} is not attached to network {}", gateway.name, input.vpc_id),
        ));
    }
    gateway.document.attachments = Some(vec![]);
    Ok(((), vec![gateway.update()]))
}

pub(super) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeInternetGatewaysRequest,
) -> Result<DescribeInternetGatewaysResult, ApiError> {
    for id in input.internet_gateway_ids.iter().flatten() {
        find(view, call, id)?;
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
    let key = |gateway: &InternetGateway| gateway.internet_gateway_id.clone().unwrap_or_default();
    let page = listing(gateways, key, input.max_results, input.next_token.as_deref())?;
    Ok(DescribeInternetGatewaysResult { internet_gateways: Some(page.items), next_token: page.next })
}
