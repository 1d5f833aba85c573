//! `gantry server`, and its end.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Seek as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use gantry_node::shell::ImagePullBehavior;
use rustix::process::Signal;

use super::install::PrintOnly;
use super::{Failure, StateDirArgument};
use crate::config::{ConfigError, LogFormat, RawServerConfig, ServerConfig, defaults};
use crate::credentials::Credentials;
use crate::descriptors::handoff::Taken;
use crate::hosts::Block;
use crate::layout::Layout;
use crate::profile::Profile;
use crate::supervisor::{self, ChildPlan, Ended, LockError, Plan, Role, ServerLock};

/// A server that was just told to end may still hold the lock for a moment.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(1);
/// So may `control` of a server that was killed hold its socket.
const PORT_WAIT_MAX: Duration = Duration::from_secs(2);
const HAND_OVER_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long `--detach` waits for a server that serves.
const READY_WAIT_MAX: Duration = Duration::from_secs(20);
/// The supervisor's own bounds for an end in order, and a little.
const DOWN_WAIT_MAX: Duration = Duration::from_secs(60);

/// Run the server: the AWS APIs, the load balancers and the containers of this machine.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every option may also be set by a variable: GANTRY_LISTEN for --listen, and so on. GANTRY_LOG sets what is logged.

Examples:
  sudo gantry server
  sudo gantry server --detach
  gantry server --listen 127.0.0.1:4577 --state-dir ~/lab
  sudo gantry server --install --region eu-central-1

SIGTERM or Ctrl-C stops the server in order; containers go on, and the next start manages them again.
SIGUSR2 (see --replace) leaves load balancer and containers to the next server without a failed request.")]
pub(crate) struct ServerArguments {
    #[command(flatten)]
    state_dir: StateDirArgument,
    /// Where the AWS APIs are answered
    #[arg(long, env = "GANTRY_LISTEN", default_value = defaults::LISTEN, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// The address that all internet-facing load balancers share, told apart by Host
    #[arg(long, env = "GANTRY_LB_ADDRESS", default_value = defaults::LB_ADDRESS, value_name = "ADDRESS")]
    lb_address: IpAddr,
    /// Each internet-facing load balancer gets an address of its own from this range
    #[arg(long, env = "GANTRY_LB_RANGE", default_value = defaults::LB_RANGE, value_name = "CIDR")]
    lb_range: String,
    /// The region that `gantry env` names; requests may name any
    #[arg(long, env = "GANTRY_REGION", default_value = defaults::REGION)]
    region: String,
    /// Accept every access key without checking signatures (loopback listeners only)
    #[arg(long, env = "GANTRY_ACCEPT_ANY_CREDENTIALS")]
    accept_any_credentials: bool,
    /// When a registry is asked for an image that is here, as ECS_IMAGE_PULL_BEHAVIOR: prefer-cached, default (always ask,
    /// use what is here if that fails), always, once
    #[arg(long, env = "GANTRY_IMAGE_PULL_BEHAVIOR", default_value = "prefer-cached", value_name = "WHEN")]
    image_pull_behavior: ImagePullBehavior,
    /// Mirrors, credentials and certificates of registries [default: registries.toml in the state directory]
    #[arg(long, env = "GANTRY_REGISTRY_CONFIG", value_name = "FILE")]
    registry_config: Option<PathBuf>,
    /// How log lines are written
    #[arg(long, env = "GANTRY_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// What is logged
    #[arg(long = "log", env = "GANTRY_LOG", default_value = defaults::LOG_FILTER, value_name = "FILTER")]
    log_filter: String,
    /// Stay in the foreground and log to standard error (the default)
    #[arg(long, conflicts_with = "detach")]
    foreground: bool,
    /// Go to the background once the server serves; the log is logs/server.log in the state directory
    #[arg(long)]
    detach: bool,
    /// Take over from a running server of the same state directory, without a failed request
    #[arg(long)]
    replace: bool,
    /// Install it as a service of systemd, with the other options given, and start it
    #[arg(long, conflicts_with_all = ["detach", "replace", "foreground"])]
    install: bool,
    /// Stop the service and remove it
    #[arg(long, conflicts_with_all = ["install", "detach", "replace", "foreground"])]
    uninstall: bool,
    /// With --install: only show the unit
    #[arg(long, requires = "install")]
    print: bool,
}

pub(crate) fn serve(arguments: ServerArguments) -> Result<ExitCode, Failure> {
    if arguments.install {
        let print_only = if arguments.print { PrintOnly::Yes } else { PrintOnly::No };
        let paths = [arguments.state_dir.state_dir.as_ref(), arguments.registry_config.as_ref()];
        return super::install::install(print_only, &paths);
    }
    if arguments.uninstall {
        return super::install::uninstall();
    }
    if arguments.detach {
        return detach(&arguments);
    }
    if std::env::var_os(DETACHED).is_some() {
        // A session of its own: the terminal may close. It fails only for who leads one already.
        let _ = rustix::process::setsid();
    }
    let config = ServerConfig::prepare(RawServerConfig {
        state_dir: arguments.state_dir.state_dir,
        listen: arguments.listen,
        lb_address: arguments.lb_address,
        lb_range: arguments.lb_range,
        region: arguments.region,
        accept_any_credentials: arguments.accept_any_credentials,
        image_pull_behavior: arguments.image_pull_behavior,
        registry_config: arguments.registry_config,
        log_format: arguments.log_format,
        log_filter: arguments.log_filter,
    })
    .map_err(|error| {
        let next = match &error {
            ConfigError::MakeStateDir { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
                "start it as root (sudo), which containers need too, or name a directory of your own with --state-dir"
            }
            ConfigError::Registries(_) => "correct the file; `gantry image pull --help` shows one",
            _ => "see `gantry server --help`",
        };
        Failure::new("preparing the server", error, next)
    })?;
    let layout = config.layout();
    crate::logging::start("server", config.log_format, &config.log_filter)
        .map_err(|error| Failure::new("starting the log", error, "see `gantry server --help`"))?;
    let _lock = take_lock(&layout, arguments.replace)?;
    let cannot = |error: &dyn std::fmt::Display| {
        Failure::new("starting the server", error, "see that the state directory is on a disk with room")
    };
    let credentials = Credentials::load_or_make(&layout.credentials()).map_err(|error| cannot(&error))?;
    config.write().map_err(|error| cannot(&error))?;
    let profile = Profile { endpoint: config.endpoint(), region: config.region.clone(), credentials };
    if let Err(error) = profile.write_for_sudo_user() {
        tracing::warn!("{error}; `gantry env` needs sudo");
    }
    if !rustix::process::geteuid().is_root() {
        tracing::warn!(
            "not root: containers, their networks and ports below 1024 are out of reach; start it with sudo"
        );
    }
    let listener = listen(config.listen)?;
    supervisor::raise_open_files_limit();
    tracing::info!(state = %config.state_dir.display(), instance = %config.instance, "gantry {} starts", env!("CARGO_PKG_VERSION"));
    let ended = supervisor::run(plan(&config, &layout, listener)).map_err(|error| cannot(&error))?;
    // systemd starts the next one where this one left its work, and not where it stopped.
    let is_managed = std::env::var_os("INVOCATION_ID").is_some();
    Ok(match ended {
        Ended::HandedOver if is_managed => ExitCode::from(crate::unit::HANDED_OVER),
        Ended::HandedOver | Ended::Stopped => ExitCode::SUCCESS,
    })
}

/// The API's socket, made before anything is started: an address that is taken is a reason not to start, and who connects
/// early waits for the answer.
fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let give_up = Instant::now() + PORT_WAIT_MAX;
    loop {
        match TcpListener::bind(address) {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < give_up => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => {
                let next = "stop what listens there (`ss -ltnp`), or name another address with --listen";
                return Err(Failure::new(format!("listening on {address}"), error, next));
            }
        }
    }
}

fn plan(config: &ServerConfig, layout: &Layout, listener: TcpListener) -> Plan {
    let child = |role| ChildPlan { role, arguments: super::child_arguments(role, layout.root()) };
    let (endpoint, instance_hint) = (config.endpoint(), hint(config));
    let started = Instant::now();
    Plan {
        program: PathBuf::from("/proc/self/exe"),
        children: Role::ALL.map(child).into(),
        descriptors: vec![(Role::Control, supervisor::API_LISTENER, listener.into())],
        handoff_socket: layout.handoff_socket(),
        on_ready: Box::new(move || {
            tracing::info!(
                "ready after {} ms: the AWS APIs are at {endpoint}",
                started.elapsed().as_millis()
            );
            tracing::info!("to use them from a shell: {instance_hint}");
            if let Err(error) = supervisor::notify_ready() {
                tracing::warn!("telling the service manager: {error}");
            }
            // The terminal of `--detach` waits for this byte and for nothing else.
            if std::env::var_os(DETACHED).is_some() {
                let _ = std::io::stdout().write_all(b"\n").and_then(|()| std::io::stdout().flush());
            }
        }),
    }
}

/// Set for the server that `--detach` starts: its standard output is a pipe on which readiness is told.
const DETACHED: &str = "GANTRY_DETACHED";

fn hint(config: &ServerConfig) -> String {
    let is_default = crate::config::state_dir(None).is_ok_and(|path| path == config.state_dir);
    match is_default || std::env::var_os("SUDO_UID").is_some() {
        true => "eval $(gantry env)".to_owned(),
        false => format!("eval $(gantry env --state-dir {})", config.state_dir.display()),
    }
}

fn take_lock(layout: &Layout, replace: bool) -> Result<ServerLock, Failure> {
    let path = layout.lock();
    let held = match ServerLock::take(&path, if replace { Duration::ZERO } else { LOCK_WAIT_MAX }) {
        Err(LockError::Held { pid, .. }) if replace && pid != 0 => {
            supervisor::hand_over_pid(pid).and_then(|()| {
                tracing::info!(pid, "taking over from the running server");
                ServerLock::take(&path, HAND_OVER_WAIT_MAX).map_err(std::io::Error::other)
            })
        }
        other => other.map_err(std::io::Error::other),
    };
    held.map_err(|error| {
        Failure::new(
            "starting the server",
            error,
            "stop the other server with `gantry down`, replace it with --replace, or choose another --state-dir",
        )
    })
}

/// Starts this same command in the background and waits until it serves.
fn detach(arguments: &ServerArguments) -> Result<ExitCode, Failure> {
    let attempted = "starting the server in the background";
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(attempted, error, "start it without --detach to see what it does")
    };
    let state_dir =
        crate::config::state_dir(arguments.state_dir.state_dir.clone()).map_err(|error| failed(&error))?;
    let layout = Layout::new(state_dir);
    if !arguments.replace
        && let Ok(Some(pid)) = supervisor::running_pid(&layout.lock())
    {
        let config = ServerConfig::read(&layout).map_err(|error| failed(&error))?;
        println!(
            "a server already runs at {} (process {pid}); --replace starts this one instead",
            config.endpoint()
        );
        println!("next: {}", hint(&config));
        return Ok(ExitCode::SUCCESS);
    }
    crate::config::make_private_directory(&layout.logs()).map_err(|error| failed(&error))?;
    let log_path = layout.server_log();
    let mut log = OpenOptions::new()
        .create(true)
        .append(true)
        .read(true)
        .mode(0o600)
        .open(&log_path)
        .map_err(|error| failed(&error))?;
    let log_start = log.seek(std::io::SeekFrom::End(0)).map_err(|error| failed(&error))?;
    let words = std::env::args_os().skip(1).filter(|word| word != "--detach");
    let mut child = Command::new("/proc/self/exe")
        .arg0("gantry")
        .args(words)
        .env(DETACHED, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::from(log.try_clone().map_err(|error| failed(&error))?))
        .spawn()
        .map_err(|error| failed(&error))?;
    let pipe = OwnedFd::from(child.stdout.take().expect("it was asked for"));
    if told_ready(&pipe, READY_WAIT_MAX) {
        let endpoint = ServerConfig::read(&layout).map(|config| (config.endpoint(), hint(&config)));
        let (endpoint, hint) = endpoint.map_err(|error| failed(&error))?;
        println!("gantry serves at {endpoint} (process {}, log {})", child.id(), log_path.display());
        println!("next: {hint}");
        return Ok(ExitCode::SUCCESS);
    }
    let said = tail(log, log_start);
    let how = match child.try_wait() {
        Ok(Some(status)) => format!("it ended ({status})"),
        _ => {
            // Not ready is not useful: what was asked for is a server that serves.
            let _ = supervisor::signal(child.id(), Signal::TERM);
            format!("it did not serve within {} s", READY_WAIT_MAX.as_secs())
        }
    };
    Err(Failure::new(attempted, format!("{how}; its last words:\n{said}"), "see `gantry doctor`"))
}

fn told_ready(pipe: &OwnedFd, wait_max: Duration) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let timeout = Timespec { tv_sec: wait_max.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: 0 };
    let mut descriptors = [PollFd::new(pipe, PollFlags::IN)];
    let mut byte = [0];
    matches!(poll(&mut descriptors, Some(&timeout)), Ok(1))
        && rustix::io::read(pipe.as_fd(), &mut byte) == Ok(1)
}

/// The last lines that were written behind a place.
fn tail(mut log: std::fs::File, start: u64) -> String {
    const LINES_MAX: usize = 12;
    let _ = log.seek(std::io::SeekFrom::Start(start));
    let lines: Vec<String> = BufReader::new(log.take(1 << 20)).lines().map_while(Result::ok).collect();
    lines[lines.len().saturating_sub(LINES_MAX)..].join("\n")
}

/// Stops the server in order. Requests in flight are finished; containers go on.
pub(crate) fn stop(layout: &Layout) -> Result<ExitCode, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(
            "stopping the server",
            error,
            "name its state directory with --state-dir; stop root's as root",
        )
    };
    let lock = layout.lock();
    let Some(pid) = supervisor::running_pid(&lock).map_err(|error| failed(&error))? else {
        // A load balancer may have outlived its supervisor.
        return match Taken::take(&layout.handoff_socket()) {
            Ok(Some(old)) => {
                let process = old.process;
                old.drain().map_err(|error| failed(&error))?;
                if let Ok(config) = ServerConfig::read(layout) {
                    let names = Block::new(crate::hosts::SYSTEM_FILE, &config.instance);
                    names.remove().map_err(|error| failed(&error))?;
                }
                println!("no server runs; its load balancer (process {process}) drains and ends");
                Ok(ExitCode::SUCCESS)
            }
            _ => {
                println!("no server runs with {}", layout.root().display());
                Ok(ExitCode::SUCCESS)
            }
        };
    };
    supervisor::signal(pid, Signal::TERM).map_err(|error| failed(&error))?;
    let give_up = Instant::now() + DOWN_WAIT_MAX;
    while supervisor::running_pid(&lock).map_err(|error| failed(&error))? == Some(pid) {
        if Instant::now() >= give_up {
            return Err(failed(&format!("process {pid} did not end within {} s", DOWN_WAIT_MAX.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    println!("stopped (process {pid})");
    Ok(ExitCode::SUCCESS)
}
