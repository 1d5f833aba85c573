//! What a changed record may ask for. A trigger that is missing here costs time, until the next full pass, and nothing else.

use gantry_domain::container_instance::ContainerInstance;
use gantry_domain::elb::{Listener, LoadBalancer, Target, TargetGroup};
use gantry_domain::node::Node;
use gantry_domain::service::{Cluster, Service};
use gantry_domain::task::Task;
use gantry_domain::task_definition::LaunchType;
use gantry_domain::{Key, Kind, Stored, View};
use gantry_types::{Arn, RegistrationId};

use crate::core::Core;
use crate::queue::Unit;

/// The unit that a task is decided with.
pub(crate) fn unit_of_task(view: &View, task: &Task) -> Unit {
    let service = task.service.as_ref().map(|name| Key::service(&task.region, &task.cluster, name));
    match service.filter(|key| view.get::<Service>(key).is_some()) {
        Some(service) => Unit::Service(service),
        None => Unit::Task(task.key()),
    }
}

impl Core {
    /// Marks all that a changed record may ask for.
    pub(crate) fn trigger(&mut self, view: &View, key: &Key) {
        match key.kind {
            Kind::Service => {
                self.queue.mark(Unit::Service(key.clone()));
                match view.get::<Service>(key) {
                    Some(service) => {
                        if service.primary().is_some_and(|primary| primary.launch_type == LaunchType::Ec2) {
                            self.queue.mark(Unit::Cluster(Key::cluster(&service.region, &service.cluster)));
                        }
                        for each in &service.load_balancers {
                            self.balancers.touch_group(each.target_group.clone());
                        }
                    }
                    None => self.balancers.touch_all(),
                }
            }
            Kind::Task => self.task_changed(view, key),
            Kind::Node => {
                self.queue.mark(Unit::Node(gantry_types::NodeId::new(key.path.clone())));
                self.place_is_free();
                // Whether a node is lost or to be emptied concerns all that runs on it.
                if let Some(node) = view.get::<Node>(key) {
                    self.mark_tasks_of(view, &node.id);
                }
                self.mark_clusters(view);
            }
            Kind::Cluster => self.queue.mark(Unit::Cluster(key.clone())),
            Kind::ContainerInstance => {
                self.place_is_free();
                if let Some(instance) = view.get::<ContainerInstance>(key) {
                    self.mark_tasks_of(view, &instance.node);
                }
                // `REGION/CLUSTER/ID`: a DAEMON service is as large as its cluster.
                if let Some((cluster, _)) = key.path.rsplit_once('/') {
                    self.queue.mark(Unit::Cluster(Key { kind: Kind::Cluster, path: cluster.to_owned() }));
                    for service in view.scan::<Service>(&format!("{cluster}/")) {
                        self.queue.mark(Unit::Service(service.key()));
                    }
                }
            }
            Kind::Target => self.target_changed(view, key),
            Kind::TargetGroup => {
                let arn = arn_of(key);
                self.queue.mark(Unit::TargetGroup(arn.clone()));
                self.balancers.touch_group(arn);
            }
            Kind::LoadBalancer => {
                let arn = arn_of(key);
                self.queue.mark(Unit::LoadBalancer(arn.clone()));
                self.balancers.touch_balancer(arn);
                self.vpcs_dirty = true;
            }
            // What is forwarded where decides whether target groups are in use.
            Kind::Listener | Kind::Rule => {
                if let Some(listener) = view.get::<Listener>(key) {
                    self.queue.mark(Unit::LoadBalancer(listener.load_balancer.clone()));
                }
                self.balancers.touch_all();
            }
            Kind::SecurityGroup => {
                self.vpcs_dirty = true;
                let balancers = view.scan::<LoadBalancer>("").map(|balancer| balancer.arn.clone());
                balancers.for_each(|arn| self.balancers.touch_balancer(arn));
            }
            Kind::NetworkInterface => {
                self.vpcs_dirty = true;
                self.place_is_free();
            }
            Kind::Vpc | Kind::Subnet => {
                self.vpcs_dirty = true;
                self.place_is_free();
            }
            Kind::TaskDefinition | Kind::Family | Kind::ServiceEvent | Kind::Object => {}
        }
    }

    fn task_changed(&mut self, view: &View, key: &Key) {
        let task = view.get::<Task>(key);
        self.placer.take_over(view, key);
        self.registrations.apply(key, task.as_deref());
        self.nodes.touch(key);
        if let Some(task) = task {
            self.queue.mark(unit_of_task(view, &task));
            // Who asks for an instance, or was the last on one.
            if task.launch_type == LaunchType::Ec2 && (task.node.is_none() || task.is_stopped()) {
                self.queue.mark(Unit::Cluster(Key::cluster(&task.region, &task.cluster)));
            }
        }
        if task.is_none_or(|task| task.is_stopped()) {
            self.place_is_free();
        }
    }

    fn target_changed(&mut self, view: &View, key: &Key) {
        let Some((group, registration)) = key.path.split_once('|') else { return };
        let Ok(group) = group.parse::<Arn>() else { return };
        self.queue.mark(Unit::TargetGroup(group.clone()));
        self.balancers.touch_group(group);
        // A drained target lets its task be stopped, a healthy one lets its service go on.
        if let Some(task) = self.registrations.task_of(&RegistrationId::from(registration)).cloned() {
            self.nodes.touch(&task);
            if let Some(task) = view.get::<Task>(&task) {
                self.queue.mark(unit_of_task(view, &task));
            }
        }
    }

    /// What waits for a place tries again.
    fn place_is_free(&mut self) {
        for unit in std::mem::take(&mut self.waiting_for_place) {
            self.queue.mark(unit);
        }
    }

    pub(crate) fn mark_tasks_of(&mut self, view: &View, node: &gantry_types::NodeId) {
        for task in view.tasks_of_node(node).filter(|task| !task.is_stopped()) {
            self.queue.mark(unit_of_task(view, &task));
        }
    }

    fn mark_clusters(&mut self, view: &View) {
        for cluster in view.scan::<Cluster>("") {
            self.queue.mark(Unit::Cluster(cluster.key()));
        }
    }

    /// Everything is decided and compared anew.
    pub(crate) fn mark_everything(&mut self, view: &View) {
        for node in view.scan::<Node>("") {
            self.queue.mark(Unit::Node(node.id.clone()));
        }
        self.mark_clusters(view);
        for service in view.scan::<Service>("") {
            self.queue.mark(Unit::Service(service.key()));
        }
        for task in view.scan::<Task>("").filter(|task| !task.is_stopped()) {
            self.queue.mark(unit_of_task(view, &task));
        }
        for group in view.scan::<TargetGroup>("") {
            self.queue.mark(Unit::TargetGroup(group.arn.clone()));
        }
        for target in view.scan::<Target>("") {
            self.queue.mark(Unit::TargetGroup(target.target_group.clone()));
        }
        for balancer in view.scan::<LoadBalancer>("") {
            self.queue.mark(Unit::LoadBalancer(balancer.arn.clone()));
        }
        self.nodes.touch_all(view);
        self.balancers.touch_all();
        self.vpcs_dirty = true;
    }
}

fn arn_of(key: &Key) -> Arn {
    // Keys of this kind are made from ARNs; what is none names nothing.
    key.path.parse().unwrap_or_else(|_| gantry_types::arn("elasticloadbalancing", "", "none"))
}
