//! Two connections that speak another protocol now: bytes pass both ways until both sides are done.

use std::io::{self, IoSlice};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::buffer::Buffer;
use crate::idle::Activity;
use crate::io::{Room, read, write_all};

/// Passes bytes both ways. One side's end is passed on, and the other side may go on. Gives the bytes that came from the
/// client and from the target.
pub(crate) async fn tunnel(
    client: &mut TcpStream,
    client_buffer: &mut Buffer,
    target: &mut TcpStream,
    target_buffer: &mut Buffer,
    activity: &Activity,
) -> io::Result<(u64, u64)> {
    let (mut client_reader, mut client_writer) = client.split();
    let (mut target_reader, mut target_writer) = target.split();
    tokio::try_join!(
        pass(&mut client_reader, client_buffer, &mut target_writer, activity),
        pass(&mut target_reader, target_buffer, &mut client_writer, activity),
    )
}

async fn pass(
    from: &mut ReadHalf<'_>,
    buffer: &mut Buffer,
    to: &mut WriteHalf<'_>,
    activity: &Activity,
) -> io::Result<u64> {
    let mut passed = 0;
    loop {
        let count = buffer.len();
        if count > 0 {
            write_all(to, &mut [IoSlice::new(buffer.filled())], activity, |_| {}).await?;
            buffer.consume(count);
            passed += count as u64;
        }
        if read(from, buffer, Room::AsItIs, activity).await? == 0 {
            to.shutdown().await?;
            return Ok(passed);
        }
    }
}
