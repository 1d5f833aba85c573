//! Names of parameters, and the forms in which they are asked for.

use gantry_api::ApiError;
use gantry_types::{ACCOUNT, Region, arn as any_arn};

/// Counted with what stands before the name in the ARN.
const ARN_CHARACTERS_MAX: usize = 1011;
const LEVELS_MAX: usize = 15;

pub(super) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::sender("ValidationException", message)
}

/// What stands in the store and in the ARN: the name without the slash before it.
pub(super) fn key(name: &str) -> &str {
    name.strip_prefix('/').unwrap_or(name)
}

pub(super) fn arn(region: &Region, name: &str) -> String {
    any_arn("ssm", region.as_str(), &format!("parameter/{}", key(name))).to_string()
}

/// A name that a parameter may be made with.
pub(super) fn check_new(region: &Region, name: &str) -> Result<(), ApiError> {
    check_form(name)?;
    let plain = key(name).to_ascii_lowercase();
    if name.starts_with('/') && (plain == "aws" || plain.starts_with("aws/")) {
        let message = format!("No access to reserved parameter name: {name}.");
        return Err(ApiError::sender("AccessDeniedException", message));
    }
    if plain.starts_with("ssm") || plain.starts_with("aws") {
        return Err(invalid(if key(name).contains('/') {
            "Parameter name: can't be prefixed with \"ssm\" (case-insensitive). If formed as a path, it can consist of \
             sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the \
             following 3 symbols .-_"
        } else {
            "Parameter name: can't be prefixed with \"aws\" or \"ssm\" (case-insensitive)."
        }));
    }
    if arn(region, name).len() > ARN_CHARACTERS_MAX {
        return Err(invalid(format!(
            "The parameter name is too long: with the ARN before it, it has more than {ARN_CHARACTERS_MAX} characters."
        )));
    }
    let levels = key(name).split('/').count();
    if levels > LEVELS_MAX {
        return Err(gantry_api::ssm::errors::hierarchy_level_limit_exceeded_exception(format!(
            "A parameter hierarchy can have a maximum of {LEVELS_MAX} levels; {name} has {levels}."
        )));
    }
    Ok(())
}

/// Letters, digits and `.-_`, in levels that slashes part; a name with levels begins with one.
pub(super) fn check_form(name: &str) -> Result<(), ApiError> {
    if !name.starts_with('/') && name.contains('/') {
        return Err(invalid("Parameter name must be a fully qualified name."));
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let level = |level: &str| !level.is_empty() && level.chars().all(is_plain);
    if key(name).split('/').all(level) {
        return Ok(());
    }
    Err(invalid(
        "Parameter name: can't be prefixed with \"ssm\" (case-insensitive). If formed as a path, it can consist of \
         sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following \
         3 symbols .-_",
    ))
}

/// Which parameter a caller means, and which version of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) name: String,
    /// Asked for by its ARN, which does not tell whether a slash stands before the name.
    pub(super) by_arn: bool,
    pub(super) selector: Option<Selector>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Selector {
    Version(i64),
    Label(String),
}

impl Asked {
    /// Reads `name`, `name:version`, `name:label` or any of them behind a parameter's ARN.
    pub(super) fn parse(region: &Region, text: &str) -> Result<Self, ApiError> {
        let own = format!("arn:aws:ssm:{region}:{ACCOUNT}:parameter/");
        let public = format!("arn:aws:ssm:{region}::parameter/");
        let behind = text.strip_prefix(&own).or_else(|| text.strip_prefix(&public));
        let by_arn = behind.is_some();
        if !by_arn && text.starts_with("arn:") {
            return Err(gantry_api::ssm::errors::parameter_not_found(""));
        }
        let (name, selector) = match behind.unwrap_or(text).split_once(':') {
            None => (behind.unwrap_or(text), None),
            Some((name, selector)) => (name, Some(Selector::parse(selector))),
        };
        let name = if by_arn { format!("/{name}") } else { name.to_owned() };
        check_form(&name)?;
        Ok(Self { name, by_arn, selector })
    }
}

impl Selector {
    fn parse(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Label(text.to_owned()), Self::Version)
    }

    /// As answers repeat it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Version(number) => format!(":{number}"),
            Self::Label(label) => format!(":{label}"),
        }
    }
}

/// Whether a name stands below a path, at any depth or right below it.
pub(super) fn is_below(name: &str, path: &str, recursive: bool) -> bool {
    let path = path.trim_end_matches('/');
    // A name without a slash before it stands below the root alone.
    let rest = match name.strip_prefix(path).and_then(|rest| rest.strip_prefix('/')) {
        Some(rest) => rest,
        None if path.is_empty() => name,
        None => return false,
    };
    recursive || !rest.contains('/')
}

/// A path that a hierarchy is asked for by.
pub(super) fn check_path(path: &str) -> Result<(), ApiError> {
    let trimmed = path.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(path);
    if path == "/" || (path.starts_with('/') && check_form(trimmed).is_ok()) {
        return Ok(());
    }
    Err(invalid(
        "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash \
         \"/\". It can't be prefixed with \"aws\" or \"ssm\" (case-insensitive). It must use only letters, numbers, or \
         the following symbols: . (period), - (hyphen), _ (underscore). Special characters are not allowed. All \
         sub-paths, if specified, must use the forward slash symbol \"/\". Valid example: /get/parameters2-/by1./path0_.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules() {
        let region = Region::from("us-east-1");
        let deepest = "/a".repeat(15);
        for name in ["a", "/a", "/a/b.c-d_e/F9", "secret", deepest.as_str()] {
            assert_eq!(check_new(&region, name), Ok(()), "{name}");
        }
        let (deeper, long) = ("/a".repeat(16), "a".repeat(970));
        for (name, code, part) in [
            ("", "ValidationException", "sub-path"),
            ("/", "ValidationException", "sub-path"),
            ("a/b", "ValidationException", "fully qualified"),
            ("/a//b", "ValidationException", "sub-path"),
            ("/a/", "ValidationException", "sub-path"),
            ("a b", "ValidationException", "sub-path"),
            ("ä", "ValidationException", "sub-path"),
            ("awsThing", "ValidationException", "can't be prefixed with \"aws\" or \"ssm\""),
            ("SSM-thing", "ValidationException", "can't be prefixed with \"aws\" or \"ssm\""),
            ("/ssm/thing", "ValidationException", "can't be prefixed with \"ssm\""),
            (
                "/aws/service/x",
                "AccessDeniedException",
                "No access to reserved parameter name: /aws/service/x.",
            ),
            (deeper.as_str(), "HierarchyLevelLimitExceededException", "maximum of 15 levels"),
            (long.as_str(), "ValidationException", "too long"),
        ] {
            let error = check_new(&region, name).unwrap_err();
            assert!(error.code == code && error.message.contains(part), "{name}: {error}");
        }
    }

    #[test]
    fn parameters_are_asked_for_in_many_forms() {
        let region = Region::from("us-east-1");
        let asked = |text| Asked::parse(&region, text).unwrap();
        let of = |name: &str, by_arn, selector| Asked { name: name.to_owned(), by_arn, selector };
        assert_eq!(asked("/a/b"), of("/a/b", false, None));
        assert_eq!(asked("a:12"), of("a", false, Some(Selector::Version(12))));
        assert_eq!(asked("/a/b:prod"), of("/a/b", false, Some(Selector::Label("prod".to_owned()))));
        let arn = "arn:aws:ssm:us-east-1:123456789012:parameter/a/b:3";
        assert_eq!(asked(arn), of("/a/b", true, Some(Selector::Version(3))));
        assert_eq!(asked("arn:aws:ssm:us-east-1::parameter/aws/service/x"), of("/aws/service/x", true, None));
        for foreign in ["arn:aws:ssm:eu-west-1:123456789012:parameter/a", "arn:aws:s3:::a"] {
            assert_eq!(Asked::parse(&region, foreign).unwrap_err().code, "ParameterNotFound");
        }
    }

    #[test]
    fn a_path_holds_what_is_below_it() {
        for (name, path, recursive, expected) in [
            ("/a/b", "/a", false, true),
            ("/a/b", "/a/", false, true),
            ("/a/b/c", "/a", false, false),
            ("/a/b/c", "/a", true, true),
            ("/ab", "/a", true, false),
            ("/a", "/a", true, false),
            ("/a", "/", false, true),
            ("a", "/", false, true),
            ("/a/b", "/", false, false),
            ("/a/b", "/", true, true),
        ] {
            assert_eq!(is_below(name, path, recursive), expected, "{name} below {path}");
        }
        for bad in ["a", "/a b", "//", ""] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
    }
}
