//! What services and the control loop hold: many readers and committers, one thread that writes.

use std::fmt;
use std::sync::{Arc, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;

use gantry_domain::{Change, View};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot};

use super::core::{Changed, DatabaseCore, read};
use super::encode::{Prepared, prepare};
use super::error::{CommitError, DatabaseError, SubscriptionError};
use crate::disk::Disk;
use crate::options::{
    GROUP_COMMITS_MAX, Options, QUEUE_BYTES_MAX, QUEUE_COMMITS_MAX, SUBSCRIPTION_COMMITS_MAX,
};
use crate::transaction::Revision;

/// Clones are the same database; the last one that is dropped closes it.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
}

struct Shared {
    view: Arc<RwLock<View>>,
    changed: broadcast::Sender<Arc<Changed>>,
    /// Bytes that may wait to be written.
    room: Arc<Semaphore>,
    /// `None` only while it is closed.
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

struct Request {
    prepared: Prepared,
    answer: oneshot::Sender<Result<Revision, CommitError>>,
    _room: OwnedSemaphorePermit,
}

/// The commits since it was made, in their order.
#[derive(Debug)]
pub struct Subscription {
    receiver: broadcast::Receiver<Arc<Changed>>,
}

impl Database {
    /// Opens the store, loads all records and starts the thread that writes.
    pub fn open(disk: impl Disk, options: Options) -> Result<Self, DatabaseError> {
        let core = DatabaseCore::open(disk, options)?;
        let view = core.shared_view();
        let (changed, _) = broadcast::channel(SUBSCRIPTION_COMMITS_MAX);
        let (requests, queue) = mpsc::channel(QUEUE_COMMITS_MAX);
        let publish = changed.clone();
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || write_groups(core, queue, &publish))
            .map_err(DatabaseError::Thread)?;
        let room = Arc::new(Semaphore::new(QUEUE_BYTES_MAX));
        let shared = Shared { view, changed, room, requests: Some(requests), thread: Some(thread) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// All records as of the last commit. No commit is applied while the guard is held, so hold it for a decision and not
    /// across a wait.
    pub fn view(&self) -> RwLockReadGuard<'_, View> {
        read(&self.shared.view)
    }

    /// Makes all changes durable, if every expectation holds, and returns their revision. The view has it, and subscribers
    /// are told, before this returns. A commit goes on when its caller stops waiting.
    pub async fn commit(&self, changes: Vec<Change>) -> Result<Revision, CommitError> {
        let prepared = prepare(changes)?;
        let bytes = u32::try_from(prepared.transaction.bytes()).expect("a valid transaction is small");
        let room = Arc::clone(&self.shared.room);
        let room = room.acquire_many_owned(bytes.max(1)).await.map_err(|_| CommitError::Closed)?;
        let (answer, outcome) = oneshot::channel();
        let requests = self.shared.requests.as_ref().ok_or(CommitError::Closed)?;
        let request = Request { prepared, answer, _room: room };
        requests.send(request).await.map_err(|_| CommitError::Closed)?;
        outcome.await.map_err(|_| CommitError::Closed)?
    }

    /// The commits from now on. To miss nothing: subscribe, then read the view.
    pub fn subscribe(&self) -> Subscription {
        Subscription { receiver: self.shared.changed.subscribe() }
    }
}

impl Subscription {
    /// Waits for the next commit.
    pub async fn next(&mut self) -> Result<Arc<Changed>, SubscriptionError> {
        self.receiver.recv().await.map_err(|error| match error {
            RecvError::Lagged(missed) => SubscriptionError::Lagged { missed },
            RecvError::Closed => SubscriptionError::Closed,
        })
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // Its panic was printed, and every caller got an error.
            let _ = thread.join();
        }
    }
}

/// Takes whatever waits, makes it durable together, and answers.
fn write_groups(
    mut core: DatabaseCore,
    mut queue: mpsc::Receiver<Request>,
    publish: &broadcast::Sender<Arc<Changed>>,
) {
    let mut group = Vec::new();
    let mut told = core.view().revision();
    while queue.blocking_recv_many(&mut group, GROUP_COMMITS_MAX) > 0 {
        let (mut prepared, mut answers) = (Vec::new(), Vec::new());
        for Request { prepared: ready, answer, _room } in group.drain(..) {
            prepared.push(ready);
            answers.push((answer, _room));
        }
        let outcomes = core.commit_prepared(prepared);
        // A group is smaller than what the core remembers.
        for changed in core.changes_after(told).unwrap_or_default() {
            told = changed.revision;
            // Nobody may be listening.
            let _ = publish.send(changed);
        }
        for ((answer, _room), outcome) in answers.into_iter().zip(outcomes) {
            // Its caller may have gone.
            let _ = answer.send(outcome);
        }
    }
}
