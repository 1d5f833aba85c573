//! The name of a repository in the registry.

use super::RegistryError;
use crate::digest::Digest;
use crate::own::{domain, ecr_region};
use crate::reference::{self, Reference};

/// A repository: its region and its name there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RepositoryName {
    region: String,
    name: String,
}

impl RepositoryName {
    pub fn new(region: &str, name: &str) -> Result<Self, RegistryError> {
        // A name alone: what could be read as a registry, a tag or a digest is none.
        if name.contains([':', '@']) {
            return Err(RegistryError::Name("it holds a colon or an @".to_owned()));
        }
        let host = domain(region);
        if ecr_region(&host).is_none() {
            return Err(RegistryError::Name("its region is none".to_owned()));
        }
        Reference::parse(&format!("{host}/{name}"))?;
        Ok(Self { region: region.to_owned(), name: name.to_owned() })
    }
    pub fn region(&self) -> &str {
        &self.region
    }
    pub fn name(&self) -> &str {
        &self.name
    }
    /// With the registry, as the store's references begin.
    pub(crate) fn full(&self) -> String {
        format!("{}/{}", domain(&self.region), self.name)
    }
    pub(crate) fn tagged(&self, tag: &str) -> Result<Reference, RegistryError> {
        check_tag(tag)?;
        Ok(Reference::parse(&format!("{}:{tag}", self.full()))?)
    }
    pub(crate) fn by_digest(&self, digest: &Digest) -> Result<Reference, RegistryError> {
        Ok(Reference::parse(&format!("{}@{digest}", self.full()))?)
    }
}

/// Whether an image may have this tag.
pub fn check_tag(tag: &str) -> Result<(), RegistryError> {
    reference::check_tag(tag).map_err(RegistryError::Tag)
}
