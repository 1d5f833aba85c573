//! A response's body on its way to the client.

use std::io::{self, IoSlice};

use thiserror::Error;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::buffer::Buffer;
use crate::http1::{ChunkError, ChunkScanner};
use crate::idle::Activity;
use crate::io::{Room, read, write_all};
use crate::rewrite::Relay;

/// Why a response did not reach the client whole.
#[derive(Debug, Error)]
pub(crate) enum RelayError {
    #[error("writing to the client: {0}")]
    Client(#[source] io::Error),
    #[error("reading from the target: {0}")]
    Target(#[source] io::Error),
    #[error("the target closed before the response's end")]
    Short,
    #[error("following the target's chunks: {0}")]
    Chunks(#[from] ChunkError),
}

/// Both ends of a response, and what has arrived of it.
pub(crate) struct Pipe<'a, 'r, 'w> {
    pub(crate) target: &'a mut ReadHalf<'r>,
    pub(crate) buffer: &'a mut Buffer,
    pub(crate) client: &'a mut WriteHalf<'w>,
    pub(crate) activity: &'a Activity,
    pub(crate) sent_bytes: u64,
}

/// Writes the head, and the body up to its end. The head leaves together with what has come of the body.
pub(crate) async fn relay(pipe: &mut Pipe<'_, '_, '_>, head: &[u8], mode: Relay) -> Result<(), RelayError> {
    match mode {
        Relay::None => pipe.write(&[head], 0).await,
        Relay::Length(length) => pipe.length(head, length).await,
        Relay::Chunks => pipe.chunks(head).await,
        Relay::Unchunked => pipe.unchunked(head).await,
        Relay::Chunked => pipe.chunked(head).await,
        Relay::UntilClose => pipe.until_close(head).await,
    }
}

impl Pipe<'_, '_, '_> {
    async fn length(&mut self, mut head: &[u8], length: u64) -> Result<(), RelayError> {
        let mut missing = length;
        loop {
            let count = usize::try_from(missing).unwrap_or(usize::MAX).min(self.buffer.len());
            self.write(&[head], count).await?;
            missing -= count as u64;
            if missing == 0 {
                return Ok(());
            }
            head = &[];
            self.read().await?;
        }
    }

    async fn chunks(&mut self, mut head: &[u8]) -> Result<(), RelayError> {
        let mut scanner = ChunkScanner::new();
        loop {
            let scanned = scanner.scan(self.buffer.filled(), |_| {})?;
            self.write(&[head], scanned.length).await?;
            if scanned.finished {
                return Ok(());
            }
            head = &[];
            self.read().await?;
        }
    }

    async fn unchunked(&mut self, mut head: &[u8]) -> Result<(), RelayError> {
        let mut scanner = ChunkScanner::new();
        let mut data = Vec::new();
        loop {
            let scanned = scanner.scan(self.buffer.filled(), |part| data.extend_from_slice(part))?;
            self.buffer.consume(scanned.length);
            self.write(&[head, &data], 0).await?;
            if scanned.finished {
                return Ok(());
            }
            data.clear();
            head = &[];
            self.read().await?;
        }
    }

    async fn chunked(&mut self, mut head: &[u8]) -> Result<(), RelayError> {
        loop {
            let count = self.buffer.len();
            if count > 0 {
                let size = format!("{count:x}\r\n");
                self.write_between(&[head, size.as_bytes()], count, b"\r\n").await?;
            } else {
                self.write(&[head], 0).await?;
            }
            head = &[];
            match self.read().await {
                Ok(()) => {}
                Err(RelayError::Short) => return self.write(&[b"0\r\n\r\n"], 0).await,
                Err(other) => return Err(other),
            }
        }
    }

    async fn until_close(&mut self, mut head: &[u8]) -> Result<(), RelayError> {
        loop {
            self.write(&[head], self.buffer.len()).await?;
            head = &[];
            match self.read().await {
                Ok(()) => {}
                Err(RelayError::Short) => return Ok(()),
                Err(other) => return Err(other),
            }
        }
    }

    async fn read(&mut self) -> Result<(), RelayError> {
        match read(self.target, self.buffer, Room::AsItIs, self.activity).await {
            Ok(0) => Err(RelayError::Short),
            Ok(_) => Ok(()),
            Err(error) => Err(RelayError::Target(error)),
        }
    }

    /// Writes `before`, then `count` bytes of the buffer.
    async fn write(&mut self, before: &[&[u8]], count: usize) -> Result<(), RelayError> {
        self.write_between(before, count, b"").await
    }

    async fn write_between(
        &mut self,
        before: &[&[u8]],
        count: usize,
        behind: &[u8],
    ) -> Result<(), RelayError> {
        let empty = IoSlice::new(&[]);
        let mut slices = [empty; 4];
        let body = &self.buffer.filled()[..count];
        let parts = before.iter().copied().chain([body, behind]);
        let mut used = 0;
        for part in parts.filter(|part| !part.is_empty()) {
            slices[used] = IoSlice::new(part);
            used += 1;
        }
        let sent_bytes = &mut self.sent_bytes;
        write_all(self.client, &mut slices[..used], self.activity, |count| *sent_bytes += count as u64)
            .await
            .map_err(RelayError::Client)?;
        self.buffer.consume(count);
        Ok(())
    }
}
