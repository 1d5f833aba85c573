//! Which task a registration belongs to: a target's record names its task without its cluster.

use std::collections::BTreeMap;

use gantry_domain::task::Task;
use gantry_domain::{Key, Stored, View};
use gantry_types::RegistrationId;

#[derive(Debug, Default)]
pub(crate) struct Registrations {
    of_task: BTreeMap<Key, Vec<RegistrationId>>,
    task_of: BTreeMap<RegistrationId, Key>,
}

impl Registrations {
    pub(crate) fn scan(view: &View) -> Self {
        let mut index = Self::default();
        for task in view.scan::<Task>("") {
            index.apply(&task.key(), Some(&task));
        }
        index
    }

    pub(crate) fn apply(&mut self, key: &Key, task: Option<&Task>) {
        for registration in self.of_task.remove(key).into_iter().flatten() {
            self.task_of.remove(&registration);
        }
        let registrations = task.map(|task| &task.registrations[..]).unwrap_or_default();
        if registrations.is_empty() {
            return;
        }
        let all: Vec<RegistrationId> = registrations.iter().map(|each| each.registration.clone()).collect();
        self.task_of.extend(all.iter().map(|registration| (registration.clone(), key.clone())));
        self.of_task.insert(key.clone(), all);
    }

    pub(crate) fn task_of(&self, registration: &RegistrationId) -> Option<&Key> {
        self.task_of.get(registration)
    }
}
