//! The loop's shell: it gives the core its events and does what the core says.

use std::time::Duration;

use gantry_control::{CommitFailure, CommitId, Core, Effect, Event, Limits};
use gantry_domain::Change;
use gantry_domain::task_session::InstallationKey;
use gantry_link::ToNode;
use gantry_store::{CommitError, Database, Subscription, SubscriptionError, TransactionError};
use gantry_types::{Ids, Timestamp};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::link_server::Links;

/// Events that wait for the core; whoever sends more waits.
pub(crate) const EVENTS_MAX: usize = 4096;
/// The machine's clock may jump while the loop sleeps: it looks at it again no later than this.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Runs until the store is closed or every sender of events is gone.
pub(crate) async fn run(
    database: Database,
    links: Links,
    mut events: mpsc::Receiver<Event>,
    mut ids: Ids,
    sessions: InstallationKey,
    limits: Limits,
) {
    let mut subscription = database.subscribe();
    let mut core = Core::new(limits);
    let mut commits: JoinSet<(CommitId, Result<u64, CommitError>)> = JoinSet::new();
    let mut event = Event::Tick;
    loop {
        let effects = core.step(&database.view(), event, Timestamp::now(), &mut ids);
        let mut wake_at = Timestamp::now() + SLEEP_MAX;
        for effect in effects {
            match effect {
                Effect::Commit(id, changes) => {
                    commits.spawn(commit(database.clone(), id, changes));
                }
                Effect::ToNode(link, message) => links.send_to_node(link, with_key(message, &sessions)),
                Effect::ToLb(link, message) => links.send_to_lb(link, message),
                Effect::Close(link, why) => links.close(link, &why),
                Effect::WakeAt(at) => wake_at = at,
            }
        }
        let sleep = wake_at.since(Timestamp::now()).min(SLEEP_MAX);
        event = tokio::select! {
            received = events.recv() => match received {
                Some(event) => event,
                None => return,
            },
            changed = next_change(&mut subscription) => match changed {
                Some(event) => event,
                None => return,
            },
            Some(ended) = commits.join_next(), if !commits.is_empty() => match ended {
                Ok((id, outcome)) => outcome_event(id, outcome),
                // A commit that panicked is seen by the next full pass, if the store has it.
                Err(error) => {
                    tracing::error!("a commit ended without an answer: {error}");
                    return;
                }
            },
            () = tokio::time::sleep_until(Instant::now() + sleep) => Event::Tick,
        };
    }
}

/// A task that has a role is sent with what makes the role's credentials.
fn with_key(mut message: ToNode, sessions: &InstallationKey) -> ToNode {
    if let ToNode::Run(spec) = &mut message {
        spec.key = spec.subject().map(|subject| sessions.task_key(&subject));
    }
    message
}

async fn commit(
    database: Database,
    id: CommitId,
    changes: Vec<Change>,
) -> (CommitId, Result<u64, CommitError>) {
    (id, database.commit(changes).await)
}

fn outcome_event(id: CommitId, outcome: Result<u64, CommitError>) -> Event {
    match outcome {
        Ok(revision) => Event::Committed(id, revision),
        Err(CommitError::Conflict { key }) => {
            tracing::debug!("decided on an old {key}: deciding again");
            Event::NotCommitted(id, CommitFailure::Conflict)
        }
        Err(CommitError::Refused(TransactionError::TooLarge { .. })) => {
            Event::NotCommitted(id, CommitFailure::TooLarge)
        }
        Err(error) => {
            tracing::warn!("cannot commit a decision, will try again: {error}");
            Event::NotCommitted(id, CommitFailure::Unavailable)
        }
    }
}

/// `None` when the store was closed.
async fn next_change(subscription: &mut Subscription) -> Option<Event> {
    match subscription.next().await {
        Ok(changed) => Some(Event::Changed(changed.revision, changed.keys.clone())),
        Err(SubscriptionError::Lagged { .. }) => Some(Event::ChangesMissed),
        Err(SubscriptionError::Closed) => None,
    }
}
