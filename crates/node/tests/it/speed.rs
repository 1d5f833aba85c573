//! How long a task takes from the order to the report that it runs. Bounds are wide: these are debug builds on busy machines;
//! the figure itself is printed.

use std::time::{Duration, Instant};

use gantry_domain::assignment::TaskPhase;

use crate::definition::{container, task};
use crate::harness::Test;
use crate::world::world;

pub(crate) const TESTS: &[Test] = &[
    ("speed::a_cached_image_starts_at_once", a_cached_image_starts_at_once),
    ("speed::fifty_tasks_start_side_by_side", fifty_tasks_start_side_by_side),
];

fn a_cached_image_starts_at_once() {
    const TASKS: u8 = 20;
    world(|world| {
        let numbers: Vec<u8> = (10..10 + TASKS).collect();
        world.start(&numbers);
        let mut took: Vec<Duration> = Vec::new();
        for number in numbers {
            let task = task(number, vec![container("web", &["sleep-politely"])]);
            let began = Instant::now();
            world.run(&task);
            world.control().report_in_phase(&task.task, TaskPhase::Running);
            took.push(began.elapsed());
            world.wait_until_polite(&task);
            world.stop(&task);
        }
        took.sort_unstable();
        println!("from order to RUNNING: p50 {:?}, slowest {:?}", took[took.len() / 2], took[took.len() - 1]);
        assert!(took[took.len() / 2] < Duration::from_secs(1), "{took:?}");
    });
}

fn fifty_tasks_start_side_by_side() {
    world(|world| {
        let numbers: Vec<u8> = (10..60).collect();
        world.start(&numbers);
        let tasks: Vec<_> =
            numbers.iter().map(|number| task(*number, vec![container("web", &["sleep-politely"])])).collect();
        let began = Instant::now();
        for task in &tasks {
            world.run(task);
        }
        for task in &tasks {
            world.control().report_in_phase(&task.task, TaskPhase::Running);
        }
        let took = began.elapsed();
        println!("fifty tasks from order to RUNNING: {took:?}");
        for task in &tasks {
            world.wait_until_polite(task);
            world.stop(task);
        }
        for task in &tasks {
            let report = world.control().report_in_phase(&task.task, TaskPhase::Stopped);
            assert_eq!(report.containers[0].exit_code, Some(0));
        }
        assert!(took < Duration::from_secs(20), "{took:?}");
    });
}
