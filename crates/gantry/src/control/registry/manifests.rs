//! Manifests: getting, putting and deleting images.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gantry_images::registry::{Deleted, ImageName, Overwrite, PutManifest, RegistryError, Selected};
use http::{Method, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::super::outgoing::Outgoing;
use super::blobs::place;
use super::problem::Problem;
use super::receive::blocking;
use super::{Asked, CONTENT_DIGEST, empty, set, typed};

/// As ECR's.
const MANIFEST_BYTES_MAX: usize = 4 << 20;

pub(super) async fn get(
    asked: &Asked<'_>,
    repository: &str,
    reference: &str,
) -> Result<Response<Outgoing>, Problem> {
    let repository = asked.to_read(repository).await?;
    let name = ImageName::parse(reference)?;
    let registry = asked.host.registry.clone();
    let manifest = blocking(move || registry.manifest(&repository, &name)).await?;
    let size = manifest.content.len();
    let content =
        if asked.head.method == Method::HEAD { Bytes::new() } else { Bytes::from(manifest.content) };
    let mut response = typed(StatusCode::OK, &manifest.media_type, content);
    let headers = response.headers_mut();
    set(headers, header::CONTENT_LENGTH, &size.to_string());
    set(headers, CONTENT_DIGEST, &manifest.digest.to_string());
    set(headers, header::ETAG, &format!("\"{}\"", manifest.digest));
    Ok(response)
}

pub(super) async fn put(
    asked: &Asked<'_>,
    repository: &str,
    reference: &str,
    body: Incoming,
) -> Result<Response<Outgoing>, Problem> {
    let (repository, rules) = asked.to_write(repository).await?;
    let name = ImageName::parse(reference)?;
    let overwrite = match &name {
        ImageName::Tag(tag) => rules.overwrite(tag),
        ImageName::Digest(_) => Overwrite::Allowed,
    };
    let _place = place(asked.desk.receiving.clone(), asked.desk.limits.wait_max).await?;
    let content = read(body, asked.desk.limits.idle_max).await?;
    let media_type = asked.header(header::CONTENT_TYPE).map(str::to_owned);
    let (registry, now, path) =
        (asked.host.registry.clone(), asked.now, format!("/v2/{}/manifests/", repository.name()));
    let put = blocking(move || {
        registry.put_manifest(&PutManifest {
            repository: &repository,
            name,
            content: &content,
            media_type: media_type.as_deref(),
            overwrite,
            now,
        })
    });
    let outcome = put.await?;
    let mut response = empty(StatusCode::CREATED);
    let headers = response.headers_mut();
    set(headers, header::LOCATION, &format!("{path}{}", outcome.digest));
    set(headers, CONTENT_DIGEST, &outcome.digest.to_string());
    if let Some(subject) = outcome.subject {
        set(headers, "oci-subject", &subject.to_string());
    }
    Ok(response)
}

async fn read(mut body: Incoming, wait_max: Duration) -> Result<Bytes, Problem> {
    let too_large = || {
        let message = format!("A manifest has at most {MANIFEST_BYTES_MAX} bytes.");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", message)
    };
    let reading = async {
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let cut = |_| Problem::new(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", "The connection ended.");
            let Ok(data) = frame.map_err(cut)?.into_data() else { continue };
            if whole.len() + data.len() > MANIFEST_BYTES_MAX {
                return Err(too_large());
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.freeze())
    };
    let slow =
        |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "MANIFEST_INVALID", "The body did not arrive in time.");
    timeout(wait_max, reading).await.map_err(slow)?
}

/// By digest the image goes with all of its tags; by tag only the tag, and the image stays.
pub(super) async fn delete(
    asked: &Asked<'_>,
    repository: &str,
    reference: &str,
) -> Result<Response<Outgoing>, Problem> {
    let repository = asked.to_read(repository).await?;
    let name = ImageName::parse(reference)?;
    let registry = asked.host.registry.clone();
    let deleting = {
        let name = name.clone();
        blocking(move || match name {
            ImageName::Tag(tag) => registry.untag(&repository, &tag).map(|was_there| match was_there {
                Some(digest) => vec![Deleted::Tag { tag, digest }],
                None => vec![Deleted::NotFound],
            }),
            ImageName::Digest(digest) => {
                registry.delete(&repository, &[Selected { tag: None, digest: Some(digest) }])
            }
        })
    };
    match deleting.await?.pop() {
        Some(Deleted::Tag { .. } | Deleted::Image { .. }) => Ok(empty(StatusCode::ACCEPTED)),
        Some(Deleted::Referenced(lists)) => match (&name, lists.first()) {
            (ImageName::Digest(digest), Some(by)) => {
                Err(RegistryError::Referenced { digest: *digest, by: *by }.into())
            }
            _ => Err(RegistryError::ManifestUnknown(name.to_string()).into()),
        },
        Some(Deleted::NotFound | Deleted::Mismatch) | None => {
            Err(RegistryError::ManifestUnknown(name.to_string()).into())
        }
    }
}
