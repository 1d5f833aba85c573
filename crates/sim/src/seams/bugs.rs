//! The planted bugs, each a few lines at one seam.

use std::net::Ipv4Addr;

use gantry_control::{CommitFailure, CommitId, Event};
use gantry_domain::assignment::StopOrder;
use gantry_domain::network::NetworkInterface;
use gantry_domain::service::Service;
use gantry_domain::task::{DesiredStatus, Task};
use gantry_domain::{Action, Change, Expect, Record, Stored, View};
use gantry_link::ToNode;
use gantry_node::core::Found;

use crate::agenda::At;
use crate::happening::{Peer, ToChild};
use crate::links::node_id;
use crate::planted::Planted;
use crate::world::World;
use crate::writer::{Owner, Submission};

/// Wake-ups are lost from here on.
const LOST_FROM: At = 600_000;
const AGAIN_AFTER: At = 2_000;
const STALE: At = 1_000;

#[derive(Debug)]
pub(crate) struct Bugs {
    planted: Option<Planted>,
    /// A view that `control` is shown in place of the real one of a revision.
    shown: Option<(At, u64, View)>,
    /// Commits that are made once more, and when.
    again: Vec<(At, Vec<Change>)>,
}

impl Bugs {
    pub(crate) fn new(planted: Option<Planted>) -> Self {
        Self { planted, shown: None, again: Vec::new() }
    }
    pub(crate) fn forgets_syncs(&self) -> bool {
        self.is(Planted::LostCommit)
    }
    fn is(&self, planted: Planted) -> bool {
        self.planted == Some(planted)
    }
}

impl World {
    pub(crate) fn planted_swallows(&mut self, event: &Event) -> bool {
        match self.bugs.planted {
            Some(Planted::ConflictNotRetried) => {
                matches!(event, Event::NotCommitted(_, CommitFailure::Conflict))
            }
            Some(Planted::LostWakeUp) => {
                self.agenda.now() > LOST_FROM
                    && matches!(event, Event::Changed(..) | Event::ChangesMissed | Event::Tick)
            }
            _ => false,
        }
    }

    pub(crate) fn planted_view(&mut self) -> Option<View> {
        let planted = self.bugs.planted?;
        let now = self.agenda.now();
        let revision = self.with_view(View::revision)?;
        let shown = self.bugs.shown.as_ref();
        match planted {
            Planted::MaximumOffByOne | Planted::MinimumIgnored => {
                if shown.is_none_or(|(_, of, _)| *of != revision) {
                    let view = self.with_view(|view| altered(view, planted))?;
                    self.bugs.shown = Some((now, revision, view));
                }
            }
            Planted::StaleView => {
                if shown.is_none_or(|(at, of, _)| now >= at + STALE || *of > revision) {
                    let view = self.with_view(View::clone)?;
                    self.bugs.shown = Some((now, revision, view));
                }
            }
            _ => return None,
        }
        self.bugs.shown.as_ref().map(|(_, _, view)| view.clone())
    }

    pub(crate) fn planted_commit(&mut self, mut changes: Vec<Change>) -> Vec<Change> {
        match self.bugs.planted {
            Some(Planted::SkippedCompareAndSet | Planted::StaleView) => forget_expectations(&mut changes),
            Some(Planted::MaximumOffByOne | Planted::MinimumIgnored) => self.restore_services(&mut changes),
            Some(Planted::ReusedAddress) if self.chance.one_in(8) => self.reuse_address(&mut changes),
            Some(Planted::CommitTwice) => self.commit_again(&changes),
            _ => {}
        }
        changes
    }

    pub(crate) fn planted_after(&mut self, changes: &[Change]) {
        if !self.bugs.is(Planted::ForgottenDrain) {
            return;
        }
        for change in changes {
            let Action::Put(Record::Task(task)) = &change.action else { continue };
            let index = (0..self.nodes.len()).find(|index| task.node == Some(node_id(*index)));
            if let Some(link) = index.and_then(|index| self.link_of(Peer::Node(index)))
                && task.desired_status == DesiredStatus::Stopped
                && !task.is_stopped()
            {
                let order = StopOrder {
                    region: task.region.clone(),
                    cluster: task.cluster.clone(),
                    task: task.id.clone(),
                };
                self.send_to_child(link, ToChild::Node(ToNode::Stop(order)));
            }
        }
    }

    pub(crate) fn planted_found(&mut self, found: Found) -> Found {
        match found {
            Found::Running(_) if self.bugs.is(Planted::DoubleStart) => Found::Nothing,
            found => found,
        }
    }

    pub(crate) fn planted_drops(&mut self, message: &ToNode) -> bool {
        match self.bugs.planted {
            Some(Planted::DroppedForget) => matches!(message, ToNode::Forget(_)),
            Some(Planted::IgnoredSynced) => matches!(message, ToNode::Synced { .. }),
            _ => false,
        }
    }

    pub(crate) fn planted_drains_early(&self) -> bool {
        self.bugs.is(Planted::DrainedTooEarly)
    }

    /// The node has lost `control`.
    pub(crate) fn planted_stops(&mut self, index: usize) {
        if !self.bugs.is(Planted::StopsWhenAlone) {
            return;
        }
        let tasks: Vec<_> =
            self.nodes[index].state.iter().flat_map(|state| state.tasks()).map(|task| task.name()).collect();
        for task in tasks {
            let order = StopOrder { region: task.region, cluster: task.cluster, task: task.task };
            self.node_is_told(index, ToNode::Stop(order));
        }
    }

    fn commit_again(&mut self, changes: &[Change]) {
        let now = self.agenda.now();
        let mut again = changes.to_vec();
        forget_expectations(&mut again);
        self.bugs.again.push((now + AGAIN_AFTER, again));
        while self.bugs.again.first().is_some_and(|(at, _)| *at <= now) {
            let (_, changes) = self.bugs.again.remove(0);
            self.submit(Submission { owner: Owner::Core(CommitId(u64::MAX)), changes });
        }
    }

    /// What a service was shown to be is not written down.
    fn restore_services(&self, changes: &mut [Change]) {
        for change in changes {
            if let Action::Put(Record::Service(service)) = &mut change.action
                && let Some(real) = self.ledger.view.get::<Service>(&change.key)
            {
                service.maximum_percent = real.maximum_percent;
                service.minimum_healthy_percent = real.minimum_healthy_percent;
            }
        }
    }

    fn reuse_address(&mut self, changes: &mut [Change]) {
        let used: Vec<(Ipv4Addr, gantry_types::SubnetId)> = self
            .ledger
            .view
            .scan::<NetworkInterface>("")
            .map(|interface| (interface.address, interface.subnet.clone()))
            .collect();
        if used.is_empty() {
            return;
        }
        let (address, subnet) = self.chance.pick(&used).clone();
        let mut moved = None;
        for change in changes.iter_mut() {
            if let Action::Put(Record::NetworkInterface(interface)) = &mut change.action
                && moved.is_none()
            {
                interface.address = address;
                interface.subnet = subnet.clone();
                moved = Some(interface.id.clone());
            }
        }
        for change in changes {
            if let Action::Put(Record::Task(Task { attachment: Some(attachment), .. })) = &mut change.action
                && Some(&attachment.interface) == moved.as_ref()
            {
                attachment.address = address;
                attachment.subnet = subnet.clone();
            }
        }
    }
}

fn forget_expectations(changes: &mut Vec<Change>) {
    changes.retain(|change| change.action != Action::Check);
    for change in changes {
        change.expect = Expect::Anything;
    }
}

fn altered(view: &View, planted: Planted) -> View {
    let mut altered = view.clone();
    for service in view.scan::<Service>("") {
        let mut changed = service.cloned();
        match planted {
            Planted::MaximumOffByOne => {
                let desired = changed.desired_count.max(1);
                changed.maximum_percent = ((changed.maximum() + 1) * 100).div_ceil(desired);
            }
            _ => changed.minimum_healthy_percent = 0,
        }
        altered.load(changed.key(), changed.into_record(), service.revision);
    }
    altered
}
