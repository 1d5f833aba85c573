//! Pages by Marker and MaxItems.

use gantry_api::ApiError;

use crate::page::page;

const ITEMS_DEFAULT: usize = 100;
const ITEMS_MAX: usize = 1000;

pub(super) struct Listed<T> {
    pub(super) items: Vec<T>,
    pub(super) is_truncated: Option<bool>,
    pub(super) marker: Option<String>,
}

/// One page of `items`, in the order of their keys, which have to be unique and at most 150 bytes long: a marker is twice as
/// long, and no client may send one above 320.
pub(super) fn listed<T>(
    items: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> String,
    marker: Option<&str>,
    items_max: Option<i32>,
) -> Result<Listed<T>, ApiError> {
    let mut items: Vec<T> = items.into_iter().collect();
    items.sort_by_cached_key(&key);
    let size = items_max.and_then(|size| usize::try_from(size).ok()).unwrap_or(ITEMS_DEFAULT);
    let invalid = || ApiError::sender("ValidationError", "Invalid Marker.");
    let page = page(items, key, marker, size.clamp(1, ITEMS_MAX), invalid)?;
    Ok(Listed { items: page.items, is_truncated: Some(page.next.is_some()), marker: page.next })
}

/// Whether a path is below the prefix that was asked for.
pub(super) fn below(path: &str, prefix: Option<&str>) -> bool {
    prefix.is_none_or(|prefix| path.starts_with(prefix))
}
