//! Frames: four bytes of length, big end first, and a CBOR value.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Larger than any message that is sent: a batch of logs is cut at 1 MiB, a target group holds at most 1,000 targets.
pub const FRAME_BYTES_MAX: usize = 8 << 20;

#[derive(Debug, Error)]
pub enum LinkError {
    #[error("the link was closed")]
    Closed,
    #[error("reading or writing the link: {0}")]
    Io(#[from] std::io::Error),
    #[error("a frame of {0} bytes is longer than the limit of {FRAME_BYTES_MAX}")]
    TooLong(usize),
    #[error("a frame does not hold a message: {0}")]
    Malformed(String),
}

/// A message as a whole frame.
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>, LinkError> {
    let mut frame = vec![0; 4];
    ciborium::into_writer(message, &mut frame).map_err(|error| LinkError::Malformed(error.to_string()))?;
    let length = frame.len() - 4;
    if length > FRAME_BYTES_MAX {
        return Err(LinkError::TooLong(length));
    }
    let length = u32::try_from(length).map_err(|_| LinkError::TooLong(length))?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

/// A message from a frame's body.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, LinkError> {
    ciborium::from_reader(body).map_err(|error| LinkError::Malformed(error.to_string()))
}

/// Reads frames. Dropping a `read` half way loses the stream's place: give the reader a task of its own.
pub struct FrameReader<R> {
    reader: R,
    body: Vec<u8>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub fn new(reader: R) -> Self {
        Self { reader, body: Vec::new() }
    }

    pub async fn read<T: DeserializeOwned>(&mut self) -> Result<T, LinkError> {
        let mut length = [0; 4];
        match self.reader.read_exact(&mut length).await {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Err(LinkError::Closed),
            other => other?,
        };
        let length = u32::from_be_bytes(length) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(LinkError::TooLong(length));
        }
        self.body.resize(length, 0);
        self.reader.read_exact(&mut self.body).await?;
        let message = decode(&self.body);
        self.body.truncate(0);
        self.body.shrink_to(64 << 10);
        message
    }
}

/// Writes frames.
pub struct FrameWriter<W> {
    writer: W,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    pub fn new(writer: W) -> Self {
        Self { writer }
    }

    pub async fn write(&mut self, message: &impl Serialize) -> Result<(), LinkError> {
        let frame = encode(message)?;
        self.writer.write_all(&frame).await?;
        self.writer.flush().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FromNode, Hello, PROTOCOL, Role};

    fn hello() -> FromNode {
        FromNode::Hello(Hello {
            protocol: PROTOCOL,
            version: "0".to_owned(),
            role: Role::LoadBalancer { id: "lb".into() },
        })
    }

    #[tokio::test]
    async fn messages_pass_in_order_and_the_end_is_told() {
        let (near, far) = tokio::io::duplex(16);
        let sender = tokio::spawn(async move {
            let mut writer = FrameWriter::new(near);
            for message in [hello(), FromNode::Heartbeat] {
                writer.write(&message).await.expect("the other side reads");
            }
        });
        let mut reader = FrameReader::new(far);
        assert_eq!(reader.read::<FromNode>().await.unwrap(), hello());
        assert_eq!(reader.read::<FromNode>().await.unwrap(), FromNode::Heartbeat);
        assert!(matches!(reader.read::<FromNode>().await, Err(LinkError::Closed)));
        sender.await.unwrap();
    }

    #[tokio::test]
    async fn a_frame_that_is_too_long_or_no_message_is_refused() {
        let mut reader = FrameReader::new(&[0xff, 0xff, 0xff, 0xff][..]);
        assert!(matches!(reader.read::<FromNode>().await, Err(LinkError::TooLong(_))));
        let mut reader = FrameReader::new(&[0, 0, 0, 2, 0xff, 0xff][..]);
        assert!(matches!(reader.read::<FromNode>().await, Err(LinkError::Malformed(_))));
    }
}
