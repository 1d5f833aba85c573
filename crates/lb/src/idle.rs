//! Timeouts that cost nothing while bytes flow.
//!
//! A connection has one timer. It is armed for the earliest time at which a timeout could be over; when it fires, it looks
//! whether there was activity meanwhile, and arms itself anew. So no request touches the timer wheel.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// When the last byte moved.
#[derive(Debug)]
pub(crate) struct Activity {
    origin: Instant,
    last_ms: AtomicU64,
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now(), last_ms: AtomicU64::new(0) }
    }

    pub(crate) fn mark(&self) {
        let ms = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(ms, Ordering::Relaxed);
    }

    pub(crate) fn last(&self) -> Instant {
        self.origin + Duration::from_millis(self.last_ms.load(Ordering::Relaxed))
    }
}

/// A connection's one timer.
#[derive(Debug)]
pub(crate) struct Timer {
    sleep: Pin<Box<Sleep>>,
}

impl Timer {
    pub(crate) fn new(first: Duration) -> Self {
        Self { sleep: Box::pin(tokio::time::sleep(first)) }
    }

    /// Ready once `deadline` has passed. It may move to a later time between two polls without any cost.
    pub(crate) fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        if self.sleep.deadline() > deadline || self.sleep.is_elapsed() {
            self.sleep.as_mut().reset(deadline);
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

impl Timer {
    /// Waits for `work` until `deadline`; `None` if that comes first.
    pub(crate) async fn limit<T>(&mut self, deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            self.poll_until(cx, deadline).map(|()| None)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_moves_on_is_kept() {
        let mut timer = Timer::new(Duration::from_secs(1));
        let start = Instant::now();
        let never = std::future::pending::<()>;
        assert!(timer.limit(start + Duration::from_secs(5), never()).await.is_none());
        assert_eq!(start.elapsed().as_secs(), 5);
        assert!(timer.limit(start + Duration::from_secs(6), never()).await.is_none());
        assert_eq!(start.elapsed().as_secs(), 6);
        assert_eq!(timer.limit(start + Duration::from_secs(99), async { 7 }).await, Some(7));
        assert!(timer.limit(start + Duration::from_secs(7), never()).await.is_none());
        assert_eq!(start.elapsed().as_secs(), 7);
    }
}
