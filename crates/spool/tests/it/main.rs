//! The spool as its two processes see it, on a disk that fails and on the machine's own.

mod bounds;
mod damage;
mod durability;
mod real_files;

use gantry_spool::fault::MemoryDirectory;
use gantry_spool::{Directory, Item, Limits, Position, Reader, Sequence, WhenFull, Writer};
use gantry_types::Timestamp;

type MemoryWriter = Writer<MemoryDirectory>;
type MemoryReader = Reader<MemoryDirectory>;

const LIMITS: Limits = Limits { total_bytes: 1 << 20, segment_bytes: 400, when_full: WhenFull::Refuse };

fn writer(directory: &MemoryDirectory, limits: Limits) -> MemoryWriter {
    Writer::open_in(directory.clone(), limits).expect("the disk is not told to fail")
}

fn reader(directory: &MemoryDirectory, from: Position) -> MemoryReader {
    Reader::open_in(directory.clone(), from).expect("the disk is not told to fail")
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// What a reader gave out.
#[derive(Debug, Default, PartialEq, Eq)]
struct Drained {
    frames: Vec<(Sequence, Vec<u8>)>,
    lost_frames: u64,
    damaged_bytes: u64,
}

/// Reads to the end, and checks what always holds: sequences rise, and no frame stands where loss was reported.
fn drain<D: Directory>(reader: &mut Reader<D>) -> Drained {
    let mut drained = Drained::default();
    let mut previous = reader.position();
    while let Some(item) = reader.read().expect("the disk can be read") {
        match item {
            Item::Frame(frame) => {
                assert!(frame.sequence > previous, "{} after {previous}", frame.sequence);
                previous = frame.sequence;
                drained.frames.push((frame.sequence, frame.payload.to_vec()));
            }
            Item::Lost(lost) => {
                assert!(lost.first > previous && lost.frames > 0, "{lost:?} after {previous}");
                previous = Sequence(lost.first.0 + lost.frames - 1);
                drained.lost_frames += lost.frames;
                drained.damaged_bytes += lost.damaged_bytes;
            }
        }
    }
    drained
}

#[test]
fn frames_are_read_back_with_all_that_they_carry() {
    let directory = MemoryDirectory::new(1);
    let mut writer = writer(&directory, LIMITS);
    let mut reader = reader(&directory, Position::Acknowledged);
    assert_eq!(reader.read().unwrap(), None);
    let sequence = writer.append(2, at(1_700_000_000_123), b"hello").unwrap();
    match reader.read().unwrap() {
        Some(Item::Frame(frame)) => {
            assert_eq!((frame.sequence, frame.tag, frame.payload), (sequence, 2, b"hello".as_slice()));
            assert_eq!(frame.at, at(1_700_000_000_123));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(reader.read().unwrap(), None);
    assert_eq!(writer.append(1, at(1), b"").unwrap(), Sequence(2));
    assert_eq!(drain(&mut reader).frames, [(Sequence(2), Vec::new())]);
}
