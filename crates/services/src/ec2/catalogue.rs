//! What an account finds without making it: zones, regions, limits; and what does not exist here yet.

use gantry_api::ec2::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_types::ACCOUNT;

use super::bad_value;
use super::filters::{matches, one};
use super::region::{REGIONS, ZONE_LETTERS};

/// The one set of DHCP options: Amazon's resolver.
pub(super) const DHCP_OPTIONS: &str = "dopt-00000000000000001";

/// A zone's id: `use1-az1` for `us-east-1a`.
pub(super) fn zone_id(region: &str, zone: &str) -> String {
    let mut parts = region.split('-');
    let (area, direction, number) =
        (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let short: String = match direction {
        "northeast" => "ne".to_owned(),
        "northwest" => "nw".to_owned(),
        "southeast" => "se".to_owned(),
        "southwest" => "sw".to_owned(),
        other => other.chars().take(1).collect(),
    };
    let index = zone
        .chars()
        .last()
        .and_then(|letter| ZONE_LETTERS.iter().position(|each| *each == letter))
        .unwrap_or(0)
        + 1;
    format!("{area}{short}{number}-az{index}")
}

pub(super) fn availability_zones(
    _view: &View,
    call: &CallContext,
    input: &DescribeAvailabilityZonesRequest,
) -> Result<DescribeAvailabilityZonesResult, ApiError> {
    let region = call.region.as_str();
    let names: Vec<String> = ZONE_LETTERS.iter().map(|letter| format!("{region}{letter}")).collect();
    if let Some(unknown) = input.zone_names.iter().flatten().find(|name| !names.contains(name)) {
        return Err(bad_value(format!("Invalid availability zone: [{unknown}]")));
    }
    let is_zone = |id: &&String| names.iter().any(|name| zone_id(region, name) == **id);
    if let Some(unknown) = input.zone_ids.iter().flatten().find(|id| !is_zone(id)) {
        return Err(bad_value(format!("Invalid availability zone-id: [{unknown}]")));
    }
    let mut zones = Vec::new();
    for name in names {
        let id = zone_id(region, &name);
        let by_name = input.zone_names.as_ref().is_none_or(|wanted| wanted.contains(&name));
        let by_id = input.zone_ids.as_ref().is_none_or(|wanted| wanted.contains(&id));
        let property = |filter: &str| match filter {
            "zone-name" => one(&name),
            "zone-id" => one(&id),
            "region-name" | "group-name" | "network-border-group" => one(region),
            "state" => one("available"),
            "zone-type" => one("availability-zone"),
            "opt-in-status" => one("opt-in-not-required"),
            _ => None,
        };
        if by_name && by_id && matches(input.filters.as_deref(), &[], property)? {
            zones.push(AvailabilityZone {
                zone_name: Some(name.clone()),
                zone_id: Some(id),
                zone_type: Some("availability-zone".to_owned()),
                region_name: Some(region.to_owned()),
                group_name: Some(region.to_owned()),
                network_border_group: Some(region.to_owned()),
                state: Some("available".to_owned()),
                opt_in_status: Some("opt-in-not-required".to_owned()),
                messages: Some(vec![]),
                ..AvailabilityZone::default()
            });
        }
    }
    Ok(DescribeAvailabilityZonesResult { availability_zones: Some(zones) })
}

pub(super) fn regions(
    _view: &View,
    _call: &CallContext,
    input: &DescribeRegionsRequest,
) -> Result<DescribeRegionsResult, ApiError> {
    if let Some(unknown) = input.region_names.iter().flatten().find(|name| !REGIONS.contains(&name.as_str()))
    {
        return Err(bad_value(format!("Invalid region name(s) provided: {unknown}")));
    }
    let mut regions = Vec::new();
    for name in REGIONS {
        if input.region_names.as_ref().is_some_and(|names| !names.iter().any(|each| each == name)) {
            continue;
        }
        let endpoint = format!("ec2.{name}.amazonaws.com");
        let property = |filter: &str| match filter {
            "region-name" => one(name),
            "endpoint" => one(&endpoint),
            "opt-in-status" => one("opt-in-not-required"),
            _ => None,
        };
        if matches(input.filters.as_deref(), &[], property)? {
            regions.push(Region {
                region_name: Some(name.to_owned()),
                endpoint: Some(endpoint.clone()),
                opt_in_status: Some("opt-in-not-required".to_owned()),
                geography: None,
            });
        }
    }
    Ok(DescribeRegionsResult { regions: Some(regions) })
}

pub(super) fn account_attributes(
    view: &View,
    call: &CallContext,
    input: &DescribeAccountAttributesRequest,
) -> Result<DescribeAccountAttributesResult, ApiError> {
    let vpcs = view.scan::<gantry_domain::network::Vpc>(&format!("{}/", call.region));
    let default =
        vpcs.into_iter().find(|vpc| vpc.is_default).map_or("none".to_owned(), |vpc| vpc.id.to_string());
    let attributes = [
        ("supported-platforms", "VPC".to_owned()),
        ("default-vpc", default),
        ("max-instances", "20".to_owned()),
        ("vpc-max-security-groups-per-interface", "5".to_owned()),
        ("max-elastic-ips", "5".to_owned()),
        ("vpc-max-elastic-ips", "5".to_owned()),
    ];
    let attributes = attributes
        .into_iter()
        .filter(|(name, _)| {
            input.attribute_names.as_ref().is_none_or(|names| names.iter().any(|each| each == name))
        })
        .map(|(name, value)| AccountAttribute {
            attribute_name: Some(name.to_owned()),
            attribute_values: Some(vec![AccountAttributeValue { attribute_value: Some(value) }]),
        });
    Ok(DescribeAccountAttributesResult { account_attributes: Some(attributes.collect()) })
}

/// No instance can be made yet, so none exists.
pub(super) fn instances(
    _view: &View,
    _call: &CallContext,
    input: &DescribeInstancesRequest,
) -> Result<DescribeInstancesResult, ApiError> {
    match input.instance_ids.as_deref() {
        Some([id, ..]) => Err(ApiError::sender(
            "InvalidInstanceID.NotFound",
            format!("The instance ID '{id}' does not exist"),
        )),
        _ => Ok(DescribeInstancesResult { reservations: Some(vec![]), next_token: None }),
    }
}

/// No machine image can be used yet, so none is offered.
pub(super) fn images(
    _view: &View,
    _call: &CallContext,
    input: &DescribeImagesRequest,
) -> Result<DescribeImagesResult, ApiError> {
    match input.image_ids.as_deref() {
        Some([id, ..]) => {
            Err(ApiError::sender("InvalidAMIID.NotFound", format!("The image id '[{id}]' does not exist")))
        }
        _ => Ok(DescribeImagesResult { images: Some(vec![]), next_token: None }),
    }
}

pub(super) fn addresses(
    _view: &View,
    _call: &CallContext,
    input: &DescribeAddressesRequest,
) -> Result<DescribeAddressesResult, ApiError> {
    match (input.allocation_ids.as_deref(), input.public_ips.as_deref()) {
        (Some([id, ..]), _) => Err(ApiError::sender(
            "InvalidAllocationID.NotFound",
            format!("The allocation ID '{id}' does not exist"),
        )),
        (_, Some([address, ..])) => {
            Err(ApiError::sender("InvalidAddress.NotFound", format!("Address '{address}' not found.")))
        }
        _ => Ok(DescribeAddressesResult { addresses: Some(vec![]) }),
    }
}

pub(super) fn dhcp_options(
    _view: &View,
    call: &CallContext,
    input: &DescribeDhcpOptionsRequest,
) -> Result<DescribeDhcpOptionsResult, ApiError> {
    if let Some(id) = input.dhcp_options_ids.iter().flatten().find(|id| *id != DHCP_OPTIONS) {
        return Err(ApiError::sender(
            "InvalidDhcpOptionID.NotFound",
            format!("The dhcpOption ID '{id}' does not exist"),
        ));
    }
    let option = |key: &str, value: String| DhcpConfiguration {
        key: Some(key.to_owned()),
        values: Some(vec![AttributeValue { value: Some(value) }]),
    };
    let options = DhcpOptions {
        dhcp_options_id: Some(DHCP_OPTIONS.to_owned()),
        owner_id: Some(ACCOUNT.to_owned()),
        dhcp_configurations: Some(vec![
            option("domain-name", internal_domain(&call.region)),
            option("domain-name-servers", "AmazonProvidedDNS".to_owned()),
        ]),
        tags: Some(vec![]),
    };
    Ok(DescribeDhcpOptionsResult { dhcp_options: Some(vec![options]), next_token: None })
}

/// The domain of private names.
pub(super) fn internal_domain(region: &gantry_types::Region) -> String {
    match region.as_str() {
        "us-east-1" => "ec2.internal".to_owned(),
        other => format!("{other}.compute.internal"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_have_the_ids_that_aws_gives_them() {
        assert_eq!(zone_id("us-east-1", "us-east-1a"), "use1-az1");
        assert_eq!(zone_id("eu-west-2", "eu-west-2b"), "euw2-az2");
        assert_eq!(zone_id("ap-southeast-1", "ap-southeast-1c"), "apse1-az3");
    }
}
