//! How fast changes become durable on this machine's disk: `cargo bench -p gantry-store`.

use std::time::{Duration, Instant};

use gantry_domain::Change;
use gantry_domain::object::Object;
use gantry_store::{Database, FileDisk, Options, Store, Transaction};

const RUN: Duration = Duration::from_secs(2);
/// Records that exist while others are replaced.
const RECORDS: u64 = 5000;

fn main() {
    for group in [1, 10, 100] {
        bytes(group);
    }
    for committers in [1, 10, 100] {
        records(committers);
    }
}

/// The core alone: transactions of one put of 1,000 bytes.
fn bytes(group: u64) {
    let directory = tempfile::tempdir().expect("a directory for the bench");
    let mut store = Store::open(FileDisk::new(directory.path().join("store")), Options::default())
        .expect("a new store opens");
    let (mut number, mut took, begun) = (0u64, Vec::new(), Instant::now());
    while begun.elapsed() < RUN {
        let put = |index| {
            let key = format!("task/{}", (number + index) % RECORDS);
            Transaction::default().put(key, [b'x'; 1000])
        };
        let transactions: Vec<_> = (0..group).map(put).collect();
        let one = Instant::now();
        for outcome in store.commit_all(&transactions) {
            outcome.expect("the disk has room");
        }
        took.push(one.elapsed());
        number += group;
    }
    report(&format!("bytes, {group} a sync"), number, begun.elapsed(), took);
}

/// All of it: callers that each wait for their commit of one record before they make the next.
fn records(committers: u64) {
    let directory = tempfile::tempdir().expect("a directory for the bench");
    let database = Database::open(FileDisk::new(directory.path().join("store")), Options::default())
        .expect("a new store opens");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    let begun = Instant::now();
    let took = runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for committer in 0..committers {
            let database = database.clone();
            tasks.spawn(async move {
                let mut took = Vec::new();
                while begun.elapsed() < RUN {
                    let name = ((took.len() as u64 * committers + committer) % RECORDS).to_string();
                    let document = "x".repeat(1000).into();
                    let change = Change::put(Object { class: "bench".to_owned(), name, document });
                    let one = Instant::now();
                    database.commit(vec![change]).await.expect("the disk has room");
                    took.push(one.elapsed());
                }
                took
            });
        }
        tasks.join_all().await.concat()
    });
    report(&format!("records, {committers} committers"), took.len() as u64, begun.elapsed(), took);
}

fn report(name: &str, commits: u64, run: Duration, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |part: usize| took[(took.len() - 1) * part / 1000].as_secs_f64() * 1e3;
    let per_second = commits as f64 / run.as_secs_f64();
    println!("{name:28} {per_second:9.0} commits/s, p50 {:.3} ms, p99 {:.3} ms", at(500), at(990));
}
