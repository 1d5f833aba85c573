//! What happened, counted.
//!
//! Each shard counts in a block of its own, so that no two cores write the same cache line; a reader adds the blocks up.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// One block a shard, each on cache lines of its own.
#[derive(Debug)]
pub(crate) struct Sharded<T>(Box<[Line<T>]>);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Line<T>(T);

impl<T: Default> Sharded<T> {
    pub(crate) fn new(shards: usize) -> Self {
        Self((0..shards.max(1)).map(|_| Line::default()).collect())
    }
    pub(crate) fn at(&self, shard: usize) -> &T {
        &self.0[shard % self.0.len()].0
    }
    fn blocks(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|line| &line.0)
    }
}

/// Declares a block of counters and what a reader gets of it.
macro_rules! counters {
    ($(#[$doc:meta])* $block:ident => $sums:ident { $($(#[$fdoc:meta])* $field:ident,)+ } histograms { $($(#[$hdoc:meta])* $histogram:ident,)* }) => {
        #[derive(Debug, Default)]
        pub(crate) struct $block {
            $(pub(crate) $field: Counter,)+
            $(pub(crate) $histogram: Histogram,)*
        }
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct $sums {
            $($(#[$fdoc])* pub $field: u64,)+
            $($(#[$hdoc])* pub $histogram: Times,)*
        }
        impl Sharded<$block> {
            pub(crate) fn sums(&self) -> $sums {
                let mut sums = $sums::default();
                for block in self.blocks() {
                    $(sums.$field = sums.$field.wrapping_add(block.$field.get());)+
                    $(block.$histogram.add_to(&mut sums.$histogram);)*
                }
                sums
            }
        }
    };
}

/// Only grows; what is open is counted as opened and closed.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

counters! {
    /// Of one load balancer.
    LoadBalancerCounters => LoadBalancerSums {
        connections_opened,
        connections_closed,
        /// Not let in by a security group.
        connections_rejected,
        /// With a chosen target; AWS's RequestCount.
        requests,
        rule_evaluations,
        redirects,
        redirects_too_long,
        fixed_responses,
        /// Codes that the balancer made itself.
        elb_3xx,
        elb_4xx,
        elb_5xx,
        elb_500,
        elb_502,
        elb_503,
        elb_504,
        /// The client closed before its response began; no code was sent.
        elb_460,
        received_bytes,
        sent_bytes,
        desync_non_compliant,
        invalid_headers_dropped,
        invalid_headers_forwarded,
        websockets,
    } histograms {}
}

counters! {
    /// Of one target group.
    GroupCounters => GroupSums {
        requests,
        target_2xx,
        target_3xx,
        target_4xx,
        target_5xx,
        connection_errors,
        /// Requests that waited for a target.
        held,
        /// Requests that waited in vain, or found no room to wait.
        held_in_vain,
        /// Requests that were sent again to another connection or target.
        replayed,
        /// Requests that got a target that is not healthy, because none was.
        failed_open,
    } histograms {
        /// From the request's last byte sent to the response head received.
        response_time,
    }
}

counters! {
    /// Of one registration of a target.
    TargetCounters => TargetSums {
        requests,
        target_2xx,
        target_3xx,
        target_4xx,
        target_5xx,
        connections_opened,
        connection_errors,
    } histograms {
        response_time,
    }
}

/// Durations in buckets that are at most an eighth wide.
#[derive(Debug)]
pub(crate) struct Histogram {
    sum_us: Counter,
    buckets: [Counter; BUCKETS],
}

const STEPS: u32 = 8;
/// Microseconds up to 2^33 (two hours and more); what is longer falls into the last one.
const BUCKETS: usize = 8 + 30 * STEPS as usize;

impl Default for Histogram {
    fn default() -> Self {
        Self { sum_us: Counter::default(), buckets: std::array::from_fn(|_| Counter::default()) }
    }
}

impl Histogram {
    pub(crate) fn record(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.sum_us.add(us);
        self.buckets[bucket(us)].add(1);
    }
    fn add_to(&self, times: &mut Times) {
        times.sum_us = times.sum_us.wrapping_add(self.sum_us.get());
        times.buckets.resize(BUCKETS, 0);
        for (sum, own) in times.buckets.iter_mut().zip(&self.buckets) {
            *sum += own.get();
        }
    }
}

fn bucket(us: u64) -> usize {
    if us < u64::from(STEPS) {
        return us as usize;
    }
    let exponent = 63 - us.leading_zeros();
    let step = (us >> (exponent - 3)) & 7;
    ((exponent - 3) as usize * STEPS as usize + 8 + step as usize).min(BUCKETS - 1)
}

/// The least duration that falls into a bucket.
fn bucket_start(index: usize) -> u64 {
    if index < 8 {
        return index as u64;
    }
    let (power, step) = ((index - 8) / 8, (index - 8) % 8);
    (8 + step as u64) << power
}

/// Durations that were counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Times {
    pub sum_us: u64,
    buckets: Vec<u64>,
}

impl Times {
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
    /// The duration that `permille` of all do not exceed, rounded up to its bucket's end.
    pub fn percentile_us(&self, permille: u32) -> Option<u64> {
        let wanted = (self.count() * u64::from(permille)).div_ceil(1000).max(1);
        let mut seen = 0;
        self.buckets.iter().enumerate().find_map(|(index, count)| {
            seen += count;
            (seen >= wanted).then(|| bucket_start(index + 1))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_lies_between_its_start_and_the_next() {
        for us in (0..100).chain([127, 128, 1000, 4095, 4096, 1_000_000, 60_000_000, 7_000_000_000]) {
            let index = bucket(us);
            assert!(bucket_start(index) <= us && us < bucket_start(index + 1), "{us} in {index}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn shards_add_up() {
        let sharded = Sharded::<GroupCounters>::new(3);
        for shard in 0..3 {
            sharded.at(shard).requests.add(2);
            sharded.at(shard).response_time.record(Duration::from_micros(100 << shard));
        }
        let sums = sharded.sums();
        assert_eq!((sums.requests, sums.response_time.count(), sums.response_time.sum_us), (6, 3, 700));
        assert_eq!(sums.response_time.percentile_us(500), Some(208));
        assert_eq!(Times::default().percentile_us(500), None);
    }
}
