//! Filters of listings.

use gantry_api::ApiError;
use gantry_api::ssm::{ParameterStringFilter, errors};

use super::names::{check_path, invalid, is_below, key};
use super::records::Kept;

/// Which call filters: not every key means something to each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Describe,
    ByPath,
}

pub(super) fn check(filters: &[ParameterStringFilter], place: Place) -> Result<(), ApiError> {
    for (index, filter) in filters.iter().enumerate() {
        if filters[..index].iter().any(|other| other.key == filter.key) {
            return Err(errors::invalid_filter_key(format!(
                "The following filter is duplicated in the request: {}. A request can contain only one occurrence of a \
                 specific filter.",
                filter.key
            )));
        }
        check_one(filter, place)?;
    }
    Ok(())
}

fn check_one(filter: &ParameterStringFilter, place: Place) -> Result<(), ApiError> {
    let name = filter.key.as_str();
    let keys: &[&str] = match place {
        Place::Describe => &["Path", "Name", "Type", "KeyId", "Tier", "DataType"],
        Place::ByPath => &["Type", "KeyId", "Label"],
    };
    let is_tag = name.starts_with("tag:") && place == Place::Describe;
    if !is_tag && !keys.contains(&name) {
        return Err(errors::invalid_filter_key(format!(
            "The following filter key is not valid: {name}. Valid filter keys include: [{}].",
            keys.join(", ")
        )));
    }
    let options: &[&str] = match name {
        "Path" => &["Recursive", "OneLevel"],
        "Name" => &["BeginsWith", "Equals", "Contains"],
        "Label" => &["Equals"],
        _ => &["BeginsWith", "Equals"],
    };
    if let Some(option) = &filter.option
        && !options.contains(&option.as_str())
    {
        return Err(errors::invalid_filter_option(format!(
            "The following filter option is not valid: {option}. Valid options include: [{}].",
            options.join(", ")
        )));
    }
    let values = filter.values.as_deref().unwrap_or_default();
    if values.is_empty() && !is_tag {
        return Err(errors::invalid_filter_value(format!(
            "The following filter values are missing : null for filter key {name}."
        )));
    }
    for value in values {
        check_value(name, value)?;
    }
    Ok(())
}

fn check_value(name: &str, value: &str) -> Result<(), ApiError> {
    let known: &[&str] = match name {
        "Type" => &["SecureString", "StringList", "String"],
        "Tier" => &["Standard", "Advanced", "Intelligent-Tiering"],
        "Path"
            if value.to_ascii_lowercase().starts_with("/aws")
                || value.to_ascii_lowercase().starts_with("/ssm") =>
        {
            return Err(invalid(
                "Filters for common parameters can't be prefixed with \"aws\" or \"ssm\" (case-insensitive).",
            ));
        }
        "Path" => return check_path(value),
        _ => return Ok(()),
    };
    if known.contains(&value) {
        return Ok(());
    }
    Err(errors::invalid_filter_option(format!(
        "The following filter value is not valid: {value}. Valid values include: [{}].",
        known.join(", ")
    )))
}

/// Whether a parameter passes all filters, each by any of its values.
pub(super) fn matches(filters: &[ParameterStringFilter], kept: &Kept) -> bool {
    filters.iter().all(|filter| passes(filter, kept))
}

fn passes(filter: &ParameterStringFilter, kept: &Kept) -> bool {
    let values = filter.values.as_deref().unwrap_or_default();
    let shown = &kept.newest.shown;
    let by = |text: Option<&str>| {
        text.is_some_and(|text| values.iter().any(|value| compares(filter, text, value)))
    };
    match filter.key.as_str() {
        "Name" => {
            let name = key(kept.name());
            values.iter().any(|value| compares(filter, name, key(value)))
        }
        "Path" => {
            let recursive = filter.option.as_deref() == Some("Recursive");
            values.iter().any(|path| is_below(kept.name(), path, recursive))
        }
        "Type" => by(shown.r#type.as_deref()),
        "KeyId" => by(shown.key_id.as_deref()),
        "Tier" => by(shown.tier.as_deref()),
        "DataType" => by(shown.data_type.as_deref()),
        "Label" => kept.labels.keys().any(|label| values.contains(label)),
        tagged => {
            let wanted = tagged.strip_prefix("tag:").unwrap_or(tagged);
            let tag = kept.tags.iter().find(|tag| tag.key == wanted);
            tag.is_some_and(|tag| values.is_empty() || by(Some(&tag.value)))
        }
    }
}

fn compares(filter: &ParameterStringFilter, text: &str, value: &str) -> bool {
    match filter.option.as_deref() {
        Some("BeginsWith") => text.starts_with(value),
        Some("Contains") => text.contains(value),
        _ => text == value,
    }
}
