//! Network interfaces, as tasks and load balancers have them.

use std::net::Ipv4Addr;

use gantry_api::ec2::{
    CreateNetworkInterfaceRequest, CreateNetworkInterfaceResult, DeleteNetworkInterfaceRequest,
    DescribeNetworkInterfacesRequest, DescribeNetworkInterfacesResult, GroupIdentifier, NetworkInterface,
    NetworkInterfaceAttachment, NetworkInterfacePrivateIpAddress,
};
use gantry_api::{ApiError, CallContext};
use gantry_domain::network::{
    InterfaceOwner, NetworkInterface as InterfaceRecord, SecurityGroup as GroupRecord,
    Subnet as SubnetRecord, mac_address,
};
use gantry_domain::{Change, Key, Stored as _, Versioned, View};
use gantry_types::{ACCOUNT, Ids, NetworkInterfaceId, Value};

use super::filters::{matches, one};
use super::listing::listing;
use super::tags::tags_of;
use super::{bad_value, catalogue, groups, subnets, tags};
use crate::Decision;
use crate::ties::touch;

const GROUPS_MAX: usize = 5;
const DESCRIPTION_LENGTH_MAX: usize = 255;
/// Tells the addresses of interfaces that callers make from those of load balancers and tasks.
const MAC_SALT: u8 = 0xe2;

pub(super) fn not_found(id: &str) -> ApiError {
    ApiError::sender(
        "InvalidNetworkInterfaceID.NotFound",
        format!("The networkInterface ID '{id}' does not exist"),
    )
}

fn find<'v>(
    view: &'v View,
    call: &CallContext,
    id: &str,
) -> Result<Versioned<'v, InterfaceRecord>, ApiError> {
    view.get(&Key::network_interface(&call.region, &id.into())).ok_or_else(|| not_found(id))
}

/// An interface that belongs to nothing yet: it holds an address and groups.
pub(super) fn create(
    view: &View,
    call: &CallContext,
    input: &CreateNetworkInterfaceRequest,
    ids: &mut Ids,
) -> Decision<CreateNetworkInterfaceResult> {
    refuse_unsupported(input)?;
    let subnet = subnets::find(view, call, &input.subnet_id)?;
    let address = address(view, subnet.value(), input.private_ip_address.as_deref())?;
    let groups = groups(view, call, subnet.value(), input.groups.as_deref().unwrap_or_default())?;
    if input.description.as_ref().is_some_and(|text| text.chars().count() > DESCRIPTION_LENGTH_MAX) {
        return Err(bad_value(format!("A description has at most {DESCRIPTION_LENGTH_MAX} characters.")));
    }
    let mut document = Value::map();
    document.set("Description", input.description.clone());
    tags::set_tags(
        &mut document,
        tags::given(call, input.tag_specifications.as_deref(), "network-interface")?,
    );
    let record = InterfaceRecord {
        region: call.region.clone(),
        id: NetworkInterfaceId::new(format!("eni-{}", ids.hex(17))),
        vpc: subnet.vpc.clone(),
        subnet: subnet.value().id.clone(),
        availability_zone: subnet.availability_zone.clone(),
        address,
        mac: mac_address(address, MAC_SALT),
        security_groups: groups.iter().map(|group| group.value().id.clone()).collect(),
        owner: InterfaceOwner::User,
        created_at: call.now,
        document,
    };
    let made = NetworkInterface { status: Some("pending".to_owned()), ..shown(view, &record) };
    let output = CreateNetworkInterfaceResult {
        network_interface: Some(made),
        client_token: input.client_token.clone(),
    };
    // Two choices of one address, made at the same time, conflict, and so do deletions of the subnet and the groups.
    let mut changes = vec![touch(&subnet)];
    changes.extend(groups.iter().map(touch));
    changes.push(Change::create(record));
    Ok((output, changes))
}

fn refuse_unsupported(input: &CreateNetworkInterfaceRequest) -> Result<(), ApiError> {
    let several = [
        input.ipv6_address_count.is_some_and(|count| count != 0),
        input.ipv6_addresses.as_ref().is_some_and(|list| !list.is_empty()),
        input.private_ip_addresses.as_ref().is_some_and(|list| !list.is_empty()),
        input.secondary_private_ip_address_count.is_some_and(|count| count != 0),
        input.ipv4_prefix_count.is_some_and(|count| count != 0),
        input.ipv4_prefixes.as_ref().is_some_and(|list| !list.is_empty()),
    ];
    if several.contains(&true) || input.interface_type.as_deref().is_some_and(|each| each != "interface") {
        return Err(ApiError::sender(
            "UnsupportedOperation",
            "Gantry supports only interfaces with one private IPv4 address yet.",
        ));
    }
    Ok(())
}

/// The wanted address, or a free one from the subnet's end: tasks take theirs from its beginning.
fn address(view: &View, subnet: &SubnetRecord, given: Option<&str>) -> Result<Ipv4Addr, ApiError> {
    let Some(text) = given else {
        let mut free = (0..subnet.capacity()).rev().filter_map(|slot| subnet.address(slot));
        return free.find(|address| !view.is_address_used(&subnet.id, *address)).ok_or_else(|| {
            ApiError::sender(
                "InsufficientFreeAddressesInSubnet",
                format!(
                    "There are not enough free addresses in subnet '{}' to satisfy the request.",
                    subnet.id
                ),
            )
        });
    };
    let address: Ipv4Addr =
        text.parse().map_err(|_| bad_value(format!("invalid value for parameter address: {text}")))?;
    let slot = u32::from(address).wrapping_sub(u32::from(subnet.cidr.address()));
    let usable = subnet.cidr.contains(address)
        && slot.checked_sub(SubnetRecord::RESERVED_FIRST).is_some_and(|slot| slot < subnet.capacity());
    if !usable {
        return Err(bad_value(format!("Address {address} does not fall within the subnet's address range")));
    }
    if view.is_address_used(&subnet.id, address) {
        return Err(ApiError::sender("InvalidIPAddress.InUse", format!("Address {address} is in use.")));
    }
    Ok(address)
}

/// The groups of the subnet's VPC with these ids; its default group where none is named.
fn groups<'v>(
    view: &'v View,
    call: &CallContext,
    subnet: &SubnetRecord,
    given: &[String],
) -> Result<Vec<Versioned<'v, GroupRecord>>, ApiError> {
    if given.is_empty() {
        let mut own = view.security_groups_of_vpc(&call.region, &subnet.vpc);
        return Ok(own.find(|group| group.name == "default").into_iter().collect());
    }
    let mut found: Vec<Versioned<'v, GroupRecord>> = Vec::new();
    for id in given {
        let group = groups::by_id(view, call, id).filter(|group| group.vpc == subnet.vpc);
        let group = group.ok_or_else(|| groups::not_found(id))?;
        if !found.iter().any(|other| other.value().id == group.value().id) {
            found.push(group);
        }
    }
    if found.len() > GROUPS_MAX {
        return Err(ApiError::sender(
            "SecurityGroupsPerInterfaceLimitExceeded",
            "The maximum number of security groups per interface has been reached.",
        ));
    }
    Ok(found)
}

pub(super) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteNetworkInterfaceRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let found = find(view, call, &input.network_interface_id)?;
    match found.owner {
        InterfaceOwner::User => Ok(((), vec![Change::delete(found.value().key(), found.revision)])),
        InterfaceOwner::Task(_) | InterfaceOwner::LoadBalancer(_) | InterfaceOwner::Instance(_) => {
            Err(ApiError::sender(
                "InvalidNetworkInterface.InUse",
                format!("Network interface '{}' is currently in use.", input.network_interface_id),
            ))
        }
    }
}

pub(super) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeNetworkInterfacesRequest,
) -> Result<DescribeNetworkInterfacesResult, ApiError> {
    let wanted = input.network_interface_ids.as_deref();
    for id in wanted.unwrap_or_default() {
        find(view, call, id)?;
    }
    let mut interfaces = Vec::new();
    for interface in view.scan::<InterfaceRecord>(&format!("{}/", call.region)) {
        if wanted.is_some_and(|ids| !ids.iter().any(|id| id == interface.id.as_str())) {
            continue;
        }
        let shown = shown(view, interface.value());
        let attachment = shown.attachment.clone().unwrap_or_default();
        let property = |name: &str| match name {
            "network-interface-id" => one(&interface.id),
            "vpc-id" => one(&interface.vpc),
            "subnet-id" => one(&interface.subnet),
            "group-id" => Some(interface.security_groups.iter().map(ToString::to_string).collect()),
            "group-name" => {
                Some(shown.groups.iter().flatten().filter_map(|group| group.group_name.clone()).collect())
            }
            "private-ip-address" | "addresses.private-ip-address" => one(interface.address),
            "availability-zone" => one(&interface.availability_zone),
            "status" => shown.status.as_ref().and_then(one),
            "owner-id" => one(ACCOUNT),
            "description" => shown.description.as_ref().and_then(one),
            "requester-managed" => Some(vec![shown.requester_managed.unwrap_or(false).to_string()]),
            "interface-type" => one("interface"),
            "attachment.status" => Some(attachment.status.clone().into_iter().collect()),
            "attachment.instance-id" => Some(attachment.instance_id.clone().into_iter().collect()),
            "attachment.attachment-id" => Some(vec![]),
            "attachment.instance-owner-id" => {
                Some(attachment.instance_owner_id.clone().into_iter().collect())
            }
            "mac-address" => one(&interface.mac),
            "private-dns-name" => shown.private_dns_name.as_ref().and_then(one),
            "source-dest-check" => one(true),
            "association.public-ip" | "association.allocation-id" => Some(vec![]),
            _ => None,
        };
        if matches(input.filters.as_deref(), &tags_of(&interface.document), property)? {
            interfaces.push(shown);
        }
    }
    let key = |interface: &NetworkInterface| interface.network_interface_id.clone().unwrap_or_default();
    let page = listing(interfaces, key, input.max_results, input.next_token.as_deref())?;
    Ok(DescribeNetworkInterfacesResult { network_interfaces: Some(page.items), next_token: page.next })
}

fn shown(view: &View, interface: &InterfaceRecord) -> NetworkInterface {
    let name = super::private_dns_name(&interface.region, interface.address);
    let groups = interface.security_groups.iter().map(|id| GroupIdentifier {
        group_id: Some(id.to_string()),
        group_name: view
            .get::<GroupRecord>(&Key::security_group(&interface.region, id))
            .map(|group| group.name.clone()),
    });
    let (description, managed) = match &interface.owner {
        InterfaceOwner::Task(task) => {
            (format!("arn:aws:ecs:{}:{ACCOUNT}:attachment/{task}", interface.region), true)
        }
        InterfaceOwner::LoadBalancer(arn) => {
            (format!("ELB {}", arn.resource().trim_start_matches("loadbalancer/")), true)
        }
        InterfaceOwner::Instance(instance) => (format!("Primary network interface of {instance}"), true),
        InterfaceOwner::User => {
            let text = interface.document.get("Description").and_then(Value::as_str);
            (text.unwrap_or("").to_owned(), false)
        }
    };
    let instance = match &interface.owner {
        InterfaceOwner::Instance(instance) => Some(instance.to_string()),
        InterfaceOwner::Task(_) | InterfaceOwner::LoadBalancer(_) | InterfaceOwner::User => None,
    };
    let attachment = managed.then(|| NetworkInterfaceAttachment {
        attachment_id: Some(interface.id.as_str().replacen("eni-", "eni-attach-", 1)),
        attach_time: Some(interface.created_at),
        delete_on_termination: Some(false),
        device_index: Some(if instance.is_some() { 0 } else { 1 }),
        instance_owner_id: Some(if instance.is_some() { ACCOUNT } else { "amazon-aws" }.to_owned()),
        instance_id: instance.clone(),
        status: Some("attached".to_owned()),
        ..NetworkInterfaceAttachment::default()
    });
    NetworkInterface {
        network_interface_id: Some(interface.id.to_string()),
        vpc_id: Some(interface.vpc.to_string()),
        subnet_id: Some(interface.subnet.to_string()),
        availability_zone: Some(interface.availability_zone.to_string()),
        availability_zone_id: Some(catalogue::zone_id(
            interface.region.as_str(),
            interface.availability_zone.as_str(),
        )),
        private_ip_address: Some(interface.address.to_string()),
        private_dns_name: Some(name.clone()),
        private_ip_addresses: Some(vec![NetworkInterfacePrivateIpAddress {
            primary: Some(true),
            private_ip_address: Some(interface.address.to_string()),
            private_dns_name: Some(name),
            association: None,
        }]),
        mac_address: Some(interface.mac.clone()),
        groups: Some(groups.collect()),
        status: Some(if attachment.is_some() { "in-use" } else { "available" }.to_owned()),
        attachment,
        description: Some(description),
        interface_type: Some("interface".to_owned()),
        owner_id: Some(ACCOUNT.to_owned()),
        requester_managed: Some(managed),
        source_dest_check: Some(true),
        ipv6_addresses: Some(vec![]),
        tag_set: Some(tags_of(&interface.document)),
        ..NetworkInterface::default()
    }
}
