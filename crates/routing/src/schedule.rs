//! When a target is probed next.
//!
//! By the book: every interval, counted from the first probe, whatever a probe takes. Quickly: after 10 ms, doubling to 250 ms,
//! while it is open whether a target that just came, or that just refused a connection, answers; for one interval at most.

use std::time::Duration;

use gantry_types::Timestamp;

pub const FAST_PROBE_DELAY_MIN_MS: u64 = 10;
pub const FAST_PROBE_DELAY_MAX_MS: u64 = 250;

/// Whether a probe's failure counts towards the unhealthy threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    ByTheBook,
    Quick,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// The next probe by the book.
    book_at: Timestamp,
    /// The next quick probe, if there is one before that.
    quick: Option<Quick>,
    under_way: Option<Weight>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Quick {
    at: Timestamp,
    delay: Duration,
    until: Timestamp,
}

impl Schedule {
    /// The first probe is due at once, and by the book.
    pub(crate) fn starting(now: Timestamp) -> Self {
        Self { book_at: now, quick: None, under_way: None }
    }

    /// When the next probe begins; `None` while one is under way.
    pub(crate) fn due_at(&self) -> Option<Timestamp> {
        match (&self.under_way, &self.quick) {
            (Some(_), _) => None,
            (None, Some(quick)) => Some(quick.at.min(self.book_at)),
            (None, None) => Some(self.book_at),
        }
    }

    /// A probe begins; the answer to it is [`Self::end`].
    pub(crate) fn begin(&mut self, interval: Duration, now: Timestamp) {
        if now < self.book_at {
            self.under_way = Some(Weight::Quick);
            return;
        }
        self.under_way = Some(Weight::ByTheBook);
        // Keeps the beat; a schedule that is more than one interval late starts a new one.
        let next = self.book_at + interval;
        self.book_at = if next > now { next } else { now + interval };
    }

    /// The probe ended; says how its failure counts. A result that nobody waits for counts as a quick one.
    pub(crate) fn end(&mut self) -> Weight {
        self.under_way.take().unwrap_or(Weight::Quick)
    }

    /// It is open whether the target answers: the next quick probe comes `10 ms` from now, the one after it later.
    pub(crate) fn quicken(&mut self, interval: Duration, now: Timestamp) {
        let quick = match self.quick.take() {
            Some(quick) => {
                let delay = (quick.delay * 2).min(Duration::from_millis(FAST_PROBE_DELAY_MAX_MS));
                Quick { at: now + delay, delay, until: quick.until }
            }
            None => {
                let delay = Duration::from_millis(FAST_PROBE_DELAY_MIN_MS);
                Quick { at: now + delay, delay, until: now + interval }
            }
        };
        // A quick period that is over stays remembered, so that it does not begin again by itself.
        let at = if quick.at <= quick.until { quick.at } else { Timestamp::from_millis(i64::MAX) };
        self.quick = Some(Quick { at, ..quick });
    }

    /// The question is answered: by the book from here.
    pub(crate) fn settle(&mut self) {
        self.quick = None;
    }

    /// The interval was changed: a probe that would be later than one new interval from now comes forward.
    pub(crate) fn follow(&mut self, interval: Duration, now: Timestamp) {
        self.book_at = self.book_at.min(now + interval);
    }
}
