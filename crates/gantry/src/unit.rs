//! Gantry as a service of systemd: the unit, and what installing it takes.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use thiserror::Error;

pub(crate) const NAME: &str = "gantry.service";
/// Where an administrator's own programs and units belong.
pub(crate) const PROGRAM: &str = "/usr/local/bin/gantry";
pub(crate) const UNIT: &str = "/etc/systemd/system/gantry.service";
/// The exit code of a supervisor that left its work to the next one, while a service manager watches it.
pub(crate) const HANDED_OVER: u8 = 75;

#[derive(Debug, Error)]
pub(crate) enum UnitError {
    #[error("this machine is not run by systemd")]
    NoSystemd,
    #[error("{0} is not UTF-8, which a unit has to be")]
    NoText(String),
    #[error("'{0}' is relative to this directory, in which the service does not start")]
    Relative(PathBuf),
    #[error("{action} {path}: {source}")]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("running `systemctl {words}`: {cause}")]
    Systemctl { words: String, cause: String },
}

/// The unit of a server with these arguments.
pub(crate) fn text(program: &Path, arguments: &[OsString]) -> Result<String, UnitError> {
    let mut command = Vec::new();
    let words = [program.as_os_str().to_owned(), "server".into()];
    for word in words.iter().chain(arguments) {
        let word = word.to_str().ok_or_else(|| UnitError::NoText(word.to_string_lossy().into_owned()))?;
        command.push(quoted(word));
    }
    Ok(format!(
        "[Unit]
Description=Gantry: ECS services, load balancers and deployments on this machine
Documentation=man:gantry(1)
Wants=network-online.target
After=network-online.target local-fs.target

[Service]
Type=notify
ExecStart={command}
# The supervisor leaves; load balancer and containers go on, and the next supervisor, of the program that stands there then,
# takes over from them: an upgrade without a failed request.
ExecReload=/bin/kill -USR2 $MAINPID
RestartForceExitStatus={HANDED_OVER}
SuccessExitStatus={HANDED_OVER}
Restart=on-failure
RestartSec=100ms
# Containers and their shims outlive the server: only the supervisor is told to stop, and stops the rest in order.
KillMode=process
# Keeps the controllers of control groups switched on, which tasks' limits need.
Delegate=yes
TimeoutStartSec=60s
TimeoutStopSec=90s
LimitNOFILE=1048576
LimitNPROC=infinity
TasksMax=infinity
OOMScoreAdjust=-500

[Install]
WantedBy=multi-user.target
",
        command = command.join(" ")
    ))
}

/// As systemd reads a word of a command line.
fn quoted(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@+%$".contains(&byte);
    match !escaped.is_empty() && escaped.bytes().all(is_plain) {
        true => escaped,
        false => format!("\"{}\"", escaped.replace('\n', "\\n")),
    }
}

pub(crate) fn require_systemd() -> Result<(), UnitError> {
    match Path::new("/run/systemd/system").is_dir() {
        true => Ok(()),
        false => Err(UnitError::NoSystemd),
    }
}

/// Puts a copy of this program where users cannot change it. Gives `None` when this is that copy.
pub(crate) fn place_program(place: &Path) -> Result<Option<u64>, UnitError> {
    use std::os::unix::fs::PermissionsExt as _;
    let own = Path::new("/proc/self/exe");
    let failed = |action, path: &Path, source| UnitError::File { action, path: path.to_owned(), source };
    let running = own.canonicalize().map_err(|source| failed("finding", own, source))?;
    if place.canonicalize().is_ok_and(|there| there == running) {
        return Ok(None);
    }
    let mut temporary = place.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let bytes = fs::copy(own, &temporary).map_err(|source| failed("writing", &temporary, source))?;
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o755))
        .and_then(|()| fs::File::open(&temporary)?.sync_all())
        // The running server keeps the old file.
        .and_then(|()| fs::rename(&temporary, place))
        .map_err(|source| failed("writing", place, source))?;
    Ok(Some(bytes))
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), UnitError> {
    fs::write(path, text).map_err(|source| UnitError::File {
        action: "writing",
        path: path.to_owned(),
        source,
    })
}

/// False if there was none.
pub(crate) fn remove(path: &Path) -> Result<bool, UnitError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(UnitError::File { action: "removing", path: path.to_owned(), source }),
    }
}

pub(crate) fn systemctl(words: &[&str]) -> Result<(), UnitError> {
    let failed = |cause: String| UnitError::Systemctl { words: words.join(" "), cause };
    let output = Command::new("systemctl").args(words).output().map_err(|error| failed(error.to_string()))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_reach_the_server_as_they_were_given() {
        for (word, expected) in [
            ("--listen", "--listen"),
            ("0.0.0.0:4566", "0.0.0.0:4566"),
            ("/srv/my lab", "\"/srv/my lab\""),
            ("100%", "100%%"),
            ("$HOME", "$$HOME"),
            ("a\"b\\c", "\"a\\\"b\\\\c\""),
            ("", "\"\""),
        ] {
            assert_eq!(quoted(word), expected);
        }
        let unit = text(Path::new(PROGRAM), &["--state-dir".into(), "/srv/my lab".into()]).unwrap();
        assert!(
            unit.contains("\nExecStart=/usr/local/bin/gantry server --state-dir \"/srv/my lab\"\n"),
            "{unit}"
        );
    }

    /// systemd's own opinion, where it is installed.
    #[test]
    fn systemd_takes_the_unit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        // A program that exists: that is looked at too.
        write(&path, &text(Path::new("/bin/true"), &[]).unwrap()).unwrap();
        let verify = Command::new("systemd-analyze").arg("verify").arg("--man=no").arg(&path).output();
        let Ok(output) = verify else {
            // A machine without systemd cannot tell; what is written is then held by its text alone.
            assert!(!Path::new("/run/systemd/system").exists());
            return;
        };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let about_it: Vec<&str> = said.lines().filter(|line| line.contains("gantry")).collect();
        assert!(about_it.is_empty(), "{said}");
    }
}
