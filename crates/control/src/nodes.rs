//! What the nodes said, and what they were told.

use std::collections::{BTreeMap, BTreeSet};

use gantry_domain::assignment::{StopOrder, TaskPhase, TaskReport, VpcSpec};
use gantry_domain::elb::Target;
use gantry_domain::node::{Node, NodeState};
use gantry_domain::task::{DesiredStatus, Task, TaskStatus};
use gantry_domain::{Key, View};
use gantry_link::{FromNode, TaskName, ToNode};
use gantry_types::{CpuUnits, MemoryMib, NodeId, Timestamp, VpcId};

use crate::event::{Effect, LinkId};
use crate::limits::TASKS_PER_NODE_MAX;
use crate::queue::Unit;
use crate::spec::{task_name, task_spec};

/// All nodes that are connected, and when the others were.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    links: BTreeMap<LinkId, NodeLink>,
    by_node: BTreeMap<NodeId, LinkId>,
    last_seen: BTreeMap<NodeId, Timestamp>,
}

/// What a connected node said of itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NodeHello {
    pub(crate) id: NodeId,
    pub(crate) version: String,
    pub(crate) cpu: CpuUnits,
    pub(crate) memory: MemoryMib,
}

/// One connection of one node. All of it begins anew with the next connection.
#[derive(Debug)]
pub(crate) struct NodeLink {
    pub(crate) hello: NodeHello,
    /// The node said which tasks it has. Nothing is concluded and nothing is sent before.
    reported: bool,
    /// The node was sent everything.
    synced: bool,
    reports: BTreeMap<Key, TaskReport>,
    /// At this revision of the task's record, the report said nothing that the record did not.
    taken_over: BTreeMap<Key, u64>,
    sent: BTreeMap<Key, Sent>,
    vpcs: BTreeMap<VpcId, VpcSpec>,
    /// Tasks about which something changed.
    dirty: BTreeSet<Key>,
}

/// The last order about a task on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Run,
    Stop,
}

/// What is known of a placed task beside its record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Observed<'n> {
    /// The node is away, or has not said yet what it has: nothing is known.
    Away,
    /// The node is lost.
    Lost,
    /// The node does not have the task, and was not told to run it.
    Missing,
    /// The node was told to run it and said nothing of it yet.
    Ordered,
    Reported(&'n TaskReport),
}

/// What a message asks the core to decide anew.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Nothing,
    Task(Key),
    /// All tasks of this node.
    Everything(NodeId),
    /// The link cannot go on.
    Nonsense(&'static str),
}

impl Nodes {
    /// A node connected. An older connection of the same node is over; it is returned.
    pub(crate) fn join(&mut self, link: LinkId, hello: NodeHello, now: Timestamp) -> Option<LinkId> {
        let node = hello.id.clone();
        let before = self.by_node.insert(node.clone(), link).filter(|before| *before != link);
        if let Some(before) = before {
            self.links.remove(&before);
        }
        self.last_seen.insert(node, now);
        let state = NodeLink {
            hello,
            reported: false,
            synced: false,
            reports: BTreeMap::new(),
            taken_over: BTreeMap::new(),
            sent: BTreeMap::new(),
            vpcs: BTreeMap::new(),
            dirty: BTreeSet::new(),
        };
        self.links.insert(link, state);
        before
    }

    /// A link ended; says whose it was if it was a node's current one.
    pub(crate) fn leave(&mut self, link: LinkId, now: Timestamp) -> Option<NodeId> {
        let node = self.links.remove(&link)?.hello.id;
        self.by_node.remove(&node);
        self.last_seen.insert(node.clone(), now);
        Some(node)
    }

    pub(crate) fn link_of(&self, node: &NodeId) -> Option<&NodeLink> {
        self.links.get(self.by_node.get(node)?)
    }

    /// The clock jumped back: nobody was seen later than now.
    pub(crate) fn clock_jumped_back(&mut self, now: Timestamp) {
        for seen in self.last_seen.values_mut() {
            *seen = now.min(*seen);
        }
    }

    /// When the node was last connected, as far as this process knows.
    pub(crate) fn last_seen(&self, node: &NodeId) -> Option<Timestamp> {
        self.last_seen.get(node).copied()
    }

    pub(crate) fn hear(&mut self, link: LinkId, message: FromNode) -> Heard {
        let Some(node) = self.links.get_mut(&link) else { return Heard::Nothing };
        match message {
            FromNode::Task(report) => {
                let key = Key::task(&report.region, &report.cluster, &report.task);
                if node.reports.len() >= TASKS_PER_NODE_MAX && !node.reports.contains_key(&key) {
                    return Heard::Nonsense("it reported more tasks than a node can have");
                }
                node.reports.insert(key.clone(), *report);
                node.taken_over.remove(&key);
                node.dirty.insert(key.clone());
                Heard::Task(key)
            }
            FromNode::Reported { .. } => {
                node.reported = true;
                Heard::Everything(node.hello.id.clone())
            }
            FromNode::Hello(_) => Heard::Nonsense("it said Hello twice"),
            FromNode::Logs(_) | FromNode::Heartbeat => Heard::Nothing,
        }
    }

    /// What is known of a task that was placed on `node`.
    pub(crate) fn observe(&self, view: &View, node: &NodeId, task: &Key) -> Observed<'_> {
        match self.link_of(node) {
            Some(link) if link.reported => match (link.reports.get(task), link.sent.get(task)) {
                (Some(report), _) => Observed::Reported(report),
                (None, Some(_)) => Observed::Ordered,
                (None, None) => Observed::Missing,
            },
            Some(_) => Observed::Away,
            None => match view.get::<Node>(&Key::node(node)) {
                Some(node) if node.state != NodeState::Lost => Observed::Away,
                _ => Observed::Lost,
            },
        }
    }

    /// Whether the node's last report says nothing that the task's record, at this revision, does not.
    pub(crate) fn is_taken_over(&self, node: &NodeId, task: &Key, revision: u64) -> bool {
        self.link_of(node).is_some_and(|link| link.taken_over.get(task) == Some(&revision))
    }

    /// The node's last report was compared with the record and said nothing new.
    pub(crate) fn set_taken_over(&mut self, node: &NodeId, task: &Key, revision: u64) {
        let link = self.by_node.get(node).and_then(|link| self.links.get_mut(link));
        if let Some(link) = link.filter(|link| link.reported && link.reports.contains_key(task)) {
            link.taken_over.insert(task.clone(), revision);
        }
    }

    /// Something about the task changed: its node is told what follows from it.
    pub(crate) fn touch(&mut self, task: &Key) {
        for link in self.links.values_mut() {
            link.dirty.insert(task.clone());
        }
    }

    /// Every node's tasks are compared with what it was told.
    pub(crate) fn touch_all(&mut self, view: &View) {
        for link in self.links.values_mut() {
            link.touch_all(view);
        }
    }

    /// Sends each node the difference between what the view says and what it was told. The VPCs come first: a task's interface
    /// is made in a VPC that knows its address.
    pub(crate) fn tell(
        &mut self,
        view: &View,
        vpcs: Option<&BTreeMap<VpcId, VpcSpec>>,
        effects: &mut Vec<Effect>,
    ) {
        for (id, link) in &mut self.links {
            if !link.reported {
                continue;
            }
            let mut messages = Vec::new();
            if let Some(vpcs) = vpcs {
                link.tell_vpcs(view, vpcs, &mut messages);
            }
            for key in std::mem::take(&mut link.dirty) {
                link.tell_task(view, &key, &mut messages);
            }
            if !link.synced {
                link.synced = true;
                messages.push(ToNode::Synced {
                    tasks: link.wanted(view),
                    vpcs: link.vpcs.keys().cloned().collect(),
                });
            }
            effects.extend(messages.into_iter().map(|message| Effect::ToNode(*id, message)));
        }
    }

    /// Whether some node has to be sent everything yet.
    pub(crate) fn awaits_vpcs(&self) -> bool {
        self.links.values().any(|link| link.reported && !link.synced)
    }
}

impl NodeLink {
    fn touch_all(&mut self, view: &View) {
        let placed = view.tasks_of_node(&self.hello.id).filter(|task| !task.is_stopped());
        self.dirty.extend(placed.map(|task| Key::task(&task.region, &task.cluster, &task.id)));
        self.dirty.extend(self.reports.keys().cloned());
    }

    /// A VPC in which nothing lives any more stays on the node until it is deleted: to take it away and make it again would cost
    /// its next task more than its own interface does.
    fn tell_vpcs(&mut self, view: &View, vpcs: &BTreeMap<VpcId, VpcSpec>, messages: &mut Vec<ToNode>) {
        for (id, spec) in vpcs {
            if self.vpcs.get(id) != Some(spec) {
                self.vpcs.insert(id.clone(), spec.clone());
                messages.push(ToNode::Vpc(Box::new(spec.clone())));
            }
        }
        let is_gone =
            |(id, spec): &(&VpcId, &VpcSpec)| !vpcs.contains_key(*id) && view.vpc(&spec.region, id).is_none();
        let gone: Vec<VpcId> = self.vpcs.iter().filter(is_gone).map(|(id, _)| id.clone()).collect();
        for id in gone {
            self.vpcs.remove(&id);
            messages.push(ToNode::RemoveVpc(id));
        }
    }

    fn tell_task(&mut self, view: &View, key: &Key, messages: &mut Vec<ToNode>) {
        let task = view.get::<Task>(key).filter(|task| task.node.as_ref() == Some(&self.hello.id));
        let phase = self.reports.get(key).map(|report| report.phase);
        let sent = self.sent.get(key).copied();
        match task {
            Some(task) if !task.is_stopped() => match task.desired_status {
                DesiredStatus::Running => {
                    let fresh = phase.is_none() && sent.is_none() && task.last_status == TaskStatus::Pending;
                    if let Some(spec) = fresh.then(|| task_spec(view, &task)).flatten() {
                        self.sent.insert(key.clone(), Sent::Run);
                        messages.push(ToNode::Run(Box::new(spec)));
                    }
                }
                DesiredStatus::Stopped => {
                    let runs = phase.map_or(sent.is_some(), |phase| phase < TaskPhase::Stopping);
                    if runs && sent != Some(Sent::Stop) && may_stop(view, &task) {
                        self.sent.insert(key.clone(), Sent::Stop);
                        messages.push(ToNode::Stop(order(task_name(&task))));
                    }
                }
            },
            // The record says that the task has ended, or there is none: whatever the node has of it goes.
            _ => match (phase, sent) {
                (Some(TaskPhase::Stopped), _) => {
                    let Some(report) = self.reports.remove(key) else { return };
                    self.sent.remove(key);
                    self.taken_over.remove(key);
                    let name = TaskName { region: report.region, cluster: report.cluster, task: report.task };
                    messages.push(ToNode::Forget(name));
                }
                (Some(_), sent) if sent != Some(Sent::Stop) => {
                    let Some(report) = self.reports.get(key) else { return };
                    self.sent.insert(key.clone(), Sent::Stop);
                    let (region, cluster) = (report.region.clone(), report.cluster.clone());
                    messages.push(ToNode::Stop(order(TaskName {
                        region,
                        cluster,
                        task: report.task.clone(),
                    })));
                }
                _ => {}
            },
        }
    }

    /// The tasks that the node shall have.
    fn wanted(&self, view: &View) -> Vec<TaskName> {
        let placed = view.tasks_of_node(&self.hello.id).filter(|task| !task.is_stopped());
        placed.map(|task| task_name(&task)).collect()
    }
}

fn order(task: TaskName) -> StopOrder {
    StopOrder { region: task.region, cluster: task.cluster, task: task.task }
}

/// Drain before the kill: no target of the task is left, or no request is in flight on it any more. A target's record goes when
/// the deregistration delay is over, so that is the upper bound.
fn may_stop(view: &View, task: &Task) -> bool {
    task.registrations.iter().all(|each| {
        let target = view.get::<Target>(&Key::target(&each.target_group, &each.registration));
        target.is_none_or(|target| target.draining_since.is_some() && target.drained)
    })
}

impl NodeHello {
    /// The unit that keeps the node's record.
    pub(crate) fn unit(&self) -> Unit {
        Unit::Node(self.id.clone())
    }
}
