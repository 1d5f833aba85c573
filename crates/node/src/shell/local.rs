//! Answers people on this machine: [`crate::local`]. Each question is answered on a thread of its own, since it may wait.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;
use std::sync::Arc;

use gantry_domain::task::ContainerStatus;
use gantry_network::NamespaceSockets;
use gantry_runtime::ContainerId;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{socket_error, socket_peercred};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::blocking;
use super::config::SocketStore;
use super::inquiry::Inquirer;
use super::layout::container_id;
use super::limits::{
    ACCEPT_PAUSE, CONNECT_INTO_TASK_MAX, LOCAL_CLIENT_WAIT_MAX, LOCAL_CLIENTS_MAX, LOCAL_REQUEST_BYTES_MAX,
    SESSIONS_MAX,
};
use super::work::Machine;
use crate::core::TaskState;
use crate::local::{LocalContainer, LocalReply, LocalRequest, LocalTask, receive, send};

pub(super) struct Local {
    inquirer: Inquirer,
    machine: Arc<Machine>,
    sessions: Arc<Semaphore>,
}

/// The socket's name in the store, where clients wait for a node that restarts.
const SOCKET_NAME: &str = "local";

/// The socket of an earlier process, or a new one.
pub(super) fn listen(store: &dyn SocketStore, path: &Path) -> io::Result<UnixListener> {
    let kept = store.take(SOCKET_NAME).map(<[OwnedFd; 1]>::try_from);
    let listener = match kept {
        Some(Ok([listener])) if path.exists() => std::os::unix::net::UnixListener::from(listener),
        _ => make_listener(store, path)?,
    };
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

fn make_listener(store: &dyn SocketStore, path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    if let Err(error) = store.put(SOCKET_NAME, &[listener.try_clone()?.into()]) {
        tracing::warn!("{} does not outlive this process: {error}", path.display());
    }
    Ok(listener)
}

impl Local {
    pub(super) fn new(inquirer: Inquirer, machine: Arc<Machine>) -> Self {
        Self { inquirer, machine, sessions: Arc::new(Semaphore::new(SESSIONS_MAX)) }
    }

    /// Answers for as long as it is polled.
    pub(super) async fn serve(self: Arc<Self>, listener: UnixListener) {
        let clients = Arc::new(Semaphore::new(LOCAL_CLIENTS_MAX));
        loop {
            let Ok(place) = clients.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let local = self.clone();
                    tokio::spawn(async move {
                        let _place = place;
                        if let Err(error) = local.client(stream).await {
                            tracing::debug!("a local client was not answered: {error}");
                        }
                    });
                }
                Err(error) => {
                    tracing::debug!("accepting a local client: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn client(&self, stream: tokio::net::UnixStream) -> io::Result<()> {
        let stream = stream.into_std()?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(LOCAL_CLIENT_WAIT_MAX))?;
        stream.set_write_timeout(Some(LOCAL_CLIENT_WAIT_MAX))?;
        if !may_ask(&stream)? {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let (stream, request, beside) = blocking(move || {
            receive::<LocalRequest>(&stream, LOCAL_REQUEST_BYTES_MAX)
                .map(|(request, beside)| (stream, request, beside))
        })
        .await?;
        let (reply, beside) = self.answer(request, beside).await;
        blocking(move || send(&stream, &reply, beside.as_ref())).await
    }

    async fn answer(&self, request: LocalRequest, beside: Option<OwnedFd>) -> (LocalReply, Option<OwnedFd>) {
        let refused = |words: String| (LocalReply::Refused(words), None);
        match request {
            LocalRequest::Tasks => {
                let tasks = self.inquirer.tasks(|task| !task.is_stopped()).await;
                (LocalReply::Tasks(tasks.iter().map(describe).collect()), None)
            }
            LocalRequest::Exec { container } => {
                let Some(link) = beside else {
                    return refused("no session came with the request".to_owned());
                };
                match self.exec(container, link.into()).await {
                    Ok(()) => (LocalReply::Supervised, None),
                    Err(words) => refused(words),
                }
            }
            LocalRequest::Connect { container, port } => match self.connect(container, port).await {
                Ok(stream) => (LocalReply::Connected, Some(stream.into())),
                Err(words) => refused(words),
            },
        }
    }

    async fn exec(&self, container: String, link: UnixStream) -> Result<(), String> {
        let (_, id) = self.find(container).await?;
        let place = self.sessions.clone().try_acquire_owned();
        let place = place.map_err(|_| format!("{SESSIONS_MAX} commands run already; end one first"))?;
        let machine = self.machine.clone();
        let child = blocking(move || machine.runtime.open_session(&id, link)).await;
        let child = child.map_err(|error| error.to_string())?;
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = reap(child).await {
                tracing::warn!("waiting for a command's supervisor: {error}");
            }
        });
        Ok(())
    }

    async fn connect(&self, container: String, port: u16) -> Result<TcpStream, String> {
        let (task, id) = self.find(container).await?;
        let own = task.spec.interface.as_ref().map(|interface| interface.address);
        let machine = self.machine.clone();
        blocking(move || {
            let network = machine.runtime.network_namespace(&id).map_err(|error| error.to_string())?;
            let inside = NamespaceSockets::open(Path::new(&format!("/proc/self/fd/{}", network.as_raw_fd())));
            let inside = inside.map_err(|error| error.to_string())?;
            // A program listens on every address, on the loopback alone, or on the task's alone.
            let mut outcome = connect(&inside, Ipv4Addr::LOCALHOST, port);
            if let (Err(_), Some(address)) = (&outcome, own) {
                outcome = connect(&inside, address, port);
            }
            outcome.map_err(|error| match error.kind() {
                io::ErrorKind::ConnectionRefused => {
                    format!("nothing listens on port {port} of the container")
                }
                _ => format!("connecting to port {port} of the container: {error}"),
            })
        })
        .await
    }

    /// A container that belongs to a task of this node. Nothing of the request is made a path of before that.
    async fn find(&self, container: String) -> Result<(TaskState, ContainerId), String> {
        let wanted = container.clone();
        let owns = move |task: &TaskState| {
            (0..task.spec.containers.len()).any(|index| container_id(&task.spec.task, index) == wanted)
        };
        let task = self.inquirer.tasks(owns).await.pop();
        let task = task.ok_or_else(|| "there is no such container on this machine any more".to_owned())?;
        Ok((task, ContainerId::new(container).map_err(|error| error.to_string())?))
    }
}

/// The user of this process, and root.
fn may_ask(stream: &UnixStream) -> io::Result<bool> {
    let peer = socket_peercred(stream)?;
    Ok(peer.uid.is_root() || peer.uid == rustix::process::geteuid())
}

fn describe(task: &TaskState) -> LocalTask {
    let spec = &task.spec;
    let container = |(index, definition): (usize, &gantry_domain::task_definition::ContainerDefinition)| {
        let phase = task.containers[index].phase;
        LocalContainer {
            name: definition.name.clone(),
            id: container_id(&spec.task, index),
            essential: definition.essential,
            status: status(phase),
            ports: definition.port_mappings.iter().map(|mapping| mapping.container_port).collect(),
        }
    };
    LocalTask {
        id: spec.task.clone(),
        region: spec.region.clone(),
        cluster: spec.cluster.clone(),
        family: spec.family.clone(),
        service: spec.service.clone(),
        stopping: task.stopping,
        containers: spec.containers.iter().enumerate().map(container).collect(),
    }
}

fn status(phase: crate::core::ContainerPhase) -> ContainerStatus {
    use crate::core::ContainerPhase::{
        Created, Killed, Pulled, Pulling, Running, Starting, Stopped, Stopping,
    };
    match phase {
        Created | Pulling | Pulled | Starting => ContainerStatus::Pending,
        Running | Stopping { .. } | Killed => ContainerStatus::Running,
        Stopped => ContainerStatus::Stopped,
    }
}

/// Connects inside a network, within a bound.
fn connect(inside: &NamespaceSockets, address: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    let socket = inside.tcp_stream_socket(Ipv4Addr::UNSPECIFIED)?;
    match rustix::net::connect(&socket, &SocketAddrV4::new(address, port)) {
        Ok(()) => {}
        Err(Errno::INPROGRESS) => {
            let wait = Timespec::try_from(CONNECT_INTO_TASK_MAX).map_err(|_| io::ErrorKind::InvalidInput)?;
            if poll(&mut [PollFd::new(&socket, PollFlags::OUT)], Some(&wait))? == 0 {
                return Err(io::ErrorKind::TimedOut.into());
            }
            socket_error(&socket)??;
        }
        Err(error) => return Err(error.into()),
    }
    socket.set_nonblocking(false)?;
    Ok(socket)
}

/// A supervisor ends with its command, or with whoever holds the session.
async fn reap(mut child: Child) -> io::Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    let ended = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
    // SAFETY: an owned descriptor stays the same one until it is dropped.
    let ended = unsafe { AsyncFd::register_with_interest(ended, Interest::READABLE) }?;
    let _ready = ended.readable().await?;
    child.wait().map(drop)
}
