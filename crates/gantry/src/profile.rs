//! What a client needs to reach a server: endpoint, region, access key. Kept for the user who started the server with sudo,
//! because the state directory is root's alone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use thiserror::Error;

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
    #[error("user {0}, who called sudo, has no home directory")]
    NoHome(u32),
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
        use std::io::Write as _;
        use std::os::unix::process::CommandExt as _;
        let Some((user, group)) = sudo_user() else { return Ok(()) };
        let failed = |cause: String| ProfileError::AsUser { user, cause };
        let home = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(user))
            .map_err(|error| failed(error.to_string()))?
            .map(|entry| entry.dir)
            .filter(|home| home.is_absolute())
            .ok_or(ProfileError::NoHome(user))?;
        let mut child = Command::new("/proc/self/exe")
            .arg0("gantry")
            .arg("write-profile")
            .arg("--home")
            .arg(&home)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .current_dir("/")
            .uid(user)
            .gid(group)
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let text = serde_json::to_vec(self).expect("strings are representable as JSON");
        let mut input = child.stdin.take().expect("it was asked for");
        // A child that ended early says why on its standard error.
        let _ = input.write_all(&text);
        drop(input);
        let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            Ok(())
        } else {
            Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
        }
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
