//! Questions to the thread that owns the state: what tasks are told of themselves, and what people ask from outside.

use tokio::sync::{mpsc, oneshot};

use super::limits::INQUIRIES_WAITING_MAX;
use crate::core::TaskState;

/// One question: which tasks are like this?
pub(super) struct Inquiry {
    matches: Box<dyn Fn(&TaskState) -> bool + Send>,
    answer: oneshot::Sender<Vec<TaskState>>,
}

/// Asks. Clones ask the same state.
#[derive(Debug, Clone)]
pub(super) struct Inquirer(mpsc::Sender<Inquiry>);

pub(super) fn channel() -> (Inquirer, mpsc::Receiver<Inquiry>) {
    let (sender, receiver) = mpsc::channel(INQUIRIES_WAITING_MAX);
    (Inquirer(sender), receiver)
}

impl Inquiry {
    pub(super) fn answer<'s>(self, tasks: impl Iterator<Item = &'s TaskState>) {
        let found = tasks.filter(|task| (self.matches)(task)).cloned().collect();
        // Who asked may have gone meanwhile.
        let _ = self.answer.send(found);
    }
}

impl Inquirer {
    /// The tasks that match, as they are now; none when the node ends.
    pub(super) async fn tasks(
        &self,
        matches: impl Fn(&TaskState) -> bool + Send + 'static,
    ) -> Vec<TaskState> {
        let (answer, answered) = oneshot::channel();
        match self.0.send(Inquiry { matches: Box::new(matches), answer }).await {
            Ok(()) => answered.await.unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }
}
