//! The OCI form: `index.json` names manifests, `blobs/sha256/<hex>` holds everything.

use super::{Files, Found, LoadError, docker};
use crate::digest::Digest;
use crate::document::{Descriptor, Document, DocumentError, Index, Platform};
use crate::ingest::Ingest;
use crate::limits::Limits;

const INDEX: &str = "index.json";
/// The complete name, by Docker and containerd.
const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// By the specification a tag; most tools put a whole name there.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The images of the index, `None` if the archive has none.
pub(super) fn find(
    ingest: &mut Ingest,
    files: &Files,
    limits: &Limits,
) -> Result<Option<Vec<Found>>, LoadError> {
    let Some((digest, _)) = files.get(INDEX) else { return Ok(None) };
    let fail = |source| LoadError::Document { file: INDEX.into(), source };
    let top = match Document::parse(&ingest.read(&digest)?, limits).map_err(fail)? {
        Document::Index(index) => index,
        Document::Manifest(_) => return Err(fail(DocumentError::Neither)),
    };
    if top.manifests.len() > limits.archive_images_max {
        return Err(LoadError::TooManyImages(limits.archive_images_max));
    }
    let tags = docker::repo_tags(ingest, files, limits)?;
    let mut images: Vec<Found> = Vec::new();
    for descriptor in select(&top) {
        let (blobs, config) = follow(ingest, files, descriptor, limits)?;
        let mut names = names(descriptor);
        if !descriptor.annotations.contains_key(CONTAINERD_NAME)
            && let Some((_, tagged)) = tags.iter().find(|(tagged, _)| *tagged == config)
        {
            names.clone_from(tagged);
        }
        match images.iter_mut().find(|image| image.digest == descriptor.digest) {
            // One image under several names stands there several times.
            Some(image) => image.names.extend(names),
            None => images.push(Found { digest: descriptor.digest, names, blobs }),
        }
    }
    Ok(Some(images))
}

/// Top entries that are images for this machine. Some tools write one entry for each platform at the top, without
/// an index between; then only the one that fits is meant.
fn select(top: &Index) -> Vec<&Descriptor> {
    let fits = |descriptor: &&Descriptor| {
        if descriptor.is_index() {
            return true;
        }
        let lone = Index::new(vec![(*descriptor).clone()]);
        descriptor.is_manifest() && lone.choose(&Platform::host()).is_ok()
    };
    let fitting: Vec<_> = top.manifests.iter().filter(fits).collect();
    // If nothing fits, the error should come from looking at what there is.
    if fitting.is_empty() { top.manifests.iter().collect() } else { fitting }
}

fn names(descriptor: &Descriptor) -> Vec<String> {
    let name = [CONTAINERD_NAME, REF_NAME].iter().find_map(|key| descriptor.annotations.get(*key));
    name.cloned().into_iter().collect()
}

/// Everything that the descriptor leads to and that the archive has, and the configuration for this machine.
fn follow(
    ingest: &mut Ingest,
    files: &Files,
    descriptor: &Descriptor,
    limits: &Limits,
) -> Result<(Vec<Digest>, Digest), LoadError> {
    let mut blobs = vec![descriptor.digest];
    let manifest = match read(ingest, files, descriptor, limits)? {
        Document::Manifest(manifest) => manifest,
        Document::Index(index) => {
            let fail = |source| LoadError::Document { file: descriptor.digest.to_string(), source };
            let chosen = index.choose(&Platform::host()).map_err(fail)?.clone();
            // Other platforms are kept if they are here, so that the image can be pushed as it came.
            for other in &index.manifests {
                if let Some(content) = present(ingest, files, other)? {
                    blobs.push(other.digest);
                    if let Ok(document) = Document::parse(&content, limits) {
                        blobs.extend(document.descriptors().iter().map(|blob| blob.digest));
                    }
                }
            }
            match read(ingest, files, &chosen, limits)? {
                Document::Manifest(manifest) => manifest,
                Document::Index(_) => return Err(fail(DocumentError::Nested(chosen.digest))),
            }
        }
    };
    for blob in std::iter::once(&manifest.config).chain(&manifest.layers) {
        if files.get(&path(&blob.digest)).is_none() && ingest.size(&blob.digest)?.is_none() {
            return Err(LoadError::MissingFile { file: "its manifest", missing: path(&blob.digest) });
        }
        blobs.push(blob.digest);
    }
    Ok((blobs, manifest.config.digest))
}

fn read(
    ingest: &Ingest,
    files: &Files,
    descriptor: &Descriptor,
    limits: &Limits,
) -> Result<Document, LoadError> {
    let missing = || LoadError::MissingFile { file: INDEX, missing: path(&descriptor.digest) };
    let content = present(ingest, files, descriptor)?.ok_or_else(missing)?;
    Document::parse(&content, limits)
        .map_err(|source| LoadError::Document { file: path(&descriptor.digest), source })
}

fn present(ingest: &Ingest, files: &Files, descriptor: &Descriptor) -> Result<Option<Vec<u8>>, LoadError> {
    if files.get(&path(&descriptor.digest)).is_none() {
        return Ok(None);
    }
    Ok(Some(ingest.read(&descriptor.digest)?))
}

fn path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
