//! Where nodes and load balancers connect: their frames become the loop's events, the loop's messages become frames.
//!
//! Each connection has a task that reads, so that no read is dropped half way, and one that writes from a bounded queue. Who does
//! not keep up is disconnected and begins anew with everything: nothing is lost by that.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gantry_control::{Event, LinkId};
use gantry_link::{
    FrameReader, FrameWriter, FromLb, FromNode, HEARTBEAT_INTERVAL_MS, Hello, LINK_SILENCE_MAX_MS, LinkError,
    LogBatch, Role, ToLb, ToNode,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;

/// Connections at a time; a machine has two.
const LINKS_MAX: usize = 64;
/// Messages that wait to be written to one link: more than a node or load balancer is ever sent at once.
const QUEUE_MESSAGES_MAX: usize = 32_768;
/// A write that takes longer means that the other side does not read any more.
const WRITE_MAX: Duration = Duration::from_millis(LINK_SILENCE_MAX_MS);
/// How long a batch of logs may wait for room. Then the link is closed; the node sends again what was not acknowledged.
const LOGS_WAIT_MAX: Duration = Duration::from_secs(2);
/// Accepting failed for want of descriptors or memory: wait before the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// One container's lines, and who is to be told that they are kept.
#[derive(Debug)]
pub(crate) struct LogDelivery {
    pub(crate) link: LinkId,
    pub(crate) batch: LogBatch,
}

/// The connections that are open now, by their number. Clones are the same set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Links {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    last: AtomicU64,
    open: Mutex<BTreeMap<LinkId, Link>>,
}

#[derive(Debug)]
struct Link {
    queue: mpsc::Sender<Message>,
    /// Set to true to end both of the connection's tasks.
    closed: watch::Sender<bool>,
}

#[derive(Debug)]
enum Message {
    Node(ToNode),
    Lb(ToLb),
}

/// Which messages a link carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Node,
    Lb,
}

impl Links {
    pub(crate) fn send_to_node(&self, link: LinkId, message: ToNode) {
        self.send(link, Message::Node(message));
    }

    pub(crate) fn send_to_lb(&self, link: LinkId, message: ToLb) {
        self.send(link, Message::Lb(message));
    }

    pub(crate) fn close(&self, link: LinkId, why: &str) {
        if let Some(open) = self.open().get(&link) {
            tracing::warn!(link = link.0, "closing a link: {why}");
            open.closed.send_replace(true);
        }
    }

    fn send(&self, link: LinkId, message: Message) {
        let full = match self.open().get(&link) {
            Some(open) => open.queue.try_send(message).is_err(),
            None => false,
        };
        if full {
            self.close(link, "it does not read what it is sent");
        }
    }

    fn open(&self) -> std::sync::MutexGuard<'_, BTreeMap<LinkId, Link>> {
        self.inner.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts connections until it is dropped. Only processes of the same user, or of root, are heard.
pub(crate) async fn serve(
    listener: UnixListener,
    links: Links,
    events: mpsc::Sender<Event>,
    logs: mpsc::Sender<LogDelivery>,
) {
    let room = Arc::new(Semaphore::new(LINKS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("cannot accept a link: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let own = rustix::process::geteuid().as_raw();
        match stream.peer_cred() {
            Ok(peer) if peer.uid() == own || peer.uid() == 0 => {}
            Ok(peer) => {
                tracing::warn!("refused a link of user {}", peer.uid());
                continue;
            }
            Err(error) => {
                tracing::warn!("refused a link whose user is not known: {error}");
                continue;
            }
        }
        let (read, write) = stream.into_split();
        let (links, events, logs) = (links.clone(), events.clone(), logs.clone());
        tokio::spawn(async move {
            serve_link(read, write, &links, &events, &logs).await;
            drop(permit);
        });
    }
}

/// One connection from its Hello to its end.
async fn serve_link(
    read: impl AsyncRead + Unpin + Send + 'static,
    write: impl AsyncWrite + Unpin + Send + 'static,
    links: &Links,
    events: &mpsc::Sender<Event>,
    logs: &mpsc::Sender<LogDelivery>,
) {
    let mut reader = FrameReader::new(read);
    let (side, hello) = match read_hello(&mut reader).await {
        Ok(greeting) => greeting,
        Err(error) => {
            tracing::warn!("a link that did not say who it is: {error}");
            return;
        }
    };
    let link = LinkId(links.inner.last.fetch_add(1, Ordering::Relaxed) + 1);
    let (queue, waiting) = mpsc::channel(QUEUE_MESSAGES_MAX);
    let (closed, mut end) = watch::channel(false);
    links.open().insert(link, Link { queue, closed });
    tracing::info!(link = link.0, side = ?side, "connected");
    let writer = tokio::spawn(write_all(FrameWriter::new(write), waiting, side));
    let ended = if events.send(Event::Hello(link, hello)).await.is_ok() {
        tokio::select! {
            ended = read_all(&mut reader, link, side, events, logs) => ended,
            _ = end.wait_for(|closed| *closed) => Err(LinkError::Closed),
        }
    } else {
        Ok(())
    };
    links.open().remove(&link);
    writer.abort();
    match ended {
        Ok(()) | Err(LinkError::Closed) => tracing::info!(link = link.0, "disconnected"),
        Err(error) => tracing::warn!(link = link.0, "disconnected: {error}"),
    }
    // Only after the last event of the link.
    let _ = events.send(Event::Gone(link)).await;
}

/// The first frame. Both sides' enumerations write a Hello alike.
async fn read_hello(reader: &mut FrameReader<impl AsyncRead + Unpin>) -> Result<(Side, Hello), LinkError> {
    match within_silence(reader.read::<FromNode>()).await? {
        FromNode::Hello(hello) => {
            let side = match hello.role {
                Role::Node { .. } => Side::Node,
                Role::LoadBalancer { .. } => Side::Lb,
            };
            Ok((side, hello))
        }
        _ => Err(LinkError::Malformed("the first message is no Hello".to_owned())),
    }
}

async fn read_all(
    reader: &mut FrameReader<impl AsyncRead + Unpin>,
    link: LinkId,
    side: Side,
    events: &mpsc::Sender<Event>,
    logs: &mpsc::Sender<LogDelivery>,
) -> Result<(), LinkError> {
    loop {
        let event = match side {
            Side::Node => match within_silence(reader.read::<FromNode>()).await? {
                FromNode::Heartbeat => continue,
                FromNode::Logs(batch) => {
                    deliver(logs, LogDelivery { link, batch }).await?;
                    continue;
                }
                message => Event::FromNode(link, message),
            },
            Side::Lb => match within_silence(reader.read::<FromLb>()).await? {
                FromLb::Heartbeat => continue,
                message => Event::FromLb(link, message),
            },
        };
        if events.send(event).await.is_err() {
            return Ok(());
        }
    }
}

/// Logs that nobody takes must not hold up what tasks do.
async fn deliver(logs: &mpsc::Sender<LogDelivery>, delivery: LogDelivery) -> Result<(), LinkError> {
    let stuck = || io::Error::new(io::ErrorKind::TimedOut, "the log store does not take what the node sends");
    match timeout(LOGS_WAIT_MAX, logs.send(delivery)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(LinkError::Closed),
        Err(_) => Err(stuck().into()),
    }
}

async fn within_silence<T>(read: impl Future<Output = Result<T, LinkError>>) -> Result<T, LinkError> {
    let silent = || io::Error::new(io::ErrorKind::TimedOut, "it was silent for too long");
    timeout(Duration::from_millis(LINK_SILENCE_MAX_MS), read).await.map_err(|_| silent())?
}

/// Writes what is queued, and a heartbeat when nothing is. Its end closes the writing half, by which the other side ends too.
async fn write_all(
    mut writer: FrameWriter<impl AsyncWrite + Unpin>,
    mut waiting: mpsc::Receiver<Message>,
    side: Side,
) {
    let interval = Duration::from_millis(HEARTBEAT_INTERVAL_MS);
    loop {
        let message = match timeout(interval, waiting.recv()).await {
            Ok(Some(message)) => message,
            Ok(None) => return,
            Err(_) => match side {
                Side::Node => Message::Node(ToNode::Heartbeat),
                Side::Lb => Message::Lb(ToLb::Heartbeat),
            },
        };
        let written = async {
            match &message {
                Message::Node(message) => writer.write(message).await,
                Message::Lb(message) => writer.write(message).await,
            }
        };
        match timeout(WRITE_MAX, written).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!("cannot write to a link: {error}");
                return;
            }
            Err(_) => {
                tracing::warn!("a link does not read any more");
                return;
            }
        }
    }
}
