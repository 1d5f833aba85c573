//! A cluster's container instances: it is lent the machine when something asks for one, and gives it back when the cluster or the
//! instance's subnet is gone.

use gantry_domain::container_instance::{ContainerInstance, InstanceOrigin};
use gantry_domain::service::{Cluster, Service, ServiceStatus};
use gantry_domain::task_definition::LaunchType;
use gantry_domain::{Change, Key, Stored, Versioned, View};
use gantry_placement::{Lending, lending};
use gantry_types::{Ids, Timestamp};

use crate::core::{Core, Decided};
use crate::limits::SWEEP_OPERATIONS_MAX;

pub(super) fn decide(core: &mut Core, view: &View, key: &Key, now: Timestamp, ids: &mut Ids) -> Decided {
    let mut decided = Decided::default();
    let Some(cluster) = view.get::<Cluster>(key) else { return decided };
    for instance in view.instances_of_cluster(&cluster.region, &cluster.name) {
        if decided.batch.len() + 2 <= SWEEP_OPERATIONS_MAX && is_over(view, &cluster, &instance) {
            decided.batch.delete(view, instance.key());
            let interface = Key::network_interface(&instance.region, &instance.interface.interface);
            decided.batch.delete(view, interface);
        }
    }
    if let Lending::Possible(machine) = lending(view, &cluster.region, &cluster.name)
        && is_asked_for(view, &cluster)
    {
        let changes = core.placer.lend(view, &cluster, machine, &mut decided.taken, now, ids);
        if !changes.is_empty() {
            decided.batch.extend(changes);
            // The cluster is not deleted meanwhile.
            decided.batch.add(Change::check(key.clone(), cluster.revision));
        }
    }
    decided
}

/// Whether a service or a task of the cluster needs an instance.
fn is_asked_for(view: &View, cluster: &Cluster) -> bool {
    let on_instances = |service: Versioned<'_, Service>| {
        service.status == ServiceStatus::Active
            && service.primary().is_some_and(|primary| primary.launch_type == LaunchType::Ec2)
    };
    view.scan::<Service>(&format!("{}/{}/", cluster.region, cluster.name)).any(on_instances)
        || view
            .tasks_of_cluster(&cluster.region, &cluster.name)
            .any(|task| task.launch_type == LaunchType::Ec2 && task.is_wanted() && task.node.is_none())
}

/// The machine is given back by a cluster that is no more, and when its place in the VPC is gone; outside the default VPC as soon as
/// nothing asks for it, since its interface stands in the way of whoever takes the VPC down. Not before its last task has ended.
fn is_over(view: &View, cluster: &Cluster, instance: &ContainerInstance) -> bool {
    let InstanceOrigin::Machine = instance.origin;
    let interface = Key::network_interface(&instance.region, &instance.interface.interface);
    let is_placeless = view.subnet(&instance.region, &instance.interface.subnet).is_none()
        || view.record(&interface).is_none();
    let is_used = || {
        view.tasks_of_cluster(&cluster.region, &cluster.name)
            .any(|task| task.container_instance.as_ref() == Some(&instance.id) && !task.is_stopped())
    };
    let is_guest = || {
        let vpc = view.vpc(&instance.region, &instance.interface.vpc);
        vpc.is_some_and(|vpc| !vpc.is_default) && !is_asked_for(view, cluster)
    };
    (!cluster.active || is_placeless || is_guest()) && !is_used()
}
