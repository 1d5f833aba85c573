//! Pages of Describe calls. A caller that asks for no page gets everything.

use gantry_api::ApiError;

use super::bad_value;
use crate::page::{Page, page};

const SIZE_MIN: usize = 5;
const SIZE_MAX: usize = 1000;

/// The page that `max_results` and `next_token` ask for.
pub(super) fn listing<T>(
    items: Vec<T>,
    key: impl Fn(&T) -> String,
    max_results: Option<i32>,
    next_token: Option<&str>,
) -> Result<Page<T>, ApiError> {
    let size = match max_results {
        None if next_token.is_none_or(str::is_empty) => return Ok(Page { items, next: None }),
        None => SIZE_MAX,
        Some(size) => usize::try_from(size).ok().filter(|size| *size >= SIZE_MIN).ok_or_else(|| {
            bad_value(format!(
                "Value ( {size} ) for parameter maxResults is invalid. Expecting a value greater than {SIZE_MIN}."
            ))
        })?,
    };
    page(items, key, next_token, size.min(SIZE_MAX), || {
        ApiError::sender("InvalidNextToken", "The specified NextToken is not valid.")
    })
}
