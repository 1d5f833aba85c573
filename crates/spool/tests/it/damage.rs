//! Bytes that changed on the disk: the reader skips them, counts them, and gives out nothing that was not written.

use gantry_spool::fault::MemoryDirectory;
use gantry_spool::{FRAME_HEADER_BYTES, Position, Sequence};
use proptest::prelude::*;

use crate::{LIMITS, at, drain, reader, writer};

fn segments(directory: &MemoryDirectory) -> Vec<(String, usize)> {
    directory.files().into_iter().filter(|(name, bytes)| name.ends_with(".spool") && *bytes > 0).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frames_beside_damage_are_all_read(
        seed: u64,
        sizes in proptest::collection::vec(0usize..120, 2..40),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1u8..), 1..6),
    ) {
        let directory = MemoryDirectory::new(seed);
        let mut writer = writer(&directory, LIMITS);
        // Where each frame stands, to know which are hit.
        let mut frames = Vec::new();
        for (index, size) in sizes.iter().enumerate() {
            let payload = format!("{index}:{}", "x".repeat(*size)).into_bytes();
            let sequence = writer.append(0, at(1), &payload).unwrap();
            let (name, end) = segments(&directory).pop().unwrap();
            frames.push((sequence, name, end - FRAME_HEADER_BYTES - payload.len()..end, payload));
        }
        let mut flipped = Vec::new();
        for (segment, offset, mask) in flips {
            let segments = segments(&directory);
            let (name, bytes) = &segments[segment.index(segments.len())];
            let offset = offset.index(*bytes);
            directory.flip(name, offset, mask);
            flipped.push((name.clone(), offset));
        }
        let sealing = writer.append(0, at(1), &[0; 360]).unwrap();

        let mut reader = reader(&directory, Position::Acknowledged);
        let drained = drain(&mut reader);
        let hit = |name: &String, range: &std::ops::Range<usize>| {
            flipped.iter().any(|(flipped, offset)| flipped == name && range.contains(offset))
        };
        for (sequence, name, range, payload) in &frames {
            let found = drained.frames.iter().find(|(found, _)| found == sequence);
            match found {
                Some((_, found)) => prop_assert_eq!(found, payload),
                None => prop_assert!(hit(name, range), "{} was not damaged", sequence),
            }
        }
        prop_assert_eq!(drained.frames.last().unwrap().0, sealing);
        prop_assert_eq!(drained.frames.len() as u64 + drained.lost_frames, frames.len() as u64 + 1);
        prop_assert_eq!(drained.lost_frames == 0, reader.damaged_bytes() == 0);
        prop_assert_eq!(drained.damaged_bytes, reader.damaged_bytes());
    }

    #[test]
    fn any_file_with_a_segments_name_is_read_to_its_end(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        use gantry_spool::{Directory, SegmentFile};
        let directory = MemoryDirectory::new(1);
        directory.create("00000000000000000001-00000000.spool").unwrap().write_at(&bytes, 0).unwrap();
        directory.create("00000000000000000002-00000000.spool").unwrap();
        let drained = drain(&mut reader(&directory, Position::Acknowledged));
        prop_assert!(drained.frames.is_empty());
        writer(&directory, LIMITS).append(0, at(1), b"goes on").unwrap();
    }
}

#[test]
fn a_payload_that_looks_like_a_frame_is_none() {
    let directory = MemoryDirectory::new(7);
    let mut first = writer(&directory, LIMITS);
    first.append(0, at(1), b"one").unwrap();
    // The container somehow learned what its frames look like in another spool.
    let elsewhere = MemoryDirectory::new(8);
    writer(&elsewhere, LIMITS).append(0, at(1), b"forged").unwrap();
    let forged = {
        use gantry_spool::{Directory, SegmentFile};
        let (name, bytes) = segments(&elsewhere).pop().unwrap();
        let mut forged = vec![0; bytes];
        elsewhere.open(&name).unwrap().unwrap().read_at(&mut forged, 0).unwrap();
        forged
    };
    first.append(0, at(1), &forged.repeat(3)).unwrap();
    first.append(0, at(1), b"three").unwrap();
    let (name, _) = segments(&directory).pop().unwrap();
    // The length of the frame around the forged ones is damaged.
    directory.flip(&name, FRAME_HEADER_BYTES + 3 + 4, 0x10);

    let drained = drain(&mut reader(&directory, Position::Acknowledged));
    let read: Vec<_> =
        drained.frames.iter().map(|(sequence, payload)| (sequence.0, payload.as_slice())).collect();
    assert_eq!(read, [(1, b"one".as_slice()), (3, b"three")]);
    assert_eq!(drained.lost_frames, 1);
}

#[test]
fn a_damaged_length_does_not_make_the_reader_wait_for_bytes_that_never_come() {
    let directory = MemoryDirectory::new(9);
    let mut writer = writer(&directory, LIMITS);
    for text in [b"one", b"two", b"thr"] {
        writer.append(0, at(1), text).unwrap();
    }
    let (name, _) = segments(&directory).pop().unwrap();
    // The second frame now says that it has 1 MiB; its segment is still the newest.
    directory.flip(&name, FRAME_HEADER_BYTES + 3 + 6, 0x10);
    let drained = drain(&mut reader(&directory, Position::Acknowledged));
    let read: Vec<_> = drained.frames.iter().map(|(sequence, _)| *sequence).collect();
    assert_eq!((read, drained.lost_frames), (vec![Sequence(1), Sequence(3)], 1));
}
