//! Operators: callers of the API, who read, decide and commit as the API's handlers do.

use gantry_domain::network::NetworkInterface;
use gantry_domain::service::{Service, ServiceStatus};
use gantry_domain::task::{DesiredStatus, StopCode, Task};
use gantry_domain::{Change, Key, Stored, View};
use gantry_types::{TaskId, Timestamp};

use crate::chance::Chance;
use crate::happening::Happening;
use crate::program::{BAD_REVISIONS, GOOD_REVISIONS, JOB_REVISION};
use crate::records;
use crate::site::Site;
use crate::trace::trace;
use crate::words::short;
use crate::world::World;
use crate::writer::{Owner, Submission};

/// A seed's services.
pub(crate) const SERVICES: usize = 20;
/// The service that lives in a VPC of its own, with the standalone tasks.
const APART: usize = 19;
/// A handler decides again after so many conflicts, and a caller calls again after so many errors.
const CONFLICTS_MAX: u32 = 16;
const CALLS_MAX: u32 = 60;
/// What never serves is mended after a while, but for one in so many.
const BAD_STAYS_ONE_IN: u64 = 30;
/// So long after a visit the VPC is deleted, unless somebody is in it.
const LEAVES_AFTER_MIN: u64 = 60_000;
const LEAVES_AFTER_MAX: u64 = 200_000;
const VISITED_PREFIX: u8 = 24;
const CALL_AGAIN_AFTER: u64 = 1_000;

#[derive(Debug)]
pub(crate) struct Operators {
    services: Vec<(String, bool)>,
}

/// A call that somebody makes.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) kind: Kind,
    conflicts: u32,
    calls: u32,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Create {
        service: usize,
        revision: u32,
    },
    Deploy {
        service: usize,
        revision: u32,
    },
    Scale {
        service: usize,
        desired_count: u32,
    },
    Configure {
        service: usize,
        minimum_percent: u32,
        maximum_percent: u32,
    },
    Delete {
        service: usize,
    },
    Stop {
        task: TaskId,
    },
    Run {
        revision: u32,
    },
    /// Runs a task in a VPC that is made for such tasks, and deleted when the last one has left.
    Visit {
        revision: u32,
    },
    Leave,
}

impl Operators {
    pub(crate) fn new(chance: &mut Chance) -> Self {
        let is_balanced = |index: usize, chance: &mut Chance| index != APART && !chance.one_in(3);
        let services = (0..SERVICES).map(|index| (format!("service-{index}"), is_balanced(index, chance)));
        Self { services: services.collect() }
    }
    pub(crate) fn name(&self, service: usize) -> &str {
        &self.services[service].0
    }
    pub(crate) fn is_balanced(&self, service: usize) -> bool {
        self.services[service].1
    }
    fn site(service: usize) -> Site {
        if service == APART { Site::Apart } else { Site::Front }
    }
    pub(crate) fn key(&self, service: usize) -> Key {
        Key::service(&records::region(), &records::cluster(), &self.name(service).into())
    }
}

impl World {
    pub(crate) fn call(&mut self, delay: u64, kind: Kind) {
        if let Kind::Create { service, revision } | Kind::Deploy { service, revision } = kind
            && BAD_REVISIONS.contains(&revision)
            && !self.chance.one_in(BAD_STAYS_ONE_IN)
        {
            // Somebody notices.
            let (noticed, revision) =
                (self.chance.between(30_000, 300_000), *self.chance.pick(&GOOD_REVISIONS));
            self.call(delay + noticed, Kind::Deploy { service, revision });
        }
        if let Kind::Visit { .. } = kind {
            let stays = self.chance.between(LEAVES_AFTER_MIN, LEAVES_AFTER_MAX);
            self.call(delay + stays, Kind::Leave);
        }
        let operation = Operation { kind, conflicts: 0, calls: 0 };
        self.agenda.after(delay, Happening::Attempt(Box::new(operation)));
    }

    /// Some operator does something.
    pub(crate) fn operate(&mut self) {
        if self.weather.is_calm {
            return;
        }
        let pause = self.chance.below(2 * self.swarm.operation_interval);
        self.agenda.after(pause, Happening::Operate);
        let service = self.chance.index(SERVICES);
        let kind = match self.chance.below(23) {
            0..=5 => Kind::Deploy { service, revision: self.draw_revision() },
            6..=8 => Kind::Scale { service, desired_count: *self.chance.pick(&[0, 1, 2, 3, 5]) },
            9 => {
                let (minimum_percent, maximum_percent) =
                    *self.chance.pick(&[(100, 200), (50, 200), (100, 150), (50, 100), (0, 100)]);
                Kind::Configure { service, minimum_percent, maximum_percent }
            }
            10 | 11 => Kind::Delete { service },
            12 | 13 => Kind::Create { service, revision: self.draw_revision() },
            14..=17 => match self.draw_task() {
                Some(task) => Kind::Stop { task },
                None => return,
            },
            18 | 19 => Kind::Run { revision: *self.chance.pick(&[1, 2, JOB_REVISION, JOB_REVISION, 7, 8]) },
            _ => Kind::Visit { revision: JOB_REVISION },
        };
        self.call(0, kind);
    }

    pub(crate) fn draw_revision(&mut self) -> u32 {
        if self.swarm.bad_definitions && self.chance.one_in(4) {
            *self.chance.pick(&BAD_REVISIONS)
        } else {
            *self.chance.pick(&GOOD_REVISIONS)
        }
    }

    fn draw_task(&mut self) -> Option<TaskId> {
        let tasks: Vec<TaskId> = self.with_view(|view| {
            view.scan::<Task>("").filter(|task| task.is_wanted()).map(|task| task.id.clone()).collect()
        })?;
        (!tasks.is_empty()).then(|| self.chance.pick(&tasks).clone())
    }

    pub(crate) fn attempt(&mut self, mut operation: Operation) {
        if !self.control_is_up() {
            operation.calls += 1;
            if operation.calls < CALLS_MAX {
                self.agenda.after(CALL_AGAIN_AFTER, Happening::Attempt(Box::new(operation)));
            }
            return;
        }
        let now = self.wall(0);
        let mut chance = Chance::new(self.chance.number());
        let operators = &self.operators;
        let decided =
            self.with_view(|view| decide(view, operators, &operation.kind, &mut chance, now)).flatten();
        if let Some(changes) = decided {
            self.submit(Submission { owner: Owner::Operator(Box::new(operation)), changes });
        }
    }

    pub(crate) fn operator_hears(
        &mut self,
        mut operation: Operation,
        outcome: &Result<u64, gantry_store::CommitError>,
    ) {
        match outcome {
            Ok(_) => {}
            Err(gantry_store::CommitError::Conflict { .. }) => {
                operation.conflicts += 1;
                if operation.conflicts < CONFLICTS_MAX {
                    self.attempt(operation);
                }
            }
            Err(error) if crate::control::failure_of(error).is_some() => {
                operation.calls += 1;
                if operation.calls < CALLS_MAX {
                    self.agenda.after(CALL_AGAIN_AFTER, Happening::Attempt(Box::new(operation)));
                }
            }
            Err(error) => self.violate("the API's commits are valid", error.to_string()),
        }
    }

    /// Operators leave most services so that they can come to rest.
    pub(crate) fn operators_mend(&mut self) {
        for service in 0..SERVICES {
            let key = self.operators.key(service);
            let revision = self.ledger.view.get::<Service>(&key).and_then(|service| {
                let is_active = service.status == ServiceStatus::Active;
                service.primary().filter(|_| is_active).map(|it| records::revision_of(&it.task_definition))
            });
            let mends = self.chance.below(8) > 0;
            let good = *self.chance.pick(&GOOD_REVISIONS);
            if revision.is_some_and(|revision| BAD_REVISIONS.contains(&revision)) && mends {
                trace!(self, "operators mend {}", self.operators.name(service));
                self.call(0, Kind::Deploy { service, revision: good });
            }
        }
    }
}

/// What a handler decides; `None` if it refuses.
fn decide(
    view: &View,
    operators: &Operators,
    kind: &Kind,
    chance: &mut Chance,
    now: Timestamp,
) -> Option<Vec<Change>> {
    match kind {
        Kind::Create { service, revision } => {
            let (name, is_balanced) = (operators.name(*service), operators.is_balanced(*service));
            let mut record =
                records::service(name, is_balanced, Operators::site(*service), *revision, chance, now);
            match view.get::<Service>(&operators.key(*service)) {
                None => Some(vec![Change::create(record)]),
                Some(existing) if existing.status == ServiceStatus::Inactive => {
                    record.event_sequence = existing.event_sequence;
                    Some(vec![Change::update(record, existing.revision)])
                }
                Some(_) => None,
            }
        }
        Kind::Deploy { service, revision } => update(view, operators, *service, |record| {
            records::deploy(record, Operators::site(*service), *revision, chance, now);
        }),
        Kind::Scale { service, desired_count } => update(view, operators, *service, |record| {
            record.desired_count = *desired_count;
            if let Some(primary) = record.deployments.first_mut() {
                primary.desired_count = *desired_count;
                primary.updated_at = now;
            }
        }),
        Kind::Configure { service, minimum_percent, maximum_percent } => {
            update(view, operators, *service, |record| {
                record.minimum_healthy_percent = *minimum_percent;
                record.maximum_percent = *maximum_percent;
            })
        }
        Kind::Delete { service } => update(view, operators, *service, |record| {
            record.status = ServiceStatus::Draining;
            record.desired_count = 0;
            record.deleted_at = Some(now);
            if let Some(primary) = record.deployments.first_mut() {
                primary.desired_count = 0;
                primary.updated_at = now;
            }
        }),
        Kind::Stop { task } => {
            let key = Key::task(&records::region(), &records::cluster(), task);
            let found = view.get::<Task>(&key)?;
            if found.desired_status == DesiredStatus::Stopped {
                return None;
            }
            let mut record = found.cloned();
            record.desired_status = DesiredStatus::Stopped;
            record.stop_code = Some(StopCode::UserInitiated);
            record.stopped_reason = Some(format!("{} is not needed", short(task.as_str())));
            record.times.stopping_at = Some(now);
            record.version += 1;
            Some(vec![Change::update(record, found.revision)])
        }
        Kind::Run { revision } => {
            Some(vec![Change::create(records::standalone(Site::Apart, *revision, chance, now))])
        }
        Kind::Visit { revision } => {
            let mut changes = match view.vpc(&records::region(), &Site::Visited.vpc()) {
                Some(_) => Vec::new(),
                None => Site::Visited.records(VISITED_PREFIX, now),
            };
            changes.push(Change::create(records::standalone(Site::Visited, *revision, chance, now)));
            Some(changes)
        }
        Kind::Leave => leave(view),
    }
}

/// A VPC is deleted with its subnet and security group, if nothing is in it.
fn leave(view: &View) -> Option<Vec<Change>> {
    let (region, id) = (records::region(), Site::Visited.vpc());
    let vpc = view.vpc(&region, &id)?;
    if view.scan::<NetworkInterface>("").any(|interface| interface.vpc == id) {
        return None;
    }
    let mut changes = vec![Change::delete(vpc.key(), vpc.revision)];
    let subnets = view.subnets_of_vpc(&region, &id);
    changes.extend(subnets.map(|subnet| Change::delete(subnet.key(), subnet.revision)));
    let groups = view.security_groups_of_vpc(&region, &id);
    changes.extend(groups.map(|group| Change::delete(group.key(), group.revision)));
    Some(changes)
}

fn update(
    view: &View,
    operators: &Operators,
    service: usize,
    change: impl FnOnce(&mut Service),
) -> Option<Vec<Change>> {
    let found = view.get::<Service>(&operators.key(service))?;
    if found.status != ServiceStatus::Active {
        return None;
    }
    let mut record = found.cloned();
    change(&mut record);
    Some(vec![Change::update(record, found.revision)])
}
