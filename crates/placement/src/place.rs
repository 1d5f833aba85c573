//! Placing one task.

use gantry_domain::network::{InterfaceOwner, NetworkInterface, SecurityGroup, Subnet, mac_address};
use gantry_domain::node::{Node, NodeState};
use gantry_domain::service::{AwsvpcConfiguration, PlacementConstraint};
use gantry_domain::task::{Attachment, Task, TaskStatus};
use gantry_domain::task_definition::LaunchType;
use gantry_domain::{Change, Versioned, View};
use gantry_types::{AvailabilityZone, Ids, NetworkInterfaceId, SecurityGroupId, Timestamp, Value};

use crate::capacity::group;
use crate::choose::{Candidate, choose};
use crate::{Addresses, Capacity, Expression, Refusal};

/// What placement reads, and the addresses that it takes.
pub struct Site<'s> {
    pub view: &'s View,
    pub capacity: &'s Capacity,
    pub addresses: &'s mut Addresses,
}

/// Gives the task a zone, a node and, in `awsvpc` mode, an interface; the change that makes the interface belongs to the commit
/// that makes or changes the task. A refused task is left as it was.
pub fn place(
    task: &mut Task,
    site: &mut Site<'_>,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Vec<Change>, Refusal> {
    let nodes = eligible(task, site)?;
    let candidates = candidates(task, site, &nodes)?;
    let chosen = choose(task, site.capacity, &group(task), candidates, ids);
    let Candidate { node, zone, subnet } = chosen;
    let mut changes = Vec::new();
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
    task.node = Some(node.id.clone());
    task.availability_zone = zone;
    task.last_status = TaskStatus::Pending;
    task.times.connectivity_at = Some(now);
    task.version += 1;
    Ok(changes)
}

/// The nodes that could run the task, whatever zone it is for.
fn eligible<'v>(task: &Task, site: &Site<'v>) -> Result<Vec<&'v Node>, Refusal> {
    let all: Vec<Versioned<'v, Node>> = site.view.scan::<Node>("").collect();
    let away = |node: &Versioned<'v, Node>| node.state == NodeState::Disconnected;
    let active: Vec<&'v Node> =
        all.iter().filter(|node| node.state == NodeState::Active).map(|node| node.value()).collect();
    if active.is_empty() {
        return Err(match all.iter().find(|node| away(node)) {
            Some(node) => Refusal::AgentDisconnected(node.id.clone()),
            None => Refusal::NoInstances,
        });
    }
    if task.launch_type == LaunchType::Fargate {
        return Ok(active);
    }
    let mut fitting = Vec::new();
    let mut refusal = None;
    for node in active {
        match fits(task, node, site.capacity) {
            Ok(()) => fitting.push(node),
            Err(reason) => refusal = refusal.or(Some(reason)),
        }
    }
    match refusal {
        Some(refusal) if fitting.is_empty() => Err(refusal),
        _ => Ok(fitting),
    }
}

fn fits(task: &Task, node: &Node, capacity: &Capacity) -> Result<(), Refusal> {
    for constraint in &task.wish.constraints {
        let (holds, name) = match constraint {
            PlacementConstraint::DistinctInstance => {
                (capacity.on_node(&group(task), &node.id) == 0, "DistinctInstance")
            }
            PlacementConstraint::MemberOf(text) => {
                (Expression::parse(text).is_ok_and(|expression| expression.holds(node, capacity)), "MemberOf")
            }
        };
        if !holds {
            return Err(Refusal::Constraint { closest: node.id.clone(), constraint: name });
        }
    }
    let load = capacity.load(&node.id);
    if (node.cpu - load.cpu) < task.cpu {
        return Err(Refusal::InsufficientCpu(node.id.clone()));
    }
    if (node.memory - load.memory) < task.memory {
        return Err(Refusal::InsufficientMemory(node.id.clone()));
    }
    Ok(())
}

/// Each zone that has an address for the task, with each node that runs tasks of the zone.
fn candidates<'v>(task: &Task, site: &Site<'v>, nodes: &[&'v Node]) -> Result<Vec<Candidate<'v>>, Refusal> {
    let Some(network) = &task.wish.network else {
        return Ok(nodes
            .iter()
            .map(|node| Candidate { node, zone: own_zone(task, node), subnet: None })
            .collect());
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
        let inside =
            |node: &&&'v Node| node.availability_zones.is_empty() || node.availability_zones.contains(zone);
        candidates.extend(nodes.iter().filter(inside).map(|node| Candidate {
            node,
            zone: zone.clone(),
            subnet: Some(subnet),
        }));
    }
    if candidates.is_empty() { Err(Refusal::NoZone) } else { Ok(candidates) }
}

/// The zone of a task that has no subnet.
fn own_zone(task: &Task, node: &Node) -> AvailabilityZone {
    let first = node.availability_zones.first().cloned();
    first.unwrap_or_else(|| AvailabilityZone::new(format!("{}a", task.region)))
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
fn default_group(view: &View, subnet: &Subnet) -> Option<SecurityGroupId> {
    let default = |group: &Versioned<'_, SecurityGroup>| group.name == "default";
    view.security_groups_of_vpc(&subnet.region, &subnet.vpc).find(default).map(|group| group.id.clone())
}
