//! What a client needs to reach a server: endpoint, region, access key. Kept for the user who started the server with sudo,
//! because the state directory is root's alone.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::caller::{Caller, CallerError};
use crate::config::{ConfigError, ServerConfig, write_private};
use crate::credentials::{Credentials, CredentialsError};
use crate::layout::Layout;

#[derive(Debug, Error)]
pub enum ProfileError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error("{action} {path}: {source}")]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{path} does not hold a profile: {source}")]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error("no server has been started for this user")]
    None,
    #[error("writing the profile as user {user}: {cause}")]
    AsUser { user: u32, cause: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    pub endpoint: String,
    pub region: String,
    #[serde(flatten)]
    pub credentials: Credentials,
}

impl Profile {
    /// The profile of the server that was started last with this state directory.
    pub fn of_state_dir(layout: &Layout) -> Result<Self, ProfileError> {
        let config = ServerConfig::read(layout)?;
        let credentials = Credentials::load(&layout.credentials())?;
        Ok(Self { endpoint: config.endpoint(), region: config.region, credentials })
    }

    /// That of the named state directory; else that of one's own; else the one that a server started with sudo left here.
    pub fn find(named: Option<PathBuf>) -> Result<Self, ProfileError> {
        let is_named = named.is_some();
        let layout = Layout::new(crate::config::state_dir(named)?);
        match Self::of_state_dir(&layout) {
            Err(ProfileError::Config(ConfigError::File { source, .. }))
                if !is_named && source.kind() == io::ErrorKind::NotFound =>
            {
                let home = std::env::home_dir().ok_or(ProfileError::None)?;
                Self::read(&path_in(&home))
            }
            other => other,
        }
    }

    fn read(path: &Path) -> Result<Self, ProfileError> {
        let text = fs::read(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ProfileError::None,
            _ => ProfileError::File { action: "reading", path: path.to_owned(), source },
        })?;
        serde_json::from_slice(&text)
            .map_err(|source| ProfileError::Malformed { path: path.to_owned(), source })
    }

    /// Writes the profile, mode 0600, into the home of the user that this process runs as.
    pub fn write(&self, home: &Path) -> Result<(), ProfileError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = path_in(home);
        let failed = |source| ProfileError::File { action: "writing", path: path.clone(), source };
        let directory = path.parent().unwrap_or(home);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        let text = serde_json::to_vec_pretty(self).expect("strings are representable as JSON");
        write_private(&path, &text).map_err(failed)
    }

    /// Writes the profile for the user who called sudo, if one did. A process of that user does it: root does not follow what
    /// somebody else has put into a home directory.
    pub fn write_for_sudo_user(&self) -> Result<(), ProfileError> {
        let Some((user, _)) = sudo_user() else { return Ok(()) };
        let failed = |error: CallerError| ProfileError::AsUser { user, cause: error.to_string() };
        let caller = Caller::find().map_err(failed)?;
        let text = serde_json::to_vec(self).expect("strings are representable as JSON");
        let words = [OsStr::new("write-profile"), OsStr::new("--home"), caller.home.as_os_str()];
        caller.run_self(words, &text).map(|_| ()).map_err(failed)
    }
}

/// The user and group who called sudo, when this is root.
pub(crate) fn sudo_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    let user = number("SUDO_UID").filter(|user| *user != 0)?;
    Some((user, number("SUDO_GID")?))
}

fn path_in(home: &Path) -> PathBuf {
    home.join(".config/gantry/profile.json")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_profile_is_private_and_read_back() {
        let home = tempfile::tempdir().unwrap();
        let profile = Profile {
            endpoint: "http://127.0.0.1:4566".to_owned(),
            region: "us-east-1".to_owned(),
            credentials: Credentials {
                access_key_id: "AKIAAAAAAAAAAAAAAAAA".to_owned(),
                secret_access_key: "s".repeat(40),
            },
        };
        profile.write(home.path()).unwrap();
        let path = path_in(home.path());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Profile::read(&path).unwrap(), profile);
        assert!(matches!(Profile::read(&home.path().join("none")), Err(ProfileError::None)));
    }
}
