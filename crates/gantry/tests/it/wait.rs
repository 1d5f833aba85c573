//! Waiting for events, with a bound.

use std::time::{Duration, Instant};

/// Returns what `probe` gives, once it gives something; fails with the description after ten seconds.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < give_up, "within ten seconds this did not happen: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
