//! A node's record: whether it is connected, away or lost.

use std::time::Duration;

use gantry_domain::node::{Node, NodeState};
use gantry_domain::{Key, View};
use gantry_types::{NodeId, Timestamp, Value};

use crate::core::{Core, Decided};
use crate::nodes::NodeHello;

pub(super) fn decide(core: &Core, view: &View, id: &NodeId, now: Timestamp) -> Decided {
    let mut decided = Decided::default();
    let record = view.get::<Node>(&Key::node(id));
    let next = match (core.nodes.link_of(id), &record) {
        (Some(link), record) => connected(&link.hello, record.as_deref(), now),
        (None, None) => return decided,
        (None, Some(record)) => {
            let (state, until) = away(core, view, record, now);
            decided.wake_at = until;
            let since = if state == record.state { record.since } else { now };
            Node { state, since, ..record.cloned() }
        }
    };
    if record.as_deref() != Some(&next) {
        decided.batch.put(view, next);
    }
    decided
}

fn connected(hello: &NodeHello, record: Option<&Node>, now: Timestamp) -> Node {
    // A node that is to be emptied stays so when it connects anew.
    let state = match record.map(|record| record.state) {
        Some(NodeState::Draining) => NodeState::Draining,
        Some(NodeState::Active | NodeState::Disconnected | NodeState::Lost) | None => NodeState::Active,
    };
    let since = record.filter(|record| record.state == state).map_or(now, |record| record.since);
    Node {
        id: hello.id.clone(),
        cpu: hello.cpu,
        memory: hello.memory,
        availability_zones: record.map(|record| record.availability_zones.clone()).unwrap_or_default(),
        state,
        since,
        version: hello.version.clone(),
        document: record.map_or_else(Value::map, |record| record.document.clone()),
    }
}

/// The state of a node without a link, and when it may be another one.
fn away(core: &Core, view: &View, record: &Node, now: Timestamp) -> (NodeState, Option<Timestamp>) {
    let seen = core.nodes.last_seen(&record.id);
    // A node that this process never saw was connected to the one before it, as far as anybody knows.
    let last_seen = seen.or(core.started_at).unwrap_or(now);
    let disconnected_at = if seen.is_some() { last_seen } else { last_seen + core.limits.reconnect_within };
    let lost_at = last_seen + lost_after(core, view, record);
    match record.state {
        NodeState::Lost => (NodeState::Lost, None),
        _ if now >= lost_at => (NodeState::Lost, None),
        NodeState::Draining => (NodeState::Draining, Some(lost_at)),
        _ if now >= disconnected_at => (NodeState::Disconnected, Some(lost_at)),
        state => (state, Some(disconnected_at.min(lost_at))),
    }
}

fn lost_after(core: &Core, view: &View, record: &Node) -> Duration {
    let others = view.scan::<Node>("").any(|node| node.id != record.id && node.state == NodeState::Active);
    if others { core.limits.node_lost_after } else { core.limits.node_lost_after_alone }
}
