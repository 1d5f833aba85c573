//! Which names of the store came from a registry, so that nobody asks one for what was built or loaded here.
//!
//! `pulled.json` has the digest that each pull ended with. A name that leads elsewhere now was given another image since
//! then, by `gantry image load`, `build`, `tag` or a push: it is this machine's own.

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::document::{parse_json, to_json};
use crate::error::StoreError;
use crate::files::{self, TempDir};
use crate::lock::{FileLock, Mode};
use crate::reference::Reference;
use crate::store::Store;

const FILE: &str = "pulled.json";

/// Where an image that is here came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Built, loaded, tagged or pushed here.
    Here,
    /// Pulled from a registry under this name.
    Registry,
}

impl Store {
    /// What a name leads to, and where that came from; `None` if the store does not have it.
    pub fn resolve_with_origin(&self, reference: &Reference) -> Result<Option<(Digest, Origin)>, StoreError> {
        let Some(digest) = self.resolve(reference.given())? else { return Ok(None) };
        let pulled = read(self)?;
        let origin = match pulled.get(&reference.to_string()) {
            Some(known) if *known == digest => Origin::Registry,
            _ => Origin::Here,
        };
        Ok(Some((digest, origin)))
    }
}

pub(super) fn remember(store: &Store, reference: &Reference, digest: &Digest) -> Result<(), StoreError> {
    let name = reference.to_string();
    if read(store)?.get(&name) == Some(digest) {
        return Ok(());
    }
    let lock = store.directory().join("locks/pulled");
    let _lock = FileLock::take(&lock, Mode::Exclusive, store.limits().index_wait)?;
    let mut pulled = read(store)?;
    let references = store.references()?;
    // Names that are gone would only fill the file.
    pulled.retain(|name, _| references.0.contains_key(name));
    pulled.insert(name, *digest);
    let _in_use = store.in_use()?;
    let temporary = TempDir::create(&store.temporary_path())?;
    files::replace_file(&temporary, &store.directory().join(FILE), &to_json(&pulled))
}

/// A file that cannot be read says nothing: what it would have told is asked of the registry again.
fn read(store: &Store) -> Result<BTreeMap<String, Digest>, StoreError> {
    let path = store.directory().join(FILE);
    let content = files::read_bounded(&path, store.limits().index_bytes_max)?;
    Ok(content.and_then(|content| parse_json("list of pulled images", &content).ok()).unwrap_or_default())
}
