//! The store's content in memory, with the indexes that decisions need.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::ops::{Bound, Deref};
use std::sync::Arc;

use gantry_types::{Arn, ClusterName, ContainerInstanceId, NodeId, Region, ServiceName, SubnetId, VpcId};

use crate::container_instance::ContainerInstance;
use crate::elb::{Listener, LoadBalancer, Rule, Target, TargetGroup};
use crate::network::{NetworkInterface, SecurityGroup, Subnet, Vpc};
use crate::node::Node;
use crate::service::{Cluster, Service, ServiceEvent};
use crate::task::Task;
use crate::task_definition::TaskDefinition;
use crate::{Action, Change, Expect, Key, Record, Stored};

/// A record as it was read, with the revision that a change of it must expect.
#[derive(Debug)]
pub struct Versioned<'a, T> {
    pub revision: u64,
    value: &'a T,
}

impl<'a, T> Versioned<'a, T> {
    /// A record that is not in a view: one that a commit under way has changed already, or one of a test.
    pub fn new(revision: u64, value: &'a T) -> Self {
        Self { revision, value }
    }
    /// The record for as long as the view is held.
    pub fn value(&self) -> &'a T {
        self.value
    }
    /// The record itself, to be changed.
    pub fn cloned(&self) -> T
    where
        T: Clone,
    {
        self.value.clone()
    }
}
impl<T> Clone for Versioned<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Versioned<'_, T> {}
impl<T> Deref for Versioned<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.value
    }
}

#[derive(Debug, Clone)]
struct Entry {
    revision: u64,
    record: Arc<Record>,
}

impl Entry {
    fn read<T: Stored>(&self) -> Option<Versioned<'_, T>> {
        Some(Versioned { revision: self.revision, value: T::from_record(&self.record)? })
    }
}

/// All records, in the order of their keys.
#[derive(Debug, Clone, Default)]
pub struct View {
    revision: u64,
    entries: BTreeMap<Key, Entry>,
    // The indexes hold the entries themselves: who goes through one need not look each record up.
    tasks_by_service: HashMap<Key, BTreeMap<Key, Entry>>,
    tasks_by_node: HashMap<NodeId, BTreeMap<Key, Entry>>,
    interfaces_by_subnet: HashMap<SubnetId, BTreeMap<Ipv4Addr, Entry>>,
}

impl View {
    /// The revision of the last commit.
    pub fn revision(&self) -> u64 {
        self.revision
    }
    pub fn len(&self) -> usize {
        self.entries.len()
    }
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// One record by its key; `None` also when the key is of another kind than `T`.
    pub fn get<T: Stored>(&self, key: &Key) -> Option<Versioned<'_, T>> {
        self.entries.get(key)?.read()
    }

    /// The records of one kind whose path begins with `prefix`, in the order of their keys.
    pub fn scan<T: Stored>(&self, prefix: &str) -> impl Iterator<Item = Versioned<'_, T>> + use<'_, T> {
        let (kind, prefix) = (T::KIND, prefix.to_owned());
        let from = Key { kind, path: prefix.clone() };
        self.entries
            .range((Bound::Included(from), Bound::Unbounded))
            .take_while(move |(key, _)| key.kind == kind && key.path.starts_with(&prefix))
            .filter_map(|(_, entry)| entry.read())
    }

    /// The raw record and its revision, for what treats all kinds alike.
    pub fn record(&self, key: &Key) -> Option<(u64, &Arc<Record>)> {
        self.entries.get(key).map(|entry| (entry.revision, &entry.record))
    }
    pub fn records(&self) -> impl Iterator<Item = (&Key, u64, &Arc<Record>)> {
        self.entries.iter().map(|(key, entry)| (key, entry.revision, &entry.record))
    }

    pub fn cluster(&self, region: &Region, name: &ClusterName) -> Option<Versioned<'_, Cluster>> {
        self.get(&Key::cluster(region, name))
    }
    pub fn service(
        &self,
        region: &Region,
        cluster: &ClusterName,
        name: &ServiceName,
    ) -> Option<Versioned<'_, Service>> {
        self.get(&Key::service(region, cluster, name))
    }
    pub fn node(&self, id: &NodeId) -> Option<Versioned<'_, Node>> {
        self.get(&Key::node(id))
    }
    pub fn container_instance(
        &self,
        region: &Region,
        cluster: &ClusterName,
        id: &ContainerInstanceId,
    ) -> Option<Versioned<'_, ContainerInstance>> {
        self.get(&Key::container_instance(region, cluster, id))
    }
    /// The instance that an EC2 task was placed on.
    pub fn instance_of(&self, task: &Task) -> Option<Versioned<'_, ContainerInstance>> {
        self.container_instance(&task.region, &task.cluster, task.container_instance.as_ref()?)
    }
    pub fn instances_of_cluster(
        &self,
        region: &Region,
        cluster: &ClusterName,
    ) -> impl Iterator<Item = Versioned<'_, ContainerInstance>> + use<'_> {
        self.scan::<ContainerInstance>(&[region.as_str(), "/", cluster.as_str(), "/"].concat())
    }
    /// By `arn:..:task-definition/FAMILY:REVISION`.
    pub fn task_definition(&self, arn: &Arn) -> Option<Versioned<'_, TaskDefinition>> {
        let (family, revision) = arn.resource().strip_prefix("task-definition/")?.rsplit_once(':')?;
        self.get(&Key::task_definition_named(arn.region(), family, revision.parse().ok()?))
    }
    pub fn load_balancer(&self, arn: &Arn) -> Option<Versioned<'_, LoadBalancer>> {
        self.get(&Key::load_balancer(arn))
    }
    pub fn listener(&self, arn: &Arn) -> Option<Versioned<'_, Listener>> {
        self.get(&Key::listener(arn))
    }
    pub fn target_group(&self, arn: &Arn) -> Option<Versioned<'_, TargetGroup>> {
        self.get(&Key::target_group(arn))
    }
    pub fn vpc(&self, region: &Region, id: &VpcId) -> Option<Versioned<'_, Vpc>> {
        self.get(&Key::vpc(region, id))
    }
    pub fn subnet(&self, region: &Region, id: &SubnetId) -> Option<Versioned<'_, Subnet>> {
        self.get(&Key::subnet(region, id))
    }
    pub fn listeners_of(&self, load_balancer: &Arn) -> impl Iterator<Item = Versioned<'_, Listener>> {
        self.scan::<Listener>("").filter(move |listener| listener.load_balancer == *load_balancer)
    }
    /// A listener's rules, lowest priority first, without the default one.
    pub fn rules_of(&self, listener: &Arn) -> Vec<Versioned<'_, Rule>> {
        let mut rules: Vec<_> = self.scan::<Rule>("").filter(|rule| rule.listener == *listener).collect();
        rules.sort_by_key(|rule| rule.priority);
        rules
    }
    pub fn targets_of(&self, target_group: &Arn) -> impl Iterator<Item = Versioned<'_, Target>> + use<'_> {
        self.scan::<Target>(&[target_group.as_str(), "|"].concat())
    }
    pub fn events_of(
        &self,
        region: &Region,
        cluster: &ClusterName,
        service: &ServiceName,
    ) -> impl Iterator<Item = Versioned<'_, ServiceEvent>> + use<'_> {
        self.scan::<ServiceEvent>(&format!("{region}/{cluster}/{service}/"))
    }
    pub fn tasks_of_cluster(
        &self,
        region: &Region,
        cluster: &ClusterName,
    ) -> impl Iterator<Item = Versioned<'_, Task>> + use<'_> {
        self.scan::<Task>(&format!("{region}/{cluster}/"))
    }
    /// All of a service's tasks, stopped ones included.
    pub fn tasks_of_service(
        &self,
        region: &Region,
        cluster: &ClusterName,
        name: &ServiceName,
    ) -> impl Iterator<Item = Versioned<'_, Task>> + use<'_> {
        let tasks = self.tasks_by_service.get(&Key::service(region, cluster, name));
        tasks.into_iter().flat_map(BTreeMap::values).filter_map(Entry::read)
    }
    /// All tasks that were placed on a node, stopped ones included.
    pub fn tasks_of_node(&self, node: &NodeId) -> impl Iterator<Item = Versioned<'_, Task>> + use<'_> {
        self.tasks_by_node.get(node).into_iter().flat_map(BTreeMap::values).filter_map(Entry::read)
    }
    /// The addresses in use in a subnet.
    pub fn interfaces_of_subnet(
        &self,
        subnet: &SubnetId,
    ) -> impl Iterator<Item = (Ipv4Addr, Versioned<'_, NetworkInterface>)> + use<'_> {
        let addresses = self.interfaces_by_subnet.get(subnet);
        addresses.into_iter().flatten().filter_map(|(address, entry)| Some((*address, entry.read()?)))
    }
    pub fn is_address_used(&self, subnet: &SubnetId, address: Ipv4Addr) -> bool {
        self.interfaces_by_subnet.get(subnet).is_some_and(|used| used.contains_key(&address))
    }
    pub fn used_addresses(&self, subnet: &SubnetId) -> usize {
        self.interfaces_by_subnet.get(subnet).map_or(0, BTreeMap::len)
    }
    pub fn security_groups_of_vpc(
        &self,
        region: &Region,
        vpc: &VpcId,
    ) -> impl Iterator<Item = Versioned<'_, SecurityGroup>> {
        self.scan::<SecurityGroup>(&format!("{region}/")).filter(move |group| group.vpc == *vpc)
    }
    pub fn subnets_of_vpc(
        &self,
        region: &Region,
        vpc: &VpcId,
    ) -> impl Iterator<Item = Versioned<'_, Subnet>> {
        self.scan::<Subnet>(&format!("{region}/")).filter(move |subnet| subnet.vpc == *vpc)
    }

    /// Whether every expectation holds; else the first key whose does not.
    pub fn check(&self, changes: &[Change]) -> Result<(), Key> {
        let holds = |change: &Change| {
            let current = self.entries.get(&change.key).map(|entry| entry.revision);
            match change.expect {
                Expect::Absent => current.is_none(),
                Expect::Revision(revision) => current == Some(revision),
                Expect::Anything => true,
            }
        };
        match changes.iter().find(|change| !holds(change)) {
            Some(change) => Err(change.key.clone()),
            None => Ok(()),
        }
    }

    /// Makes a commit's changes, whose expectations were checked, under the commit's revision.
    pub fn apply(&mut self, changes: Vec<Change>, revision: u64) {
        self.revision = revision;
        for change in changes {
            match change.action {
                Action::Put(record) => self.load(change.key, record, revision),
                Action::Delete => self.remove(&change.key),
                Action::Check => {}
            }
        }
    }

    /// Puts one record as the store has it: how a view is filled at the start.
    pub fn load(&mut self, key: Key, record: Record, revision: u64) {
        self.remove(&key);
        self.revision = self.revision.max(revision);
        let entry = Entry { revision, record: Arc::new(record) };
        self.index(&key, &entry);
        self.entries.insert(key, entry);
    }

    /// Says which revision the store is at, when the last commit left no record behind.
    pub fn set_revision(&mut self, revision: u64) {
        self.revision = self.revision.max(revision);
    }

    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.unindex(key, &entry.record);
        }
    }

    fn index(&mut self, key: &Key, entry: &Entry) {
        match &*entry.record {
            Record::Task(task) => {
                if let Some(service) = service_of(task) {
                    self.tasks_by_service.entry(service).or_default().insert(key.clone(), entry.clone());
                }
                if let Some(node) = &task.node {
                    self.tasks_by_node.entry(node.clone()).or_default().insert(key.clone(), entry.clone());
                }
            }
            Record::NetworkInterface(interface) => {
                let used = self.interfaces_by_subnet.entry(interface.subnet.clone()).or_default();
                used.insert(interface.address, entry.clone());
            }
            _ => {}
        }
    }

    fn unindex(&mut self, key: &Key, record: &Record) {
        match record {
            Record::Task(task) => {
                if let Some(service) = service_of(task) {
                    forget(&mut self.tasks_by_service, &service, key);
                }
                if let Some(node) = &task.node {
                    forget(&mut self.tasks_by_node, node, key);
                }
            }
            Record::NetworkInterface(interface) => {
                if let Some(used) = self.interfaces_by_subnet.get_mut(&interface.subnet) {
                    used.remove(&interface.address);
                    if used.is_empty() {
                        self.interfaces_by_subnet.remove(&interface.subnet);
                    }
                }
            }
            _ => {}
        }
    }
}

fn service_of(task: &Task) -> Option<Key> {
    task.service.as_ref().map(|service| Key::service(&task.region, &task.cluster, service))
}

fn forget<K: std::hash::Hash + Eq>(index: &mut HashMap<K, BTreeMap<Key, Entry>>, of: &K, key: &Key) {
    if let Some(entries) = index.get_mut(of) {
        entries.remove(key);
        if entries.is_empty() {
            index.remove(of);
        }
    }
}

/// The kind of a record's key is the record's own kind: what the store's loader checks.
pub fn kind_matches(key: &Key, record: &Record) -> bool {
    record.key() == *key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Object;
    use gantry_types::Value;

    fn object(name: &str) -> Object {
        Object { class: "test".to_owned(), name: name.to_owned(), document: Value::Null }
    }

    #[test]
    fn a_change_is_made_only_on_what_was_read() {
        let mut view = View::default();
        let create = vec![Change::create(object("a"))];
        assert_eq!(view.check(&create), Ok(()));
        view.apply(create.clone(), 5);
        let key = Key::object("test", "a");
        assert_eq!(view.check(&create), Err(key.clone()));
        assert_eq!(view.get::<Object>(&key).map(|o| o.revision), Some(5));
        assert_eq!(view.check(&[Change::update(object("a"), 4)]), Err(key.clone()));
        assert_eq!(view.check(&[Change::check(key.clone(), 5)]), Ok(()));
        view.apply(vec![Change::delete(key.clone(), 5)], 6);
        assert!(view.is_empty());
        assert_eq!((view.revision(), view.check(&[Change::delete(key.clone(), 5)])), (6, Err(key)));
    }

    #[test]
    fn a_scan_stays_inside_its_prefix_and_kind() {
        let mut view = View::default();
        for (revision, name) in ["a/1", "a/2", "b/1"].into_iter().enumerate() {
            view.apply(vec![Change::create(object(name))], revision as u64 + 1);
        }
        let names: Vec<_> = view.scan::<Object>("test/a/").map(|o| o.name.clone()).collect();
        assert_eq!(names, ["a/1", "a/2"]);
        assert_eq!(view.scan::<Vpc>("").count(), 0);
    }
}
