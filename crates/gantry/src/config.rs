//! The server's configuration: raw arguments in, validated values out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use gantry_images::{PullLimits, Registries, RegistriesError};
use gantry_node::shell::ImagePullBehavior;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::layout::{Layout, SOCKET_PATH_BYTES_MAX};

/// The defaults of `gantry server`, in one place.
pub mod defaults {
    pub const LISTEN: &str = "127.0.0.1:4566";
    pub const LB_ADDRESS: &str = "127.0.0.1";
    pub const LB_RANGE: &str = "127.64.0.0/10";
    pub const REGION: &str = "us-east-1";
    pub const LOG_FILTER: &str = "info";
    /// The state directory of root.
    pub const STATE_DIR_ROOT: &str = "/var/lib/gantry";
}

#[derive(Debug, Error)]
pub enum ConfigError {
    #[error(
        "--accept-any-credentials lets everybody who reaches {listen} do everything, so it is only allowed on a loopback \
         address; listen on 127.0.0.1, or leave the flag out"
    )]
    AnyCredentialsBeyondLoopback { listen: SocketAddr },
    #[error("'{0}' is no region; a region is written like us-east-1")]
    Region(String),
    #[error("'{0}' is no range of IPv4 addresses; write one like 127.64.0.0/10")]
    Range(String),
    #[error("making the state directory {path}: {source}")]
    MakeStateDir { path: PathBuf, source: io::Error },
    #[error(
        "the state directory {path} belongs to user {owner}; choose another one with --state-dir, or start as its owner"
    )]
    Foreign { path: PathBuf, owner: u32 },
    #[error(
        "the state directory {path} is so long that the socket {socket} in it is longer than the kernel's limit of {max} \
         bytes; choose a shorter one with --state-dir",
        max = SOCKET_PATH_BYTES_MAX
    )]
    TooLong { path: PathBuf, socket: PathBuf },
    #[error(transparent)]
    Registries(#[from] RegistriesError),
    #[error("no home directory is known for this user; name the state directory with --state-dir")]
    NoHome,
    #[error("{action} {path}: {source}")]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{path} does not hold a configuration: {source}")]
    Malformed { path: PathBuf, source: serde_json::Error },
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people; coloured on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// What was asked for, as it came from flags and the environment.
#[derive(Debug, Clone)]
pub struct RawServerConfig {
    pub state_dir: Option<PathBuf>,
    pub listen: SocketAddr,
    pub lb_address: IpAddr,
    pub lb_range: String,
    pub region: String,
    pub accept_any_credentials: bool,
    pub image_pull_behavior: ImagePullBehavior,
    /// `None`: `registries.toml` in the state directory, if there is one.
    pub registry_config: Option<PathBuf>,
    pub log_format: LogFormat,
    pub log_filter: String,
}

/// A server's configuration. The supervisor writes it to the state directory; its children and `gantry env` read it there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerConfig {
    pub state_dir: PathBuf,
    /// Tells apart what several servers on one machine make outside their state directories.
    pub instance: String,
    /// Where the AWS APIs are answered.
    pub listen: SocketAddr,
    /// The address that every internet-facing load balancer shares, told apart by Host.
    pub lb_address: IpAddr,
    /// Each internet-facing load balancer has an address of its own from here.
    pub lb_range: AddressRange,
    pub region: String,
    pub accept_any_credentials: bool,
    #[serde(default)]
    pub image_pull_behavior: ImagePullBehavior,
    /// Mirrors, credentials and certificates of registries.
    #[serde(default)]
    pub registry_config: Option<PathBuf>,
    pub log_format: LogFormat,
    pub log_filter: String,
}

impl ServerConfig {
    /// Validates, and makes the state directory with all that is in it.
    pub fn prepare(raw: RawServerConfig) -> Result<Self, ConfigError> {
        if raw.accept_any_credentials && !raw.listen.ip().is_loopback() {
            return Err(ConfigError::AnyCredentialsBeyondLoopback { listen: raw.listen });
        }
        if !is_region(&raw.region) {
            return Err(ConfigError::Region(raw.region));
        }
        let lb_range = AddressRange::parse(&raw.lb_range).ok_or(ConfigError::Range(raw.lb_range))?;
        let layout = make_state_dir(&state_dir(raw.state_dir)?)?;
        let registry_config = registry_config(raw.registry_config, &layout)?;
        Ok(Self {
            instance: instance_name(layout.root()),
            state_dir: layout.root().to_owned(),
            listen: raw.listen,
            lb_address: raw.lb_address,
            lb_range,
            region: raw.region,
            accept_any_credentials: raw.accept_any_credentials,
            image_pull_behavior: raw.image_pull_behavior,
            registry_config: Some(registry_config),
            log_format: raw.log_format,
            log_filter: raw.log_filter,
        })
    }

    pub fn layout(&self) -> Layout {
        Layout::new(self.state_dir.clone())
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.reachable())
    }

    /// Where the AWS APIs are reached from this machine.
    pub fn reachable(&self) -> SocketAddr {
        let ip = match self.listen.ip() {
            // A server that listens on every address is reached from here by the loopback one.
            ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            ip => ip,
        };
        SocketAddr::new(ip, self.listen.port())
    }

    /// Keeps the configuration for the children: written whole or not at all.
    pub fn write(&self) -> Result<(), ConfigError> {
        let path = self.layout().server_config();
        let text = serde_json::to_vec_pretty(self).expect("a configuration is representable as JSON");
        write_private(&path, &text).map_err(|source| ConfigError::File { action: "writing", path, source })
    }

    /// The configuration of the server that was started last with this state directory.
    pub fn read(layout: &Layout) -> Result<Self, ConfigError> {
        let path = layout.server_config();
        let text = fs::read(&path).map_err(|source| ConfigError::File {
            action: "reading",
            path: path.clone(),
            source,
        })?;
        serde_json::from_slice(&text).map_err(|source| ConfigError::Malformed { path, source })
    }
}

/// A range of IPv4 addresses in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressRange {
    pub first: Ipv4Addr,
    pub prefix: u8,
}

impl AddressRange {
    /// `None` unless it is CIDR notation with a prefix of 8 to 30 bits; bits behind the prefix are cleared.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: Ipv4Addr = address.parse().ok()?;
        let prefix: u8 = prefix.parse().ok()?;
        if !(8..=30).contains(&prefix) {
            return None;
        }
        let mask = u32::MAX << (32 - u32::from(prefix));
        Some(Self { first: Ipv4Addr::from(u32::from(address) & mask), prefix })
    }
}

impl TryFrom<String> for AddressRange {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or(text)
    }
}
impl From<AddressRange> for String {
    fn from(range: AddressRange) -> Self {
        range.to_string()
    }
}
impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

/// The state directory that was named, else root's, else the user's.
pub fn state_dir(named: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
    if let Some(path) = named {
        return Ok(path);
    }
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from(defaults::STATE_DIR_ROOT));
    }
    let base = match std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()) {
        Some(base) => base,
        None => std::env::home_dir().ok_or(ConfigError::NoHome)?.join(".local/state"),
    };
    Ok(base.join("gantry"))
}

/// The file of registries, which need not exist unless it was named. One that cannot be read is told now, and not by the
/// first pull.
pub fn registry_config(named: Option<PathBuf>, layout: &Layout) -> Result<PathBuf, ConfigError> {
    let is_named = named.is_some();
    let path = named.unwrap_or_else(|| layout.registries());
    let path = std::path::absolute(&path).unwrap_or(path);
    if is_named || path.exists() {
        Registries::read(&path, PullLimits::default().file_bytes_max)?;
    }
    Ok(path)
}

/// Eight hexadecimal digits that belong to this state directory and, in practice, to no other one.
pub fn instance_name(state_dir: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let digest = Sha256::digest(state_dir.as_os_str().as_bytes());
    digest[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The same for the names of links, which are short.
pub fn network_instance(instance: &str) -> gantry_network::Instance {
    gantry_network::Instance::new(&instance[..6])
        .expect("an instance's name begins with six hexadecimal digits")
}

/// Writes a file of mode 0600 whole or not at all.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    // A file that a crash left behind may have another mode: make it anew.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    if let Some(directory) = path.parent() {
        fs::File::open(directory)?.sync_all()?;
    }
    Ok(())
}

fn make_state_dir(path: &Path) -> Result<Layout, ConfigError> {
    let failed = |source| ConfigError::MakeStateDir { path: path.to_owned(), source };
    make_private_directory(path).map_err(failed)?;
    let root = path.canonicalize().map_err(failed)?;
    let metadata = fs::metadata(&root).map_err(failed)?;
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user {
        return Err(ConfigError::Foreign { path: root, owner: metadata.uid() });
    }
    fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).map_err(failed)?;
    let layout = Layout::new(root);
    for socket in layout.sockets() {
        if socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            return Err(ConfigError::TooLong { path: path.to_owned(), socket });
        }
    }
    for directory in layout.directories() {
        make_private_directory(&directory)
            .map_err(|source| ConfigError::MakeStateDir { path: directory, source })?;
    }
    Ok(layout)
}

pub(crate) fn make_private_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() >= 3
        && text.len() <= 32
        && parts[..parts.len() - 1]
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase()))
        && parts[parts.len() - 1].parse::<u8>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(state_dir: &Path) -> RawServerConfig {
        RawServerConfig {
            state_dir: Some(state_dir.to_owned()),
            listen: defaults::LISTEN.parse().unwrap(),
            lb_address: defaults::LB_ADDRESS.parse().unwrap(),
            lb_range: defaults::LB_RANGE.to_owned(),
            region: defaults::REGION.to_owned(),
            accept_any_credentials: false,
            image_pull_behavior: ImagePullBehavior::default(),
            registry_config: None,
            log_format: LogFormat::Text,
            log_filter: defaults::LOG_FILTER.to_owned(),
        }
    }

    #[test]
    fn the_state_directory_is_private_and_its_name_is_its_own() {
        let parent = tempfile::tempdir().unwrap();
        let config = ServerConfig::prepare(raw(&parent.path().join("a/b"))).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for directory in config.layout().directories() {
            assert_eq!(mode(&directory), 0o700, "{}", directory.display());
        }
        let again = ServerConfig::prepare(raw(&parent.path().join("a/../a/b"))).unwrap();
        assert_eq!(again.instance, config.instance, "the same directory under another spelling");
        let other = ServerConfig::prepare(raw(&parent.path().join("c"))).unwrap();
        assert_ne!(other.instance, config.instance);
        assert_eq!(config.instance.len(), 8);
        config.write().unwrap();
        assert_eq!(mode(&config.layout().server_config()), 0o600);
        assert_eq!(ServerConfig::read(&config.layout()).unwrap(), config);
    }

    #[test]
    fn a_file_of_registries_is_checked_at_the_start() {
        let parent = tempfile::tempdir().unwrap();
        let prepare = |named: Option<&Path>| {
            let mut raw = raw(&parent.path().join("state"));
            raw.registry_config = named.map(Path::to_owned);
            ServerConfig::prepare(raw).map_err(|error| error.to_string())
        };
        let own = prepare(None).unwrap().registry_config.expect("a place for it");
        assert!(own.ends_with("state/registries.toml") && !own.exists());
        let error = prepare(Some(&parent.path().join("none"))).unwrap_err();
        assert!(error.contains("could not read"), "{error}");
        fs::write(&own, "[registry.'docker.io']\nmirror = 'x'\n").unwrap();
        let error = prepare(None).unwrap_err();
        assert!(error.contains("unknown field `mirror`"), "{error}");
        fs::write(&own, "[registry.'docker.io']\nmirrors = ['x']\n").unwrap();
        assert_eq!(prepare(Some(&own)).unwrap().registry_config, Some(own));
    }

    #[test]
    fn what_is_open_to_the_network_checks_signatures() {
        let parent = tempfile::tempdir().unwrap();
        let any = |listen: &str| {
            let mut raw = raw(parent.path());
            raw.listen = listen.parse().unwrap();
            raw.accept_any_credentials = true;
            ServerConfig::prepare(raw).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(any("127.0.0.1:4566"), Ok(()));
        assert_eq!(any("[::1]:4566"), Ok(()));
        for open in ["0.0.0.0:4566", "192.0.2.1:4566", "[::]:4566"] {
            let sentence = any(open).expect_err(open);
            assert!(sentence.contains("only allowed on a loopback address"), "{sentence}");
        }
    }

    #[test]
    fn a_path_that_no_socket_fits_in_is_refused_by_name() {
        let parent = tempfile::tempdir().unwrap();
        let error = ServerConfig::prepare(raw(&parent.path().join("x".repeat(100)))).unwrap_err();
        assert!(matches!(error, ConfigError::TooLong { .. }), "{error}");
    }

    #[test]
    fn ranges_and_regions() {
        for (text, expected) in [
            ("127.64.0.0/10", Some("127.64.0.0/10")),
            ("10.1.2.3/24", Some("10.1.2.0/24")),
            ("10.0.0.0/31", None),
            ("10.0.0.0/0", None),
            ("10.0.0.0", None),
            ("::/64", None),
        ] {
            assert_eq!(
                AddressRange::parse(text).map(|range| range.to_string()).as_deref(),
                expected,
                "{text}"
            );
        }
        for (region, valid) in [
            ("us-east-1", true),
            ("us-gov-west-1", true),
            ("us-east", false),
            ("", false),
            ("US-EAST-1", false),
        ] {
            assert_eq!(is_region(region), valid, "{region}");
        }
    }

    #[test]
    fn the_endpoint_is_one_that_a_client_here_reaches() {
        let parent = tempfile::tempdir().unwrap();
        for (listen, endpoint) in [
            ("127.0.0.1:4566", "http://127.0.0.1:4566"),
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::1]:4566", "http://[::1]:4566"),
        ] {
            let mut raw = raw(parent.path());
            raw.listen = listen.parse().unwrap();
            assert_eq!(ServerConfig::prepare(raw).unwrap().endpoint(), endpoint);
        }
    }
}
