//! Manifests and indexes, of OCI and of Docker (version 2, schema 2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::limits::Limits;

pub mod media_type {
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
}

#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error("not a valid {what}: {source}")]
    Json { what: &'static str, source: serde_json::Error },
    #[error("it has {actual} bytes, more than the {bytes_max} that a manifest or configuration may have")]
    TooLarge { actual: u64, bytes_max: u64 },
    #[error(
        "manifests of Docker's schema 1 are not supported; save or push the image again with a current Docker"
    )]
    Schema1,
    #[error("schemaVersion is {0}, but only 2 is known")]
    SchemaVersion(i64),
    #[error("media type {0:?} is no image manifest or index")]
    MediaType(String),
    #[error("it is both a manifest and an index, so it is not clear which image it means")]
    Ambiguous,
    #[error("it is neither a manifest nor an index: it names neither layers nor manifests")]
    Neither,
    #[error("it has {actual} {what}, more than the limit of {max}")]
    TooMany { what: &'static str, actual: usize, max: usize },
    #[error("{0} is an index inside an index")]
    Nested(Digest),
    #[error("{0} is an artifact of another kind, not a container image: its configuration is {1:?}")]
    Artifact(Digest, String),
    #[error("image Manifest does not contain descriptor matching platform '{0}'")]
    NoPlatform(Platform),
    #[error("the configuration names {diff_ids} layers, but the manifest names {layers}")]
    LayerCount { diff_ids: usize, layers: usize },
    #[error("the configuration of the image has a {field} that cannot be used: {reason}")]
    Config { field: &'static str, reason: String },
}

/// What a manifest says of one blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    pub(crate) fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self { media_type: media_type.to_owned(), digest, size, platform: None, annotations: BTreeMap::new() }
    }
    pub(crate) fn is_index(&self) -> bool {
        matches!(self.media_type.as_str(), media_type::OCI_INDEX | media_type::DOCKER_INDEX)
    }
    pub(crate) fn is_manifest(&self) -> bool {
        matches!(self.media_type.as_str(), media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST)
    }
}

/// Operating system and processor, by the names that Go has for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    #[serde(default)]
    pub os: String,
    #[serde(default)]
    pub architecture: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// The platform of this machine.
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "aarch64" => ("arm64", Some("v8")),
            other => (other, None),
        };
        Self { os: "linux".into(), architecture: architecture.into(), variant: variant.map(str::to_owned) }
    }
    /// How well an image of platform `offered` runs here; a higher number is better.
    fn fitness(&self, offered: &Self) -> Option<u32> {
        if offered.os != self.os || offered.architecture != self.architecture {
            return None;
        }
        match (&self.variant, &offered.variant) {
            (ours, theirs) if ours == theirs => Some(3),
            (_, None) => Some(2),
            // amd64/v2 and above need what not every processor has.
            (None, Some(theirs)) if theirs == "v1" => Some(1),
            _ => None,
        }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}

/// One image: its configuration and its layers, the lowest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    schema_version: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    pub(crate) fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::OCI_MANIFEST.into()),
            config,
            layers,
            annotations: BTreeMap::new(),
        }
    }
}

/// One image for several platforms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    schema_version: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    pub manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Index {
    /// An index of complete images, as OCI layouts have it at their top.
    pub(crate) fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::OCI_INDEX.into()),
            manifests,
            annotations: BTreeMap::new(),
        }
    }
    /// The manifest for `platform`. Builders put attestations beside images, on the platform "unknown"; they never
    /// fit.
    pub fn choose(&self, platform: &Platform) -> Result<&Descriptor, DocumentError> {
        if let Some(nested) = self.manifests.iter().find(|descriptor| descriptor.is_index()) {
            return Err(DocumentError::Nested(nested.digest));
        }
        let mut best: Option<(u32, &Descriptor)> = None;
        for descriptor in self.manifests.iter().filter(|descriptor| descriptor.is_manifest()) {
            let fitness = match &descriptor.platform {
                Some(offered) => platform.fitness(offered),
                // A lone image without a platform is the image that was meant.
                None if self.manifests.len() == 1 => Some(0),
                None => None,
            };
            // The first of equals wins, as with Docker.
            if let Some(fitness) = fitness
                && best.is_none_or(|(other, _)| fitness > other)
            {
                best = Some((fitness, descriptor));
            }
        }
        best.map(|(_, descriptor)| descriptor).ok_or_else(|| DocumentError::NoPlatform(platform.clone()))
    }
}

/// What a digest that names an image can lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    Manifest(Manifest),
    Index(Index),
}

impl Document {
    pub fn parse(content: &[u8], limits: &Limits) -> Result<Self, DocumentError> {
        if content.len() as u64 > limits.document_bytes_max {
            return Err(DocumentError::TooLarge {
                actual: content.len() as u64,
                bytes_max: limits.document_bytes_max,
            });
        }
        let shape: Shape = parse_json("manifest", content)?;
        match shape.schema_version {
            Some(2) => {}
            Some(1) => return Err(DocumentError::Schema1),
            other => return Err(DocumentError::SchemaVersion(other.unwrap_or(0))),
        }
        let has_manifests = shape.manifests.is_some();
        let has_layers = shape.layers.is_some() || shape.config.is_some();
        if has_manifests && has_layers {
            return Err(DocumentError::Ambiguous);
        }
        match (shape.media_type.as_deref(), has_manifests, has_layers) {
            (None | Some(media_type::OCI_INDEX | media_type::DOCKER_INDEX), true, _) => {
                let index: Index = parse_json("index", content)?;
                check_count("manifests", index.manifests.len(), limits.platforms_max)?;
                Ok(Self::Index(index))
            }
            (None | Some(media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST), _, true) => {
                let manifest: Manifest = parse_json("manifest", content)?;
                check_count("layers", manifest.layers.len(), limits.layers_max)?;
                Ok(Self::Manifest(manifest))
            }
            (None, false, false) => Err(DocumentError::Neither),
            (Some(other), _, _) => Err(DocumentError::MediaType(other.chars().take(200).collect())),
        }
    }
    /// The media type by which another manifest or a registry names this document.
    pub fn media_type(&self) -> &str {
        match self {
            Self::Manifest(manifest) => manifest.media_type.as_deref().unwrap_or(media_type::OCI_MANIFEST),
            Self::Index(index) => index.media_type.as_deref().unwrap_or(media_type::OCI_INDEX),
        }
    }
    /// The blobs that this document names.
    pub fn descriptors(&self) -> Vec<&Descriptor> {
        match self {
            Self::Manifest(manifest) => std::iter::once(&manifest.config).chain(&manifest.layers).collect(),
            Self::Index(index) => index.manifests.iter().collect(),
        }
    }
}

/// Just enough to tell what a document is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    schema_version: Option<i64>,
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
}

pub(crate) fn parse_json<'a, T: Deserialize<'a>>(
    what: &'static str,
    content: &'a [u8],
) -> Result<T, DocumentError> {
    serde_json::from_slice(content).map_err(|source| DocumentError::Json { what, source })
}

pub(crate) fn to_json<T: Serialize>(document: &T) -> Vec<u8> {
    serde_json::to_vec(document).expect("our documents hold only strings, numbers, lists and maps by strings")
}

fn check_count(what: &'static str, actual: usize, max: usize) -> Result<(), DocumentError> {
    if actual > max { Err(DocumentError::TooMany { what, actual, max }) } else { Ok(()) }
}

/// Go writes an empty map or list as `null`.
pub(crate) fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests;
