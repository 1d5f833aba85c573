//! Instance profiles: how a role reaches an instance.

use gantry_api::iam::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_types::Ids;

use super::listing::{below, listed};
use super::records::{PROFILE, arn, exceeded, find_role, given_tags, key, missing, profile, role};
use super::roles::{brief, unprotected};
use crate::Decision;
use crate::objects;

const PROFILES_MAX: usize = 1000;

pub(super) fn create(
    view: &View,
    call: &CallContext,
    input: &CreateInstanceProfileRequest,
    ids: &mut Ids,
) -> Decision<CreateInstanceProfileResponse> {
    let name = &input.instance_profile_name;
    let others = objects::list::<InstanceProfile>(view, PROFILE)?;
    if others.iter().any(|other| other.name == key(name)) {
        return Err(errors::entity_already_exists_exception(format!(
            "Instance Profile {name} already exists."
        )));
    }
    if others.len() >= PROFILES_MAX {
        return Err(exceeded("InstanceProfilesPerAccount", PROFILES_MAX));
    }
    let path = input.path.clone().unwrap_or_else(|| "/".to_owned());
    let instance_profile = InstanceProfile {
        arn: arn("instance-profile", &path, name),
        create_date: call.now,
        instance_profile_id: format!("AIPA{}", ids.base32(17)),
        instance_profile_name: name.clone(),
        path,
        roles: vec![],
        tags: given_tags(call, input.tags.as_deref())?,
    };
    let change = objects::create(PROFILE, &key(name), instance_profile.clone());
    Ok((CreateInstanceProfileResponse { instance_profile }, vec![change]))
}

pub(super) fn delete(
    view: &View,
    _call: &CallContext,
    input: &DeleteInstanceProfileRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let profile = profile(view, &input.instance_profile_name)?;
    if !profile.document.roles.is_empty() {
        return Err(errors::delete_conflict_exception(
            "Cannot delete entity, must remove roles from instance profile first.",
        ));
    }
    Ok(((), vec![profile.delete()]))
}

/// The profile with its role as it is now: the record keeps no more than its name.
fn shown(view: &View, profile: InstanceProfile) -> Result<InstanceProfile, ApiError> {
    let mut roles = Vec::new();
    for named in &profile.roles {
        roles.extend(find_role(view, &named.role_name)?.map(|found| brief(&found.document.shown)));
    }
    Ok(InstanceProfile { roles, ..profile })
}

pub(super) fn get(
    view: &View,
    _call: &CallContext,
    input: &GetInstanceProfileRequest,
) -> Result<GetInstanceProfileResponse, ApiError> {
    let instance_profile = shown(view, profile(view, &input.instance_profile_name)?.document)?;
    Ok(GetInstanceProfileResponse { instance_profile })
}

pub(super) fn list(
    view: &View,
    _call: &CallContext,
    input: &ListInstanceProfilesRequest,
) -> Result<ListInstanceProfilesResponse, ApiError> {
    let profiles = objects::list::<InstanceProfile>(view, PROFILE)?.into_iter().map(|found| found.document);
    let profiles = profiles.filter(|profile| below(&profile.path, input.path_prefix.as_deref()));
    let order = |profile: &InstanceProfile| key(&profile.instance_profile_name);
    let page = listed(profiles, order, input.marker.as_deref(), input.max_items)?;
    let brief = |profile| shown(view, InstanceProfile { tags: None, ..profile });
    Ok(ListInstanceProfilesResponse {
        instance_profiles: page.items.into_iter().map(brief).collect::<Result<_, _>>()?,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

pub(super) fn list_for_role(
    view: &View,
    _call: &CallContext,
    input: &ListInstanceProfilesForRoleRequest,
) -> Result<ListInstanceProfilesForRoleResponse, ApiError> {
    let name = role(view, &input.role_name)?.document.shown.role_name;
    let profiles = objects::list::<InstanceProfile>(view, PROFILE)?.into_iter().map(|found| found.document);
    let profiles = profiles.filter(|profile| profile.roles.iter().any(|role| role.role_name == name));
    let order = |profile: &InstanceProfile| key(&profile.instance_profile_name);
    let page = listed(profiles, order, input.marker.as_deref(), input.max_items)?;
    let brief = |profile| shown(view, InstanceProfile { tags: None, ..profile });
    Ok(ListInstanceProfilesForRoleResponse {
        instance_profiles: page.items.into_iter().map(brief).collect::<Result<_, _>>()?,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

pub(super) fn add_role(
    view: &View,
    _call: &CallContext,
    input: &AddRoleToInstanceProfileRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut profile = profile(view, &input.instance_profile_name)?;
    let role = unprotected(view, &input.role_name)?;
    if !profile.document.roles.is_empty() {
        return Err(exceeded("InstanceSessionsPerInstanceProfile", 1));
    }
    let name = role.document.shown.role_name.clone();
    profile.document.roles = vec![Role { role_name: name, ..Role::default() }];
    Ok(((), vec![profile.update(), role.update()]))
}

pub(super) fn remove_role(
    view: &View,
    _call: &CallContext,
    input: &RemoveRoleFromInstanceProfileRequest,
    _ids: &mut Ids,
) -> Decision<()> {
    let mut profile = profile(view, &input.instance_profile_name)?;
    let wanted = key(&input.role_name);
    if !profile.document.roles.iter().any(|role| key(&role.role_name) == wanted) {
        return Err(missing(format!("The role with name {} cannot be found.", input.role_name)));
    }
    profile.document.roles.clear();
    Ok(((), vec![profile.update()]))
}
