//! What a repository holds, and deleting it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use gantry_types::Timestamp;

use super::put::{Subject, is_index};
use super::{Registry, RegistryError, RepositoryName, check_tag};
use crate::digest::Digest;
use crate::document::{Descriptor, Document};
use crate::error::StoreError;
use crate::own;
use crate::references::References;

/// How a request names an image of a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImageName {
    Tag(String),
    Digest(Digest),
}

impl ImageName {
    /// A tag or a digest, as the path of a request has it.
    pub fn parse(text: &str) -> Result<Self, RegistryError> {
        if text.contains(':') {
            return Ok(Self::Digest(text.parse()?));
        }
        check_tag(text)?;
        Ok(Self::Tag(text.to_owned()))
    }
}

impl std::fmt::Display for ImageName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// An image or a list of images in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryImage {
    pub digest: Digest,
    pub media_type: String,
    /// In order.
    pub tags: Vec<String>,
    pub pushed_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestContent {
    pub digest: Digest,
    pub media_type: String,
    pub content: Vec<u8>,
}

/// A manifest that says something about another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    pub descriptor: Descriptor,
    pub artifact_type: Option<String>,
}

/// What to delete: by its tag, by its digest, or by the tag if it leads to the digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    pub tag: Option<String>,
    pub digest: Option<Digest>,
}

/// What became of one [`Selected`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// The tag is gone, and its image if it was the last.
    Tag {
        tag: String,
        digest: Digest,
    },
    /// The image is gone with all of its tags.
    Image {
        digest: Digest,
        tags: Vec<String>,
    },
    NotFound,
    /// The tag leads to another digest.
    Mismatch,
    /// These lists name it.
    Referenced(Vec<Digest>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl Registry {
    /// The repositories of a region that hold images, with the time of their first push.
    pub fn repositories(&self, region: &str) -> Result<BTreeMap<String, Timestamp>, RegistryError> {
        let references = self.store.references()?;
        let mut found: BTreeMap<String, Timestamp> = BTreeMap::new();
        for (rest, target) in references.starting_with(format!("{}/", own::domain(region))) {
            let Some((name, _)) = rest.split_once('@') else { continue };
            let pushed_at = target.pushed_at.unwrap_or(Timestamp::EPOCH);
            match found.get_mut(name) {
                Some(first) => *first = pushed_at.min(*first),
                None => drop(found.insert(name.to_owned(), pushed_at)),
            }
        }
        Ok(found)
    }

    /// The regions in which there are repositories.
    pub fn regions(&self) -> Result<BTreeSet<String>, RegistryError> {
        let references = self.store.references()?;
        let domains = references.0.keys().filter_map(|name| own::ecr_region(name.split_once('/')?.0));
        Ok(domains.map(str::to_owned).collect())
    }

    pub fn is_empty(&self, repository: &RepositoryName) -> Result<bool, RegistryError> {
        Ok(self.store.references()?.members(&repository.full()).next().is_none())
    }

    /// All images of a repository, in the order of their digests.
    pub fn images(&self, repository: &RepositoryName) -> Result<Vec<RegistryImage>, RegistryError> {
        let references = self.store.references()?;
        let full = repository.full();
        let mut tags: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
        for (tag, target) in references.tags(&full) {
            tags.entry(target.digest).or_default().push(tag.to_owned());
        }
        let images = references.members(&full).map(|target| RegistryImage {
            digest: target.digest,
            media_type: target.media_type.clone(),
            tags: tags.remove(&target.digest).unwrap_or_default(),
            pushed_at: target.pushed_at.unwrap_or(Timestamp::EPOCH),
        });
        Ok(images.collect())
    }

    /// The tags of a repository, in order.
    pub fn tags(&self, repository: &RepositoryName) -> Result<Vec<String>, RegistryError> {
        let references = self.store.references()?;
        Ok(references.tags(&repository.full()).map(|(tag, _)| tag.to_owned()).collect())
    }

    /// The digest that a name leads to, with the media type; `None` if the repository does not have it.
    pub fn find(
        &self,
        repository: &RepositoryName,
        name: &ImageName,
    ) -> Result<Option<(Digest, String)>, RegistryError> {
        let references = self.store.references()?;
        let key = match name {
            ImageName::Tag(tag) => format!("{}:{tag}", repository.full()),
            ImageName::Digest(digest) => format!("{}@{digest}", repository.full()),
        };
        Ok(references.0.get(&key).map(|target| (target.digest, target.media_type.clone())))
    }

    pub fn manifest(
        &self,
        repository: &RepositoryName,
        name: &ImageName,
    ) -> Result<ManifestContent, RegistryError> {
        let (digest, media_type) =
            self.find(repository, name)?.ok_or_else(|| RegistryError::ManifestUnknown(name.to_string()))?;
        let content = self.store.blobs().read(&digest, self.store.limits().document_bytes_max)?;
        Ok(ManifestContent { digest, media_type, content })
    }

    /// The bytes of an image's layers and configuration as they are stored; of a list, those of its own document.
    pub fn image_bytes(&self, digest: &Digest) -> Result<u64, RegistryError> {
        let size = self.store.blobs().size(digest)?.unwrap_or(0);
        Ok(match self.store.document(digest)? {
            Document::Manifest(manifest) => {
                let layers: u64 = manifest.layers.iter().map(|layer| layer.size).sum();
                size + manifest.config.size + layers
            }
            Document::Index(_) => size,
        })
    }

    /// The media type of an image's configuration, which says what kind of artifact it is.
    pub fn artifact_type(&self, digest: &Digest) -> Result<Option<String>, RegistryError> {
        Ok(match self.store.document(digest)? {
            Document::Manifest(manifest) => Some(manifest.config.media_type),
            Document::Index(_) => None,
        })
    }

    /// The manifests of a repository whose subject is an image.
    pub fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Vec<Referrer>, RegistryError> {
        let references = self.store.references()?;
        let bytes_max = self.store.limits().document_bytes_max;
        let mut found = Vec::new();
        for target in references.members(&repository.full()) {
            let content = self.store.blobs().read(&target.digest, bytes_max)?;
            let Ok(Subject { subject: Some(about) }) = serde_json::from_slice(&content) else { continue };
            if about.digest != *subject {
                continue;
            }
            let Ok(artifact) = serde_json::from_slice::<Artifact>(&content) else { continue };
            let mut descriptor = Descriptor::new(&target.media_type, target.digest, target.size);
            descriptor.annotations = artifact.annotations.unwrap_or_default();
            let artifact_type = artifact.artifact_type.or(artifact.config.map(|config| config.media_type));
            found.push(Referrer { descriptor, artifact_type });
        }
        Ok(found)
    }

    /// Deletes images and tags; the content stays until `prune`. Lists go first, so that what only they need can go with
    /// them.
    pub fn delete(
        &self,
        repository: &RepositoryName,
        selected: &[Selected],
    ) -> Result<Vec<Deleted>, RegistryError> {
        let full = repository.full();
        let ingest = self.store.ingest()?;
        Ok(self.store.change_references(ingest.temporary(), |references| {
            let mut outcomes = vec![Deleted::NotFound; selected.len()];
            for lists in [true, false] {
                for (outcome, selected) in outcomes.iter_mut().zip(selected) {
                    let Some(digest) = find_selected(references, &full, selected) else { continue };
                    let member = references.0.get(&format!("{full}@{digest}"));
                    if member.is_some_and(|target| is_index(&target.media_type)) == lists {
                        *outcome = self.delete_one(references, &full, selected, digest)?;
                    }
                }
            }
            Ok(outcomes)
        })?)
    }

    /// Takes a tag away and leaves its image; gives the image's digest, `None` if there is no such tag.
    pub fn untag(&self, repository: &RepositoryName, tag: &str) -> Result<Option<Digest>, RegistryError> {
        let key = format!("{}:{tag}", repository.full());
        let ingest = self.store.ingest()?;
        Ok(self.store.change_references(ingest.temporary(), |references| {
            Ok(references.0.remove(&key).map(|target| target.digest))
        })?)
    }

    fn delete_one(
        &self,
        references: &mut References,
        full: &str,
        selected: &Selected,
        digest: Digest,
    ) -> Result<Deleted, StoreError> {
        if selected.digest.is_some_and(|expected| expected != digest) {
            return Ok(Deleted::Mismatch);
        }
        let tags = references.tags(full).filter(|(_, target)| target.digest == digest).count();
        if selected.tag.is_none() || tags <= 1 {
            let lists = self.lists_with(references, full, &digest)?;
            if !lists.is_empty() {
                return Ok(Deleted::Referenced(lists));
            }
        }
        if let Some(tag) = &selected.tag {
            references.remove_tag(full, tag);
            return Ok(Deleted::Tag { tag: tag.clone(), digest });
        }
        let tags = references.remove_image(full, &digest);
        Ok(tags.map_or(Deleted::NotFound, |tags| Deleted::Image { digest, tags }))
    }

    /// The lists of a repository that name an image.
    fn lists_with(
        &self,
        references: &References,
        full: &str,
        digest: &Digest,
    ) -> Result<Vec<Digest>, StoreError> {
        let mut lists = Vec::new();
        for target in references.members(full).filter(|target| is_index(&target.media_type)) {
            let document = self.store.document(&target.digest)?;
            if document.descriptors().iter().any(|part| part.digest == *digest) {
                lists.push(target.digest);
            }
        }
        Ok(lists)
    }

    /// Deletes all images of a repository and gives how many there were.
    pub fn delete_all(&self, repository: &RepositoryName) -> Result<usize, RegistryError> {
        let full = repository.full();
        let ingest = self.store.ingest()?;
        Ok(self.store.change_references(ingest.temporary(), |references| {
            let digests: Vec<Digest> = references.members(&full).map(|target| target.digest).collect();
            for digest in &digests {
                references.remove_image(&full, digest);
            }
            Ok(digests.len())
        })?)
    }
}

/// The image that a selection is about; a wrong pair is told by who deletes.
fn find_selected(references: &References, full: &str, selected: &Selected) -> Option<Digest> {
    let key = match (&selected.tag, &selected.digest) {
        (Some(tag), _) => format!("{full}:{tag}"),
        (None, Some(digest)) => format!("{full}@{digest}"),
        (None, None) => return None,
    };
    references.0.get(&key).map(|target| target.digest)
}
