//! When to ask again.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use gantry_types::Timestamp;

use super::limits::PullLimits;

/// The pause before attempt `attempt` (the second is 1): doubled each time, and a fifth more or less by chance, so that
/// those who failed together do not come back together.
pub(super) fn pause(attempt: u32, limits: &PullLimits) -> Duration {
    let doubled = limits.pause_min.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    jitter(doubled.min(limits.pause_max), chance())
}

fn jitter(pause: Duration, chance: u64) -> Duration {
    let share = (chance % 401) as f64 / 1000.0 + 0.8;
    pause.mul_f64(share)
}

/// Each hasher of the standard library has a key of its own.
fn chance() -> u64 {
    RandomState::new().hash_one(0)
}

/// `Retry-After`, as seconds or as a date.
pub(super) fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(Duration::from_secs(u64::from(seconds)));
    }
    Some(date(value)?.since(now))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts: Vec<&str> = text.split_ascii_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = parts[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    Timestamp::parse(&format!("{year}-{month:02}-{day:0>2}T{time}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit() {
        let limits = PullLimits::default();
        let (low, high) = (limits.pause_min.mul_f64(0.8), limits.pause_max.mul_f64(1.2));
        for attempt in [1, 2, 3, 10, 40, u32::MAX] {
            let pause = pause(attempt, &limits);
            assert!(pause >= low && pause <= high, "{attempt}: {pause:?}");
        }
        assert_eq!(jitter(Duration::from_secs(10), 0), Duration::from_secs(8));
        assert_eq!(jitter(Duration::from_secs(10), 400), Duration::from_secs(12));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Timestamp::parse("1994-11-06T08:49:00Z").unwrap();
        let seconds = |count| Some(Duration::from_secs(count));
        for (value, expected) in [
            ("0", seconds(0)),
            (" 120 ", seconds(120)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", seconds(37)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", seconds(0)),
            ("-1", None),
            ("99999999999999999999", None),
            ("soon", None),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("Sun, 66 Nov 1994 08:49:37 GMT", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value, now), expected, "{value:?}");
        }
    }
}
