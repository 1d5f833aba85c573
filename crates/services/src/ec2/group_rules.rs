//! The rules of security groups: authorizing, revoking, changing and describing them.

use std::collections::BTreeSet;

use gantry_api::ec2::{
    AuthorizeSecurityGroupEgressRequest, AuthorizeSecurityGroupEgressResult,
    AuthorizeSecurityGroupIngressRequest, AuthorizeSecurityGroupIngressResult,
    DescribeSecurityGroupRulesRequest, DescribeSecurityGroupRulesResult, IpPermission, IpRange,
    RevokeSecurityGroupEgressRequest, RevokeSecurityGroupEgressResult, RevokeSecurityGroupIngressRequest,
    RevokeSecurityGroupIngressResult, RevokedSecurityGroupRule, SecurityGroupRule, TagSpecification,
};
use gantry_api::{ApiError, CallContext};
use gantry_domain::network::{Peer, SecurityGroup as GroupRecord, SecurityRule};
use gantry_domain::{Change, Key, View};
use gantry_types::{Ids, SecurityGroupId};

use super::filters::{matches, one};
use super::groups::{by_id, find, not_found};
use super::listing::listing;
use super::{rules, tags};
use crate::Decision;
use crate::ties::touch;

pub(super) fn rule_not_found(id: &str) -> ApiError {
    ApiError::sender(
        "InvalidSecurityGroupRuleId.NotFound",
        format!("The security group rule ID '{id}' does not exist"),
    )
}

pub(super) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeSecurityGroupRulesRequest,
) -> Result<DescribeSecurityGroupRulesResult, ApiError> {
    let mut found: Vec<SecurityGroupRule> = Vec::new();
    for group in view.scan::<GroupRecord>(&format!("{}/", call.region)) {
        let both = group.value().ingress.iter().map(|rule| (rule, false));
        for (rule, is_egress) in both.chain(group.value().egress.iter().map(|rule| (rule, true))) {
            if input.security_group_rule_ids.as_ref().is_some_and(|ids| !ids.contains(&rule.id)) {
                continue;
            }
            let property = |name: &str| match name {
                "group-id" => one(&group.id),
                "security-group-rule-id" => one(&rule.id),
                _ => None,
            };
            if matches(input.filters.as_deref(), &rules::tags_of(rule), property)? {
                found.push(rules::shown(group.value(), rule, is_egress));
            }
        }
    }
    for id in input.security_group_rule_ids.iter().flatten() {
        let is_it = |rule: &SecurityGroupRule| rule.security_group_rule_id.as_ref() == Some(id);
        if input.filters.is_none() && !found.iter().any(is_it) {
            return Err(rule_not_found(id));
        }
    }
    let key = |rule: &SecurityGroupRule| rule.security_group_rule_id.clone().unwrap_or_default();
    let page = listing(found, key, input.max_results, input.next_token.as_deref())?;
    Ok(DescribeSecurityGroupRulesResult { security_group_rules: Some(page.items), next_token: page.next })
}

/// What the two authorize and the two revoke calls have in common.
struct Edit<'a> {
    group_id: Option<&'a str>,
    group_name: Option<&'a str>,
    permissions: Vec<IpPermission>,
    rule_ids: Option<&'a [String]>,
    tags: Option<&'a [TagSpecification]>,
    egress: bool,
}

/// The groups that rules let in or out are there as long as the rules are: their deletion conflicts.
pub(super) fn rest_on(view: &View, group: &GroupRecord, rules: &[SecurityRule]) -> Vec<Change> {
    let mut named: BTreeSet<&SecurityGroupId> = BTreeSet::new();
    named.extend(rules.iter().filter_map(|rule| match &rule.peer {
        Peer::Group(id) if *id != group.id => Some(id),
        _ => None,
    }));
    let found = named.into_iter().filter_map(|id| {
        view.get::<GroupRecord>(&Key::security_group(&group.region, id)).map(|found| touch(&found))
    });
    found.collect()
}

/// The permission that older clients spell out in single parameters.
fn single(
    protocol: Option<&String>,
    from: Option<i32>,
    to: Option<i32>,
    cidr: Option<&String>,
) -> Option<IpPermission> {
    let protocol = protocol?;
    Some(IpPermission {
        ip_protocol: Some(protocol.clone()),
        from_port: from,
        to_port: to,
        ip_ranges: cidr.map(|cidr| vec![IpRange { cidr_ip: Some(cidr.clone()), description: None }]),
        ..IpPermission::default()
    })
}

macro_rules! edit {
    ($input:expr, $group_id:expr, $group_name:expr, $rule_ids:expr, $tags:expr, $egress:expr) => {{
        let input = $input;
        let mut permissions = input.ip_permissions.clone().unwrap_or_default();
        permissions.extend(single(
            input.ip_protocol.as_ref(),
            input.from_port,
            input.to_port,
            input.cidr_ip.as_ref(),
        ));
        Edit {
            group_id: $group_id,
            group_name: $group_name,
            permissions,
            rule_ids: $rule_ids,
            tags: $tags,
            egress: $egress,
        }
    }};
}

/// Rules whose groups exist in the same VPC.
pub(super) fn flatten_for(
    view: &View,
    call: &CallContext,
    group: &GroupRecord,
    permissions: &[IpPermission],
) -> Result<Vec<SecurityRule>, ApiError> {
    rules::flatten(permissions, &|pair| {
        let found = match (&pair.group_id, &pair.group_name) {
            (Some(id), _) => by_id(view, call, id).ok_or_else(|| not_found(id))?,
            (None, name) => find(view, call, None, name.as_deref())?,
        };
        if found.vpc == group.vpc { Ok(found.id.clone()) } else { Err(not_found(found.id.as_str())) }
    })
}

impl Edit<'_> {
    fn authorize(&self, view: &View, call: &CallContext, ids: &mut Ids) -> Decision<Vec<SecurityGroupRule>> {
        let group = find(view, call, self.group_id, self.group_name)?;
        let mut record = group.value().clone();
        let more = flatten_for(view, call, &record, &self.permissions)?;
        let tags = tags::given(call, self.tags, "security-group-rule")?;
        let mut changes = rest_on(view, &record, &more);
        let list = if self.egress { &mut record.egress } else { &mut record.ingress };
        let added = rules::add(list, more, &tags, ids)?;
        let shown = added.iter().map(|rule| rules::shown(&record, rule, self.egress)).collect();
        changes.push(Change::update(record, group.revision));
        Ok((shown, changes))
    }

    fn revoke(&self, view: &View, call: &CallContext) -> Decision<Vec<RevokedSecurityGroupRule>> {
        let group = find(view, call, self.group_id, self.group_name)?;
        let mut record = group.value().clone();
        let list = if self.egress { &mut record.egress } else { &mut record.ingress };
        let mut revoked = Vec::new();
        if let Some(ids) = self.rule_ids.filter(|ids| !ids.is_empty()) {
            for id in ids {
                let index = list.iter().position(|rule| rule.id == *id).ok_or_else(|| rule_not_found(id))?;
                revoked.push(list.remove(index));
            }
        } else {
            for rule in flatten_for(view, call, group.value(), &self.permissions)? {
                let index = list
                    .iter()
                    .position(|other| rules::is_same(other, &rule))
                    .ok_or_else(rules::not_found)?;
                revoked.push(list.remove(index));
            }
        }
        let shown = revoked.iter().map(|rule| {
            let shown = rules::shown(&record, rule, self.egress);
            RevokedSecurityGroupRule {
                security_group_rule_id: shown.security_group_rule_id,
                group_id: shown.group_id,
                is_egress: shown.is_egress,
                ip_protocol: shown.ip_protocol,
                from_port: shown.from_port,
                to_port: shown.to_port,
                cidr_ipv4: shown.cidr_ipv4,
                cidr_ipv6: shown.cidr_ipv6,
                prefix_list_id: shown.prefix_list_id,
                referenced_group_id: shown.referenced_group_info.and_then(|group| group.group_id),
                description: shown.description,
            }
        });
        let shown = shown.collect();
        Ok((shown, vec![Change::update(record, group.revision)]))
    }
}

pub(super) fn authorize_ingress(
    view: &View,
    call: &CallContext,
    input: &AuthorizeSecurityGroupIngressRequest,
    ids: &mut Ids,
) -> Decision<AuthorizeSecurityGroupIngressResult> {
    let edit = edit!(
        input,
        input.group_id.as_deref(),
        input.group_name.as_deref(),
        None,
        input.tag_specifications.as_deref(),
        false
    );
    let (rules, changes) = edit.authorize(view, call, ids)?;
    Ok((
        AuthorizeSecurityGroupIngressResult { r#return: Some(true), security_group_rules: Some(rules) },
        changes,
    ))
}

pub(super) fn authorize_egress(
    view: &View,
    call: &CallContext,
    input: &AuthorizeSecurityGroupEgressRequest,
    ids: &mut Ids,
) -> Decision<AuthorizeSecurityGroupEgressResult> {
    let edit =
        edit!(input, Some(input.group_id.as_str()), None, None, input.tag_specifications.as_deref(), true);
    let (rules, changes) = edit.authorize(view, call, ids)?;
    Ok((
        AuthorizeSecurityGroupEgressResult { r#return: Some(true), security_group_rules: Some(rules) },
        changes,
    ))
}

pub(super) fn revoke_ingress(
    view: &View,
    call: &CallContext,
    input: &RevokeSecurityGroupIngressRequest,
    _ids: &mut Ids,
) -> Decision<RevokeSecurityGroupIngressResult> {
    let rule_ids = input.security_group_rule_ids.as_deref();
    let edit = edit!(input, input.group_id.as_deref(), input.group_name.as_deref(), rule_ids, None, false);
    let (rules, changes) = edit.revoke(view, call)?;
    let (done, rules) = (Some(true), Some(rules));
    Ok((
        RevokeSecurityGroupIngressResult {
            r#return: done,
            revoked_security_group_rules: rules,
            ..Default::default()
        },
        changes,
    ))
}

pub(super) fn revoke_egress(
    view: &View,
    call: &CallContext,
    input: &RevokeSecurityGroupEgressRequest,
    _ids: &mut Ids,
) -> Decision<RevokeSecurityGroupEgressResult> {
    let rule_ids = input.security_group_rule_ids.as_deref();
    let edit = edit!(input, Some(input.group_id.as_str()), None, rule_ids, None, true);
    let (rules, changes) = edit.revoke(view, call)?;
    let (done, rules) = (Some(true), Some(rules));
    Ok((
        RevokeSecurityGroupEgressResult {
            r#return: done,
            revoked_security_group_rules: rules,
            ..Default::default()
        },
        changes,
    ))
}
