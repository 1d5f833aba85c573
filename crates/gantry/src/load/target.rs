//! Where requests go.

use std::io;
use std::net::SocketAddr;

use http::Uri;
use tokio::net::TcpStream;

use super::PlanError;

/// A plain HTTP URL, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The Host header: as it stands in the URL.
    pub authority: String,
    pub host: String,
    pub port: u16,
    /// Path and query.
    pub path: Uri,
}

impl Target {
    pub fn parse(url: &str) -> Result<Self, PlanError> {
        let wrong = |why| PlanError::Url { url: url.to_owned(), why };
        let text = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let uri: Uri = text.parse().map_err(|_| wrong("it is no URL"))?;
        if uri.scheme_str() != Some("http") {
            return Err(wrong("only http:// is spoken here"));
        }
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("put credentials into a header, not into the URL"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(wrong("it names no host"));
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self {
            authority: authority.to_string(),
            host,
            port: authority.port_u16().unwrap_or(80),
            path: path.parse().map_err(|_| wrong("its path cannot be sent"))?,
        })
    }

    /// Resolves the name as every program on this machine does, and connects to the first address that answers.
    pub(crate) async fn connect(&self) -> Result<TcpStream, ConnectError> {
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(ConnectError::Resolve)?
            .collect();
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // A request is one write: waiting for more to send would only add latency.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(ConnectError::Connect(last))
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("its name is not resolved: {0}")]
    Resolve(io::Error),
    #[error("{0}")]
    Connect(io::Error),
}
