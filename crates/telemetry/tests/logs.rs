//! The log store on real files: what is kept, found again, paged and let go.

use std::path::Path;

use gantry_telemetry::logs::{Batch, Limits, LogStore, Order, Position, Record, Scan, StreamId};
use gantry_types::Timestamp;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn stream(name: &str) -> StreamId {
    StreamId(name.to_owned())
}

fn batch(name: &str, source: Option<&str>, records: &[(u64, i64, &str)]) -> Batch {
    let record = |&(sequence, millis, message): &(u64, i64, &str)| Record {
        sequence,
        at: at(millis),
        message: message.to_owned(),
    };
    Batch {
        stream: stream(name),
        source: source.map(str::to_owned),
        records: records.iter().map(record).collect(),
        ingested_at: at(1_000_000),
    }
}

fn open(folder: &Path, limits: Limits) -> LogStore {
    LogStore::open(folder, limits).expect("the store opens")
}

fn all<'a>(streams: &'a [StreamId], order: Order) -> Scan<'a> {
    Scan { streams, from: None, to: None, order, after: None, events_max: 1000, bytes_max: 1 << 20 }
}

fn messages(store: &LogStore, scan: &Scan<'_>) -> Vec<String> {
    let page = store.scan(scan, |_| true).expect("a page");
    page.events.into_iter().map(|(_, event)| event.message).collect()
}

#[tokio::test]
async fn what_was_kept_is_there_after_a_restart_in_order_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let streams = [stream("a")];
    {
        let store = open(folder.path(), Limits::default());
        store.append(batch("a", Some("c1"), &[(1, 20, "second"), (2, 10, "first")])).await.unwrap();
        store.append(batch("a", Some("c1"), &[(2, 10, "first"), (3, 30, "third")])).await.unwrap();
        store.append(batch("b", None, &[(0, 15, "other")])).await.unwrap();
    }
    for _ in 0..2 {
        let store = open(folder.path(), Limits::default());
        assert_eq!(messages(&store, &all(&streams, Order::OldestFirst)), ["first", "second", "third"]);
        assert_eq!(messages(&store, &all(&streams, Order::NewestFirst)), ["third", "second", "first"]);
        store.append(batch("a", Some("c1"), &[(3, 30, "third")])).await.unwrap();
        let summary = store.summary(&streams[0]);
        assert_eq!((summary.first_event_at, summary.last_event_at), (Some(at(10)), Some(at(30))));
        // Once from the write-ahead log, once from a segment.
        store.seal();
    }
}

#[tokio::test]
async fn pages_meet_whether_sealed_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { memtable_bytes: 2_000, block_bytes: 200, ..Limits::default() };
    let store = open(folder.path(), limits);
    let streams = [stream("a"), stream("b")];
    let mut expected = Vec::new();
    for number in 0..200u64 {
        let (name, millis) = (if number % 3 == 0 { "b" } else { "a" }, (number as i64 * 37) % 101);
        let text = format!("event {number}");
        store.append(batch(name, None, &[(0, millis, &text)])).await.unwrap();
        expected.push((millis, number, text));
    }
    expected.sort();
    let expected: Vec<String> = expected.into_iter().map(|(_, _, text)| text).collect();
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let (mut seen, mut after): (Vec<String>, Option<Position>) = (Vec::new(), None);
        loop {
            let scan = Scan { after, events_max: 7, ..all(&streams, order) };
            let page = store.scan(&scan, |_| true).unwrap();
            after = page.events.last().map(|(_, event)| event.position());
            seen.extend(page.events.into_iter().map(|(_, event)| event.message));
            if !page.more {
                break;
            }
        }
        if order == Order::NewestFirst {
            seen.reverse();
        }
        assert_eq!(seen, expected);
    }
    let range = Scan { from: Some(at(10)), to: Some(at(12)), ..all(&streams, Order::OldestFirst) };
    let page = store.scan(&range, |event| event.message.ends_with('3')).unwrap();
    assert!(page.events.iter().all(|(_, e)| e.at >= at(10) && e.at < at(12) && e.message.ends_with('3')));
}

#[tokio::test]
async fn a_page_stops_at_its_bytes_but_never_stands_still() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Limits::default());
    let long = "x".repeat(1000);
    store.append(batch("a", None, &[(0, 1, &long), (0, 2, &long)])).await.unwrap();
    let streams = [stream("a")];
    let page = store.scan(&Scan { bytes_max: 10, ..all(&streams, Order::OldestFirst) }, |_| true).unwrap();
    assert_eq!((page.events.len(), page.more), (1, true));
}

#[tokio::test]
async fn the_oldest_segment_goes_first_and_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { memtable_bytes: 10_000, segments_bytes: 3_000, ..Limits::default() };
    let store = open(folder.path(), limits);
    // Lines that do not compress, so that segments have a size.
    let mut ids = gantry_types::Ids::from_seed(1);
    for number in 0..60i64 {
        store.append(batch("a", None, &[(0, number, &ids.hex(1000))])).await.unwrap();
    }
    assert!(store.dropped_segments() > 0);
    let streams = [stream("a")];
    let page = store.scan(&all(&streams, Order::OldestFirst), |_| true).unwrap();
    assert!(page.events.first().is_some_and(|(_, event)| event.at > at(0)));
    assert_eq!(page.events.last().map(|(_, event)| event.at), Some(at(59)));
    assert_eq!(store.summary(&streams[0]).first_event_at, page.events.first().map(|(_, event)| event.at));
}

#[tokio::test]
async fn a_damaged_segment_hides_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = open(folder.path(), Limits::default());
        store.append(batch("a", None, &[(0, 1, "one")])).await.unwrap();
        store.seal();
        store.append(batch("a", None, &[(0, 2, "two")])).await.unwrap();
        store.seal();
    }
    let first = folder.path().join("0000000000000001.segment");
    let bytes = std::fs::read(&first).unwrap();
    std::fs::write(&first, &bytes[..bytes.len() - 3]).unwrap();
    let store = open(folder.path(), Limits::default());
    assert_eq!(messages(&store, &all(&[stream("a")], Order::OldestFirst)), ["two"]);
    store.append(batch("a", None, &[(0, 3, "three")])).await.unwrap();
    assert_eq!(messages(&store, &all(&[stream("a")], Order::OldestFirst)), ["two", "three"]);
}

#[tokio::test]
async fn a_segment_whose_log_was_not_shortened_is_not_read_twice() {
    let folder = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    {
        let store = open(folder.path(), Limits::default());
        store.append(batch("a", None, &[(0, 1, "one")])).await.unwrap();
        // The write-ahead log as it was before the seal, beside the segment from after it: a crash between the two.
        copy_folder(&folder.path().join("wal"), &copy.path().join("wal"));
        store.seal();
    }
    std::fs::copy(
        folder.path().join("0000000000000001.segment"),
        copy.path().join("0000000000000001.segment"),
    )
    .unwrap();
    let store = open(copy.path(), Limits::default());
    assert_eq!(messages(&store, &all(&[stream("a")], Order::OldestFirst)), ["one"]);
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the file system works");
    for entry in std::fs::read_dir(from).expect("the file system works") {
        let entry = entry.expect("the file system works");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("the file system works");
    }
}

#[tokio::test]
async fn subscribers_see_what_is_appended() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Limits::default());
    let mut follower = store.subscribe();
    store.append(batch("a", Some("c"), &[(1, 1, "one")])).await.unwrap();
    store.append(batch("a", Some("c"), &[(1, 1, "one"), (2, 2, "two")])).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let appended = follower.recv().await.unwrap();
        seen.extend(appended.events.iter().map(|event| event.message.clone()));
    }
    assert_eq!(seen, ["one", "two"]);
}
