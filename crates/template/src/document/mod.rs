//! From text to one tree of values, whichever of the two languages the text is in.

mod budget;
mod json;
mod scalar;
mod tag;
mod yaml;

use gantry_types::Value;

use crate::error::{Result, TemplateError, format};
use crate::limits::FETCHED_BODY_BYTES_MAX;
pub use scalar::{same, text_of};

/// Reads a template's text. A text that starts with `{` is JSON, all else YAML, as CloudFormation tells them apart.
pub(crate) fn read(text: &str, bytes_max: usize) -> Result<Value> {
    if text.len() > bytes_max {
        return Err(match bytes_max {
            FETCHED_BODY_BYTES_MAX => TemplateError::FetchedTooLong { bytes_max },
            _ => TemplateError::TooLong { bytes_max },
        });
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let document = if text.trim_start().starts_with('{') { json::read(text)? } else { yaml::read(text)? };
    if !matches!(document, Value::Map(_)) {
        return format("unsupported structure.");
    }
    refuse_nulls(&document, &mut String::new())?;
    Ok(document)
}

fn refuse_nulls(value: &Value, path: &mut String) -> Result<()> {
    let length = path.len();
    match value {
        Value::Null => {
            return Err(TemplateError::Validation(format!(
                "[{path}] 'null' values are not allowed in templates"
            )));
        }
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push_str(&format!("/{index}"));
                refuse_nulls(item, path)?;
                path.truncate(length);
            }
        }
        Value::Map(members) => {
            for (key, member) in members {
                path.push('/');
                path.push_str(key);
                refuse_nulls(member, path)?;
                path.truncate(length);
            }
        }
        _ => {}
    }
    Ok(())
}
