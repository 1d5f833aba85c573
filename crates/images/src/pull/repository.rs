//! One repository of one registry: manifests and blobs, whoever has to be asked for a token first.

use std::io::{self, Read as _, Write as _};

use ureq::Body;
use ureq::http::{Response, StatusCode, Uri, header};

use super::challenge;
use super::endpoint::Endpoint;
use super::error::PullError;
use super::registries::Credentials;
use super::session::{Method, Request, Session, shown};
use super::tokens::{Key, Tokens};
use crate::blobs::BlobWriter;
use crate::digest::Digest;
use crate::document::Descriptor;
use crate::ingest::Ingest;
use crate::limits::CHUNK_BYTES;

const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                         application/vnd.docker.distribution.manifest.list.v2+json, \
                         application/vnd.docker.distribution.manifest.v2+json";
const DIGEST: &str = "docker-content-digest";

pub(super) struct Repository<'a> {
    pub(super) session: &'a Session,
    tokens: &'a Tokens,
    endpoint: &'a Endpoint,
    path: &'a str,
    key: Key,
}

impl<'a> Repository<'a> {
    pub(super) fn new(
        session: &'a Session,
        tokens: &'a Tokens,
        endpoint: &'a Endpoint,
        path: &'a str,
    ) -> Self {
        let username =
            match session.registries.settings(&endpoint.host).and_then(|own| own.credentials.as_ref()) {
                Some(Credentials::Password { username, .. }) => username.clone(),
                Some(Credentials::Identity { token }) => Digest::of(token.as_bytes()).hex(),
                None => String::new(),
            };
        let key = Key { host: endpoint.host.clone(), repository: path.to_owned(), username };
        Self { session, tokens, endpoint, path, key }
    }

    /// What the registry says that a tag leads to, without fetching it. `None` if it does not say.
    pub(super) fn digest_of(&self, tag: &str) -> Result<Option<Digest>, PullError> {
        let url = self.endpoint.url(&format!("{}/manifests/{tag}", self.path))?;
        let request = Request { method: Method::Head, accept: Some(MANIFESTS), ..Request::get(url) };
        let response = self.session.persist(|| self.ask(&request))?;
        Ok(digest_header(&response).filter(|_| response.status() == StatusCode::OK))
    }

    /// Fetches a manifest or an index by tag or digest, and checks it against all that is known of it.
    pub(super) fn manifest(
        &self,
        name: &str,
        expected: Option<&Digest>,
        bytes_max: u64,
    ) -> Result<Vec<u8>, PullError> {
        let url = self.endpoint.url(&format!("{}/manifests/{name}", self.path))?;
        let request = Request { accept: Some(MANIFESTS), ..Request::get(url) };
        let shown_name = match expected {
            Some(digest) => format!("manifest {digest}"),
            None => format!("manifest {name}"),
        };
        self.session.persist(|| {
            let response = self.ask(&request)?;
            let told = digest_header(&response);
            let content = match response.status() {
                StatusCode::OK => self.session.read(&request.url, response, bytes_max)?,
                _ => return Err(self.missing(name, &request.url, response)),
            };
            let actual = Digest::of(&content);
            match expected.copied().or(told) {
                Some(expected) if expected != actual => {
                    Err(PullError::DigestMismatch { what: shown_name.clone(), expected, actual })
                }
                _ => Ok(content),
            }
        })
    }

    /// Fetches a blob that must be small, a configuration.
    pub(super) fn small_blob(&self, blob: &Descriptor, bytes_max: u64) -> Result<Vec<u8>, PullError> {
        let what = format!("configuration {}", blob.digest);
        if blob.size > bytes_max {
            return Err(PullError::TooLarge { what, bytes_max });
        }
        let request = Request::get(self.blob_url(&blob.digest)?);
        self.session.persist(|| {
            let response = self.ask(&request)?;
            let content = match response.status() {
                StatusCode::OK => self.session.read(&request.url, response, bytes_max)?,
                _ => return Err(self.missing(&blob.digest.to_string(), &request.url, response)),
            };
            let actual = Digest::of(&content);
            if actual != blob.digest {
                return Err(PullError::DigestMismatch { what: what.clone(), expected: blob.digest, actual });
            }
            Ok(content)
        })
    }

    /// Downloads a blob to a file, which is checked by whoever finishes it. One that is cut goes on where it was.
    pub(super) fn download(
        &self,
        blob: &Descriptor,
        begin: impl Fn() -> Result<BlobWriter, PullError>,
        on_bytes: &dyn Fn(u64),
    ) -> Result<BlobWriter, PullError> {
        let url = self.blob_url(&blob.digest)?;
        let limits = &self.session.limits;
        let mut writer = begin()?;
        let (mut attempt, mut cuts) = (1, 0);
        loop {
            let before = writer.size();
            let request = Request { from_byte: before, ..Request::get(url.clone()) };
            let error = match self.continue_download(&request, blob, &mut writer, on_bytes) {
                Ok(()) => return Ok(writer),
                Err(error) => error,
            };
            // The registry does not continue, but gives all of it.
            if matches!(error, Interrupted::FromTheStart) {
                writer.discard();
                writer = begin()?;
                on_bytes(0);
                // A registry that gives all of it only when a part was asked for would be asked for ever.
                cuts += 1;
                if cuts <= limits.cuts_max {
                    continue;
                }
            }
            let Interrupted::Error(error) = error else {
                writer.discard();
                let reason = "it can only be downloaded whole, and every download was cut".to_owned();
                return Err(PullError::Cut { url: shown(&url), reason });
            };
            if writer.size() >= before + limits.progress_bytes_min {
                attempt = 1;
            }
            cuts += 1;
            let may_go_on = attempt < limits.attempts_max && cuts <= limits.cuts_max;
            if !may_go_on || !self.session.may_repeat(&error) {
                writer.discard();
                return Err(error);
            }
            if let Err(stopped) = self.session.pause_before(attempt, &error) {
                writer.discard();
                return Err(stopped);
            }
            attempt += 1;
        }
    }

    fn continue_download(
        &self,
        request: &Request,
        blob: &Descriptor,
        writer: &mut BlobWriter,
        on_bytes: &dyn Fn(u64),
    ) -> Result<(), Interrupted> {
        if writer.size() == blob.size {
            return Ok(());
        }
        let mut response = self.ask(request)?;
        match response.status() {
            StatusCode::OK if request.from_byte == 0 => {}
            StatusCode::OK => return Err(Interrupted::FromTheStart),
            StatusCode::PARTIAL_CONTENT if begins_at(&response) == Some(request.from_byte) => {}
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if request.from_byte > 0 => {
                return Err(Interrupted::FromTheStart);
            }
            _ => {
                let error = self.missing(&blob.digest.to_string(), &request.url, response);
                return Err(error.into());
            }
        }
        let mut body = response.body_mut().as_reader();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            self.session.check()?;
            let count = match body.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.session.failed(&request.url, error.into()).into()),
            };
            if writer.size() + count as u64 > blob.size {
                let what = format!("layer {}", blob.digest);
                return Err(PullError::TooLarge { what, bytes_max: blob.size }.into());
            }
            writer.write_all(&chunk[..count]).map_err(|error| PullError::from(writer.failed(error)))?;
            on_bytes(writer.size());
        }
        if writer.size() == blob.size {
            return Ok(());
        }
        let reason = format!("the connection was cut after {} of {} bytes", writer.size(), blob.size);
        Err(PullError::Cut { url: shown(&request.url), reason }.into())
    }

    /// Asks, with a token if the registry wants one.
    fn ask(&self, request: &Request) -> Result<Response<Body>, PullError> {
        let known = self.tokens.get(&self.key);
        let response = self.session.send(Request { authorization: known, ..request.clone() })?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        self.tokens.forget(&self.key);
        let fields = response.headers().get_all(header::WWW_AUTHENTICATE);
        let challenges: Vec<_> =
            fields.iter().filter_map(|field| field.to_str().ok()).flat_map(challenge::parse).collect();
        let Some(authorization) = self.tokens.answer(self.session, &request.url, &challenges, &self.key)?
        else {
            return Err(self.denied(&request.url, response));
        };
        drop(response);
        let again = Request { authorization: Some(authorization), ..request.clone() };
        let response = self.session.send(again)?;
        if response.status() == StatusCode::UNAUTHORIZED {
            self.tokens.forget(&self.key);
            return Err(self.denied(&request.url, response));
        }
        Ok(response)
    }

    fn denied(&self, url: &Uri, response: Response<Body>) -> PullError {
        let message = self.session.message(url, response);
        PullError::Denied { name: self.name(), has_credentials: !self.key.username.is_empty(), message }
    }

    fn missing(&self, what: &str, url: &Uri, response: Response<Body>) -> PullError {
        match response.status() {
            StatusCode::NOT_FOUND => {
                let name = match (url.path().contains("/blobs/"), what.starts_with("sha256:")) {
                    (true, _) => format!("{}: blob {what}", self.name()),
                    (false, true) => format!("{}@{what}", self.name()),
                    (false, false) => format!("{}:{what}", self.name()),
                };
                PullError::NotFound { name, message: self.session.message(url, response) }
            }
            StatusCode::FORBIDDEN => self.denied(url, response),
            _ => self.session.refused(url, response),
        }
    }

    fn name(&self) -> String {
        format!("{}/{}", self.endpoint.host, self.path)
    }

    fn blob_url(&self, digest: &Digest) -> Result<Uri, PullError> {
        self.endpoint.url(&format!("{}/blobs/{digest}", self.path))
    }
}

enum Interrupted {
    FromTheStart,
    Error(PullError),
}

impl From<PullError> for Interrupted {
    fn from(error: PullError) -> Self {
        Self::Error(error)
    }
}

/// A blob of an [`Ingest`] that several threads write to.
pub(super) fn begin(ingest: &std::sync::Mutex<Ingest>) -> Result<BlobWriter, PullError> {
    Ok(ingest.lock().unwrap_or_else(std::sync::PoisonError::into_inner).blob()?)
}

fn digest_header(response: &Response<Body>) -> Option<Digest> {
    response.headers().get(DIGEST)?.to_str().ok()?.trim().parse().ok()
}

/// `Content-Range: bytes 5-9/10`
fn begins_at(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.trim().strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}
