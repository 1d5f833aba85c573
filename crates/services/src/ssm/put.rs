//! Making a parameter, and giving one a new version.

use gantry_api::ssm::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::object::Object;
use gantry_domain::{Change, Key, View};
use gantry_types::Ids;
use regex::RegexBuilder;

use super::names::{self, invalid};
use super::records::{self, Kept, Version, version_class, version_name};
use crate::objects::Found;
use crate::{Decision, objects};

const VALUE_BYTES_MAX: usize = 4096;
const ADVANCED_VALUE_BYTES_MAX: usize = 8192;
const VERSIONS_MAX: i64 = 100;
const PARAMETERS_MAX: usize = 10_000;
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// The key that encrypts where no other is named.
const KEY_DEFAULT: &str = "alias/aws/ssm";
const DATA_TYPES: [&str; 3] = ["text", "aws:ec2:image", "aws:ssm:integration"];

pub(super) fn put(
    view: &View,
    call: &CallContext,
    input: &PutParameterRequest,
    ids: &mut Ids,
) -> Decision<PutParameterResult> {
    let name = input.name.trim();
    names::check_new(&call.region, name)?;
    if input.value.is_empty() {
        return Err(invalid(
            "1 validation error detected: Value '' at 'value' failed to satisfy constraint: Member must have length greater \
             than or equal to 1",
        ));
    }
    check_policies(input.policies.as_deref())?;
    let overwrite = input.overwrite == Some(true);
    if overwrite && input.tags.as_ref().is_some_and(|tags| !tags.is_empty()) {
        return Err(invalid(
            "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove \
             overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or \
             RemoveTagsFromResource.",
        ));
    }
    match records::find_alike(view, &call.region, name)? {
        None => create(view, call, name, input, ids),
        Some(found) if overwrite && found.document.name() == name => replace(view, call, found, input, ids),
        Some(_) => Err(errors::parameter_already_exists(
            "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
        )),
    }
}

fn create(
    view: &View,
    call: &CallContext,
    name: &str,
    input: &PutParameterRequest,
    ids: &mut Ids,
) -> Decision<PutParameterResult> {
    let Some(kind) = &input.r#type else {
        return Err(invalid("A parameter type is required when you create a parameter."));
    };
    let class = records::class(&call.region);
    if view.scan::<Object>(&format!("{class}/")).count() >= PARAMETERS_MAX {
        return Err(errors::parameter_limit_exceeded(
            "You have exceeded the number of parameters for this AWS account. Delete one or more parameters and try again.",
        ));
    }
    let newest = version(call, name, kind, input, None, ids)?;
    let result = answer(&newest);
    let tags = super::tags::given(call, input.tags.as_deref().unwrap_or_default())?;
    let kept = Kept { id: ids.hex(32), newest, oldest: 1, labels: Default::default(), tags };
    Ok((result, vec![objects::create(&class, names::key(name), kept)]))
}

fn replace(
    view: &View,
    call: &CallContext,
    mut found: Found<Kept>,
    input: &PutParameterRequest,
    ids: &mut Ids,
) -> Decision<PutParameterResult> {
    let kept = &mut found.document;
    let before = std::mem::take(&mut kept.newest);
    let kind = before.shown.r#type.clone().unwrap_or_default();
    if input.r#type.as_ref().is_some_and(|wanted| *wanted != kind) {
        return Err(errors::hierarchy_type_mismatch_exception(
            "Parameter Store does not support changing a parameter type in a hierarchy. For example, you can't change a \
             parameter from a String type to a SecureString type. You must create a new, unique parameter.",
        ));
    }
    let name = before.shown.name.clone().unwrap_or_default();
    kept.newest = version(call, &name, &kind, input, Some(&before), ids)?;
    let result = answer(&kept.newest);
    let mut changes =
        vec![objects::create(&version_class(&kept.id), &version_name(before.number()), before.clone())];
    if kept.newest.number() - kept.oldest >= VERSIONS_MAX {
        changes.push(forget_oldest(view, kept)?);
    }
    changes.push(found.update());
    Ok((result, changes))
}

/// Makes room for a new version, unless the oldest one is still called by a label.
fn forget_oldest(view: &View, kept: &mut Kept) -> Result<Change, ApiError> {
    let oldest = kept.oldest;
    if !kept.labels_of(oldest).is_empty() {
        return Err(errors::parameter_max_version_limit_exceeded(format!(
            "You attempted to create a new version of {} by calling the PutParameter API with the overwrite flag. Version \
             {oldest}, the oldest version, can't be deleted because it has a label associated with it. Move the label to \
             another version of the parameter, and try again.",
            kept.name()
        )));
    }
    kept.oldest += 1;
    let key = Key::object(&version_class(&kept.id), &version_name(oldest));
    Ok(match view.record(&key) {
        Some((revision, _)) => Change::delete(key, revision),
        None => Change::check_absent(key),
    })
}

/// The version that follows `before`; what is not given stays as it was.
fn version(
    call: &CallContext,
    name: &str,
    kind: &str,
    input: &PutParameterRequest,
    before: Option<&Version>,
    ids: &mut Ids,
) -> Result<Version, ApiError> {
    let earlier = before.map(|before| &before.shown);
    let is_secure = kind == "SecureString";
    if input.key_id.is_some() && !is_secure {
        return Err(invalid("KeyId cannot be provided for parameter types other than SecureString."));
    }
    let kept = |given: &Option<String>, earlier: Option<&Option<String>>| {
        given.clone().or_else(|| earlier.cloned().flatten())
    };
    let data_type = kept(&input.data_type, earlier.map(|shown| &shown.data_type));
    let data_type = data_type.unwrap_or_else(|| "text".to_owned());
    check_data_type(&data_type, kind, &input.value)?;
    let pattern = kept(&input.allowed_pattern, earlier.map(|shown| &shown.allowed_pattern));
    let pattern = pattern.filter(|pattern| !pattern.is_empty());
    check_pattern(pattern.as_deref(), &input.value)?;
    let tier =
        tier(input.tier.as_deref(), earlier.and_then(|shown| shown.tier.as_deref()), input.value.len())?;
    let key = kept(&input.key_id, earlier.map(|shown| &shown.key_id));
    Ok(Version {
        shown: ParameterHistory {
            allowed_pattern: pattern,
            data_type: Some(data_type),
            description: kept(&input.description, earlier.map(|shown| &shown.description)),
            key_id: is_secure.then(|| key.unwrap_or_else(|| KEY_DEFAULT.to_owned())),
            last_modified_date: Some(call.now),
            last_modified_user: Some(call.principal.arn.clone()),
            name: Some(name.to_owned()),
            tier: Some(tier.to_owned()),
            r#type: Some(kind.to_owned()),
            version: Some(before.map_or(0, Version::number) + 1),
            ..ParameterHistory::default()
        },
        value: input.value.clone(),
        sealed: is_secure.then(|| sealed(input.value.len(), ids)),
    })
}

fn answer(version: &Version) -> PutParameterResult {
    PutParameterResult { tier: version.shown.tier.clone(), version: version.shown.version }
}

/// A text as long as the cipher text of a value would be, that tells nothing of it.
fn sealed(value_bytes: usize, ids: &mut Ids) -> String {
    let digits = (value_bytes + 158).div_ceil(3) * 4;
    format!("AQICAH{}", ids.base32(digits - 6))
}

/// The tier that a value of this size is kept in.
fn tier(wanted: Option<&str>, before: Option<&str>, value_bytes: usize) -> Result<&'static str, ApiError> {
    let is_advanced = before == Some("Advanced");
    let tier = match wanted {
        Some("Advanced") => "Advanced",
        Some("Intelligent-Tiering") if value_bytes > VALUE_BYTES_MAX || is_advanced => "Advanced",
        Some("Standard") if is_advanced => {
            return Err(invalid(
                "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the \
                 advanced-parameter tier to the standard-parameter tier. If necessary, you can delete the advanced \
                 parameter and recreate it as a standard parameter.",
            ));
        }
        None if is_advanced => "Advanced",
        _ => "Standard",
    };
    if value_bytes > ADVANCED_VALUE_BYTES_MAX {
        return Err(invalid(format!(
            "Advanced tier parameters support a maximum parameter value of {ADVANCED_VALUE_BYTES_MAX} characters."
        )));
    }
    if tier == "Standard" && value_bytes > VALUE_BYTES_MAX {
        return Err(invalid(format!(
            "Standard tier parameters support a maximum parameter value of {VALUE_BYTES_MAX} characters. To create a larger \
             parameter value, upgrade the parameter to use the advanced-parameter tier. For more information, see \
             https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html"
        )));
    }
    Ok(tier)
}

fn check_data_type(data_type: &str, kind: &str, value: &str) -> Result<(), ApiError> {
    if !DATA_TYPES.contains(&data_type) {
        return Err(invalid(format!(
            "The following data type is not supported: {data_type} (Data type names are all lowercase.)"
        )));
    }
    if data_type == "aws:ec2:image" {
        let digits = value.strip_prefix("ami-").unwrap_or_default();
        let is_id = matches!(digits.len(), 8 | 17) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if kind != "String" || !is_id {
            return Err(invalid(format!(
                "The parameter value '{value}' of type {kind} is not an AMI id, as the data type aws:ec2:image requires."
            )));
        }
    }
    Ok(())
}

fn check_pattern(pattern: Option<&str>, value: &str) -> Result<(), ApiError> {
    let Some(pattern) = pattern else { return Ok(()) };
    let compiled = RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build().map_err(|_| {
        errors::invalid_allowed_pattern_exception(
            "The request does not meet the regular expression requirement.",
        )
    })?;
    if compiled.is_match(value) {
        return Ok(());
    }
    Err(errors::parameter_pattern_mismatch_exception(format!(
        "Parameter value, cannot be validated against allowedPattern: {pattern}"
    )))
}

/// Expiration and its notices need a clock that acts; a policy that would never act is refused.
fn check_policies(policies: Option<&str>) -> Result<(), ApiError> {
    let is_none =
        |text: &str| matches!(text.split_whitespace().collect::<String>().as_str(), "[]" | "[{}]" | "{}");
    if policies.is_none_or(is_none) {
        return Ok(());
    }
    Err(errors::invalid_policy_type_exception(
        "The policy type isn't supported: Gantry does not expire parameters, nor tell of their age.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_finds_its_tier() {
        let (small, large, huge) = (VALUE_BYTES_MAX, ADVANCED_VALUE_BYTES_MAX, ADVANCED_VALUE_BYTES_MAX + 1);
        for (wanted, before, bytes, expected) in [
            (None, None, small, Ok("Standard")),
            (
                None,
                None,
                small + 1,
                Err("Standard tier parameters support a maximum parameter value of 4096"),
            ),
            (None, Some("Advanced"), large, Ok("Advanced")),
            (Some("Advanced"), None, large, Ok("Advanced")),
            (
                Some("Advanced"),
                None,
                huge,
                Err("Advanced tier parameters support a maximum parameter value of 8192"),
            ),
            (Some("Standard"), Some("Advanced"), small, Err("can't downgrade")),
            (Some("Intelligent-Tiering"), None, small, Ok("Standard")),
            (Some("Intelligent-Tiering"), None, small + 1, Ok("Advanced")),
            (Some("Intelligent-Tiering"), Some("Advanced"), 1, Ok("Advanced")),
        ] {
            match (tier(wanted, before, bytes), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(error), Err(part)) => assert!(error.message.contains(part), "{error}"),
                (found, _) => panic!("{wanted:?} after {before:?} with {bytes} bytes: {found:?}"),
            }
        }
    }
}
