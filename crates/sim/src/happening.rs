//! Everything that can be about to happen.

use gantry_control::{Event, LinkId};
use gantry_lb::core::{Event as LbEvent, TargetKey};
use gantry_link::{FromLb, FromNode, Hello, ToLb, ToNode};
use gantry_node::core::Event as NodeEvent;
use gantry_types::{ContainerName, TaskId};

use crate::machine::Address;
use crate::operator::Operation;
use crate::swarm::Fault;

/// Who is at the other end of a link of `control`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    Node(usize),
    Balancer,
}

/// Which end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Control,
    Child,
}

#[derive(Debug, Clone)]
pub(crate) enum ToChild {
    Node(ToNode),
    Balancer(ToLb),
}

#[derive(Debug, Clone)]
pub(crate) enum FromChild {
    Hello(Hello),
    Node(FromNode),
    Balancer(FromLb),
}

/// One container of one task.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ContainerRef {
    pub(crate) task: TaskId,
    pub(crate) name: ContainerName,
}

/// What belongs to a process carries its number among the starts of that process: another start does not hear of it.
#[derive(Debug)]
pub(crate) enum Happening {
    // `control` and its store.
    ControlStarts,
    ToCore(u32, Box<Event>),
    CoreTicks(u32),
    StoreWrites(u32),

    // The links.
    Connects(Peer),
    AtControl(LinkId, Box<FromChild>),
    AtChild(LinkId, Box<ToChild>),
    /// One end sees that the link is over.
    Ends(LinkId, End),
    /// A message of a link that is over reaches the process that it was sent to.
    LateAtNode(usize, u32, Box<ToNode>),
    LateAtControl(LinkId, Box<FromNode>),

    // Nodes and their machines.
    NodeStarts(usize),
    ToNode(usize, u32, Box<NodeEvent>),
    NodeTicks(usize, u32),
    TaskWritten(usize, u32, TaskId),
    NetworkIsUp(usize, u32, TaskId),
    TaskCleaned(usize, u32, TaskId),
    /// A program begins to run, with the number of the machine's start.
    ContainerBegins(usize, u32, ContainerRef),
    ContainerEnds(usize, u32, ContainerRef, How),

    // The load balancer and its clients.
    BalancerStarts,
    ToBalancer(u32, Box<LbEvent>),
    BalancerTicks(u32),
    BalancerSaves(u32),
    Request(usize),
    RequestEnds(u32, TargetKey, u64),

    // Operators, faults and the end.
    Operate,
    Attempt(Box<Operation>),
    Fault(Fault, u64),
    Ceases(Condition),
    CalmBegins,
    LooksWhetherSettled,
}

/// How a container's process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Code(i32),
    OutOfMemory,
    Killed,
}

/// What holds for a while and then does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    Partition(Peer),
    DiskFull,
    DiskBroken,
    SlowDisk,
    ImageMissing(u32),
    AppsFail(Option<Address>),
}
