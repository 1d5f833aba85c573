//! Images: found on this machine, unpacked, and kept for as long as their container exists.

use std::path::PathBuf;

use gantry_images::{Digest, ImageConfig, Reference, Store};
use gantry_runtime::StopSignal;

/// An image that containers can be made from.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    pub(super) layers: Vec<PathBuf>,
    pub(super) config: ImageConfig,
    pub(super) manifest: Digest,
}

/// Finds and unpacks an image, held by a container until `Store::release`. The error is a sentence for the user.
pub(super) fn prepare(store: &Store, name: &str, holder: &str) -> Result<Prepared, String> {
    let digest = match store.resolve(name) {
        Ok(Some(digest)) => digest,
        Ok(None) => return Err(not_found(name)),
        Err(error) => return Err(error.to_string()),
    };
    let prepare = || {
        // Before it is unpacked, so that nobody prunes it meanwhile.
        store.hold(holder, &digest)?;
        let layers = store.prepare(&digest)?;
        let image = store.image(&digest)?;
        Ok(Prepared { layers, config: image.config, manifest: image.manifest_digest })
    };
    prepare().map_err(|error: gantry_images::StoreError| error.to_string())
}

fn not_found(name: &str) -> String {
    let name = Reference::parse(name).map_or_else(|_| name.to_owned(), |reference| reference.familiar());
    format!(
        "image {name} not found on this machine: load it with `gantry image load` or build it with `gantry image build`"
    )
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
