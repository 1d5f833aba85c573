//! Pages of a listing.

use gantry_api::ApiError;

/// A page, and the token that the next one begins with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

/// Cuts the page behind `token` out of `items`, in the order of their keys. A token is the last key of the page before, in
/// hexadecimal, so that what was made or deleted meanwhile neither repeats nor hides an item.
pub(crate) fn page<T>(
    items: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> String,
    token: Option<&str>,
    size: usize,
    invalid_token: impl FnOnce() -> ApiError,
) -> Result<Page<T>, ApiError> {
    let after = match token.filter(|token| !token.is_empty()).map(decode) {
        None => None,
        Some(Some(after)) => Some(after),
        Some(None) => return Err(invalid_token()),
    };
    let mut items: Vec<T> =
        items.into_iter().filter(|item| after.as_ref().is_none_or(|after| key(item) > *after)).collect();
    items.sort_by_cached_key(&key);
    let next = if items.len() > size {
        items.truncate(size);
        items.last().map(|last| encode(&key(last)))
    } else {
        None
    };
    Ok(Page { items, next })
}

fn encode(key: &str) -> String {
    key.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn decode(token: &str) -> Option<String> {
    let digits = token.as_bytes();
    if !digits.len().is_multiple_of(2) || !token.is_ascii() {
        return None;
    }
    let bytes = digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    String::from_utf8(bytes.collect::<Option<Vec<u8>>>()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_meet_without_gap_or_overlap() {
        // Whatever order they come in.
        let items = ["c", "a", "e", "b", "d"];
        let (mut seen, mut token) = (Vec::new(), None);
        loop {
            let invalid = || ApiError::sender("InvalidToken", "");
            let next = page(items, |item| (*item).to_owned(), token.as_deref(), 2, invalid).unwrap();
            seen.extend(next.items);
            token = next.next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["a", "b", "c", "d", "e"]);
        for bad in ["x", "zz", "ü0"] {
            assert!(
                page(items, |item| (*item).to_owned(), Some(bad), 2, || ApiError::sender("T", "")).is_err()
            );
        }
    }
}
