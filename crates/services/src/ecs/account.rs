//! Account settings: kept and given back, as clients ask for them.

use gantry_api::ecs::*;
use gantry_api::{ApiError, CallContext};
use gantry_types::Ids;

use gantry_domain::View;

use super::names::{invalid, invalid_token, page_size};
use crate::Decision;
use crate::objects;
use crate::page::page;

const SWITCH: &[&str] = &["enabled", "disabled", "on", "off"];

/// Each setting with the value that an account begins with, and those that it can have.
const SETTINGS: [(&str, &str, &[&str]); 11] = [
    ("awsvpcTrunking", "disabled", SWITCH),
    ("containerInsights", "disabled", &["enabled", "disabled", "enhanced"]),
    ("containerInstanceLongArnFormat", "enabled", SWITCH),
    ("defaultLogDriverMode", "non-blocking", &["blocking", "non-blocking"]),
    ("fargateEventWindows", "disabled", SWITCH),
    ("fargateFIPSMode", "disabled", SWITCH),
    ("fargateTaskRetirementWaitPeriod", "7", &["0", "7", "14"]),
    ("guardDutyActivate", "off", SWITCH),
    ("serviceLongArnFormat", "enabled", SWITCH),
    ("tagResourceAuthorization", "off", SWITCH),
    ("taskLongArnFormat", "enabled", SWITCH),
];

fn class(call: &CallContext) -> String {
    format!("ecs/account-setting/{}", call.region)
}

/// The values that a setting can have.
fn values(name: &str) -> Result<&'static [&'static str], ApiError> {
    let known = SETTINGS.iter().find(|(known, _, _)| *known == name);
    known
        .map(|(_, _, values)| *values)
        .ok_or_else(|| invalid(format!("{name} is not a valid account setting name.")))
}

fn write(view: &View, call: &CallContext, name: &str, value: &str) -> Decision<Option<Setting>> {
    if !values(name)?.contains(&value) {
        return Err(invalid(format!("Invalid value '{value}' for the account setting {name}.")));
    }
    let setting = Setting {
        name: Some(name.to_owned()),
        value: Some(value.to_owned()),
        principal_arn: Some(call.principal.arn.clone()),
        r#type: Some("user".to_owned()),
    };
    let change = match objects::find::<Setting>(view, &class(call), name)? {
        Some(mut found) => {
            found.document = setting.clone();
            found.update()
        }
        None => objects::create(&class(call), name, setting.clone()),
    };
    Ok((Some(setting), vec![change]))
}

pub(super) fn put(
    view: &View,
    call: &CallContext,
    input: &PutAccountSettingRequest,
    _ids: &mut Ids,
) -> Decision<PutAccountSettingResponse> {
    let (setting, changes) = write(view, call, &input.name, &input.value)?;
    Ok((PutAccountSettingResponse { setting }, changes))
}

pub(super) fn put_default(
    view: &View,
    call: &CallContext,
    input: &PutAccountSettingDefaultRequest,
    _ids: &mut Ids,
) -> Decision<PutAccountSettingDefaultResponse> {
    let (setting, changes) = write(view, call, &input.name, &input.value)?;
    Ok((PutAccountSettingDefaultResponse { setting }, changes))
}

pub(super) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteAccountSettingRequest,
    _ids: &mut Ids,
) -> Decision<DeleteAccountSettingResponse> {
    values(&input.name)?;
    let found = objects::find::<Setting>(view, &class(call), &input.name)?;
    let changes = found.iter().map(objects::Found::delete).collect();
    Ok((DeleteAccountSettingResponse { setting: found.map(|found| found.document) }, changes))
}

pub(super) fn list(
    view: &View,
    call: &CallContext,
    input: &ListAccountSettingsRequest,
) -> Result<ListAccountSettingsResponse, ApiError> {
    let mut settings: Vec<Setting> =
        objects::list::<Setting>(view, &class(call))?.into_iter().map(|found| found.document).collect();
    if input.effective_settings == Some(true) {
        for (name, value, _) in SETTINGS {
            if !settings.iter().any(|setting| setting.name.as_deref() == Some(name)) {
                settings.push(Setting {
                    name: Some(name.to_owned()),
                    value: Some(value.to_owned()),
                    principal_arn: Some(call.principal.arn.clone()),
                    r#type: Some("user".to_owned()),
                });
            }
        }
    }
    settings.retain(|setting| input.name.is_none() || setting.name == input.name);
    settings.retain(|setting| input.value.is_none() || setting.value == input.value);
    settings.sort_by(|a, b| a.name.cmp(&b.name));
    let size = page_size(input.max_results, 10, 10)?;
    let key = |setting: &Setting| setting.name.clone().unwrap_or_default();
    let page = page(settings, key, input.next_token.as_deref(), size, invalid_token)?;
    Ok(ListAccountSettingsResponse { settings: Some(page.items), next_token: page.next })
}
