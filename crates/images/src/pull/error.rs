//! What can go wrong in a pull, and what to do about it.

use std::time::Duration;

use super::registries::RegistriesError;
use crate::digest::Digest;
use crate::document::DocumentError;
use crate::error::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error("the pull was stopped")]
    Stopped,
    #[error("the pull took more than {} s", .0.as_secs())]
    TooSlow(Duration),
    #[error("{0} images are pulled or wait for it, which is the limit")]
    TooMany(usize),
    /// A name of this machine's own registry, which no other registry can have.
    #[error("{0}: not found in this server's registry")]
    OwnRegistry(String),
    #[error("{0:?} is no address that can be asked")]
    Address(String),
    #[error("{name}: not found{}", detail(.message))]
    NotFound { name: String, message: String },
    #[error("pull access denied for {name}, repository does not exist or may require authorization{}", detail(.message))]
    Denied { name: String, has_credentials: bool, message: String },
    #[error("{host} asks for {schemes}, which is no way to authorize that is known here")]
    Challenge { host: String, schemes: String },
    #[error("the token of {host} cannot be used: {reason}")]
    Token { host: String, reason: String },
    #[error("{url}: too many requests{}", detail(.message))]
    TooManyRequests { url: String, retry_after: Option<Duration>, message: String },
    #[error("{url}: unexpected status {status}{}", detail(.message))]
    Status { url: String, status: u16, retry_after: Option<Duration>, message: String },
    /// No connection, or none that can be trusted.
    #[error("could not reach {url}: {reason}")]
    Unreachable { url: String, reason: String, kind: Unreachable },
    /// The connection broke off, or nothing came any more.
    #[error("{url}: {reason}")]
    Cut { url: String, reason: String },
    #[error("{url} answered what the protocol does not allow: {reason}")]
    Protocol { url: String, reason: String },
    #[error("{url} redirects {reason}")]
    Redirect { url: String, reason: String },
    #[error("{what} has more than {bytes_max} bytes")]
    TooLarge { what: String, bytes_max: u64 },
    #[error("{what}: the digest does not match: expected {expected}, got {actual}")]
    DigestMismatch { what: String, expected: Digest, actual: Digest },
    #[error("{what} should have {expected} bytes, but has {actual}")]
    SizeMismatch { what: String, expected: u64, actual: u64 },
    #[error("{what}: {source}")]
    Document { what: String, source: DocumentError },
    #[error(
        "layer {0} is of the kind {1:?}, whose content lies outside of registries; it is not fetched from there"
    )]
    ForeignLayer(Digest, String),
    #[error("the settings of registries: {0}")]
    Registries(#[from] RegistriesError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("could not start a thread: {0}")]
    Thread(#[source] std::io::Error),
    /// What a mirror said, beside the registry's own error.
    #[error("{registry} (before that, the mirror {mirror}: {error})")]
    Mirror { registry: Box<Self>, mirror: String, error: Box<Self> },
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// No address for the name, no route, nobody there.
    Network,
    /// It is not who it should be.
    Certificate,
    Proxy,
}

fn detail(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl PullError {
    /// Whether the same pull may succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::TooManyRequests { .. } | Self::Cut { .. } | Self::TooMany(_) => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 500..=599),
            Self::Unreachable { kind, .. } => *kind == Unreachable::Network,
            Self::Mirror { registry, .. } => registry.is_transient(),
            Self::Store(error) => matches!(error, StoreError::Busy { .. }),
            Self::Stopped
            | Self::TooSlow(_)
            | Self::OwnRegistry(_)
            | Self::Address(_)
            | Self::NotFound { .. }
            | Self::Denied { .. }
            | Self::Challenge { .. }
            | Self::Token { .. }
            | Self::Protocol { .. }
            | Self::Redirect { .. }
            | Self::TooLarge { .. }
            | Self::DigestMismatch { .. }
            | Self::SizeMismatch { .. }
            | Self::Document { .. }
            | Self::ForeignLayer(..)
            | Self::Registries(_)
            | Self::Thread(_) => false,
        }
    }

    /// Whether the image is known and its content could not be brought here.
    pub fn is_of_content(&self) -> bool {
        match self {
            Self::Cut { url, .. }
            | Self::Status { url, .. }
            | Self::TooManyRequests { url, .. }
            | Self::Unreachable { url, .. } => url.contains("/blobs/"),
            Self::DigestMismatch { what, .. } | Self::TooLarge { what, .. } => what.starts_with("layer "),
            Self::ForeignLayer(..) | Self::Store(_) => true,
            Self::NotFound { name, .. } => name.contains(": blob "),
            Self::Mirror { registry, .. } => registry.is_of_content(),
            _ => false,
        }
    }

    /// Whether room on the disk would help.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Store(error) => error.is_disk_full(),
            Self::Mirror { registry, .. } => registry.is_disk_full(),
            _ => false,
        }
    }

    /// Whether it would be the same with every registry, so that no other one needs to be asked.
    pub(super) fn is_ours(&self) -> bool {
        matches!(
            self,
            Self::Stopped | Self::TooSlow(_) | Self::Store(_) | Self::Registries(_) | Self::Thread(_)
        )
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyRequests { retry_after, .. } | Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What a person can do about it.
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => {
                "check the name and the tag, or build the image here with `gantry image build` or load it with `gantry image load`"
            }
            Self::Denied { has_credentials: false, .. } => {
                "check the name; a private repository needs credentials in registries.toml (see `gantry image pull --help`); an \
                 image of this machine is built with `gantry image build` or loaded with `gantry image load`"
            }
            Self::Denied { has_credentials: true, .. } => {
                "check the name, and that the credentials in registries.toml may read the repository"
            }
            Self::OwnRegistry(_) => {
                "push it with docker, podman or skopeo, build it with `gantry image build` or load it with `gantry image load`"
            }
            Self::Challenge { .. } | Self::Token { .. } => "check the registry's settings in registries.toml",
            Self::TooManyRequests { .. } => {
                "wait, log in with credentials in registries.toml, or name a mirror there"
            }
            Self::Unreachable { kind: Unreachable::Network, .. } | Self::Cut { .. } => {
                "check the network, DNS and proxy of this machine, name a mirror in registries.toml, or load the image with \
                 `gantry image load`"
            }
            Self::Unreachable { kind: Unreachable::Certificate, .. } => {
                "name the authority that signed the registry's certificate with ca_file in registries.toml; a registry without \
                 TLS needs http = true there"
            }
            Self::Unreachable { kind: Unreachable::Proxy, .. } => {
                "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY in the server's environment"
            }
            Self::Status { .. } | Self::Protocol { .. } | Self::Redirect { .. } | Self::TooLarge { .. } => {
                "see the registry's state, and that the name is that of an image"
            }
            Self::DigestMismatch { .. } | Self::SizeMismatch { .. } => {
                "the registry, or a proxy before it, gives damaged content: push the image again, or try without mirror and proxy"
            }
            Self::Document { source: DocumentError::NoPlatform(_), .. } => {
                "push the image for this machine's platform too (docker buildx build --platform)"
            }
            Self::Document { .. } | Self::ForeignLayer(..) => "push the image again with a current tool",
            Self::Address(_) | Self::Registries(_) => "correct registries.toml",
            Self::Store(error) if error.is_disk_full() => {
                "make room: `gantry image prune` removes what nothing needs"
            }
            Self::Store(_) | Self::Thread(_) => "see the state of this machine with `gantry doctor`",
            Self::TooSlow(_) | Self::TooMany(_) | Self::Stopped => "try again",
            Self::Mirror { registry, .. } => registry.next_step(),
        }
    }
}
