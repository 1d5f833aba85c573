//! Changing rules of a security group where they stand: the rule keeps its id and tags.

use gantry_api::ec2::{
    IpPermission, IpRange, Ipv6Range, ModifySecurityGroupRulesRequest, ModifySecurityGroupRulesResult,
    PrefixListId, SecurityGroupRuleDescription, SecurityGroupRuleRequest,
    UpdateSecurityGroupRuleDescriptionsEgressRequest, UpdateSecurityGroupRuleDescriptionsEgressResult,
    UpdateSecurityGroupRuleDescriptionsIngressRequest, UpdateSecurityGroupRuleDescriptionsIngressResult,
    UserIdGroupPair,
};
use gantry_api::{ApiError, CallContext};
use gantry_domain::network::{SecurityGroup as GroupRecord, SecurityRule};
use gantry_domain::{Change, View};
use gantry_types::Ids;

use super::bad_value;
use super::group_rules::{flatten_for, rest_on, rule_not_found};
use super::groups::find;
use super::rules;
use crate::Decision;

/// The permission that a changed rule is written as.
fn permission(given: &SecurityGroupRuleRequest) -> IpPermission {
    let description = &given.description;
    let pair = |id: &String| UserIdGroupPair {
        group_id: Some(id.clone()),
        description: description.clone(),
        ..UserIdGroupPair::default()
    };
    let list =
        |id: &String| PrefixListId { prefix_list_id: Some(id.clone()), description: description.clone() };
    let v4 = |cidr: &String| IpRange { cidr_ip: Some(cidr.clone()), description: description.clone() };
    let v6 = |cidr: &String| Ipv6Range { cidr_ipv6: Some(cidr.clone()), description: description.clone() };
    IpPermission {
        ip_protocol: given.ip_protocol.clone(),
        from_port: given.from_port,
        to_port: given.to_port,
        ip_ranges: Some(given.cidr_ipv4.iter().map(v4).collect()),
        ipv6_ranges: Some(given.cidr_ipv6.iter().map(v6).collect()),
        prefix_list_ids: Some(given.prefix_list_id.iter().map(list).collect()),
        user_id_group_pairs: Some(given.referenced_group_id.iter().map(pair).collect()),
    }
}

pub(super) fn modify(
    view: &View,
    call: &CallContext,
    input: &ModifySecurityGroupRulesRequest,
    _ids: &mut Ids,
) -> Decision<ModifySecurityGroupRulesResult> {
    let group = find(view, call, Some(&input.group_id), None)?;
    let mut record = group.value().clone();
    let mut named: Vec<SecurityRule> = Vec::new();
    for update in &input.security_group_rules {
        let id = &update.security_group_rule_id;
        let given = update.security_group_rule.clone().unwrap_or_default();
        let wanted = flatten_for(view, call, group.value(), &[permission(&given)])?;
        let [wanted] = wanted.as_slice() else {
            return Err(bad_value("A security group rule has exactly one source or destination."));
        };
        let list = list_of(&mut record, id)?;
        if list.iter().any(|other| other.id != *id && rules::is_same(other, wanted)) {
            return Err(rules::duplicate(wanted));
        }
        for rule in list.iter_mut().filter(|rule| rule.id == *id) {
            *rule = SecurityRule { id: rule.id.clone(), tags: rule.tags.clone(), ..wanted.clone() };
        }
        named.push(wanted.clone());
    }
    let mut changes = rest_on(view, &record, &named);
    changes.push(Change::update(record, group.revision));
    Ok((ModifySecurityGroupRulesResult { r#return: Some(true) }, changes))
}

/// The rules of the direction that the rule is in.
fn list_of<'r>(record: &'r mut GroupRecord, id: &str) -> Result<&'r mut Vec<SecurityRule>, ApiError> {
    if record.ingress.iter().any(|rule| rule.id == id) {
        Ok(&mut record.ingress)
    } else if record.egress.iter().any(|rule| rule.id == id) {
        Ok(&mut record.egress)
    } else {
        Err(rule_not_found(id))
    }
}

/// Sets descriptions of rules that are named by their ids or by what they let through.
fn describe(
    view: &View,
    call: &CallContext,
    group: &GroupRecord,
    rules_of: &mut [SecurityRule],
    permissions: Option<&[IpPermission]>,
    descriptions: Option<&[SecurityGroupRuleDescription]>,
) -> Result<(), ApiError> {
    if let Some(given) = descriptions.filter(|list| !list.is_empty()) {
        for each in given {
            let id = each.security_group_rule_id.as_deref().unwrap_or("");
            let rule = rules_of.iter_mut().find(|rule| rule.id == id).ok_or_else(|| rule_not_found(id))?;
            let text = each.description.clone().filter(|text| !text.is_empty());
            rules::check_description(text.as_deref())?;
            rule.description = text;
        }
        return Ok(());
    }
    for wanted in flatten_for(view, call, group, permissions.unwrap_or_default())? {
        let rule = rules_of.iter_mut().find(|rule| rules::is_same(rule, &wanted));
        rule.ok_or_else(rules::not_found)?.description = wanted.description;
    }
    Ok(())
}

pub(super) fn describe_ingress(
    view: &View,
    call: &CallContext,
    input: &UpdateSecurityGroupRuleDescriptionsIngressRequest,
    _ids: &mut Ids,
) -> Decision<UpdateSecurityGroupRuleDescriptionsIngressResult> {
    let group = find(view, call, input.group_id.as_deref(), input.group_name.as_deref())?;
    let mut record = group.value().clone();
    let (given, texts) = (input.ip_permissions.as_deref(), input.security_group_rule_descriptions.as_deref());
    describe(view, call, group.value(), &mut record.ingress, given, texts)?;
    let output = UpdateSecurityGroupRuleDescriptionsIngressResult { r#return: Some(true) };
    Ok((output, vec![Change::update(record, group.revision)]))
}

pub(super) fn describe_egress(
    view: &View,
    call: &CallContext,
    input: &UpdateSecurityGroupRuleDescriptionsEgressRequest,
    _ids: &mut Ids,
) -> Decision<UpdateSecurityGroupRuleDescriptionsEgressResult> {
    let group = find(view, call, input.group_id.as_deref(), input.group_name.as_deref())?;
    let mut record = group.value().clone();
    let (given, texts) = (input.ip_permissions.as_deref(), input.security_group_rule_descriptions.as_deref());
    describe(view, call, group.value(), &mut record.egress, given, texts)?;
    let output = UpdateSecurityGroupRuleDescriptionsEgressResult { r#return: Some(true) };
    Ok((output, vec![Change::update(record, group.revision)]))
}
