//! Power fails at any write: every acknowledged commit is there afterwards, and no transaction is there in part.

use std::time::{Duration, Instant};

use gantry_store::fault::FaultyDisk;
use gantry_store::{Options, Store, TransactionError};
use gantry_types::Ids;

use crate::model::{Model, transaction};
use crate::{content, open};

const SEEDS_MAX: u64 = 5_000;
const TIME_MAX: Duration = Duration::from_secs(6);

/// Runs seeds until the time is over; `GANTRY_SEED` replays one, `GANTRY_SEEDS` runs that many.
fn for_each_seed(run: fn(u64)) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("GANTRY_SEED") {
        return run(seed);
    }
    let first = u64::from(std::process::id()) << 20;
    let (seeds, begun) = (number("GANTRY_SEEDS"), Instant::now());
    let mut done = 0;
    while seeds.map_or(done < SEEDS_MAX && begun.elapsed() < TIME_MAX, |seeds| done < seeds) {
        let seed = first + done;
        if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!("replay with GANTRY_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
        done += 1;
    }
    println!("{done} seeds");
    assert!(done >= 20, "only {done} seeds in {TIME_MAX:?}");
}

/// What may be found after a crash: what was acknowledged, or that and the group that was under way.
struct Run {
    random: Ids,
    disk: FaultyDisk,
    store: Option<Store>,
    acknowledged: Model,
    under_way: Option<Model>,
}

impl Run {
    fn group(&mut self) {
        let Some(store) = &mut self.store else { return };
        let mut after = self.acknowledged.clone();
        let (mut transactions, mut expected) = (Vec::new(), Vec::new());
        for _ in 0..=self.random.below(4) {
            let transaction = transaction(&mut self.random, &after);
            expected.push(after.commit(&transaction));
            transactions.push(transaction);
        }
        let outcomes = store.commit_all(&transactions);
        if outcomes.iter().any(|outcome| matches!(outcome, Err(TransactionError::Storage(_)))) {
            assert!(self.disk.has_lost_power(), "{outcomes:?}");
            self.under_way = Some(after);
            return;
        }
        for (outcome, expected) in outcomes.into_iter().zip(expected) {
            let outcome = outcome.map_err(|error| match error {
                TransactionError::Conflict { key } => key,
                other => panic!("{other:?}"),
            });
            assert_eq!(outcome, expected);
        }
        self.acknowledged = after;
    }

    fn crash(&mut self) {
        self.store = None;
        self.disk.crash();
        // The machine may also die while it recovers.
        if self.random.below(3) == 0 {
            self.disk.lose_power_after(self.random.below(12));
            drop(Store::open(self.disk.clone(), Options::default()));
            self.disk.crash();
        }
        let store = open(&self.disk);
        let found = Model {
            revision: store.revision(),
            records: content(&store).into_iter().map(|record| (record.key.clone(), record)).collect(),
        };
        let under_way = self.under_way.take();
        if found != self.acknowledged {
            let under_way = under_way.expect("a commit was acknowledged and is lost");
            assert_eq!(found, under_way, "neither what was acknowledged nor what was under way");
            self.acknowledged = under_way;
        }
        self.store = Some(store);
    }
}

/// Returns what must be the same when the seed is run again.
fn power_fails(seed: u64) -> (u64, Model) {
    let mut random = Ids::from_seed(seed);
    let disk = FaultyDisk::new(random.next_u64());
    let store = Some(open(&disk));
    let mut run = Run { random, disk, store, acknowledged: Model::default(), under_way: None };
    for _ in 0..4 {
        run.disk.lose_power_after(run.random.below(120));
        // Without power a group ends at once; without any, the run would not end.
        for _ in 0..30 {
            if run.disk.has_lost_power() || run.under_way.is_some() {
                break;
            }
            run.group();
        }
        run.crash();
    }
    (run.disk.syncs(), run.acknowledged)
}

#[test]
fn acknowledged_commits_survive_a_power_failure() {
    for_each_seed(|seed| drop(power_fails(seed)));
}

#[test]
fn a_seed_replays_the_same_failures() {
    for seed in 1..10 {
        assert_eq!(power_fails(seed), power_fails(seed), "seed {seed}");
    }
}
