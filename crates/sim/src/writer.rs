//! The thread that writes the store: commits wait for it, and those that wait together are written together.

use gantry_control::{CommitId, Event};
use gantry_domain::Change;

use crate::control::{Doom, failure_of};
use crate::happening::Happening;
use crate::ledger::Ledger;
use crate::operator::Operation;
use crate::trace::trace;
use crate::world::World;

/// A commit that somebody waits for.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) owner: Owner,
    pub(crate) changes: Vec<Change>,
}

#[derive(Debug)]
pub(crate) enum Owner {
    Core(CommitId),
    Operator(Box<Operation>),
}

type Outcome = Result<u64, gantry_store::CommitError>;

impl World {
    pub(crate) fn submit(&mut self, submission: Submission) {
        let mut delay_max = self.swarm.commit_delay_max;
        if self.weather.slow_disk {
            delay_max += 1_000;
        }
        let delay = self.chance.below(delay_max + 1);
        let start = self.control.starts;
        let Some(running) = &mut self.control.running else { return };
        running.queue.push(submission);
        if !running.is_write_planned {
            running.is_write_planned = true;
            self.agenda.after(delay, Happening::StoreWrites(start));
        }
    }

    pub(crate) fn store_writes(&mut self, start: u32) {
        if start != self.control.starts || self.control.running.is_none() {
            return;
        }
        let doom = std::mem::replace(&mut self.control.doom, Doom::None);
        match doom {
            Doom::None => self.answer_writes(),
            Doom::InStep(_) => {
                self.control.doom = doom;
                self.answer_writes();
            }
            Doom::InCommit(operations) => {
                self.control.disk.faulty.break_after(operations);
                self.write_queue();
                self.control_dies("in the middle of a commit");
            }
            Doom::PowerInCommit(operations) => {
                self.control.disk.faulty.lose_power_after(operations);
                self.write_queue();
                self.power_fails(0);
            }
        }
    }

    /// Writes, and tells everybody.
    fn answer_writes(&mut self) {
        let answers = self.write_queue();
        let start = self.control.starts;
        for (owner, outcome) in answers {
            let delay = self.chance.below(3);
            match owner {
                Owner::Core(id) => {
                    let event = match &outcome {
                        Ok(revision) => Event::Committed(id, *revision),
                        Err(error) => match failure_of(error) {
                            Some(failure) => Event::NotCommitted(id, failure),
                            None => return self.violate("control's commits are valid", error.to_string()),
                        },
                    };
                    self.agenda.after(delay, Happening::ToCore(start, Box::new(event)));
                }
                Owner::Operator(operation) => self.operator_hears(*operation, &outcome),
            }
        }
        self.tell_changes();
    }

    fn tell_changes(&mut self) {
        let start = self.control.starts;
        let misses = std::mem::replace(&mut self.weather.misses_changes, false);
        let Some(running) = &mut self.control.running else { return };
        let changes = running.database.changes_after(running.told);
        running.told = running.database.view().revision();
        let events: Vec<Event> = match changes {
            Ok(_) if misses => vec![Event::ChangesMissed],
            Ok(changes) => {
                changes.iter().map(|changed| Event::Changed(changed.revision, changed.keys.clone())).collect()
            }
            Err(_) => vec![Event::ChangesMissed],
        };
        for event in events {
            let delay = self.chance.below(3);
            self.agenda.after(delay, Happening::ToCore(start, Box::new(event)));
        }
    }

    /// Writes all that waits, and keeps the ledger.
    pub(crate) fn write_queue(&mut self) -> Vec<(Owner, Outcome)> {
        let Some(running) = &mut self.control.running else { return Vec::new() };
        running.is_write_planned = false;
        let group = std::mem::take(&mut running.queue);
        let changes = group.iter().map(|each| each.changes.clone()).collect();
        let outcomes = running.database.commit_group(changes);
        let revision = running.database.view().revision();
        let mut answers = Vec::with_capacity(group.len());
        let mut unsure = Vec::new();
        for (submission, outcome) in group.into_iter().zip(outcomes) {
            match &outcome {
                Ok(revision) => self.acknowledged(&submission.owner, submission.changes, *revision),
                Err(gantry_store::CommitError::Conflict { key }) => {
                    trace!(self, "a commit conflicts: {key}");
                    if self.ledger.view.check(&submission.changes).is_ok() && unsure.is_empty() {
                        self.violate("a commit conflicts only if a record has changed", key.to_string());
                    }
                }
                Err(error) => {
                    trace!(self, "a commit fails: {error}");
                    self.ledger.doubt(&submission.changes);
                    unsure.push(submission.changes);
                }
            }
            answers.push((submission.owner, outcome));
        }
        // A failed commit may be on the disk all the same; then the view has it.
        for changes in unsure {
            if self.ledger.view.revision() < revision && self.ledger.view.check(&changes).is_ok() {
                self.watch_commit(changes, Ledger::apply);
            }
        }
        answers
    }

    fn acknowledged(&mut self, owner: &Owner, changes: Vec<Change>, revision: u64) {
        if let Err(key) = self.ledger.view.check(&changes) {
            return self.violate("a commit is made only on what was read", key.to_string());
        }
        if self.trace.is_on() {
            let by = match owner {
                Owner::Core(id) => format!("commit {}", id.0),
                Owner::Operator(operation) => format!("operator: {:?}", operation.kind),
            };
            let text = format!("revision {revision} ({by}): {}", crate::words::changes(&changes));
            self.trace.line(self.agenda.now(), &text);
        }
        let by_control = matches!(owner, Owner::Core(_));
        if by_control {
            self.foresee_limits(&changes);
            self.planted_after(&changes);
        }
        self.watch_commit(changes, |ledger, changes| ledger.acknowledge(changes, revision));
        if by_control {
            self.check_limits();
        }
    }
}
