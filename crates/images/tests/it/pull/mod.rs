//! Pulling from registries that behave and from those that do not.

mod flights;
mod images;
mod places;
mod server;
mod tokens;
mod troubles;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gantry_images::{Digest, PullError, PullLimits, PullOutcome, PullSettings, Puller, Reference, silent};
use serde_json::Value;

use crate::TestStore;
use crate::archive::{Layout, Tar, gzip};

const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A store, and a puller whose patience is short.
struct Machine {
    store: TestStore,
    puller: Puller,
}

impl Machine {
    fn new() -> Self {
        Self::with("", |_| {})
    }

    /// `registries`: what stands in registries.toml.
    fn with(registries: &str, change: impl Fn(&mut PullLimits)) -> Self {
        let store = TestStore::new();
        let file: PathBuf = store.directory.path().join("registries.toml");
        std::fs::write(&file, registries).unwrap();
        let mut limits = PullLimits {
            pause_min: Duration::from_millis(1),
            pause_max: Duration::from_millis(10),
            ..PullLimits::default()
        };
        change(&mut limits);
        let puller = Puller::new(store.store.clone(), PullSettings { registries_file: Some(file), limits });
        Self { store, puller }
    }

    fn pull(&self, name: &str) -> PullOutcome {
        self.puller.pull(&Reference::parse(name).unwrap(), &silent)
    }

    fn error(&self, name: &str) -> Arc<PullError> {
        let error = self.pull(name).expect_err(name);
        assert!(self.left().is_empty(), "left in the store: {:?}", self.left());
        assert!(!error.next_step().is_empty());
        error
    }

    /// What is under way in the store.
    fn left(&self) -> Vec<String> {
        self.store.content().into_iter().filter(|name| name.starts_with("tmp/")).collect()
    }

    /// A file of an image's topmost layers, as its containers would find it.
    fn file(&self, name: &str, path: &str) -> Option<Vec<u8>> {
        let digest = self.store.resolve(name).unwrap().expect(name);
        let layers = self.store.prepare(&digest).unwrap();
        layers.iter().find_map(|layer| std::fs::read(layer.join(path)).ok())
    }
}

/// A layer with one file, compressed, and its diff ID.
fn layer(path: &str, content: &[u8]) -> (&'static str, Vec<u8>, Digest) {
    let tar = Tar::new().file(path, content).finish();
    (GZIP, gzip(&tar), Digest::of(&tar))
}

/// Content that compression does not make small.
fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..bytes).map(|_| next()).collect()
}

/// An image of one layer with one file.
fn simple(content: &[u8]) -> (Layout, Value, Digest) {
    let mut layout = Layout::default();
    let layer = layer("f", content);
    let digest = Digest::of(&layer.1);
    let manifest = layout.image(&[layer]);
    (layout, manifest, digest)
}
