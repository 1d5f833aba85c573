//! Containers' lines on their way into the log store.
//!
//! Batches of one container are kept one after the other, in the order in which they came: their numbers only grow, and a
//! batch that was overtaken would be taken for one that was kept before. Batches of different containers are kept at the same
//! time, so that they share the disk's syncs. For the same reason nothing of a container is kept behind a batch that could not
//! be: all is left until its sender, which hears nothing, begins again there.
//!
//! A log group that does not exist is waited for: who makes it may only be late. Then lines for it are dropped and counted,
//! because a container that writes to nowhere must not hold up the others.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use gantry_control::LinkId;
use gantry_link::{LogSource, ToNode};
use gantry_services::Context;
use gantry_services::logs::{IngestError, Lines, ingest, maintain};
use gantry_telemetry::logs::Record;
use gantry_types::{Region, Timestamp};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, sleep};

use super::link_server::LogDelivery;

/// Batches that were taken from the links and are not kept yet. Each has about a mebibyte at the most.
const BATCHES_MAX: usize = 64;
/// How long lines wait for a log group that does not exist, counted from the first of them.
pub(crate) const GROUP_WAIT_MAX: Duration = Duration::from_secs(10);
const GROUP_RETRY_AFTER: Duration = Duration::from_millis(250);
/// Groups that are known to be missing; beyond that all are waited for again.
const MISSING_GROUPS_MAX: usize = 1024;
/// One warning for each missing group in this time.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);
/// How often a batch that cannot be kept is tried again, and how long to wait before. Then its sender sends it again.
const TRIES_MAX: u32 = 8;
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// A sender has at most this many batches of one container on their way behind one that was not kept.
const BEHIND_FAILED_MAX: u32 = 3;
/// Containers with a batch that was not kept; beyond that all may go on.
const STALLED_MAX: usize = 4096;
/// How often expired events and what deleted groups left behind are cleared away.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(600);

/// Keeps what comes, and tells each sender up to where, until no more can come.
pub(crate) async fn keep(
    context: Arc<Context>,
    mut deliveries: mpsc::Receiver<LogDelivery>,
    group_wait_max: Duration,
    tell: impl Fn(LinkId, ToNode),
) {
    let mut keeper = Keeper::new(group_wait_max);
    let mut running: JoinSet<Ended> = JoinSet::new();
    let mut is_open = true;
    while is_open || !running.is_empty() {
        let ended = tokio::select! {
            delivery = deliveries.recv(), if is_open && keeper.batches < BATCHES_MAX => {
                match delivery {
                    Some(delivery) => keeper.take(delivery),
                    None => is_open = false,
                }
                None
            }
            Some(ended) = running.join_next(), if !running.is_empty() => match ended {
                Ok(ended) => Some(ended),
                Err(panic) => {
                    // Its container's queue would wait for ever; a new `control` is sent everything again.
                    tracing::error!("keeping log lines: {panic}");
                    return;
                }
            },
        };
        if let Some(ended) = ended
            && let Some((link, message)) = keeper.end(ended, Instant::now())
        {
            tell(link, message);
        }
        while let Some((delivery, patience)) = keeper.next(Instant::now()) {
            running.spawn(keep_one(context.clone(), delivery, patience));
        }
    }
}

/// Clears up from time to time.
pub(crate) async fn tidy(context: Arc<Context>) {
    let mut interval = tokio::time::interval(MAINTENANCE_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        if let Err(error) = maintain(&context, Timestamp::now()).await {
            tracing::warn!("clearing up logs: {error}");
        }
    }
}

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Kept {
        sequence: u64,
    },
    NoGroup,
    NoName,
    /// It is not kept and not dropped: it comes again.
    Failed,
}

#[derive(Debug)]
struct Ended {
    link: LinkId,
    source: LogSource,
    group: (Region, String),
    lines: u64,
    last: Option<u64>,
    outcome: Outcome,
}

/// The queues and what is known of missing groups; no IO.
struct Keeper {
    group_wait_max: Duration,
    queues: BTreeMap<LogSource, Queue>,
    ready: VecDeque<LogSource>,
    /// Containers of which a batch was not kept, until it comes again.
    stalled: BTreeMap<LogSource, Stalled>,
    /// In all queues, and being kept.
    batches: usize,
    missing: BTreeMap<(Region, String), Missing>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<LogDelivery>,
    is_busy: bool,
}

/// What came behind a batch that was not kept: the sender begins again with a smaller number, or on another link.
struct Stalled {
    link: LinkId,
    last: u64,
    left: u32,
}

impl Stalled {
    fn ends_with(&self, delivery: &LogDelivery) -> bool {
        let first = delivery.batch.records.first().map_or(0, |record| record.sequence);
        self.link != delivery.link || first <= self.last || self.left == BEHIND_FAILED_MAX
    }

    fn leave(&mut self, delivery: &LogDelivery) {
        self.last = delivery.batch.records.last().map_or(self.last, |record| record.sequence);
        self.left += 1;
    }
}

struct Missing {
    since: Instant,
    warned_at: Option<Instant>,
    lines_dropped: u64,
}

impl Keeper {
    fn new(group_wait_max: Duration) -> Self {
        let (queues, ready, stalled, missing) = Default::default();
        Self { group_wait_max, queues, ready, stalled, batches: 0, missing }
    }

    fn take(&mut self, delivery: LogDelivery) {
        let source = delivery.batch.source.clone();
        if let Some(stalled) = self.stalled.get_mut(&source) {
            if !stalled.ends_with(&delivery) {
                stalled.leave(&delivery);
                return;
            }
            self.stalled.remove(&source);
        }
        self.batches += 1;
        let queue = self.queues.entry(source.clone()).or_default();
        queue.waiting.push_back(delivery);
        if !queue.is_busy && queue.waiting.len() == 1 {
            self.ready.push_back(source);
        }
    }

    /// A batch that may be kept now, and how long it may wait for its group.
    fn next(&mut self, now: Instant) -> Option<(LogDelivery, Duration)> {
        let queue = self.queues.get_mut(&self.ready.pop_front()?)?;
        let delivery = queue.waiting.pop_front()?;
        queue.is_busy = true;
        let group = (delivery.batch.region.clone(), delivery.batch.group.clone());
        let missed = self.missing.get(&group).map_or(Duration::ZERO, |missing| now - missing.since);
        Some((delivery, self.group_wait_max.saturating_sub(missed)))
    }

    /// Takes note of the outcome; gives what the sender is to be told.
    fn end(&mut self, ended: Ended, now: Instant) -> Option<(LinkId, ToNode)> {
        self.batches -= 1;
        if ended.outcome == Outcome::Failed {
            self.stall(&ended);
            return None;
        }
        if let Some(queue) = self.queues.get_mut(&ended.source) {
            queue.is_busy = false;
            if queue.waiting.is_empty() {
                self.queues.remove(&ended.source);
            } else {
                self.ready.push_back(ended.source.clone());
            }
        }
        let sequence = match ended.outcome {
            Outcome::Failed => return None,
            Outcome::NoGroup => {
                self.dropped(ended.group, ended.lines, now);
                ended.last?
            }
            Outcome::NoName => {
                let (region, group) = ended.group;
                tracing::warn!(
                    "{} lines are dropped: {region} has no log group or stream of such a name: {group}",
                    ended.lines
                );
                ended.last?
            }
            Outcome::Kept { sequence } => {
                self.missing.remove(&ended.group);
                sequence
            }
        };
        Some((ended.link, ToNode::LogsKept { source: ended.source, sequence }))
    }

    /// Leaves what waits behind a batch that was not kept.
    fn stall(&mut self, failed: &Ended) {
        if self.stalled.len() >= STALLED_MAX {
            self.stalled.clear();
        }
        let mut stalled = Stalled { link: failed.link, last: failed.last.unwrap_or(0), left: 0 };
        let waiting = self.queues.remove(&failed.source).unwrap_or_default().waiting;
        let mut again = VecDeque::new();
        for delivery in waiting {
            if again.is_empty() && !stalled.ends_with(&delivery) {
                stalled.leave(&delivery);
                self.batches -= 1;
            } else {
                again.push_back(delivery);
            }
        }
        if again.is_empty() {
            self.stalled.insert(failed.source.clone(), stalled);
        } else {
            self.queues.insert(failed.source.clone(), Queue { waiting: again, is_busy: false });
            self.ready.push_back(failed.source.clone());
        }
    }

    fn dropped(&mut self, group: (Region, String), lines: u64, now: Instant) {
        if self.missing.len() >= MISSING_GROUPS_MAX && !self.missing.contains_key(&group) {
            self.missing.clear();
        }
        let (region, name) = &group;
        let name = format!("{region}:{name}");
        let missing = self.missing.entry(group).or_insert(Missing {
            since: now - self.group_wait_max,
            warned_at: None,
            lines_dropped: 0,
        });
        missing.lines_dropped += lines;
        if missing.warned_at.is_none_or(|at| now - at >= WARNING_INTERVAL) {
            let dropped = std::mem::take(&mut missing.lines_dropped);
            missing.warned_at = Some(now);
            tracing::warn!(
                "the log group {name} does not exist: {dropped} lines of containers are dropped; create it, or set \
                 awslogs-create-group"
            );
        }
    }
}

/// Tries until the batch is kept or nothing more can be done.
async fn keep_one(context: Arc<Context>, delivery: LogDelivery, patience: Duration) -> Ended {
    let LogDelivery { link, batch } = delivery;
    let record = |record: gantry_link::LogRecord| Record {
        sequence: record.sequence,
        at: record.at,
        message: record.message,
    };
    let lines = Lines {
        region: batch.region,
        group: batch.group,
        stream: batch.stream,
        create_group: batch.create_group,
        source: format!("{}/{}", batch.source.task, batch.source.container),
        records: batch.records.into_iter().map(record).collect(),
    };
    let mut ended = Ended {
        link,
        source: batch.source,
        group: (lines.region.clone(), lines.group.clone()),
        lines: lines.records.len() as u64,
        last: lines.records.last().map(|record| record.sequence),
        outcome: Outcome::Failed,
    };
    let give_up = Instant::now() + patience;
    let mut tries = 0;
    ended.outcome = loop {
        match ingest(&context, lines.clone(), Timestamp::now()).await {
            Ok(Some(sequence)) => break Outcome::Kept { sequence },
            Ok(None) => break Outcome::Failed,
            Err(IngestError::Name(_)) => break Outcome::NoName,
            Err(IngestError::NoGroup(_)) if Instant::now() >= give_up => break Outcome::NoGroup,
            Err(IngestError::NoGroup(_)) => sleep(GROUP_RETRY_AFTER).await,
            Err(IngestError::Unavailable(reason)) => {
                tries += 1;
                if tries == TRIES_MAX {
                    tracing::warn!("log lines cannot be kept and are left with their node: {reason}");
                    break Outcome::Failed;
                }
                sleep(RETRY_AFTER * tries).await;
            }
        }
    };
    ended
}

#[cfg(test)]
mod tests {
    use gantry_domain::network::Cidr;
    use gantry_link::{LogBatch, LogRecord};
    use gantry_services::{RootKey, Settings};
    use gantry_store::fault::FaultyDisk;
    use gantry_store::{Database, Options};
    use gantry_telemetry::logs::{Limits, LogStore};
    use gantry_types::Ids;
    use tokio::time::timeout;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn context(folder: &std::path::Path) -> Arc<Context> {
        let settings = Settings {
            dns_suffix: "localhost".to_owned(),
            load_balancer_range: Cidr::parse("127.64.0.0/10").unwrap(),
            account_created_at: Timestamp::EPOCH,
        };
        let root = RootKey { access_key_id: "AKIA".to_owned(), secret_access_key: "s".to_owned() };
        let database = Database::open(FaultyDisk::new(1), Options::default()).unwrap();
        let log_store = LogStore::open(folder, Limits::default()).unwrap();
        Arc::new(Context::new(database, log_store, Ids::from_seed(1), root, settings))
    }

    fn source(container: &str) -> LogSource {
        LogSource { task: "t".into(), container: container.to_owned() }
    }

    fn delivery(container: &str, group: &str, numbers: std::ops::Range<u64>) -> LogDelivery {
        let record = |sequence| LogRecord { sequence, at: Timestamp::now(), message: format!("{sequence}") };
        let batch = LogBatch {
            source: source(container),
            region: "us-east-1".into(),
            group: group.to_owned(),
            stream: format!("s/{container}"),
            create_group: group != "/missing",
            records: numbers.map(record).collect(),
        };
        LogDelivery { link: LinkId(1), batch }
    }

    #[test]
    fn a_containers_batches_are_kept_one_after_the_other() {
        let mut keeper = Keeper::new(GROUP_WAIT_MAX);
        for (container, first) in [("a", 1), ("a", 5), ("b", 1), ("a", 9)] {
            keeper.take(delivery(container, "/web", first..first + 4));
        }
        let now = Instant::now();
        let next = |keeper: &mut Keeper| {
            let next = keeper.next(now).map(|(delivery, _)| delivery.batch);
            next.map(|batch| (batch.source.container, batch.records[0].sequence))
        };
        assert_eq!(next(&mut keeper), Some(("a".to_owned(), 1)));
        assert_eq!(next(&mut keeper), Some(("b".to_owned(), 1)));
        assert_eq!(next(&mut keeper), None, "the others wait for the first one of theirs");
        let ended = |container: &str, sequence| Ended {
            link: LinkId(1),
            source: source(container),
            group: ("us-east-1".into(), "/web".to_owned()),
            lines: 4,
            last: Some(sequence),
            outcome: Outcome::Kept { sequence },
        };
        let told = ToNode::LogsKept { source: source("a"), sequence: 4 };
        assert_eq!(keeper.end(ended("a", 4), now), Some((LinkId(1), told)));
        assert_eq!(next(&mut keeper), Some(("a".to_owned(), 5)));
        assert_eq!(next(&mut keeper), None);
        keeper.end(ended("b", 4), now);
        keeper.end(ended("a", 8), now);
        assert_eq!(next(&mut keeper), Some(("a".to_owned(), 9)));
        keeper.end(ended("a", 12), now);
        assert_eq!((keeper.batches, keeper.queues.len(), keeper.ready.len()), (0, 0, 0));
    }

    /// The disk was full for the first batch and has room for the second: whoever kept that one would tell its sender that the
    /// first is kept too.
    #[test]
    fn nothing_is_kept_behind_a_batch_that_was_not() {
        let mut keeper = Keeper::new(GROUP_WAIT_MAX);
        let now = Instant::now();
        let next =
            |keeper: &mut Keeper| keeper.next(now).map(|(delivery, _)| delivery.batch.records[0].sequence);
        let failed = |link, sequence| Ended {
            link: LinkId(link),
            source: source("a"),
            group: ("us-east-1".into(), "/web".to_owned()),
            lines: 1,
            last: Some(sequence),
            outcome: Outcome::Failed,
        };
        let from = |link, numbers| LogDelivery { link: LinkId(link), ..delivery("a", "/web", numbers) };
        for first in [1, 2] {
            keeper.take(from(1, first..first + 1));
        }
        assert_eq!(next(&mut keeper), Some(1));
        assert_eq!(keeper.end(failed(1, 1), now), None);
        assert_eq!(next(&mut keeper), None, "what waited is left");
        keeper.take(from(1, 3..4));
        assert_eq!(next(&mut keeper), None, "so is what comes behind it");
        keeper.take(from(1, 1..4));
        assert_eq!(next(&mut keeper), Some(1), "the sender begins again");

        keeper.take(from(1, 4..5));
        keeper.take(from(2, 1..5));
        assert_eq!(keeper.end(failed(1, 3), now), None);
        assert_eq!(next(&mut keeper), Some(1), "on another link it has begun again already");

        assert_eq!(keeper.end(failed(2, 4), now), None);
        // The spool was full meanwhile: its first line is a later one.
        for first in 11..=13 {
            keeper.take(from(2, first..first + 1));
            assert_eq!(next(&mut keeper), None);
        }
        keeper.take(from(2, 14..15));
        assert_eq!(
            next(&mut keeper),
            Some(14),
            "no sender has more on their way behind one that was not kept"
        );
        assert_eq!(keeper.batches, 1);
    }

    #[test]
    fn a_group_is_waited_for_once() {
        let mut keeper = Keeper::new(GROUP_WAIT_MAX);
        let now = Instant::now();
        let mut patience = |now| {
            keeper.take(delivery("a", "/missing", 1..2));
            let (delivery, patience) = keeper.next(now).unwrap();
            let group = (delivery.batch.region, delivery.batch.group);
            let (source, link) = (delivery.batch.source, delivery.link);
            let outcome = Outcome::NoGroup;
            let told = keeper.end(Ended { link, source, group, lines: 1, last: Some(1), outcome }, now);
            assert!(told.is_some(), "who sent it may forget it");
            patience
        };
        assert_eq!(patience(now), GROUP_WAIT_MAX);
        assert_eq!(patience(now), Duration::ZERO);
        assert_eq!(patience(now + WARNING_INTERVAL), Duration::ZERO);
    }

    #[tokio::test]
    async fn lines_are_kept_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let (sender, deliveries) = mpsc::channel(8);
        let (told, mut heard) = mpsc::unbounded_channel();
        let keeping =
            tokio::spawn(keep(context(folder.path()), deliveries, GROUP_WAIT_MAX, move |_, message| {
                told.send(message).unwrap();
            }));
        for first in [1, 3, 5] {
            sender.send(delivery("a", "/web", first..first + 2)).await.unwrap();
        }
        for sequence in [2, 4, 6] {
            let message = timeout(LIMIT, heard.recv()).await.unwrap().unwrap();
            assert_eq!(message, ToNode::LogsKept { source: source("a"), sequence });
        }
        drop(sender);
        timeout(LIMIT, keeping).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn lines_for_a_group_that_never_comes_hold_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let (sender, deliveries) = mpsc::channel(8);
        let (told, mut heard) = mpsc::unbounded_channel();
        let wait = Duration::from_millis(400);
        tokio::spawn(keep(context(folder.path()), deliveries, wait, move |_, message| {
            told.send(message).unwrap();
        }));
        sender.send(delivery("lost", "/missing", 1..9)).await.unwrap();
        sender.send(delivery("a", "/web", 1..2)).await.unwrap();
        let first = timeout(LIMIT, heard.recv()).await.unwrap().unwrap();
        assert_eq!(first, ToNode::LogsKept { source: source("a"), sequence: 1 });
        let second = timeout(LIMIT, heard.recv()).await.unwrap().unwrap();
        assert_eq!(second, ToNode::LogsKept { source: source("lost"), sequence: 8 });
    }
}
