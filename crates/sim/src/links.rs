//! The links between `control` and its children: each delivers in order until it breaks; then what was under way is lost, and
//! each end finds out in its own time.

use std::collections::BTreeMap;

use gantry_control::{Event, LinkId};
use gantry_lb::core::Event as LbEvent;
use gantry_link::{FromNode, Hello, PROTOCOL, Role, ToNode};
use gantry_node::core::Event as NodeEvent;
use gantry_types::{CpuUnits, MemoryMib, NodeId};

use crate::agenda::At;
use crate::happening::{Condition, End, FromChild, Happening, Peer, ToChild};
use crate::trace::trace;
use crate::world::World;

/// A silent link is closed after this.
const SILENCE_MAX: u64 = gantry_link::LINK_SILENCE_MAX_MS;
/// A late message comes at most so much later.
const LATE_MAX: u64 = 120_000;

#[derive(Debug, Default)]
pub(crate) struct Links {
    links: BTreeMap<LinkId, Link>,
    last: u64,
}

#[derive(Debug)]
struct Link {
    peer: Peer,
    /// The start of the child whose link it is.
    child_start: u32,
    is_open_at_child: bool,
    is_open_at_control: bool,
    /// Nothing gets through any more.
    is_broken: bool,
    /// When the last message that was sent arrives.
    at_child: At,
    at_control: At,
}

pub(crate) fn node_id(index: usize) -> NodeId {
    NodeId::new(format!("node-{index}"))
}

impl World {
    pub(crate) fn connects(&mut self, peer: Peer) {
        let Some(child_start) = self.child_start(peer) else { return };
        if self.link_of(peer).is_some() {
            return;
        }
        if !self.control_is_up() || self.weather.partitions.contains(&peer) {
            let delay = self.chance.between(200, 1_000);
            self.agenda.after(delay, Happening::Connects(peer));
            return;
        }
        self.links.last += 1;
        let id = LinkId(self.links.last);
        let now = self.agenda.now();
        let link = Link {
            peer,
            child_start,
            is_open_at_child: true,
            is_open_at_control: true,
            is_broken: false,
            at_child: now,
            at_control: now,
        };
        self.links.links.insert(id, link);
        let role = match peer {
            Peer::Node(index) => {
                Role::Node { id: node_id(index), cpu: CpuUnits(65_536), memory: MemoryMib(131_072) }
            }
            Peer::Balancer => Role::LoadBalancer { id: node_id(0) },
        };
        let hello = Hello { protocol: PROTOCOL, version: "0.1.0".to_owned(), role };
        trace!(self, "{peer:?} connects: link {}", id.0);
        self.set_link(peer, Some(id));
        self.send_to_control(id, FromChild::Hello(hello));
        match peer {
            Peer::Node(index) => self.node_hears(index, NodeEvent::Linked),
            Peer::Balancer => self.balancer_hears(LbEvent::LinkUp),
        }
    }

    pub(crate) fn send_to_control(&mut self, id: LinkId, message: FromChild) {
        let (delay, repeated) = self.draw_passage();
        let now = self.agenda.now();
        let Some(link) = self.links.links.get_mut(&id).filter(|link| link.is_open_at_child) else { return };
        let at = link.at_control.max(now + delay);
        link.at_control = at;
        // Hello begins a link: it cannot come twice.
        if let FromChild::Node(message) = &message {
            if repeated {
                self.agenda.at(at, Happening::AtControl(id, Box::new(FromChild::Node(message.clone()))));
            }
            if matches!(message, FromNode::Task(_)) && self.chance.per_mille(self.swarm.late) {
                let later = self.chance.below(LATE_MAX);
                self.agenda.at(at + later, Happening::LateAtControl(id, Box::new(message.clone())));
            }
        } else if let (FromChild::Balancer(message), true) = (&message, repeated) {
            self.agenda.at(at, Happening::AtControl(id, Box::new(FromChild::Balancer(message.clone()))));
        }
        self.agenda.at(at, Happening::AtControl(id, Box::new(message)));
    }

    pub(crate) fn send_to_child(&mut self, id: LinkId, message: ToChild) {
        let (delay, repeated) = self.draw_passage();
        let now = self.agenda.now();
        let Some(link) = self.links.links.get_mut(&id).filter(|link| link.is_open_at_control) else { return };
        let at = link.at_child.max(now + delay);
        link.at_child = at;
        let (peer, child_start) = (link.peer, link.child_start);
        if repeated {
            self.agenda.at(at, Happening::AtChild(id, Box::new(message.clone())));
        }
        // Orders about one task may come once more, however late.
        if let (
            ToChild::Node(order @ (ToNode::Run(_) | ToNode::Stop(_) | ToNode::Forget(_))),
            Peer::Node(index),
        ) = (&message, peer)
            && self.chance.per_mille(self.swarm.late)
        {
            let later = self.chance.below(LATE_MAX);
            self.agenda.at(at + later, Happening::LateAtNode(index, child_start, Box::new(order.clone())));
        }
        self.agenda.at(at, Happening::AtChild(id, Box::new(message)));
    }

    fn draw_passage(&mut self) -> (u64, bool) {
        let delay = self.chance.below(self.swarm.link_delay_max + 1);
        (delay, self.chance.per_mille(self.swarm.repeated))
    }

    pub(crate) fn at_control(&mut self, id: LinkId, message: FromChild) {
        let gets_through =
            self.links.links.get(&id).is_some_and(|link| link.is_open_at_control && !link.is_broken);
        if !gets_through || !self.control_is_up() {
            return;
        }
        self.core_hears(match message {
            FromChild::Hello(hello) => Event::Hello(id, hello),
            FromChild::Node(message) => Event::FromNode(id, message),
            FromChild::Balancer(message) => Event::FromLb(id, message),
        });
    }

    /// A message that was read from a link that is over, after the next link has begun.
    pub(crate) fn late_at_control(&mut self, id: LinkId, message: FromNode) {
        let is_over = self.links.links.get(&id).is_none_or(|link| !link.is_open_at_control);
        if is_over && self.control_is_up() {
            self.core_hears(Event::FromNode(id, message));
        }
    }

    pub(crate) fn late_at_node(&mut self, index: usize, start: u32, message: ToNode) {
        if self.nodes[index].starts == start {
            trace!(self, "node {index} hears something late");
            self.node_is_told(index, message);
        }
    }

    pub(crate) fn at_child(&mut self, id: LinkId, message: ToChild) {
        let Some(link) = self.links.links.get(&id) else { return };
        let (peer, start) = (link.peer, link.child_start);
        if !link.is_open_at_child || link.is_broken || self.child_start(peer) != Some(start) {
            return;
        }
        match (peer, message) {
            (Peer::Node(index), ToChild::Node(message)) => self.node_is_told(index, message),
            (Peer::Balancer, ToChild::Balancer(message)) => {
                self.balancer_hears(LbEvent::Control(Box::new(message)));
            }
            (Peer::Node(_), ToChild::Balancer(_)) | (Peer::Balancer, ToChild::Node(_)) => {
                self.violate("control knows which child is which", format!("link {} of {peer:?}", id.0));
            }
        }
    }

    /// The connection breaks; each end hears of it at once, or by the silence.
    pub(crate) fn break_link(&mut self, id: LinkId) {
        let Some(link) = self.links.links.get_mut(&id) else { return };
        if std::mem::replace(&mut link.is_broken, true) {
            return;
        }
        for end in [End::Control, End::Child] {
            let delay = if self.chance.one_in(2) {
                self.chance.below(5)
            } else {
                self.chance.between(5, SILENCE_MAX)
            };
            self.agenda.after(delay, Happening::Ends(id, end));
        }
    }

    /// The child's process ended: what it had sent still arrives, and then the end.
    pub(crate) fn child_is_gone(&mut self, peer: Peer) {
        let Some(id) = self.link_of(peer) else { return };
        self.set_link(peer, None);
        let now = self.agenda.now();
        let Some(link) = self.links.links.get_mut(&id) else { return };
        link.is_open_at_child = false;
        let at = link.at_control.max(now + 1);
        self.agenda.at(at, Happening::Ends(id, End::Control));
    }

    /// `control` ended: what it had sent still arrives, and then the end.
    pub(crate) fn control_is_gone(&mut self) {
        let now = self.agenda.now();
        let mut ends = Vec::new();
        for (id, link) in &mut self.links.links {
            if std::mem::replace(&mut link.is_open_at_control, false) {
                ends.push((link.at_child.max(now + 1), *id));
            }
        }
        for (at, id) in ends {
            self.agenda.at(at, Happening::Ends(id, End::Child));
        }
    }

    pub(crate) fn link_ends(&mut self, id: LinkId, end: End) {
        let Some(link) = self.links.links.get_mut(&id) else { return };
        let peer = link.peer;
        let open = match end {
            End::Control => std::mem::replace(&mut link.is_open_at_control, false),
            End::Child => std::mem::replace(&mut link.is_open_at_child, false),
        };
        if !link.is_open_at_control && !link.is_open_at_child {
            self.links.links.remove(&id);
        }
        if !open {
            return;
        }
        trace!(self, "link {} of {peer:?} ends at {end:?}", id.0);
        match end {
            End::Control => self.link_ended_for_control(id),
            End::Child if self.link_of(peer) == Some(id) => {
                self.set_link(peer, None);
                match peer {
                    Peer::Node(index) => self.node_is_alone(index),
                    Peer::Balancer => self.balancer_hears(LbEvent::LinkDown),
                }
                let delay = self.chance.log_between(20, 1_000);
                self.agenda.after(delay, Happening::Connects(peer));
            }
            End::Child => {}
        }
    }

    pub(crate) fn partition(&mut self, peer: Peer, duration: u64) {
        if !self.weather.partitions.insert(peer) {
            return;
        }
        trace!(self, "{peer:?} is cut off for {duration} ms");
        if let Some(id) = self.link_of(peer) {
            self.break_link(id);
        }
        self.agenda.after(duration, Happening::Ceases(Condition::Partition(peer)));
    }

    pub(crate) fn link_of(&self, peer: Peer) -> Option<LinkId> {
        match peer {
            Peer::Node(index) => self.nodes[index].link,
            Peer::Balancer => self.balancer.link,
        }
    }

    fn set_link(&mut self, peer: Peer, link: Option<LinkId>) {
        match peer {
            Peer::Node(index) => self.nodes[index].link = link,
            Peer::Balancer => self.balancer.link = link,
        }
    }

    /// Which start of the child runs.
    fn child_start(&self, peer: Peer) -> Option<u32> {
        match peer {
            Peer::Node(index) => self.nodes[index].state.as_ref().map(|_| self.nodes[index].starts),
            Peer::Balancer => self.balancer.state.as_ref().map(|_| self.balancer.starts),
        }
    }
}
