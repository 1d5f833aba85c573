//! How long a task takes from the order to the report that it runs. Bounds are wide: these are debug builds on busy machines;
//! the figure itself is printed.

use std::time::{Duration, Instant};

use gantry_domain::assignment::TaskPhase;

use crate::definition::{container, task};
use crate::harness::Test;
use crate::world::world;

pub(crate) const TESTS: &[Test] = &[("speed::a_cached_image_starts_at_once", a_cached_image_starts_at_once)];

fn a_cached_image_starts_at_once() {
    const TASKS: u8 = 20;
    world(|world| {
        let numbers: Vec<u8> = (10..10 + TASKS).collect();
        world.start(&numbers);
        let mut took: Vec<Duration> = Vec::new();
        for number in numbers {
            let task = task(number, vec![container("web", &["sleep-politely"])]);
            let began = Instant::now();
            world.run_to(&task, TaskPhase::Running);
            took.push(began.elapsed());
            world.stop(&task);
        }
        took.sort_unstable();
        println!("from order to RUNNING: p50 {:?}, slowest {:?}", took[took.len() / 2], took[took.len() - 1]);
        assert!(took[took.len() / 2] < Duration::from_secs(1), "{took:?}");
    });
}
