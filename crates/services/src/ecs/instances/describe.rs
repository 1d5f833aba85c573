//! A container instance as Describe shows it.

use gantry_api::ecs::{Attribute, ContainerInstance, Resource, VersionInfo};
use gantry_domain::View;
use gantry_domain::container_instance::ContainerInstance as InstanceRecord;
use gantry_domain::node::NodeState;
use gantry_domain::task::{Task, TaskStatus};
use gantry_domain::task_definition::TransportProtocol;
use gantry_placement::{Capacity, UsedPorts};

use crate::ecs::tags::tags_of;

pub(super) fn shown(
    view: &View,
    record: &InstanceRecord,
    capacity: &Capacity,
    include: &[String],
) -> ContainerInstance {
    let node = view.node(&record.node);
    let connected = node.is_some_and(|node| matches!(node.state, NodeState::Active | NodeState::Draining));
    let tasks = || {
        let all = view.tasks_of_cluster(&record.region, &record.cluster).map(|task| task.value());
        all.filter(|task| task.container_instance.as_ref() == Some(&record.id))
    };
    let count = |wanted: fn(&&Task) -> bool| i32::try_from(tasks().filter(wanted).count()).ok();
    let load = capacity.instance_load(&record.id);
    let none = UsedPorts::new();
    ContainerInstance {
        container_instance_arn: Some(record.arn.to_string()),
        ec2_instance_id: Some(record.instance.to_string()),
        version: i64::try_from(record.version).ok(),
        version_info: Some(VersionInfo {
            agent_version: node.map(|node| node.version.clone()),
            agent_hash: None,
            docker_version: None,
        }),
        registered_resources: Some(resources(record.cpu.0, record.memory.0, &none)),
        remaining_resources: Some(resources(
            (record.cpu - load.cpu).0,
            (record.memory - load.memory).0,
            capacity.ports(&record.id),
        )),
        status: Some(record.status.to_string()),
        agent_connected: Some(connected),
        running_tasks_count: count(|task| {
            (TaskStatus::Running..TaskStatus::Stopped).contains(&task.last_status)
        }),
        pending_tasks_count: count(|task| task.last_status < TaskStatus::Running),
        attributes: Some(record.attributes.iter().map(|(name, value)| attribute(name, value)).collect()),
        registered_at: Some(record.registered_at),
        attachments: Some(vec![]),
        tags: Some(if include.iter().any(|each| each == "TAGS") {
            tags_of(&record.document)
        } else {
            vec![]
        }),
        ..ContainerInstance::default()
    }
}

fn attribute(name: &str, value: &Option<String>) -> Attribute {
    Attribute { name: name.to_owned(), value: value.clone(), ..Attribute::default() }
}

/// In AWS's order; the sets of ports are those that are not to be had.
fn resources(cpu: u32, memory: u32, used: &UsedPorts) -> Vec<Resource> {
    let amount = |name: &str, amount: u32| Resource {
        name: Some(name.to_owned()),
        r#type: Some("INTEGER".to_owned()),
        double_value: Some(0.0),
        long_value: Some(0),
        integer_value: i32::try_from(amount).ok(),
        ..Resource::default()
    };
    let ports = |name: &str, protocol: TransportProtocol, reserved: &[u16]| {
        let held = used.keys().filter(|(each, _)| *each == protocol).map(|(_, port)| port);
        Resource {
            name: Some(name.to_owned()),
            r#type: Some("STRINGSET".to_owned()),
            double_value: Some(0.0),
            long_value: Some(0),
            integer_value: Some(0),
            string_set_value: Some(reserved.iter().chain(held).map(u16::to_string).collect()),
        }
    };
    vec![
        amount("CPU", cpu),
        amount("MEMORY", memory),
        ports("PORTS", TransportProtocol::Tcp, &InstanceRecord::RESERVED_PORTS),
        ports("PORTS_UDP", TransportProtocol::Udp, &[]),
    ]
}
