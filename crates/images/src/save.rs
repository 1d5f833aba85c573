//! Writing an image to an archive that docker, podman, buildah and skopeo load.
//!
//! The archive is an OCI layout and has Docker's `manifest.json` beside it, as `docker save` writes it.

use std::io::{self, Read, Write};

use serde_json::json;

use crate::digest::Digest;
use crate::document::{Descriptor, Index, Manifest, to_json};
use crate::error::StoreError;
use crate::limits::CHUNK_BYTES;
use crate::reference::Reference;
use crate::store::Store;
use crate::tar::{Entry, Kind, TarWriter};

#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    #[error("could not write the archive: {0}")]
    Write(#[source] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Writes the image of a name, for this machine's platform, to an archive.
    pub fn save(&self, name: &str, archive: impl Write) -> Result<(), SaveError> {
        let _in_use = self.in_use()?;
        let missing = || StoreError::Missing(name.to_owned());
        let image = self.image(&self.resolve(name)?.ok_or_else(missing)?)?;
        let (digest, manifest) = self.manifest(&image.digest)?;
        // `sha256:...` is a way to find an image, but no name for it.
        let reference = Reference::parse(name).ok().filter(|_| name.parse::<Digest>().is_err());
        let mut archive = TarWriter::new(archive);
        self.write(&mut archive, digest, &manifest, reference.as_ref())?;
        let mut archive = archive.finish().map_err(SaveError::Write)?;
        archive.flush().map_err(SaveError::Write)
    }

    fn write<W: Write>(
        &self,
        archive: &mut TarWriter<W>,
        digest: Digest,
        manifest: &Manifest,
        reference: Option<&Reference>,
    ) -> Result<(), SaveError> {
        let mut blobs = vec![digest, manifest.config.digest];
        blobs.extend(manifest.layers.iter().map(|layer| layer.digest));
        blobs.sort();
        blobs.dedup();
        for blob in blobs {
            let size = self.blobs().size(&blob)?.ok_or(StoreError::MissingBlob(blob))?;
            let content = self.open_blob(&blob)?;
            copy(archive, &path(&blob), size, content)?;
        }
        let size = self.blobs().size(&digest)?.ok_or(StoreError::MissingBlob(digest))?;
        let mut top = Descriptor::new(self.document(&digest)?.media_type(), digest, size);
        let mut tags = Vec::new();
        if let Some(reference) = reference {
            top.annotations.insert("org.opencontainers.image.ref.name".into(), reference.to_string());
            top.annotations.insert("io.containerd.image.name".into(), reference.to_string());
            tags.extend(reference.tag().map(|tag| format!("{}:{tag}", reference.repository())));
        }
        let docker = json!([{
            "Config": path(&manifest.config.digest),
            "RepoTags": tags,
            "Layers": manifest.layers.iter().map(|layer| path(&layer.digest)).collect::<Vec<_>>(),
        }]);
        let documents = [
            ("index.json", to_json(&Index::new(vec![top]))),
            ("manifest.json", to_json(&docker)),
            ("oci-layout", to_json(&json!({"imageLayoutVersion": "1.0.0"}))),
        ];
        for (name, content) in documents {
            copy(archive, name, content.len() as u64, &content[..])?;
        }
        Ok(())
    }
}

fn path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn copy<W: Write>(
    archive: &mut TarWriter<W>,
    path: &str,
    size: u64,
    mut content: impl Read,
) -> Result<(), SaveError> {
    let mut entry = Entry::new(path.as_bytes(), Kind::File);
    (entry.mode, entry.size) = (0o644, size);
    archive.append(&entry).map_err(SaveError::Write)?;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = content.read(&mut buffer).map_err(|error| StoreError::io("read", path, error))?;
        if read == 0 {
            return Ok(());
        }
        archive.content(&buffer[..read]).map_err(SaveError::Write)?;
    }
}
