//! One image from one place: index, manifest, configuration, layers.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::Pulled;
use super::error::PullError;
use super::progress::{LayerState, Tracker};
use super::repository::{Repository, begin};
use super::turns::Turns;
use crate::config::{ConfigFile, ImageConfig};
use crate::digest::Digest;
use crate::document::{Descriptor, Document, DocumentError, Manifest, Platform, media_type};
use crate::ingest::Ingest;
use crate::progress::silent;
use crate::reference::Reference;
use crate::store::{Layer, Store};
use crate::unpack;

/// What an image is fetched with.
pub(super) struct Fetch<'a> {
    pub(super) store: &'a Store,
    pub(super) repository: Repository<'a>,
    pub(super) reference: &'a Reference,
    pub(super) tracker: &'a Tracker,
    /// Blobs that somebody downloads at the moment.
    pub(super) blobs: &'a Turns<Digest>,
}

impl Fetch<'_> {
    pub(super) fn run(&self) -> Result<Pulled, PullError> {
        if let Some(pulled) = self.unchanged()? {
            return Ok(pulled);
        }
        let ingest = Mutex::new(self.store.ingest()?);
        let (digest, manifest) = self.manifest(&ingest)?;
        let config = self.config(&manifest, &ingest)?;
        self.layers(&manifest, &config, &ingest)?;
        let ingest = ingest.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.repository.session.check()?;
        ingest.commit(&[(self.reference.clone(), digest)])?;
        Ok(Pulled { digest, bytes: self.tracker.bytes() })
    }

    /// An image that is here under this name and that the registry still has is not fetched again. Asking so costs none
    /// of the pulls that registries count.
    fn unchanged(&self) -> Result<Option<Pulled>, PullError> {
        let here = self.store.resolve(self.reference.given())?;
        let (Some(here), Some(tag)) = (here, self.reference.tag()) else { return Ok(None) };
        if self.reference.digest().is_some() {
            return Ok(None);
        }
        match self.repository.digest_of(tag) {
            Ok(Some(digest)) if digest == here => Ok(Some(Pulled { digest, bytes: 0 })),
            Err(error) if error.is_ours() || error.is_transient() => Err(error),
            // Whatever else is wrong shows again, in full, when the manifest itself is fetched.
            _ => Ok(None),
        }
    }

    fn manifest(&self, ingest: &Mutex<Ingest>) -> Result<(Digest, Manifest), PullError> {
        let digest = self.reference.digest();
        let name = match digest {
            Some(digest) => digest.to_string(),
            None => self.reference.tag().unwrap_or("latest").to_owned(),
        };
        let content = self.repository.manifest(&name, digest, self.store.limits().document_bytes_max)?;
        let digest = lock(ingest).add(&content)?;
        match self.parse(&digest, &content)? {
            Document::Manifest(manifest) => Ok((digest, manifest)),
            Document::Index(index) => {
                let chosen = index.choose(&Platform::host());
                let chosen = chosen.map_err(|source| self.document(&digest, source))?;
                Ok((digest, self.chosen(chosen, ingest)?))
            }
        }
    }

    /// The manifest of this machine's platform.
    fn chosen(&self, chosen: &Descriptor, ingest: &Mutex<Ingest>) -> Result<Manifest, PullError> {
        let bytes_max = self.store.limits().document_bytes_max;
        let name = chosen.digest.to_string();
        let content = self.repository.manifest(&name, Some(&chosen.digest), bytes_max)?;
        if content.len() as u64 != chosen.size {
            let (what, actual) = (format!("manifest {name}"), content.len() as u64);
            return Err(PullError::SizeMismatch { what, expected: chosen.size, actual });
        }
        lock(ingest).add(&content)?;
        match self.parse(&chosen.digest, &content)? {
            Document::Manifest(manifest) => Ok(manifest),
            Document::Index(_) => Err(self.document(&chosen.digest, DocumentError::Nested(chosen.digest))),
        }
    }

    fn config(&self, manifest: &Manifest, ingest: &Mutex<Ingest>) -> Result<ImageConfig, PullError> {
        let limits = self.store.limits();
        let descriptor = &manifest.config;
        if !matches!(descriptor.media_type.as_str(), media_type::OCI_CONFIG | media_type::DOCKER_CONFIG) {
            let kind = descriptor.media_type.chars().take(200).collect();
            return Err(self.document(&descriptor.digest, DocumentError::Artifact(descriptor.digest, kind)));
        }
        let content = match self.store.has_blob(&descriptor.digest)? {
            true => self.store.blobs().read(&descriptor.digest, limits.document_bytes_max)?,
            false => self.repository.small_blob(descriptor, limits.document_bytes_max)?,
        };
        lock(ingest).add(&content)?;
        ConfigFile::parse(&content, limits)
            .and_then(|config| config.check(manifest.layers.len()))
            .map_err(|source| self.document(&descriptor.digest, source))
    }

    /// Downloads what is missing, several layers at a time, and unpacks each as soon as it is here.
    fn layers(
        &self,
        manifest: &Manifest,
        config: &ImageConfig,
        ingest: &Mutex<Ingest>,
    ) -> Result<(), PullError> {
        let mut waiting: VecDeque<Layer> = VecDeque::new();
        for (layer, diff_id) in manifest.layers.iter().zip(&config.diff_ids) {
            self.check_layer(layer)?;
            let Descriptor { digest, media_type, size, .. } = layer.clone();
            if !waiting.iter().any(|other| other.digest == digest && other.diff_id == *diff_id) {
                waiting.push_back(Layer { digest, media_type, size, diff_id: *diff_id });
            }
        }
        self.tracker.begin(waiting.iter().map(|layer| (layer.digest, layer.size)));
        let threads = waiting.len().min(self.repository.session.limits.layers_at_once.max(1));
        let (waiting, failed) = (Mutex::new(waiting), Mutex::new(None));
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(layer) = { lock(&waiting).pop_front() } {
                        if let Err(error) = self.layer(&layer, ingest) {
                            lock(&waiting).clear();
                            let mut failed = lock(&failed);
                            if failed.is_none() {
                                *failed = Some(error);
                                // The others' connections are of no use any more.
                                self.repository.session.cancellation.cancel();
                            }
                        }
                    }
                });
            }
        });
        let failed = lock(&failed).take();
        match failed {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn check_layer(&self, layer: &Descriptor) -> Result<(), PullError> {
        let kind = &layer.media_type;
        if kind.contains(".foreign.") || kind.contains("nondistributable") {
            return Err(PullError::ForeignLayer(layer.digest, kind.chars().take(200).collect()));
        }
        let bytes_max = self.store.limits().blob_bytes_max;
        if layer.size > bytes_max {
            return Err(PullError::TooLarge { what: format!("layer {}", layer.digest), bytes_max });
        }
        Ok(())
    }

    fn layer(&self, layer: &Layer, ingest: &Mutex<Ingest>) -> Result<(), PullError> {
        let session = self.repository.session;
        let turn = self.blobs.take(&layer.digest, &session.cancellation).ok_or(PullError::Stopped)?;
        if self.store.has_blob(&layer.digest)? {
            self.tracker.set(&layer.digest, LayerState::Here);
        } else {
            self.download(layer, ingest)?;
        }
        drop(turn);
        session.check()?;
        self.tracker.set(&layer.digest, LayerState::Unpacking);
        unpack::unpack_into_store(self.store, layer, &silent)?;
        self.tracker.set(&layer.digest, LayerState::Done);
        Ok(())
    }

    /// Damaged content may be the way's fault and not the registry's: it gets a second chance.
    fn download(&self, layer: &Layer, ingest: &Mutex<Ingest>) -> Result<(), PullError> {
        let descriptor = Descriptor::new(&layer.media_type, layer.digest, layer.size);
        let on_bytes = |bytes| self.tracker.set(&layer.digest, LayerState::Downloading { bytes });
        let mut is_second = false;
        loop {
            on_bytes(0);
            let writer = self.repository.download(&descriptor, || begin(ingest), &on_bytes)?;
            let mut ingest = lock(ingest);
            match ingest.finish(writer, Some(&layer.digest)) {
                Ok(_) => return Ok(ingest.publish()?),
                Err(crate::error::StoreError::DigestMismatch { .. }) if !is_second => is_second = true,
                Err(crate::error::StoreError::DigestMismatch { expected, actual }) => {
                    let what = format!("layer {}", layer.digest);
                    return Err(PullError::DigestMismatch { what, expected, actual });
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn parse(&self, digest: &Digest, content: &[u8]) -> Result<Document, PullError> {
        Document::parse(content, self.store.limits()).map_err(|source| self.document(digest, source))
    }

    fn document(&self, digest: &Digest, source: DocumentError) -> PullError {
        let what = format!("{}@{digest}", self.reference.repository());
        PullError::Document { what, source }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
