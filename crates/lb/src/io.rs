//! Reading into buffers and writing from several places at once.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::buffer::Buffer;
use crate::idle::Activity;

/// How much a read may make the buffer grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// A head has to be in one piece.
    MayGrow,
    /// A body need not.
    AsItIs,
}

/// Reads what there is; 0 at the end of the stream. The buffer must have room.
pub(crate) fn poll_read(
    reader: &mut ReadHalf<'_>,
    buffer: &mut Buffer,
    room: Room,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let space = match room {
        Room::MayGrow => buffer.room(),
        Room::AsItIs => buffer.spare_room(),
    };
    debug_assert!(!space.is_empty(), "a read without room would look like the end of the stream");
    let mut space = ReadBuf::new(space);
    ready!(Pin::new(reader).poll_read(cx, &mut space))?;
    let count = space.filled().len();
    buffer.extend(count);
    Poll::Ready(Ok(count))
}

pub(crate) async fn read(
    reader: &mut ReadHalf<'_>,
    buffer: &mut Buffer,
    room: Room,
    activity: &Activity,
) -> io::Result<usize> {
    let count = poll_fn(|cx| poll_read(reader, buffer, room, cx)).await?;
    activity.mark();
    Ok(count)
}

/// Writes all of several slices, in as few calls as the socket takes.
pub(crate) async fn write_all(
    writer: &mut WriteHalf<'_>,
    mut slices: &mut [IoSlice<'_>],
    activity: &Activity,
    mut written: impl FnMut(usize),
) -> io::Result<()> {
    loop {
        // Empty slices at either end would only cost.
        IoSlice::advance_slices(&mut slices, 0);
        while slices.last().is_some_and(|last| last.is_empty()) {
            let length = slices.len() - 1;
            slices = &mut slices[..length];
        }
        if slices.is_empty() {
            return Ok(());
        }
        let count = poll_fn(|cx| match &*slices {
            [single] => Pin::new(&mut *writer).poll_write(cx, single),
            several => Pin::new(&mut *writer).poll_write_vectored(cx, several),
        })
        .await?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        activity.mark();
        written(count);
        IoSlice::advance_slices(&mut slices, count);
    }
}
