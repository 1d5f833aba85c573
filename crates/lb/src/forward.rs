//! A request's way to a target: choosing, waiting, connecting, trying again.
//!
//! A request is lost to the client only if a target may have acted on it. It is sent again if no byte of a response has come and
//! either no byte of the request was written, or its method is idempotent and its body is still here.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::body::RequestBody;
use crate::buffer::Buffer;
use crate::choose::{Attempts, Unserved};
use crate::connection::{Connection, Next};
use crate::decide::Plan;
use crate::exchange::{Answered, ClientSide, Exchanged, Sending, exchange};
use crate::http1::Body;
use crate::idle::{Activity, Timer};
use crate::outbound::Outbound;
use crate::rewrite::OwnResponse;
use crate::target::{Check, InFlight, TargetRuntime};
use crate::tunnel::tunnel;

impl Connection {
    /// Serves a request from a target, or says why not.
    pub(crate) async fn forward(&mut self, mut plan: Plan) -> Next {
        let copy_bytes_max = plan.idempotent.then_some(self.shard.shared.limits.replay_body_bytes_max);
        let mut body = RequestBody::new(plan.body, copy_bytes_max);
        if plan.expects_continue && !self.say_continue().await {
            return Next::Drop;
        }
        let mut target_buffer = self.shard.spare.take();
        let served = self.try_targets(&mut plan, &mut body, &mut target_buffer).await;
        self.shard.spare.give(target_buffer);
        if let Some(listener) = &self.listener {
            listener.balancer.counters.at(self.shard.index).received_bytes.add(body.taken_bytes());
        }
        match served {
            Ok(next) => next,
            Err(Unserved::ClientGone) => {
                self.count_own(460);
                Next::Drop
            }
            Err(Unserved::Code(code)) => {
                self.count_own(code);
                let keep = plan.keep && plan.body == Body::None && code != 408;
                match self.answer(&OwnResponse::page(code), plan.to_head, keep).await {
                    Next::Linger if plan.body == Body::None => self.close_behind(plan.client_closes),
                    next => next,
                }
            }
        }
    }

    /// Goes from target to target until one has answered, or nothing is left to try.
    async fn try_targets(
        &mut self,
        plan: &mut Plan,
        body: &mut RequestBody,
        target_buffer: &mut Buffer,
    ) -> Result<Next, Unserved> {
        let mut attempts = Attempts::new();
        loop {
            let (place, outbound) = self.choose(plan, &mut attempts).await?;
            self.count_request(plan, &place, &mut attempts);
            let Some((mut stream, pooled)) = self.reach(plan, &place, &outbound, &mut attempts).await else {
                if attempts.last_code == 504 && plan.group.others(&attempts.tried, place.target()) == 0 {
                    return Err(Unserved::Code(504));
                }
                continue;
            };
            match self.exchange(plan, body, &mut stream, target_buffer, &place).await {
                Exchanged::Whole(answered) => {
                    self.count_answer(plan, &place, &answered);
                    if answered.target_reusable && !plan.ambiguous {
                        let connections_max = self.shard.shared.limits.pool_connections_max;
                        place.target().keep_idle(self.shard.index, stream, connections_max);
                    }
                    return Ok(match answered {
                        Answered { client_reusable: true, .. } => Next::Keep,
                        Answered { request_whole: true, .. } => self.close_behind(plan.client_closes),
                        Answered { .. } => Next::Linger,
                    });
                }
                Exchanged::Upgraded(answered) => {
                    self.count_answer(plan, &place, &answered);
                    self.tunnel(&mut stream, target_buffer, &place).await;
                    return Ok(Next::Drop);
                }
                Exchanged::Broken(answered) => {
                    self.count_answer(plan, &place, &answered);
                    return Ok(Next::Drop);
                }
                Exchanged::Failed(code) => return Err(Unserved::Code(code)),
                Exchanged::ClientGone => return Err(Unserved::ClientGone),
                Exchanged::Lost { written, reset } => {
                    // A reset of an idle connection is no news of its target; a new one's is.
                    if reset && !pooled {
                        self.count_connection_error(plan, &place);
                        place.target().refuse();
                    }
                    if !self.may_send_again(plan, body, written, &mut attempts) {
                        return Err(Unserved::Code(502));
                    }
                    attempts.fresh |= pooled;
                    plan.group.runtime.counters.at(self.shard.index).replayed.add(1);
                }
            }
        }
    }

    fn may_send_again(&self, plan: &Plan, body: &RequestBody, written: u64, attempts: &mut Attempts) -> bool {
        if written == 0 && body.again().is_some() {
            return true;
        }
        attempts.replays += 1;
        plan.idempotent && body.again().is_some() && attempts.replays <= self.shard.shared.limits.replays_max
    }

    /// The balancer asks for the body itself, as AWS does: the target is not asked.
    async fn say_continue(&mut self) -> bool {
        let deadline = Instant::now() + self.idle_timeout();
        let (_, mut writer) = self.stream.split();
        let mut slices = [std::io::IoSlice::new(b"HTTP/1.1 100 Continue\r\n\r\n")];
        let write = crate::io::write_all(&mut writer, &mut slices, &self.activity, |_| {});
        matches!(self.timer.limit(deadline, write).await, Some(Ok(())))
    }

    /// A connection to the target, and whether it came from the pool. Without one, the target is out of choice.
    async fn reach(
        &mut self,
        plan: &Plan,
        place: &InFlight,
        outbound: &Outbound,
        attempts: &mut Attempts,
    ) -> Option<(TcpStream, bool)> {
        let (shared, target) = (&self.shard.shared, place.target());
        if !attempts.fresh {
            let again = plan.idempotent && plan.body == Body::None;
            let check = if again { Check::Readiness } else { Check::Kernel };
            if let Some(stream) = target.take_idle(self.shard.index, shared.limits.pool_idle_max, check) {
                return Some((stream, true));
            }
        }
        let others = plan.group.others(&attempts.tried, target);
        let patience =
            if others > 0 { shared.limits.connect_patience } else { shared.limits.connect_timeout };
        let connecting = shared.sockets.connect(outbound, target.address);
        let connected = tokio::time::timeout(patience, connecting).await;
        let code = match connected {
            Ok(Ok(stream)) => {
                target.counters.at(self.shard.index).connections_opened.add(1);
                return Some((stream, false));
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, target = %target.address, "connecting to a target failed");
                502
            }
            Err(_) => 504,
        };
        attempts.last_code = code;
        self.count_connection_error(plan, place);
        target.refuse();
        attempts.tried.push(Arc::clone(target));
        None
    }

    async fn exchange(
        &mut self,
        plan: &Plan,
        body: &mut RequestBody,
        stream: &mut TcpStream,
        target_buffer: &mut Buffer,
        place: &InFlight,
    ) -> Exchanged {
        target_buffer.clear();
        let idle_timeout = self.idle_timeout();
        let mut client = ClientSide {
            stream: &mut self.stream,
            buffer: &mut self.buffer,
            activity: &self.activity,
            timer: &mut self.timer,
            idle_timeout,
            out: &mut self.out,
        };
        let sending = Sending {
            head: &self.request_head,
            body,
            version: plan.version,
            to_head: plan.to_head,
            upgrade: plan.upgrade,
            keep: plan.keep,
        };
        exchange(&mut client, sending, stream, target_buffer, place.target()).await
    }

    /// Passes bytes both ways until both sides are done, or nothing moves.
    async fn tunnel(&mut self, stream: &mut TcpStream, target_buffer: &mut Buffer, place: &InFlight) {
        let idle_timeout = self.idle_timeout();
        if let Some(listener) = &self.listener {
            listener.balancer.counters.at(self.shard.index).websockets.add(1);
        }
        let Self { stream: client, buffer, activity, timer, .. } = self;
        let passing = tunnel(client, buffer, stream, target_buffer, activity);
        let passed = until_idle_or_cut(timer, activity, idle_timeout, place.target(), passing).await;
        if let (Some(Ok((from_client, from_target))), Some(listener)) = (passed, &self.listener) {
            let counters = listener.balancer.counters.at(self.shard.index);
            counters.received_bytes.add(from_client);
            counters.sent_bytes.add(from_target);
        }
    }

    /// A request counts once, however many targets see it.
    fn count_request(&self, plan: &Plan, place: &InFlight, attempts: &mut Attempts) {
        let index = self.shard.index;
        place.target().counters.at(index).requests.add(1);
        if std::mem::replace(&mut attempts.counted, true) {
            return;
        }
        plan.group.runtime.counters.at(index).requests.add(1);
        if let Some(listener) = &self.listener {
            listener.balancer.counters.at(index).requests.add(1);
        }
    }

    fn count_answer(&self, plan: &Plan, place: &InFlight, answered: &Answered) {
        let index = self.shard.index;
        let (group, target) = (plan.group.runtime.counters.at(index), place.target().counters.at(index));
        group.response_time.record(answered.response_time);
        target.response_time.record(answered.response_time);
        let counters = match answered.status / 100 {
            2 => Some((&group.target_2xx, &target.target_2xx)),
            3 => Some((&group.target_3xx, &target.target_3xx)),
            4 => Some((&group.target_4xx, &target.target_4xx)),
            5 => Some((&group.target_5xx, &target.target_5xx)),
            _ => None,
        };
        if let Some((group, target)) = counters {
            group.add(1);
            target.add(1);
        }
        if let Some(listener) = &self.listener {
            listener.balancer.counters.at(index).sent_bytes.add(answered.sent_bytes);
        }
    }

    fn count_connection_error(&self, plan: &Plan, place: &InFlight) {
        plan.group.runtime.counters.at(self.shard.index).connection_errors.add(1);
        place.target().counters.at(self.shard.index).connection_errors.add(1);
    }
}

/// `None` if nothing moved for the idle timeout, or the target's time is over.
async fn until_idle_or_cut<T>(
    timer: &mut Timer,
    activity: &Activity,
    idle_timeout: std::time::Duration,
    target: &TargetRuntime,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|cx| {
        if let std::task::Poll::Ready(done) = work.as_mut().poll(cx) {
            return std::task::Poll::Ready(Some(done));
        }
        if target.is_cut() {
            return std::task::Poll::Ready(None);
        }
        timer.poll_until(cx, activity.last() + idle_timeout).map(|()| None)
    })
    .await
}
