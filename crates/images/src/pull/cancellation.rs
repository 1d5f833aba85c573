//! Ending what other threads do: their connections are shut down, their pauses end.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Cheap to clone; all clones are cancelled together.
#[derive(Clone, Default)]
pub(super) struct Cancellation(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_cancelled: bool,
    agents: Vec<ureq::Agent>,
    children: Vec<Weak<Shared>>,
}

impl Cancellation {
    /// One that is cancelled with this one, and alone.
    pub(super) fn child(&self) -> Self {
        let child = Self::default();
        let mut state = self.lock();
        if state.is_cancelled {
            drop(state);
            child.cancel();
        } else {
            state.children.retain(|other| other.strong_count() > 0);
            state.children.push(Arc::downgrade(&child.0));
        }
        child
    }

    pub(super) fn cancel(&self) {
        let mut state = self.lock();
        state.is_cancelled = true;
        let (agents, children) = (std::mem::take(&mut state.agents), std::mem::take(&mut state.children));
        drop(state);
        self.0.changed.notify_all();
        for agent in agents {
            agent.shutdown();
        }
        for child in children.iter().filter_map(Weak::upgrade) {
            Self(child).cancel();
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.lock().is_cancelled
    }

    /// Shuts the agent down when this is cancelled, or now if it was.
    pub(super) fn watch(&self, agent: &ureq::Agent) {
        let mut state = self.lock();
        if state.is_cancelled {
            drop(state);
            agent.clone().shutdown();
        } else {
            state.agents.push(agent.clone());
        }
    }

    /// Sleeps; false if it was cancelled meanwhile.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let end = Instant::now() + pause;
        let mut state = self.lock();
        while !state.is_cancelled {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancelled_parent_ends_the_pauses_of_its_children() {
        let parent = Cancellation::default();
        let (one, other) = (parent.child(), parent.child());
        one.cancel();
        assert!(one.is_cancelled() && !other.is_cancelled() && !parent.is_cancelled());
        let paused = std::thread::spawn({
            let other = other.clone();
            move || other.pause(Duration::from_secs(3600))
        });
        parent.cancel();
        assert!(!paused.join().unwrap());
        assert!(parent.child().is_cancelled());
        assert!(Cancellation::default().pause(Duration::ZERO));
    }
}
