//! Blobs: whether one is here, and sending it, whole or a part.

use std::io::{Seek as _, SeekFrom};
use std::time::Duration;

use gantry_images::Digest;
use gantry_images::registry::RegistryError;
use http::{Response, StatusCode, header};
use hyper::body::Body as _;
use tokio::time::timeout;

use super::super::outgoing::{FileBody, Outgoing};
use super::problem::Problem;
use super::receive::blocking;
use super::{Asked, CONTENT_DIGEST, empty, set};

pub(super) async fn head(
    asked: &Asked<'_>,
    repository: &str,
    digest: &str,
) -> Result<Response<Outgoing>, Problem> {
    // Who pushes asks first; a repository to which nothing was pushed yet has no blob, but may be asked.
    asked.to_write(repository).await?;
    let digest = parse(digest)?;
    let registry = asked.host.registry.clone();
    let size = blocking(move || registry.blob_size(&digest)).await?;
    let size = size.ok_or(RegistryError::BlobUnknown(digest))?;
    let mut response = empty(StatusCode::OK);
    describe(&mut response, &digest);
    set(response.headers_mut(), header::CONTENT_LENGTH, &size.to_string());
    Ok(response)
}

pub(super) async fn get(
    asked: &Asked<'_>,
    repository: &str,
    digest: &str,
) -> Result<Response<Outgoing>, Problem> {
    asked.to_read(repository).await?;
    let digest = parse(digest)?;
    let place = place(asked.desk.sending.clone(), asked.desk.limits.wait_max).await?;
    let registry = asked.host.registry.clone();
    let (mut file, size) = blocking(move || registry.open_blob(&digest)).await?;
    let (status, first, bytes) = match asked.header(header::RANGE).map(|range| part(range, size)) {
        None | Some(Part::Whole) => (StatusCode::OK, 0, size),
        Some(Part::Some { first, last }) => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Some(Part::Outside) => {
            let message = format!("The blob has {size} bytes.");
            return Err(Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "RANGE_INVALID", message)
                .with_header(header::CONTENT_RANGE, format!("bytes */{size}")));
        }
    };
    if first > 0 {
        let failed =
            |error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", format!("seeking: {error}"));
        file.seek(SeekFrom::Start(first)).map_err(failed)?;
    }
    let mut response = Response::new(Outgoing::File(FileBody::new(file, bytes, place)));
    *response.status_mut() = status;
    describe(&mut response, &digest);
    debug_assert_eq!(response.body().size_hint().exact(), Some(bytes));
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {first}-{}/{size}", first + bytes - 1);
        set(response.headers_mut(), header::CONTENT_RANGE, &range);
    }
    Ok(response)
}

fn describe(response: &mut Response<Outgoing>, digest: &Digest) {
    let headers = response.headers_mut();
    set(headers, CONTENT_DIGEST, &digest.to_string());
    set(headers, header::CONTENT_TYPE, "application/octet-stream");
    set(headers, header::ETAG, &format!("\"{digest}\""));
    set(headers, header::ACCEPT_RANGES, "bytes");
}

pub(super) fn parse(digest: &str) -> Result<Digest, RegistryError> {
    Ok(digest.parse::<Digest>()?)
}

/// A place among those who stream.
pub(super) async fn place(
    places: std::sync::Arc<tokio::sync::Semaphore>,
    wait_max: Duration,
) -> Result<tokio::sync::OwnedSemaphorePermit, Problem> {
    match timeout(wait_max, places.acquire_owned()).await {
        Ok(Ok(place)) => Ok(place),
        _ => Err(Problem::busy("Too many pushes and pulls are under way.")),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Some { first: u64, last: u64 },
    Outside,
}

/// What of `size` bytes a Range header asks for. What is no range of bytes, or more than one, is ignored, as HTTP allows.
fn part(range: &str, size: u64) -> Part {
    let Some((first, last)) = range.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-'))
    else {
        return Part::Whole;
    };
    let number =
        |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    match (first, last) {
        ("", last) => match number(last) {
            None => Part::Whole,
            Some(0) => Part::Outside,
            Some(_) if size == 0 => Part::Outside,
            Some(count) => Part::Some { first: size.saturating_sub(count), last: size - 1 },
        },
        (first, "") => match number(first) {
            None => Part::Whole,
            Some(first) if first >= size => Part::Outside,
            Some(first) => Part::Some { first, last: size - 1 },
        },
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => match first < size {
                true => Part::Some { first, last: last.min(size - 1) },
                false => Part::Outside,
            },
            _ => Part::Whole,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (range, size, expected) in [
            ("bytes=0-0", 10, Part::Some { first: 0, last: 0 }),
            ("bytes=2-5", 10, Part::Some { first: 2, last: 5 }),
            ("bytes=2-50", 10, Part::Some { first: 2, last: 9 }),
            ("bytes=2-", 10, Part::Some { first: 2, last: 9 }),
            ("bytes=-3", 10, Part::Some { first: 7, last: 9 }),
            ("bytes=-30", 10, Part::Some { first: 0, last: 9 }),
            ("bytes=10-", 10, Part::Outside),
            ("bytes=10-12", 10, Part::Outside),
            ("bytes=-0", 10, Part::Outside),
            ("bytes=-1", 0, Part::Outside),
            ("bytes=0-", 0, Part::Outside),
            ("bytes=5-2", 10, Part::Whole),
            ("bytes=0-1,4-5", 10, Part::Whole),
            ("bytes=+1-2", 10, Part::Whole),
            ("bytes=a-b", 10, Part::Whole),
            ("lines=1-2", 10, Part::Whole),
            ("bytes=99999999999999999999-", 10, Part::Whole),
            ("", 10, Part::Whole),
        ] {
            assert_eq!(part(range, size), expected, "{range} of {size}");
        }
    }
}
