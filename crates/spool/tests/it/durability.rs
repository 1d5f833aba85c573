//! Processes that die, machines that lose power: what was read is what was written, in order, and synced frames stay.

use std::collections::{BTreeMap, BTreeSet};

use gantry_spool::fault::MemoryDirectory;
use gantry_spool::{Entry, Position, Sequence};
use proptest::prelude::*;

use crate::{LIMITS, MemoryReader, MemoryWriter, at, drain, reader, writer};

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<u16>),
    Read,
    Acknowledge(u64),
    Sync,
    WriterDies,
    ReaderDies,
    PowerFails,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => proptest::collection::vec(0u16..90, 1..4).prop_map(Step::Append),
        3 => Just(Step::Read),
        2 => (0u64..6).prop_map(Step::Acknowledge),
        2 => Just(Step::Sync),
        1 => Just(Step::WriterDies),
        1 => Just(Step::ReaderDies),
        1 => Just(Step::PowerFails),
    ]
}

struct World {
    directory: MemoryDirectory,
    writer: MemoryWriter,
    reader: MemoryReader,
    /// Every frame that was ever appended: a sequence never carries another.
    written: BTreeMap<Sequence, Vec<u8>>,
    /// Frames that are there; those that no crash may take; those of which a crash took some.
    present: BTreeSet<Sequence>,
    durable: BTreeSet<Sequence>,
    in_doubt: BTreeSet<Sequence>,
    read_up_to: Sequence,
}

impl World {
    fn new(seed: u64) -> Self {
        let directory = MemoryDirectory::new(seed);
        let (writer, reader) = (writer(&directory, LIMITS), reader(&directory, Position::Acknowledged));
        let mut world = Self {
            directory,
            writer,
            reader,
            written: BTreeMap::new(),
            present: BTreeSet::new(),
            durable: BTreeSet::new(),
            in_doubt: BTreeSet::new(),
            read_up_to: Sequence::ZERO,
        };
        // A spool of which nothing is durable may vanish altogether.
        world.apply(&Step::Append(vec![1]));
        world.apply(&Step::Sync);
        world
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Append(sizes) => self.append(sizes),
            Step::Read => self.read(),
            Step::Acknowledge(behind) => {
                let sequence = Sequence(self.reader.position().0.saturating_sub(*behind));
                self.reader.acknowledge(sequence).expect("the disk has room");
            }
            Step::Sync => {
                self.writer.sync().expect("the disk is not told to fail");
                self.durable.clone_from(&self.present);
            }
            Step::WriterDies => self.writer = writer(&self.directory, LIMITS),
            Step::ReaderDies => {
                self.reader = reader(&self.directory, Position::Acknowledged);
                self.read_up_to = self.reader.position();
            }
            Step::PowerFails => {
                self.directory.crash();
                self.in_doubt.extend(self.present.difference(&self.durable));
                self.present.clone_from(&self.durable);
                self.writer = writer(&self.directory, LIMITS);
                self.reader = reader(&self.directory, Position::Acknowledged);
                self.read_up_to = self.reader.position();
            }
        }
    }

    fn append(&mut self, sizes: &[u16]) {
        // Every payload is another, so that a frame in the place of another is noticed.
        let payloads: Vec<Vec<u8>> = sizes
            .iter()
            .enumerate()
            .map(|(index, size)| {
                let mut payload = vec![b'x'; usize::from(*size)];
                payload.extend_from_slice(format!("{}.{index}", self.written.len()).as_bytes());
                payload
            })
            .collect();
        let entries: Vec<_> = payloads.iter().map(|payload| Entry { tag: 1, at: at(7), payload }).collect();
        let last = self.writer.append_all(&entries).expect("the spool has room");
        for (payload, back) in payloads.into_iter().zip((0..sizes.len() as u64).rev()) {
            let sequence = Sequence(last.0 - back);
            assert_eq!(self.written.insert(sequence, payload), None, "{sequence} was given twice");
            self.present.insert(sequence);
        }
    }

    fn read(&mut self) {
        let drained = drain(&mut self.reader);
        for (sequence, payload) in &drained.frames {
            assert_eq!(self.written.get(sequence), Some(payload), "{sequence}");
            let is_expected = self.present.contains(sequence) || self.in_doubt.contains(sequence);
            assert!(is_expected && *sequence > self.read_up_to, "{sequence}");
        }
        let found: BTreeSet<_> = drained.frames.iter().map(|(sequence, _)| *sequence).collect();
        for sequence in self.present.iter().filter(|sequence| **sequence > self.read_up_to) {
            assert!(found.contains(sequence), "{sequence} is missing; found {found:?}");
        }
        if self.in_doubt.is_empty() {
            assert_eq!(drained.lost_frames, 0);
        }
        self.read_up_to = self.reader.position();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_read_is_what_was_written(seed: u64, steps in proptest::collection::vec(step(), 1..60)) {
        let mut world = World::new(seed);
        for step in &steps {
            world.apply(step);
        }
        world.apply(&Step::Read);
    }
}

#[test]
fn what_a_crash_took_never_shares_a_sequence_with_what_comes_later() {
    let directory = MemoryDirectory::new(3);
    let mut first = writer(&directory, LIMITS);
    first.append(0, at(1), b"durable").unwrap();
    first.sync().unwrap();
    for _ in 0..8 {
        first.append(0, at(1), b"only in memory").unwrap();
    }
    let seen = drain(&mut reader(&directory, Position::Acknowledged));
    assert_eq!(seen.frames.len(), 9);
    directory.crash();

    let mut second = writer(&directory, LIMITS);
    let sequence = second.append(0, at(2), b"after").unwrap();
    assert!(sequence > seen.frames[8].0);
    // A receiver that has all nine asks for what is behind them.
    let mut resumed = reader(&directory, Position::After(seen.frames[8].0));
    let after = drain(&mut resumed);
    assert_eq!((after.frames, after.lost_frames), (vec![(sequence, b"after".to_vec())], 0));
}

#[test]
fn a_torn_end_is_waited_for_and_then_cut_off() {
    let directory = MemoryDirectory::new(4);
    let mut first = writer(&directory, LIMITS);
    first.append(0, at(1), b"whole").unwrap();
    directory.fail_after_bytes(20);
    directory.fail_truncate();
    first.append(0, at(1), b"torn").unwrap_err();
    directory.heal();
    drop(first);
    let mut reader = reader(&directory, Position::Acknowledged);
    let before = drain(&mut reader);
    assert_eq!((before.frames.len(), reader.damaged_bytes()), (1, 0));

    writer(&directory, LIMITS).append(0, at(1), b"next").unwrap();
    let after = drain(&mut reader);
    assert_eq!((after.frames.len(), after.lost_frames, reader.damaged_bytes()), (1, 0, 0));
}

#[test]
fn frames_after_a_failed_sync_are_kept_by_the_next_one() {
    let directory = MemoryDirectory::new(5);
    let mut writer = writer(&directory, LIMITS);
    writer.append(0, at(1), b"in doubt").unwrap();
    directory.fail_sync();
    writer.sync().unwrap_err();
    directory.heal();
    let again = writer.append(0, at(1), b"again").unwrap();
    writer.sync().unwrap();
    directory.crash();
    let found = drain(&mut reader(&directory, Position::Acknowledged)).frames;
    assert!(found.contains(&(again, b"again".to_vec())), "{found:?}");
}
