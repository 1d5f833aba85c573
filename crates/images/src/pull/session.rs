//! Requests: one answer for one address, with redirects followed and every wait bounded.
//!
//! A session belongs to one pull from one place. All its connections end when it is cancelled.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use gantry_types::Timestamp;
use ureq::config::{AutoHeaderValue, Config};
use ureq::http::{Response, StatusCode, Uri, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::cancellation::Cancellation;
use super::error::{PullError, Unreachable};
use super::limits::PullLimits;
use super::proxy::Proxies;
use super::registries::Registries;
use super::retry;

const USER_AGENT: &str = concat!("gantry/", env!("CARGO_PKG_VERSION"));
/// Of what a registry says, as much as a sentence bears.
const MESSAGE_CHARACTERS_MAX: usize = 300;

pub(super) struct Session {
    pub(super) registries: Arc<Registries>,
    pub(super) limits: Arc<PullLimits>,
    pub(super) cancellation: Cancellation,
    deadline: Instant,
    proxies: Proxies,
    /// By scheme and host: each may have certificates and a proxy of its own.
    agents: Mutex<BTreeMap<String, Agent>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Uri,
    pub(super) accept: Option<&'static str>,
    pub(super) authorization: Option<String>,
    /// From this byte on.
    pub(super) from_byte: u64,
}

impl Request {
    pub(super) fn get(url: Uri) -> Self {
        Self { method: Method::Get, url, accept: None, authorization: None, from_byte: 0 }
    }
}

impl Session {
    pub(super) fn new(
        registries: Arc<Registries>,
        limits: Arc<PullLimits>,
        cancellation: Cancellation,
        deadline: Instant,
    ) -> Self {
        let proxies = Proxies::from_environment();
        Self { registries, limits, cancellation, deadline, proxies, agents: Mutex::default() }
    }

    /// Whether the pull may go on.
    pub(super) fn check(&self) -> Result<(), PullError> {
        if self.cancellation.is_cancelled() {
            Err(PullError::Stopped)
        } else if Instant::now() >= self.deadline {
            Err(PullError::TooSlow(self.limits.pull_wait))
        } else {
            Ok(())
        }
    }

    /// Asks again, after a pause, as long as the error is one that passes.
    pub(super) fn persist<T>(&self, mut ask: impl FnMut() -> Result<T, PullError>) -> Result<T, PullError> {
        let mut attempt = 1;
        loop {
            match ask() {
                Err(error) if attempt < self.limits.attempts_max && self.may_repeat(&error) => {
                    self.pause_before(attempt, &error)?;
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    pub(super) fn may_repeat(&self, error: &PullError) -> bool {
        // Who cannot be reached will not be in a moment: another place may be asked, or whoever wants the image waits longer.
        let is_there = !matches!(error, PullError::Unreachable { .. });
        let is_soon = error.retry_after().is_none_or(|pause| pause <= self.limits.retry_after_max);
        error.is_transient() && is_there && is_soon
    }

    pub(super) fn pause_before(&self, attempt: u32, error: &PullError) -> Result<(), PullError> {
        let pause = error.retry_after().unwrap_or_else(|| retry::pause(attempt, &self.limits));
        let left = self.deadline.saturating_duration_since(Instant::now());
        self.cancellation.pause(pause.min(left));
        self.check()
    }

    /// One answer, whatever its status, after all redirects.
    pub(super) fn send(&self, mut request: Request) -> Result<Response<Body>, PullError> {
        let first = request.url.clone();
        for _ in 0..=self.limits.redirects_max {
            let response = self.send_once(&request)?;
            let is_redirect = matches!(
                response.status(),
                StatusCode::MOVED_PERMANENTLY
                    | StatusCode::FOUND
                    | StatusCode::SEE_OTHER
                    | StatusCode::TEMPORARY_REDIRECT
                    | StatusCode::PERMANENT_REDIRECT
            );
            if !is_redirect {
                return Ok(response);
            }
            request = redirect(&request, &response)?;
        }
        let reason = format!("more than {} times", self.limits.redirects_max);
        Err(PullError::Redirect { url: shown(&first), reason })
    }

    fn send_once(&self, request: &Request) -> Result<Response<Body>, PullError> {
        self.check()?;
        let agent = self.agent(&request.url)?;
        let mut builder = match request.method {
            Method::Get => agent.get(&request.url),
            Method::Head => agent.head(&request.url),
        };
        if let Some(accept) = request.accept {
            builder = builder.header(header::ACCEPT, accept);
        }
        if let Some(authorization) = &request.authorization {
            builder = builder.header(header::AUTHORIZATION, authorization);
        }
        if request.from_byte > 0 {
            builder = builder.header(header::RANGE, format!("bytes={}-", request.from_byte));
        }
        builder.call().map_err(|error| self.failed(&request.url, error))
    }

    /// Posts a form, for tokens; such an answer is never a redirect.
    pub(super) fn post_form(&self, url: &Uri, form: &[(&str, &str)]) -> Result<Response<Body>, PullError> {
        self.check()?;
        let form = form.iter().map(|(name, value)| (*name, *value));
        self.agent(url)?.post(url).send_form(form).map_err(|error| self.failed(url, error))
    }

    /// Reads a body that must be small.
    pub(super) fn read(
        &self,
        url: &Uri,
        mut response: Response<Body>,
        bytes_max: u64,
    ) -> Result<Vec<u8>, PullError> {
        let mut content = Vec::new();
        let mut reader = response.body_mut().as_reader().take(bytes_max + 1);
        let mut chunk = vec![0; 16 * 1024];
        loop {
            self.check()?;
            match reader.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => content.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(url, error.into())),
            }
        }
        if content.len() as u64 > bytes_max {
            return Err(PullError::TooLarge { what: shown(url), bytes_max });
        }
        Ok(content)
    }

    /// What an answer of another status than hoped for means.
    pub(super) fn refused(&self, url: &Uri, response: Response<Body>) -> PullError {
        let status = response.status();
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| retry::retry_after(value.to_str().ok()?, Timestamp::now()));
        let message = self.message(url, response);
        let url = shown(url);
        match status {
            StatusCode::TOO_MANY_REQUESTS => PullError::TooManyRequests { url, retry_after, message },
            status => PullError::Status { url, status: status.as_u16(), retry_after, message },
        }
    }

    /// What a registry says in the body of an error.
    pub(super) fn message(&self, url: &Uri, response: Response<Body>) -> String {
        let content = self.read(url, response, self.limits.message_bytes_max).unwrap_or_default();
        said(&content)
    }

    /// An error of the client, in our words.
    pub(super) fn failed(&self, url: &Uri, error: ureq::Error) -> PullError {
        if let Err(stopped) = self.check() {
            return stopped;
        }
        let url = shown(url);
        let unreachable = |kind, reason: String| PullError::Unreachable { url: url.clone(), reason, kind };
        let cut = |reason: String| PullError::Cut { url: url.clone(), reason };
        match error {
            ureq::Error::HostNotFound => unreachable(Unreachable::Network, "no such host".to_owned()),
            ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => {
                unreachable(Unreachable::Network, "connection timed out".to_owned())
            }
            ureq::Error::Timeout(_) => {
                cut(format!("nothing came for {} s", self.limits.idle_wait.as_secs_f32()))
            }
            ureq::Error::ConnectionFailed => {
                unreachable(Unreachable::Network, "connection failed".to_owned())
            }
            ureq::Error::ConnectProxyFailed(reason) => {
                unreachable(Unreachable::Proxy, format!("the proxy refused: {reason}"))
            }
            ureq::Error::InvalidProxyUrl => {
                unreachable(Unreachable::Proxy, "the proxy's address is none".to_owned())
            }
            ureq::Error::Rustls(error) => unreachable(Unreachable::Certificate, tls(&error.to_string())),
            ureq::Error::Tls(reason) => unreachable(Unreachable::Certificate, tls(reason)),
            ureq::Error::Pem(error) => unreachable(Unreachable::Certificate, tls(&error.to_string())),
            ureq::Error::Io(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::AddrNotAvailable
                | io::ErrorKind::PermissionDenied => unreachable(Unreachable::Network, plain(&error)),
                // How rustls says what it found in a handshake.
                io::ErrorKind::InvalidData => unreachable(Unreachable::Certificate, tls(&error.to_string())),
                // How the system says that it knows no address.
                _ if error.to_string().contains("failed to lookup address") => {
                    unreachable(Unreachable::Network, "no such host".to_owned())
                }
                _ => cut(plain(&error)),
            },
            ureq::Error::LargeResponseHeader(_, bytes_max) => PullError::TooLarge {
                what: format!("the head of the answer of {url}"),
                bytes_max: bytes_max as u64,
            },
            other => PullError::Protocol { url, reason: other.to_string() },
        }
    }

    fn agent(&self, url: &Uri) -> Result<Agent, PullError> {
        let (scheme, authority) = (url.scheme_str().unwrap_or("https"), authority(url));
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = agents.get(&format!("{scheme}://{authority}")) {
            return Ok(agent.clone());
        }
        let proxy = self.proxies.of(scheme, &authority).map(ureq::Proxy::new).transpose();
        let proxy = proxy.map_err(|error| self.failed(url, error))?;
        let limits = &self.limits;
        let agent: Agent = Config::builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .tls_config(self.tls(&authority))
            .user_agent(USER_AGENT)
            // A body that was compressed on the way would not have the digest of its name.
            .accept_encoding(AutoHeaderValue::None)
            .timeout_resolve(Some(limits.resolve_wait))
            .timeout_connect(Some(limits.connect_wait))
            .timeout_recv_response(Some(limits.answer_wait))
            .timeout_per_read(Some(limits.idle_wait))
            .timeout_per_write(Some(limits.idle_wait))
            .max_response_header_size(limits.head_bytes_max)
            .max_idle_connections_per_host(limits.layers_at_once.max(1))
            .build()
            .into();
        self.cancellation.watch(&agent);
        agents.insert(format!("{scheme}://{authority}"), agent.clone());
        Ok(agent)
    }

    fn tls(&self, authority: &str) -> TlsConfig {
        let settings = self.registries.settings(authority);
        let own = settings.map(|settings| settings.ca_certificates.as_slice()).unwrap_or_default();
        let skips = settings.is_some_and(|settings| settings.skip_verification);
        let trusted = trusted_here();
        let roots = if trusted.is_empty() && own.is_empty() {
            RootCerts::WebPki
        } else {
            let own = own.iter().map(|der| Certificate::from_der(der).to_owned());
            RootCerts::Specific(Arc::new(trusted.iter().cloned().chain(own).collect()))
        };
        TlsConfig::builder().root_certs(roots).disable_verification(skips).build()
    }
}

/// The authorities that this machine trusts; read once.
fn trusted_here() -> &'static [Certificate<'static>] {
    static TRUSTED: OnceLock<Vec<Certificate<'static>>> = OnceLock::new();
    TRUSTED.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        found.certs.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect()
    })
}

/// Where a redirect leads. What proves who asks goes to nobody else.
fn redirect(request: &Request, response: &Response<Body>) -> Result<Request, PullError> {
    let fail = |reason: String| PullError::Redirect { url: shown(&request.url), reason };
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let location = location.ok_or_else(|| fail("without saying where to".to_owned()))?;
    let target = resolve(&request.url, location).ok_or_else(|| {
        fail(format!("to {:?}, which is no address", location.chars().take(200).collect::<String>()))
    })?;
    if request.url.scheme_str() == Some("https") && target.scheme_str() != Some("https") {
        return Err(fail("from HTTPS to plain HTTP".to_owned()));
    }
    let is_same =
        request.url.scheme_str() == target.scheme_str() && authority(&request.url) == authority(&target);
    let authorization = request.authorization.clone().filter(|_| is_same);
    Ok(Request { url: target, authorization, ..request.clone() })
}

/// Another address, as it is written on a page of `base`.
pub(super) fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next()?.trim();
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    let absolute = if location.contains("://") {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let directory = base.path().rsplit_once('/').map_or("", |(directory, _)| directory);
        format!("{scheme}://{authority}{directory}/{location}")
    };
    let uri: Uri = absolute.parse().ok()?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    (is_web && uri.host().is_some_and(|host| !host.is_empty())).then_some(uri)
}

/// Host and port in lower case, without names and passwords.
pub(super) fn authority(url: &Uri) -> String {
    let authority = url.authority().map(|authority| authority.as_str()).unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default().to_ascii_lowercase()
}

/// An address for people: queries hold signatures.
pub(super) fn shown(url: &Uri) -> String {
    format!("{}://{}{}", url.scheme_str().unwrap_or("https"), authority(url), url.path())
}

/// The messages of an error's body, on one line.
pub(super) fn said(content: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Errors {
        #[serde(default)]
        errors: Vec<Entry>,
        #[serde(default)]
        details: String,
    }
    #[derive(serde::Deserialize)]
    struct Entry {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let Ok(errors) = serde_json::from_slice::<Errors>(content) else { return String::new() };
    let entries = errors.errors.iter().map(|entry| match (entry.code.as_str(), entry.message.as_str()) {
        (code, "") => code.to_ascii_lowercase().replace('_', " "),
        (_, message) => message.to_owned(),
    });
    let parts: Vec<String> = entries.chain([errors.details]).filter(|part| !part.is_empty()).collect();
    let line = parts.join("; ");
    line.chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .take(MESSAGE_CHARACTERS_MAX)
        .collect()
}

fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "the connection was cut".to_owned()
        }
        _ => error.to_string(),
    }
}

fn tls(reason: &str) -> String {
    format!("its certificate or TLS cannot be trusted: {reason}")
}

/// For how long a caller that has a token may go on with it.
pub(super) fn bounded(life: Duration, limits: &PullLimits) -> Duration {
    life.clamp(limits.token_life_min, limits.token_life_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_resolved_as_browsers_do() {
        let base: Uri = "https://r.example:5000/v2/a/blobs/sha256:1?x=y".parse().unwrap();
        for (location, expected) in [
            ("https://cdn.example/x?sig=1", Some("https://cdn.example/x?sig=1")),
            ("//cdn.example/x", Some("https://cdn.example/x")),
            ("/v2/b", Some("https://r.example:5000/v2/b")),
            ("other", Some("https://r.example:5000/v2/a/blobs/other")),
            ("/x#part", Some("https://r.example:5000/x")),
            ("file:///etc/passwd", None),
            ("ftp://a/b", None),
            ("https://", None),
            ("http://a b/", None),
        ] {
            assert_eq!(
                resolve(&base, location).map(|uri| uri.to_string()).as_deref(),
                expected,
                "{location}"
            );
        }
    }

    #[test]
    fn what_registries_say_becomes_one_line() {
        for (body, expected) in [
            (r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#, "manifest unknown"),
            (r#"{"errors":[{"code":"NAME_UNKNOWN"},{"code":"X","message":"a\nb"}]}"#, "name unknown; a b"),
            (r#"{"details":"incorrect username or password"}"#, "incorrect username or password"),
            ("<html>", ""),
            ("", ""),
        ] {
            assert_eq!(said(body.as_bytes()), expected);
        }
        let long = format!(r#"{{"errors":[{{"message":"{}"}}]}}"#, "ü".repeat(10_000));
        assert_eq!(said(long.as_bytes()).chars().count(), MESSAGE_CHARACTERS_MAX);
    }

    #[test]
    fn no_secret_is_shown() {
        let url: Uri = "https://me:secret@r.example/x?token=secret".parse().unwrap();
        assert_eq!(shown(&url), "https://r.example/x");
    }
}
