//! Choosing a target for a request, and waiting for one that is promised.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use tokio::net::TcpStream;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

use crate::buffer::Buffer;
use crate::connection::Connection;
use crate::decide::Plan;
use crate::io::{Room, poll_read};
use crate::outbound::Outbound;
use crate::table::{GroupTable, Pick};
use crate::target::{InFlight, TargetRuntime};

/// Why a request has no target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unserved {
    /// The client gets this code.
    Code(u16),
    ClientGone,
}

/// What was tried for one request.
pub(crate) struct Attempts {
    pub(crate) tried: Vec<Arc<TargetRuntime>>,
    /// What the client gets when nothing else is left to try.
    pub(crate) last_code: u16,
    /// How often the request was sent to somebody who may have read it.
    pub(crate) replays: u32,
    /// A connection from the pool was stale: only new ones from here on.
    pub(crate) fresh: bool,
    hold_deadline: Option<Instant>,
    pub(crate) counted: bool,
}

impl Attempts {
    pub(crate) fn new() -> Self {
        Self {
            tried: Vec::new(),
            last_code: 502,
            replays: 0,
            fresh: false,
            hold_deadline: None,
            counted: false,
        }
    }
}

impl Connection {
    /// Picks a target and takes a place on it; waits for one if that is promised.
    pub(crate) async fn choose(
        &mut self,
        plan: &mut Plan,
        attempts: &mut Attempts,
    ) -> Result<(InFlight, Outbound), Unserved> {
        loop {
            let now = self.shard.shared.clock.now();
            let random = self.shard.with_random(|random| random.next());
            let unpicked = match plan.group.pick(&attempts.tried, random, now) {
                Pick::Target(entry) => match entry.runtime.enter() {
                    Some(place) => {
                        if plan.group.fails_open() {
                            plan.group.runtime.counters.at(self.shard.index).failed_open.add(1);
                        }
                        return Ok((place, entry.outbound.clone()));
                    }
                    // Closed this moment: the table that says so is there already, and this one passes it over.
                    None => Unpicked::Closed,
                },
                Pick::Hold => Unpicked::Hold,
                Pick::NoTargets => Unpicked::Fail(503),
                Pick::AllTried => Unpicked::Fail(attempts.last_code),
            };
            // Whatever this table says, a newer one may know better.
            match self.current_group(&plan.group) {
                Some(group) if !Arc::ptr_eq(&group, &plan.group) => plan.group = group,
                Some(_) => match unpicked {
                    Unpicked::Closed => {}
                    Unpicked::Fail(code) => return Err(Unserved::Code(code)),
                    Unpicked::Hold => {
                        self.hold(plan, attempts).await?;
                        attempts.tried.clear();
                    }
                },
                None => return Err(Unserved::Code(503)),
            }
        }
    }

    fn current_group(&self, group: &GroupTable) -> Option<Arc<GroupTable>> {
        self.shard.shared.table.load().group_by_arn(&group.runtime.arn).cloned()
    }

    /// Waits until the group's targets change.
    async fn hold(&mut self, plan: &Plan, attempts: &mut Attempts) -> Result<(), Unserved> {
        let shard = Arc::clone(&self.shard);
        let runtime = Arc::clone(&plan.group.runtime);
        let counters = runtime.counters.at(shard.index);
        let deadline = match attempts.hold_deadline {
            Some(deadline) => deadline,
            None => {
                counters.held.add(1);
                *attempts.hold_deadline.insert(Instant::now() + shard.shared.limits.hold_timeout)
            }
        };
        let bytes = self.request_head.len() + self.buffer.len();
        let Some(_held) = runtime.hold(bytes, &shard.shared.limits) else {
            counters.held_in_vain.add(1);
            return Err(Unserved::Code(503));
        };
        let mut changed = std::pin::pin!(runtime.changed.notified());
        changed.as_mut().enable();
        // From here on no change is missed; one may have come before.
        if self.current_group(&plan.group).is_none_or(|group| !Arc::ptr_eq(&group, &plan.group)) {
            return Ok(());
        }
        let Self { stream, buffer, timer, .. } = self;
        let waited = timer.limit(deadline, released_or_gone(changed, stream, buffer)).await;
        match waited {
            Some(Released::Changed) => Ok(()),
            Some(Released::ClientGone) => Err(Unserved::ClientGone),
            None => {
                counters.held_in_vain.add(1);
                Err(Unserved::Code(503))
            }
        }
    }
}

/// What to do without a target.
enum Unpicked {
    Closed,
    Hold,
    Fail(u16),
}

enum Released {
    Changed,
    ClientGone,
}

async fn released_or_gone(
    mut changed: Pin<&mut Notified<'_>>,
    stream: &mut TcpStream,
    buffer: &mut Buffer,
) -> Released {
    let (mut reader, _) = stream.split();
    poll_fn(|cx| {
        if changed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Released::Changed);
        }
        while !buffer.spare_room().is_empty() {
            match ready!(poll_read(&mut reader, buffer, Room::AsItIs, cx)) {
                Ok(0) | Err(_) => return Poll::Ready(Released::ClientGone),
                Ok(_) => {}
            }
        }
        Poll::Pending
    })
    .await
}
