//! Image names: `[domain/]repository[:tag][@digest]`, read and completed as Docker does.
//!
//! `nginx` means `docker.io/library/nginx:latest`. The first part is a domain only if it holds a dot, a colon or an
//! upper-case letter, or is `localhost`. The grammar is that of the distribution project's reference package.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;

const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DEFAULT_DOMAIN: &str = "index.docker.io";
const OFFICIAL_PREFIX: &str = "library/";
const DEFAULT_TAG: &str = "latest";
const NAME_BYTES_MAX: usize = 255;
const TAG_BYTES_MAX: usize = 128;

/// A complete image name. Two names are equal if they mean the same image, however they were written.
#[derive(Clone, Debug)]
pub struct Reference {
    given: String,
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid image name {name:?}: {reason}")]
pub struct ReferenceError {
    pub name: String,
    pub reason: &'static str,
}

impl Reference {
    pub fn parse(given: &str) -> Result<Self, ReferenceError> {
        let fail =
            |reason| ReferenceError { name: given.chars().take(NAME_BYTES_MAX + 200).collect(), reason };
        let (rest, digest) = match given.split_once('@') {
            None => (given, None),
            Some((rest, digest)) => {
                let digest = digest.parse().map_err(|_| {
                    fail("what follows @ has to be a digest, sha256: and 64 hexadecimal digits in lower case")
                })?;
                (rest, Some(digest))
            }
        };
        let (domain, remainder) = split_domain(rest);
        let (path, tag) = match remainder.split_once(':') {
            None => (remainder, None),
            Some((path, tag)) => (path, Some(tag)),
        };
        if path.is_empty() {
            return Err(fail("the repository is empty"));
        }
        let path = if domain == DEFAULT_DOMAIN && !path.contains('/') {
            format!("{OFFICIAL_PREFIX}{path}")
        } else {
            path.to_owned()
        };
        if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(fail("the repository has to be in lower case"));
        }
        if domain.len() + 1 + path.len() > NAME_BYTES_MAX {
            return Err(fail("domain and repository have more than 255 characters"));
        }
        check_domain(domain).map_err(fail)?;
        for component in path.split('/') {
            check_component(component).map_err(fail)?;
        }
        if digest.is_none() && tag.is_none() && is_identifier(given) {
            return Err(fail("64 hexadecimal digits are the digest of an image, not its name"));
        }
        if let Some(tag) = tag {
            check_tag(tag).map_err(fail)?;
        }
        let tag = match (tag, digest) {
            (None, None) => Some(DEFAULT_TAG.to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Self { given: given.to_owned(), domain: domain.to_owned(), path, tag, digest })
    }
    /// The name as it was written.
    pub fn given(&self) -> &str {
        &self.given
    }
    /// The registry, `docker.io` if none was written.
    pub fn domain(&self) -> &str {
        &self.domain
    }
    /// The repository without its registry: `library/nginx`.
    pub fn path(&self) -> &str {
        &self.path
    }
    /// `latest` if neither a tag nor a digest was written.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }
    /// Registry and repository, without tag and digest.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }
    /// The same repository, tag and digest in another registry; what was given stays as it was written.
    pub(crate) fn in_domain(&self, domain: &str) -> Result<Self, ReferenceError> {
        if domain.len() + 1 + self.path.len() > NAME_BYTES_MAX {
            let reason = "registry and repository have more than 255 characters";
            return Err(ReferenceError { name: self.given.clone(), reason });
        }
        Ok(Self { domain: domain.to_owned(), ..self.clone() })
    }
    /// The short form that Docker shows: `nginx:latest`.
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        let Some(short) = full.strip_prefix("docker.io/") else { return full };
        match short.strip_prefix(OFFICIAL_PREFIX) {
            Some(official) if !official.contains('/') => official.to_owned(),
            // "docker.io/a.b/c" without its domain would be read as the registry "a.b".
            _ if split_domain(short).0 != DEFAULT_DOMAIN => full,
            _ => short.to_owned(),
        }
    }
}

/// The complete form, which is the key under which the store keeps an image.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.domain, self.path)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}
impl FromStr for Reference {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse(text)
    }
}
impl PartialEq for Reference {
    fn eq(&self, other: &Self) -> bool {
        (&self.domain, &self.path, &self.tag, &self.digest)
            == (&other.domain, &other.path, &other.tag, &other.digest)
    }
}
impl Eq for Reference {}

fn split_domain(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((first, rest)) if is_domain(first) => {
            (if first == LEGACY_DEFAULT_DOMAIN { DEFAULT_DOMAIN } else { first }, rest)
        }
        _ => (DEFAULT_DOMAIN, name),
    }
}

fn is_domain(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_identifier(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn check_domain(domain: &str) -> Result<(), &'static str> {
    const MALFORMED: &str = "the registry has to be a host name or address, with a port if need be";
    let (host, port) = match domain.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or(MALFORMED)?;
            if address.is_empty() || !address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':') {
                return Err(MALFORMED);
            }
            (None, if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or(MALFORMED)?) })
        }
        None => match domain.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(domain), None),
        },
    };
    if let Some(port) = port
        && (port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return Err(MALFORMED);
    }
    let Some(host) = host else { return Ok(()) };
    let label_is_fine = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if host.split('.').all(label_is_fine) { Ok(()) } else { Err(MALFORMED) }
}

/// `[a-z0-9]+` runs, joined by one dot, one or two underscores, or any number of hyphens.
fn check_component(component: &str) -> Result<(), &'static str> {
    const MALFORMED: &str = "each part of the repository has to be letters and digits in lower case, joined by \
                             a dot, one or two underscores, or hyphens";
    let bytes = component.as_bytes();
    let alphanumeric = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
    let mut at = 0;
    loop {
        let run = bytes[at..].iter().take_while(|byte| alphanumeric(byte)).count();
        if run == 0 {
            return Err(MALFORMED);
        }
        at += run;
        let separator = bytes[at..].iter().take_while(|byte| !alphanumeric(byte)).count();
        match &bytes[at..at + separator] {
            [] => return Ok(()),
            b"." | b"_" | b"__" => {}
            hyphens if hyphens.iter().all(|byte| *byte == b'-') => {}
            _ => return Err(MALFORMED),
        }
        at += separator;
    }
}

pub(crate) fn check_tag(tag: &str) -> Result<(), &'static str> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let fine = tag.len() <= TAG_BYTES_MAX
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-');
    if fine {
        Ok(())
    } else {
        Err(
            "the tag has to be 1 to 128 letters, digits, underscores, dots and hyphens, and to start with none of \
             the last two",
        )
    }
}

#[cfg(test)]
mod tests;
