//! What each kind of unit decides.

mod cluster;
mod lifecycle;
mod load_balancer;
mod node;
mod service;
mod sweep;
mod target_group;
mod task;

use gantry_domain::View;
use gantry_types::{Ids, Timestamp};

use crate::core::{Core, Decided};
use crate::queue::Unit;

/// Decides one unit. Nothing but placement's reservations changes by it until its commit is made.
pub(crate) fn decide(core: &mut Core, view: &View, unit: &Unit, now: Timestamp, ids: &mut Ids) -> Decided {
    match unit {
        Unit::Node(id) => node::decide(core, view, id, now),
        Unit::Cluster(key) => cluster::decide(core, view, key, now, ids),
        Unit::Service(key) => service::decide(core, view, key, now, ids),
        Unit::Task(key) => task::decide(core, view, key, now, ids),
        Unit::TargetGroup(arn) => target_group::decide(core, view, arn, now),
        Unit::LoadBalancer(arn) => load_balancer::decide(core, view, arn),
        Unit::Sweep => sweep::decide(core, view, now),
    }
}
