//! Network interfaces, as tasks and load balancers have them.

use gantry_api::ec2::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::network::{
    InterfaceOwner, NetworkInterface as InterfaceRecord, SecurityGroup as GroupRecord,
};
use gantry_domain::{Key, View};
use gantry_types::ACCOUNT;

use super::catalogue;
use super::filters::{matches, one};
use super::tags::tags_of;

pub(super) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeNetworkInterfacesRequest,
) -> Result<DescribeNetworkInterfacesResult, ApiError> {
    let wanted = input.network_interface_ids.as_deref();
    for id in wanted.unwrap_or_default() {
        if view.get::<InterfaceRecord>(&Key::network_interface(&call.region, &id.as_str().into())).is_none() {
            return Err(ApiError::sender(
                "InvalidNetworkInterfaceID.NotFound",
                format!("The networkInterface ID '{id}' does not exist"),
            ));
        }
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
            "attachment.instance-id" | "attachment.attachment-id" => Some(vec![]),
            "attachment.instance-owner-id" => {
                Some(attachment.instance_owner_id.clone().into_iter().collect())
            }
            "mac-address" => one(&interface.mac),
            _ => None,
        };
        if matches(input.filters.as_deref(), &tags_of(&interface.document), property)? {
            interfaces.push(shown);
        }
    }
    Ok(DescribeNetworkInterfacesResult { network_interfaces: Some(interfaces), next_token: None })
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
        InterfaceOwner::User => (String::new(), false),
    };
    let attachment = managed.then(|| NetworkInterfaceAttachment {
        attachment_id: Some(interface.id.as_str().replacen("eni-", "eni-attach-", 1)),
        attach_time: Some(interface.created_at),
        delete_on_termination: Some(false),
        device_index: Some(1),
        instance_owner_id: Some("amazon-aws".to_owned()),
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
