//! The access key, made at first start from the kernel's randomness.

use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::write_private;

#[derive(Debug, Error)]
pub enum CredentialsError {
    #[error("{action} the credentials {path}: {source}")]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{path} does not hold credentials ({source}); move it away, and the next start makes new ones")]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error("the kernel gave no randomness for an access key: {0}")]
    Randomness(getrandom::Error),
}

/// An access key of the account, in AWS's format.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
}

/// The secret never reaches a log by accident.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Those in the file; made when there is none. Two starts at once end up with the same: the lock sees to that.
    pub fn load_or_make(path: &Path) -> Result<Self, CredentialsError> {
        match Self::load(path) {
            Err(CredentialsError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let made = Self::make()?;
                let text = serde_json::to_vec_pretty(&made).expect("two strings are representable as JSON");
                write_private(path, &text).map_err(|source| CredentialsError::File {
                    action: "writing",
                    path: path.to_owned(),
                    source,
                })?;
                Ok(made)
            }
            other => other,
        }
    }

    pub fn load(path: &Path) -> Result<Self, CredentialsError> {
        let text = fs::read(path).map_err(|source| CredentialsError::File {
            action: "reading",
            path: path.to_owned(),
            source,
        })?;
        serde_json::from_slice(&text)
            .map_err(|source| CredentialsError::Malformed { path: path.to_owned(), source })
    }

    fn make() -> Result<Self, CredentialsError> {
        const KEY: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        const SECRET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        Ok(Self {
            access_key_id: format!("AKIA{}", random_text::<16>(KEY)?),
            secret_access_key: random_text::<40>(SECRET)?,
        })
    }
}

/// `N` characters of an alphabet whose length is a power of two, so that each is as likely as the others.
fn random_text<const N: usize>(alphabet: &[u8]) -> Result<String, CredentialsError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(CredentialsError::Randomness)?;
    Ok(bytes.iter().map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()])).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn keys_have_the_form_of_aws_and_last() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials.json");
        let made = Credentials::load_or_make(&path).unwrap();
        assert_eq!(made.access_key_id.len(), 20);
        assert!(made.access_key_id.starts_with("AKIA"));
        assert_eq!(made.secret_access_key.len(), 40);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Credentials::load_or_make(&path).unwrap(), made);
        let other = Credentials::load_or_make(&directory.path().join("other.json")).unwrap();
        assert_ne!(other, made);
        assert!(!format!("{made:?}").contains(&made.secret_access_key));
    }

    #[test]
    fn a_broken_file_is_named_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials.json");
        fs::write(&path, "{").unwrap();
        let error = Credentials::load_or_make(&path).unwrap_err().to_string();
        assert!(error.contains("does not hold credentials"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "{");
    }
}
