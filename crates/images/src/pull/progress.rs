//! How far a pull is.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::digest::Digest;

/// One layer of an image that is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerProgress {
    pub layer: Digest,
    /// As the registry stores it.
    pub size: u64,
    pub state: LayerState,
    /// Bytes of it that this pull brought; 0 for one that was here.
    pub downloaded_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerState {
    Waiting,
    Downloading {
        bytes: u64,
    },
    /// It was here before.
    Here,
    Unpacking,
    Done,
}

/// What a pull's threads tell, and others look at.
#[derive(Debug, Default)]
pub(super) struct Tracker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    layers: Vec<LayerProgress>,
    /// Downloaded, whatever came of it.
    bytes: u64,
}

impl Tracker {
    /// The layers are known; a second place that is asked begins anew.
    pub(super) fn begin(&self, layers: impl Iterator<Item = (Digest, u64)>) {
        let layers = layers.map(|(layer, size)| LayerProgress {
            layer,
            size,
            state: LayerState::Waiting,
            downloaded_bytes: 0,
        });
        self.lock().layers = layers.collect();
    }

    pub(super) fn set(&self, layer: &Digest, state: LayerState) {
        let mut all = self.lock();
        let State { layers, bytes } = &mut *all;
        for progress in layers.iter_mut().filter(|progress| progress.layer == *layer) {
            let bytes_of = |state| match state {
                LayerState::Downloading { bytes } => bytes,
                _ => 0,
            };
            *bytes += bytes_of(state).saturating_sub(bytes_of(progress.state));
            progress.downloaded_bytes = progress.downloaded_bytes.max(bytes_of(state));
            progress.state = state;
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    pub(super) fn layers(&self) -> Vec<LayerProgress> {
        self.lock().layers.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
