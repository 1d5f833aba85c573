//! Security groups.

use gantry_api::ec2::{
    CreateSecurityGroupRequest, CreateSecurityGroupResult, DeleteSecurityGroupRequest,
    DeleteSecurityGroupResult, DescribeSecurityGroupsRequest, DescribeSecurityGroupsResult, IpPermission,
    IpRange, SecurityGroup,
};
use gantry_api::{ApiError, CallContext};
use gantry_domain::network::{
    NetworkInterface as InterfaceRecord, Peer, SecurityGroup as GroupRecord, SecurityRule, Vpc as VpcRecord,
};
use gantry_domain::{Change, Key, Stored, Versioned, View};
use gantry_types::{ACCOUNT, Ids, SecurityGroupId, Value, VpcId, arn};

use super::filters::{matches, one};
use super::listing::listing;
use super::{bad_value, rules, tags, vpcs};
use crate::Decision;
use crate::ties::touch;

const GROUPS_PER_VPC_MAX: usize = 2500;
const TEXT_LENGTH_MAX: usize = 255;

pub(super) fn by_id<'v>(view: &'v View, call: &CallContext, id: &str) -> Option<Versioned<'v, GroupRecord>> {
    view.get(&Key::security_group(&call.region, &SecurityGroupId::new(id)))
}

pub(super) fn not_found(id: &str) -> ApiError {
    if !id.starts_with("sg-") {
        return ApiError::sender(
            "InvalidGroupId.Malformed",
            format!("Invalid id: \"{id}\" (expecting \"sg-...\")"),
        );
    }
    ApiError::sender("InvalidGroup.NotFound", format!("The security group '{id}' does not exist"))
}

pub(super) fn default_vpc<'v>(
    view: &'v View,
    call: &CallContext,
) -> Result<Versioned<'v, VpcRecord>, ApiError> {
    view.scan::<VpcRecord>(&format!("{}/", call.region))
        .find(|vpc| vpc.is_default)
        .ok_or_else(|| ApiError::sender("VPCIdNotSpecified", "No default VPC for this user"))
}

fn not_found_by_name(name: &str, vpc: &VpcId) -> ApiError {
    ApiError::sender(
        "InvalidGroup.NotFound",
        format!("The security group '{name}' does not exist in default VPC '{vpc}'"),
    )
}

/// A group by id, or by name in the default VPC.
pub(super) fn find<'v>(
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
                .ok_or_else(|| not_found_by_name(name, &vpc.id))
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
    if !is_text(name) || name.starts_with("sg-") || name.trim() != name {
        return Err(bad_value(format!(
            "Value ({name}) for parameter GroupName is invalid. Group names are 1 to 255 characters of {TEXT_CHARACTERS} and must not begin with sg-."
        )));
    }
    if name == "default" {
        return Err(ApiError::sender(
            "InvalidParameterValue",
            "Cannot use reserved security group name: default",
        ));
    }
    if !is_text(description) {
        return Err(bad_value(format!(
            "Value ({description}) for parameter GroupDescription is invalid. Descriptions are 1 to 255 characters of {TEXT_CHARACTERS}."
        )));
    }
    if view.security_groups_of_vpc(&call.region, &vpc.id).any(|group| group.name == *name) {
        return Err(ApiError::sender(
            "InvalidGroup.Duplicate",
            format!("The security group '{name}' already exists for VPC '{}'", vpc.id),
        ));
    }
    if view.security_groups_of_vpc(&call.region, &vpc.id).count() >= GROUPS_PER_VPC_MAX {
        return Err(ApiError::sender(
            "SecurityGroupLimitExceeded",
            "The maximum number of security groups for this VPC has been reached.",
        ));
    }
    let own = tags::given(call, input.tag_specifications.as_deref(), "security-group")?;
    let mut document = Value::map();
    tags::set_tags(&mut document, own.clone());
    let id = SecurityGroupId::new(format!("sg-{}", ids.hex(17)));
    let everywhere = IpPermission {
        ip_protocol: Some("-1".to_owned()),
        ip_ranges: Some(vec![IpRange { cidr_ip: Some("0.0.0.0/0".to_owned()), description: None }]),
        ..IpPermission::default()
    };
    let mut egress = Vec::new();
    rules::add(&mut egress, rules::flatten(&[everywhere], &|_| Err(not_found("")))?, &[], ids)?;
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
    // Two groups of one name, made at the same time, conflict, and so does the VPC's deletion.
    Ok((output, vec![touch(&vpc), Change::create(record)]))
}

const TEXT_CHARACTERS: &str = "letters, digits, spaces and ._-:/()#,@[]+=&;{}!$*";

/// What names and descriptions consist of.
pub(super) fn is_text(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b" ._-:/()#,@[]+=&;{}!$*".contains(&byte);
    !text.is_empty() && text.len() <= TEXT_LENGTH_MAX && text.bytes().all(allowed)
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
    let key = |group: &SecurityGroup| group.group_id.clone().unwrap_or_default();
    let page = listing(groups, key, input.max_results, input.next_token.as_deref())?;
    Ok(DescribeSecurityGroupsResult { security_groups: Some(page.items), next_token: page.next })
}

fn property(group: &GroupRecord) -> impl Fn(&str) -> Option<Vec<String>> + '_ {
    let of_rules = |rules: &[SecurityRule], name: &str| {
        let texts = rules.iter().filter_map(|rule| match (name, &rule.peer) {
            ("cidr", Peer::Cidr(cidr)) => Some(cidr.to_string()),
            ("group-id", Peer::Group(id)) => Some(id.to_string()),
            ("from-port", _) => Some(rule.from_port.to_string()),
            ("to-port", _) => Some(rule.to_port.to_string()),
            ("protocol", _) => Some(rules::protocol_text(rule.protocol)),
            ("user-id", Peer::Group(_)) => Some(ACCOUNT.to_owned()),
            ("ipv6-cidr", Peer::Unmatched(text)) => Some(text.clone()),
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
