//! The thread that ships all containers' output.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use gantry_link::{FromNode, LogSource};
use gantry_spool::{Watch, WatchId};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep_until, timeout};

use super::destination::Destination;
use super::shipment::Shipment;
use super::{BATCH_INTERVAL, BATCHES_ON_THE_WAY_MAX, COMMANDS_WAITING_MAX, READ_RETRY_AFTER, WATCH_INTERVAL};

/// A container whose output is to be shipped.
#[derive(Debug, Clone)]
pub struct SourceConfig {
    pub source: LogSource,
    pub spool: PathBuf,
    pub destination: Destination,
}

#[derive(Debug)]
enum Command {
    Add(SourceConfig),
    Linked(mpsc::Sender<FromNode>),
    Unlinked,
    Kept {
        source: LogSource,
        sequence: u64,
    },
    /// The container has ended: answered when all that it wrote is kept.
    Finish {
        source: LogSource,
        answer: oneshot::Sender<()>,
    },
    Remove(LogSource),
}

/// Orders for the thread. Clones lead to the same one, which ends with the last of them.
#[derive(Debug, Clone)]
pub struct LogShipper {
    commands: mpsc::Sender<Command>,
}

impl LogShipper {
    pub fn start() -> io::Result<Self> {
        let (commands, receiver) = mpsc::channel(COMMANDS_WAITING_MAX);
        let watch = Watch::new()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        std::thread::Builder::new().name("logs".to_owned()).stack_size(512 << 10).spawn(move || {
            if let Err(error) = runtime.block_on(Thread::run(watch, receiver)) {
                tracing::error!(%error, "output of containers is not shipped any more; it stays in its spools");
            }
        })?;
        Ok(Self { commands })
    }

    /// Ships what this container wrote and writes; once per container.
    pub async fn add(&self, source: SourceConfig) {
        self.send(Command::Add(source)).await;
    }
    /// Batches go this way from now on, beginning with all that was not acknowledged.
    pub async fn linked(&self, batches: mpsc::Sender<FromNode>) {
        self.send(Command::Linked(batches)).await;
    }
    pub async fn unlinked(&self) {
        self.send(Command::Unlinked).await;
    }
    pub async fn kept(&self, source: LogSource, sequence: u64) {
        self.send(Command::Kept { source, sequence }).await;
    }
    /// Returns when everything that the container, which has ended, wrote is kept, or when the time is over; then forgets the
    /// container. True when nothing was left behind.
    pub async fn finish(&self, source: LogSource, wait_max: Duration) -> bool {
        let (answer, done) = oneshot::channel();
        self.send(Command::Finish { source: source.clone(), answer }).await;
        let shipped = matches!(timeout(wait_max, done).await, Ok(Ok(())));
        self.send(Command::Remove(source)).await;
        shipped
    }

    async fn send(&self, command: Command) {
        // Without the thread, which said why, output stays where it is.
        let _ = self.commands.send(command).await;
    }
}

struct Thread {
    watch: AsyncFd<Watch>,
    sources: BTreeMap<LogSource, Source>,
    by_watch: BTreeMap<WatchId, LogSource>,
    link: Option<mpsc::Sender<FromNode>>,
    /// Where the next turn begins, so that each container gets its turn.
    next: Option<LogSource>,
}

struct Source {
    shipment: Shipment,
    watch: Option<WatchId>,
    /// No batch before.
    not_before: Instant,
    finished: Option<oneshot::Sender<()>>,
}

impl Thread {
    async fn run(watch: Watch, mut commands: mpsc::Receiver<Command>) -> io::Result<()> {
        // SAFETY: the watch owns its one descriptor, and neither closes nor replaces it before it is dropped.
        let watch = unsafe { AsyncFd::register_with_interest(watch, Interest::READABLE) }?;
        let mut thread =
            Self { watch, sources: BTreeMap::new(), by_watch: BTreeMap::new(), link: None, next: None };
        let mut watch_at = Instant::now();
        loop {
            let now = Instant::now();
            thread.ship(now);
            thread.answer_finished();
            let wake_at = thread.wake_at(now);
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => thread.obey(command),
                    None => return Ok(()),
                },
                changed = grown(&mut thread.watch, watch_at) => {
                    for id in changed? {
                        if let Some(source) = thread.by_watch.get(&id).and_then(|name| thread.sources.get_mut(name)) {
                            source.shipment.grew();
                        }
                    }
                    watch_at = Instant::now() + WATCH_INTERVAL;
                }
                () = sleep_until(wake_at.unwrap_or(now + READ_RETRY_AFTER).into()), if wake_at.is_some() => {}
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Add(config) => self.add(config),
            Command::Linked(link) => {
                self.link = Some(link);
                self.rewind_all();
            }
            Command::Unlinked => self.link = None,
            Command::Kept { source, sequence } => {
                let Some(each) = self.sources.get_mut(&source) else { return };
                if let Err(error) = each.shipment.kept(sequence) {
                    complain(&source, &error);
                }
            }
            Command::Finish { source, answer } => {
                let Some(each) = self.sources.get_mut(&source) else {
                    // Of one that never started nothing is shipped.
                    let _ = answer.send(());
                    return;
                };
                each.shipment.grew();
                each.finished = Some(answer);
            }
            Command::Remove(source) => {
                if let Some(Source { watch: Some(id), .. }) = self.sources.remove(&source) {
                    self.by_watch.remove(&id);
                    // The directory may be gone already.
                    let _ = self.watch.get_mut().remove(id);
                }
            }
        }
    }

    fn add(&mut self, config: SourceConfig) {
        let SourceConfig { source, spool, destination } = config;
        if self.sources.contains_key(&source) {
            return;
        }
        // The reader makes the directory, so it comes before the watch; and the first read comes after it.
        let shipment = match Shipment::open(source.clone(), destination, spool) {
            Ok(shipment) => shipment,
            Err(error) => return complain(&source, &error),
        };
        let watch = match self.watch.get_mut().add(shipment.directory()) {
            Ok(id) => {
                self.by_watch.insert(id, source.clone());
                Some(id)
            }
            Err(error) => {
                complain(&source, &error);
                None
            }
        };
        let entry = Source { shipment, watch, not_before: Instant::now(), finished: None };
        self.sources.insert(source, entry);
    }

    fn rewind_all(&mut self) {
        for (name, source) in &mut self.sources {
            if let Err(error) = source.shipment.rewind() {
                complain(name, &error);
            }
            source.not_before = Instant::now();
        }
    }

    /// Sends what may be sent, one batch of each container in turn.
    fn ship(&mut self, now: Instant) {
        let Some(link) = self.link.clone() else { return };
        self.resend(now);
        let mut on_the_way: usize =
            self.sources.values().map(|source| source.shipment.batches_on_the_way()).sum();
        loop {
            let mut sent = false;
            for name in self.turn(now) {
                if on_the_way >= BATCHES_ON_THE_WAY_MAX {
                    self.next = Some(name);
                    return;
                }
                let Some(source) = self.sources.get_mut(&name) else { continue };
                match source.shipment.next_batch(now) {
                    Ok(Some(batch)) => {
                        source.not_before = if batch.is_full { now } else { now + BATCH_INTERVAL };
                        if link.try_send(FromNode::Logs(batch.batch)).is_err() {
                            // The link is about to be replaced; what was taken for it is sent again then.
                            self.link = None;
                            return;
                        }
                        on_the_way += 1;
                        sent = true;
                    }
                    Ok(None) => {}
                    Err(error) => {
                        complain(&name, &error);
                        source.not_before = now + READ_RETRY_AFTER;
                    }
                }
            }
            if !sent {
                return;
            }
        }
    }

    /// Containers that may send now, beginning with the one that had to wait.
    fn turn(&mut self, now: Instant) -> Vec<LogSource> {
        let ready =
            |(_, source): &(&LogSource, &Source)| source.shipment.wants_to_send() && source.not_before <= now;
        let mut names: Vec<LogSource> =
            self.sources.iter().filter(ready).map(|(name, _)| name.clone()).collect();
        if let Some(next) = self.next.take() {
            let first = names.partition_point(|name| *name < next);
            names.rotate_left(first);
        }
        names
    }

    fn resend(&mut self, now: Instant) {
        for (name, source) in &mut self.sources {
            if source.shipment.resend_at().is_some_and(|at| at <= now) {
                tracing::warn!(task = %name.task, container = name.container, "control did not take its output; it is sent again");
                if let Err(error) = source.shipment.rewind() {
                    complain(name, &error);
                }
            }
        }
    }

    fn answer_finished(&mut self) {
        for source in self.sources.values_mut() {
            if source.finished.is_some()
                && source.shipment.is_done()
                && let Some(answer) = source.finished.take()
            {
                let _ = answer.send(());
            }
        }
    }

    /// When something is due although nothing happens; never in the past.
    fn wake_at(&self, now: Instant) -> Option<Instant> {
        self.link.as_ref()?;
        let due = |source: &Source| {
            let send = source.shipment.wants_to_send().then_some(source.not_before).filter(|at| *at > now);
            send.into_iter().chain(source.shipment.resend_at()).min()
        };
        self.sources.values().filter_map(due).min()
    }
}

/// The spools that have grown, not before this time.
async fn grown(watch: &mut AsyncFd<Watch>, not_before: Instant) -> io::Result<Vec<WatchId>> {
    sleep_until(not_before.into()).await;
    loop {
        let mut guard = watch.readable_mut().await?;
        let changed = guard.get_inner_mut().changed()?;
        if !changed.is_empty() {
            return Ok(changed.into_iter().collect());
        }
        guard.clear_ready();
    }
}

fn complain(source: &LogSource, error: &dyn std::error::Error) {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    tracing::error!(task = %source.task, container = source.container, "shipping its output: {words}");
}
