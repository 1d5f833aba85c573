//! What is known of registries: mirrors, credentials, certificates. From a file that people write:
//!
//! ```toml
//! # Credentials that `docker login` left; credential helpers are not run.
//! docker_config = "/root/.docker/config.json"
//!
//! [registry."docker.io"]
//! mirrors = ["https://mirror.example.com", "http://10.0.0.5:5000/hub"]
//! username = "someone"
//! password_file = "/etc/gantry/hub-token"    # or password = "..."
//!
//! [registry."registry.example.com:5000"]
//! ca_file = "/etc/gantry/our-ca.pem"         # beside the authorities that the machine trusts
//!
//! [registry."10.0.0.5:5000"]
//! http = true                                # the default for loopback addresses alone
//! skip_verification = false                  # true: any certificate will do
//! ```
//! A mirror is asked before its registry, in this order; its own settings stand under its own name.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// Why the file of registries cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistriesError {
    #[error("could not read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} has more than {bytes_max} bytes")]
    TooLarge { path: PathBuf, bytes_max: u64 },
    #[error("{path} cannot be read: {reason}")]
    Malformed { path: PathBuf, reason: String },
    #[error("{path}: the registry {registry:?} {reason}")]
    Registry { path: PathBuf, registry: String, reason: String },
}

/// Settings by the name of a registry.
#[derive(Clone, Debug, Default)]
pub struct Registries {
    entries: BTreeMap<String, Settings>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) mirrors: Vec<String>,
    pub(super) credentials: Option<Credentials>,
    pub(super) ca_certificates: Vec<Vec<u8>>,
    pub(super) http: Option<bool>,
    pub(super) skip_verification: bool,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    Password {
        username: String,
        password: String,
    },
    /// Exchanged for tokens.
    Identity {
        token: String,
    },
}

impl Credentials {
    /// For `Authorization: Basic`.
    pub(super) fn basic(&self) -> Option<String> {
        match self {
            Self::Password { username, password } => {
                Some(format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))))
            }
            Self::Identity { .. } => None,
        }
    }
}

/// Secrets are for nobody's log.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { username, .. } => write!(f, "Password of {username:?}"),
            Self::Identity { .. } => f.write_str("Identity"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    docker_config: Option<PathBuf>,
    #[serde(default)]
    registry: BTreeMap<String, WrittenRegistry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRegistry {
    #[serde(default)]
    mirrors: Vec<String>,
    username: Option<String>,
    password: Option<String>,
    password_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    http: Option<bool>,
    #[serde(default)]
    skip_verification: bool,
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, DockerAuth>,
}

#[derive(Deserialize)]
struct DockerAuth {
    #[serde(default)]
    auth: String,
    #[serde(default, rename = "identitytoken")]
    identity_token: String,
}

impl Registries {
    /// Reads the file and all that it names. Relative names are beside it.
    pub fn read(path: &Path, file_bytes_max: u64) -> Result<Self, RegistriesError> {
        let files = Files { path, bytes_max: file_bytes_max };
        let written: Written =
            toml::from_str(&files.text(path)?).map_err(|error| files.malformed(path, error))?;
        let mut entries: BTreeMap<String, Settings> = BTreeMap::new();
        if let Some(docker) = &written.docker_config {
            let docker = files.beside(docker);
            for (registry, credentials) in docker_credentials(&files, &docker)? {
                entries.entry(registry).or_default().credentials = Some(credentials);
            }
        }
        for (registry, written) in written.registry {
            let fail = |reason: &str| RegistriesError::Registry {
                path: path.to_owned(),
                registry: registry.clone(),
                reason: reason.to_owned(),
            };
            let entry = entries.entry(key(&registry)).or_default();
            if let Some(credentials) = files.credentials(&written, &fail)? {
                entry.credentials = Some(credentials);
            }
            if let Some(ca_file) = &written.ca_file {
                entry.ca_certificates = files.certificates(&files.beside(ca_file))?;
            }
            if written.mirrors.iter().any(|mirror| mirror.trim().is_empty()) {
                return Err(fail("has a mirror without a name"));
            }
            entry.mirrors = written.mirrors;
            entry.http = written.http;
            entry.skip_verification = written.skip_verification;
        }
        Ok(Self { entries })
    }

    /// The settings of a registry or mirror, by its host and port.
    pub(super) fn settings(&self, host: &str) -> Option<&Settings> {
        self.entries.get(&key(host))
    }
}

/// One name for the registry that Docker knows under many.
fn key(name: &str) -> String {
    let name = name.trim();
    let host = name.strip_prefix("https://").or_else(|| name.strip_prefix("http://")).unwrap_or(name);
    let host = host.split('/').next().unwrap_or_default().to_ascii_lowercase();
    match host.as_str() {
        "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => "docker.io".to_owned(),
        _ => host,
    }
}

/// Whether a host with or without a port is this machine.
pub(super) fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => return rest.starts_with("::1]"),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

struct Files<'a> {
    path: &'a Path,
    bytes_max: u64,
}

impl Files<'_> {
    fn beside(&self, named: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(named)
    }

    fn bytes(&self, path: &Path) -> Result<Vec<u8>, RegistriesError> {
        let mut content = Vec::new();
        File::open(path)
            .and_then(|file| file.take(self.bytes_max + 1).read_to_end(&mut content))
            .map_err(|source| RegistriesError::Read { path: path.to_owned(), source })?;
        if content.len() as u64 > self.bytes_max {
            return Err(RegistriesError::TooLarge { path: path.to_owned(), bytes_max: self.bytes_max });
        }
        Ok(content)
    }

    fn text(&self, path: &Path) -> Result<String, RegistriesError> {
        String::from_utf8(self.bytes(path)?).map_err(|_| self.malformed(path, "it is not text in UTF-8"))
    }

    fn malformed(&self, path: &Path, reason: impl fmt::Display) -> RegistriesError {
        RegistriesError::Malformed { path: path.to_owned(), reason: reason.to_string().trim().to_owned() }
    }

    fn credentials(
        &self,
        written: &WrittenRegistry,
        fail: &impl Fn(&str) -> RegistriesError,
    ) -> Result<Option<Credentials>, RegistriesError> {
        let password = match (&written.password, &written.password_file) {
            (Some(_), Some(_)) => return Err(fail("has both a password and a password_file")),
            (Some(password), None) => Some(password.clone()),
            (None, Some(file)) => {
                Some(self.text(&self.beside(file))?.trim_end_matches(['\r', '\n']).to_owned())
            }
            (None, None) => None,
        };
        match (written.username.clone(), password) {
            (Some(username), Some(password)) => Ok(Some(Credentials::Password { username, password })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(fail("has a username and no password")),
            (None, Some(_)) => Err(fail("has a password and no username")),
        }
    }

    fn certificates(&self, path: &Path) -> Result<Vec<Vec<u8>>, RegistriesError> {
        let mut certificates = Vec::new();
        for item in ureq::tls::parse_pem(&self.bytes(path)?) {
            if let ureq::tls::PemItem::Certificate(certificate) =
                item.map_err(|error| self.malformed(path, error))?
            {
                certificates.push(certificate.der().to_owned());
            }
        }
        if certificates.is_empty() {
            return Err(self.malformed(path, "it holds no certificate in PEM"));
        }
        Ok(certificates)
    }
}

fn docker_credentials(files: &Files<'_>, path: &Path) -> Result<Vec<(String, Credentials)>, RegistriesError> {
    let config: DockerConfig =
        serde_json::from_slice(&files.bytes(path)?).map_err(|error| files.malformed(path, error))?;
    let mut found = Vec::new();
    for (registry, entry) in config.auths {
        let malformed = || {
            files.malformed(path, format_args!("the auth of {registry:?} is no base64 of username:password"))
        };
        if !entry.identity_token.is_empty() {
            found.push((key(&registry), Credentials::Identity { token: entry.identity_token }));
        } else if !entry.auth.is_empty() {
            let decoded = STANDARD.decode(entry.auth.trim()).map_err(|_| malformed())?;
            let text = String::from_utf8(decoded).map_err(|_| malformed())?;
            let (username, password) = text.split_once(':').ok_or_else(malformed)?;
            let password = password.trim_end_matches('\0').to_owned();
            found.push((key(&registry), Credentials::Password { username: username.to_owned(), password }));
        }
        // An entry without either stands for a credential helper.
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES_MAX: u64 = 64 * 1024;

    fn read(files: &[(&str, &str)]) -> Result<Registries, RegistriesError> {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(directory.path().join(name), content).unwrap();
        }
        Registries::read(&directory.path().join("registries.toml"), BYTES_MAX)
    }

    #[test]
    fn everything_that_can_be_written_is_read() {
        let key = rcgen::generate_simple_self_signed(vec!["r".to_owned()]).unwrap();
        let docker = format!(
            r#"{{"auths": {{"https://index.docker.io/v1/": {{"auth": "{}"}}, "ghcr.io": {{"identitytoken": "I"}},
                "helped.example": {{}}, "b.example": {{"auth": "{}"}}}}, "credHelpers": {{"x": "y"}}}}"#,
            STANDARD.encode("hub:p:w"),
            STANDARD.encode("from:docker"),
        );
        let registries = read(&[
            (
                "registries.toml",
                "docker_config = 'config.json'\n[registry.'docker.io']\nmirrors = ['https://m', 'n:5000/x']\n\
                 [registry.\"B.example\"]\nusername = 'u'\npassword_file = 'word'\nca_file = 'ca.pem'\n\
                 [registry.\"10.0.0.5:5000\"]\nhttp = true\nskip_verification = true\n",
            ),
            ("config.json", &docker),
            ("word", "s3cret\n"),
            ("ca.pem", &key.cert.pem()),
        ])
        .unwrap();
        let hub = registries.settings("registry-1.docker.io").unwrap();
        let password = |username: &str, password: &str| {
            Some(Credentials::Password { username: username.to_owned(), password: password.to_owned() })
        };
        assert_eq!(hub.credentials, password("hub", "p:w"));
        assert_eq!(hub.mirrors, ["https://m", "n:5000/x"]);
        let own = registries.settings("b.example").unwrap();
        assert_eq!(own.credentials, password("u", "s3cret"), "the file's own come before Docker's");
        assert_eq!(own.ca_certificates, [key.cert.der().to_vec()]);
        let identity = Some(Credentials::Identity { token: "I".to_owned() });
        assert_eq!(registries.settings("ghcr.io").unwrap().credentials, identity);
        assert!(registries.settings("helped.example").is_none());
        let plain = registries.settings("10.0.0.5:5000").unwrap();
        assert!(plain.http == Some(true) && plain.skip_verification);
        assert_eq!(format!("{:?}{:?}", own.credentials, identity), "Some(Password of \"u\")Some(Identity)");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let large = "x".repeat(BYTES_MAX as usize + 1);
        for (files, expected) in [
            (&[("other", "")][..], "could not read"),
            (&[("registries.toml", "registry = 1")], "invalid type"),
            (&[("registries.toml", "[registry.a]\nmirror = []")], "unknown field `mirror`"),
            (&[("registries.toml", "[registry.a]\nusername = 'u'")], "\"a\" has a username and no password"),
            (&[("registries.toml", "[registry.a]\npassword = 'u'")], "has a password and no username"),
            (
                &[("registries.toml", "[registry.a]\nusername='u'\npassword='p'\npassword_file='f'")],
                "has both a password",
            ),
            (&[("registries.toml", "[registry.a]\nmirrors = [' ']")], "a mirror without a name"),
            (
                &[("registries.toml", "[registry.a]\nca_file = 'ca'"), ("ca", "nothing")],
                "no certificate in PEM",
            ),
            (&[("registries.toml", "docker_config = 'd'"), ("d", "[")], "cannot be read"),
            (
                &[("registries.toml", "docker_config = 'd'"), ("d", r#"{"auths":{"a":{"auth":"%%"}}}"#)],
                "the auth of \"a\" is no base64",
            ),
            (&[("registries.toml", &large)], "has more than 65536 bytes"),
        ] {
            let error = read(files).expect_err(expected).to_string();
            assert!(error.contains(expected), "{files:?} gives: {error}");
            assert!(!error.contains("'p'"), "no secret is shown: {error}");
        }
    }

    #[test]
    fn loopback_is_this_machine_alone() {
        for (host, expected) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("a.localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("127.9.9.9", true),
            ("[::1]:5000", true),
            ("[::2]", false),
            ("localhost.example.com", false),
            ("127.0.0.1.example.com", false),
            ("10.0.0.1:5000", false),
            ("notlocalhost", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }
}
