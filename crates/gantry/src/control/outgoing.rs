//! Bodies of answers: whole ones from memory, and files that are streamed.

use std::fs::File;
use std::io::{self, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

/// Read from the disk at once; a client that does not read holds a few of these.
const CHUNK_BYTES: u64 = 128 << 10;

/// What an answer consists of.
pub(super) enum Outgoing {
    Whole(Full<Bytes>),
    File(FileBody),
}

impl Outgoing {
    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Full::new(bytes.into()))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Whole(whole) => Pin::new(whole).poll_frame(cx).map_err(|never| match never {}),
            Self::File(file) => file.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::File(file) => file.left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::File(file) => SizeHint::with_exact(file.left),
        }
    }
}

/// A part of a file, from where it stands, read on threads that may block and only as fast as the client takes it.
pub(super) struct FileBody {
    file: Option<File>,
    reading: Option<JoinHandle<(File, io::Result<Bytes>)>>,
    left: u64,
    /// Given back when the body is sent, or nobody wants it any more.
    _place: OwnedSemaphorePermit,
}

impl FileBody {
    pub(super) fn new(file: File, bytes: u64, place: OwnedSemaphorePermit) -> Self {
        Self { file: Some(file), reading: None, left: bytes, _place: place }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let reading = match (&mut self.reading, self.file.take()) {
            (Some(reading), _) => reading,
            (None, Some(mut file)) => {
                let size = usize::try_from(self.left.min(CHUNK_BYTES)).unwrap_or(0);
                self.reading.insert(tokio::task::spawn_blocking(move || {
                    let mut chunk = vec![0; size];
                    let read = file.read_exact(&mut chunk).map(|()| Bytes::from(chunk));
                    (file, read)
                }))
            }
            (None, None) => return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
        };
        let done = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        Poll::Ready(Some(done.map_err(io::Error::other).and_then(|(file, chunk)| {
            let chunk = chunk?;
            self.left -= chunk.len() as u64;
            self.file = Some(file);
            Ok(Frame::data(chunk))
        })))
    }
}
