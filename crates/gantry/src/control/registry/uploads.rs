//! Uploads of blobs: at once, or piece by piece, with going on after a cut.

use std::sync::Arc;

use gantry_images::Digest;
use gantry_images::registry::{RegistryError, RepositoryName, Upload};
use http::{HeaderMap, Response, StatusCode, header};
use hyper::body::Incoming;

use super::super::outgoing::Outgoing;
use super::blobs::{parse, place};
use super::problem::Problem;
use super::receive::{blocking, receive};
use super::{Asked, CONTENT_DIGEST, empty, set};

pub(super) async fn begin(
    asked: &Asked<'_>,
    repository: &str,
    body: Incoming,
    id: String,
) -> Result<Response<Outgoing>, Problem> {
    let (repository, _) = asked.to_write(repository).await?;
    if let Some(algorithm) = asked.parameter("digest-algorithm")
        && algorithm != "sha256"
    {
        parse(&format!("{algorithm}:"))?;
    }
    if let Some(mount) = asked.parameter("mount") {
        let digest = parse(&mount)?;
        let registry = asked.host.registry.clone();
        // Wherever it came from: blobs belong to all repositories.
        if blocking(move || registry.blob_size(&digest)).await?.is_some() {
            return Ok(created(&repository, &digest));
        }
    }
    let digest = asked.parameter("digest").map(|digest| parse(&digest)).transpose()?;
    let (registry, name) = (asked.host.registry.clone(), repository.clone());
    let upload = Arc::new(blocking(move || registry.begin_upload(&name, &id)).await?);
    let Some(digest) = digest else {
        return Ok(accepted(StatusCode::ACCEPTED, &repository, upload.id(), 0));
    };
    let done = async {
        let _place = place(asked.desk.receiving.clone(), asked.desk.limits.wait_max).await?;
        receive(&upload, body, None, asked.desk.limits.idle_max).await?;
        finish(&upload, digest).await
    };
    match done.await {
        Ok(()) => Ok(created(&repository, &digest)),
        Err(problem) => {
            // Nobody knows its id, so nobody could go on.
            let _ = blocking(move || upload.cancel()).await;
            Err(problem)
        }
    }
}

pub(super) async fn status(
    asked: &Asked<'_>,
    repository: &str,
    id: &str,
) -> Result<Response<Outgoing>, Problem> {
    let (repository, _) = asked.to_write(repository).await?;
    let (registry, name, upload) = (asked.host.registry.clone(), repository.clone(), id.to_owned());
    let size = blocking(move || registry.upload_size(&name, &upload)).await?;
    Ok(accepted(StatusCode::NO_CONTENT, &repository, id, size))
}

pub(super) async fn patch(
    asked: &Asked<'_>,
    repository: &str,
    id: &str,
    body: Incoming,
) -> Result<Response<Outgoing>, Problem> {
    let (repository, _) = asked.to_write(repository).await?;
    let (upload, length) = resume(asked, &repository, id).await?;
    let _place = place(asked.desk.receiving.clone(), asked.desk.limits.wait_max).await?;
    let size = receive(&upload, body, length, asked.desk.limits.idle_max).await?;
    Ok(accepted(StatusCode::ACCEPTED, &repository, id, size))
}

pub(super) async fn complete(
    asked: &Asked<'_>,
    repository: &str,
    id: &str,
    body: Incoming,
) -> Result<Response<Outgoing>, Problem> {
    let (repository, _) = asked.to_write(repository).await?;
    let missing = || {
        let message = "The digest of the blob is missing: it is the parameter \"digest\".";
        Problem::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message)
    };
    let digest = parse(&asked.parameter("digest").ok_or_else(missing)?)?;
    let (upload, length) = resume(asked, &repository, id).await?;
    let _place = place(asked.desk.receiving.clone(), asked.desk.limits.wait_max).await?;
    receive(&upload, body, length, asked.desk.limits.idle_max).await?;
    finish(&upload, digest).await?;
    Ok(created(&repository, &digest))
}

pub(super) async fn cancel(
    asked: &Asked<'_>,
    repository: &str,
    id: &str,
) -> Result<Response<Outgoing>, Problem> {
    let (repository, _) = asked.to_write(repository).await?;
    let (registry, id) = (asked.host.registry.clone(), id.to_owned());
    blocking(move || registry.resume_upload(&repository, &id)?.cancel()).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn finish(upload: &Arc<Upload>, digest: Digest) -> Result<(), Problem> {
    let upload = upload.clone();
    blocking(move || upload.finish(&digest)).await.map(drop)
}

/// Takes the upload over, and gives how long the body has to be if the request says where it belongs.
async fn resume(
    asked: &Asked<'_>,
    repository: &RepositoryName,
    id: &str,
) -> Result<(Arc<Upload>, Option<u64>), Problem> {
    let range = match asked.header(header::CONTENT_RANGE) {
        None => None,
        Some(text) => Some(range(text).ok_or_else(|| {
            let message = "Content-Range is not written like 0-1023.";
            Problem::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", message)
        })?),
    };
    let (registry, name, upload) = (asked.host.registry.clone(), repository.clone(), id.to_owned());
    let resumed = blocking(move || {
        let size = registry.upload_size(&name, &upload)?;
        match range {
            Some((first, _)) if first != size => Ok(Err(size)),
            _ => {
                let resumed = registry.resume_upload(&name, &upload)?;
                // Whoever had it may have gone on until now.
                let size = resumed.size()?;
                Ok(if range.is_some_and(|(first, _)| first != size) { Err(size) } else { Ok(resumed) })
            }
        }
    });
    match resumed.await? {
        Ok(upload) => Ok((Arc::new(upload), range.map(|(first, last)| last - first + 1))),
        Err(offset) => {
            let problem: Problem = RegistryError::Offset { offset }.into();
            Err(problem
                .with_header(header::RANGE, received(offset))
                .with_header(header::LOCATION, location(repository, id)))
        }
    }
}

/// `first-last`, as the protocol writes it, or `bytes first-last/size`, as HTTP does.
fn range(text: &str) -> Option<(u64, u64)> {
    let text = text.trim();
    let text = text.strip_prefix("bytes ").unwrap_or(text);
    let (first, last) = text.split_once('/').map_or(text, |(range, _)| range).split_once('-')?;
    let number =
        |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last && last < u64::MAX).then_some((first, last))
}

/// The protocol has no way to write that nothing has arrived; every registry writes it like one byte.
fn received(size: u64) -> String {
    format!("0-{}", size.saturating_sub(1))
}

fn location(repository: &RepositoryName, id: &str) -> String {
    format!("/v2/{}/blobs/uploads/{id}", repository.name())
}

fn accepted(status: StatusCode, repository: &RepositoryName, id: &str, size: u64) -> Response<Outgoing> {
    let mut response = empty(status);
    let headers: &mut HeaderMap = response.headers_mut();
    set(headers, header::LOCATION, &location(repository, id));
    set(headers, header::RANGE, &received(size));
    set(headers, "docker-upload-uuid", id);
    response
}

fn created(repository: &RepositoryName, digest: &Digest) -> Response<Outgoing> {
    let mut response = empty(StatusCode::CREATED);
    let headers = response.headers_mut();
    set(headers, header::LOCATION, &format!("/v2/{}/blobs/{digest}", repository.name()));
    set(headers, CONTENT_DIGEST, &digest.to_string());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        for (text, expected) in [
            ("0-0", Some((0, 0))),
            ("5-9", Some((5, 9))),
            ("bytes 5-9/10", Some((5, 9))),
            ("bytes 5-9/*", Some((5, 9))),
            ("9-5", None),
            ("-5", None),
            ("5-", None),
            ("a-b", None),
            ("+1-2", None),
            ("0-18446744073709551615", None),
            ("", None),
        ] {
            assert_eq!(range(text), expected, "{text}");
        }
    }
}
