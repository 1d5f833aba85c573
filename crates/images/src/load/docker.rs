//! Docker's form: `manifest.json` lists images, each with the paths of its configuration and its layers.

use serde::Deserialize;

use super::{Files, Found, LoadError};
use crate::compression::{Compression, compression_of};
use crate::config::ConfigFile;
use crate::digest::Digest;
use crate::document::{Descriptor, Manifest, media_type, null_is_empty, parse_json, to_json};
use crate::ingest::Ingest;
use crate::limits::Limits;

const MANIFEST: &str = "manifest.json";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    layers: Vec<String>,
}

/// The images of `manifest.json`, `None` if the archive has none. Each gets an OCI manifest, made from nothing but
/// the archive's content: the same archive gives the same digests.
pub(super) fn find(
    ingest: &mut Ingest,
    files: &Files,
    limits: &Limits,
) -> Result<Option<Vec<Found>>, LoadError> {
    let Some(items) = items(ingest, files, limits)? else { return Ok(None) };
    let mut images: Vec<Found> = Vec::new();
    for item in items {
        let image = convert(ingest, files, &item, limits)?;
        match images.iter_mut().find(|other| other.digest == image.digest) {
            Some(other) => other.names.extend(image.names),
            None => images.push(image),
        }
    }
    Ok(Some(images))
}

/// Names by the digest of the configuration.
pub(super) fn repo_tags(
    ingest: &Ingest,
    files: &Files,
    limits: &Limits,
) -> Result<Vec<(Digest, Vec<String>)>, LoadError> {
    let items = items(ingest, files, limits)?.unwrap_or_default();
    let named = items.into_iter().filter(|item| !item.repo_tags.is_empty());
    Ok(named.filter_map(|item| Some((files.get(&item.config)?.0, item.repo_tags))).collect())
}

fn items(ingest: &Ingest, files: &Files, limits: &Limits) -> Result<Option<Vec<Item>>, LoadError> {
    let Some((digest, _)) = files.get(MANIFEST) else { return Ok(None) };
    let content = ingest.read(&digest)?;
    let items: Vec<Item> = parse_json("list of images", &content)
        .map_err(|source| LoadError::Document { file: MANIFEST.into(), source })?;
    if items.len() > limits.archive_images_max {
        return Err(LoadError::TooManyImages(limits.archive_images_max));
    }
    Ok(Some(items))
}

fn convert(ingest: &mut Ingest, files: &Files, item: &Item, limits: &Limits) -> Result<Found, LoadError> {
    let get = |path: &String| {
        files.get(path).ok_or_else(|| LoadError::MissingFile { file: MANIFEST, missing: path.clone() })
    };
    let fail = |source| LoadError::Document { file: item.config.clone(), source };
    let (config_digest, config_size) = get(&item.config)?;
    let config = ConfigFile::parse(&ingest.read(&config_digest)?, limits).map_err(fail)?;
    let diff_ids = config.rootfs.diff_ids.clone();
    config.check(item.layers.len()).map_err(fail)?;
    let mut layers = Vec::with_capacity(item.layers.len());
    for (path, expected) in item.layers.iter().zip(diff_ids) {
        let (digest, size) = get(path)?;
        let blob = ingest.open(&digest)?;
        let media_type = match compression_of(blob).map_err(LoadError::Archive)? {
            // Without compression the blob's digest is the diff ID; otherwise it shows when it is unpacked.
            Compression::None if digest != expected => {
                return Err(LoadError::LayerMismatch { file: path.clone(), expected, actual: digest });
            }
            Compression::None => media_type::OCI_LAYER,
            Compression::Gzip => media_type::OCI_LAYER_GZIP,
            Compression::Zstd => media_type::OCI_LAYER_ZSTD,
        };
        layers.push(Descriptor::new(media_type, digest, size));
    }
    let manifest = Manifest::new(Descriptor::new(media_type::OCI_CONFIG, config_digest, config_size), layers);
    let digest = ingest.add(&to_json(&manifest))?;
    let parts = std::iter::once(&manifest.config).chain(&manifest.layers).map(|blob| blob.digest);
    Ok(Found { digest, names: item.repo_tags.clone(), blobs: std::iter::once(digest).chain(parts).collect() })
}
