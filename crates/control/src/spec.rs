//! What a node is told of a task.

use std::net::Ipv4Addr;

use gantry_domain::View;
use gantry_domain::assignment::{InstanceSpec, InterfaceSpec, TaskShown, TaskSpec};
use gantry_domain::container_instance::{ContainerInstance, InstanceInterface};
use gantry_domain::task::{Attachment, Task};
use gantry_domain::task_definition::{ContainerDefinition, TaskDefinition};
use gantry_link::TaskName;
use gantry_types::{ACCOUNT, Arn, ContainerName, CpuUnits, MemoryMib, Region, Value};

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
        interface: task.attachment.as_ref().and_then(|attachment| task_interface(view, task, attachment)),
        instance: view.instance_of(task).and_then(|instance| instance_spec(view, &instance)),
        // A task without amounts of its own has only its containers' limits.
        cpu: (definition.cpu.is_some() || overridden("cpu")).then_some(task.cpu),
        memory: (definition.memory.is_some() || overridden("memory")).then_some(task.memory),
        containers: containers(definition, task, overrides),
        volumes: definition.volumes.clone(),
        role: role(definition, overrides),
        // No decision rests on it: whoever sends the task adds it.
        key: None,
        shown: shown(task),
    })
}

fn task_interface(view: &View, task: &Task, attachment: &Attachment) -> Option<InterfaceSpec> {
    let Attachment { interface, vpc, subnet, address, mac, security_groups, id: _ } = attachment.clone();
    let interface = InstanceInterface { interface, vpc, subnet, address, mac, security_groups };
    interface_spec(view, &task.region, &interface)
}

fn instance_spec(view: &View, instance: &ContainerInstance) -> Option<InstanceSpec> {
    Some(InstanceSpec {
        arn: instance.arn.clone(),
        instance: instance.instance.clone(),
        interface: interface_spec(view, &instance.region, &instance.interface)?,
    })
}

/// The definition's role, or the one that the task was started with; both are written as an ARN or as the role's name.
pub(crate) fn role(definition: &TaskDefinition, overrides: Option<&Value>) -> Option<Arn> {
    let is_given = |role: &&str| !role.is_empty();
    let overridden = overrides.and_then(|all| all.get("taskRoleArn")).and_then(Value::as_str);
    let given = overridden.filter(is_given).or(definition.task_role.as_deref().filter(is_given))?;
    match given.starts_with("arn:") {
        true => given.parse().ok(),
        false => format!("arn:aws:iam::{ACCOUNT}:role/{given}").parse().ok(),
    }
}

fn shown(task: &Task) -> TaskShown {
    let text = |tag: &Value, member: &str| tag.get(member).and_then(Value::as_str).map(str::to_owned);
    let tags = task.document.get("tags").map(Value::as_list).unwrap_or_default();
    let arns = task.containers.iter().map(|container| (container.name.clone(), container.arn.clone()));
    TaskShown {
        container_arns: arns.collect(),
        tags: tags
            .iter()
            .filter_map(|tag| Some((text(tag, "key")?, text(tag, "value").unwrap_or_default())))
            .collect(),
    }
}

fn interface_spec(view: &View, region: &Region, interface: &InstanceInterface) -> Option<InterfaceSpec> {
    let subnet = view.subnet(region, &interface.subnet)?;
    let vpc = view.vpc(region, &interface.vpc)?;
    Some(InterfaceSpec {
        interface: interface.interface.clone(),
        vpc: interface.vpc.clone(),
        subnet: interface.subnet.clone(),
        subnet_cidr: subnet.cidr,
        address: interface.address,
        mac: interface.mac.clone(),
        dns_address: vpc.dns_address(),
        private_dns_name: private_dns_name(region, interface.address),
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

fn containers(
    definition: &TaskDefinition,
    task: &Task,
    overrides: Option<&Value>,
) -> Vec<ContainerDefinition> {
    let mut containers = definition.containers.clone();
    for container in &mut containers {
        let placed = task.containers.iter().find(|each| each.name == container.name);
        let bindings = placed.map(|each| &each.network_bindings[..]).unwrap_or_default();
        // Placement bound them in the order of the mappings.
        for (mapping, binding) in container.port_mappings.iter_mut().zip(bindings) {
            mapping.host_port = binding.host_port;
        }
    }
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
