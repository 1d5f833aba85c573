//! The service's events: the last hundred, and nothing said twice without need.

use gantry_domain::service::{Service, ServiceEvent};
use gantry_domain::{Action, Change, Expect, Key};
use gantry_types::Ids;

use crate::note::Note;
use crate::plan::Work;

/// A plan tells at most so many events; each is one record made and, of a long history, one deleted.
const EVENTS_PER_PLAN_MAX: usize = 20;
/// What a plan keeps free for its events and for the service's own record.
pub(crate) const OPERATIONS_MAX: usize = 1 + 2 * EVENTS_PER_PLAN_MAX;
/// So many standing notes are remembered as told.
const TOLD_MAX: usize = 100;

/// Writes what happened, and of what is so at the moment what was not told yet or was told hours ago.
pub(crate) fn tell(work: &mut Work<'_, '_>, ids: &mut Ids) {
    let name = work.service.name.clone();
    let now = work.now;
    let mut messages: Vec<String> = work.happened.iter().filter_map(|note| note.event(&name)).collect();
    messages.truncate(EVENTS_PER_PLAN_MAX);
    let mut standing: Vec<String> = Vec::new();
    for note in &work.standing {
        if let Some(text) = note.event(&name).filter(|text| !standing.contains(text)) {
            standing.push(text);
        }
    }
    standing.truncate(TOLD_MAX);
    // What is over may be told again the next time.
    work.service.told.retain(|text, _| standing.contains(text));
    for text in standing {
        let last = work.service.told.get(&text);
        let fresh = last.is_some_and(|at| *at <= now && now.since(*at) < work.view.policy.repeat_after);
        if !fresh && messages.len() < EVENTS_PER_PLAN_MAX {
            work.service.told.insert(text.clone(), now);
            messages.push(text);
        }
    }
    work.service.steady = work.standing.contains(&Note::SteadyState);
    for message in messages {
        append(work, message, ids);
    }
}

fn append(work: &mut Work<'_, '_>, message: String, ids: &mut Ids) {
    let service = &mut work.service;
    service.event_sequence += 1;
    let event = ServiceEvent {
        region: service.region.clone(),
        cluster: service.cluster.clone(),
        service: service.name.clone(),
        sequence: service.event_sequence,
        id: ids.uuid(),
        created_at: work.now,
        message,
    };
    let oldest = service.event_sequence.checked_sub(Service::EVENTS_MAX).filter(|sequence| *sequence > 0);
    if let Some(sequence) = oldest {
        let key = Key::service_event(&service.region, &service.cluster, &service.name, sequence);
        work.batch.add(Change { key, expect: Expect::Anything, action: Action::Delete });
    }
    work.batch.add(Change::put(event));
}
