//! One name for one image: every way to write the name of a repository in this machine's own registry.
//!
//! `<account>.dkr.ecr.<region>.amazonaws.com/app`, `<account>.dkr.ecr.<region>.localhost:4566/app` and, for the region that the
//! server was started with, `localhost:4566/app` mean the same repository. The store keeps the first form, with the
//! installation's account: the registry has one account, whatever number a template was written for.
//!
//! Which hosts are the server's own, and which region they mean, stands in the store itself (`registry.json`), so that
//! every process that opens the directory agrees.

use std::path::Path;

use gantry_types::ACCOUNT;
use serde::{Deserialize, Serialize};

use crate::document::{parse_json, to_json};
use crate::error::StoreError;
use crate::files::{self, TempDir};
use crate::reference::{Reference, ReferenceError};
use crate::store::Store;

const FILE: &str = "registry.json";
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Where the installation's registry answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnRegistry {
    /// What a plain host means: `localhost:4566/app` is a repository of this region.
    pub region: String,
    /// Plain hosts with their port: `localhost:4566`.
    pub hosts: Vec<String>,
}

/// Those of a server with default settings, before one was ever started.
impl Default for OwnRegistry {
    fn default() -> Self {
        Self {
            region: "us-east-1".to_owned(),
            hosts: vec!["localhost:4566".to_owned(), "127.0.0.1:4566".to_owned()],
        }
    }
}

impl OwnRegistry {
    /// The region of a registry's host, if it is ours: `123456789012.dkr.ecr.eu-west-1.localhost:4566` is of
    /// `eu-west-1`.
    pub fn region_of<'a>(&'a self, host: &'a str) -> Option<&'a str> {
        let plain = || self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host));
        ecr_region(host).or_else(|| plain().then_some(self.region.as_str()))
    }

    /// The one name that the store keeps for an image of this registry; the name itself for any other image.
    pub fn canonical(&self, reference: &Reference) -> Result<Reference, ReferenceError> {
        match self.region_of(reference.domain()) {
            Some(region) => reference.in_domain(&domain(region)),
            None => Ok(reference.clone()),
        }
    }
}

/// The region of a host with ECR's form of name, with or without a port.
pub fn ecr_region(host: &str) -> Option<&str> {
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    let (account, rest) = name.split_once(".dkr.ecr.")?;
    let (region, suffix) = rest.split_once('.')?;
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let is_region = (2..=25).contains(&region.len())
        && region.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    let is_suffix = matches!(suffix, "amazonaws.com" | "amazonaws.com.cn" | "localhost");
    (is_account && is_region && is_suffix).then_some(region)
}

/// The domain that the store keeps.
pub(crate) fn domain(region: &str) -> String {
    format!("{ACCOUNT}.dkr.ecr.{region}.amazonaws.com")
}

impl Store {
    /// Which names are of this machine's own registry.
    pub fn own_registry(&self) -> Result<OwnRegistry, StoreError> {
        read(self.directory())
    }

    /// Tells every user of the store which names are its own; the server does it when it starts.
    pub fn set_own_registry(&self, own: &OwnRegistry) -> Result<(), StoreError> {
        if read(self.directory()).is_ok_and(|written| written == *own) {
            return Ok(());
        }
        let _in_use = self.in_use()?;
        let temporary = TempDir::create(&self.temporary_path())?;
        files::replace_file(&temporary, &self.directory().join(FILE), &to_json(own))
    }

    /// The name under which the store keeps an image.
    pub(crate) fn canonical(&self, reference: &Reference) -> Result<Reference, StoreError> {
        Ok(self.own_registry()?.canonical(reference)?)
    }
}

fn read(store: &Path) -> Result<OwnRegistry, StoreError> {
    let path = store.join(FILE);
    match files::read_bounded(&path, FILE_BYTES_MAX)? {
        None => Ok(OwnRegistry::default()),
        Some(content) => parse_json("description of the registry", &content)
            .map_err(|error| StoreError::Damaged { path, reason: error.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_of_a_name_mean_one_repository() {
        let own = OwnRegistry {
            region: "eu-west-1".to_owned(),
            hosts: vec!["localhost:4566".to_owned(), "127.0.0.1:4566".to_owned()],
        };
        let one = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:1";
        for (name, canonical) in [
            ("localhost:4566/team/app:1", one),
            ("LOCALHOST:4566/team/app:1", one),
            ("127.0.0.1:4566/team/app:1", one),
            ("123456789012.dkr.ecr.eu-west-1.localhost:4566/team/app:1", one),
            ("123456789012.dkr.ecr.eu-west-1.localhost/team/app:1", one),
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:1", one),
            // A template that was written for another account.
            ("999999999999.dkr.ecr.eu-west-1.amazonaws.com/team/app:1", one),
            (
                "123456789012.dkr.ecr.us-east-1.localhost:4566/app",
                "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:latest",
            ),
            ("localhost:5000/app:1", "localhost:5000/app:1"),
            ("app:1", "docker.io/library/app:1"),
            (
                "12345678901.dkr.ecr.eu-west-1.amazonaws.com/app:1",
                "12345678901.dkr.ecr.eu-west-1.amazonaws.com/app:1",
            ),
            ("a.dkr.ecr.eu-west-1.evil.example/app:1", "a.dkr.ecr.eu-west-1.evil.example/app:1"),
            (
                "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example/app:1",
                "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example/app:1",
            ),
        ] {
            let reference = Reference::parse(name).unwrap();
            let found = own.canonical(&reference).unwrap();
            assert_eq!(found.to_string(), canonical, "{name}");
            assert_eq!(found.given(), name);
            assert_eq!(own.canonical(&found).unwrap(), found, "{name}");
        }
    }

    #[test]
    fn a_name_that_becomes_too_long_is_refused() {
        let reference = Reference::parse(&format!("localhost:4566/{}", "a".repeat(230))).unwrap();
        assert!(OwnRegistry::default().canonical(&reference).is_err());
    }
}
