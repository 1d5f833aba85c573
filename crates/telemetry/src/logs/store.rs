//! The log store: opening it, appending, reading.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use gantry_spool::{Item, Position as SpoolPosition, Reader, Sequence, Writer};
use gantry_types::Timestamp;
use thiserror::Error;
use tokio::sync::broadcast;

use super::event::{Appended, Batch, Event, StreamId, StreamSummary};
use super::limits::Limits;
use super::memtable::{Memtable, Numbering};
use super::scan::{Page, Scan, scan};
use super::segment::Segment;
use super::writer::{AppendError, Queue};

const SEGMENT_EXTENSION: &str = "segment";

#[derive(Debug, Error)]
pub enum OpenError {
    #[error("opening the log store in {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("opening the log store's write-ahead log: {0}")]
    WriteAheadLog(String),
}

/// A handle; all handles are one store.
#[derive(Debug, Clone)]
pub struct LogStore {
    queue: Arc<Queue>,
    inner: Arc<RwLock<Inner>>,
    subscribers: broadcast::Sender<Appended>,
}

/// What readers see and the writer changes.
#[derive(Debug)]
pub(super) struct Inner {
    folder: PathBuf,
    limits: Limits,
    segments: VecDeque<Segment>,
    next_segment: u64,
    memtable: Memtable,
    numbering: Numbering,
    summaries: BTreeMap<StreamId, StreamSummary>,
    log: Reader,
    log_kept: Sequence,
    /// Segments that were removed to stay inside the limit, since the store was opened.
    dropped_segments: u64,
}

impl LogStore {
    /// Opens the store in `folder`, reads what was not sealed, and starts the writer.
    pub fn open(folder: &Path, limits: Limits) -> Result<Self, OpenError> {
        let io_error = |source| OpenError::Io { path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(io_error)?;
        let segments = open_segments(folder).map_err(io_error)?;
        let wal = folder.join("wal");
        let wal_error = |error: &dyn std::error::Error| OpenError::WriteAheadLog(error.to_string());
        let writer = Writer::open(&wal, limits.write_ahead_log).map_err(|error| wal_error(&error))?;
        let log = Reader::open(&wal, SpoolPosition::Acknowledged).map_err(|error| wal_error(&error))?;
        let mut inner = Inner::new(folder, limits, segments, log);
        inner.replay().map_err(|error| wal_error(&error))?;
        let (subscribers, _) = broadcast::channel(limits.subscriber_batches);
        let inner = Arc::new(RwLock::new(inner));
        let queue =
            Queue::start(&limits, writer, Arc::clone(&inner), subscribers.clone()).map_err(io_error)?;
        Ok(Self { queue: Arc::new(queue), inner, subscribers })
    }

    /// Keeps a batch; it is durable when this returns.
    pub async fn append(&self, batch: Batch) -> Result<(), AppendError> {
        self.queue.push(batch)?.await.unwrap_or(Err(AppendError::Stopped))
    }

    /// Reads a page of events for which `keep` holds.
    pub fn scan(&self, request: &Scan<'_>, keep: impl FnMut(&Event) -> bool) -> io::Result<Page> {
        let inner = self.inner.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        scan(request, inner.segments.iter(), &inner.memtable, keep)
    }

    pub fn summary(&self, stream: &StreamId) -> StreamSummary {
        let inner = self.inner.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        inner.summaries.get(stream).cloned().unwrap_or_default()
    }

    /// What is appended from now on. A subscriber that lags too far behind is told how much it missed.
    pub fn subscribe(&self) -> broadcast::Receiver<Appended> {
        self.subscribers.subscribe()
    }

    /// Writes the memtable out: at an orderly stop, so that the next start reads no write-ahead log.
    pub fn seal(&self) {
        self.inner.write().unwrap_or_else(std::sync::PoisonError::into_inner).seal();
    }

    /// Removes segments in which every event is older than `before`.
    pub fn expire(&self, before: Timestamp) {
        self.inner.write().unwrap_or_else(std::sync::PoisonError::into_inner).expire(before);
    }

    /// How many segments were let go to stay inside the limit.
    pub fn dropped_segments(&self) -> u64 {
        self.inner.read().unwrap_or_else(std::sync::PoisonError::into_inner).dropped_segments
    }
}

fn open_segments(folder: &Path) -> io::Result<Vec<(u64, Segment)>> {
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "unfinished") {
            std::fs::remove_file(&path)?;
            continue;
        }
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        let (true, Some(number)) = (path.extension().is_some_and(|e| e == SEGMENT_EXTENSION), number) else {
            continue;
        };
        match Segment::open(&path) {
            Ok(segment) => segments.push((number, segment)),
            // Others can still be read; the file stays for whoever wants to look at it.
            Err(error) => tracing::error!(path = %path.display(), %error, "a log segment can not be read"),
        }
    }
    segments.sort_by_key(|(number, _)| *number);
    Ok(segments)
}

impl Inner {
    fn new(folder: &Path, limits: Limits, segments: Vec<(u64, Segment)>, log: Reader) -> Self {
        let mut numbering = Numbering { next: 1, ..Numbering::default() };
        let mut log_kept = Sequence::ZERO;
        // Each segment's sources and counters include those of the segments before it.
        if let Some((_, newest)) = segments.last() {
            numbering.next = numbering.next.max(newest.next_number);
            numbering.sources = newest.sources.clone();
            log_kept = Sequence(newest.log_kept);
        }
        let mut inner = Self {
            folder: folder.to_owned(),
            limits,
            next_segment: segments.last().map_or(1, |(number, _)| number + 1),
            segments: segments.into_iter().map(|(_, segment)| segment).collect(),
            memtable: Memtable::default(),
            numbering,
            summaries: BTreeMap::new(),
            log,
            log_kept,
            dropped_segments: 0,
        };
        inner.summarise();
        inner
    }

    /// Makes the summaries anew from what is there.
    fn summarise(&mut self) {
        self.summaries.clear();
        for block in self.segments.iter().flat_map(|segment| &segment.blocks) {
            let summary = self.summaries.entry(block.stream.clone()).or_default();
            summary.add(block.first.at, block.last.at, block.ingested_last, block.bytes);
        }
        for (stream, events) in &self.memtable.streams {
            let summary = self.summaries.entry(stream.clone()).or_default();
            for event in events {
                summary.add(event.at, event.at, event.ingested_at, event.bytes() as u64);
            }
        }
    }

    /// Takes in what the write-ahead log holds beyond the segments.
    fn replay(&mut self) -> Result<(), gantry_spool::ReadError> {
        loop {
            let (batch, sequence) = match self.log.read()? {
                None => return Ok(()),
                Some(Item::Lost(lost)) => {
                    tracing::error!(frames = lost.frames, "batches of log events are damaged on disk");
                    continue;
                }
                // Sealed, but the log was not shortened before the end.
                Some(Item::Frame(frame)) if frame.sequence <= self.log_kept => continue,
                Some(Item::Frame(frame)) => {
                    (ciborium::from_reader::<Batch, _>(frame.payload), frame.sequence)
                }
            };
            match batch {
                Ok(batch) => {
                    self.keep(batch, sequence);
                    self.seal_if_full();
                }
                Err(error) => tracing::error!(%error, "a batch of log events can not be read"),
            }
        }
    }

    /// Puts a durable batch into the memtable; gives the events that are new.
    pub(super) fn keep(&mut self, batch: Batch, sequence: Sequence) -> Vec<Event> {
        let stream = batch.stream.clone();
        let events = self.numbering.admit(batch);
        self.log_kept = self.log_kept.max(sequence);
        if let (Some(first), Some(last)) =
            (events.iter().map(|e| e.at).min(), events.iter().map(|e| e.at).max())
        {
            let bytes = events.iter().map(|event| event.bytes() as u64).sum();
            let ingested = events.iter().map(|event| event.ingested_at).max().unwrap_or(last);
            self.summaries.entry(stream.clone()).or_default().add(first, last, ingested, bytes);
            self.memtable.add(&stream, &events);
        }
        events
    }

    pub(super) fn seal_if_full(&mut self) {
        if self.memtable.bytes >= self.limits.memtable_bytes {
            self.seal();
        }
    }

    /// Writes the memtable into a segment and lets the write-ahead log go. If the disk refuses, both stay, and the next batch
    /// tries again.
    fn seal(&mut self) {
        if self.memtable.is_empty() {
            return;
        }
        let path = self.folder.join(format!("{:016}.{SEGMENT_EXTENSION}", self.next_segment));
        self.numbering.prune();
        let (streams, block_bytes) = (&self.memtable.streams, self.limits.block_bytes);
        match Segment::write(&path, streams, &self.numbering, self.log_kept.0, block_bytes) {
            Ok(segment) => {
                self.segments.push_back(segment);
                self.next_segment += 1;
                self.memtable = Memtable::default();
                self.let_log_go();
                self.drop_oldest();
            }
            Err(error) => {
                tracing::error!(%error, "log events can not be sealed; they stay in the write-ahead log");
            }
        }
    }

    fn let_log_go(&mut self) {
        // The reader must have passed a frame before it can acknowledge it.
        while self.log.position() < self.log_kept {
            match self.log.read() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "the write-ahead log can not be read");
                    return;
                }
            }
        }
        if let Err(error) = self.log.acknowledge(self.log_kept) {
            tracing::error!(%error, "the write-ahead log can not be shortened");
        }
    }

    fn drop_oldest(&mut self) {
        let mut bytes: u64 = self.segments.iter().map(|segment| segment.file_bytes).sum();
        while bytes > self.limits.segments_bytes && self.segments.len() > 1 {
            let Some(oldest) = self.segments.pop_front() else { return };
            bytes -= oldest.file_bytes;
            self.dropped_segments += 1;
            remove(oldest);
            self.summarise();
        }
    }

    fn expire(&mut self, before: Timestamp) {
        let (expired, kept) =
            self.segments.drain(..).partition(|segment| segment.last_event_at().is_none_or(|at| at < before));
        self.segments = kept;
        let expired: VecDeque<Segment> = expired;
        expired.into_iter().for_each(remove);
        self.summarise();
    }
}

fn remove(segment: Segment) {
    if let Err(error) = segment.remove() {
        tracing::error!(%error, "an old log segment can not be removed");
    }
}
