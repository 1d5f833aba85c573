//! Never above the maximum, never below the minimum, by our own act.

use std::collections::{BTreeMap, BTreeSet};

use gantry_domain::elb::{Target, TargetHealthState};
use gantry_domain::service::{Service, ServiceStatus};
use gantry_domain::task::{HealthStatus, StopCode, Task, TaskStatus};
use gantry_domain::{Action, Change, Expect, Key, Record};

use crate::world::World;

/// A service of at most five tasks that starts more within a minute does so without any pause.
const STARTS_PER_MINUTE_MAX: u32 = 120;

impl World {
    /// Looks at a commit of `control` before it is made: which healthy tasks it stops, and which tasks it starts.
    pub(crate) fn foresee_limits(&mut self, changes: &[Change]) {
        let mut stopped: BTreeMap<Key, usize> = BTreeMap::new();
        let mut starting: BTreeSet<Key> = BTreeSet::new();
        for change in changes {
            let Action::Put(Record::Task(task)) = &change.action else { continue };
            let before = self.ledger.view.get::<Task>(&change.key);
            let by_us = task.stop_code == Some(StopCode::ServiceSchedulerInitiated);
            if let Some(before) = before
                && before.is_wanted()
                && !task.is_wanted()
                && by_us
                // What its node said of it is taken over in the same commit.
                && task.health != HealthStatus::Unhealthy
                && self.is_healthy(&before)
            {
                *stopped.entry(service_of(task)).or_default() += 1;
            }
            if matches!(change.expect, Expect::Absent | Expect::Anything)
                && task.service.is_some()
                && task.is_wanted()
            {
                let key = service_of(task);
                if task.version <= 1 {
                    self.count_start(&key);
                }
                starting.insert(key);
            }
        }
        self.watched.stopped = stopped;
        self.watched.starting = starting;
    }

    /// Looks at the services that the commit changed, after it was made.
    pub(crate) fn check_limits(&mut self) {
        for (key, stopped) in std::mem::take(&mut self.watched.stopped) {
            self.check_minimum(&key, stopped);
        }
        for key in std::mem::take(&mut self.watched.starting) {
            self.check_maximum(&key);
        }
    }

    /// A program that does not stay is started again with pauses.
    fn count_start(&mut self, service: &Key) {
        let minute = self.agenda.now() / 60_000;
        if self.watched.started.0 != minute {
            self.watched.started = (minute, BTreeMap::new());
        }
        let started = self.watched.started.1.entry(service.clone()).or_default();
        *started += 1;
        if *started > STARTS_PER_MINUTE_MAX {
            let what = format!("{service}: more than {STARTS_PER_MINUTE_MAX} within one minute");
            self.violate("tasks that do not stay are started with pauses", what);
        }
    }

    fn check_minimum(&mut self, key: &Key, stopped: usize) {
        let Some(service) = self.ledger.view.get::<Service>(key) else { return };
        let is_kept = service.status == ServiceStatus::Active && service.desired_count > 0;
        let minimum = if is_kept { service.minimum_healthy() as usize } else { 0 };
        let tasks = self.ledger.view.tasks_of_service(&service.region, &service.cluster, &service.name);
        let healthy = tasks.filter(|task| self.is_healthy(task)).count();
        if healthy < minimum {
            let what =
                format!("{key}: {stopped} healthy tasks were stopped, {healthy} are left of {minimum}");
            self.violate("never below the minimum by our own act", what);
        }
    }

    fn check_maximum(&mut self, key: &Key) {
        let Some(service) = self.ledger.view.get::<Service>(key) else { return };
        let tasks = self.ledger.view.tasks_of_service(&service.region, &service.cluster, &service.name);
        let wanted = tasks.filter(|task| task.is_wanted()).count();
        let maximum = service.maximum() as usize;
        if wanted > maximum {
            let what = format!("{key}: a task was started, {wanted} are wanted, {maximum} is the maximum");
            self.violate("never above the maximum by our own act", what);
        }
    }

    /// Whether everything that there is to check of a task passes.
    fn is_healthy(&self, task: &Task) -> bool {
        let view = &self.ledger.view;
        if !task.is_wanted() || task.last_status != TaskStatus::Running {
            return false;
        }
        let definition = view.task_definition(&task.task_definition);
        let is_checked = definition.is_some_and(|it| it.containers.iter().any(|c| c.health_check.is_some()));
        let service = view.get::<Service>(&service_of(task));
        let is_balanced = service.is_some_and(|service| !service.load_balancers.is_empty());
        let is_served = !is_balanced || !task.registrations.is_empty();
        if !is_served || (is_checked && task.health != HealthStatus::Healthy) {
            return false;
        }
        let targets = task
            .registrations
            .iter()
            .filter_map(|each| view.get::<Target>(&Key::target(&each.target_group, &each.registration)));
        let mut is_probed = false;
        for target in targets {
            match target.health.state {
                TargetHealthState::Healthy => is_probed = true,
                TargetHealthState::Unavailable => {}
                _ => return false,
            }
        }
        // Where nothing checks a task, time does.
        is_checked || is_probed || task.times.healthy_at.is_some()
    }
}

pub(super) fn service_of(task: &Task) -> Key {
    let name = task.service.clone().unwrap_or_default();
    Key::service(&task.region, &task.cluster, &name)
}
