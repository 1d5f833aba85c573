//! Placing one task.

use gantry_domain::container_instance::{ContainerInstance, ContainerInstanceStatus, InstanceOrigin};
use gantry_domain::network::{InterfaceOwner, NetworkInterface, SecurityGroup, Subnet, mac_address};
use gantry_domain::node::{Node, NodeState};
use gantry_domain::service::{AwsvpcConfiguration, PlacementConstraint};
use gantry_domain::task::{Attachment, Task, TaskStatus};
use gantry_domain::task_definition::{LaunchType, TaskDefinition};
use gantry_domain::{Change, Versioned, View};
use gantry_types::{AvailabilityZone, Ids, NetworkInterfaceId, SecurityGroupId, Timestamp, Value};

use crate::capacity::{Host, group};
use crate::choose::{Candidate, choose};
use crate::machine::{Lending, lending};
use crate::{Addresses, Capacity, Expression, Ports, Refusal, ports};

/// What placement reads, and the addresses and ports that it takes.
pub struct Site<'s> {
    pub view: &'s View,
    pub capacity: &'s Capacity,
    pub addresses: &'s mut Addresses,
    pub ports: &'s mut Ports,
}

/// Gives the task a zone, a node, for EC2 a container instance with ports, and in `awsvpc` mode an interface; the change that
/// makes the interface belongs to the commit that makes or changes the task. A refused task is left as it was.
pub fn place(
    task: &mut Task,
    site: &mut Site<'_>,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Vec<Change>, Refusal> {
    let candidates = possible(task, site)?;
    let chosen = choose(task, site.capacity, &group(task), candidates, ids);
    let Candidate { node, instance, zone, subnet, .. } = chosen;
    let mut changes = Vec::new();
    if let Some(instance) = instance {
        bind(task, site, instance)?;
    }
    if let (Some(network), Some(subnet)) = (task.wish.network.clone(), subnet) {
        let interface = interface(task, site, &network, subnet, now, ids)?;
        task.attachment = Some(Attachment {
            id: ids.uuid(),
            interface: interface.id.clone(),
            vpc: interface.vpc.clone(),
            subnet: interface.subnet.clone(),
            address: interface.address,
            mac: interface.mac.clone(),
            security_groups: interface.security_groups.clone(),
        });
        changes.push(Change::create(interface));
    }
    task.node = Some(node.clone());
    task.container_instance = instance.map(|instance| instance.id.clone());
    task.availability_zone = zone;
    task.last_status = TaskStatus::Pending;
    task.times.connectivity_at = Some(now);
    task.version += 1;
    Ok(changes)
}

/// The places that could run the task.
fn possible<'v>(task: &Task, site: &Site<'v>) -> Result<Vec<Candidate<'v>>, Refusal> {
    match task.launch_type {
        LaunchType::Fargate => in_zones(task, site, &machines(site)?),
        LaunchType::Ec2 | LaunchType::External => in_zones(task, site, &instances(task, site)?),
    }
}

/// A machine or instance that could run the task, whatever zone it is for.
struct Eligible<'v> {
    node: &'v Node,
    instance: Option<&'v ContainerInstance>,
}

fn machines<'v>(site: &Site<'v>) -> Result<Vec<Eligible<'v>>, Refusal> {
    let all: Vec<&'v Node> = site.view.scan::<Node>("").map(|node| node.value()).collect();
    let active = all.iter().filter(|node| node.state == NodeState::Active);
    let active: Vec<Eligible<'v>> = active.map(|node| Eligible { node, instance: None }).collect();
    match active.is_empty() {
        false => Ok(active),
        true if all.iter().any(|node| node.state == NodeState::Disconnected) => {
            Err(Refusal::MachineDisconnected)
        }
        true => Err(Refusal::NoInstances),
    }
}

fn instances<'v>(task: &Task, site: &Site<'v>) -> Result<Vec<Eligible<'v>>, Refusal> {
    let wished = |instance: &&'v ContainerInstance| {
        task.wish.instance.as_ref().is_none_or(|wished| *wished == instance.id)
    };
    let all = site.view.instances_of_cluster(&task.region, &task.cluster).map(|each| each.value());
    // StartTask names an instance that may be DRAINING; nobody else gets one.
    let open = |instance: &&'v ContainerInstance| {
        instance.status == ContainerInstanceStatus::Active || task.wish.instance.is_some()
    };
    let open: Vec<&'v ContainerInstance> = all.filter(wished).filter(open).collect();
    if open.is_empty() {
        return Err(match lending(site.view, &task.region, &task.cluster) {
            Lending::Possible(_) if task.wish.instance.is_none() => Refusal::InstanceJoining,
            _ => Refusal::NoInstances,
        });
    }
    let mut fitting = Vec::new();
    let mut refusal = None;
    for instance in open {
        match fits(task, instance, site) {
            Ok(node) => fitting.push(Eligible { node, instance: Some(instance) }),
            Err(reason) => refusal = refusal.or(Some(reason)),
        }
    }
    match refusal {
        Some(refusal) if fitting.is_empty() => Err(refusal),
        _ => Ok(fitting),
    }
}

fn fits<'v>(task: &Task, instance: &ContainerInstance, site: &Site<'v>) -> Result<&'v Node, Refusal> {
    let id = || instance.id.clone();
    let node = site.view.node(&instance.node).map(|node| node.value());
    let Some(node) = node.filter(|node| node.state == NodeState::Active) else {
        return Err(Refusal::AgentDisconnected(id()));
    };
    let capacity = site.capacity;
    for constraint in &task.wish.constraints {
        let (holds, name) = match constraint {
            PlacementConstraint::DistinctInstance => {
                (capacity.on_host(&group(task), &Host::Instance(id())) == 0, "DistinctInstance")
            }
            PlacementConstraint::MemberOf(text) => {
                let holds = |query: Expression| query.holds(instance, Some(node), capacity);
                (Expression::parse(text).is_ok_and(holds), "MemberOf")
            }
        };
        if !holds {
            return Err(Refusal::Constraint { closest: id(), constraint: name });
        }
    }
    let load = capacity.instance_load(&instance.id);
    if (instance.cpu - load.cpu) < task.cpu {
        return Err(Refusal::InsufficientCpu(id()));
    }
    if (instance.memory - load.memory) < task.memory {
        return Err(Refusal::InsufficientMemory(id()));
    }
    let definition = site.view.task_definition(&task.task_definition);
    let has_ports = |definition: Versioned<'_, TaskDefinition>| {
        ports::fit(definition.network_mode, &definition.containers, capacity.ports(&instance.id))
    };
    if !definition.is_none_or(has_ports) {
        return Err(Refusal::PortsInUse(id()));
    }
    Ok(node)
}

/// Each zone that has an address for the task, with each place that runs tasks of the zone.
fn in_zones<'v>(
    task: &Task,
    site: &Site<'v>,
    eligible: &[Eligible<'v>],
) -> Result<Vec<Candidate<'v>>, Refusal> {
    let Some(network) = &task.wish.network else {
        return Ok(eligible.iter().map(|each| each.candidate(own_zone(task, each), None)).collect());
    };
    let known = network.subnets.iter().filter_map(|id| site.view.subnet(&task.region, id));
    let mut subnets: Vec<(u32, &'v Subnet)> =
        known.map(|subnet| (site.addresses.free(site.view, &subnet), subnet.value())).collect();
    subnets.retain(|(free, _)| *free > 0);
    if subnets.is_empty() {
        return Err(Refusal::NoAddress(network.subnets.clone()));
    }
    // The emptiest subnet of each zone.
    subnets.sort_by(|a, b| {
        (&a.1.availability_zone, std::cmp::Reverse(a.0), &a.1.id).cmp(&(
            &b.1.availability_zone,
            std::cmp::Reverse(b.0),
            &b.1.id,
        ))
    });
    subnets.dedup_by(|a, b| a.1.availability_zone == b.1.availability_zone);
    let mut candidates = Vec::new();
    for (_, subnet) in subnets {
        let zone = &subnet.availability_zone;
        let inside = eligible.iter().filter(|each| each.runs_in(zone));
        candidates.extend(inside.map(|each| each.candidate(zone.clone(), Some(subnet))));
    }
    if candidates.is_empty() { Err(Refusal::NoZone) } else { Ok(candidates) }
}

impl<'v> Eligible<'v> {
    /// The machine itself is in every zone, and so are interfaces of tasks on it, unless it is told otherwise.
    fn runs_in(&self, zone: &AvailabilityZone) -> bool {
        let zones = &self.node.availability_zones;
        match self.instance.map(|instance| instance.origin) {
            None | Some(InstanceOrigin::Machine) => zones.is_empty() || zones.contains(zone),
        }
    }

    fn candidate(&self, zone: AvailabilityZone, subnet: Option<&'v Subnet>) -> Candidate<'v> {
        let Self { node, instance } = *self;
        let host = match instance {
            Some(instance) => Host::Instance(instance.id.clone()),
            None => Host::Machine(node.id.clone()),
        };
        let (cpu, memory) =
            instance.map_or((node.cpu, node.memory), |instance| (instance.cpu, instance.memory));
        Candidate { node: &node.id, instance, host, cpu, memory, zone, subnet }
    }
}

/// The zone of a task that has no subnet.
fn own_zone(task: &Task, place: &Eligible<'_>) -> AvailabilityZone {
    if let Some(instance) = place.instance {
        return instance.availability_zone.clone();
    }
    let first = place.node.availability_zones.first().cloned();
    first.unwrap_or_else(|| AvailabilityZone::new(format!("{}a", task.region)))
}

/// Binds the ports of the task's containers; in `awsvpc` mode and without network there are none.
fn bind(task: &mut Task, site: &mut Site<'_>, instance: &ContainerInstance) -> Result<(), Refusal> {
    let Some(definition) = site.view.task_definition(&task.task_definition) else { return Ok(()) };
    let used = site.capacity.ports(&instance.id);
    let bound = site.ports.bind(&instance.id, definition.network_mode, &definition.containers, used);
    let bound = bound.ok_or_else(|| Refusal::PortsInUse(instance.id.clone()))?;
    for (container, bindings) in definition.containers.iter().zip(bound) {
        if let Some(mine) = task.containers.iter_mut().find(|each| each.name == container.name) {
            mine.network_bindings = bindings;
        }
    }
    Ok(())
}

fn interface(
    task: &Task,
    site: &mut Site<'_>,
    network: &AwsvpcConfiguration,
    subnet: &Subnet,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<NetworkInterface, Refusal> {
    let address = site
        .addresses
        .choose(site.view, subnet, ids)
        .ok_or_else(|| Refusal::NoAddress(vec![subnet.id.clone()]))?;
    site.addresses.reserve(&subnet.id, address);
    let security_groups = if network.security_groups.is_empty() {
        default_group(site.view, subnet).into_iter().collect()
    } else {
        network.security_groups.clone()
    };
    Ok(NetworkInterface {
        region: task.region.clone(),
        id: NetworkInterfaceId::new(format!("eni-{}", ids.hex(17))),
        vpc: subnet.vpc.clone(),
        subnet: subnet.id.clone(),
        availability_zone: subnet.availability_zone.clone(),
        address,
        mac: mac_address(address, ids.below(256) as u8),
        security_groups,
        owner: InterfaceOwner::Task(task.id.clone()),
        created_at: now,
        document: Value::map(),
    })
}

/// Every VPC has a group named `default`, which is used when none is named.
pub(crate) fn default_group(view: &View, subnet: &Subnet) -> Option<SecurityGroupId> {
    let default = |group: &Versioned<'_, SecurityGroup>| group.name == "default";
    view.security_groups_of_vpc(&subnet.region, &subnet.vpc).find(default).map(|group| group.id.clone())
}
