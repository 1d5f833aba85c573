//! The last known state on disk, so that a balancer serves before `control` answers.
//!
//! The file holds the messages that bring a new process to where this one is, framed as on the link. It is replaced as a whole.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use gantry_link::ToLb;
use thiserror::Error;

#[derive(Debug, Error)]
pub(crate) enum PersistError {
    #[error("{attempt} {}: {source}", path.display())]
    Io { attempt: &'static str, path: PathBuf, source: io::Error },
    #[error("encoding the state: {0}")]
    Encode(#[from] gantry_link::LinkError),
}

fn file_path(directory: &Path) -> PathBuf {
    directory.join("load-balancers")
}

/// Writes all messages, and gives them their place only when they are safely on disk.
pub(crate) fn save(directory: &Path, messages: &[ToLb]) -> Result<(), PersistError> {
    let failed = |attempt: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| PersistError::Io { attempt, path, source }
    };
    fs::create_dir_all(directory).map_err(failed("making the directory", directory))?;
    let (path, partial) = (file_path(directory), directory.join("load-balancers.partial"));
    let mut bytes = Vec::new();
    for message in messages {
        bytes.extend(gantry_link::encode(message)?);
    }
    let write = || -> io::Result<()> {
        let mut file = File::create(&partial)?;
        file.write_all(&bytes)?;
        file.sync_data()
    };
    write().map_err(failed("writing", &partial))?;
    fs::rename(&partial, &path).map_err(failed("replacing", &path))
}

/// The messages that were saved; none if nothing was, or nothing that can be read. A damaged file is told, not obeyed: half
/// a state would remove what the other half held.
pub(crate) fn load(directory: &Path) -> Vec<ToLb> {
    let path = file_path(directory);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "the last known state cannot be read");
            return Vec::new();
        }
    };
    let messages = decode_all(&bytes);
    if messages.is_none() {
        tracing::warn!(path = %path.display(), "the last known state is damaged; waiting for control");
    }
    messages.unwrap_or_default()
}

fn decode_all(mut bytes: &[u8]) -> Option<Vec<ToLb>> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (body, rest) = rest.split_at_checked(length)?;
        messages.push(gantry_link::decode(body).ok()?);
        bytes = rest;
    }
    Some(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_loaded_and_what_is_damaged_is_not() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(load(directory.path()), []);
        let messages = [ToLb::Heartbeat, ToLb::Synced { load_balancers: vec![], target_groups: vec![] }];
        save(directory.path(), &messages).unwrap();
        assert_eq!(load(directory.path()), messages);
        let path = file_path(directory.path());
        let bytes = fs::read(&path).unwrap();
        for length in 1..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            let loaded = load(directory.path());
            assert!(loaded.is_empty() || loaded == messages[..1], "{length}: {loaded:?}");
        }
    }
}
