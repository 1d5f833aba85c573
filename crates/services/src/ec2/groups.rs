//! Security groups.

use gantry_api::ec2::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::network::{
    NetworkInterface as InterfaceRecord, Peer, SecurityGroup as GroupRecord, SecurityRule, Vpc as VpcRecord,
};
use gantry_domain::{Change, Key, Stored, Versioned, View};
use gantry_types::{ACCOUNT, Ids, SecurityGroupId, Value, arn};

use super::filters::{matches, one};
use super::{bad_value, rules, tags, vpcs};
use crate::Decision;

fn by_id<'v>(view: &'v View, call: &CallContext, id: &str) -> Option<Versioned<'v, GroupRecord>> {
    view.get(&Key::security_group(&call.region, &SecurityGroupId::new(id)))
}

fn not_found(id: &str) -> ApiError {
    ApiError::sender("InvalidGroup.NotFound", format!("The security group '{id}' does not exist"))
}

fn default_vpc<'v>(view: &'v View, call: &CallContext) -> Result<Versioned<'v, VpcRecord>, ApiError> {
    view.scan::<VpcRecord>(&format!("{}/", call.region))
        .find(|vpc| vpc.is_default)
        .ok_or_else(|| ApiError::sender("VPCIdNotSpecified", "No default VPC for this user"))
}

/// A group by id, or by name in the default VPC.
fn find<'v>(
    view: &'v View,
    call: &CallContext,
    id: Option<&str>,
    name: Option<&str>,
) -> Result<Versioned<'v, GroupRecord>, ApiError> {
    match (id, name) {
        (Some(id), _) => by_id(view, call, id).ok_or_else(|| not_found(id)),
        (None, Some(name)) => {
            let vpc = default_vpc(view, call)?;
            view.security_groups_of_vpc(&call.region, &vpc.value().id)
                .find(|group| group.name == name)
                .ok_or_else(|| not_found(name))
        }
        (None, None) => Err(ApiError::sender(
            "MissingParameter",
            "The request must contain the parameter groupName or groupId",
        )),
    }
}

pub(super) fn create(
    view: &View,
    call: &CallContext,
    input: &CreateSecurityGroupRequest,
    ids: &mut Ids,
) -> Decision<CreateSecurityGroupResult> {
    let (name, description) = (&input.group_name, &input.description);
    let vpc = match &input.vpc_id {
        Some(id) => vpcs::find(view, call, id)?,
        None => default_vpc(view, call)?,
    };
    if name.is_empty() || name.len() > 255 || name.starts_with("sg-") {
        return Err(bad_value(format!(
            "Value ({name}) for parameter GroupName is invalid. Group names are 1 to 255 characters and must not begin with sg-."
        )));
    }
    if name == "default" {
        return Err(ApiError::sender(
            "InvalidParameterValue",
            "Cannot use reserved security group name: default",
        ));
    }
    if description.is_empty() || description.len() > 255 {
        return Err(bad_value(
            "Value for parameter GroupDescription is invalid. Descriptions are 1 to 255 characters.",
        ));
    }
    if view.security_groups_of_vpc(&call.region, &vpc.id).any(|group| group.name == *name) {
        return Err(ApiError::sender(
            "InvalidGroup.Duplicate",
            format!("The security group '{name}' already exists for VPC '{}'", vpc.id),
        ));
    }
    let own = tags::given(input.tag_specifications.as_deref(), "security-group")?;
    let mut document = Value::map();
    tags::set_tags(&mut document, own.clone());
    let id = SecurityGroupId::new(format!("sg-{}", ids.hex(17)));
    let everywhere = IpPermission {
        ip_protocol: Some("-1".to_owned()),
        ip_ranges: Some(vec![IpRange { cidr_ip: Some("0.0.0.0/0".to_owned()), description: None }]),
        ..IpPermission::default()
    };
    let mut egress = Vec::new();
    rules::add(&mut egress, rules::flatten(&[everywhere], &|_| Err(not_found("")))?, ids)?;
    let record = GroupRecord {
        region: call.region.clone(),
        id: id.clone(),
        name: name.clone(),
        description: description.clone(),
        vpc: vpc.id.clone(),
        ingress: vec![],
        egress,
        document,
    };
    let output = CreateSecurityGroupResult {
        group_id: Some(id.to_string()),
        security_group_arn: Some(
            arn("ec2", call.region.as_str(), &format!("security-group/{id}")).to_string(),
        ),
        tags: Some(own),
    };
    // Writing the VPC again makes two groups of one name, made at the same time, conflict.
    let touched = Change::update(vpc.value().clone(), vpc.revision);
    Ok((output, vec![touched, Change::create(record)]))
}

pub(super) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteSecurityGroupRequest,
    _ids: &mut Ids,
) -> Decision<DeleteSecurityGroupResult> {
    let group = find(view, call, input.group_id.as_deref(), input.group_name.as_deref())?;
    if group.name == "default" {
        return Err(ApiError::sender(
            "CannotDelete",
            format!("the specified group: \"{}\" name: \"default\" cannot be deleted by a user", group.id),
        ));
    }
    let prefix = format!("{}/", call.region);
    let has_interfaces =
        view.scan::<InterfaceRecord>(&prefix).any(|interface| interface.security_groups.contains(&group.id));
    let has_balancers = view
        .scan::<gantry_domain::elb::LoadBalancer>("")
        .any(|each| each.security_groups.contains(&group.id));
    let is_referenced = view.scan::<GroupRecord>(&prefix).any(|other| {
        let names = |rule: &SecurityRule| rule.peer == Peer::Group(group.id.clone());
        other.id != group.id && (other.ingress.iter().any(names) || other.egress.iter().any(names))
    });
    if has_interfaces || has_balancers || is_referenced {
        return Err(super::dependency(format!("resource {} has a dependent object", group.id)));
    }
    let output = DeleteSecurityGroupResult { group_id: Some(group.id.to_string()), r#return: Some(true) };
    Ok((output, vec![Change::delete(group.value().key(), group.revision)]))
}

fn shown(group: &GroupRecord) -> SecurityGroup {
    SecurityGroup {
        group_id: Some(group.id.to_string()),
        group_name: Some(group.name.clone()),
        description: Some(group.description.clone()),
        vpc_id: Some(group.vpc.to_string()),
        owner_id: Some(ACCOUNT.to_owned()),
        ip_permissions: Some(rules::nest(&group.ingress)),
        ip_permissions_egress: Some(rules::nest(&group.egress)),
        security_group_arn: Some(
            arn("ec2", group.region.as_str(), &format!("security-group/{}", group.id)).to_string(),
        ),
        tags: Some(tags::tags_of(&group.document)),
    }
}

pub(super) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeSecurityGroupsRequest,
) -> Result<DescribeSecurityGroupsResult, ApiError> {
    for id in input.group_ids.iter().flatten() {
        by_id(view, call, id).ok_or_else(|| not_found(id))?;
    }
    for name in input.group_names.iter().flatten() {
        find(view, call, None, Some(name))?;
    }
    let default = default_vpc(view, call).ok().map(|vpc| vpc.id.clone());
    let mut groups = Vec::new();
    for group in view.scan::<GroupRecord>(&format!("{}/", call.region)) {
        let by_ids = input.group_ids.as_ref().is_none_or(|ids| ids.iter().any(|id| id == group.id.as_str()));
        let by_names = input
            .group_names
            .as_ref()
            .is_none_or(|names| names.contains(&group.name) && Some(&group.vpc) == default.as_ref());
        if by_ids
            && by_names
            && matches(input.filters.as_deref(), &tags::tags_of(&group.document), property(group.value()))?
        {
            groups.push(shown(group.value()));
        }
    }
    Ok(DescribeSecurityGroupsResult { security_groups: Some(groups), next_token: None })
}

fn property(group: &GroupRecord) -> impl Fn(&str) -> Option<Vec<String>> + '_ {
    let of_rules = |rules: &[SecurityRule], name: &str| {
        let texts = rules.iter().filter_map(|rule| match (name, &rule.peer) {
            ("cidr", Peer::Cidr(cidr)) => Some(cidr.to_string()),
            ("group-id", Peer::Group(id)) => Some(id.to_string()),
            ("from-port", _) => Some(rule.from_port.to_string()),
            ("to-port", _) => Some(rule.to_port.to_string()),
            ("protocol", _) => Some(rules::protocol_text(rule.protocol)),
            _ => None,
        });
        Some(texts.collect::<Vec<_>>())
    };
    move |name| match name {
        "group-id" => one(&group.id),
        "group-name" => one(&group.name),
        "vpc-id" => one(&group.vpc),
        "description" => one(&group.description),
        "owner-id" => one(ACCOUNT),
        _ => match (name.strip_prefix("ip-permission."), name.strip_prefix("egress.ip-permission.")) {
            (Some(name), _) => of_rules(&group.ingress, name),
            (_, Some(name)) => of_rules(&group.egress, name),
            (None, None) => None,
        },
    }
}

pub(super) fn describe_rules(
    view: &View,
    call: &CallContext,
    input: &DescribeSecurityGroupRulesRequest,
) -> Result<DescribeSecurityGroupRulesResult, ApiError> {
    let mut found = Vec::new();
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
            if matches(input.filters.as_deref(), &[], property)? {
                found.push(rules::shown(group.value(), rule, is_egress));
            }
        }
    }
    Ok(DescribeSecurityGroupRulesResult { security_group_rules: Some(found), next_token: None })
}

/// What the two authorize and the two revoke calls have in common.
struct Edit<'a> {
    group_id: Option<&'a str>,
    group_name: Option<&'a str>,
    permissions: Vec<IpPermission>,
    rule_ids: Option<&'a [String]>,
    egress: bool,
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
    ($input:expr, $group_id:expr, $group_name:expr, $rule_ids:expr, $egress:expr) => {{
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
            egress: $egress,
        }
    }};
}

impl Edit<'_> {
    /// Rules whose groups exist in the same VPC.
    fn flatten(
        &self,
        view: &View,
        call: &CallContext,
        group: &GroupRecord,
    ) -> Result<Vec<SecurityRule>, ApiError> {
        rules::flatten(&self.permissions, &|pair| {
            let found = match (&pair.group_id, &pair.group_name) {
                (Some(id), _) => by_id(view, call, id).ok_or_else(|| not_found(id))?,
                (None, name) => find(view, call, None, name.as_deref())?,
            };
            if found.vpc == group.vpc { Ok(found.id.clone()) } else { Err(not_found(found.id.as_str())) }
        })
    }

    fn authorize(&self, view: &View, call: &CallContext, ids: &mut Ids) -> Decision<Vec<SecurityGroupRule>> {
        let group = find(view, call, self.group_id, self.group_name)?;
        let mut record = group.value().clone();
        let more = self.flatten(view, call, &record)?;
        let list = if self.egress { &mut record.egress } else { &mut record.ingress };
        let added = rules::add(list, more, ids)?;
        let shown = added.iter().map(|rule| rules::shown(&record, rule, self.egress)).collect();
        Ok((shown, vec![Change::update(record, group.revision)]))
    }

    fn revoke(&self, view: &View, call: &CallContext) -> Decision<Vec<RevokedSecurityGroupRule>> {
        let group = find(view, call, self.group_id, self.group_name)?;
        let mut record = group.value().clone();
        let list = if self.egress { &mut record.egress } else { &mut record.ingress };
        let mut revoked = Vec::new();
        if let Some(ids) = self.rule_ids.filter(|ids| !ids.is_empty()) {
            for id in ids {
                let index = list.iter().position(|rule| rule.id == *id).ok_or_else(|| {
                    ApiError::sender(
                        "InvalidSecurityGroupRuleId.NotFound",
                        format!("The security group rule ID '{id}' does not exist"),
                    )
                })?;
                revoked.push(list.remove(index));
            }
        } else {
            for rule in self.flatten(view, call, group.value())? {
                let index = list.iter().position(|other| rules::is_same(other, &rule)).ok_or_else(|| {
                    ApiError::sender(
                        "InvalidPermission.NotFound",
                        "The specified rule does not exist in this security group.",
                    )
                })?;
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
    let edit = edit!(input, input.group_id.as_deref(), input.group_name.as_deref(), None, false);
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
    let edit = edit!(input, Some(input.group_id.as_str()), None, None, true);
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
    let edit = edit!(input, input.group_id.as_deref(), input.group_name.as_deref(), rule_ids, false);
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
    let edit = edit!(input, Some(input.group_id.as_str()), None, rule_ids, true);
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
