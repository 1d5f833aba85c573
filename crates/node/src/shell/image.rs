//! Images: found on this machine or pulled to it, unpacked, and kept for as long as their container exists.

use std::path::PathBuf;
use std::time::Duration;

use gantry_images::{Digest, ImageConfig, PullError, Puller, Reference, Store};
use gantry_runtime::StopSignal;
use tokio::sync::watch;

use super::blocking;
use super::pull::{self, ImagePullBehavior, Source};

/// An image that containers can be made from.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    pub(super) layers: Vec<PathBuf>,
    pub(super) config: ImageConfig,
    pub(super) manifest: Digest,
}

/// The images of this machine, and the way to those of others.
#[derive(Debug, Clone)]
pub(super) struct ImageSource {
    pub(super) store: Store,
    pub(super) puller: Puller,
    pub(super) behavior: ImagePullBehavior,
    /// Before a pull is tried again.
    pub(super) pause_min: Duration,
}

/// What was found of an image.
#[derive(Debug)]
pub(super) enum Found {
    Ready(Box<Prepared>),
    Elsewhere { reference: Reference, instead: Option<Digest> },
}

impl ImageSource {
    /// Finds an image, and prepares it if it need not be pulled. Blocks. The error is a sentence for the user.
    pub(super) fn find(&self, name: &str, holder: &str) -> Result<Found, String> {
        let words = |error: gantry_images::StoreError| error.to_string();
        let reference = match name.parse::<Digest>() {
            Ok(digest) => match self.store.resolve(name).map_err(words)? {
                Some(_) => return self.prepare(&digest, holder).map(|found| Found::Ready(Box::new(found))),
                None => return Err(format!("no image {name} on this machine")),
            },
            Err(_) => Reference::parse(name).map_err(|error| error.to_string())?,
        };
        let is_elsewhere = self.puller.is_elsewhere(&reference).map_err(|error| error.to_string())?;
        let here = self.store.resolve_with_origin(&reference).map_err(words)?;
        match pull::source(self.behavior, &reference, is_elsewhere, here) {
            Source::Here(digest) => self.prepare(&digest, holder).map(|found| Found::Ready(Box::new(found))),
            Source::Registry { .. } if !is_elsewhere => {
                let error = PullError::OwnRegistry(reference.to_string());
                Err(pull::words(&error, &reference, 1))
            }
            Source::Registry { instead } => Ok(Found::Elsewhere { reference, instead }),
        }
    }

    /// Pulls an image and prepares it. `stop`: becomes true when nobody needs it any more.
    pub(super) async fn fetch(
        &self,
        reference: Reference,
        instead: Option<Digest>,
        holder: String,
        stop: watch::Receiver<bool>,
    ) -> Result<Prepared, String> {
        let digest = match pull::pull(&self.puller, &reference, self.pause_min, stop).await {
            Ok(digest) => digest,
            Err(error) => match instead {
                Some(digest) => {
                    tracing::warn!(image = %reference, "the image of an earlier pull is used: {error}");
                    digest
                }
                None => return Err(error),
            },
        };
        let source = self.clone();
        blocking(move || source.prepare(&digest, &holder)).await
    }

    /// Unpacks an image, held by a container until `Store::release`.
    fn prepare(&self, digest: &Digest, holder: &str) -> Result<Prepared, String> {
        let prepare = || {
            // Before it is unpacked, so that nobody prunes it meanwhile.
            self.store.hold(holder, digest)?;
            let layers = self.store.prepare(digest)?;
            let image = self.store.image(digest)?;
            Ok(Prepared { layers, config: image.config, manifest: image.manifest_digest })
        };
        prepare().map_err(|error: gantry_images::StoreError| error.to_string())
    }
}

/// The signal that asks a container of this image to end.
pub(super) fn stop_signal(config: &ImageConfig) -> StopSignal {
    let Some(text) = config.stop_signal.as_deref().filter(|text| !text.is_empty()) else {
        return StopSignal::TERM;
    };
    StopSignal::parse(text).unwrap_or_else(|error| {
        tracing::warn!("the image's STOPSIGNAL: {error}; SIGTERM is sent instead");
        StopSignal::TERM
    })
}
