//! What would be accepted and then not done is refused, by name.

use gantry_api::ApiError;
use gantry_api::ecs::RegisterTaskDefinitionRequest;

use crate::ecs::names::{client, is_set};

pub(super) fn refuse(input: &RegisterTaskDefinitionRequest) -> Result<(), ApiError> {
    let refuse = |what: &str| Err(client(format!("Gantry does not support {what} yet.")));
    if input.proxy_configuration.is_some() {
        return refuse("proxyConfiguration");
    }
    if input.pid_mode.is_some() {
        return refuse("pidMode");
    }
    if input.ipc_mode.as_deref().is_some_and(|mode| mode != "none") {
        return refuse("ipcMode");
    }
    if input.enable_fault_injection == Some(true) {
        return refuse("enableFaultInjection");
    }
    if is_set(&input.inference_accelerators) {
        return refuse("inferenceAccelerators");
    }
    if let Some(platform) = &input.runtime_platform {
        if platform.cpu_architecture.as_deref().is_some_and(|each| each != "X86_64") {
            return refuse("a cpuArchitecture other than X86_64");
        }
        if platform.operating_system_family.as_deref().is_some_and(|each| each != "LINUX") {
            return refuse("an operatingSystemFamily other than LINUX");
        }
    }
    for container in &input.container_definitions {
        let linux = container.linux_parameters.clone().unwrap_or_default();
        let unsupported = [
            ("secrets", is_set(&container.secrets)),
            ("environmentFiles", is_set(&container.environment_files)),
            ("firelensConfiguration", container.firelens_configuration.is_some()),
            ("resourceRequirements", is_set(&container.resource_requirements)),
            ("volumesFrom", is_set(&container.volumes_from)),
            ("links", is_set(&container.links)),
            ("credentialSpecs", is_set(&container.credential_specs)),
            ("systemControls", is_set(&container.system_controls)),
            ("pseudoTerminal", container.pseudo_terminal == Some(true)),
            ("restartPolicy", container.restart_policy.as_ref().is_some_and(|policy| policy.enabled)),
            ("repositoryCredentials", container.repository_credentials.is_some()),
            ("interactive", container.interactive == Some(true)),
            ("disableNetworking", container.disable_networking == Some(true)),
            ("dockerSecurityOptions", is_set(&container.docker_security_options)),
            ("linuxParameters.devices", is_set(&linux.devices)),
            ("linuxParameters.tmpfs", is_set(&linux.tmpfs)),
            ("linuxParameters.sharedMemorySize", linux.shared_memory_size.is_some()),
            ("linuxParameters.maxSwap", linux.max_swap.is_some_and(|swap| swap != 0)),
            ("linuxParameters.swappiness", linux.swappiness.is_some()),
        ];
        if let Some((what, _)) = unsupported.into_iter().find(|(_, used)| *used) {
            return refuse(&format!("{what} (container '{}')", container.name.as_deref().unwrap_or("")));
        }
    }
    Ok(())
}
