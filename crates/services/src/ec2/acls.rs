//! Network access lists: every VPC has the one that lets everything pass. Others can't be made, because nothing would heed them.

use gantry_api::ec2::{
    DescribeNetworkAclsRequest, DescribeNetworkAclsResult, NetworkAcl, NetworkAclAssociation, NetworkAclEntry,
};
use gantry_api::{ApiError, CallContext};
use gantry_domain::{Change, View};
use gantry_types::{ACCOUNT, Ids, Region, VpcId};

use super::filters::{matches, one};
use super::listing::listing;
use super::region::object;
use crate::objects;

fn acl_class(region: &Region) -> String {
    format!("ec2/network-acl/{region}")
}

pub(super) fn not_found(id: &str) -> ApiError {
    ApiError::sender("InvalidNetworkAclID.NotFound", format!("The networkAcl ID '{id}' does not exist"))
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

pub(super) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeNetworkAclsRequest,
) -> Result<DescribeNetworkAclsResult, ApiError> {
    for id in input.network_acl_ids.iter().flatten() {
        if objects::find::<NetworkAcl>(view, &acl_class(&call.region), id)?.is_none() {
            return Err(not_found(id));
        }
    }
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
    let key = |acl: &NetworkAcl| acl.network_acl_id.clone().unwrap_or_default();
    let page = listing(acls, key, input.max_results, input.next_token.as_deref())?;
    Ok(DescribeNetworkAclsResult { network_acls: Some(page.items), next_token: page.next })
}
