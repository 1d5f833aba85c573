//! How fast frames are appended, synced and read: `cargo bench -p gantry-spool`.

use std::time::{Duration, Instant};

use gantry_spool::{Entry, Item, Limits, Position, Reader, WhenFull, Writer};
use gantry_types::Timestamp;

const RUN: Duration = Duration::from_secs(1);
const LIMITS: Limits =
    Limits { total_bytes: 256 << 20, segment_bytes: 4 << 20, when_full: WhenFull::DropOldest };

fn main() {
    for (name, payload_bytes, batch) in [
        ("lines of 100 bytes, one a write", 100, 1),
        ("lines of 100 bytes, 500 a write", 100, 500),
        ("16 KiB, one a write", 16 << 10, 1),
    ] {
        append(name, payload_bytes, batch);
    }
    sync("1,000 bytes, one a sync", 1);
    sync("1,000 bytes, 100 a sync", 100);
}

fn append(name: &str, payload_bytes: usize, batch: usize) {
    let directory = tempfile::tempdir().expect("a directory for the bench");
    let mut writer = Writer::open(directory.path(), LIMITS).expect("a new spool opens");
    let payload = vec![b'x'; payload_bytes];
    let entries = vec![Entry { tag: 1, at: Timestamp::now(), payload: &payload }; batch];
    let (mut frames, begun) = (0u64, Instant::now());
    while begun.elapsed() < RUN {
        writer.append_all(&entries).expect("the disk has room");
        frames += batch as u64;
    }
    report(&format!("append {name}"), frames, payload_bytes, begun.elapsed());

    let mut reader = Reader::open(directory.path(), Position::Acknowledged).expect("the spool opens");
    let (mut frames, begun) = (0u64, Instant::now());
    while let Some(item) = reader.read().expect("the spool is read") {
        frames += u64::from(matches!(item, Item::Frame(_)));
    }
    report(&format!("read   {name}"), frames, payload_bytes, begun.elapsed());
}

fn sync(name: &str, batch: usize) {
    let directory = tempfile::tempdir().expect("a directory for the bench");
    let mut writer = Writer::open(directory.path(), LIMITS).expect("a new spool opens");
    let payload = vec![b'x'; 1000];
    let entries = vec![Entry { tag: 1, at: Timestamp::now(), payload: &payload }; batch];
    let (mut syncs, begun) = (0u64, Instant::now());
    while begun.elapsed() < RUN {
        writer.append_all(&entries).expect("the disk has room");
        writer.sync().expect("the disk syncs");
        syncs += 1;
    }
    report(&format!("sync   {name}"), syncs * batch as u64, 1000, begun.elapsed());
}

fn report(name: &str, frames: u64, payload_bytes: usize, took: Duration) {
    let per_second = frames as f64 / took.as_secs_f64();
    let megabytes = per_second * payload_bytes as f64 / 1e6;
    println!("{name:45} {per_second:12.0} frames/s {megabytes:9.1} MB/s of payload");
}
