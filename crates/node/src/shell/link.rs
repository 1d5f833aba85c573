//! The link to `control`: one task reads, one writes, and a new connection follows a lost one.

use std::path::PathBuf;
use std::time::Duration;

use gantry_link::{
    FrameReader, FrameWriter, FromNode, HEARTBEAT_INTERVAL_MS, Hello, LINK_SILENCE_MAX_MS, LinkError, ToNode,
};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::limits::{CONNECT_PAUSE_MAX, CONNECT_PAUSE_MIN, MESSAGES_WAITING_MAX, REPORTS_WAITING_MAX};
use crate::logs::BATCHES_ON_THE_WAY_MAX;

/// What the link tells the agent.
#[derive(Debug)]
pub(super) enum Incoming {
    /// `Hello` was sent.
    Linked(Session),
    Message(ToNode),
    Unlinked,
}

/// The way to `control` for as long as one connection lives. Dropping it ends the connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) reports: mpsc::Sender<FromNode>,
    pub(super) logs: mpsc::Sender<FromNode>,
}

/// Connects, and connects again, until the receiver of the messages is gone.
pub(super) fn spawn(socket: PathBuf, hello: Hello) -> mpsc::Receiver<Incoming> {
    let (sender, receiver) = mpsc::channel(MESSAGES_WAITING_MAX);
    tokio::spawn(run(socket, hello, sender));
    receiver
}

async fn run(socket: PathBuf, hello: Hello, agent: mpsc::Sender<Incoming>) {
    let mut pause = CONNECT_PAUSE_MIN;
    while !agent.is_closed() {
        match UnixStream::connect(&socket).await {
            Ok(stream) => {
                let began = Instant::now();
                let end = talk(stream, &hello, &agent).await;
                tracing::info!("the link to control is down: {end}; tasks run on");
                if agent.send(Incoming::Unlinked).await.is_err() {
                    return;
                }
                // A control that takes links and drops them at once is not asked a hundred times a second.
                if began.elapsed() > CONNECT_PAUSE_MAX {
                    pause = CONNECT_PAUSE_MIN;
                }
            }
            Err(error) => tracing::debug!(%error, "control cannot be reached"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(CONNECT_PAUSE_MAX);
    }
}

/// One connection's life; gives why it ended.
async fn talk(stream: UnixStream, hello: &Hello, agent: &mpsc::Sender<Incoming>) -> LinkError {
    let (reader, writer) = stream.into_split();
    let mut writer = FrameWriter::new(writer);
    if let Err(error) = write(&mut writer, &FromNode::Hello(hello.clone())).await {
        return error;
    }
    let (reports, report_queue) = mpsc::channel(REPORTS_WAITING_MAX);
    let (logs, log_queue) = mpsc::channel(BATCHES_ON_THE_WAY_MAX);
    if agent.send(Incoming::Linked(Session { reports, logs })).await.is_err() {
        return LinkError::Closed;
    }
    tracing::info!("linked to control");
    let mut reading = tokio::spawn(read_all(reader, agent.clone()));
    let end = tokio::select! {
        end = write_all(&mut writer, report_queue, log_queue) => end,
        end = &mut reading => end.unwrap_or(LinkError::Closed),
    };
    reading.abort();
    end
}

async fn read_all(reader: OwnedReadHalf, agent: mpsc::Sender<Incoming>) -> LinkError {
    let mut reader = FrameReader::new(reader);
    let silence_max = Duration::from_millis(LINK_SILENCE_MAX_MS);
    // An older control sends no heartbeats; one that does is expected to go on.
    let mut beats = false;
    loop {
        let message = match beats {
            true => match timeout(silence_max, reader.read()).await {
                Ok(message) => message,
                Err(_) => return LinkError::Io(std::io::ErrorKind::TimedOut.into()),
            },
            false => reader.read().await,
        };
        match message {
            Ok(ToNode::Heartbeat) => beats = true,
            Ok(message) => {
                if agent.send(Incoming::Message(message)).await.is_err() {
                    return LinkError::Closed;
                }
            }
            Err(error) => return error,
        }
    }
}

/// Reports go before logs: what the service waits for is not behind megabytes of output.
async fn write_all(
    writer: &mut FrameWriter<OwnedWriteHalf>,
    mut reports: mpsc::Receiver<FromNode>,
    mut logs: mpsc::Receiver<FromNode>,
) -> LinkError {
    let mut heartbeat = interval(Duration::from_millis(HEARTBEAT_INTERVAL_MS));
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            biased;
            report = reports.recv() => report,
            _ = heartbeat.tick() => Some(FromNode::Heartbeat),
            batch = logs.recv() => batch,
        };
        // Without a sender the agent has given this connection up.
        let Some(message) = message else { return LinkError::Closed };
        if let Err(error) = write(writer, &message).await {
            return error;
        }
    }
}

async fn write(writer: &mut FrameWriter<OwnedWriteHalf>, message: &FromNode) -> Result<(), LinkError> {
    let silence_max = Duration::from_millis(LINK_SILENCE_MAX_MS);
    match timeout(silence_max, writer.write(message)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(LinkError::Io(std::io::ErrorKind::TimedOut.into())),
    }
}
