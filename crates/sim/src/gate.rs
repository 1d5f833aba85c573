//! One task's effects in the order that the disk allows, as the node's shell has it: what could be repeated or undone need not
//! wait until the task is on disk; a start, a signal, the word that a task has stopped and its removal do.

use std::collections::VecDeque;

use gantry_domain::assignment::TaskPhase;
use gantry_node::core::Effect;

#[derive(Debug, Default)]
pub(crate) struct Gate {
    pub(crate) is_writing: bool,
    waiting: VecDeque<Effect>,
    /// Works that were begun and have not come back.
    running: usize,
}

/// What is to be done now.
#[derive(Debug)]
pub(crate) enum Act {
    Write,
    Do(Effect),
}

fn is_work(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::SetUpNetwork(_)
            | Effect::PrepareImage { .. }
            | Effect::Start { .. }
            | Effect::CheckHealth { .. }
            | Effect::Clean(_)
    )
}

impl Gate {
    pub(crate) fn push(&mut self, effect: Effect) -> Vec<Act> {
        if self.may_overtake(&effect) {
            return vec![self.begin(effect)];
        }
        self.waiting.push_back(effect);
        self.advance()
    }

    pub(crate) fn written(&mut self) -> Vec<Act> {
        self.is_writing = false;
        self.advance()
    }

    pub(crate) fn finished(&mut self) -> Vec<Act> {
        self.running = self.running.saturating_sub(1);
        self.advance()
    }

    pub(crate) fn is_idle(&self) -> bool {
        !self.is_writing && self.waiting.is_empty() && self.running == 0
    }

    fn may_overtake(&self, effect: &Effect) -> bool {
        match effect {
            Effect::SetUpNetwork(_) | Effect::PrepareImage { .. } | Effect::CheckHealth { .. } => true,
            Effect::Report(report) => {
                let holds_report = self.waiting.iter().any(|waiting| matches!(waiting, Effect::Report(_)));
                matches!(report.phase, TaskPhase::Preparing | TaskPhase::Running) && !holds_report
            }
            _ => false,
        }
    }

    fn advance(&mut self) -> Vec<Act> {
        let mut acts = Vec::new();
        while !self.is_writing {
            if matches!(self.waiting.front(), Some(Effect::Clean(_))) && self.running > 0 {
                break;
            }
            match self.waiting.pop_front() {
                Some(Effect::Persist(_)) => {
                    self.is_writing = true;
                    acts.push(Act::Write);
                }
                Some(effect) => acts.push(self.begin(effect)),
                None => break,
            }
        }
        acts
    }

    fn begin(&mut self, effect: Effect) -> Act {
        self.running += usize::from(is_work(&effect));
        Act::Do(effect)
    }
}
