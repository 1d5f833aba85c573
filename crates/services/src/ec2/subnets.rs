//! Subnets.

use gantry_api::ec2::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::network::{Cidr, Subnet as SubnetRecord, Vpc as VpcRecord};
use gantry_domain::{Change, Stored, Versioned, View};
use gantry_types::{ACCOUNT, AvailabilityZone, Ids, SubnetId, Value};

use super::filters::{matches, one};
use super::listing::listing;
use super::region::ZONE_LETTERS;
use super::{bad_value, catalogue, dependency, region, tables, tags, vpcs};
use crate::Decision;
use crate::ties::touch;

pub(super) fn find<'v>(
    view: &'v View,
    call: &CallContext,
    id: &str,
) -> Result<Versioned<'v, SubnetRecord>, ApiError> {
    view.subnet(&call.region, &id.into()).ok_or_else(|| not_found(id))
}

pub(super) fn not_found(id: &str) -> ApiError {
    ApiError::sender("InvalidSubnetID.NotFound", format!("The subnet ID '{id}' does not exist"))
}

pub(super) fn create(
    view: &View,
    call: &CallContext,
    input: &CreateSubnetRequest,
    ids: &mut Ids,
) -> Decision<CreateSubnetResult> {
    if input.ipv6_cidr_block.is_some() || input.ipv6_native == Some(true) || input.ipv4_ipam_pool_id.is_some()
    {
        return Err(ApiError::sender(
            "UnsupportedOperation",
            "Gantry supports only subnets with an IPv4 range of one's own yet.",
        ));
    }
    let vpc = vpcs::find(view, call, &input.vpc_id)?;
    let text = input.cidr_block.as_deref().ok_or_else(|| {
        ApiError::sender("MissingParameter", "Either 'cidrBlock' or 'ipv4IpamPoolId' should be provided.")
    })?;
    let cidr = Cidr::parse(text).ok_or_else(|| {
        bad_value(format!(
            "Value ({text}) for parameter cidrBlock is invalid. This is not a valid CIDR block."
        ))
    })?;
    let inside = vpc.cidr.contains(cidr.address()) && cidr.prefix() >= vpc.cidr.prefix();
    if !inside || !(16..=28).contains(&cidr.prefix()) {
        return Err(ApiError::sender("InvalidSubnet.Range", format!("The CIDR '{text}' is invalid.")));
    }
    if view.subnets_of_vpc(&call.region, &vpc.id).any(|other| other.cidr.overlaps(cidr)) {
        return Err(ApiError::sender(
            "InvalidSubnet.Conflict",
            format!("The CIDR '{text}' conflicts with another subnet"),
        ));
    }
    let zone = zone(call, input.availability_zone.as_deref(), input.availability_zone_id.as_deref())?;
    let mut document = Value::map();
    tags::set_tags(&mut document, tags::given(call, input.tag_specifications.as_deref(), "subnet")?);
    let record = SubnetRecord {
        region: call.region.clone(),
        id: SubnetId::new(format!("subnet-{}", ids.hex(17))),
        vpc: vpc.id.clone(),
        cidr,
        availability_zone: zone,
        is_default: false,
        map_public_ip: false,
        document,
    };
    let output = CreateSubnetResult { subnet: Some(shown(view, &record)) };
    // Two overlapping subnets, made at the same time, conflict, and so does the VPC's deletion.
    Ok((output, vec![touch(&vpc), Change::create(record)]))
}

/// The zone with this name or id; the region's first one where none is named.
fn zone(call: &CallContext, name: Option<&str>, id: Option<&str>) -> Result<AvailabilityZone, ApiError> {
    let region = call.region.as_str();
    let zones = || ZONE_LETTERS.iter().map(|letter| format!("{region}{letter}"));
    let named = match (name, id) {
        (Some(name), _) => Some(name.to_owned()),
        (None, Some(id)) => {
            let found = zones().find(|name| catalogue::zone_id(region, name) == id);
            Some(found.ok_or_else(|| {
                bad_value(format!("Value ({id}) for parameter availabilityZoneId is invalid."))
            })?)
        }
        (None, None) => None,
    };
    match named {
        None => Ok(AvailabilityZone::new(format!("{region}{}", ZONE_LETTERS[0]))),
        Some(name) if ZONE_LETTERS.iter().any(|letter| name == format!("{region}{letter}")) => {
            Ok(name.into())
        }
        Some(name) => Err(bad_value(format!(
            "Value ({name}) for parameter availabilityZone is invalid. Subnets can currently only be created in the following availability zones: {}.",
            ZONE_LETTERS.map(|letter| format!("{region}{letter}")).join(", ")
        ))),
    }
}

/// A zone's default subnet again, for an account that deleted it.
pub(super) fn create_default(
    view: &View,
    call: &CallContext,
    input: &CreateDefaultSubnetRequest,
    ids: &mut Ids,
) -> Decision<CreateDefaultSubnetResult> {
    if input.availability_zone.is_none() && input.availability_zone_id.is_none() {
        return Err(ApiError::sender(
            "MissingParameter",
            "The request must contain the parameter availabilityZone",
        ));
    }
    let zone = zone(call, input.availability_zone.as_deref(), input.availability_zone_id.as_deref())?;
    let vpc =
        view.scan::<VpcRecord>(&format!("{}/", call.region)).find(|vpc| vpc.is_default).ok_or_else(|| {
            ApiError::sender(
                "DefaultVpcDoesNotExist",
                "No default VPC exists for this account in this region.",
            )
        })?;
    let own: Vec<_> = view.subnets_of_vpc(&call.region, &vpc.value().id).collect();
    if own.iter().any(|subnet| subnet.is_default && subnet.availability_zone == zone) {
        return Err(ApiError::sender(
            "DefaultSubnetAlreadyExistsInAvailabilityZone",
            format!("A Default Subnet already exists in Availability Zone {zone}"),
        ));
    }
    let range = region::default_subnet_ranges(vpc.cidr)
        .find(|range| !own.iter().any(|subnet| subnet.cidr.overlaps(*range)))
        .ok_or_else(|| {
            ApiError::sender("InsufficientCidrBlocks", "The default VPC has no room for a default subnet.")
        })?;
    let record = region::default_subnet(&call.region, &vpc.value().id, range, zone, ids);
    let output = CreateDefaultSubnetResult { subnet: Some(shown(view, &record)) };
    Ok((output, vec![touch(&vpc), Change::create(record)]))
}

pub(super) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteSubnetRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let subnet = find(view, call, &input.subnet_id)?;
    if view.used_addresses(&subnet.id) > 0 {
        return Err(dependency(format!(
            "The subnet '{}' has dependencies and cannot be deleted.",
            subnet.id
        )));
    }
    // A deleted subnet is under no route table any more.
    let mut changes = tables::forget_subnet(view, &call.region, &input.subnet_id)?;
    changes.push(Change::delete(subnet.value().key(), subnet.revision));
    Ok(((), changes))
}

fn shown(view: &View, subnet: &SubnetRecord) -> Subnet {
    let used = u32::try_from(view.used_addresses(&subnet.id)).unwrap_or(u32::MAX);
    let zone = subnet.availability_zone.as_str();
    let dns = PrivateDnsNameOptionsOnLaunch {
        hostname_type: Some("ip-name".to_owned()),
        enable_resource_name_dns_a_record: Some(false),
        enable_resource_name_dns_aaaa_record: Some(false),
    };
    Subnet {
        subnet_id: Some(subnet.id.to_string()),
        subnet_arn: Some(
            gantry_types::arn("ec2", subnet.region.as_str(), &format!("subnet/{}", subnet.id)).to_string(),
        ),
        vpc_id: Some(subnet.vpc.to_string()),
        cidr_block: Some(subnet.cidr.to_string()),
        availability_zone: Some(zone.to_owned()),
        availability_zone_id: Some(catalogue::zone_id(subnet.region.as_str(), zone)),
        available_ip_address_count: i32::try_from(subnet.capacity().saturating_sub(used)).ok(),
        default_for_az: Some(subnet.is_default),
        map_public_ip_on_launch: Some(subnet.map_public_ip),
        map_customer_owned_ip_on_launch: Some(false),
        assign_ipv6_address_on_creation: Some(false),
        enable_dns64: Some(false),
        ipv6_native: Some(false),
        ipv6_cidr_block_association_set: Some(vec![]),
        private_dns_name_options_on_launch: Some(dns),
        owner_id: Some(ACCOUNT.to_owned()),
        state: Some("available".to_owned()),
        tags: Some(tags::tags_of(&subnet.document)),
        ..Subnet::default()
    }
}

pub(super) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeSubnetsRequest,
) -> Result<DescribeSubnetsResult, ApiError> {
    for id in input.subnet_ids.iter().flatten() {
        find(view, call, id)?;
    }
    let mut subnets = Vec::new();
    for subnet in view.scan::<SubnetRecord>(&format!("{}/", call.region)) {
        if input.subnet_ids.as_ref().is_some_and(|ids| !ids.iter().any(|id| id == subnet.id.as_str())) {
            continue;
        }
        let zone = subnet.availability_zone.as_str();
        let property = |name: &str| match name {
            "subnet-id" => one(&subnet.id),
            "vpc-id" => one(&subnet.vpc),
            "availability-zone" | "availabilityZone" => one(zone),
            "availability-zone-id" | "availabilityZoneId" => {
                one(catalogue::zone_id(call.region.as_str(), zone))
            }
            "default-for-az" | "defaultForAz" => one(subnet.is_default),
            "map-public-ip-on-launch" => one(subnet.map_public_ip),
            "cidr" | "cidr-block" | "cidrBlock" => one(subnet.cidr),
            "state" => one("available"),
            "owner-id" => one(ACCOUNT),
            "subnet-arn" => shown(view, subnet.value()).subnet_arn.map(|arn| vec![arn]),
            "available-ip-address-count" => {
                shown(view, subnet.value()).available_ip_address_count.and_then(one)
            }
            "ipv6-cidr-block-association.ipv6-cidr-block"
            | "ipv6-cidr-block-association.association-id"
            | "ipv6-cidr-block-association.state" => Some(vec![]),
            "ipv6-native" => one(false),
            _ => None,
        };
        if matches(input.filters.as_deref(), &tags::tags_of(&subnet.document), property)? {
            subnets.push(shown(view, subnet.value()));
        }
    }
    let key = |subnet: &Subnet| subnet.subnet_id.clone().unwrap_or_default();
    let page = listing(subnets, key, input.max_results, input.next_token.as_deref())?;
    Ok(DescribeSubnetsResult { subnets: Some(page.items), next_token: page.next })
}

pub(super) fn modify_attribute(
    view: &View,
    call: &CallContext,
    input: &ModifySubnetAttributeRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let subnet = find(view, call, &input.subnet_id)?;
    let mut record = subnet.value().clone();
    if let Some(value) = input.map_public_ip_on_launch.as_ref().and_then(|given| given.value) {
        record.map_public_ip = value;
        return Ok(((), vec![Change::update(record, subnet.revision)]));
    }
    let is_on =
        |given: &Option<AttributeBooleanValue>| given.as_ref().is_some_and(|each| each.value == Some(true));
    let others = [
        is_on(&input.assign_ipv6_address_on_creation),
        is_on(&input.enable_dns64),
        is_on(&input.map_customer_owned_ip_on_launch),
        input.private_dns_hostname_type_on_launch.as_deref().is_some_and(|each| each != "ip-name"),
        is_on(&input.enable_resource_name_dns_a_record_on_launch),
        is_on(&input.enable_resource_name_dns_aaaa_record_on_launch),
    ];
    if others.contains(&true) {
        return Err(ApiError::sender(
            "UnsupportedOperation",
            "Gantry supports only mapPublicIpOnLaunch of a subnet's attributes yet.",
        ));
    }
    Ok(((), vec![]))
}
