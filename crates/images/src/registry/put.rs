//! Putting a manifest: checked, stored, named.

use serde::Deserialize;

use gantry_types::Timestamp;

use super::{ImageName, Registry, RegistryError, RepositoryName};
use crate::digest::Digest;
use crate::document::{Descriptor, Document, DocumentError, media_type, parse_json};
use crate::error::StoreError;
use crate::ingest::Ingest;

/// What may happen to a tag that leads to another image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    Allowed,
    /// The repository's tags are immutable.
    Refused,
}

/// A manifest on its way to a repository.
#[derive(Clone, Debug)]
pub struct PutManifest<'a> {
    pub repository: &'a RepositoryName,
    /// A digest has to be the content's.
    pub name: ImageName,
    pub content: &'a [u8],
    /// As the client says; it must not contradict the content.
    pub media_type: Option<&'a str>,
    pub overwrite: Overwrite,
    pub now: Timestamp,
}

/// What putting a manifest has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutOutcome {
    pub digest: Digest,
    pub media_type: String,
    /// The image that this one says something about.
    pub subject: Option<Digest>,
    /// The repository had this image under this name before.
    pub was_there: bool,
}

/// Docker's layers that stay at their vendor's: a manifest names them with where to get them.
const FOREIGN: [&str; 2] = [".foreign.", ".nondistributable."];

#[derive(Deserialize)]
pub(super) struct Subject {
    pub(super) subject: Option<Descriptor>,
}

impl Registry {
    /// Stores a manifest whose blobs are all here and names it.
    pub fn put_manifest(&self, put: &PutManifest<'_>) -> Result<PutOutcome, RegistryError> {
        let limits = self.store.limits();
        if put.content.len() as u64 > limits.document_bytes_max {
            return Err(RegistryError::TooLarge { what: "a manifest", bytes_max: limits.document_bytes_max });
        }
        let invalid = |error: DocumentError| RegistryError::Manifest(error.to_string());
        let document = Document::parse(put.content, limits).map_err(invalid)?;
        let media_type = check_media_type(&document, put.media_type)?.to_owned();
        let subject: Subject = parse_json("manifest", put.content).map_err(invalid)?;
        let digest = Digest::of(put.content);
        let reference = match &put.name {
            ImageName::Tag(tag) => put.repository.tagged(tag)?,
            ImageName::Digest(expected) if *expected == digest => put.repository.by_digest(&digest)?,
            ImageName::Digest(expected) => {
                return Err(RegistryError::DigestMismatch { expected: *expected, actual: digest });
            }
        };
        let mut ingest = self.store.ingest()?;
        for blob in document.descriptors() {
            check_blob(&ingest, blob)?;
        }
        ingest.add(put.content)?;
        ingest.publish()?;
        let image = Descriptor::new(&media_type, digest, put.content.len() as u64);
        let was_there = self.store.change_references(ingest.temporary(), |references| {
            let known = references.0.get(&reference.to_string()).map(|target| target.digest);
            if let (ImageName::Tag(_), Overwrite::Refused, Some(other)) = (&put.name, put.overwrite, known)
                && other != digest
            {
                return Ok(Err(()));
            }
            references.set(&reference, &image, put.now, limits)?;
            Ok(Ok(known == Some(digest)))
        })?;
        let Ok(was_there) = was_there else {
            let tag = reference.tag().unwrap_or_default().to_owned();
            return Err(RegistryError::TagImmutable { tag, repository: put.repository.name().to_owned() });
        };
        self.store.no_longer_fresh(document.descriptors().iter().map(|blob| &blob.digest));
        let subject = subject.subject.map(|subject| subject.digest);
        Ok(PutOutcome { digest, media_type, subject, was_there })
    }
}

/// The media type by which the manifest is known.
fn check_media_type<'a>(document: &'a Document, told: Option<&'a str>) -> Result<&'a str, RegistryError> {
    let own = document.media_type();
    let told = told.map(|told| told.split(';').next().unwrap_or_default().trim());
    match told {
        None | Some("" | "application/json" | "application/octet-stream" | "text/plain") => Ok(own),
        Some(told) if told == own => Ok(own),
        Some(told) => Err(RegistryError::Manifest(format!(
            "its media type is {own:?}, but the request says {:?}",
            told.chars().take(200).collect::<String>()
        ))),
    }
}

fn check_blob(ingest: &Ingest, blob: &Descriptor) -> Result<(), RegistryError> {
    let is_foreign = FOREIGN.iter().any(|part| blob.media_type.contains(part));
    match ingest.check_blob(blob) {
        Err(StoreError::MissingBlob(_)) if is_foreign => Ok(()),
        Err(StoreError::MissingBlob(digest)) => Err(RegistryError::ManifestBlobUnknown(digest)),
        Err(StoreError::SizeMismatch { digest, expected, actual }) => Err(RegistryError::Manifest(format!(
            "it says that {digest} has {expected} bytes, but it has {actual}"
        ))),
        other => Ok(other?),
    }
}

pub(super) fn is_index(media: &str) -> bool {
    matches!(media, media_type::OCI_INDEX | media_type::DOCKER_INDEX)
}
