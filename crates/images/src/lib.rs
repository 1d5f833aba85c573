//! Images: blobs by digest, loaded from archives, built from Dockerfiles, unpacked for overlayfs, found by name.
//!
//! Flow: `load` and `build` write blobs through an [`Ingest`] and name the manifest; `resolve` leads from a name to a
//! digest, `image` to the configuration and the layers, `prepare` to directories that overlayfs stacks. A
//! [`Puller`] brings in what registries hold through the same [`Ingest`]; nothing else here touches the network.
//!
//! The directory of a [`Store`] is an OCI image layout with a few things more:
//! ```text
//! index.json, oci-layout, blobs/sha256/<hex>   the layout
//! layers/<hex of diff ID>/                     unpacked layers, shared by all images that have them
//! holds/<holder>                               images that containers use
//! uploads/<id>/, fresh/<hex>                   blobs on their way to the registry; those that wait for their manifest
//! registry.json                                which names are of this machine's own registry
//! pulled.json                                  which names came from registries elsewhere
//! tmp/, locks/                                 what is under way; locks between processes
//! ```
//!
//! Invariants:
//! - A blob or layer has its name only when it is whole, durable and proven by its digest. Everything is written in
//!   `tmp` and renamed. After `kill -9` the next `open` or `prune` removes what was left there.
//! - Several processes use one store at once. Whoever brings content in or unpacks holds `locks/store` shared, `prune`
//!   holds it alone; `locks/index` guards changes of names, `locks/layer-*` one layer each.
//! - What comes from outside (archives, manifests, configurations, layers, Dockerfiles, build contexts) is hostile: it
//!   is bounded by [`Limits`], it is never trusted to name a path outside its own root, and it never panics anything.
//!
//! Everything here blocks; asynchronous callers use a thread for it.

mod blobs;
mod build;
mod compression;
mod config;
mod digest;
mod document;
mod error;
mod files;
mod holds;
mod ingest;
mod limits;
mod load;
mod lock;
mod own;
mod progress;
mod prune;
mod pull;
mod reference;
mod references;
pub mod registry;
mod save;
mod store;
mod tar;
mod unpack;

pub use blobs::BlobWriter;
pub use build::{BuildError, BuildOptions, Built};
pub use config::{ExposedPort, Healthcheck, ImageConfig};
pub use digest::{Digest, DigestError};
pub use document::{Descriptor, Document, DocumentError, Index, Manifest, Platform, media_type};
pub use error::{Attempt, StoreError};
pub use ingest::Ingest;
pub use limits::Limits;
pub use load::{LoadError, Loaded};
pub use own::{OwnRegistry, ecr_region};
pub use progress::{OnProgress, Progress, silent};
pub use prune::Pruned;
pub use pull::{
    LayerProgress, LayerState, Origin, PullError, PullLimits, PullOutcome, PullSettings, Pulled, Puller,
    Registries, RegistriesError, Ticket, Unreachable,
};
pub use reference::{Reference, ReferenceError};
pub use save::SaveError;
pub use store::{Image, Layer, Listed, Store};
pub use unpack::{LayerError, Refusal};
