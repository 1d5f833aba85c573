//! Choosing among the places that would do.

use gantry_domain::container_instance::ContainerInstance;
use gantry_domain::network::Subnet;
use gantry_domain::service::PlacementStrategy;
use gantry_domain::task::Task;
use gantry_domain::task_definition::LaunchType;
use gantry_types::{AvailabilityZone, CpuUnits, Ids, MemoryMib, NodeId};

use crate::Capacity;
use crate::capacity::{Group, Host};

/// A place where the task could run.
#[derive(Debug, Clone)]
pub(crate) struct Candidate<'v> {
    pub(crate) node: &'v NodeId,
    /// For the launch type EC2.
    pub(crate) instance: Option<&'v ContainerInstance>,
    pub(crate) host: Host,
    pub(crate) cpu: CpuUnits,
    pub(crate) memory: MemoryMib,
    pub(crate) zone: AvailabilityZone,
    pub(crate) subnet: Option<&'v Subnet>,
}

/// The best of at least one candidate. Each rule keeps those that it likes best; what is left after the last one is decided by
/// the host's other tasks and the names.
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
    keep_least(&mut left, |candidate| u64::from(capacity.on_host(group, &candidate.host)));
    keep_least(&mut left, |candidate| u64::from(capacity.host_load(&candidate.host).tasks));
    let first = left.into_iter().min_by(|a, b| (&a.zone, &a.host).cmp(&(&b.zone, &b.host)));
    first.expect("the caller gives at least one candidate, and every rule keeps one")
}

/// What a strategy thinks of a place; the least is liked best.
fn weight(
    strategy: &PlacementStrategy,
    candidate: &Candidate<'_>,
    capacity: &Capacity,
    group: &Group,
) -> u64 {
    let load = capacity.host_load(&candidate.host);
    match strategy {
        PlacementStrategy::Spread(field) if field.ends_with("availability-zone") => {
            u64::from(capacity.in_zone(group, &candidate.zone))
        }
        PlacementStrategy::Spread(_) => u64::from(capacity.on_host(group, &candidate.host)),
        PlacementStrategy::Binpack(field) if field.eq_ignore_ascii_case("cpu") => {
            u64::from((candidate.cpu - load.cpu).0)
        }
        PlacementStrategy::Binpack(_) => u64::from((candidate.memory - load.memory).0),
        PlacementStrategy::Random => 0,
    }
}

fn keep_least<'v>(left: &mut Vec<Candidate<'v>>, weight: impl Fn(&Candidate<'v>) -> u64) {
    if let Some(least) = left.iter().map(&weight).min() {
        left.retain(|candidate| weight(candidate) == least);
    }
}
