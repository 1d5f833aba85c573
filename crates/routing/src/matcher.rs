//! The status codes that a health check takes for success.

use std::fmt;

/// `200`, `200,202` or `200-399`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    ranges: Vec<(u16, u16)>,
}

/// A text that is no list of codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatcherError(pub String);

impl fmt::Display for MatcherError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reading {:?} as status codes between 200 and 499 failed", self.0)
    }
}
impl std::error::Error for MatcherError {}

impl Matcher {
    pub fn parse(text: &str) -> Result<Self, MatcherError> {
        let code = |text: &str| text.trim().parse::<u16>().ok().filter(|code| (200..=499).contains(code));
        let range = |part: &str| match part.split_once('-') {
            Some((from, to)) => Some((code(from)?, code(to)?)).filter(|(from, to)| from <= to),
            None => code(part).map(|code| (code, code)),
        };
        let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
        ranges.map(|ranges| Self { ranges }).ok_or_else(|| MatcherError(text.to_owned()))
    }

    pub fn matches(&self, status: u16) -> bool {
        self.ranges.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }
}

impl Default for Matcher {
    /// AWS's default, `200`.
    fn default() -> Self {
        Self { ranges: vec![(200, 200)] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_lists_and_ranges_are_read() {
        for (text, yes, no) in [
            ("200", &[200][..], &[201, 199, 301][..]),
            ("200,202", &[200, 202], &[201]),
            ("200-399", &[200, 301, 399], &[400]),
            ("200-201, 404", &[200, 201, 404], &[202, 403]),
        ] {
            let matcher = Matcher::parse(text).unwrap();
            assert!(yes.iter().all(|code| matcher.matches(*code)), "{text}");
            assert!(!no.iter().any(|code| matcher.matches(*code)), "{text}");
        }
        for bad in ["", "abc", "199", "500", "300-200", "200-", "200,,201"] {
            assert!(Matcher::parse(bad).is_err(), "{bad}");
        }
    }
}
