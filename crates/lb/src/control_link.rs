//! The link to `control`: kept up, made anew when it breaks.

use std::path::PathBuf;
use std::time::Duration;

use gantry_link::{
    FrameReader, FrameWriter, FromLb, HEARTBEAT_INTERVAL_MS, Hello, LINK_SILENCE_MAX_MS, LinkError, ToLb,
};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc;

use crate::limits::{RECONNECT_DELAY_MAX, RECONNECT_DELAY_MIN, REPORTS_MAX};

/// What the link tells the core.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// `Hello` was said; reports go there from now on.
    Up(mpsc::Sender<FromLb>),
    Message(Box<ToLb>),
    Down,
}

/// Connects again and again, for as long as somebody listens to the events.
pub(crate) async fn keep_linked(path: PathBuf, hello: Hello, events: mpsc::Sender<LinkEvent>) {
    let mut delay = RECONNECT_DELAY_MIN;
    loop {
        let mut heard = false;
        match UnixStream::connect(&path).await {
            Ok(stream) => {
                let (reports, receiver) = mpsc::channel(REPORTS_MAX);
                let error = converse(stream, hello.clone(), &events, reports, receiver, &mut heard).await;
                tracing::info!(%error, "the link to control ended");
                if events.send(LinkEvent::Down).await.is_err() {
                    return;
                }
            }
            Err(error) => tracing::debug!(%error, path = %path.display(), "control does not answer"),
        }
        if events.is_closed() {
            return;
        }
        delay = if heard { RECONNECT_DELAY_MIN } else { (delay * 2).min(RECONNECT_DELAY_MAX) };
        tokio::time::sleep(delay).await;
    }
}

async fn converse(
    stream: UnixStream,
    hello: Hello,
    events: &mpsc::Sender<LinkEvent>,
    reports: mpsc::Sender<FromLb>,
    receiver: mpsc::Receiver<FromLb>,
    heard: &mut bool,
) -> LinkError {
    let (reader, writer) = stream.into_split();
    let mut writer = FrameWriter::new(writer);
    if let Err(error) = writer.write(&FromLb::Hello(hello)).await {
        return error;
    }
    if events.send(LinkEvent::Up(reports)).await.is_err() {
        return LinkError::Closed;
    }
    let mut reader = FrameReader::new(reader);
    let read = async {
        loop {
            let silence = Duration::from_millis(LINK_SILENCE_MAX_MS);
            let message = match tokio::time::timeout(silence, reader.read::<ToLb>()).await {
                Ok(Ok(message)) => message,
                Ok(Err(error)) => return error,
                Err(_) => return LinkError::Closed,
            };
            *heard = true;
            if events.send(LinkEvent::Message(Box::new(message))).await.is_err() {
                return LinkError::Closed;
            }
        }
    };
    tokio::select! {
        error = read => error,
        error = write(writer, receiver) => error,
    }
}

async fn write(mut writer: FrameWriter<OwnedWriteHalf>, mut reports: mpsc::Receiver<FromLb>) -> LinkError {
    let mut beats = tokio::time::interval(Duration::from_millis(HEARTBEAT_INTERVAL_MS));
    loop {
        let report = tokio::select! {
            report = reports.recv() => match report {
                Some(report) => report,
                None => return LinkError::Closed,
            },
            _ = beats.tick() => FromLb::Heartbeat,
        };
        if let Err(error) = writer.write(&report).await {
            return error;
        }
    }
}
