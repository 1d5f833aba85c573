//! The most recent commits, so that a watcher that was away a moment need not read everything again.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::options::Options;
use crate::transaction::{Committed, Revision};

#[derive(Debug)]
pub(crate) struct History {
    /// In the order of their revisions, without a gap.
    commits: VecDeque<Arc<Committed>>,
    bytes: usize,
    commits_max: usize,
    bytes_max: usize,
    /// The last revision that is not held any more.
    compacted: Revision,
}

/// The changes after the asked revision are not all held any more: read what you watch again, and watch from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("revision {asked} has been compacted; the oldest that can be watched from is {oldest}")]
pub struct Compacted {
    pub asked: Revision,
    pub oldest: Revision,
}

impl History {
    pub(crate) fn new(options: &Options, revision: Revision) -> Self {
        Self {
            commits: VecDeque::new(),
            bytes: 0,
            commits_max: options.history_commits_max,
            bytes_max: options.history_bytes_max,
            compacted: revision,
        }
    }

    pub(crate) fn push(&mut self, committed: Committed) {
        self.bytes += committed.bytes();
        self.commits.push_back(Arc::new(committed));
        while self.commits.len() > self.commits_max || self.bytes > self.bytes_max {
            let Some(oldest) = self.commits.pop_front() else { break };
            self.bytes -= oldest.bytes();
            self.compacted = oldest.revision;
        }
    }

    pub(crate) fn after(&self, revision: Revision) -> Result<Vec<Arc<Committed>>, Compacted> {
        if revision < self.compacted {
            return Err(Compacted { asked: revision, oldest: self.compacted });
        }
        let known = self.commits.partition_point(|committed| committed.revision <= revision);
        Ok(self.commits.iter().skip(known).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::Event;

    fn commit(revision: Revision, bytes: usize) -> Committed {
        Committed { revision, events: vec![Event { key: vec![b'k'], value: Some(vec![0; bytes]) }] }
    }

    #[test]
    fn what_is_too_old_is_said_to_be() {
        let options = Options { history_commits_max: 3, history_bytes_max: 1000, ..Options::default() };
        let mut history = History::new(&options, 10);
        for revision in 11..=15 {
            history.push(commit(revision, 10));
        }
        let revisions =
            |after| history.after(after).map(|all| all.iter().map(|c| c.revision).collect::<Vec<_>>());
        assert_eq!(revisions(12), Ok(vec![13, 14, 15]));
        assert_eq!(revisions(14), Ok(vec![15]));
        assert_eq!(revisions(99), Ok(vec![]));
        assert_eq!(revisions(11), Err(Compacted { asked: 11, oldest: 12 }));
    }

    #[test]
    fn large_values_push_older_ones_out() {
        let options = Options { history_commits_max: 100, history_bytes_max: 1000, ..Options::default() };
        let mut history = History::new(&options, 0);
        history.push(commit(1, 900));
        history.push(commit(2, 900));
        assert_eq!(history.after(0), Err(Compacted { asked: 0, oldest: 1 }));
        history.push(commit(3, 5000));
        assert_eq!(history.after(2), Err(Compacted { asked: 2, oldest: 3 }));
        assert_eq!(history.after(3), Ok(vec![]));
    }
}
