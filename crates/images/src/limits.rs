//! Every limit of this crate and its default, in one place.

use std::time::Duration;

/// What an image may cost. The defaults admit every image that registries serve in practice and stop those that
/// are made to exhaust a machine.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A manifest, an index or an image configuration. Registries refuse larger manifests as well.
    pub document_bytes_max: u64,
    /// Layers of one image. overlayfs and Docker stop at 127.
    pub layers_max: usize,
    /// Platforms in one index.
    pub platforms_max: usize,
    /// One blob as it is stored.
    pub blob_bytes_max: u64,
    /// One layer after decompression.
    pub layer_bytes_max: u64,
    /// Files, directories and links in one layer, a build context or an extracted archive.
    pub entries_max: u64,
    /// Memory for names that are kept while an archive or layer is read: all of an archive, directories of a layer.
    pub names_bytes_max: usize,
    /// A path inside an image. Linux takes no longer one.
    pub path_bytes_max: usize,
    /// Directories above each other.
    pub path_depth_max: usize,
    /// Files in a docker or OCI archive.
    pub archive_entries_max: usize,
    /// Images in one archive.
    pub archive_images_max: usize,
    /// References that one store holds.
    pub references_max: usize,
    /// The file that holds the references.
    pub index_bytes_max: u64,
    /// Uploads to the registry that were begun and not finished.
    pub uploads_max: usize,
    /// How long an upload that does not go on, or a blob that no manifest names yet, waits for the rest of its push.
    pub unfinished_push_kept: Duration,
    /// Room that uploads leave on the disk, for those who have to write so that the server lives on. Of a small disk a
    /// twentieth.
    pub disk_reserve_bytes: u64,
    /// A Dockerfile or .dockerignore.
    pub dockerfile_bytes_max: u64,
    /// Instructions in one Dockerfile.
    pub instructions_max: usize,
    /// How long to wait for another process that changes the references.
    pub index_wait: Duration,
    /// How long to wait for another process that unpacks the same layer, or for `prune`.
    pub store_wait: Duration,
    /// How long a build that was handed to another program may take.
    pub external_build_wait: Duration,
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

impl Default for Limits {
    fn default() -> Self {
        Self {
            document_bytes_max: 4 * MIB,
            layers_max: 127,
            platforms_max: 1_000,
            blob_bytes_max: 32 * GIB,
            layer_bytes_max: 32 * GIB,
            entries_max: 2_000_000,
            names_bytes_max: 64 * 1024 * 1024,
            path_bytes_max: 4096,
            path_depth_max: 255,
            archive_entries_max: 100_000,
            archive_images_max: 1_000,
            references_max: 100_000,
            index_bytes_max: 64 * MIB,
            uploads_max: 1_000,
            unfinished_push_kept: Duration::from_secs(6 * 3600),
            disk_reserve_bytes: 64 * MIB,
            dockerfile_bytes_max: MIB,
            instructions_max: 10_000,
            index_wait: Duration::from_secs(30),
            store_wait: Duration::from_secs(600),
            external_build_wait: Duration::from_secs(3600),
        }
    }
}

/// A pax header or a GNU long name. Go's reader, which Docker uses, has the same bound.
pub(crate) const TAR_EXTENSION_BYTES_MAX: u64 = MIB;
/// Extension headers in front of one tar entry.
pub(crate) const TAR_EXTENSIONS_PER_ENTRY_MAX: usize = 16;
/// Pieces of one sparse file.
pub(crate) const SPARSE_PIECES_MAX: usize = 65_536;
/// Symbolic links followed for one path, as in Linux.
pub(crate) const SYMLINKS_MAX: usize = 40;
/// Bytes moved at once, and between two reports of progress.
pub(crate) const CHUNK_BYTES: usize = 256 * 1024;
