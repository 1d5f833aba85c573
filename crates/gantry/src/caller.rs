//! Whoever called: with sudo the user behind it, whose files, tools and settings are meant.
//!
//! Root does not follow what somebody else has put into a home directory, so a process of that user does what is to be done
//! there: this same program, with a hidden command, its input on standard input.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use thiserror::Error;

#[derive(Debug, Error)]
pub(crate) enum CallerError {
    #[error("user {0}, who called sudo, has no home directory")]
    NoHome(u32),
    #[error("no home directory is known for this user")]
    NoOwnHome,
    #[error("looking user {user} up: {cause}")]
    Lookup { user: u32, cause: String },
    #[error("running a process of the calling user: {0}")]
    Process(#[from] std::io::Error),
    #[error("{0}")]
    Told(String),
}

#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) home: PathBuf,
    /// User, group and name, when they are not those of this process.
    other: Option<(u32, u32, String)>,
}

impl Caller {
    pub(crate) fn find() -> Result<Self, CallerError> {
        let Some((user, group)) = crate::profile::sudo_user() else {
            let home =
                std::env::home_dir().filter(|home| home.is_absolute()).ok_or(CallerError::NoOwnHome)?;
            return Ok(Self { home, other: None });
        };
        let entry = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(user))
            .map_err(|error| CallerError::Lookup { user, cause: error.to_string() })?
            .filter(|entry| entry.dir.is_absolute())
            .ok_or(CallerError::NoHome(user))?;
        Ok(Self { home: entry.dir, other: Some((user, group, entry.name)) })
    }

    /// A program run as that user, with that user's home.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new(program);
        if let Some((user, group, name)) = &self.other {
            command.uid(*user).gid(*group).env("USER", name).env("LOGNAME", name);
        }
        command.env("HOME", &self.home);
        command
    }

    /// Runs a hidden command of this program as that user; gives its standard output.
    pub(crate) fn run_self(
        &self,
        words: impl IntoIterator<Item = impl AsRef<OsStr>>,
        input: &[u8],
    ) -> Result<Vec<u8>, CallerError> {
        use std::os::unix::process::CommandExt as _;
        let mut child = self
            .command("/proc/self/exe")
            .arg0("gantry")
            .args(words)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut pipe = child.stdin.take().expect("it was asked for");
        // A child that ended early says why on its standard error.
        let _ = pipe.write_all(input);
        drop(pipe);
        let Output { status, stdout, stderr } = child.wait_with_output()?;
        match status.success() {
            true => Ok(stdout),
            false => Err(CallerError::Told(String::from_utf8_lossy(&stderr).trim().to_owned())),
        }
    }
}
