//! The registry beside the records: what its protocol asks of ECR, and ECR of it.

use gantry_api::ApiError;
use gantry_api::ecr::errors;
use gantry_images::registry::{Overwrite, Registry, RegistryError, RepositoryName};
use gantry_types::{ACCOUNT, Timestamp};

use super::{lifecycle, records, token};
use crate::Context;

/// The registry that the server answers for, and where.
#[derive(Clone, Debug)]
pub struct RegistryHost {
    pub registry: Registry,
    /// The port of the endpoint.
    pub port: u16,
    /// The region that a request to a plain host means.
    pub region: String,
}

/// What a push to a repository has to keep to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushRules {
    /// Somebody created it.
    pub has_record: bool,
    mutability: records::Mutability,
}

impl PushRules {
    pub fn overwrite(&self, tag: &str) -> Overwrite {
        if self.mutability.is_immutable(tag) { Overwrite::Refused } else { Overwrite::Allowed }
    }
}

impl RegistryHost {
    /// The host of a region's registry. It leads to this machine, and Docker asks no TLS of it: see
    /// docs/decisions/0010-names-of-the-registry.md.
    pub fn host(&self, region: &str) -> String {
        format!("{}:{}", host_name(region), self.port)
    }

    pub(super) fn uri(&self, region: &str, name: &str) -> String {
        format!("{}/{name}", self.host(region))
    }

    /// Works with the registry on a thread where it may block.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Registry) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let registry = self.registry.clone();
        match tokio::task::spawn_blocking(move || work(&registry)).await {
            Ok(done) => done,
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        }
    }
}

/// The registry's name in the hosts file.
pub fn host_name(region: &str) -> String {
    format!("{ACCOUNT}.dkr.ecr.{region}.localhost")
}

impl Context {
    /// The registry; a server without one answers no call of ECR.
    pub(super) fn registry(&self) -> Result<&RegistryHost, ApiError> {
        self.registry_host().ok_or_else(|| errors::server_exception("This server has no registry."))
    }

    /// What is to be kept to by a push to this repository.
    pub fn push_rules(&self, repository: &RepositoryName) -> Result<PushRules, ApiError> {
        self.read(|view| {
            let record = records::find(view, repository.region(), repository.name())?;
            Ok(PushRules {
                has_record: record.is_some(),
                mutability: record.map_or_else(Default::default, |found| found.document.mutability()),
            })
        })
    }

    /// The repositories of a region that were created, in order.
    pub fn created_repositories(&self, region: &str) -> Result<Vec<String>, ApiError> {
        let found = self.read(|view| records::list(view, region))?;
        Ok(found.into_iter().map(|found| found.name).collect())
    }

    /// Whether this password lets into the registry.
    pub fn check_registry_password(&self, password: &str, now: Timestamp) -> Result<(), token::Refused> {
        token::check(self.root_secret(), password, now)
    }

    /// Whether a link to a layer that was given out holds.
    pub fn check_layer_link(&self, digest: &str, proof: &str, now: Timestamp) -> Result<(), token::Refused> {
        token::check_link(self.root_secret(), digest, proof, now)
    }
}

/// What is done from time to time: what pushes left behind goes, and what lifecycle policies let expire.
pub async fn sweep(context: &Context, now: Timestamp) -> Result<(), ApiError> {
    let Some(host) = context.registry_host() else { return Ok(()) };
    let failed = |error: RegistryError| errors::server_exception(error.to_string());
    host.with(Registry::expire).await.map_err(failed)?;
    lifecycle::expire(context, host, now).await
}
