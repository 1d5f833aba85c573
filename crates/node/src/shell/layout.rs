//! Names in the node's directory, and the names of its containers.

use std::path::{Path, PathBuf};

use gantry_types::{TaskId, VpcId};

/// ```text
/// id                        the node's id
/// lock                      held while a node runs
/// tasks/TASK/task.json      the task as the core has it
/// tasks/TASK/forgotten.json the same, while it is being removed
/// tasks/TASK/files/N/       hosts, hostname and resolv.conf of its N-th container
/// tasks/TASK/volumes/N/     its N-th volume, where that is no path of the host
/// containers/ID/            the runtime's
/// spool/ID/                 what the container wrote
/// ended/ID/                 the same of containers that are gone, where it was not shipped: the last few
/// vpcs/VPC.json             the VPC as `control` last described it
/// ```
#[derive(Debug, Clone)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }
    pub(super) fn root(&self) -> &Path {
        &self.root
    }
    pub(super) fn id(&self) -> PathBuf {
        self.root.join("id")
    }
    pub(super) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }
    pub(super) fn tasks(&self) -> PathBuf {
        self.root.join("tasks")
    }
    pub(super) fn task(&self, task: &TaskId) -> PathBuf {
        self.tasks().join(task.as_str())
    }
    pub(super) fn task_record(&self, task: &TaskId) -> PathBuf {
        self.task(task).join(TASK_RECORD)
    }
    pub(super) fn forgotten_record(&self, task: &TaskId) -> PathBuf {
        self.task(task).join(FORGOTTEN_RECORD)
    }
    pub(super) fn files(&self, task: &TaskId, container: usize) -> PathBuf {
        self.task(task).join("files").join(container.to_string())
    }
    pub(super) fn volume(&self, task: &TaskId, volume: usize) -> PathBuf {
        self.task(task).join("volumes").join(volume.to_string())
    }
    pub(super) fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }
    pub(super) fn spools(&self) -> PathBuf {
        self.root.join("spool")
    }
    pub(super) fn spool(&self, container: &str) -> PathBuf {
        self.spools().join(container)
    }
    pub(super) fn ended(&self) -> PathBuf {
        self.root.join("ended")
    }
    pub(super) fn vpcs(&self) -> PathBuf {
        self.root.join("vpcs")
    }
    pub(super) fn vpc(&self, vpc: &VpcId) -> PathBuf {
        self.vpcs().join(format!("{vpc}.json"))
    }
}

pub(super) const TASK_RECORD: &str = "task.json";
pub(super) const FORGOTTEN_RECORD: &str = "forgotten.json";

/// Whether an id may be part of a path and of a control group's name.
pub(super) fn is_plain(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    !id.is_empty() && id.len() <= 64 && id.bytes().all(plain) && !id.starts_with(['-', '_'])
}

/// The name of a task's N-th container on this machine, in the form of Fargate's runtime ids: the task's id and ten digits.
/// It follows from the task alone, so a restarted node knows it.
pub(crate) fn container_id(task: &TaskId, index: usize) -> String {
    let hash = task.as_str().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The last three digits tell a task's containers apart.
    let number = 1_000_000 + hash % 9_000_000;
    format!("{task}-{number}{index:03}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_of_a_task_have_different_names() {
        let task = TaskId::from("0123456789abcdef0123456789abcdef");
        let names: std::collections::BTreeSet<String> =
            (0..10).map(|index| container_id(&task, index)).collect();
        assert_eq!(names.len(), 10);
        let name = container_id(&task, 3);
        let digits = name.strip_prefix("0123456789abcdef0123456789abcdef-").expect("the task's id first");
        assert!(digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit()), "{name}");
    }

    #[test]
    fn what_is_no_plain_name_is_told_apart() {
        for name in ["", "..", ".", "a/b", "-a", "a b", "ä", "a\0", &"x".repeat(65)] {
            assert!(!is_plain(name), "{name:?}");
        }
        assert!(is_plain("0123456789abcdef0123456789abcdef") && is_plain("t-1_x"));
    }
}
