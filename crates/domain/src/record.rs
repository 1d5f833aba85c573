//! One enumeration of all records, and the trait by which code names a record by its type.

use crate::container_instance::ContainerInstance;
use crate::elb::{Listener, LoadBalancer, Rule, Target, TargetGroup};
use crate::network::{NetworkInterface, SecurityGroup, Subnet, Vpc};
use crate::node::Node;
use crate::object::Object;
use crate::service::{Service, ServiceEvent};
use crate::task::Task;
use crate::task_definition::{FamilyCounter, TaskDefinition};
use crate::{Key, Kind, service::Cluster};

/// A type that is kept in the store.
pub trait Stored: Sized + 'static {
    const KIND: Kind;
    fn key(&self) -> Key;
    fn into_record(self) -> Record;
    fn from_record(record: &Record) -> Option<&Self>;
}

macro_rules! records {
    ($($name:ident($kind:ident): |$record:ident| $key:expr;)+) => {
        /// Anything that the store keeps.
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[expect(clippy::large_enum_variant, reason = "records are held behind one pointer in the view")]
        pub enum Record {
            $($kind($name),)+
        }
        $(
            impl Stored for $name {
                const KIND: Kind = Kind::$kind;
                fn key(&self) -> Key {
                    let $record = self;
                    $key
                }
                fn into_record(self) -> Record {
                    Record::$kind(self)
                }
                fn from_record(record: &Record) -> Option<&Self> {
                    match record {
                        Record::$kind(inner) => Some(inner),
                        _ => None,
                    }
                }
            }
        )+
        impl Record {
            /// The key that the record's own fields give.
            pub fn key(&self) -> Key {
                match self {
                    $(Self::$kind(record) => record.key(),)+
                }
            }
        }
    };
}

records! {
    Cluster(Cluster): |r| Key::cluster(&r.region, &r.name);
    TaskDefinition(TaskDefinition): |r| Key::task_definition(&r.region, &r.family, r.revision);
    FamilyCounter(Family): |r| Key::family(&r.region, &r.family);
    Service(Service): |r| Key::service(&r.region, &r.cluster, &r.name);
    ServiceEvent(ServiceEvent): |r| Key::service_event(&r.region, &r.cluster, &r.service, r.sequence);
    Task(Task): |r| Key::task(&r.region, &r.cluster, &r.id);
    Node(Node): |r| Key::node(&r.id);
    ContainerInstance(ContainerInstance): |r| Key::container_instance(&r.region, &r.cluster, &r.id);
    LoadBalancer(LoadBalancer): |r| Key::load_balancer(&r.arn);
    Listener(Listener): |r| Key::listener(&r.arn);
    Rule(Rule): |r| Key::rule(&r.arn);
    TargetGroup(TargetGroup): |r| Key::target_group(&r.arn);
    Target(Target): |r| Key::target(&r.target_group, &r.registration);
    Vpc(Vpc): |r| Key::vpc(&r.region, &r.id);
    Subnet(Subnet): |r| Key::subnet(&r.region, &r.id);
    SecurityGroup(SecurityGroup): |r| Key::security_group(&r.region, &r.id);
    NetworkInterface(NetworkInterface): |r| Key::network_interface(&r.region, &r.id);
    Object(Object): |r| Key::object(&r.class, &r.name);
}
