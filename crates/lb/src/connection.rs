//! One client's connection: a request after the other, until somebody wants no more.

use std::future::poll_fn;
use std::io::IoSlice;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::body::RequestBody;
use crate::buffer::Buffer;
use crate::decide::{Decision, decide};
use crate::http1::{HeadEnd, HeadProgress, REQUEST_HEAD_BYTES_MAX, TooLong};
use crate::idle::{Activity, Timer};
use crate::io::{Room, poll_read, read, write_all};
use crate::registry::SocketId;
use crate::rewrite::OwnResponse;
use crate::shard::{Shard, Side};
use crate::table::ListenerTable;

/// Until a request has said which load balancer it is for: AWS's default.
const IDLE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);

pub(crate) struct Connection {
    pub(crate) shard: Arc<Shard>,
    pub(crate) socket: SocketId,
    pub(crate) side: Side,
    /// Of the last request, or of the socket.
    pub(crate) listener: Option<Arc<ListenerTable>>,
    pub(crate) peer: SocketAddrV4,
    pub(crate) stream: TcpStream,
    /// What the client has sent and nobody has taken.
    pub(crate) buffer: Buffer,
    /// The head for the target.
    pub(crate) request_head: Vec<u8>,
    /// Heads for the client.
    pub(crate) out: Vec<u8>,
    pub(crate) activity: Activity,
    pub(crate) timer: Timer,
    pub(crate) opened_at: Instant,
}

/// What happens behind a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The client may send another.
    Keep,
    /// The last response is written.
    Close,
    /// The same, but the client may still be sending: what it sends is read for a while, so that a reset does not take the
    /// response away from it.
    Linger,
    /// Nothing more can be said.
    Drop,
}

/// How waiting for a head ends.
enum Waited {
    Head(usize),
    Refused(u16),
    Closed,
}

impl Connection {
    pub(crate) fn new(
        shard: Arc<Shard>,
        socket: SocketId,
        side: Side,
        listener: Option<Arc<ListenerTable>>,
        stream: TcpStream,
        peer: SocketAddrV4,
    ) -> Self {
        let connection = Self {
            shard,
            socket,
            side,
            listener: None,
            peer,
            stream,
            buffer: Buffer::default(),
            request_head: Vec::new(),
            out: Vec::new(),
            activity: Activity::new(),
            timer: Timer::new(IDLE_TIMEOUT_DEFAULT),
            opened_at: Instant::now(),
        };
        connection.belonging_to(listener)
    }

    fn belonging_to(mut self, listener: Option<Arc<ListenerTable>>) -> Self {
        self.set_listener(listener);
        self
    }

    /// Counts the connection where it belongs.
    pub(crate) fn set_listener(&mut self, listener: Option<Arc<ListenerTable>>) {
        let same = match (&self.listener, &listener) {
            (Some(old), Some(new)) => Arc::ptr_eq(&old.balancer.counters, &new.balancer.counters),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !same {
            if let Some(old) = &self.listener {
                old.balancer.counters.at(self.shard.index).connections_closed.add(1);
            }
            if let Some(new) = &listener {
                new.balancer.counters.at(self.shard.index).connections_opened.add(1);
            }
        }
        self.listener = listener;
    }

    pub(crate) fn idle_timeout(&self) -> Duration {
        self.listener
            .as_ref()
            .map_or(IDLE_TIMEOUT_DEFAULT, |listener| listener.balancer.attributes.idle_timeout)
    }

    /// Serves requests until the connection ends.
    pub(crate) async fn serve(mut self) {
        let shard = Arc::clone(&self.shard);
        let _registered = poll_fn(|cx| Poll::Ready(shard.register(cx.waker().clone()))).await;
        let end = loop {
            let next = match self.next_head().await {
                Waited::Head(length) => self.serve_one(length).await,
                Waited::Refused(status) => {
                    self.count_own(status);
                    self.answer(&OwnResponse::page(status), false, false).await
                }
                Waited::Closed => Next::Drop,
            };
            if next != Next::Keep {
                break next;
            }
        };
        match end {
            Next::Linger => self.linger().await,
            Next::Close => drop(self.stream.shutdown().await),
            Next::Keep | Next::Drop => {}
        }
        self.set_listener(None);
        self.shard.spare.give(std::mem::take(&mut self.buffer));
    }

    async fn serve_one(&mut self, head_length: usize) -> Next {
        match decide(self, head_length) {
            Decision::Answer { response, to_head, keep, client_closes, body } => {
                let mut body = RequestBody::new(body, None);
                let keep = keep && self.discard(&mut body).await;
                match self.answer(&response, to_head, keep).await {
                    Next::Linger if body.is_whole() => self.close_behind(client_closes),
                    next => next,
                }
            }
            Decision::Forward(plan) => self.forward(*plan).await,
            Decision::Close => Next::Drop,
        }
    }

    /// How the connection ends behind a response when the request was read to its end. Closing a socket with bytes unread
    /// resets it, and that may take the response away: only a client that has said that it sends no more is trusted.
    pub(crate) fn close_behind(&self, client_closes: bool) -> Next {
        if client_closes && self.buffer.is_empty() { Next::Close } else { Next::Linger }
    }

    /// Waits for a whole head. An idle connection holds no buffer.
    async fn next_head(&mut self) -> Waited {
        let idle_timeout = self.idle_timeout();
        self.activity.mark();
        let mut deadline = Instant::now() + idle_timeout;
        let mut end = HeadEnd::new(REQUEST_HEAD_BYTES_MAX);
        let mut begun = false;
        loop {
            skip_empty_lines(&mut self.buffer, begun);
            if !self.buffer.is_empty() {
                if !begun {
                    begun = true;
                    // The whole head has to come in this time: a client that sends a byte now and then gains nothing.
                    deadline = Instant::now() + idle_timeout;
                }
                match end.advance(self.buffer.filled()) {
                    HeadProgress::Complete(length) => return Waited::Head(length),
                    HeadProgress::TooLong(TooLong::FirstLine) => return Waited::Refused(414),
                    HeadProgress::TooLong(TooLong::Line | TooLong::Head) => return Waited::Refused(400),
                    HeadProgress::Incomplete => {}
                }
            }
            match self.read_more(deadline).await {
                Some(Ok(count)) if count > 0 => {}
                Some(_) => return Waited::Closed,
                None if begun => return Waited::Refused(408),
                None => return Waited::Closed,
            }
        }
    }

    /// Reads; `None` at the deadline, or when the process closes idle connections.
    async fn read_more(&mut self, deadline: Instant) -> Option<std::io::Result<usize>> {
        let Self { shard, stream, buffer, timer, .. } = self;
        let (mut reader, _) = stream.split();
        poll_fn(|cx| {
            if buffer.is_unallocated() {
                *buffer = shard.spare.take();
            }
            if let Poll::Ready(read) = poll_read(&mut reader, buffer, Room::MayGrow, cx) {
                return Poll::Ready(Some(read));
            }
            if buffer.is_empty() {
                shard.spare.give(std::mem::take(buffer));
                if shard.shared.stop.closes_idle() {
                    return Poll::Ready(None);
                }
            }
            timer.poll_until(cx, deadline).map(|()| None)
        })
        .await
    }

    /// Writes an answer of the balancer's own.
    pub(crate) async fn answer(&mut self, response: &OwnResponse, to_head: bool, keep: bool) -> Next {
        self.out.clear();
        response.write(&mut self.out, to_head, keep, self.shard.shared.clock.now());
        let deadline = Instant::now() + self.idle_timeout();
        let (_, mut writer) = self.stream.split();
        let mut sent = 0;
        let mut slices = [IoSlice::new(&self.out)];
        let write = write_all(&mut writer, &mut slices, &self.activity, |count| sent += count as u64);
        let written = self.timer.limit(deadline, write).await;
        if let Some(listener) = &self.listener {
            listener.balancer.counters.at(self.shard.index).sent_bytes.add(sent);
        }
        match written {
            Some(Ok(())) if keep => Next::Keep,
            Some(Ok(())) => Next::Linger,
            Some(Err(_)) | None => Next::Drop,
        }
    }

    /// Reads the body of a request that is not forwarded, if it is short. Whether the connection can be used again.
    async fn discard(&mut self, body: &mut RequestBody) -> bool {
        let limit = self.shard.shared.limits.discard_bytes_max as u64;
        let deadline = Instant::now() + self.shard.shared.limits.linger;
        loop {
            if body.look(&self.buffer).is_err() {
                return false;
            }
            body.taken(&mut self.buffer);
            if body.is_whole() {
                return true;
            }
            if body.taken_bytes() > limit {
                return false;
            }
            match self.read_more(deadline).await {
                Some(Ok(count)) if count > 0 => {}
                Some(_) | None => return false,
            }
        }
    }

    /// Takes what the client still sends, for a while.
    async fn linger(&mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let deadline = Instant::now() + self.shard.shared.limits.linger;
        let Self { stream, buffer, timer, activity, .. } = self;
        let (mut reader, _) = stream.split();
        loop {
            buffer.clear();
            match timer.limit(deadline, read(&mut reader, buffer, Room::AsItIs, activity)).await {
                Some(Ok(count)) if count > 0 => {}
                Some(_) | None => return,
            }
        }
    }

    /// Counts a code that the balancer makes itself.
    pub(crate) fn count_own(&self, status: u16) {
        let Some(listener) = &self.listener else { return };
        let counters = listener.balancer.counters.at(self.shard.index);
        match status {
            300..=399 => counters.elb_3xx.add(1),
            400..=499 => counters.elb_4xx.add(1),
            500..=599 => counters.elb_5xx.add(1),
            _ => {}
        }
        match status {
            460 => counters.elb_460.add(1),
            500 => counters.elb_500.add(1),
            502 => counters.elb_502.add(1),
            503 => counters.elb_503.add(1),
            504 => counters.elb_504.add(1),
            _ => {}
        }
    }
}

/// Empty lines in front of a request are ignored (RFC 9112, 2.2).
fn skip_empty_lines(buffer: &mut Buffer, begun: bool) {
    if begun {
        return;
    }
    loop {
        let filled = buffer.filled();
        let count = match filled {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => 1,
            _ => return,
        };
        buffer.consume(count);
    }
}
