//! What goes wrong, when it does.

use std::collections::BTreeSet;

use crate::control::Doom;
use crate::happening::{Condition, Happening, How, Peer};
use crate::machine::Address;
use crate::program::GOOD_REVISIONS;
use crate::swarm::Fault;
use crate::trace::trace;
use crate::world::World;

/// What holds for a while.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    /// No fault happens any more.
    pub(crate) is_calm: bool,
    pub(crate) partitions: BTreeSet<Peer>,
    pub(crate) disk_full: bool,
    pub(crate) disk_broken: bool,
    pub(crate) slow_disk: bool,
    pub(crate) misses_changes: bool,
    pub(crate) images_missing: BTreeSet<u32>,
    /// These servers answer with errors; `None` is all of them.
    failing: BTreeSet<Option<Address>>,
    /// When the first machine's clock last jumped.
    pub(crate) jumped_at: Option<u64>,
}

impl Weather {
    pub(crate) fn is_disk_bad(&self) -> bool {
        self.disk_full || self.disk_broken
    }
    pub(crate) fn apps_fail(&self, address: Option<Address>) -> bool {
        !self.failing.is_empty() && (self.failing.contains(&None) || self.failing.contains(&address))
    }
}

impl World {
    pub(crate) fn fault(&mut self, fault: Fault, interval: u64) {
        if self.weather.is_calm {
            return;
        }
        let next = self.chance.below(2 * interval) + 1;
        self.agenda.after(next, Happening::Fault(fault, interval));
        trace!(self, "fault: {fault:?}");
        let node = self.chance.index(self.nodes.len());
        match fault {
            Fault::ControlDies => self.control_dies("between two events"),
            Fault::ControlDiesInStep => self.control.doom = Doom::InStep(self.chance.index(8)),
            Fault::ControlDiesInCommit => self.control.doom = Doom::InCommit(self.chance.below(16)),
            Fault::PowerFailsInCommit => self.control.doom = Doom::PowerInCommit(self.chance.below(16)),
            Fault::NodeDies => self.node_dies(node, "between two events"),
            Fault::NodeDiesInStep => self.nodes[node].doom = Some(self.chance.index(8)),
            Fault::BalancerDies => self.balancer_dies(),
            Fault::Reboot => self.power_fails(node),
            Fault::LinkBreaks => {
                let peer = self.draw_peer();
                if let Some(link) = self.link_of(peer) {
                    self.break_link(link);
                }
            }
            Fault::Partition => {
                let (peer, duration) = (self.draw_peer(), self.chance.log_between(1_000, 600_000));
                self.partition(peer, duration);
            }
            Fault::ContainerDies => self.some_container_dies(),
            Fault::DiskFull => self.condition(Condition::DiskFull, 60_000),
            Fault::DiskBroken => self.condition(Condition::DiskBroken, 30_000),
            Fault::SlowDisk => self.condition(Condition::SlowDisk, 120_000),
            Fault::ClockJumps => self.clock_jumps(node),
            Fault::ImageMissing => {
                let revision = *self.chance.pick(&GOOD_REVISIONS);
                self.condition(Condition::ImageMissing(revision), 120_000);
            }
            Fault::AppsFail => {
                let all = self.chance.one_in(3);
                let addresses: Vec<Address> = self.addresses.keys().copied().collect();
                let one = (!addresses.is_empty()).then(|| *self.chance.pick(&addresses));
                self.condition(Condition::AppsFail(if all { None } else { one }), 180_000);
            }
            Fault::ChangesMissed => self.weather.misses_changes = true,
        }
    }

    fn draw_peer(&mut self) -> Peer {
        let count = self.nodes.len();
        match self.chance.index(count + 1) {
            index if index < count => Peer::Node(index),
            _ => Peer::Balancer,
        }
    }

    fn some_container_dies(&mut self) {
        let machine = self.chance.index(self.machines.len());
        let boot = self.machines[machine].boots;
        let containers = &self.machines[machine].containers;
        let alive: Vec<_> =
            containers.iter().filter(|(_, each)| each.is_alive()).map(|(of, _)| of.clone()).collect();
        if alive.is_empty() {
            return;
        }
        let of = self.chance.pick(&alive).clone();
        let how = if self.chance.one_in(3) { How::OutOfMemory } else { How::Killed };
        self.container_ends(machine, boot, &of, how);
    }

    fn clock_jumps(&mut self, machine: usize) {
        let by = i64::try_from(self.chance.log_between(1_000, 600_000)).expect("minutes fit");
        let by = if self.chance.one_in(2) { by } else { -by };
        trace!(self, "the clock of machine {machine} jumps by {by} ms");
        self.clocks[machine] += by;
        if machine == 0 {
            self.weather.jumped_at = Some(self.agenda.now());
            self.control_clock_jumped();
        }
        self.node_clock_jumped(machine);
    }

    fn condition(&mut self, condition: Condition, duration_max: u64) {
        let duration = self.chance.log_between(500, duration_max);
        trace!(self, "{condition:?} for {duration} ms");
        self.set_condition(condition, true);
        self.agenda.after(duration, Happening::Ceases(condition));
    }

    pub(crate) fn ceases(&mut self, condition: Condition) {
        trace!(self, "{condition:?} is over");
        self.set_condition(condition, false);
    }

    fn set_condition(&mut self, condition: Condition, holds: bool) {
        let weather = &mut self.weather;
        match condition {
            Condition::Partition(peer) if !holds => {
                weather.partitions.remove(&peer);
            }
            Condition::Partition(peer) => {
                weather.partitions.insert(peer);
            }
            Condition::DiskFull => {
                weather.disk_full = holds;
                self.control.disk.faulty.set_full(holds);
            }
            Condition::DiskBroken => {
                weather.disk_broken = holds;
                self.control.disk.faulty.set_broken(holds);
            }
            Condition::SlowDisk => weather.slow_disk = holds,
            Condition::ImageMissing(revision) if !holds => {
                weather.images_missing.remove(&revision);
            }
            Condition::ImageMissing(revision) => {
                weather.images_missing.insert(revision);
            }
            Condition::AppsFail(which) if !holds => {
                weather.failing.remove(&which);
            }
            Condition::AppsFail(which) => {
                weather.failing.insert(which);
            }
        }
    }

    /// A machine restarts, with all that runs on it.
    pub(crate) fn power_fails(&mut self, machine: usize) {
        trace!(self, "machine {machine} restarts");
        let back = self.chance.log_between(1_000, 30_000);
        if machine == 0 {
            self.control.doom = Doom::None;
            self.drop_control();
            self.control.disk.faulty.crash();
            if self.balancer.state.is_some() {
                self.drop_balancer();
            }
            let delay = self.chance.below(500);
            self.agenda.after(back + delay, Happening::ControlStarts);
            let delay = self.chance.below(500);
            self.agenda.after(back + delay, Happening::BalancerStarts);
        }
        if self.nodes[machine].state.is_some() {
            self.drop_node(machine);
        }
        self.machine_stops(machine);
        let delay = self.chance.below(500);
        self.agenda.after(back + delay, Happening::NodeStarts(machine));
    }

    /// Everything works from here on.
    pub(crate) fn calm_begins(&mut self) {
        trace!(self, "all faults are over");
        let weather = &mut self.weather;
        weather.is_calm = true;
        weather.partitions.clear();
        weather.slow_disk = false;
        weather.disk_full = false;
        weather.disk_broken = false;
        weather.misses_changes = false;
        weather.images_missing.clear();
        weather.failing.clear();
        self.control.disk.faulty.set_full(false);
        self.control.disk.faulty.set_broken(false);
        self.control.doom = Doom::None;
        for node in &mut self.nodes {
            node.doom = None;
        }
        self.swarm.starts_fail = 0;
        self.swarm.networks_fail = 0;
        self.swarm.probes_fail = 0;
        self.operators_mend();
        self.agenda.after(1_000, Happening::LooksWhetherSettled);
    }
}
