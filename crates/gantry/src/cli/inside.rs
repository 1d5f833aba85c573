//! Which container a person means.

use std::fmt::Write as _;
use std::path::PathBuf;

use gantry_domain::task::ContainerStatus;
use gantry_node::local::{Client, LocalContainer, LocalError, LocalTask};

use super::{Failure, StateDirArgument};
use crate::layout::Layout;

/// Tasks that a message lists.
const LISTED_MAX: usize = 20;

/// A container that runs, and the node that runs it.
pub(super) struct Meant {
    pub(super) client: Client,
    pub(super) task: LocalTask,
    pub(super) container: LocalContainer,
}

pub(super) fn find(
    state_dir: &StateDirArgument,
    attempted: &str,
    task: &str,
    container: Option<&str>,
) -> Result<Meant, Failure> {
    let path = crate::config::state_dir(state_dir.state_dir.clone());
    let path: PathBuf =
        path.map_err(|error| Failure::new(attempted, error, "name the state directory with --state-dir"))?;
    let client = Client::new(&Layout::new(path).node_socket());
    let tasks = client.tasks().map_err(|error| unreachable(attempted, &error))?;
    let task = match choose(&tasks, task) {
        Ok(task) => task.clone(),
        Err(refusal) => return Err(Failure::new(attempted, refusal.cause, refusal.next)),
    };
    let container = choose_container(&task, container)
        .map_err(|refusal| Failure::new(attempted, refusal.cause, refusal.next))?
        .clone();
    Ok(Meant { client, task, container })
}

pub(super) fn unreachable(attempted: &str, error: &LocalError) -> Failure {
    let next = match error {
        LocalError::Unreachable { .. } => {
            "start the server with `sudo gantry server --detach`, use sudo, or name its state directory with --state-dir"
        }
        _ => "look at the server's log",
    };
    Failure::new(attempted, error, next)
}

/// Why nothing was found.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    cause: String,
    next: String,
}

/// By id, by ARN, by the name of a service or family with one task, or by the beginning of an id.
fn choose<'t>(tasks: &'t [LocalTask], given: &str) -> Result<&'t LocalTask, Refusal> {
    let name = given.rsplit('/').next().unwrap_or(given);
    let ways: [&dyn Fn(&LocalTask) -> bool; 4] = [
        &|task| task.id.as_str() == name,
        &|task| task.service.as_ref().is_some_and(|service| service.as_str() == name),
        &|task| task.family == name,
        &|task| !name.is_empty() && task.id.as_str().starts_with(name),
    ];
    for way in ways {
        let all: Vec<&LocalTask> = tasks.iter().filter(|task| way(task)).collect();
        // One that is on its way out is only meant if there is no other.
        let staying: Vec<&LocalTask> = all.iter().copied().filter(|task| !task.stopping).collect();
        match if staying.is_empty() { all } else { staying }[..] {
            [] => {}
            [one] => return Ok(one),
            ref several => {
                return Err(Refusal {
                    cause: format!("{given} may be any of {} tasks:{}", several.len(), listed(several)),
                    next: "name one of them by its id, or by enough of its beginning".to_owned(),
                });
            }
        }
    }
    let all: Vec<&LocalTask> = tasks.iter().collect();
    Err(match all[..] {
        [] => Refusal {
            cause: "no task runs on this machine".to_owned(),
            next: "see `aws ecs describe-services` for why".to_owned(),
        },
        ref all => Refusal {
            cause: format!("no task, service or family here is called {given}; there are:{}", listed(all)),
            next: "name one of them by its id, or by enough of its beginning".to_owned(),
        },
    })
}

fn listed(tasks: &[&LocalTask]) -> String {
    let mut text = String::new();
    for task in tasks.iter().take(LISTED_MAX) {
        let of = match &task.service {
            Some(service) => format!("service {service}"),
            None => format!("family {}", task.family),
        };
        let stopping = if task.stopping { ", stopping" } else { "" };
        let _ = write!(text, "\n  {}  {of} in cluster {}{stopping}", task.id, task.cluster);
    }
    if tasks.len() > LISTED_MAX {
        let _ = write!(text, "\n  and {} more", tasks.len() - LISTED_MAX);
    }
    text
}

/// The one that is named, else the first essential one.
fn choose_container<'t>(task: &'t LocalTask, given: Option<&str>) -> Result<&'t LocalContainer, Refusal> {
    let found = match given {
        Some(given) => task.containers.iter().find(|container| container.name.as_str() == given),
        None => task.containers.iter().find(|container| container.essential).or(task.containers.first()),
    };
    let status = |container: &LocalContainer| format!("{} {}", container.name, container.status.as_str());
    let all: Vec<String> = task.containers.iter().map(status).collect();
    let has = format!("task {} has: {}", task.id, all.join(", "));
    match found {
        None => Err(Refusal {
            cause: format!("there is no container {}; {has}", given.unwrap_or("at all")),
            next: "name one of them with --container".to_owned(),
        }),
        Some(container) if container.status != ContainerStatus::Running => Err(Refusal {
            cause: format!("container {} does not run; {has}", container.name),
            next: "wait until it does, or name another one with --container".to_owned(),
        }),
        Some(container) => Ok(container),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: &str, service: Option<&str>, family: &str) -> LocalTask {
        let container = |name: &str, essential, status| LocalContainer {
            name: name.into(),
            id: format!("{id}-{name}"),
            essential,
            status,
            ports: vec![],
        };
        LocalTask {
            id: id.into(),
            region: "us-east-1".into(),
            cluster: "shop".into(),
            family: family.to_owned(),
            service: service.map(Into::into),
            stopping: false,
            containers: vec![
                container("log", false, ContainerStatus::Running),
                container("web", true, ContainerStatus::Running),
                container("init", false, ContainerStatus::Stopped),
            ],
        }
    }

    #[test]
    fn tasks_are_found_by_whatever_names_one() {
        let stopping = LocalTask { stopping: true, ..task("dd00", Some("cart"), "cart") };
        let tasks = [
            task("aa11", Some("web"), "page"),
            task("aa22", Some("web"), "page"),
            task("bb33", Some("api"), "api"),
            task("cc44", None, "job"),
            stopping,
            task("dd55", Some("cart"), "cart"),
        ];
        let cases = [
            ("aa11", Ok("aa11")),
            ("arn:aws:ecs:us-east-1:123456789012:task/shop/aa22", Ok("aa22")),
            ("api", Ok("bb33")),
            ("shop/api", Ok("bb33")),
            ("job", Ok("cc44")),
            ("b", Ok("bb33")),
            ("dd0", Ok("dd00")),
            ("cart", Ok("dd55")),
            ("web", Err("web may be any of 2 tasks:\n  aa11  service web in cluster shop\n  aa22  ")),
            ("aa", Err("aa may be any of 2 tasks:")),
            ("zz", Err("no task, service or family here is called zz; there are:\n  aa11  ")),
            ("", Err("no task, service or family here is called ; there are:")),
        ];
        for (given, expected) in cases {
            match (choose(&tasks, given), expected) {
                (Ok(found), Ok(id)) => assert_eq!(found.id.as_str(), id, "{given}"),
                (Err(refusal), Err(words)) => assert!(refusal.cause.starts_with(words), "{}", refusal.cause),
                (found, expected) => panic!("{given}: {found:?}, expected {expected:?}"),
            }
        }
        assert_eq!(choose(&[], "web").unwrap_err().cause, "no task runs on this machine");
        let many: Vec<LocalTask> =
            (0..30).map(|number| task(&format!("ee{number:02}"), None, "many")).collect();
        assert!(choose(&many, "many").unwrap_err().cause.ends_with("\n  and 10 more"));
    }

    #[test]
    fn the_essential_container_is_meant_unless_another_is_named() {
        let task = task("aa11", None, "page");
        assert_eq!(choose_container(&task, None).unwrap().name.as_str(), "web");
        assert_eq!(choose_container(&task, Some("log")).unwrap().name.as_str(), "log");
        let stopped = choose_container(&task, Some("init")).unwrap_err();
        assert_eq!(
            stopped.cause,
            "container init does not run; task aa11 has: log RUNNING, web RUNNING, init STOPPED"
        );
        let missing = choose_container(&task, Some("db")).unwrap_err();
        assert!(missing.cause.starts_with("there is no container db; task aa11 has:"), "{}", missing.cause);
    }
}
