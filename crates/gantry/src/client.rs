//! Calls of this command to a running server, through the same API that everybody uses.

use std::time::Duration;

use bytes::Bytes;
use gantry_api::{ApiError, ServiceModel};
use gantry_types::{Timestamp, Value};
use gantry_wire::{ClientError, Signer, client_answer, client_request};
use http::Uri;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::profile::Profile;

/// From the connection to the whole answer.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: usize = 16 << 20;

#[derive(Debug, Error)]
pub(crate) enum CallError {
    #[error(transparent)]
    Api(ApiError),
    #[error("{operation}: {source}")]
    Codec { operation: &'static str, source: ClientError },
    /// The server is not there, or went away: the call may be repeated if it is one that may.
    #[error("{endpoint} does not answer: {cause}")]
    Unreachable { endpoint: String, cause: String },
    #[error("{0} is not an endpoint")]
    Endpoint(String),
    #[error("{0} is not known to this program")]
    Operation(String),
}

impl CallError {
    /// AWS's error code, where the server gave one.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Api(error) => Some(&error.code),
            _ => None,
        }
    }
    pub(crate) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// A server, and whom it knows us as.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    profile: Profile,
    endpoint: Uri,
    authority: String,
}

impl Client {
    pub(crate) fn new(profile: Profile) -> Result<Self, CallError> {
        let refused = || CallError::Endpoint(profile.endpoint.clone());
        let endpoint: Uri =
            format!("{}/", profile.endpoint.trim_end_matches('/')).parse().map_err(|_| refused())?;
        let authority = endpoint.authority().ok_or_else(refused)?.to_string();
        Ok(Self { endpoint, authority, profile })
    }

    /// The same server, another region.
    pub(crate) fn in_region(&self, region: &str) -> Self {
        let mut other = self.clone();
        other.profile.region = region.to_owned();
        other
    }

    pub(crate) fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Calls an operation, `("ecs", "DescribeServices")`, with members by their model names.
    pub(crate) async fn call(
        &self,
        service: &str,
        operation: &'static str,
        input: Value,
    ) -> Result<Value, CallError> {
        let unknown = || CallError::Operation(format!("{service}:{operation}"));
        let service: &'static ServiceModel =
            gantry_api::SERVICES.iter().find(|each| each.name == service).copied().ok_or_else(unknown)?;
        let model = service.operation(operation).ok_or_else(unknown)?;
        let codec = |source| CallError::Codec { operation, source };
        let signer = Signer {
            access_key: &self.profile.credentials.access_key_id,
            secret_key: &self.profile.credentials.secret_access_key,
            session_token: None,
            region: &self.profile.region,
            service: service.signing_name,
        };
        let request = client_request(service, model, &input, &self.endpoint, &signer, Timestamp::now());
        let (status, body) = self.exchange(request.map_err(codec)?).await?;
        client_answer(service, model, status, &body).map_err(codec)?.map_err(CallError::Api)
    }

    async fn exchange(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<(http::StatusCode, Bytes), CallError> {
        let unreachable = |cause: &dyn std::fmt::Display| CallError::Unreachable {
            endpoint: self.profile.endpoint.clone(),
            cause: cause.to_string(),
        };
        let exchange = async {
            let stream = timeout(CONNECT_WAIT_MAX, TcpStream::connect(&self.authority))
                .await
                .map_err(|_| unreachable(&"no connection in time"))?
                .map_err(|error| unreachable(&error))?;
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
                .await
                .map_err(|error| unreachable(&error))?;
            let connection = tokio::spawn(connection);
            let request = request.map(|body| Full::new(Bytes::from(body)));
            let answer = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            connection.abort();
            Ok((status, body.map_err(|error| unreachable(&error))?.to_bytes()))
        };
        timeout(ANSWER_WAIT_MAX, exchange).await.map_err(|_| unreachable(&"no answer in time"))?
    }
}
