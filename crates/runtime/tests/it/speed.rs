use std::time::{Duration, Instant};

use crate::harness::Test;
use crate::machine::{Machine, PATIENCE};

pub(crate) const TESTS: &[Test] =
    &[("speed::fifty_containers_start_at_once", fifty_containers_start_at_once)];

/// The bound is loose: it holds for a debug build on a busy machine. The bench measures.
fn fifty_containers_start_at_once() {
    let machine = Machine::new();
    let specs: Vec<_> = (0..50).map(|_| machine.spec(&["handle-term", "0"])).collect();
    let began = Instant::now();
    let mut started: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = specs.iter().map(|spec| scope.spawn(|| machine.start(spec))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    for spec in &specs {
        machine.wait_for_line(spec, "ready");
        machine.runtime.stop(&spec.id, gantry_runtime::StopSignal::TERM, PATIENCE).unwrap();
    }
    for container in &mut started {
        assert_eq!(container.exit.wait(PATIENCE).unwrap().exit_code, Some(0));
    }
    println!("fifty containers at once: {} ms", took.as_millis());
}
