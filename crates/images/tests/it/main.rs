//! The image store as its users see it. Everything happens in temporary directories; root is needed, because layers
//! hold owners, device files and trusted attributes.

#![expect(clippy::unwrap_used, reason = "in helpers of tests too, an error ends the test and says where")]

mod archive;
mod build;
mod evil;
mod interop;
mod load;
mod machine;
mod pull;
mod store;
mod unpack;

use std::path::{Path, PathBuf};

use gantry_images::{Digest, Store};

/// A store in a directory that vanishes with it.
struct TestStore {
    store: Store,
    directory: tempfile::TempDir,
}

impl std::ops::Deref for TestStore {
    type Target = Store;
    fn deref(&self) -> &Store {
        &self.store
    }
}

impl TestStore {
    fn new() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "these tests need root: layers hold owners and device files"
        );
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("store")).unwrap();
        Self { store, directory }
    }
    fn path(&self) -> PathBuf {
        self.directory.path().join("store")
    }
    /// The only lower directory of an image of one layer.
    fn only_layer(&self, digest: &Digest) -> PathBuf {
        let layers = self.prepare(digest).unwrap();
        assert_eq!(layers.len(), 1, "{layers:?}");
        layers[0].clone()
    }
    /// Everything in the store that takes room: blobs, layers, and what is under way.
    fn content(&self) -> Vec<String> {
        content(&self.path())
    }
}

fn content(store: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for directory in ["blobs/sha256", "layers", "tmp"] {
        for entry in std::fs::read_dir(store.join(directory)).unwrap() {
            found.push(format!("{directory}/{}", entry.unwrap().file_name().to_string_lossy()));
        }
    }
    found.sort();
    found
}
