//! Reading `WWW-Authenticate`: which ways a registry offers to prove who asks.
//!
//! RFC 9110, section 11.6.1: several challenges in one field, separated by the same commas as their parameters. What
//! does not fit the grammar is skipped, because a registry that is understood by others should be by us.

/// One way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    /// In lower case.
    pub(super) scheme: String,
    /// Names in lower case.
    parameters: Vec<(String, String)>,
}

/// A registry needs three parameters; these bounds are far from any real one.
const CHALLENGES_MAX: usize = 16;
const PARAMETERS_MAX: usize = 32;

impl Challenge {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// All challenges of one header field.
pub(super) fn parse(field: &str) -> Vec<Challenge> {
    let mut reader = Reader { rest: field };
    let mut challenges = Vec::new();
    while challenges.len() < CHALLENGES_MAX {
        reader.skip_separators();
        let Some(scheme) = reader.token() else { if reader.skip_character() { continue } else { break } };
        let scheme = scheme.to_ascii_lowercase();
        challenges.push(Challenge { scheme, parameters: reader.parameters() });
    }
    challenges
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn parameters(&mut self) -> Vec<(String, String)> {
        let mut parameters: Vec<(String, String)> = Vec::new();
        self.skip_blanks();
        self.skip_token68();
        while parameters.len() < PARAMETERS_MAX {
            let before = self.rest;
            self.skip_separators();
            let Some(name) = self.token() else { break };
            self.skip_blanks();
            let Some(value) = self.value() else {
                // No "=" behind it: the next challenge begins here.
                self.rest = before;
                break;
            };
            let name = name.to_ascii_lowercase();
            if !parameters.iter().any(|(own, _)| *own == name) {
                parameters.push((name, value));
            }
        }
        parameters
    }

    /// What stands behind "=", in quotes or not.
    fn value(&mut self) -> Option<String> {
        self.rest = self.rest.strip_prefix('=')?;
        self.skip_blanks();
        if let Some(rest) = self.rest.strip_prefix('"') {
            self.rest = rest;
            return Some(self.quoted());
        }
        let end = self.rest.find([',', ' ', '\t']).unwrap_or(self.rest.len());
        let (value, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(value.to_owned())
    }

    fn quoted(&mut self) -> String {
        let mut value = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((index, character)) = characters.next() {
            match character {
                '"' => {
                    self.rest = &self.rest[index + 1..];
                    return value;
                }
                '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
                other => value.push(other),
            }
        }
        self.rest = "";
        value
    }

    /// `Negotiate dG9rZW4=`: one word that is no parameter.
    fn skip_token68(&mut self) {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
        let word = self.rest.trim_start_matches(is_part);
        let end = word.trim_start_matches('=');
        let follows = end.trim_start_matches([' ', '\t']);
        if word.len() < self.rest.len() && (follows.is_empty() || follows.starts_with(',')) {
            self.rest = end;
        }
    }

    fn token(&mut self) -> Option<&'a str> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let end = self.rest.find(|c: char| !is_part(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(token).filter(|token| !token.is_empty())
    }
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }
    fn skip_separators(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', ',']);
    }
    fn skip_character(&mut self) -> bool {
        let mut characters = self.rest.chars();
        let any = characters.next().is_some();
        self.rest = characters.as_str();
        any
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(field: &str, expected: &[(&str, &[(&str, &str)])]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(scheme, parameters)| Challenge {
                scheme: (*scheme).to_owned(),
                parameters: parameters.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            })
            .collect();
        assert_eq!(parse(field), expected, "{field}");
    }

    #[test]
    #[rustfmt::skip]
    fn what_registries_send_is_understood() {
        check(
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/a:pull""#,
            &[("bearer", &[
                ("realm", "https://auth.docker.io/token"), ("service", "registry.docker.io"),
                ("scope", "repository:library/a:pull"),
            ])],
        );
        check(
            r#"Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:a/b:pull,push",error="invalid_token""#,
            &[("bearer", &[
                ("realm", "https://ghcr.io/token"), ("service", "ghcr.io"), ("scope", "repository:a/b:pull,push"),
                ("error", "invalid_token"),
            ])],
        );
        check(r#"Basic realm="https://1.dkr.ecr.x.amazonaws.com/",service="ecr.amazonaws.com""#,
            &[("basic", &[("realm", "https://1.dkr.ecr.x.amazonaws.com/"), ("service", "ecr.amazonaws.com")])]);
        check("BASIC Realm=plain", &[("basic", &[("realm", "plain")])]);
        check("Basic", &[("basic", &[])]);
    }

    #[test]
    #[rustfmt::skip]
    fn several_challenges_in_one_field_are_told_apart() {
        check(r#"Basic realm="a", Bearer realm="b",service=c"#,
            &[("basic", &[("realm", "a")]), ("bearer", &[("realm", "b"), ("service", "c")])]);
        check("Negotiate, Basic realm=a", &[("negotiate", &[]), ("basic", &[("realm", "a")])]);
        check("Negotiate dG9rZW4=, Bearer realm = \"b\"", &[("negotiate", &[]), ("bearer", &[("realm", "b")])]);
        check("NTLM", &[("ntlm", &[])]);
    }

    #[test]
    #[rustfmt::skip]
    fn quotes_and_damage_are_survived() {
        check(r#"Bearer realm="a\"b\\c, d""#, &[("bearer", &[("realm", r#"a"b\c, d"#)])]);
        check(r#"Bearer realm="never closed"#, &[("bearer", &[("realm", "never closed")])]);
        check(r#"Bearer realm="a",realm="b""#, &[("bearer", &[("realm", "a")])]);
        check(r#"Bearer ,, realm="a" ,"#, &[("bearer", &[("realm", "a")])]);
        check("", &[]);
        check(" , ;;; ,", &[]);
        // By the grammar this is one word, as Negotiate has it, and no parameter.
        check("Bearer realm=", &[("bearer", &[])]);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fail(field in any::<String>()) {
            parse(&field);
        }

        #[test]
        fn what_is_written_by_the_rules_is_read_back(
            written in proptest::collection::vec(
                ("[A-Za-z][A-Za-z0-9]{0,8}", proptest::collection::btree_map("[a-z][a-z0-9]{0,8}", "[ -~]{0,12}", 1..4)),
                1..4,
            ),
            blanks in " {0,2}",
        ) {
            let field: Vec<String> = written.iter().map(|(scheme, parameters)| {
                let parameters: Vec<String> = parameters.iter().map(|(name, value)| {
                    let value = value.replace('\\', r"\\").replace('"', "\\\"");
                    format!("{name}{blanks}={blanks}\"{value}\"")
                }).collect();
                format!("{scheme} {}", parameters.join(&format!(",{blanks}")))
            }).collect();
            let read = parse(&field.join(&format!("{blanks},")));
            let expected: Vec<Challenge> = written.into_iter().map(|(scheme, parameters)| Challenge {
                scheme: scheme.to_ascii_lowercase(),
                parameters: parameters.into_iter().collect(),
            }).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
