//! A spool that is full, on a disk that is full: what gives way is counted.

use gantry_spool::fault::MemoryDirectory;
use gantry_spool::{AppendError, Entry, LimitError, Limits, OpenError, Position, Sequence, WhenFull, Writer};
use proptest::prelude::*;

use crate::{LIMITS, at, drain, reader, writer};

const SMALL: Limits = Limits { total_bytes: 1600, segment_bytes: 400, when_full: WhenFull::DropOldest };

fn spool_bytes(directory: &MemoryDirectory) -> u64 {
    directory
        .files()
        .iter()
        .filter(|(name, _)| name.ends_with(".spool"))
        .map(|(_, bytes)| *bytes as u64)
        .sum()
}

#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    Read,
    Acknowledge,
    Reopen,
    DiskFills(u64),
    DiskHeals,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0usize..300).prop_map(Step::Append),
        2 => Just(Step::Read),
        1 => Just(Step::Acknowledge),
        1 => Just(Step::Reopen),
        1 => (0u64..500).prop_map(Step::DiskFills),
        2 => Just(Step::DiskHeals),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_frame_is_read_or_counted(seed: u64, steps in proptest::collection::vec(step(), 1..150)) {
        let directory = MemoryDirectory::new(seed);
        let mut writer = writer(&directory, SMALL);
        let mut reader = reader(&directory, Position::Acknowledged);
        let (mut appended, mut accounted, mut epochs) = (0, 0, 0);
        for step in steps {
            match step {
                Step::Append(size) => {
                    appended += 1;
                    let _ = writer.append(0, at(1), &vec![b'x'; size]);
                    prop_assert!(spool_bytes(&directory) <= SMALL.total_bytes);
                }
                Step::Read => {
                    let drained = drain(&mut reader);
                    accounted += drained.frames.len() as u64 + drained.lost_frames;
                    prop_assert!(accounted <= appended);
                }
                Step::Acknowledge => {
                    let _ = reader.acknowledge(reader.position());
                }
                Step::Reopen => {
                    // Drops at the very end have nothing behind them that could tell, so a writer that dies full is not
                    // part of this property.
                    directory.heal();
                    appended += 1;
                    writer.append(0, at(1), b"last").unwrap();
                    writer = crate::writer(&directory, SMALL);
                    epochs += 1;
                }
                Step::DiskFills(room) => directory.fail_after_bytes(room),
                Step::DiskHeals => directory.heal(),
            }
        }
        directory.heal();
        appended += 1;
        writer.append(0, at(1), b"last").unwrap();
        let drained = drain(&mut reader);
        accounted += drained.frames.len() as u64 + drained.lost_frames;
        prop_assert_eq!(&drained.frames.last().unwrap().1, b"last");
        if epochs == 0 {
            prop_assert_eq!(accounted, appended);
        } else {
            // The record of a reopening may itself have been dropped; then the older epoch's part is not known.
            prop_assert!(accounted <= appended);
        }
    }

    #[test]
    fn a_spool_that_refuses_keeps_exactly_what_it_took(
        seed: u64,
        steps in proptest::collection::vec(step(), 1..150),
    ) {
        let limits = Limits { when_full: WhenFull::Refuse, ..SMALL };
        let directory = MemoryDirectory::new(seed);
        let mut writer = writer(&directory, limits);
        let mut reader = reader(&directory, Position::Acknowledged);
        let (mut taken, mut read) = (Vec::new(), Vec::new());
        for (index, step) in steps.into_iter().enumerate() {
            match step {
                Step::Append(size) => {
                    let payload = format!("{index}{}", "x".repeat(size)).into_bytes();
                    if let Ok(sequence) = writer.append(0, at(1), &payload) {
                        taken.push((sequence, payload));
                    }
                    prop_assert!(spool_bytes(&directory) <= limits.total_bytes);
                }
                Step::Read | Step::Acknowledge => {
                    let drained = drain(&mut reader);
                    prop_assert_eq!(drained.lost_frames, 0);
                    read.extend(drained.frames);
                    let _ = reader.acknowledge(reader.position());
                }
                Step::Reopen => writer = crate::writer(&directory, limits),
                Step::DiskFills(room) => directory.fail_after_bytes(room),
                Step::DiskHeals => directory.heal(),
            }
        }
        let drained = drain(&mut reader);
        prop_assert_eq!(drained.lost_frames, 0);
        read.extend(drained.frames);
        prop_assert_eq!(read, taken);
    }
}

#[test]
fn the_oldest_go_first_and_the_reader_is_told_how_many() {
    let directory = MemoryDirectory::new(1);
    let mut writer = writer(&directory, SMALL);
    for number in 0..100 {
        writer.append(0, at(1), format!("{number:070}").as_bytes()).unwrap();
    }
    let drained = drain(&mut reader(&directory, Position::Acknowledged));
    // Frames of 100 bytes: four a segment, four segments.
    assert_eq!((drained.frames.len(), drained.lost_frames, drained.damaged_bytes), (16, 84, 0));
    assert_eq!(drained.frames.last().unwrap().0, Sequence(100));
    assert_eq!(writer.dropped_frames(), 84);
}

#[test]
fn acknowledged_segments_make_room() {
    let limits = Limits { when_full: WhenFull::Refuse, ..SMALL };
    let directory = MemoryDirectory::new(1);
    let mut writer = writer(&directory, limits);
    let mut reader = reader(&directory, Position::Acknowledged);
    while writer.append(0, at(1), &[0; 70]).is_ok() {}
    let error = writer.append(0, at(1), &[0; 70]).unwrap_err();
    assert!(matches!(error, AppendError::Full { total_bytes: 1600 }), "{error}");
    assert_eq!(drain(&mut reader).frames.len(), 16);
    reader.acknowledge(Sequence(3)).unwrap();
    writer.append(0, at(1), &[0; 70]).unwrap_err();
    reader.acknowledge(Sequence(9)).unwrap();
    for expected in 17..=24 {
        assert_eq!(writer.append(0, at(1), &[0; 70]).unwrap(), Sequence(expected));
    }
    writer.append(0, at(1), &[0; 70]).unwrap_err();
}

#[test]
fn what_was_not_read_cannot_be_acknowledged() {
    let directory = MemoryDirectory::new(1);
    let mut writer = writer(&directory, LIMITS);
    for _ in 0..20 {
        writer.append(0, at(1), &[0; 70]).unwrap();
    }
    let mut first = reader(&directory, Position::Acknowledged);
    first.read().unwrap();
    first.acknowledge(Sequence(u64::MAX)).unwrap();
    assert_eq!(first.acknowledged(), Sequence(1));
    let drained = drain(&mut reader(&directory, Position::Acknowledged));
    assert_eq!((drained.frames.len(), drained.lost_frames), (19, 0));
}

#[test]
fn a_batch_is_split_where_frames_may_be_dropped_and_refused_where_not() {
    let payload = [0; 170];
    let entries = [Entry { tag: 0, at: at(1), payload: &payload }; 5];
    let directory = MemoryDirectory::new(1);
    assert_eq!(writer(&directory, SMALL).append_all(&entries).unwrap(), Sequence(5));
    assert_eq!(drain(&mut reader(&directory, Position::Acknowledged)).frames.len(), 5);

    let directory = MemoryDirectory::new(1);
    let limits = Limits { when_full: WhenFull::Refuse, ..SMALL };
    let error = writer(&directory, limits).append_all(&entries).unwrap_err();
    assert!(matches!(error, AppendError::BatchTooLarge { bytes: 1000, segment_bytes: 400 }), "{error}");
    assert_eq!(drain(&mut reader(&directory, Position::Acknowledged)).frames.len(), 0);
}

#[test]
fn sizes_that_cannot_work_are_refused() {
    let directory = MemoryDirectory::new(1);
    let error = writer(&directory, SMALL).append(0, at(1), &[0; 371]).unwrap_err();
    assert!(matches!(error, AppendError::PayloadTooLarge { bytes: 371, bytes_max: 370 }), "{error}");
    for (segment_bytes, total_bytes) in [(10, 1000), (500, 1000)] {
        let limits = Limits { total_bytes, segment_bytes, when_full: WhenFull::Refuse };
        let error = Writer::open_in(directory.clone(), limits).unwrap_err();
        assert!(
            matches!(
                error,
                OpenError::Limits(LimitError::SegmentTooSmall { .. } | LimitError::TooFewSegments { .. })
            ),
            "{error}"
        );
    }
}
