//! What the trace says of messages and commits.

use gantry_control::LinkId;
use gantry_domain::{Action, Change, Record};
use gantry_link::{FromLb, FromNode, ToLb, ToNode};

/// An id by its first digits.
pub(crate) fn short(id: &str) -> &str {
    id.get(..6).unwrap_or(id)
}

pub(crate) fn from_node(link: LinkId, message: &FromNode) -> String {
    let what = match message {
        FromNode::Task(report) => {
            format!("task {} is {:?}, health {:?}", short(report.task.as_str()), report.phase, report.health)
        }
        FromNode::Reported { tasks } => format!("that were all {} tasks", tasks.len()),
        FromNode::Hello(_) => "Hello".to_owned(),
        FromNode::Logs(_) => "logs".to_owned(),
        FromNode::Heartbeat => "a heartbeat".to_owned(),
    };
    format!("on link {}: {what}", link.0)
}

pub(crate) fn from_lb(link: LinkId, message: &FromLb) -> String {
    let what = match message {
        FromLb::TargetHealth { registration, health, .. } => {
            format!("target {} is {:?}", short(registration.as_str()), health.state)
        }
        FromLb::Drained { registration, .. } => format!("target {} is drained", short(registration.as_str())),
        FromLb::Listener { error, .. } => format!("listener: {error:?}"),
        FromLb::Hello(_) => "Hello".to_owned(),
        FromLb::Heartbeat => "a heartbeat".to_owned(),
    };
    format!("on link {}: {what}", link.0)
}

pub(crate) fn to_node(message: &ToNode) -> String {
    match message {
        ToNode::Vpc(spec) => format!("VPC with {} members", spec.members.len()),
        ToNode::RemoveVpc(id) => format!("remove {id}"),
        ToNode::Run(spec) => format!("run {}", short(spec.task.as_str())),
        ToNode::Stop(order) => format!("stop {}", short(order.task.as_str())),
        ToNode::Forget(name) => format!("forget {}", short(name.task.as_str())),
        ToNode::Synced { tasks, .. } => {
            let tasks: Vec<&str> = tasks.iter().map(|name| short(name.task.as_str())).collect();
            format!("that is all: {}", tasks.join(" "))
        }
        ToNode::LogsKept { .. } => "logs kept".to_owned(),
        ToNode::Heartbeat => "a heartbeat".to_owned(),
    }
}

pub(crate) fn to_lb(message: &ToLb) -> String {
    match message {
        ToLb::TargetGroup(config) => {
            let targets: Vec<String> = config
                .targets
                .iter()
                .map(|target| {
                    let draining = if target.draining_since.is_some() { "-" } else { "" };
                    format!("{draining}{}", short(target.registration.as_str()))
                })
                .collect();
            format!("group {} has {}", config.group.name, targets.join(" "))
        }
        ToLb::RemoveTargetGroup(arn) => format!("remove {arn}"),
        ToLb::LoadBalancer(config) => format!("load balancer with {} listeners", config.listeners.len()),
        ToLb::RemoveLoadBalancer(arn) => format!("remove {arn}"),
        ToLb::Synced { .. } => "that is all".to_owned(),
        ToLb::Heartbeat => "a heartbeat".to_owned(),
    }
}

pub(crate) fn changes(changes: &[Change]) -> String {
    let each: Vec<String> = changes.iter().filter_map(change).collect();
    each.join(", ")
}

fn change(change: &Change) -> Option<String> {
    let record = match &change.action {
        Action::Put(record) => record,
        Action::Delete => {
            return Some(format!("delete {} {}", change.key.kind.as_str(), last(&change.key.path)));
        }
        Action::Check => return None,
    };
    Some(match record {
        Record::Task(task) => format!(
            "task {} of {} on {:?}: {} -> {}",
            short(task.id.as_str()),
            task.group,
            task.node.as_ref().map(|node| node.as_str()),
            task.last_status,
            task.desired_status
        ),
        Record::Target(target) => format!(
            "target {} of task {:?} {}{}{}",
            short(target.registration.as_str()),
            target.task.as_ref().map(|task| short(task.as_str())),
            target.health.state,
            if target.draining_since.is_some() { " draining" } else { "" },
            if target.drained { " drained" } else { "" }
        ),
        Record::Service(service) => {
            let rollout = service.primary().map(|primary| primary.rollout_state);
            format!("service {} desired {} {:?}", service.name, service.desired_count, rollout)
        }
        Record::ServiceEvent(event) => format!("event {:?}", event.message),
        Record::Node(node) => format!("node {} {:?}", node.id, node.state),
        _ => format!("put {} {}", change.key.kind.as_str(), last(&change.key.path)),
    })
}

fn last(path: &str) -> &str {
    path.rsplit(['/', '|']).next().unwrap_or(path)
}
