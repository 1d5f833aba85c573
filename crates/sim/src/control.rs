//! The process `control`: the real core on the real store, in the place of its shell.

use gantry_control::{CommitFailure, Core, Effect, Event, Limits, LinkId};
use gantry_domain::View;
use gantry_store::{DatabaseCore, Options};
use gantry_types::{Ids, Timestamp};

use crate::agenda::At;
use crate::disk::WorldDisk;
use crate::happening::{Happening, ToChild};
use crate::trace::trace;
use crate::world::World;
use crate::writer::{Owner, Submission};

/// The shell looks at its clock no later than after this.
const SLEEP_MAX: u64 = 1_000;
/// So many steps within one second are a loop that does not end.
const STEPS_PER_SECOND_MAX: u64 = 4_000;

#[derive(Debug)]
pub(crate) struct Control {
    /// How often the process was started.
    pub(crate) starts: u32,
    pub(crate) disk: WorldDisk,
    pub(crate) running: Option<Running>,
    pub(crate) doom: Doom,
    steps: (At, u64),
}

/// How the process will die, if a fault wants it to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doom {
    None,
    /// After so many effects of one step.
    InStep(usize),
    /// After so many operations of the disk in a commit.
    InCommit(u64),
    /// The same, and the machine with it.
    PowerInCommit(u64),
}

#[derive(Debug)]
pub(crate) struct Running {
    core: Core,
    pub(crate) database: DatabaseCore,
    ids: Ids,
    /// Commits that wait for the thread that writes.
    pub(crate) queue: Vec<Submission>,
    pub(crate) is_write_planned: bool,
    /// Up to which revision the core's subscription was read.
    pub(crate) told: u64,
    wakes_at: Option<Timestamp>,
    tick_at: Option<At>,
}

impl Control {
    pub(crate) fn new(seed: u64) -> Self {
        let disk = WorldDisk::new(seed);
        Self { starts: 0, disk, running: None, doom: Doom::None, steps: (0, 0) }
    }
}

impl World {
    pub(crate) fn open_database(&self) -> Result<DatabaseCore, String> {
        let options = Options { cache_bytes: 8 << 20, ..Options::default() };
        DatabaseCore::open(self.control.disk.clone(), options).map_err(|error| {
            let source = std::error::Error::source(&error);
            format!("{error}: {}", source.map(ToString::to_string).unwrap_or_default())
        })
    }

    pub(crate) fn control_starts(&mut self) {
        if self.control.running.is_some() {
            return;
        }
        let database = match self.open_database() {
            Ok(database) => database,
            Err(_) if self.weather.is_disk_bad() => {
                self.agenda.after(1_000, Happening::ControlStarts);
                return;
            }
            Err(error) => return self.violate("the store opens after every crash", error),
        };
        if let Err(text) = self.ledger.recover(&database.view()) {
            return self.violate("every acknowledged write is there after recovery", text);
        }
        self.control.starts += 1;
        trace!(self, "control starts at revision {}", database.view().revision());
        let told = database.view().revision();
        self.control.running = Some(Running {
            core: Core::new(Limits::default()),
            database,
            ids: Ids::from_seed(self.chance.number()),
            queue: Vec::new(),
            is_write_planned: false,
            told,
            wakes_at: None,
            tick_at: None,
        });
        self.core_hears(Event::Tick);
    }

    pub(crate) fn control_is_up(&self) -> bool {
        self.control.running.is_some()
    }

    /// An event that belongs to one start of the process.
    pub(crate) fn core_of(&mut self, start: u32, event: Event) {
        if start == self.control.starts && !self.planted_swallows(&event) {
            self.core_hears(event);
        }
    }

    pub(crate) fn core_hears(&mut self, event: Event) {
        let now = self.wall(0);
        let planted = self.planted_view();
        let Some(running) = &mut self.control.running else { return };
        if self.trace.is_on() {
            let text = format!("control hears {}", describe(&event));
            self.trace.line(self.agenda.now(), &text);
        }
        let effects = match planted {
            None => running.core.step(&running.database.view(), event, now, &mut running.ids),
            Some(view) => running.core.step(&view, event, now, &mut running.ids),
        };
        self.count_step();
        let doomed_after = match self.control.doom {
            Doom::InStep(count) if effects.len() > 1 => Some(count % effects.len()),
            _ => None,
        };
        for (index, effect) in effects.into_iter().enumerate() {
            if doomed_after == Some(index) {
                self.control.doom = Doom::None;
                self.control_dies("in the middle of a step");
                return;
            }
            self.core_effect(effect);
        }
        self.plan_tick();
    }

    fn core_effect(&mut self, effect: Effect) {
        match effect {
            Effect::Commit(id, changes) => {
                let changes = self.planted_commit(changes);
                self.submit(Submission { owner: Owner::Core(id), changes });
            }
            Effect::ToNode(link, message) => self.send_to_child(link, ToChild::Node(message)),
            Effect::ToLb(link, message) => self.send_to_child(link, ToChild::Balancer(message)),
            Effect::Close(link, why) => {
                trace!(self, "control closes link {}: {why}", link.0);
                if why != "the node has connected anew" {
                    self.violate("control understands what its children say", why);
                }
                self.break_link(link);
            }
            Effect::WakeAt(at) => {
                if let Some(running) = &mut self.control.running {
                    running.wakes_at = Some(at);
                }
            }
        }
    }

    /// Plans the next tick, unless one comes before it that will plan again.
    fn plan_tick(&mut self) {
        let start = self.control.starts;
        let Some(wakes_at) = self.control.running.as_ref().and_then(|running| running.wakes_at) else {
            return;
        };
        let at = self.at_of(0, wakes_at).max(self.agenda.now() + 1);
        let Some(running) = &mut self.control.running else { return };
        if running.tick_at.is_none_or(|planned| planned > at) {
            running.tick_at = Some(at);
            self.agenda.at(at, Happening::CoreTicks(start));
        }
    }

    pub(crate) fn core_ticks(&mut self, start: u32) {
        let now = self.wall(0);
        let at = self.agenda.now();
        let Some(running) = &mut self.control.running else { return };
        if start != self.control.starts || running.tick_at != Some(at) {
            return;
        }
        running.tick_at = None;
        if running.wakes_at.is_some_and(|wakes_at| wakes_at <= now) {
            running.wakes_at = None;
            self.core_of(start, Event::Tick);
        }
        self.plan_tick();
    }

    /// The clock jumped while the shell slept: it looks at it a moment later.
    pub(crate) fn control_clock_jumped(&mut self) {
        let delay = self.chance.between(1, SLEEP_MAX);
        let at = self.agenda.now() + delay;
        if let Some(running) = &mut self.control.running {
            running.tick_at = Some(at);
            self.agenda.at(at, Happening::CoreTicks(self.control.starts));
        }
    }

    fn count_step(&mut self) {
        let second = self.agenda.now() / 1_000;
        if self.control.steps.0 != second {
            self.control.steps = (second, 0);
        }
        self.control.steps.1 += 1;
        if self.control.steps.1 > STEPS_PER_SECOND_MAX {
            self.violate(
                "control comes to rest",
                format!("more than {STEPS_PER_SECOND_MAX} steps within one second"),
            );
        }
    }

    /// `kill -9`: nothing that the process would have done at its end is done. What the kernel has of its writes stays.
    pub(crate) fn control_dies(&mut self, how: &str) {
        if self.control.running.is_none() {
            return;
        }
        trace!(self, "control is killed {how}");
        // The thread that writes may have taken what it was given before.
        let has_queue = self.control.running.as_ref().is_some_and(|running| !running.queue.is_empty());
        if has_queue && self.chance.one_in(2) {
            self.write_queue();
        }
        self.drop_control();
        let delay = self.chance.log_between(10, 3_000);
        self.agenda.after(delay, Happening::ControlStarts);
    }

    /// Ends the process without letting it say good-bye to the disk.
    pub(crate) fn drop_control(&mut self) {
        let Some(running) = self.control.running.take() else { return };
        for submission in &running.queue {
            self.ledger.doubt(&submission.changes);
        }
        // Another start must not see what was meant for this one.
        self.control.starts += 1;
        self.control.disk.faulty.set_broken(true);
        drop(running);
        self.control.disk.faulty.set_broken(self.weather.disk_broken);
        self.control_is_gone();
    }

    pub(crate) fn core_is_idle(&self) -> bool {
        self.control
            .running
            .as_ref()
            .is_some_and(|running| running.core.is_idle() && running.queue.is_empty())
    }

    pub(crate) fn link_ended_for_control(&mut self, link: LinkId) {
        self.core_hears(Event::Gone(link));
    }

    /// What `control` has in its view now, for operators.
    pub(crate) fn with_view<T>(&self, read: impl FnOnce(&View) -> T) -> Option<T> {
        self.control.running.as_ref().map(|running| read(&running.database.view()))
    }
}

pub(crate) fn failure_of(error: &gantry_store::CommitError) -> Option<CommitFailure> {
    use gantry_store::CommitError;
    match error {
        CommitError::Conflict { .. } => Some(CommitFailure::Conflict),
        CommitError::StorageFull | CommitError::Storage(_) | CommitError::Reload(_) => {
            Some(CommitFailure::Unavailable)
        }
        CommitError::WrongKey { .. }
        | CommitError::NotWritable { .. }
        | CommitError::Refused(_)
        | CommitError::Closed => None,
    }
}

fn describe(event: &Event) -> String {
    match event {
        Event::Changed(_, keys) => {
            let kinds: Vec<&str> = keys.iter().map(|key| key.kind.as_str()).collect();
            format!("that {} changed", kinds.join(", "))
        }
        Event::ChangesMissed => "that it missed changes".to_owned(),
        Event::Committed(id, revision) => format!("that commit {} is revision {revision}", id.0),
        Event::NotCommitted(id, failure) => format!("that commit {} was not made: {failure:?}", id.0),
        Event::Hello(link, hello) => format!("Hello on link {}: {:?}", link.0, hello.role),
        Event::FromNode(link, message) => crate::words::from_node(*link, message),
        Event::FromLb(link, message) => crate::words::from_lb(*link, message),
        Event::Gone(link) => format!("that link {} is gone", link.0),
        Event::Tick => "that time passed".to_owned(),
    }
}
