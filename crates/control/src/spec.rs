//! What a node is told of a task.

use std::net::Ipv4Addr;

use gantry_domain::View;
use gantry_domain::assignment::{InterfaceSpec, TaskSpec};
use gantry_domain::task::{Attachment, Task};
use gantry_domain::task_definition::{ContainerDefinition, TaskDefinition};
use gantry_link::TaskName;
use gantry_types::{ContainerName, CpuUnits, MemoryMib, Region, Value};

pub(crate) fn task_name(task: &Task) -> TaskName {
    TaskName { region: task.region.clone(), cluster: task.cluster.clone(), task: task.id.clone() }
}

/// Everything that the node needs, overrides applied; `None` if the task definition is gone.
pub(crate) fn task_spec(view: &View, task: &Task) -> Option<TaskSpec> {
    let definition = view.task_definition(&task.task_definition)?.value();
    let overrides = task.document.get("overrides");
    let overridden = |member: &str| overrides.and_then(|all| all.get(member)).is_some();
    Some(TaskSpec {
        region: task.region.clone(),
        cluster: task.cluster.clone(),
        task: task.id.clone(),
        arn: task.arn.clone(),
        task_definition: task.task_definition.clone(),
        family: definition.family.to_string(),
        revision: definition.revision,
        service: task.service.clone(),
        launch_type: task.launch_type,
        availability_zone: task.availability_zone.clone(),
        network_mode: definition.network_mode,
        interface: task.attachment.as_ref().and_then(|attachment| interface_spec(view, task, attachment)),
        // A task without amounts of its own has only its containers' limits.
        cpu: (definition.cpu.is_some() || overridden("cpu")).then_some(task.cpu),
        memory: (definition.memory.is_some() || overridden("memory")).then_some(task.memory),
        containers: containers(definition, overrides),
        volumes: definition.volumes.clone(),
    })
}

fn interface_spec(view: &View, task: &Task, attachment: &Attachment) -> Option<InterfaceSpec> {
    let subnet = view.subnet(&task.region, &attachment.subnet)?;
    let vpc = view.vpc(&task.region, &attachment.vpc)?;
    Some(InterfaceSpec {
        interface: attachment.interface.clone(),
        vpc: attachment.vpc.clone(),
        subnet: attachment.subnet.clone(),
        subnet_cidr: subnet.cidr,
        address: attachment.address,
        mac: attachment.mac.clone(),
        dns_address: vpc.dns_address(),
        private_dns_name: private_dns_name(&task.region, attachment.address),
    })
}

/// EC2's names for private addresses.
fn private_dns_name(region: &Region, address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    match region.as_str() {
        "us-east-1" => format!("ip-{a}-{b}-{c}-{d}.ec2.internal"),
        other => format!("ip-{a}-{b}-{c}-{d}.{other}.compute.internal"),
    }
}

fn containers(definition: &TaskDefinition, overrides: Option<&Value>) -> Vec<ContainerDefinition> {
    let mut containers = definition.containers.clone();
    let list =
        overrides.and_then(|all| all.get("containerOverrides")).map(Value::as_list).unwrap_or_default();
    for each in list {
        let name = each.get("name").and_then(Value::as_str).map(ContainerName::from);
        if let Some(container) =
            containers.iter_mut().find(|container| Some(&container.name) == name.as_ref())
        {
            apply(container, each);
        }
    }
    containers
}

/// One member of `containerOverrides`: a command replaces, environment variables are added or replaced by name.
fn apply(container: &mut ContainerDefinition, overrides: &Value) {
    if let Some(command) = overrides.get("command") {
        container.command =
            Some(command.as_list().iter().filter_map(Value::as_str).map(str::to_owned).collect());
    }
    for variable in overrides.get("environment").map(Value::as_list).unwrap_or_default() {
        let text = |member: &str| variable.get(member).and_then(Value::as_str);
        if let (Some(name), Some(value)) = (text("name"), text("value")) {
            container.environment.insert(name.to_owned(), value.to_owned());
        }
    }
    let number =
        |member: &str| overrides.get(member).and_then(Value::as_i64).and_then(|n| u32::try_from(n).ok());
    if let Some(cpu) = number("cpu") {
        container.cpu = CpuUnits(cpu);
    }
    if let Some(memory) = number("memory") {
        container.memory = Some(MemoryMib(memory));
    }
    if let Some(memory) = number("memoryReservation") {
        container.memory_reservation = Some(MemoryMib(memory));
    }
}
