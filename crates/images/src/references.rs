//! The references of the store: which name means which image.
//!
//! They stand in `index.json`, in the form that an OCI image layout has at its top; so the store itself is a layout
//! that other tools can read. The file is only ever replaced as a whole, under a lock, and readers need none.

use std::collections::BTreeMap;
use std::path::Path;

use crate::digest::Digest;
use crate::document::{Descriptor, Index, parse_json, to_json};
use crate::error::StoreError;
use crate::files;
use crate::limits::Limits;
use crate::reference::Reference;

/// The name in its complete form.
const NAME: &str = "org.opencontainers.image.ref.name";
/// The name as it was given.
const GIVEN_NAME: &str = "gantry.name.given";

pub(crate) const FILE: &str = "index.json";

/// What a name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) given: String,
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// By the complete form of the name.
#[derive(Clone, Debug, Default)]
pub(crate) struct References(pub(crate) BTreeMap<String, Target>);

impl References {
    pub(crate) fn read(store: &Path, limits: &Limits) -> Result<Self, StoreError> {
        let path = store.join(FILE);
        let Some(content) = files::read_bounded(&path, limits.index_bytes_max)? else {
            return Ok(Self::default());
        };
        let damaged = |reason: String| StoreError::Damaged { path: path.clone(), reason };
        let index: Index = parse_json("index", &content).map_err(|error| damaged(error.to_string()))?;
        let mut references = BTreeMap::new();
        for descriptor in index.manifests {
            let mut annotations = descriptor.annotations;
            // Nobody could find an image without a name.
            let Some(name) = annotations.remove(NAME) else { continue };
            let reference = Reference::parse(&name).map_err(|error| damaged(error.to_string()))?;
            let given = annotations.remove(GIVEN_NAME).unwrap_or(name);
            let Descriptor { media_type, digest, size, .. } = descriptor;
            references.insert(reference.to_string(), Target { given, media_type, digest, size });
        }
        Ok(Self(references))
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        let manifests = self.0.iter().map(|(name, target)| {
            let mut descriptor = Descriptor::new(&target.media_type, target.digest, target.size);
            descriptor.annotations.insert(NAME.into(), name.clone());
            descriptor.annotations.insert(GIVEN_NAME.into(), target.given.clone());
            descriptor
        });
        to_json(&Index::new(manifests.collect()))
    }

    pub(crate) fn set(
        &mut self,
        reference: &Reference,
        target: &Descriptor,
        limits: &Limits,
    ) -> Result<(), StoreError> {
        let target = Target {
            given: reference.given().to_owned(),
            media_type: target.media_type.clone(),
            digest: target.digest,
            size: target.size,
        };
        self.0.insert(reference.to_string(), target);
        if self.0.len() > limits.references_max {
            return Err(StoreError::References(limits.references_max));
        }
        Ok(())
    }

    /// The image that a name means. A digest in the name decides alone, as in Docker; it is found under whatever
    /// name the store knows it, since it can mean nothing else.
    pub(crate) fn find(&self, reference: &Reference) -> Option<&Target> {
        match reference.digest() {
            None => self.0.get(&reference.to_string()),
            Some(digest) => self.0.values().find(|target| target.digest == *digest),
        }
    }
}
