//! What makes stacks: a background task for each stack that has something to do.
//!
//! Flow: handlers commit a stack's record with a status in progress. [`run`] watches the store and starts a task for each such
//! stack ([`stack`]), also for those that a restart of `control` finds. The task walks the resources in the order of their
//! dependencies, several at once: forward to make a version ([`making`]), backward to remove things ([`removal`]), or back to
//! what was before ([`restoring`]).
//!
//! Invariants:
//! - Whatever a task knows stands in the records; a task may be cut off between any two commits, and the next one goes on there.
//! - Nothing is made twice: the commit of the call that makes a thing holds the record of its physical id ([`creation`]).
//! - A stack's records are written by its one task and, before that, by the handler that started it.
//! - When a stack's operation is given up, calls under way are awaited: nothing comes to be behind the walk that removes.

mod creation;
mod limits;
mod making;
mod removal;
mod restoring;
mod retention;
mod sharing;
mod site;
mod stack;
mod waiting;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use gantry_domain::Kind;
use gantry_store::SubscriptionError;
use tokio::sync::Semaphore;
use tokio::task::{Id, JoinSet};

use super::records::Stack;
use crate::Context;

/// Makes stacks until the store closes.
pub async fn run(context: Arc<Context>) {
    let resources = Arc::new(Semaphore::new(limits::RESOURCES_AT_ONCE_MAX));
    let mut subscription = context.database().subscribe();
    let mut running: BTreeMap<String, Id> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    loop {
        for stack in context.read(Stack::list_in_progress) {
            if running.len() >= limits::STACKS_AT_ONCE_MAX {
                break;
            }
            if let Entry::Vacant(place) = running.entry(stack.id.clone()) {
                let task = stack::work(Arc::clone(&context), Arc::clone(&resources), stack);
                place.insert(tasks.spawn(task).id());
            }
        }
        let has_news = async {
            loop {
                match subscription.next().await {
                    Ok(changed) => {
                        let is_stack =
                            |key: &gantry_domain::Key| key.kind == Kind::Object && Stack::is_path(&key.path);
                        if changed.keys.iter().any(is_stack) {
                            return true;
                        }
                    }
                    Err(SubscriptionError::Lagged { .. }) => return true,
                    Err(SubscriptionError::Closed) => return false,
                }
            }
        };
        tokio::select! {
            is_open = has_news => if !is_open { return },
            Some(ended) = tasks.join_next_with_id() => {
                let id = match ended {
                    Ok((id, ())) => id,
                    Err(error) => error.id(),
                };
                running.retain(|_, task| *task != id);
            }
        }
    }
}
