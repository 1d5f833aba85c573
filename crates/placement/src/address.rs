//! Choosing addresses inside subnets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use gantry_domain::View;
use gantry_domain::elb::LoadBalancer;
use gantry_domain::network::Subnet;
use gantry_types::{Ids, SubnetId};

/// Where the search in each subnet goes on, and the addresses that commits under way have taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    next: BTreeMap<SubnetId, u32>,
    reserved: BTreeSet<(SubnetId, Ipv4Addr)>,
}

impl Addresses {
    /// Frees what a commit had taken: the view holds it now, or never will.
    pub fn release(&mut self, subnet: &SubnetId, address: Ipv4Addr) {
        self.reserved.remove(&(subnet.clone(), address));
    }

    pub(crate) fn reserve(&mut self, subnet: &SubnetId, address: Ipv4Addr) {
        self.reserved.insert((subnet.clone(), address));
    }

    /// How many addresses a subnet has left.
    pub(crate) fn free(&self, view: &View, subnet: &Subnet) -> u32 {
        let reserved = self.reserved.iter().filter(|(id, _)| *id == subnet.id).count();
        let used = view.used_addresses(&subnet.id) + reserved;
        subnet.capacity().saturating_sub(u32::try_from(used).unwrap_or(u32::MAX))
    }

    /// A free address. The search begins at random, then goes round the subnet, so that an address that was given back is used
    /// again as late as possible: connections and caches that still mean its last owner are gone by then.
    pub(crate) fn choose(&mut self, view: &View, subnet: &Subnet, ids: &mut Ids) -> Option<Ipv4Addr> {
        let capacity = subnet.capacity();
        if capacity == 0 {
            return None;
        }
        let balancers = balancer_addresses(view, &subnet.id);
        let start =
            *self.next.entry(subnet.id.clone()).or_insert_with(|| ids.below(u64::from(capacity)) as u32);
        let free = |address: &Ipv4Addr| {
            !view.is_address_used(&subnet.id, *address)
                && !self.reserved.contains(&(subnet.id.clone(), *address))
                && !balancers.contains(address)
        };
        let slots = (0..capacity).map(|step| (start % capacity + step) % capacity);
        let (slot, address) = slots
            .filter_map(|slot| Some((slot, subnet.address(slot)?)))
            .find(|(_, address)| free(address))?;
        self.next.insert(subnet.id.clone(), slot + 1);
        Some(address)
    }
}

/// A load balancer's addresses are taken whether or not it has interface records.
fn balancer_addresses(view: &View, subnet: &SubnetId) -> BTreeSet<Ipv4Addr> {
    let subnets = view.scan::<LoadBalancer>("").flat_map(|balancer| &balancer.value().subnets);
    subnets.filter(|each| each.subnet == *subnet).map(|each| each.address).collect()
}
