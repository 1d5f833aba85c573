//! The machine's own files: two openings of a directory, and the descriptor that tells of new frames.

use std::time::{Duration, Instant};

use gantry_spool::{Item, Limits, OpenError, Position, Reader, Sequence, Watch, Writer};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{at, drain};

/// True as soon as the watch is readable, false after `bound`.
fn readable(watch: &Watch, bound: Duration) -> bool {
    let deadline = Instant::now() + bound;
    loop {
        let rest = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: rest.as_secs() as i64, tv_nsec: i64::from(rest.subsec_nanos()) };
        match poll(&mut [PollFd::new(watch, PollFlags::IN)], Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            outcome => return outcome.expect("a descriptor can be polled") > 0,
        }
    }
}

#[test]
fn the_watch_names_the_spools_that_have_grown() {
    let root = tempfile::tempdir().unwrap();
    let (busy, idle) = (root.path().join("busy"), root.path().join("idle"));
    let mut writer = Writer::open(&busy, Limits::CONTAINER_OUTPUT).unwrap();
    let _idle = Writer::open(&idle, Limits::CONTAINER_OUTPUT).unwrap();
    let mut watch = Watch::new().unwrap();
    let (busy_id, idle_id) = (watch.add(&busy).unwrap(), watch.add(&idle).unwrap());
    assert_ne!(busy_id, idle_id);
    assert_eq!(watch.add(&busy).unwrap(), busy_id);
    assert!(watch.changed().unwrap().is_empty());

    writer.append(1, at(1), b"first, in a new segment").unwrap();
    assert!(readable(&watch, Duration::from_secs(10)));
    assert_eq!(watch.changed().unwrap(), [busy_id].into());
    writer.append(1, at(1), b"second").unwrap();
    assert!(readable(&watch, Duration::from_secs(10)));
    assert_eq!(watch.changed().unwrap(), [busy_id].into());
    assert!(!readable(&watch, Duration::ZERO));

    watch.remove(busy_id).unwrap();
    watch.remove(busy_id).unwrap();
    writer.append(1, at(1), b"nobody cares").unwrap();
    assert!(watch.changed().unwrap().is_empty());
}

#[test]
fn a_reader_follows_a_writer_through_many_segments() {
    const FRAMES: u64 = 20_000;
    let root = tempfile::tempdir().unwrap();
    let limits = Limits { total_bytes: 64 << 20, segment_bytes: 64 << 10, ..Limits::CONTAINER_OUTPUT };
    let mut watch = Watch::new().unwrap();
    let mut reader = Reader::open(root.path(), Position::Acknowledged).unwrap();
    watch.add(root.path()).unwrap();
    let mut writer = Writer::open(root.path(), limits).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for number in 1..=FRAMES {
                let payload = vec![b'x'; (number % 200) as usize];
                assert_eq!(writer.append(1, at(1), &payload).unwrap(), Sequence(number));
            }
        });
        let mut expected = 1;
        while expected <= FRAMES {
            while let Some(item) = reader.read().unwrap() {
                match item {
                    Item::Frame(frame) => {
                        assert_eq!(frame.sequence, Sequence(expected));
                        assert_eq!(frame.payload.len() as u64, expected % 200);
                        expected += 1;
                    }
                    Item::Lost(lost) => panic!("{lost:?}"),
                }
            }
            reader.acknowledge(Sequence(expected - 1)).unwrap();
            if expected <= FRAMES {
                assert!(readable(&watch, Duration::from_secs(30)), "stuck before {expected}");
                watch.changed().unwrap();
            }
        }
    });
    assert_eq!(reader.damaged_bytes(), 0);
    let left = std::fs::read_dir(root.path()).unwrap().count();
    assert!(left <= 2, "{left} files are left");
}

#[test]
fn one_directory_has_one_writer() {
    let root = tempfile::tempdir().unwrap();
    let writer = Writer::open(root.path(), Limits::WRITE_AHEAD_LOG).unwrap();
    let error = Writer::open(root.path(), Limits::WRITE_AHEAD_LOG).unwrap_err();
    assert!(matches!(error, OpenError::InUse), "{error}");
    drop(writer);
    Writer::open(root.path(), Limits::WRITE_AHEAD_LOG).unwrap();
}

#[test]
fn a_spool_outlives_its_writer() {
    let root = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(root.path(), Limits::WRITE_AHEAD_LOG).unwrap();
    writer.append(1, at(5), b"before").unwrap();
    writer.sync().unwrap();
    drop(writer);
    let mut writer = Writer::open(root.path(), Limits::WRITE_AHEAD_LOG).unwrap();
    writer.append(1, at(6), b"after").unwrap();
    writer.sync().unwrap();
    let drained = drain(&mut Reader::open(root.path(), Position::Acknowledged).unwrap());
    let payloads: Vec<_> = drained.frames.into_iter().map(|(_, payload)| payload).collect();
    assert_eq!((payloads, drained.lost_frames), (vec![b"before".to_vec(), b"after".to_vec()], 0));
}
