//! Tags of EC2's resources. They stand in each record's document under `Tags`.

use gantry_api::ec2::*;
use gantry_api::{ApiError, CallContext, FromValue, IntoValue};
use gantry_domain::network::{
    NetworkInterface as InterfaceRecord, SecurityGroup as GroupRecord, Subnet as SubnetRecord,
    Vpc as VpcRecord,
};
use gantry_domain::object::Object;
use gantry_domain::{Action, Change, Key, View};
use gantry_types::{Ids, Value};

use super::filters::{matches, one};
use super::listing::listing;
use super::{
    acls, bad_value, gateways, group_rules, groups, interfaces, rules, subnets, tables, vpc_not_found,
};
use crate::Decision;
use crate::reserved::{is_aws, is_reserved};

const TAGS_MAX: usize = 50;
const RESOURCES_MAX: usize = 1000;
/// Changes that one commit of a call makes at most.
const CHANGES_MAX: usize = 100;

pub(super) fn tags_of(document: &Value) -> Vec<Tag> {
    document.get("Tags").and_then(|tags| FromValue::from_value(tags).ok()).unwrap_or_default()
}

pub(super) fn set_tags(document: &mut Value, tags: Vec<Tag>) {
    document.set("Tags", tags.into_value());
}

/// The tags that a creation gives to a resource of this type.
pub(super) fn given(
    call: &CallContext,
    specifications: Option<&[TagSpecification]>,
    resource_type: &str,
) -> Result<Vec<Tag>, ApiError> {
    let mut tags = Vec::new();
    for specification in specifications.unwrap_or_default() {
        if specification.resource_type.as_deref() != Some(resource_type) {
            let other = specification.resource_type.as_deref().unwrap_or("");
            return Err(bad_value(format!(
                "'{other}' is not a valid taggable resource type for this operation."
            )));
        }
        put(call, &mut tags, specification.tags.as_deref().unwrap_or_default())?;
    }
    Ok(tags)
}

fn put(call: &CallContext, tags: &mut Vec<Tag>, more: &[Tag]) -> Result<(), ApiError> {
    for tag in more {
        let key = tag.key.as_deref().unwrap_or("");
        if key.is_empty() || key.chars().count() > 127 || is_reserved(call, key) {
            return Err(bad_value(format!(
                "Tag keys must be 1 to 127 characters long and not begin with aws: '{key}'."
            )));
        }
        if tag.value.as_deref().unwrap_or("").chars().count() > 256 {
            return Err(bad_value("Tag values must be at most 256 characters long."));
        }
        let value = Some(tag.value.clone().unwrap_or_default());
        match tags.iter_mut().find(|other| other.key == tag.key) {
            Some(other) => other.value = value,
            None => tags.push(Tag { key: tag.key.clone(), value }),
        }
    }
    if own_count(tags) > TAGS_MAX {
        return Err(ApiError::sender(
            "TagLimitExceeded",
            format!("The maximum number of Tags for a resource is {TAGS_MAX}."),
        ));
    }
    Ok(())
}

/// AWS's own tags do not count.
fn own_count(tags: &[Tag]) -> usize {
    tags.iter().filter(|tag| !tag.key.as_deref().is_some_and(is_aws)).count()
}

/// The classes of taggable objects by the prefix of their ids.
const OBJECTS: [(&str, &str); 3] =
    [("igw-", "internet-gateway"), ("rtb-", "route-table"), ("acl-", "network-acl")];

fn edit(
    view: &View,
    call: &CallContext,
    id: &str,
    edit: &dyn Fn(&mut Vec<Tag>) -> Result<(), ApiError>,
) -> Result<Change, ApiError> {
    let not_found = || not_found(id);
    let region = &call.region;
    macro_rules! change {
        ($type:ty, $key:expr) => {{
            let found = view.get::<$type>(&$key).ok_or_else(not_found)?;
            let mut record = found.value().clone();
            let mut tags = tags_of(&record.document);
            edit(&mut tags)?;
            set_tags(&mut record.document, tags);
            Ok(Change::update(record, found.revision))
        }};
    }
    if let Some((_, kind)) = OBJECTS.iter().find(|(prefix, _)| id.starts_with(prefix)) {
        return change!(Object, Key::object(&format!("ec2/{kind}/{region}"), id));
    }
    match id.split('-').next() {
        Some("vpc") => change!(VpcRecord, Key::vpc(region, &id.into())),
        Some("subnet") => change!(SubnetRecord, Key::subnet(region, &id.into())),
        Some("sg") => change!(GroupRecord, Key::security_group(region, &id.into())),
        Some("eni") => change!(InterfaceRecord, Key::network_interface(region, &id.into())),
        Some("sgr") => edit_rule(view, call, id, edit),
        _ => Err(not_found()),
    }
}

/// A rule's tags stand in its group's record.
fn edit_rule(
    view: &View,
    call: &CallContext,
    id: &str,
    edit: &dyn Fn(&mut Vec<Tag>) -> Result<(), ApiError>,
) -> Result<Change, ApiError> {
    for group in view.scan::<GroupRecord>(&format!("{}/", call.region)) {
        let mut record = group.value().clone();
        if let Some(rule) = record.ingress.iter_mut().chain(&mut record.egress).find(|rule| rule.id == id) {
            let mut tags = rules::tags_of(rule);
            edit(&mut tags)?;
            rule.tags = if tags.is_empty() { Value::Null } else { tags.into_value() };
            return Ok(Change::update(record, group.revision));
        }
    }
    Err(not_found(id))
}

/// Every type has a code of its own for what is not there.
fn not_found(id: &str) -> ApiError {
    match id.split_once('-').map(|(prefix, _)| prefix) {
        Some("vpc") => vpc_not_found(id),
        Some("subnet") => subnets::not_found(id),
        Some("sg") => groups::not_found(id),
        Some("sgr") => group_rules::rule_not_found(id),
        Some("rtb") => tables::not_found(id),
        Some("igw") => gateways::not_found(id),
        Some("acl") => acls::not_found(id),
        Some("eni") => interfaces::not_found(id),
        _ => ApiError::sender("InvalidID", format!("The ID '{id}' is not valid")),
    }
}

pub(super) fn create(
    view: &View,
    call: &CallContext,
    input: &CreateTagsRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let edits = |id: &String| edit(view, call, id, &|tags| put(call, tags, &input.tags));
    Ok(((), changed(view, unique(&input.resources)?.map(edits).collect::<Result<_, _>>()?)))
}

pub(super) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteTagsRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let goes = |tag: &Tag| match input.tags.as_deref() {
        _ if tag.key.as_deref().is_some_and(|key| is_reserved(call, key)) => false,
        None | Some([]) => true,
        Some(named) => named.iter().any(|each| {
            each.key == tag.key && each.value.as_ref().is_none_or(|value| tag.value.as_ref() == Some(value))
        }),
    };
    let edits = |id: &String| {
        edit(view, call, id, &|tags| {
            tags.retain(|tag| !goes(tag));
            Ok(())
        })
    };
    Ok(((), changed(view, unique(&input.resources)?.map(edits).collect::<Result<_, _>>()?)))
}

/// The resources of one call, each once.
fn unique(ids: &[String]) -> Result<impl Iterator<Item = &String>, ApiError> {
    if ids.is_empty() {
        return Err(ApiError::sender(
            "MissingParameter",
            "The request must contain the parameter resourceIdSet",
        ));
    }
    if ids.len() > RESOURCES_MAX {
        return Err(bad_value(format!("At most {RESOURCES_MAX} resources can be tagged at once.")));
    }
    Ok(ids.iter().enumerate().filter(|(index, id)| !ids[..*index].contains(id)).map(|(_, id)| id))
}

/// What is not as it shall be yet, as much of it as fits into one commit. Of several changes of one record, rules of one
/// group for example, the first: the others come with the next commit.
fn changed(view: &View, changes: Vec<Change>) -> Vec<Change> {
    let mut chosen: Vec<Change> = Vec::new();
    for change in changes {
        let present = view.record(&change.key).map(|(_, record)| record.as_ref());
        let is_news = !matches!(&change.action, Action::Put(record) if Some(record) == present);
        if is_news && chosen.len() < CHANGES_MAX && !chosen.iter().any(|other| other.key == change.key) {
            chosen.push(change);
        }
    }
    chosen
}

pub(super) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeTagsRequest,
) -> Result<DescribeTagsResult, ApiError> {
    let prefix = format!("{}/", call.region);
    let mut found: Vec<(String, &'static str, Vec<Tag>)> = Vec::new();
    found.extend(view.scan::<VpcRecord>(&prefix).map(|r| (r.id.to_string(), "vpc", tags_of(&r.document))));
    found.extend(
        view.scan::<SubnetRecord>(&prefix).map(|r| (r.id.to_string(), "subnet", tags_of(&r.document))),
    );
    found.extend(
        view.scan::<GroupRecord>(&prefix).map(|r| (r.id.to_string(), "security-group", tags_of(&r.document))),
    );
    found.extend(
        view.scan::<InterfaceRecord>(&prefix)
            .map(|r| (r.id.to_string(), "network-interface", tags_of(&r.document))),
    );
    for (_, kind) in OBJECTS {
        let objects = view.scan::<Object>(&format!("ec2/{kind}/{}/", call.region));
        found.extend(objects.map(|r| (r.name.clone(), kind, tags_of(&r.document))));
    }
    for group in view.scan::<GroupRecord>(&prefix) {
        let rules_of = group.value().ingress.iter().chain(&group.value().egress);
        found.extend(rules_of.map(|rule| (rule.id.clone(), "security-group-rule", rules::tags_of(rule))));
    }
    let mut tags = Vec::new();
    for (id, resource_type, own) in found {
        for tag in own {
            let property = |name: &str| match name {
                "resource-id" => one(&id),
                "resource-type" => one(resource_type),
                "key" => tag.key.clone().map(|key| vec![key]),
                "value" => tag.value.clone().map(|value| vec![value]),
                _ => None,
            };
            if matches(input.filters.as_deref(), std::slice::from_ref(&tag), property)? {
                tags.push(TagDescription {
                    key: tag.key.clone(),
                    value: tag.value.clone(),
                    resource_id: Some(id.clone()),
                    resource_type: Some(resource_type.to_owned()),
                });
            }
        }
    }
    let key = |tag: &TagDescription| {
        format!("{}\n{}", tag.resource_id.as_deref().unwrap_or(""), tag.key.as_deref().unwrap_or(""))
    };
    let page = listing(tags, key, input.max_results, input.next_token.as_deref())?;
    Ok(DescribeTagsResult { tags: Some(page.items), next_token: page.next })
}
