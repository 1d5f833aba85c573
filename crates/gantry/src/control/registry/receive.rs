//! A request's body on its way into an upload.
//!
//! What has arrived is written at once: while one piece is written on a thread that may block, the next one gathers in the
//! socket. So memory holds one piece for each upload, the connection that is cut loses nothing that came, and hashing
//! holds up nobody.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use gantry_images::registry::{RegistryError, Upload};
use http::StatusCode;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

use super::problem::Problem;

/// Gathered before it is written, if it is there already.
const PIECE_BYTES: usize = 256 << 10;

/// Appends a body and gives the upload's new size. `length` is what the request says that it has.
pub(super) async fn receive(
    upload: &Arc<Upload>,
    mut body: Incoming,
    length: Option<u64>,
    idle_max: Duration,
) -> Result<u64, Problem> {
    let mut received = 0;
    loop {
        let (pieces, end) = gather(&mut body, idle_max).await;
        let bytes: usize = pieces.iter().map(Bytes::len).sum();
        received += bytes as u64;
        if length.is_some_and(|length| received > length) {
            return Err(wrong_length(length));
        }
        if bytes > 0 {
            let upload = upload.clone();
            let append = move || upload.append(pieces.iter().map(|piece| &piece[..]));
            blocking(append).await?;
        }
        match end {
            None => {}
            Some(End::Whole) if length.is_some_and(|length| received < length) => {
                return Err(wrong_length(length));
            }
            Some(End::Whole) => {
                let upload = upload.clone();
                return blocking(move || upload.size()).await;
            }
            Some(End::Cut) => {
                let message = "The connection ended before the body did; what arrived is kept.";
                return Err(Problem::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", message));
            }
            Some(End::Slow) => {
                let message = "Nothing arrived for too long; what did is kept.";
                return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "BLOB_UPLOAD_INVALID", message));
            }
        }
    }
}

fn wrong_length(length: Option<u64>) -> Problem {
    let message = format!("The body does not have the {} bytes of its Content-Range.", length.unwrap_or(0));
    Problem::new(StatusCode::BAD_REQUEST, "SIZE_INVALID", message)
}

enum End {
    Whole,
    Cut,
    Slow,
}

/// Waits for the first piece, and takes what else is there.
async fn gather(body: &mut Incoming, idle_max: Duration) -> (Vec<Bytes>, Option<End>) {
    let (mut pieces, mut bytes) = (Vec::new(), 0);
    while bytes < PIECE_BYTES {
        let next = poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Pending if pieces.is_empty() => Poll::Pending,
            other => Poll::Ready(other),
        });
        match timeout(idle_max, next).await {
            Err(_) => return (pieces, Some(End::Slow)),
            Ok(Poll::Pending) => break,
            Ok(Poll::Ready(None)) => return (pieces, Some(End::Whole)),
            Ok(Poll::Ready(Some(Err(_)))) => return (pieces, Some(End::Cut)),
            Ok(Poll::Ready(Some(Ok(frame)))) => {
                if let Ok(piece) = frame.into_data()
                    && !piece.is_empty()
                {
                    bytes += piece.len();
                    pieces.push(piece);
                }
            }
        }
    }
    (pieces, None)
}

/// Works where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}
