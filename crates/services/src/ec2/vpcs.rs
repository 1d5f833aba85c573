//! VPCs.

use gantry_api::ec2::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::network::{Cidr, SecurityGroup as GroupRecord, Vpc as VpcRecord};
use gantry_domain::object::Object;
use gantry_domain::{Change, Stored, Versioned, View};
use gantry_types::{ACCOUNT, Ids, Value};

use super::filters::{matches, one};
use super::listing::listing;
use super::{bad_value, dependency, gateways, region, tables, tags, vpc_not_found};
use crate::Decision;

const VPCS_MAX: usize = 100;

pub(super) fn find<'v>(
    view: &'v View,
    call: &CallContext,
    id: &str,
) -> Result<Versioned<'v, VpcRecord>, ApiError> {
    view.vpc(&call.region, &id.into()).ok_or_else(|| vpc_not_found(id))
}

pub(super) fn create(
    view: &View,
    call: &CallContext,
    input: &CreateVpcRequest,
    ids: &mut Ids,
) -> Decision<CreateVpcResult> {
    let ipv6 = input.amazon_provided_ipv6_cidr_block == Some(true) || input.ipv6_cidr_block.is_some();
    if ipv6 || input.ipv4_ipam_pool_id.is_some() || input.ipv6_ipam_pool_id.is_some() {
        return Err(ApiError::sender(
            "UnsupportedOperation",
            "Gantry supports only VPCs with an IPv4 range of one's own yet.",
        ));
    }
    let text = input.cidr_block.as_deref().ok_or_else(|| {
        ApiError::sender("MissingParameter", "The request must contain the parameter cidrBlock")
    })?;
    let cidr = Cidr::parse(text).ok_or_else(|| {
        bad_value(format!(
            "Value ({text}) for parameter cidrBlock is invalid. This is not a valid CIDR block."
        ))
    })?;
    if !(16..=28).contains(&cidr.prefix()) {
        return Err(ApiError::sender("InvalidVpc.Range", format!("The CIDR '{text}' is invalid.")));
    }
    if view.scan::<VpcRecord>(&format!("{}/", call.region)).count() >= VPCS_MAX {
        return Err(ApiError::sender("VpcLimitExceeded", "The maximum number of VPCs has been reached."));
    }
    let own = tags::given(call, input.tag_specifications.as_deref(), "vpc")?;
    if input.instance_tenancy.as_deref().is_some_and(|tenancy| tenancy != "default") {
        return Err(ApiError::sender(
            "UnsupportedOperation",
            "Gantry supports only the tenancy default yet.",
        ));
    }
    let (_, mut changes) = region::vpc(&call.region, cidr, false, call.now, ids);
    let mut output = None;
    for change in &mut changes {
        if let gantry_domain::Action::Put(gantry_domain::Record::Vpc(vpc)) = &mut change.action {
            tags::set_tags(&mut vpc.document, own.clone());
            vpc.document.set("InstanceTenancy", input.instance_tenancy.clone());
            output = Some(Vpc { state: Some("pending".to_owned()), ..shown(vpc) });
        }
    }
    Ok((CreateVpcResult { vpc: output }, changes))
}

/// The default VPC again, for an account that deleted it.
pub(super) fn create_default(
    view: &View,
    call: &CallContext,
    _input: &CreateDefaultVpcRequest,
    ids: &mut Ids,
) -> Decision<CreateDefaultVpcResult> {
    if view.scan::<VpcRecord>(&format!("{}/", call.region)).any(|vpc| vpc.is_default) {
        return Err(ApiError::sender(
            "DefaultVpcAlreadyExists",
            "A Default VPC already exists for this account in this region.",
        ));
    }
    let changes = region::default_vpc(view, &call.region, call.now, ids);
    let made = changes.iter().find_map(|change| match &change.action {
        gantry_domain::Action::Put(gantry_domain::Record::Vpc(vpc)) => Some(shown(vpc)),
        _ => None,
    });
    Ok((CreateDefaultVpcResult { vpc: made }, changes))
}

pub(super) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteVpcRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let vpc = find(view, call, &input.vpc_id)?;
    let in_use = || dependency(format!("The vpc '{}' has dependencies and cannot be deleted.", input.vpc_id));
    let groups: Vec<Versioned<'_, GroupRecord>> =
        view.security_groups_of_vpc(&call.region, &vpc.id).collect();
    let has_subnets = view.subnets_of_vpc(&call.region, &vpc.id).next().is_some();
    let has_balancers = view.scan::<gantry_domain::elb::LoadBalancer>("").any(|each| each.vpc == vpc.id);
    let has_target_groups = view.scan::<gantry_domain::elb::TargetGroup>("").any(|each| each.vpc == vpc.id);
    if has_subnets || has_balancers || has_target_groups || groups.iter().any(|group| group.name != "default")
    {
        return Err(in_use());
    }
    let tables = tables::tables_of(view, &call.region, &vpc.id)?;
    if tables.iter().any(|table| !tables::is_main(&table.document))
        || gateways::has_gateway(view, &call.region, &vpc.id)?
    {
        return Err(in_use());
    }
    let mut changes = vec![Change::delete(vpc.value().key(), vpc.revision)];
    changes.extend(groups.iter().map(|group| Change::delete(group.value().key(), group.revision)));
    changes.extend(tables.iter().map(|table| table.delete()));
    let acls = view.scan::<Object>(&format!("ec2/network-acl/{}/", call.region));
    let own = acls.filter(|acl| acl.document.get("VpcId").and_then(Value::as_str) == Some(vpc.id.as_str()));
    changes.extend(own.map(|acl| Change::delete(acl.value().key(), acl.revision)));
    Ok(((), changes))
}

pub(super) fn shown(vpc: &VpcRecord) -> Vpc {
    let association = vpc.document.get("AssociationId").and_then(Value::as_str).map(str::to_owned);
    Vpc {
        vpc_id: Some(vpc.id.to_string()),
        cidr_block: Some(vpc.cidr.to_string()),
        cidr_block_association_set: Some(vec![VpcCidrBlockAssociation {
            association_id: association,
            cidr_block: Some(vpc.cidr.to_string()),
            cidr_block_state: Some(VpcCidrBlockState {
                state: Some("associated".to_owned()),
                status_message: None,
            }),
        }]),
        dhcp_options_id: Some(super::catalogue::DHCP_OPTIONS.to_owned()),
        instance_tenancy: Some(
            vpc.document.get("InstanceTenancy").and_then(Value::as_str).unwrap_or("default").to_owned(),
        ),
        is_default: Some(vpc.is_default),
        owner_id: Some(ACCOUNT.to_owned()),
        state: Some("available".to_owned()),
        tags: Some(tags::tags_of(&vpc.document)),
        ..Vpc::default()
    }
}

pub(super) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeVpcsRequest,
) -> Result<DescribeVpcsResult, ApiError> {
    for id in input.vpc_ids.iter().flatten() {
        find(view, call, id)?;
    }
    let mut vpcs = Vec::new();
    for vpc in view.scan::<VpcRecord>(&format!("{}/", call.region)) {
        if input.vpc_ids.as_ref().is_some_and(|ids| !ids.iter().any(|id| id == vpc.id.as_str())) {
            continue;
        }
        let property = |name: &str| match name {
            "vpc-id" => one(&vpc.id),
            "cidr" | "cidr-block" | "cidrBlock" | "cidr-block-association.cidr-block" => one(vpc.cidr),
            "isDefault" | "is-default" => one(vpc.is_default),
            "state" => one("available"),
            "owner-id" => one(ACCOUNT),
            "dhcp-options-id" | "dhcpOptionsId" => one(super::catalogue::DHCP_OPTIONS),
            "cidr-block-association.state" => one("associated"),
            "cidr-block-association.association-id" => {
                vpc.document.get("AssociationId").and_then(Value::as_str).and_then(one)
            }
            "ipv6-cidr-block-association.ipv6-cidr-block"
            | "ipv6-cidr-block-association.association-id"
            | "ipv6-cidr-block-association.state" => Some(vec![]),
            _ => None,
        };
        if matches(input.filters.as_deref(), &tags::tags_of(&vpc.document), property)? {
            vpcs.push(shown(vpc.value()));
        }
    }
    let key = |vpc: &Vpc| vpc.vpc_id.clone().unwrap_or_default();
    let page = listing(vpcs, key, input.max_results, input.next_token.as_deref())?;
    Ok(DescribeVpcsResult { vpcs: Some(page.items), next_token: page.next })
}

pub(super) fn describe_attribute(
    view: &View,
    call: &CallContext,
    input: &DescribeVpcAttributeRequest,
) -> Result<DescribeVpcAttributeResult, ApiError> {
    let vpc = find(view, call, &input.vpc_id)?;
    let value = |name: &str| {
        Some(AttributeBooleanValue {
            value: Some(vpc.document.get(name).and_then(Value::as_bool).unwrap_or(false)),
        })
    };
    let mut result = DescribeVpcAttributeResult { vpc_id: Some(input.vpc_id.clone()), ..Default::default() };
    match input.attribute.as_str() {
        "enableDnsSupport" => result.enable_dns_support = value("EnableDnsSupport"),
        "enableDnsHostnames" => result.enable_dns_hostnames = value("EnableDnsHostnames"),
        "enableNetworkAddressUsageMetrics" => {
            result.enable_network_address_usage_metrics = value("EnableNetworkAddressUsageMetrics");
        }
        other => {
            return Err(bad_value(format!(
                "Value ({other}) for parameter attribute is invalid. Unknown attribute."
            )));
        }
    }
    Ok(result)
}

pub(super) fn modify_attribute(
    view: &View,
    call: &CallContext,
    input: &ModifyVpcAttributeRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let vpc = find(view, call, &input.vpc_id)?;
    let mut record = vpc.value().clone();
    for (member, given) in [
        ("EnableDnsSupport", &input.enable_dns_support),
        ("EnableDnsHostnames", &input.enable_dns_hostnames),
        ("EnableNetworkAddressUsageMetrics", &input.enable_network_address_usage_metrics),
    ] {
        if let Some(value) = given.as_ref().and_then(|given| given.value) {
            record.document.set(member, value);
        }
    }
    Ok(((), vec![Change::update(record, vpc.revision)]))
}

/// No VPC has ClassicLink any more; clients still ask.
pub(super) fn describe_classic_link(
    view: &View,
    call: &CallContext,
    input: &DescribeVpcClassicLinkRequest,
) -> Result<DescribeVpcClassicLinkResult, ApiError> {
    let ids = wanted(view, call, input.vpc_ids.as_deref())?;
    let link =
        |id| VpcClassicLink { vpc_id: Some(id), classic_link_enabled: Some(false), tags: Some(vec![]) };
    Ok(DescribeVpcClassicLinkResult { vpcs: Some(ids.into_iter().map(link).collect()) })
}

pub(super) fn describe_classic_link_dns_support(
    view: &View,
    call: &CallContext,
    input: &DescribeVpcClassicLinkDnsSupportRequest,
) -> Result<DescribeVpcClassicLinkDnsSupportResult, ApiError> {
    let ids = wanted(view, call, input.vpc_ids.as_deref())?;
    let support = |id| ClassicLinkDnsSupport { vpc_id: Some(id), classic_link_dns_supported: Some(false) };
    Ok(DescribeVpcClassicLinkDnsSupportResult {
        vpcs: Some(ids.into_iter().map(support).collect()),
        next_token: None,
    })
}

fn wanted(view: &View, call: &CallContext, ids: Option<&[String]>) -> Result<Vec<String>, ApiError> {
    for id in ids.unwrap_or_default() {
        find(view, call, id)?;
    }
    let all = view.scan::<VpcRecord>(&format!("{}/", call.region)).map(|vpc| vpc.id.to_string());
    Ok(all.filter(|id| ids.is_none_or(|ids| ids.contains(id))).collect())
}
