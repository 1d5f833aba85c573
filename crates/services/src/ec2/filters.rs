//! Filters of Describe calls: every filter must match, each by any of its values, with `*` and `?`.

use gantry_api::ApiError;
use gantry_api::ec2::{Filter, Tag};

use super::bad_value;

const FILTERS_MAX: usize = 50;

/// What a resource says to a filter's name: `None` if it has no such property at all.
pub(super) fn matches(
    filters: Option<&[Filter]>,
    tags: &[Tag],
    property: impl Fn(&str) -> Option<Vec<String>>,
) -> Result<bool, ApiError> {
    let filters = filters.unwrap_or_default();
    if filters.len() > FILTERS_MAX {
        return Err(ApiError::sender(
            "FilterLimitExceeded",
            format!("At most {FILTERS_MAX} filters are allowed."),
        ));
    }
    for filter in filters {
        let name = filter.name.as_deref().unwrap_or("");
        let values = filter.values.as_deref().unwrap_or_default();
        let own = match name.strip_prefix("tag:") {
            Some(key) => tags
                .iter()
                .filter(|tag| tag.key.as_deref() == Some(key))
                .filter_map(|tag| tag.value.clone())
                .collect(),
            None if name == "tag-key" => tags.iter().filter_map(|tag| tag.key.clone()).collect(),
            None if name == "tag-value" => tags.iter().filter_map(|tag| tag.value.clone()).collect(),
            None => property(name).ok_or_else(|| bad_value(format!("The filter '{name}' is invalid")))?,
        };
        if !values.iter().any(|value| own.iter().any(|each| wildcard(value, each))) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `*` is any text, `?` any character; case counts.
fn wildcard(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p).is_some_and(|each| *each == '?' || *each == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star_p, star_t)) = star {
            star = Some((star_p, star_t + 1));
            p = star_p + 1;
            t = star_t + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|each| *each == '*')
}

/// A property with one value.
#[expect(clippy::needless_pass_by_value, reason = "callers hand over references and values alike")]
pub(super) fn one(text: impl ToString) -> Option<Vec<String>> {
    Some(vec![text.to_string()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_aws_matches_them() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "A", false),
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*amzn2*", "x-amzn2-y", true),
            ("**", "ab", true),
            ("a*b*c", "a-b-b-c", true),
            ("", "a", false),
        ] {
            assert_eq!(wildcard(pattern, text), expected, "{pattern} {text}");
        }
    }
}
