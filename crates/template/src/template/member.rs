//! Looking into a section's objects.

use std::collections::BTreeMap;

use gantry_types::Value;

use crate::document::text_of;
use crate::error::{Result, format};
use crate::limits::NAME_CHARACTERS_MAX;

/// The members of a section; none if the section is absent.
pub(super) fn section<'a>(document: &'a Value, name: &str) -> Result<Option<&'a BTreeMap<String, Value>>> {
    match document.get(name) {
        None => Ok(None),
        Some(Value::Map(members)) => Ok(Some(members)),
        Some(_) => format(format!("{name} must be an object.")),
    }
}

/// A member that is text, number or boolean, as text.
pub(crate) fn text(members: &BTreeMap<String, Value>, name: &str) -> Result<Option<String>> {
    match members.get(name) {
        None => Ok(None),
        Some(value) => match text_of(value) {
            Some(text) => Ok(Some(text.into_owned())),
            None => format(format!("Every {name} member must be a string.")),
        },
    }
}

/// Logical ids and names of parameters, conditions, outputs.
pub(super) fn check_name(what: &str, name: &str) -> Result<()> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return format(format!("{what} name {name} is non alphanumeric."));
    }
    if name.len() > NAME_CHARACTERS_MAX {
        return format(format!("{what} name {name} is longer than maximum allowed, {NAME_CHARACTERS_MAX}"));
    }
    Ok(())
}

pub(super) fn check_count(what: &str, count: usize, count_max: usize) -> Result<()> {
    if count > count_max {
        return format(format!("Number of {what}, {count}, is greater than maximum allowed, {count_max}"));
    }
    Ok(())
}
