//! One task's effects in the right order around the disk.
//!
//! What could be repeated or undone by a node that restarts (the network, an image, a health check, the word that a task is
//! being prepared or runs) need not wait for the disk, which takes milliseconds; and no disk keeps anybody from stopping a
//! container. Everything else waits until all that the core wanted on disk before it is there: a start happens at most once, and
//! what was told as stopped stays so.

use std::collections::VecDeque;

use gantry_domain::assignment::TaskPhase;

use crate::core::Effect;

/// What the shell shall do now.
#[derive(Debug, PartialEq)]
pub(super) enum Act {
    /// Write the task's state as it is now; [`Gate::written`] is told when that is done.
    Write,
    /// Do it; [`Gate::finished`] is told of everything that [`is_work`].
    Do(Effect),
    /// The disk refused the task's state, for this reason: a start that was not written down must not happen.
    Refuse(Effect, String),
}

#[derive(Debug, Default)]
pub(super) struct Gate {
    writing: bool,
    /// Why the last write failed.
    unwritten: Option<String>,
    waiting: VecDeque<Effect>,
    /// Works that were begun and have not come back.
    running: usize,
}

/// Whether an effect takes time and comes back.
pub(super) fn is_work(effect: &Effect) -> bool {
    match effect {
        Effect::SetUpNetwork(_)
        | Effect::PrepareImage { .. }
        | Effect::Start { .. }
        | Effect::Signal { .. }
        | Effect::Kill { .. }
        | Effect::CheckHealth { .. }
        | Effect::Clean(_) => true,
        Effect::Persist(_)
        | Effect::Report(_)
        | Effect::Reported { .. }
        | Effect::Vpc(_)
        | Effect::RemoveVpc(_) => false,
    }
}

impl Gate {
    pub(super) fn push(&mut self, effect: Effect) -> Vec<Act> {
        if self.may_overtake(&effect) {
            return vec![self.begin(effect)];
        }
        self.waiting.push_back(effect);
        self.advance()
    }

    /// The state was written, or could not be: what waited for it goes on, but for starts.
    pub(super) fn written(&mut self, result: Result<(), String>) -> Vec<Act> {
        self.writing = false;
        self.unwritten = result.err();
        self.advance()
    }

    /// A work came back.
    pub(super) fn finished(&mut self) -> Vec<Act> {
        self.running = self.running.saturating_sub(1);
        self.advance()
    }

    /// Something is to be told of the task that has to wait.
    pub(super) fn holds_report(&self) -> bool {
        self.waiting.iter().any(|effect| matches!(effect, Effect::Report(_)))
    }

    fn may_overtake(&self, effect: &Effect) -> bool {
        match effect {
            Effect::SetUpNetwork(_)
            | Effect::PrepareImage { .. }
            | Effect::CheckHealth { .. }
            | Effect::Signal { .. }
            | Effect::Kill { .. } => true,
            Effect::Report(report) => {
                matches!(report.phase, TaskPhase::Preparing | TaskPhase::Running) && !self.holds_report()
            }
            Effect::Persist(_)
            | Effect::Start { .. }
            | Effect::Reported { .. }
            | Effect::Clean(_)
            | Effect::Vpc(_)
            | Effect::RemoveVpc(_) => false,
        }
    }

    fn advance(&mut self) -> Vec<Act> {
        let mut acts = Vec::new();
        while !self.writing {
            match self.waiting.front() {
                None => break,
                // Nothing of the task may be on its way when it is removed.
                Some(Effect::Clean(_)) if self.running > 0 => break,
                Some(_) => {}
            }
            match self.waiting.pop_front() {
                Some(Effect::Persist(_)) => {
                    self.writing = true;
                    acts.push(Act::Write);
                }
                Some(effect) => acts.push(self.begin(effect)),
                None => break,
            }
        }
        acts
    }

    fn begin(&mut self, effect: Effect) -> Act {
        if let (Effect::Start { .. }, Some(why)) = (&effect, &self.unwritten) {
            return Act::Refuse(effect, why.clone());
        }
        self.running += usize::from(is_work(&effect));
        Act::Do(effect)
    }
}

#[cfg(test)]
mod tests {
    use gantry_domain::assignment::TaskReport;
    use gantry_domain::task::HealthStatus;
    use gantry_link::TaskName;

    use super::*;

    fn name() -> TaskName {
        TaskName { region: "r".into(), cluster: "c".into(), task: "t".into() }
    }

    fn effect(word: &str) -> Effect {
        let report = |phase| {
            Effect::Report(Box::new(TaskReport {
                region: "r".into(),
                cluster: "c".into(),
                task: "t".into(),
                phase,
                health: HealthStatus::Unknown,
                containers: vec![],
                stop: None,
                pull_started_at: None,
                pull_stopped_at: None,
                started_at: None,
                execution_stopped_at: None,
            }))
        };
        let container = || "web".into();
        match word {
            "persist" => Effect::Persist(name()),
            "network" => Effect::SetUpNetwork(name()),
            "image" => Effect::PrepareImage { task: name(), container: container() },
            "start" => Effect::Start { task: name(), container: container() },
            "kill" => Effect::Kill { task: name(), container: container() },
            "clean" => Effect::Clean(name()),
            "running" => report(TaskPhase::Running),
            "stopped" => report(TaskPhase::Stopped),
            _ => panic!("no effect is called {word}"),
        }
    }

    fn word(act: &Act) -> &'static str {
        match act {
            Act::Write => "write",
            Act::Refuse(..) => "refuse",
            Act::Do(effect) => ["network", "image", "start", "kill", "clean", "running", "stopped"]
                .into_iter()
                .find(|word| self::effect(word) == *effect)
                .expect("an effect of these tests"),
        }
    }

    /// `script`: effects pushed, `<` the write is done, `!` it failed, `-` a work came back; each with what must follow.
    fn check(script: &[(&str, &str)]) {
        let mut gate = Gate::default();
        for (index, (step, expected)) in script.iter().enumerate() {
            let acts = match *step {
                "<" => gate.written(Ok(())),
                "!" => gate.written(Err("the disk is full".to_owned())),
                "-" => gate.finished(),
                effect => gate.push(self::effect(effect)),
            };
            let words: Vec<&str> = acts.iter().map(word).collect();
            assert_eq!(words.join(" "), *expected, "step {index} ({step}) of {script:?}");
        }
    }

    #[test]
    fn a_start_waits_for_the_disk_and_what_is_harmless_does_not() {
        check(&[
            ("persist", "write"),
            ("network", "network"),
            ("image", "image"),
            ("running", "running"),
            ("start", ""),
            ("<", "start"),
        ]);
        check(&[("start", "start")]);
    }

    #[test]
    fn what_is_told_as_stopped_is_on_disk_and_told_in_order() {
        check(&[("persist", "write"), ("stopped", ""), ("running", ""), ("<", "stopped running")]);
    }

    #[test]
    fn a_container_is_killed_however_slow_the_disk_is() {
        check(&[("persist", "write"), ("stopped", ""), ("kill", "kill"), ("<", "stopped")]);
    }

    #[test]
    fn each_write_holds_up_what_came_behind_it() {
        check(&[
            ("persist", "write"),
            ("start", ""),
            ("persist", ""),
            ("stopped", ""),
            ("<", "start write"),
            ("<", "stopped"),
        ]);
    }

    #[test]
    fn what_is_not_on_disk_is_not_started_but_can_be_stopped() {
        check(&[
            ("persist", "write"),
            ("start", ""),
            ("stopped", ""),
            ("!", "refuse stopped"),
            ("kill", "kill"),
        ]);
        check(&[
            ("persist", "write"),
            ("!", ""),
            ("start", "refuse"),
            ("persist", "write"),
            ("<", ""),
            ("start", "start"),
        ]);
    }

    #[test]
    fn a_task_is_removed_when_nothing_of_it_is_on_its_way() {
        check(&[
            ("image", "image"),
            ("kill", "kill"),
            ("persist", "write"),
            ("clean", ""),
            ("<", ""),
            ("-", ""),
            ("-", "clean"),
        ]);
    }
}
