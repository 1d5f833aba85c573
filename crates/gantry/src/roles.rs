//! What every child does first: take its socket, its configuration, its log and its lock.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;

use crate::config::{ConfigError, ServerConfig};
use crate::descriptors::{Channel, Client};
use crate::layout::Layout;
use crate::logging::{self, FilterError};
use crate::supervisor::{LockError, Role, ServerLock};

/// A process of the same role that lost its supervisor ends within this time.
const PREDECESSOR_WAIT_MAX: Duration = Duration::from_secs(15);

#[derive(Debug, Error)]
pub enum RoleError {
    #[error(
        "`gantry {role}` is started by `gantry server` alone: its standard input is no socket of a supervisor ({source})"
    )]
    NoSupervisor { role: &'static str, source: io::Error },
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Filter(#[from] FilterError),
    #[error("another {role} has not ended: {source}")]
    Predecessor { role: &'static str, source: LockError },
}

/// A child that is set up.
#[derive(Debug)]
pub struct Child {
    pub config: ServerConfig,
    pub layout: Layout,
    pub descriptors: Arc<Client>,
    _lock: Option<ServerLock>,
}

/// Whether a process shall end, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    No,
    /// The supervisor ends everything.
    Ordered,
    /// The supervisor is gone; the next one starts everything anew, and traffic goes on meanwhile.
    Orphaned,
}

/// Ready when the process shall end.
pub async fn stopped(stop: &mut watch::Receiver<Stop>) -> Stop {
    // A sender that is gone means that the runtime ends.
    stop.wait_for(|stop| *stop != Stop::No).await.map_or(Stop::Orphaned, |stop| *stop)
}

impl Child {
    pub fn start(role: Role, state_dir: &Path) -> Result<Self, RoleError> {
        let name = role.name();
        let channel =
            take_supervisor_socket().map_err(|source| RoleError::NoSupervisor { role: name, source })?;
        let layout = Layout::new(state_dir.to_owned());
        let config = ServerConfig::read(&layout)?;
        logging::start(name, config.log_format, &config.log_filter)?;
        // What `ps` and `top` show; containers are killed for memory before any of these.
        let _ =
            rustix::thread::set_name(&std::ffi::CString::new(format!("gantry-{name}")).unwrap_or_default());
        if let Some(score) = oom_score(role)
            && let Err(error) = crate::supervisor::prefer_others_when_memory_runs_out(score)
        {
            tracing::debug!("the kernel's choice when memory runs out stays as it is: {error}");
        }
        let lock = match role {
            // An old load balancer drains while the new one serves.
            Role::Lb => None,
            Role::Control | Role::Node => Some(
                ServerLock::take(&layout.role_lock(name), PREDECESSOR_WAIT_MAX)
                    .map_err(|source| RoleError::Predecessor { role: name, source })?,
            ),
        };
        Ok(Self { config, layout, descriptors: Arc::new(Client::new(channel)), _lock: lock })
    }

    /// Tells when this process shall end. To be called in a runtime.
    pub fn stop_signal(&self) -> io::Result<watch::Receiver<Stop>> {
        use tokio::signal::unix::{SignalKind, signal};
        let stop = Arc::new(watch::Sender::new(Stop::No));
        let mut terminate = signal(SignalKind::terminate())?;
        let receiver = stop.subscribe();
        let by_supervisor = stop.clone();
        self.when_orphaned(move || {
            by_supervisor.send_replace(Stop::Orphaned);
        })?;
        tokio::spawn(async move {
            terminate.recv().await;
            stop.send_replace(Stop::Ordered);
        });
        Ok(receiver)
    }

    /// Runs `then` on a thread of its own when the supervisor has died.
    pub fn when_orphaned(&self, then: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let descriptors = self.descriptors.clone();
        std::thread::Builder::new().name("lifeline".to_owned()).stack_size(64 << 10).spawn(move || {
            descriptors.wait_for_end();
            then();
        })?;
        Ok(())
    }
}

/// `node` keeps what it has: the shims and containers that it starts would inherit its privilege.
fn oom_score(role: Role) -> Option<i16> {
    match role {
        Role::Lb => Some(-900),
        Role::Control => Some(-800),
        Role::Node => None,
    }
}

/// Makes this process a child of a supervisor: lets the signals in that the supervisor keeps for its loop, and takes the socket,
/// moved away from where a library could read it and a grandchild inherit it.
pub fn take_supervisor_socket() -> io::Result<Channel> {
    use std::os::fd::AsFd as _;
    nix::sys::signal::SigSet::empty().thread_set_mask()?;
    let channel = Channel::new(io::stdin().as_fd().try_clone_to_owned()?)?;
    let nothing = std::fs::File::open("/dev/null")?;
    nix::unistd::dup2_stdin(&nothing)?;
    Ok(channel)
}
