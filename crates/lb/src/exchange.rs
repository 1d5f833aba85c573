//! One request and its response over one connection to a target.
//!
//! Two things run side by side: the client's side sends the request (and afterwards watches whether the client is still there),
//! the target's side reads the response's head and then relays its body. A target may answer before the request's end, and
//! neither side may starve the other.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::Instant;

use crate::body::RequestBody;
use crate::buffer::Buffer;
use crate::http1::{HeadEnd, HeadProgress, RESPONSE_HEAD_BYTES_MAX, ResponseHead, Version};
use crate::idle::{Activity, Timer};
use crate::io::{Room, read, write_all};
use crate::limits::INTERIM_RESPONSES_MAX;
use crate::relay::{Pipe, RelayError, relay};
use crate::rewrite::{Relay, write_interim, write_response};
use crate::target::TargetRuntime;

/// The client's connection, as far as an exchange uses it.
pub(crate) struct ClientSide<'a> {
    pub(crate) stream: &'a mut TcpStream,
    pub(crate) buffer: &'a mut Buffer,
    pub(crate) activity: &'a Activity,
    pub(crate) timer: &'a mut Timer,
    pub(crate) idle_timeout: Duration,
    /// Where heads for the client are written.
    pub(crate) out: &'a mut Vec<u8>,
}

/// What is sent, and how the answer is read.
pub(crate) struct Sending<'a> {
    pub(crate) head: &'a [u8],
    pub(crate) body: &'a mut RequestBody,
    pub(crate) version: Version,
    pub(crate) to_head: bool,
    pub(crate) upgrade: bool,
    /// The client's connection may be used again.
    pub(crate) keep: bool,
}

/// How an exchange ended.
#[derive(Debug)]
pub(crate) enum Exchanged {
    /// The response is with the client.
    Whole(Answered),
    /// `101`: the head is with the client, and the connections are a tunnel now.
    Upgraded(Answered),
    /// Nothing came back. Whether the request may be sent again depends on what was written.
    Lost { written: u64, reset: bool },
    /// The client gets this code.
    Failed(u16),
    /// The client closed before the response's head: nobody reads an answer.
    ClientGone,
    /// The response had begun and will not end: both connections end.
    Broken(Answered),
}

/// What is known of a response that has begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) response_time: Duration,
    pub(crate) sent_bytes: u64,
    pub(crate) target_reusable: bool,
    pub(crate) client_reusable: bool,
    /// The client's request was read to its end.
    pub(crate) request_whole: bool,
}

/// Sends the request and relays the response.
pub(crate) async fn exchange(
    client: &mut ClientSide<'_>,
    sending: Sending<'_>,
    stream: &mut TcpStream,
    target_buffer: &mut Buffer,
    target: &TargetRuntime,
) -> Exchanged {
    let ClientSide { stream: client_stream, buffer, activity, timer, idle_timeout, out } = client;
    let Sending { head, body, version, to_head, upgrade, keep } = sending;
    activity.mark();
    let (mut client_reader, mut client_writer) = client_stream.split();
    let (mut target_reader, mut target_writer) = stream.split();
    let progress = Progress::default();
    let started = Instant::now();
    let side = pin!(send_and_watch(
        head,
        body,
        Upload {
            client: &mut client_reader,
            buffer,
            target: &mut target_writer,
            activity,
            progress: &progress,
            started,
        },
    ));
    let mut both =
        Both { side, ended: None, progress: &progress, timer, activity, idle_timeout: *idle_timeout, target };

    let mut interim = 0;
    loop {
        let driven = both.drive(Phase::Head, read_head(&mut target_reader, target_buffer, activity)).await;
        let length = match driven {
            Driven::Done(Ok(length)) => length,
            Driven::Done(Err(end)) => return lost_or_failed(&end, interim, &progress),
            Driven::Client(ClientEnd::Malformed) => return Exchanged::Failed(400),
            Driven::Client(ClientEnd::Gone | ClientEnd::TargetTakesNoMore) => return Exchanged::ClientGone,
            Driven::Idle if progress.waits_for_client() => return Exchanged::Failed(408),
            Driven::Idle => return Exchanged::Failed(504),
            Driven::Cut => return Exchanged::Failed(502),
        };
        let Ok(response) = ResponseHead::parse(&target_buffer.filled()[..length]) else {
            return Exchanged::Failed(502);
        };
        out.clear();
        if matches!(response.status, 100..=199) && response.status != 101 {
            interim += 1;
            if interim > INTERIM_RESPONSES_MAX {
                return Exchanged::Failed(502);
            }
            if version == Version::Http11 {
                write_interim(out, &response);
            }
            target_buffer.consume(length);
            let mut slices = [IoSlice::new(out)];
            let write = write_all(&mut client_writer, &mut slices, activity, |_| {});
            if !matches!(both.drive(Phase::Body, write).await, Driven::Done(Ok(()))) {
                return Exchanged::ClientGone;
            }
            continue;
        }
        if response.status == 101 && !upgrade {
            return Exchanged::Failed(502);
        }

        let response_body = response.body(to_head);
        let mode = Relay::of(response_body, version);
        let request_whole = progress.is_sent();
        let keep = keep && request_whole && !mode.ends_with_close() && response.status != 101;
        write_response(out, &response, mode, version, keep);
        let mut answered = Answered {
            status: response.status,
            response_time: progress.since_sent(started),
            sent_bytes: 0,
            target_reusable: response.keeps_alive() && !matches!(mode, Relay::Chunked | Relay::UntilClose),
            client_reusable: keep,
            request_whole,
        };
        target_buffer.consume(length);
        let mut pipe = Pipe {
            target: &mut target_reader,
            buffer: target_buffer,
            client: &mut client_writer,
            activity,
            sent_bytes: 0,
        };
        let driven = both.drive(Phase::Body, relay(&mut pipe, out, mode)).await;
        answered.sent_bytes = pipe.sent_bytes;
        answered.request_whole = progress.is_sent();
        let whole = match driven {
            Driven::Done(Ok(())) => true,
            Driven::Done(Err(error)) => {
                tracing::debug!(%error, target = %target.address, "a response ended early");
                if matches!(error, RelayError::Target(_)) && mode == Relay::UntilClose {
                    // Without a length only a reset tells the client that this is not the end.
                    let _ = socket2::SockRef::from(client_writer.as_ref()).set_linger(Some(Duration::ZERO));
                }
                false
            }
            Driven::Client(_) | Driven::Idle | Driven::Cut => false,
        };
        // Bytes behind the response's end belong to no request of ours.
        answered.target_reusable &= answered.request_whole && target_buffer.is_empty();
        return match (whole, answered.status) {
            (true, 101) => Exchanged::Upgraded(answered),
            (true, _) => Exchanged::Whole(answered),
            (false, _) => Exchanged::Broken(answered),
        };
    }
}

/// No head came: that is a loss only as long as not one byte came.
fn lost_or_failed(end: &HeadError, interim: u32, progress: &Progress) -> Exchanged {
    match end {
        HeadError::Ended { any_bytes: false, reset } if interim == 0 => {
            Exchanged::Lost { written: progress.written.load(Relaxed), reset: *reset }
        }
        HeadError::Ended { .. } | HeadError::TooLong => Exchanged::Failed(502),
    }
}

/// What the client's side has done, for the other side to read.
#[derive(Debug, Default)]
struct Progress {
    /// Bytes of the request that the target's socket has taken.
    written: AtomicU64,
    /// Microseconds after the exchange's start at which the whole request was sent, plus one.
    sent_us: AtomicU64,
    waits_for_client: AtomicBool,
}

impl Progress {
    fn sent(&self, started: Instant) {
        let us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX - 1);
        self.sent_us.store(us + 1, Relaxed);
    }
    fn is_sent(&self) -> bool {
        self.sent_us.load(Relaxed) > 0
    }
    /// Zero while the request is still being sent.
    fn since_sent(&self, started: Instant) -> Duration {
        match self.sent_us.load(Relaxed) {
            0 => Duration::ZERO,
            sent => started.elapsed().saturating_sub(Duration::from_micros(sent - 1)),
        }
    }
    fn waits_for_client(&self) -> bool {
        self.waits_for_client.load(Relaxed)
    }
}

/// How the client's side ends. It does not end by itself while all is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientEnd {
    Gone,
    Malformed,
    /// The target has stopped reading; it may have answered.
    TargetTakesNoMore,
}

struct Upload<'a, 'r, 'w> {
    client: &'a mut ReadHalf<'r>,
    buffer: &'a mut Buffer,
    target: &'a mut WriteHalf<'w>,
    activity: &'a Activity,
    progress: &'a Progress,
    started: Instant,
}

/// Sends head and body, then watches the client.
async fn send_and_watch(head: &[u8], body: &mut RequestBody, upload: Upload<'_, '_, '_>) -> ClientEnd {
    let Upload { client, buffer, target, activity, progress, started } = upload;
    let written = |count: usize| {
        progress.written.fetch_add(count as u64, Relaxed);
    };
    if body.look(buffer).is_err() {
        return ClientEnd::Malformed;
    }
    // The caller checked that what was sent before is still there.
    let again = body.again().unwrap_or_default();
    let mut first = [IoSlice::new(head), IoSlice::new(again), IoSlice::new(body.ready(buffer))];
    if write_all(target, &mut first, activity, written).await.is_err() {
        return ClientEnd::TargetTakesNoMore;
    }
    body.taken(buffer);
    while !body.is_whole() {
        progress.waits_for_client.store(true, Relaxed);
        match read(client, buffer, Room::AsItIs, activity).await {
            Ok(0) | Err(_) => return ClientEnd::Gone,
            Ok(_) => {}
        }
        progress.waits_for_client.store(false, Relaxed);
        if body.look(buffer).is_err() {
            return ClientEnd::Malformed;
        }
        if write_all(target, &mut [IoSlice::new(body.ready(buffer))], activity, written).await.is_err() {
            return ClientEnd::TargetTakesNoMore;
        }
        body.taken(buffer);
    }
    progress.sent(started);
    loop {
        if buffer.spare_room().is_empty() {
            // The next requests wait in the kernel.
            return std::future::pending().await;
        }
        match poll_fn(|cx| crate::io::poll_read(client, buffer, Room::AsItIs, cx)).await {
            Ok(0) | Err(_) => return ClientEnd::Gone,
            Ok(_) => {}
        }
    }
}

/// Whether the client's end matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Without a client nobody wants the response.
    Head,
    /// The response has begun; a client that has sent its whole request may close its half.
    Body,
}

enum Driven<T> {
    Done(T),
    Client(ClientEnd),
    /// Nothing moved for the idle timeout.
    Idle,
    /// The target's deregistration delay is over.
    Cut,
}

/// The client's side, and what else can end an exchange.
struct Both<'a, 'f, F> {
    side: Pin<&'f mut F>,
    ended: Option<ClientEnd>,
    progress: &'a Progress,
    timer: &'a mut Timer,
    activity: &'a Activity,
    idle_timeout: Duration,
    target: &'a TargetRuntime,
}

impl<F: Future<Output = ClientEnd>> Both<'_, '_, F> {
    async fn drive<T>(&mut self, phase: Phase, work: impl Future<Output = T>) -> Driven<T> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if self.ended.is_none()
                && let Poll::Ready(end) = self.side.as_mut().poll(cx)
            {
                self.ended = Some(end);
                match (phase, end) {
                    // What the target has answered is still read.
                    (Phase::Head | Phase::Body, ClientEnd::TargetTakesNoMore) => {}
                    (Phase::Head, _) | (Phase::Body, ClientEnd::Malformed) => {
                        return Poll::Ready(Driven::Client(end));
                    }
                    (Phase::Body, ClientEnd::Gone) if self.progress.is_sent() => {}
                    (Phase::Body, ClientEnd::Gone) => return Poll::Ready(Driven::Client(end)),
                }
            }
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Driven::Done(done));
            }
            if self.target.is_cut() {
                return Poll::Ready(Driven::Cut);
            }
            self.timer.poll_until(cx, self.activity.last() + self.idle_timeout).map(|()| Driven::Idle)
        })
        .await
    }
}

enum HeadError {
    Ended { any_bytes: bool, reset: bool },
    TooLong,
}

/// Reads until a whole head is in the buffer.
async fn read_head(
    target: &mut ReadHalf<'_>,
    buffer: &mut Buffer,
    activity: &Activity,
) -> Result<usize, HeadError> {
    let mut end = HeadEnd::new(RESPONSE_HEAD_BYTES_MAX);
    loop {
        match end.advance(buffer.filled()) {
            HeadProgress::Complete(length) => return Ok(length),
            HeadProgress::TooLong(_) => return Err(HeadError::TooLong),
            HeadProgress::Incomplete => {}
        }
        match read(target, buffer, Room::MayGrow, activity).await {
            Ok(count) if count > 0 => {}
            ended => {
                let reset = ended.is_err_and(|error| error.kind() != io::ErrorKind::UnexpectedEof);
                return Err(HeadError::Ended { any_bytes: !buffer.is_empty(), reset });
            }
        }
    }
}
