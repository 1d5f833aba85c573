//! A node that does what it is told, each step after a while.

use std::collections::BTreeMap;
use std::time::Duration;

use gantry_domain::assignment::{ContainerReport, StopCause, TaskPhase, TaskReport, TaskSpec};
use gantry_domain::task::{ContainerStatus, HealthStatus, StopCode, Task};
use gantry_domain::{Key, Stored};
use gantry_link::{FromNode, Hello, PROTOCOL, Role, TaskName, ToNode};
use gantry_types::{Arn, CpuUnits, MemoryMib, VpcId};

use super::world::{Happening, LINK, World};
use crate::{Event, LinkId};

const START: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
pub(super) struct FakeNode {
    pub(super) link: Option<LinkId>,
    pub(super) tasks: BTreeMap<Key, TaskReport>,
    pub(super) specs: BTreeMap<Key, TaskSpec>,
    pub(super) vpcs: BTreeMap<VpcId, usize>,
    /// How often each task's containers were started, since the machine was started.
    pub(super) starts: BTreeMap<Key, u32>,
    /// Containers of this task definition never start.
    pub(super) cannot_start: Option<Arn>,
}

impl World {
    pub(super) fn node_disconnects(&mut self) {
        if let Some(link) = self.node.link.take() {
            self.after(LINK, Happening::ToCore(Event::Gone(link)));
        }
    }

    pub(super) fn node_returns(&mut self) {
        self.after(LINK, Happening::NodeConnects);
    }

    /// The machine is started anew: nothing runs.
    pub(super) fn reboot(&mut self) {
        self.node_disconnects();
        self.node.tasks.clear();
        self.node.specs.clear();
        self.node.starts.clear();
        self.node_returns();
    }

    pub(super) fn node_connects(&mut self) {
        if self.core.is_none() || self.node.link.is_some() {
            return;
        }
        let link = self.new_link();
        self.node.link = Some(link);
        let hello = Hello {
            protocol: PROTOCOL,
            version: "0.1.0".to_owned(),
            role: Role::Node { id: "local".into(), cpu: CpuUnits(2048), memory: MemoryMib(4096) },
        };
        self.after(LINK, Happening::ToCore(Event::Hello(link, hello)));
        let reports: Vec<TaskReport> = self.node.tasks.values().cloned().collect();
        let tasks = reports.iter().map(name).collect();
        for report in reports {
            self.after(LINK, Happening::FromNode(link, FromNode::Task(Box::new(report))));
        }
        self.after(LINK, Happening::FromNode(link, FromNode::Reported { tasks }));
    }

    pub(super) fn node_hears(&mut self, message: ToNode) {
        match message {
            ToNode::Vpc(spec) => {
                self.node.vpcs.insert(spec.vpc.clone(), spec.members.len());
            }
            ToNode::RemoveVpc(id) => {
                self.node.vpcs.remove(&id);
            }
            ToNode::Run(spec) => {
                let key = Key::task(&spec.region, &spec.cluster, &spec.task);
                if self.node.tasks.contains_key(&key) {
                    return;
                }
                assert!(self.node.vpcs.contains_key(&"vpc-1".into()), "the VPC is there before the task");
                let report = TaskReport {
                    region: spec.region.clone(),
                    cluster: spec.cluster.clone(),
                    task: spec.task.clone(),
                    phase: TaskPhase::Preparing,
                    health: HealthStatus::Unknown,
                    containers: vec![],
                    stop: None,
                    pull_started_at: None,
                    pull_stopped_at: None,
                    started_at: None,
                    execution_stopped_at: None,
                };
                let fails = self.node.cannot_start.as_ref() == Some(&spec.task_definition);
                self.node.tasks.insert(key.clone(), report);
                self.node.specs.insert(key.clone(), *spec);
                let next = if fails { TaskPhase::Stopped } else { TaskPhase::Running };
                self.after(START, Happening::Advance(key.clone(), next));
                self.report(&key);
            }
            ToNode::Stop(order) => {
                let key = Key::task(&order.region, &order.cluster, &order.task);
                self.node_advances(&key, TaskPhase::Stopping);
                self.after(START, Happening::Advance(key, TaskPhase::Stopped));
            }
            ToNode::Forget(name) => {
                let key = Key::task(&name.region, &name.cluster, &name.task);
                self.node.tasks.remove(&key);
                self.node.specs.remove(&key);
            }
            ToNode::Synced { tasks, vpcs } => {
                self.node.vpcs.retain(|id, _| vpcs.contains(id));
                let gone: Vec<Key> = self
                    .node
                    .tasks
                    .values()
                    .filter(|report| !tasks.contains(&name(report)))
                    .map(|report| Key::task(&report.region, &report.cluster, &report.task))
                    .collect();
                for key in gone {
                    self.node_advances(&key, TaskPhase::Stopped);
                }
            }
            ToNode::LogsKept { .. } | ToNode::Heartbeat => {}
        }
    }

    pub(super) fn node_advances(&mut self, key: &Key, phase: TaskPhase) {
        let now = self.now;
        let Some(report) = self.node.tasks.get_mut(key).filter(|report| report.phase < phase) else { return };
        if phase == TaskPhase::Running {
            let starts = self.node.starts.entry(key.clone()).or_default();
            *starts += 1;
            assert_eq!(*starts, 1, "{key} is run once");
            report.started_at = Some(now);
        }
        if phase == TaskPhase::Stopped && report.started_at.is_none() && report.phase < TaskPhase::Stopping {
            report.stop = Some(StopCause {
                code: StopCode::TaskFailedToStart,
                reason: "CannotPullContainerError: no such image".to_owned(),
            });
        }
        report.phase = phase;
        let status =
            if phase == TaskPhase::Stopped { ContainerStatus::Stopped } else { ContainerStatus::Running };
        report.containers = vec![ContainerReport {
            name: "app".into(),
            status,
            runtime_id: Some("r".to_owned()),
            image_digest: None,
            exit_code: None,
            reason: None,
            health: HealthStatus::Unknown,
        }];
        self.report(key);
    }

    pub(super) fn report(&mut self, key: &Key) {
        if let (Some(link), Some(report)) = (self.node.link, self.node.tasks.get(key).cloned()) {
            self.after(LINK, Happening::FromNode(link, FromNode::Task(Box::new(report))));
        }
    }

    /// A container's process is killed.
    pub(super) fn kill_container(&mut self, task: &Task) {
        let key = task.key();
        assert!(self.node.tasks.contains_key(&key), "the node does not have {key}");
        self.kill_container_if_any(task);
    }

    pub(super) fn kill_container_if_any(&mut self, task: &Task) {
        let key = task.key();
        let Some(report) = self.node.tasks.get_mut(&key) else { return };
        if report.phase == TaskPhase::Stopped {
            return;
        }
        report.phase = TaskPhase::Stopped;
        report.stop = Some(StopCause {
            code: StopCode::EssentialContainerExited,
            reason: "Essential container in task exited".to_owned(),
        });
        self.report(&key);
    }
}

fn name(report: &TaskReport) -> TaskName {
    TaskName { region: report.region.clone(), cluster: report.cluster.clone(), task: report.task.clone() }
}
