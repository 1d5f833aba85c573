//! A task without a service, as RunTask and StartTask make it; and whether there is a place for it.

use gantry_api::ecs::Failure;
use gantry_api::{ApiError, CallContext};
use gantry_domain::service::Cluster;
use gantry_domain::task::{
    Container, ContainerStatus, DesiredStatus, HealthStatus, PlacementWish, Task, TaskStatus, TaskTimes,
};
use gantry_domain::task_definition::{ContainerDefinition, LaunchType, TaskDefinition};
use gantry_domain::{Stored as _, View};
use gantry_placement::{Addresses, Capacity, Lending, Ports, Refusal, Site, lend, lending, place};
use gantry_types::{AvailabilityZone, CpuUnits, Ids, MemoryMib, TaskId, Value, arn};

use crate::ecs::names::invalid;

const GROUP_LENGTH_MAX: usize = 255;
const STARTED_BY_LENGTH_MAX: usize = 128;

/// All that the tasks of one call have in common.
pub(super) struct Recipe<'r> {
    pub(super) call: &'r CallContext,
    pub(super) cluster: &'r Cluster,
    pub(super) definition: &'r TaskDefinition,
    pub(super) launch_type: LaunchType,
    pub(super) group: Option<&'r str>,
    pub(super) started_by: Option<&'r str>,
    pub(super) sizes: (CpuUnits, MemoryMib),
    pub(super) wish: PlacementWish,
    pub(super) document: Value,
}

impl Recipe<'_> {
    pub(super) fn make(&self, ids: &mut Ids) -> Task {
        let id = TaskId::new(ids.hex(32));
        let (region, cluster) = (&self.call.region, &self.cluster.name);
        let mut container = |each: &ContainerDefinition| Container {
            name: each.name.clone(),
            arn: arn("ecs", region.as_str(), &format!("container/{cluster}/{id}/{}", ids.uuid())),
            image: each.image.clone(),
            image_digest: None,
            runtime_id: None,
            last_status: ContainerStatus::Pending,
            exit_code: None,
            reason: None,
            health: HealthStatus::Unknown,
            network_bindings: Vec::new(),
        };
        let group = self.group.map(str::to_owned);
        Task {
            region: region.clone(),
            cluster: cluster.clone(),
            arn: arn("ecs", region.as_str(), &format!("task/{cluster}/{id}")),
            containers: self.definition.containers.iter().map(&mut container).collect(),
            id,
            task_definition: self.definition.arn.clone(),
            group: group.unwrap_or_else(|| format!("family:{}", self.definition.family)),
            started_by: self.started_by.map(str::to_owned),
            service: None,
            deployment: None,
            launch_type: self.launch_type,
            cpu: self.sizes.0,
            memory: self.sizes.1,
            wish: self.wish.clone(),
            node: None,
            container_instance: None,
            availability_zone: AvailabilityZone::default(),
            attachment: None,
            desired_status: DesiredStatus::Running,
            last_status: TaskStatus::Provisioning,
            health: HealthStatus::Unknown,
            stop_code: None,
            stopped_reason: None,
            registrations: vec![],
            accounted: false,
            times: TaskTimes { created_at: self.call.now, ..TaskTimes::default() },
            version: 1,
            document: self.document.clone(),
        }
    }
}

/// Who starts a task, and for what.
pub(super) fn check_words(started_by: Option<&str>, group: Option<&str>) -> Result<(), ApiError> {
    if started_by.is_some_and(|text| text.len() > STARTED_BY_LENGTH_MAX) {
        return Err(invalid(format!("startedBy must be at most {STARTED_BY_LENGTH_MAX} characters long.")));
    }
    if group.is_some_and(|group| group.is_empty() || group.len() > GROUP_LENGTH_MAX) {
        return Err(invalid(format!("group must be between 1 and {GROUP_LENGTH_MAX} characters long.")));
    }
    if group.is_some_and(|group| group.starts_with("service:")) {
        return Err(invalid("The task group can not begin with 'service:'."));
    }
    Ok(())
}

/// Parts the tasks into those that have a place on the cluster's instances and the failures of the others, as AWS tells both at
/// once. The control loop places them: whom somebody was faster than ends with the same reason.
pub(super) fn with_place(
    view: &View,
    cluster: &Cluster,
    tasks: Vec<Task>,
    ids: &mut Ids,
) -> Result<(Vec<Task>, Vec<Failure>), ApiError> {
    let lent = with_machine(view, cluster, ids);
    let view = lent.as_ref().unwrap_or(view);
    if view.instances_of_cluster(&cluster.region, &cluster.name).next().is_none() {
        return Err(no_instances());
    }
    let mut capacity = Capacity::default();
    for task in view.tasks_of_cluster(&cluster.region, &cluster.name) {
        capacity.apply(&task.key(), Some(&task));
    }
    let (mut addresses, mut ports) = (Addresses::default(), Ports::default());
    let (mut placed, mut failures) = (Vec::new(), Vec::new());
    for task in tasks {
        let mut site = Site { view, capacity: &capacity, addresses: &mut addresses, ports: &mut ports };
        let mut attempt = task.clone();
        match place(&mut attempt, &mut site, task.times.created_at, ids) {
            Ok(_) => {
                capacity.apply(&attempt.key(), Some(&attempt));
                placed.push(task);
            }
            // Every instance is DRAINING.
            Err(Refusal::NoInstances) => return Err(no_instances()),
            Err(refusal) => {
                let failure = failure(view, cluster, &refusal);
                if !failures.contains(&failure) {
                    failures.push(failure);
                }
            }
        }
    }
    Ok((placed, failures))
}

fn no_instances() -> ApiError {
    invalid("No Container Instances were found in your cluster.")
}

fn failure(view: &View, cluster: &Cluster, refusal: &Refusal) -> Failure {
    let closest =
        refusal.closest().and_then(|id| view.container_instance(&cluster.region, &cluster.name, id));
    Failure {
        arn: closest.map(|instance| instance.arn.to_string()),
        reason: Some(refusal.failure().to_owned()),
        detail: None,
    }
}

/// The view with the instance that the cluster will be lent, where it has none yet.
fn with_machine(view: &View, cluster: &Cluster, ids: &mut Ids) -> Option<View> {
    let Lending::Possible(machine) = lending(view, &cluster.region, &cluster.name) else { return None };
    let now = machine.since;
    let (changes, _) = lend(view, cluster, machine, &mut Addresses::default(), now, ids)?;
    let mut lent = view.clone();
    lent.apply(changes, view.revision());
    Some(lent)
}
