//! How fast transactions become durable on this machine's disk: `cargo bench -p gantry-store`.

use std::time::{Duration, Instant};

use gantry_store::{FileDisk, Options, Store, Transaction};

const RUN: Duration = Duration::from_secs(2);

fn main() {
    for group in [1, 10, 100] {
        let directory = tempfile::tempdir().expect("a directory for the bench");
        let mut store = Store::open(FileDisk::new(directory.path().join("store")), Options::default())
            .expect("a new store opens");
        let (mut number, mut worst, begun) = (0u64, Duration::ZERO, Instant::now());
        while begun.elapsed() < RUN {
            let transactions: Vec<_> = (0..group)
                .map(|index| {
                    Transaction::default().put(format!("task/{}", (number + index) % 5000), [b'x'; 1000])
                })
                .collect();
            let one = Instant::now();
            for outcome in store.commit_all(&transactions) {
                outcome.expect("the disk has room");
            }
            worst = worst.max(one.elapsed());
            number += group;
        }
        let (commits, took) = (number as f64, begun.elapsed().as_secs_f64());
        println!(
            "{group:4} a sync: {:9.0} commits/s, {:7.3} ms a sync, worst {:7.3} ms",
            commits / took,
            took * 1e3 / (commits / group as f64),
            worst.as_secs_f64() * 1e3,
        );
    }
}
