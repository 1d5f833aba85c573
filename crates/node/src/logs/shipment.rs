//! One container's output on its way.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Instant;

use gantry_link::{LogBatch, LogRecord, LogSource};
use gantry_spool::{Item, Position, ReadError, Reader, Sequence};
use gantry_types::Timestamp;

use super::destination::Destination;
use super::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, BATCHES_OF_SOURCE_MAX, RECORD_OVERHEAD_BYTES, RESEND_AFTER};

/// Reads a spool, and remembers what was sent and not acknowledged.
#[derive(Debug)]
pub(super) struct Shipment {
    source: LogSource,
    destination: Destination,
    directory: PathBuf,
    reader: Reader,
    /// The last sequence of each batch that was sent, with the time.
    on_the_way: VecDeque<(u64, Instant)>,
    /// Read, but too large for the batch before it.
    held_over: Option<LogRecord>,
    /// The spool had nothing more when it was last read.
    at_end: bool,
}

impl Shipment {
    pub(super) fn open(
        source: LogSource,
        destination: Destination,
        directory: PathBuf,
    ) -> Result<Self, ReadError> {
        let reader = Reader::open(&directory, Position::Acknowledged)?;
        Ok(Self {
            source,
            destination,
            directory,
            reader,
            on_the_way: VecDeque::new(),
            held_over: None,
            at_end: false,
        })
    }

    pub(super) fn directory(&self) -> &PathBuf {
        &self.directory
    }

    /// More was written.
    pub(super) fn grew(&mut self) {
        self.at_end = false;
    }

    /// Nothing more is to be read, and everything that was sent is acknowledged.
    pub(super) fn is_done(&self) -> bool {
        self.at_end && self.held_over.is_none() && self.on_the_way.is_empty()
    }

    pub(super) fn batches_on_the_way(&self) -> usize {
        self.on_the_way.len()
    }

    /// There may be something to send, and room for it.
    pub(super) fn wants_to_send(&self) -> bool {
        let more = !self.at_end || self.held_over.is_some();
        more && self.on_the_way.len() < BATCHES_OF_SOURCE_MAX
    }

    /// When the oldest batch without acknowledgement is to be sent again.
    pub(super) fn resend_at(&self) -> Option<Instant> {
        self.on_the_way.front().map(|(_, at)| *at + RESEND_AFTER)
    }

    /// Begins again behind what was acknowledged: the link is another one, or `control` did not answer.
    pub(super) fn rewind(&mut self) -> Result<(), ReadError> {
        self.reader = Reader::open(&self.directory, Position::Acknowledged)?;
        self.on_the_way.clear();
        self.held_over = None;
        self.at_end = false;
        Ok(())
    }

    /// The next lines; `None` when there are none. `is_full`: more follows at once.
    pub(super) fn next_batch(&mut self, now: Instant) -> Result<Option<Batch>, ReadError> {
        let mut records = Vec::new();
        let mut bytes = 0;
        let mut is_full = false;
        while let Some(record) = self.next_record()? {
            let more = record.message.len() + RECORD_OVERHEAD_BYTES;
            if records.len() == BATCH_RECORDS_MAX || (bytes + more > BATCH_BYTES_MAX && !records.is_empty()) {
                self.held_over = Some(record);
                is_full = true;
                break;
            }
            bytes += more;
            records.push(record);
        }
        let Some(last) = records.last() else {
            // Empty lines alone: there is nothing to send and nothing that could be acknowledged later.
            if self.on_the_way.is_empty() {
                self.reader.acknowledge(self.reader.position())?;
            }
            return Ok(None);
        };
        self.on_the_way.push_back((last.sequence, now));
        let Destination { region, group, stream, create_group } = self.destination.clone();
        let source = self.source.clone();
        Ok(Some(Batch { batch: LogBatch { source, region, group, stream, create_group, records }, is_full }))
    }

    /// Lines up to this sequence are kept.
    pub(super) fn kept(&mut self, sequence: u64) -> Result<(), ReadError> {
        while self.on_the_way.front().is_some_and(|(last, _)| *last <= sequence) {
            self.on_the_way.pop_front();
        }
        self.reader.acknowledge(Sequence(sequence))
    }

    fn next_record(&mut self) -> Result<Option<LogRecord>, ReadError> {
        if let Some(record) = self.held_over.take() {
            return Ok(Some(record));
        }
        loop {
            match self.reader.read()? {
                None => {
                    self.at_end = true;
                    return Ok(None);
                }
                // CloudWatch Logs has no empty events, and Docker's driver sends none.
                Some(Item::Frame(frame)) if frame.payload.is_empty() => {}
                Some(Item::Frame(frame)) => {
                    return Ok(Some(LogRecord {
                        sequence: frame.sequence.0,
                        at: frame.at,
                        message: String::from_utf8_lossy(frame.payload).into_owned(),
                    }));
                }
                Some(Item::Lost(lost)) => {
                    return Ok(Some(LogRecord {
                        // The last of those that are missing: nobody else has this number.
                        sequence: lost.first.0 + (lost.frames - 1),
                        at: Timestamp::now(),
                        message: lost_message(lost.frames),
                    }));
                }
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Batch {
    pub(super) batch: LogBatch,
    pub(super) is_full: bool,
}

fn lost_message(lines: u64) -> String {
    let (lines, were) =
        if lines == 1 { ("1 line".to_owned(), "was") } else { (format!("{lines} lines"), "were") };
    format!("[gantry] {lines} of output {were} lost here: they came faster than they could be kept")
}

#[cfg(test)]
mod tests {
    use gantry_spool::{Limits, WhenFull, Writer};

    use super::*;

    struct Spool(PathBuf);
    impl Spool {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("gantry-node-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            Self(path)
        }
        fn writer(&self, total_bytes: u64) -> Writer {
            let limits =
                Limits { total_bytes, segment_bytes: total_bytes / 4, when_full: WhenFull::DropOldest };
            Writer::open(&self.0, limits).unwrap()
        }
        fn shipment(&self) -> Shipment {
            let source = LogSource { task: "t".into(), container: "web".to_owned() };
            let destination = Destination {
                region: "r".into(),
                group: "g".to_owned(),
                stream: "s".to_owned(),
                create_group: false,
            };
            Shipment::open(source, destination, self.0.clone()).unwrap()
        }
    }
    impl Drop for Spool {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn messages(shipment: &mut Shipment) -> Vec<(u64, String)> {
        let batch = shipment.next_batch(Instant::now()).unwrap();
        let records = batch.map(|batch| batch.batch.records).unwrap_or_default();
        records.into_iter().map(|record| (record.sequence, record.message)).collect()
    }

    #[test]
    fn what_is_not_acknowledged_is_sent_again_with_the_same_sequences() {
        let spool = Spool::new("resend");
        let mut writer = spool.writer(1 << 20);
        for line in ["one", "", "bäd \u{fffd}", "four"] {
            writer.append(1, Timestamp::EPOCH, line.as_bytes()).unwrap();
        }
        let mut shipment = spool.shipment();
        let sent = messages(&mut shipment);
        let texts: Vec<&str> = sent.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["one", "bäd \u{fffd}", "four"], "empty lines are no events");
        shipment.kept(sent[0].0).unwrap();
        assert!(!shipment.is_done());
        shipment.rewind().unwrap();
        assert_eq!(messages(&mut shipment), sent[1..]);
        shipment.kept(sent[2].0).unwrap();
        assert!(shipment.is_done());
        assert_eq!(
            messages(&mut spool.shipment()),
            [],
            "another process begins behind what was acknowledged"
        );
    }

    #[test]
    fn bytes_that_are_no_utf8_are_replaced() {
        let spool = Spool::new("utf8");
        spool.writer(1 << 20).append(1, Timestamp::EPOCH, b"a\xffb").unwrap();
        assert_eq!(messages(&mut spool.shipment())[0].1, "a\u{fffd}b");
    }

    #[test]
    fn batches_are_cut_at_both_limits_and_lose_nothing() {
        let spool = Spool::new("cut");
        let mut writer = spool.writer(64 << 20);
        for number in 0..2500 {
            writer.append(1, Timestamp::EPOCH, format!("{number}").as_bytes()).unwrap();
        }
        for _ in 0..3 {
            writer.append(1, Timestamp::EPOCH, &vec![b'x'; 600 << 10]).unwrap();
        }
        let mut shipment = spool.shipment();
        let mut sizes = Vec::new();
        while shipment.wants_to_send() {
            let batch = shipment.next_batch(Instant::now()).unwrap().expect("there is more").batch;
            let last = batch.records.last().expect("no batch is empty").sequence;
            let bytes: usize = batch.records.iter().map(|record| record.message.len() + 26).sum();
            assert!(bytes <= BATCH_BYTES_MAX, "{bytes}");
            sizes.push(batch.records.len());
            shipment.kept(last).unwrap();
        }
        assert_eq!(sizes, [1000, 1000, 501, 1, 1]);
    }

    #[test]
    fn only_so_much_is_on_its_way() {
        let spool = Spool::new("window");
        let mut writer = spool.writer(1 << 20);
        let mut shipment = spool.shipment();
        for sent in 0..BATCHES_OF_SOURCE_MAX {
            assert!(shipment.wants_to_send(), "{sent}");
            writer.append(1, Timestamp::EPOCH, b"line").unwrap();
            shipment.grew();
            assert!(shipment.next_batch(Instant::now()).unwrap().is_some());
            shipment.grew();
        }
        assert!(!shipment.wants_to_send());
        shipment.kept(1).unwrap();
        assert!(shipment.wants_to_send());
    }

    #[test]
    fn lost_lines_are_counted_in_a_line() {
        let spool = Spool::new("lost");
        let mut writer = spool.writer(8 << 10);
        for number in 0..200 {
            writer.append(1, Timestamp::EPOCH, format!("{number:0100}").as_bytes()).unwrap();
        }
        let sent = messages(&mut spool.shipment());
        let (sequence, text) = &sent[0];
        assert_eq!(*text, lost_message(*sequence), "the first {sequence} lines");
        assert_eq!(sent[1].0, sequence + 1);
        assert!(sent.last().expect("lines").1.ends_with("199"));
    }
}
