//! Choosing among the places that would do.

use gantry_domain::network::Subnet;
use gantry_domain::node::Node;
use gantry_domain::service::PlacementStrategy;
use gantry_domain::task::Task;
use gantry_domain::task_definition::LaunchType;
use gantry_types::{AvailabilityZone, Ids};

use crate::Capacity;
use crate::capacity::Group;

/// A place where the task could run.
#[derive(Debug, Clone)]
pub(crate) struct Candidate<'v> {
    pub(crate) node: &'v Node,
    pub(crate) zone: AvailabilityZone,
    pub(crate) subnet: Option<&'v Subnet>,
}

/// The best of at least one candidate. Each rule keeps those that it likes best; what is left after the last one is decided by
/// the node's other tasks and the names.
pub(crate) fn choose<'v>(
    task: &Task,
    capacity: &Capacity,
    group: &Group,
    mut left: Vec<Candidate<'v>>,
    ids: &mut Ids,
) -> Candidate<'v> {
    let by_zone = PlacementStrategy::Spread("attribute:ecs.availability-zone".to_owned());
    // FARGATE knows no strategies.
    let given = if task.launch_type == LaunchType::Fargate { &[][..] } else { &task.wish.strategy[..] };
    let strategies = if given.is_empty() { std::slice::from_ref(&by_zone) } else { given };
    for strategy in strategies {
        if *strategy == PlacementStrategy::Random {
            let index = ids.below(left.len() as u64) as usize;
            return left.swap_remove(index);
        }
        keep_least(&mut left, |candidate| weight(strategy, candidate, capacity, group));
    }
    keep_least(&mut left, |candidate| u64::from(capacity.on_node(group, &candidate.node.id)));
    keep_least(&mut left, |candidate| u64::from(capacity.load(&candidate.node.id).tasks));
    let first = left.into_iter().min_by(|a, b| (&a.zone, &a.node.id).cmp(&(&b.zone, &b.node.id)));
    first.expect("the caller gives at least one candidate, and every rule keeps one")
}

/// What a strategy thinks of a place; the least is liked best.
fn weight(
    strategy: &PlacementStrategy,
    candidate: &Candidate<'_>,
    capacity: &Capacity,
    group: &Group,
) -> u64 {
    let node = candidate.node;
    match strategy {
        PlacementStrategy::Spread(field) if field.ends_with("availability-zone") => {
            u64::from(capacity.in_zone(group, &candidate.zone))
        }
        PlacementStrategy::Spread(_) => u64::from(capacity.on_node(group, &node.id)),
        PlacementStrategy::Binpack(field) if field.eq_ignore_ascii_case("cpu") => {
            u64::from((node.cpu - capacity.load(&node.id).cpu).0)
        }
        PlacementStrategy::Binpack(_) => u64::from((node.memory - capacity.load(&node.id).memory).0),
        PlacementStrategy::Random => 0,
    }
}

fn keep_least<'v>(left: &mut Vec<Candidate<'v>>, weight: impl Fn(&Candidate<'v>) -> u64) {
    if let Some(least) = left.iter().map(&weight).min() {
        left.retain(|candidate| weight(candidate) == least);
    }
}
