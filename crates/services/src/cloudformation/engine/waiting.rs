//! Waiting for what the records will tell.

use std::pin::Pin;
use std::time::Duration;

use gantry_store::SubscriptionError;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::limits::{LOOK_INTERVAL_MAX, LOOK_INTERVAL_MIN};
use crate::Context;

/// Whether the walk has been given up; a wait ends then.
pub(super) type Cancelled = watch::Receiver<bool>;

/// How a wait ended.
#[derive(Debug, PartialEq)]
pub(super) enum Waited<T> {
    Done(T),
    TimedOut,
    Cancelled,
}

/// One look: something, or nothing yet.
pub(super) type Look<'f, T, E> = Pin<Box<dyn Future<Output = Result<Option<T>, E>> + Send + 'f>>;

/// Asks `look` until it gives something, again after changes in the store. The first look happens whatever was cancelled.
pub(super) async fn until<'f, T, E>(
    context: &Context,
    cancelled: &mut Cancelled,
    wait_max: Duration,
    mut look: impl FnMut() -> Look<'f, T, E> + Send,
) -> Result<Waited<T>, E> {
    let end = Instant::now() + wait_max;
    loop {
        let mut subscription = context.database().subscribe();
        if let Some(found) = look().await? {
            return Ok(Waited::Done(found));
        }
        if Instant::now() >= end {
            return Ok(Waited::TimedOut);
        }
        let change = async {
            sleep(LOOK_INTERVAL_MIN).await;
            let left = end.saturating_duration_since(Instant::now());
            match timeout(LOOK_INTERVAL_MAX.min(left), subscription.next()).await {
                // The next commit fails and says why.
                Ok(Err(SubscriptionError::Closed)) => sleep(LOOK_INTERVAL_MAX).await,
                Ok(Ok(_) | Err(SubscriptionError::Lagged { .. })) | Err(_) => {}
            }
        };
        tokio::select! {
            () = change => {}
            () = is_cancelled(cancelled) => return Ok(Waited::Cancelled),
        }
    }
}

/// Waits until the walk is given up. A walk that ended without giving up never does.
pub(super) async fn is_cancelled(cancelled: &mut Cancelled) {
    if cancelled.wait_for(|is_cancelled| *is_cancelled).await.is_err() {
        std::future::pending::<()>().await;
    }
}
