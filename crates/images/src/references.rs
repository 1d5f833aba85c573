//! The references of the store: which name means which image.
//!
//! They stand in `index.json`, in the form that an OCI image layout has at its top; so the store itself is a layout
//! that other tools can read. The file is only ever replaced as a whole, under a lock, and readers need none.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use gantry_types::Timestamp;

use crate::digest::Digest;
use crate::document::{Descriptor, Index, parse_json, to_json};
use crate::error::StoreError;
use crate::files;
use crate::limits::Limits;
use crate::own::ecr_region;
use crate::reference::Reference;

/// The name in its complete form.
const NAME: &str = "org.opencontainers.image.ref.name";
/// The name as it was given.
const GIVEN_NAME: &str = "gantry.name.given";
/// When the name came to this image, in milliseconds since 1970.
const PUSHED_AT: &str = "gantry.pushed-at";

pub(crate) const FILE: &str = "index.json";

/// What a name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) given: String,
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) pushed_at: Option<Timestamp>,
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
            let pushed_at = annotations.remove(PUSHED_AT).and_then(|millis| millis.parse().ok());
            let pushed_at = pushed_at.map(Timestamp::from_millis);
            let Descriptor { media_type, digest, size, .. } = descriptor;
            references.insert(reference.to_string(), Target { given, media_type, digest, size, pushed_at });
        }
        Ok(Self(references))
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        let manifests = self.0.iter().map(|(name, target)| {
            let mut descriptor = Descriptor::new(&target.media_type, target.digest, target.size);
            descriptor.annotations.insert(NAME.into(), name.clone());
            if target.given != *name {
                descriptor.annotations.insert(GIVEN_NAME.into(), target.given.clone());
            }
            if let Some(pushed_at) = target.pushed_at {
                descriptor.annotations.insert(PUSHED_AT.into(), pushed_at.millis().to_string());
            }
            descriptor
        });
        to_json(&Index::new(manifests.collect()))
    }

    /// Lets a name lead to an image. A repository of the own registry lists each of its images by digest too, so that
    /// one whose tags have moved on is still there.
    pub(crate) fn set(
        &mut self,
        reference: &Reference,
        image: &Descriptor,
        now: Timestamp,
        limits: &Limits,
    ) -> Result<(), StoreError> {
        if ecr_region(reference.domain()).is_some() {
            let repository = reference.repository();
            self.add_member(&repository, image, now);
            if let Some(tag) = reference.tag() {
                let target = Target::new(reference.given().to_owned(), image, now);
                self.0.insert(format!("{repository}:{tag}"), target);
            }
        } else {
            self.0.insert(reference.to_string(), Target::new(reference.given().to_owned(), image, now));
        }
        if self.0.len() > limits.references_max {
            return Err(StoreError::References(limits.references_max));
        }
        Ok(())
    }

    /// Lists an image of the own registry's repository by its digest.
    pub(crate) fn add_member(&mut self, repository: &str, image: &Descriptor, now: Timestamp) {
        let name = format!("{repository}@{}", image.digest);
        self.0.entry(name.clone()).or_insert_with(|| Target::new(name, image, now));
    }

    /// Takes a tag away from an image of the own registry; the image goes with its last tag. Gives the image's digest.
    pub(crate) fn remove_tag(&mut self, repository: &str, tag: &str) -> Option<Digest> {
        let digest = self.0.remove(&format!("{repository}:{tag}"))?.digest;
        if !self.tags(repository).any(|(_, target)| target.digest == digest) {
            self.0.remove(&format!("{repository}@{digest}"));
        }
        Some(digest)
    }

    /// Removes an image of the own registry and gives the tags that it had; `None` if there is no such image.
    pub(crate) fn remove_image(&mut self, repository: &str, digest: &Digest) -> Option<Vec<String>> {
        let tags = self.tags(repository).filter(|(_, target)| target.digest == *digest);
        let tags: Vec<String> = tags.map(|(tag, _)| tag.to_owned()).collect();
        let was_member = self.0.remove(&format!("{repository}@{digest}")).is_some();
        for tag in &tags {
            self.0.remove(&format!("{repository}:{tag}"));
        }
        (was_member || !tags.is_empty()).then_some(tags)
    }

    /// The tags of a repository.
    pub(crate) fn tags<'a>(&'a self, repository: &str) -> impl Iterator<Item = (&'a str, &'a Target)> {
        self.starting_with(format!("{repository}:")).filter(|(tag, _)| !tag.contains('@'))
    }

    /// The images of an own registry's repository by digest, in the order of their digests.
    pub(crate) fn members<'a>(&'a self, repository: &str) -> impl Iterator<Item = &'a Target> {
        self.starting_with(format!("{repository}@")).map(|(_, target)| target)
    }

    /// What follows `prefix`, and where it leads.
    pub(crate) fn starting_with(&self, prefix: String) -> impl Iterator<Item = (&str, &Target)> {
        self.0
            .range(prefix.clone()..)
            .map_while(move |(name, target)| Some((name.strip_prefix(prefix.as_str())?, target)))
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

impl Target {
    fn new(given: String, image: &Descriptor, now: Timestamp) -> Self {
        let media_type = image.media_type.clone();
        Self { given, media_type, digest: image.digest, size: image.size, pushed_at: Some(now) }
    }
}

/// The references as they were read last: registries ask for them with every request.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<Option<(Stamp, Arc<References>)>>);

/// Tells one version of the file from another, together with [`SETTLED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: SystemTime,
}

/// A file system's clock has steps, and inodes are used again: a version is only remembered when the file is older
/// than any step, since a later version then has a later time.
const SETTLED: Duration = Duration::from_millis(100);

impl Cache {
    pub(crate) fn read(&self, store: &Path, limits: &Limits) -> Result<Arc<References>, StoreError> {
        let path = store.join(FILE);
        let stamp = match fs::metadata(&path) {
            Ok(metadata) => Stamp {
                inode: metadata.ino(),
                size: metadata.len(),
                modified: metadata.modified().map_err(|error| StoreError::io("look at", &path, error))?,
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Arc::default()),
            Err(error) => return Err(StoreError::io("look at", path, error)),
        };
        if let Some((known, references)) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner)
            && *known == stamp
        {
            return Ok(references.clone());
        }
        let begun = SystemTime::now();
        let references = Arc::new(References::read(store, limits)?);
        // What was read may be newer than the stamp; then the stamp matches no file any more, and nothing is lost.
        if begun.duration_since(stamp.modified).is_ok_and(|age| age > SETTLED) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((stamp, references.clone()));
        }
        Ok(references)
    }
}
