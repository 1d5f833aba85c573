//! The one thread that writes: group commit of batches, sealing, letting the oldest go.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;

use gantry_spool::{Entry, Sequence, Writer};
use thiserror::Error;
use tokio::sync::{broadcast, oneshot};

use super::event::{Appended, Batch};
use super::limits::Limits;
use super::store::Inner;

/// Batches that one fsync makes durable, at most.
const GROUP_MAX: usize = 256;

/// Nothing of the batch was kept.
#[derive(Debug, Clone, Error)]
pub enum AppendError {
    #[error("too many batches wait for the log's disk")]
    Busy,
    #[error("the log store has stopped")]
    Stopped,
    #[error("writing the log: {0}")]
    Write(String),
}

type Reply = oneshot::Sender<Result<(), AppendError>>;

struct Waiting {
    batch: Batch,
    reply: Reply,
}

/// The writer's thread and the way to it. When the last handle of the store goes, the thread has written what waited and is
/// gone too, so that the store can be opened again.
#[derive(Debug)]
pub(super) struct Queue {
    sender: Option<SyncSender<Waiting>>,
    thread: Option<JoinHandle<()>>,
}

impl Queue {
    pub(super) fn start(
        limits: &Limits,
        log: Writer,
        inner: Arc<RwLock<Inner>>,
        subscribers: broadcast::Sender<Appended>,
    ) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(limits.waiting_batches);
        let write = move || run(&receiver, log, &inner, &subscribers);
        let thread = std::thread::Builder::new().name("logs".to_owned()).spawn(write)?;
        Ok(Self { sender: Some(sender), thread: Some(thread) })
    }

    pub(super) fn push(
        &self,
        batch: Batch,
    ) -> Result<oneshot::Receiver<Result<(), AppendError>>, AppendError> {
        let (reply, answer) = oneshot::channel();
        let Some(sender) = &self.sender else { return Err(AppendError::Stopped) };
        match sender.try_send(Waiting { batch, reply }) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(_)) => Err(AppendError::Busy),
            Err(TrySendError::Disconnected(_)) => Err(AppendError::Stopped),
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has said so; there is nothing to add.
            let _ = thread.join();
        }
    }
}

/// Runs until every handle of the store is gone.
fn run(
    queue: &Receiver<Waiting>,
    mut log: Writer,
    inner: &Arc<RwLock<Inner>>,
    subscribers: &broadcast::Sender<Appended>,
) {
    while let Ok(first) = queue.recv() {
        let mut group = vec![first];
        group.extend(queue.try_iter().take(GROUP_MAX - 1));
        write_group(group, &mut log, inner, subscribers);
    }
}

fn write_group(
    group: Vec<Waiting>,
    log: &mut Writer,
    inner: &Arc<RwLock<Inner>>,
    subscribers: &broadcast::Sender<Appended>,
) {
    let mut written = Vec::with_capacity(group.len());
    for waiting in group {
        match append(log, &waiting.batch) {
            Ok(sequence) => written.push((waiting, sequence)),
            Err(error) => {
                // The receiver may have gone away; the batch was not kept either way.
                let _ = waiting.reply.send(Err(error));
            }
        }
    }
    if let Err(error) = log.sync() {
        for (waiting, _) in written {
            let _ = waiting.reply.send(Err(AppendError::Write(error.to_string())));
        }
        return;
    }
    let mut inner = inner.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    for (waiting, sequence) in written {
        let stream = waiting.batch.stream.clone();
        let events = inner.keep(waiting.batch, sequence);
        if !events.is_empty() {
            let _ = subscribers.send(Appended { stream, events: Arc::new(events) });
        }
        let _ = waiting.reply.send(Ok(()));
    }
    inner.seal_if_full();
}

fn append(log: &mut Writer, batch: &Batch) -> Result<Sequence, AppendError> {
    let mut payload = Vec::new();
    ciborium::into_writer(batch, &mut payload).map_err(|error| AppendError::Write(error.to_string()))?;
    let entry = Entry { tag: 0, at: batch.ingested_at, payload: &payload };
    log.append_all(&[entry]).map_err(|error| AppendError::Write(error.to_string()))
}
