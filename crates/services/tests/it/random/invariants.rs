//! What holds of the records whatever was called.

use std::collections::BTreeSet;

use gantry_domain::elb::{Listener, LoadBalancer, Rule, RuleAction, Target, TargetGroup};
use gantry_domain::network::{InterfaceOwner, NetworkInterface, Peer, SecurityGroup, Subnet, Vpc};
use gantry_domain::service::{Service, ServiceStatus};
use gantry_domain::task::Task;
use gantry_domain::{Key, View};
use gantry_types::Arn;

/// Every sentence says what is wrong with one record.
pub(super) fn broken(view: &View) -> Vec<String> {
    let mut broken = Vec::new();
    network(view, &mut broken);
    balancers(view, &mut broken);
    services(view, &mut broken);
    broken
}

fn network(view: &View, broken: &mut Vec<String>) {
    let mut must = |holds: bool, what: String| {
        if !holds {
            broken.push(what);
        }
    };
    for vpc in view.scan::<Vpc>("") {
        let groups: Vec<_> = view.security_groups_of_vpc(&vpc.region, &vpc.value().id).collect();
        let names: BTreeSet<_> = groups.iter().map(|group| &group.value().name).collect();
        must(names.len() == groups.len(), format!("{} has two groups of one name", vpc.id));
        must(groups.iter().any(|group| group.name == "default"), format!("{} has no default group", vpc.id));
        let subnets: Vec<_> = view.subnets_of_vpc(&vpc.region, &vpc.value().id).collect();
        for (index, subnet) in subnets.iter().enumerate() {
            let alone = !subnets[..index].iter().any(|other| other.cidr.overlaps(subnet.cidr));
            must(alone, format!("{} overlaps another subnet", subnet.id));
            must(vpc.cidr.contains(subnet.cidr.address()), format!("{} is outside its VPC", subnet.id));
        }
    }
    must(view.scan::<Vpc>("").filter(|vpc| vpc.is_default).count() <= 1, "two default VPCs".to_owned());
    for subnet in view.scan::<Subnet>("") {
        must(view.vpc(&subnet.region, &subnet.vpc).is_some(), format!("{} has no VPC", subnet.id));
    }
    for group in view.scan::<SecurityGroup>("") {
        must(view.vpc(&group.region, &group.vpc).is_some(), format!("{} has no VPC", group.id));
        for rule in group.ingress.iter().chain(&group.egress) {
            if let Peer::Group(id) = &rule.peer {
                let named = view.get::<SecurityGroup>(&Key::security_group(&group.region, id));
                must(named.is_some_and(|named| named.vpc == group.vpc), format!("{} names {id}", group.id));
            }
        }
    }
    let mut addresses = BTreeSet::new();
    for interface in view.scan::<NetworkInterface>("") {
        let subnet = view.subnet(&interface.region, &interface.subnet);
        let inside = subnet.is_some_and(|subnet| subnet.cidr.contains(interface.address));
        must(inside, format!("{} is in no subnet", interface.id));
        let own = addresses.insert((interface.subnet.clone(), interface.address));
        must(own, format!("{} shares its address", interface.id));
        if let InterfaceOwner::LoadBalancer(arn) = &interface.owner {
            must(view.load_balancer(arn).is_some(), format!("{} has no load balancer", interface.id));
        }
        for id in &interface.security_groups {
            let found = view.get::<SecurityGroup>(&Key::security_group(&interface.region, id));
            must(found.is_some(), format!("{} has no group {id}", interface.id));
        }
    }
}

fn balancers(view: &View, broken: &mut Vec<String>) {
    let mut must = |holds: bool, what: String| {
        if !holds {
            broken.push(what);
        }
    };
    let (mut names, mut outside) = (BTreeSet::new(), BTreeSet::new());
    for balancer in view.scan::<LoadBalancer>("") {
        must(names.insert(balancer.name.clone()), format!("two load balancers {}", balancer.name));
        must(
            balancer.outside_address.is_none_or(|address| outside.insert(address)),
            format!("{} shares its outside address", balancer.name),
        );
        must(balancer.subnets.len() >= 2, format!("{} has too few subnets", balancer.name));
        for own in &balancer.subnets {
            let used = view.is_address_used(&own.subnet, own.address);
            must(used, format!("{} has no interface in {}", balancer.name, own.subnet));
        }
    }
    let mut names = BTreeSet::new();
    for group in view.scan::<TargetGroup>("") {
        must(names.insert(group.name.clone()), format!("two target groups {}", group.name));
        must(view.vpc(&group.region, &group.vpc).is_some(), format!("{} has no VPC", group.name));
    }
    let (mut ports, mut priorities) = (BTreeSet::new(), BTreeSet::new());
    let mut forwarders: BTreeSet<(Arn, Arn)> = BTreeSet::new();
    let mut forwards = |balancer: &Arn, actions: &[RuleAction], of: &Arn, broken: &mut Vec<String>| {
        for action in actions {
            let RuleAction::Forward(forward) = action else { continue };
            for each in &forward.target_groups {
                if view.target_group(&each.target_group).is_none() {
                    broken.push(format!("{of} forwards to nothing"));
                }
                forwarders.insert((each.target_group.clone(), balancer.clone()));
            }
        }
    };
    let mut more = Vec::new();
    for listener in view.scan::<Listener>("") {
        let balancer = &listener.value().load_balancer;
        must(view.load_balancer(balancer).is_some(), format!("{} has no load balancer", listener.arn));
        must(ports.insert((balancer.clone(), listener.port)), format!("{} shares its port", listener.arn));
        forwards(balancer, &listener.default_actions, &listener.arn, &mut more);
    }
    for rule in view.scan::<Rule>("") {
        let listener = view.listener(&rule.listener);
        must(listener.is_some(), format!("{} has no listener", rule.arn));
        must(
            priorities.insert((rule.listener.clone(), rule.priority)),
            format!("{} shares its priority", rule.arn),
        );
        if let Some(listener) = listener {
            forwards(&listener.load_balancer, &rule.actions, &rule.arn, &mut more);
        }
    }
    let groups: BTreeSet<_> = forwarders.iter().map(|(group, _)| group).collect();
    must(groups.len() == forwarders.len(), "a target group has two load balancers".to_owned());
    let mut targets = BTreeSet::new();
    for target in view.scan::<Target>("").filter(|target| target.draining_since.is_none()) {
        // Targets of a group that was deleted are the control loop's to sweep away.
        let own = targets.insert((target.target_group.clone(), target.address, target.port));
        must(own, format!("{} is registered twice", target.target_id));
    }
    broken.append(&mut more);
}

fn services(view: &View, broken: &mut Vec<String>) {
    let mut must = |holds: bool, what: String| {
        if !holds {
            broken.push(what);
        }
    };
    for service in view.scan::<Service>("").filter(|service| service.status != ServiceStatus::Inactive) {
        let cluster = view.cluster(&service.region, &service.cluster);
        must(cluster.is_some_and(|cluster| cluster.active), format!("{} has no cluster", service.arn));
        for deployment in &service.deployments {
            let known = view.task_definition(&deployment.task_definition).is_some();
            must(known, format!("{} runs nothing", deployment.id));
        }
        must(service.primary().is_some(), format!("{} has no deployment", service.arn));
        must(service.maximum_percent >= 100, format!("{} has no room", service.arn));
    }
    for task in view.scan::<Task>("").filter(|task| !task.is_stopped()) {
        let cluster = view.cluster(&task.region, &task.cluster);
        must(cluster.is_some_and(|cluster| cluster.active), format!("{} has no cluster", task.arn));
        let known = view.task_definition(&task.task_definition).is_some();
        must(known, format!("{} runs nothing", task.arn));
    }
    for (key, _, record) in view.records() {
        must(record.key() == *key, format!("{key} stands in the wrong place"));
    }
}
