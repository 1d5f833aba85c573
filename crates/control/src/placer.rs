//! Placement with what commits under way have taken already.

use std::net::Ipv4Addr;

use gantry_domain::node::Node;
use gantry_domain::service::Cluster;
use gantry_domain::task::Task;
use gantry_domain::{Change, Key, Stored, View};
use gantry_placement::{Addresses, Capacity, Ports, Refusal, Site, lend, place};
use gantry_types::{Ids, SubnetId, Timestamp};

/// The index over all nodes and subnets. It runs ahead of the view by the commits in flight.
#[derive(Debug, Default)]
pub(crate) struct Placer {
    capacity: Capacity,
    addresses: Addresses,
    ports: Ports,
}

impl Placer {
    /// Places a task, and notes in `taken` the address that is reserved until its commit has ended.
    pub(crate) fn place(
        &mut self,
        view: &View,
        task: &mut Task,
        taken: &mut Vec<(SubnetId, Ipv4Addr)>,
        now: Timestamp,
        ids: &mut Ids,
    ) -> Result<Vec<Change>, Refusal> {
        let mut site =
            Site { view, capacity: &self.capacity, addresses: &mut self.addresses, ports: &mut self.ports };
        let changes = place(task, &mut site, now, ids)?;
        taken
            .extend(task.attachment.iter().map(|attachment| (attachment.subnet.clone(), attachment.address)));
        self.capacity.apply(&task.key(), Some(task));
        Ok(changes)
    }

    /// Lends the machine to a cluster, and notes in `taken` the address that is reserved until its commit has ended.
    pub(crate) fn lend(
        &mut self,
        view: &View,
        cluster: &Cluster,
        machine: &Node,
        taken: &mut Vec<(SubnetId, Ipv4Addr)>,
        now: Timestamp,
        ids: &mut Ids,
    ) -> Vec<Change> {
        match lend(view, cluster, machine, &mut self.addresses, now, ids) {
            Some((changes, address)) => {
                taken.push(address);
                changes
            }
            None => Vec::new(),
        }
    }

    /// Takes a task as the view has it.
    pub(crate) fn take_over(&mut self, view: &View, key: &Key) {
        self.capacity.apply(key, view.get::<Task>(key).as_deref());
    }

    /// Takes all tasks as the view has them.
    pub(crate) fn rebuild(&mut self, view: &View) {
        self.capacity = Capacity::scan(view);
    }

    pub(crate) fn release(&mut self, taken: &[(SubnetId, Ipv4Addr)]) {
        for (subnet, address) in taken {
            self.addresses.release(subnet, *address);
        }
    }
}
