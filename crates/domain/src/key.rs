//! Where a record lives.

use std::fmt;

use gantry_types::{
    Arn, ClusterName, ContainerInstanceId, DeploymentId, Family, NetworkInterfaceId, NodeId, Region,
    RegistrationId, SecurityGroupId, ServiceName, SubnetId, TaskId, VpcId,
};

/// What a record is. Its text is the first part of the key in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Kind {
    Cluster,
    TaskDefinition,
    Family,
    Service,
    ServiceEvent,
    Task,
    Node,
    ContainerInstance,
    LoadBalancer,
    Listener,
    Rule,
    TargetGroup,
    Target,
    Vpc,
    Subnet,
    SecurityGroup,
    NetworkInterface,
    /// What no decision reads: roles, policies, gateways, log groups. The path's first part says which.
    Object,
}

impl Kind {
    pub const ALL: &'static [Self] = &[
        Self::Cluster,
        Self::TaskDefinition,
        Self::Family,
        Self::Service,
        Self::ServiceEvent,
        Self::Task,
        Self::Node,
        Self::ContainerInstance,
        Self::LoadBalancer,
        Self::Listener,
        Self::Rule,
        Self::TargetGroup,
        Self::Target,
        Self::Vpc,
        Self::Subnet,
        Self::SecurityGroup,
        Self::NetworkInterface,
        Self::Object,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::TaskDefinition => "task-definition",
            Self::Family => "family",
            Self::Service => "service",
            Self::ServiceEvent => "service-event",
            Self::Task => "task",
            Self::Node => "node",
            Self::ContainerInstance => "container-instance",
            Self::LoadBalancer => "load-balancer",
            Self::Listener => "listener",
            Self::Rule => "rule",
            Self::TargetGroup => "target-group",
            Self::Target => "target",
            Self::Vpc => "vpc",
            Self::Subnet => "subnet",
            Self::SecurityGroup => "security-group",
            Self::NetworkInterface => "network-interface",
            Self::Object => "object",
        }
    }
}

/// A record's kind and its path inside the kind. Paths begin with the region where the record has one, so that the
/// records of a region, a cluster or a service stand together.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Key {
    pub kind: Kind,
    pub path: String,
}

impl Key {
    fn new(kind: Kind, path: String) -> Self {
        Self { kind, path }
    }
    /// Keys are made at every read: one allocation of the right size each.
    fn of(kind: Kind, parts: &[&str]) -> Self {
        Self { kind, path: parts.concat() }
    }
    pub fn cluster(region: &Region, name: &ClusterName) -> Self {
        Self::of(Kind::Cluster, &[region.as_str(), "/", name.as_str()])
    }
    pub fn task_definition(region: &Region, family: &Family, revision: u32) -> Self {
        Self::task_definition_named(region.as_str(), family.as_str(), revision)
    }
    pub(crate) fn task_definition_named(region: &str, family: &str, revision: u32) -> Self {
        let digits = revision.to_string();
        Self::of(Kind::TaskDefinition, &[region, "/", family, ":", zeros(10, &digits), &digits])
    }
    /// The counter of a family's revisions: a number is never used twice.
    pub fn family(region: &Region, family: &Family) -> Self {
        Self::of(Kind::Family, &[region.as_str(), "/", family.as_str()])
    }
    pub fn service(region: &Region, cluster: &ClusterName, name: &ServiceName) -> Self {
        Self::of(Kind::Service, &[region.as_str(), "/", cluster.as_str(), "/", name.as_str()])
    }
    pub fn service_event(
        region: &Region,
        cluster: &ClusterName,
        service: &ServiceName,
        sequence: u64,
    ) -> Self {
        let (region, cluster, service) = (region.as_str(), cluster.as_str(), service.as_str());
        let digits = sequence.to_string();
        let parts = [region, "/", cluster, "/", service, "/", zeros(20, &digits), &digits];
        Self::of(Kind::ServiceEvent, &parts)
    }
    pub fn task(region: &Region, cluster: &ClusterName, id: &TaskId) -> Self {
        Self::of(Kind::Task, &[region.as_str(), "/", cluster.as_str(), "/", id.as_str()])
    }
    pub fn node(id: &NodeId) -> Self {
        Self::of(Kind::Node, &[id.as_str()])
    }
    pub fn container_instance(region: &Region, cluster: &ClusterName, id: &ContainerInstanceId) -> Self {
        Self::of(Kind::ContainerInstance, &[region.as_str(), "/", cluster.as_str(), "/", id.as_str()])
    }
    pub fn load_balancer(arn: &Arn) -> Self {
        Self::of(Kind::LoadBalancer, &[arn.as_str()])
    }
    pub fn listener(arn: &Arn) -> Self {
        Self::of(Kind::Listener, &[arn.as_str()])
    }
    pub fn rule(arn: &Arn) -> Self {
        Self::of(Kind::Rule, &[arn.as_str()])
    }
    pub fn target_group(arn: &Arn) -> Self {
        Self::of(Kind::TargetGroup, &[arn.as_str()])
    }
    /// A registration belongs to its target group; `|` stands in no ARN of ours.
    pub fn target(target_group: &Arn, registration: &RegistrationId) -> Self {
        Self::of(Kind::Target, &[target_group.as_str(), "|", registration.as_str()])
    }
    pub fn vpc(region: &Region, id: &VpcId) -> Self {
        Self::of(Kind::Vpc, &[region.as_str(), "/", id.as_str()])
    }
    pub fn subnet(region: &Region, id: &SubnetId) -> Self {
        Self::of(Kind::Subnet, &[region.as_str(), "/", id.as_str()])
    }
    pub fn security_group(region: &Region, id: &SecurityGroupId) -> Self {
        Self::of(Kind::SecurityGroup, &[region.as_str(), "/", id.as_str()])
    }
    pub fn network_interface(region: &Region, id: &NetworkInterfaceId) -> Self {
        Self::of(Kind::NetworkInterface, &[region.as_str(), "/", id.as_str()])
    }
    /// `class` says what the object is, for example `iam/role`; IAM is global and has no region in its name.
    pub fn object(class: &str, name: &str) -> Self {
        Self::of(Kind::Object, &[class, "/", name])
    }
    /// The key as the store writes it.
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.kind.as_str(), "/", &self.path].concat().into_bytes()
    }
    /// Reads back what [`Key::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (kind, path) = text.split_once('/')?;
        let kind = *Kind::ALL.iter().find(|each| each.as_str() == kind)?;
        Some(Self::new(kind, path.to_owned()))
    }
}

/// What stands before a number so that its text sorts as the number does.
fn zeros(width: usize, digits: &str) -> &'static str {
    const ZEROS: &str = "00000000000000000000";
    ZEROS.get(..width.saturating_sub(digits.len())).unwrap_or(ZEROS)
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.path)
    }
}
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The group that a service's tasks carry.
pub fn service_group(service: &ServiceName) -> String {
    format!("service:{service}")
}

/// A deployment's number, as it stands behind `ecs-svc/`.
pub fn deployment_number(id: &DeploymentId) -> &str {
    id.as_str().rsplit('/').next().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_as_it_was_written() {
        let region = Region::new("us-east-1");
        let key = Key::task(&region, &"default".into(), &"0123".into());
        assert_eq!(key.to_bytes(), b"task/us-east-1/default/0123");
        assert_eq!(Key::from_bytes(&key.to_bytes()), Some(key));
        assert_eq!(Key::from_bytes(b"nothing/x"), None);
        assert_eq!(Key::from_bytes(b"\xff"), None);
    }

    #[test]
    fn revisions_sort_by_number() {
        let (region, family) = (Region::new("r"), Family::new("web"));
        let key = |revision| Key::task_definition(&region, &family, revision);
        assert!(key(9) < key(10) && key(10) < key(u32::MAX));
        assert_eq!(key(10).path, "r/web:0000000010");
        assert_eq!(key(u32::MAX).path, "r/web:4294967295");
        let event = |sequence| Key::service_event(&region, &"c".into(), &"web".into(), sequence);
        assert!(event(9) < event(10) && event(10) < event(u64::MAX));
        assert_eq!(event(10).path, "r/c/web/00000000000000000010");
        assert_eq!(event(u64::MAX).path, "r/c/web/18446744073709551615");
    }
}
