//! Which task this is.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::OnceLock;
use std::time::Duration;

/// The metadata endpoint answers at once or is not there.
const METADATA_WAIT: Duration = Duration::from_secs(2);
const METADATA_BYTES_MAX: u64 = 256 << 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Whoami {
    pub(crate) hostname: String,
    /// The last part of the task's ARN; the host name outside of ECS.
    pub(crate) task: String,
}

impl Whoami {
    pub(crate) fn find() -> Self {
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let hostname = safe(hostname.trim()).unwrap_or_else(|| "unknown".to_owned());
        let task = std::env::var("ECS_CONTAINER_METADATA_URI_V4").ok().and_then(|uri| task_id(&uri));
        Self { task: task.unwrap_or_else(|| hostname.clone()), hostname }
    }
}

/// Asks the task metadata endpoint.
fn task_id(uri: &str) -> Option<String> {
    let rest = uri.strip_prefix("http://")?;
    let (host, path) = rest.split_once('/')?;
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let mut stream = TcpStream::connect_timeout(&address.parse().ok()?, METADATA_WAIT).ok()?;
    stream.set_read_timeout(Some(METADATA_WAIT)).ok()?;
    write!(stream, "GET /{path}/task HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.take(METADATA_BYTES_MAX).read_to_end(&mut answer).ok()?;
    task_id_in(&String::from_utf8_lossy(&answer))
}

fn task_id_in(answer: &str) -> Option<String> {
    let (_, rest) = answer.split_once("\"TaskARN\"")?;
    let mut quoted = rest.split('"');
    let arn = quoted.nth(1)?;
    safe(arn.rsplit('/').next()?)
}

/// The heading: what `GREETING` says, freed of what a page would not show as text.
pub(crate) fn greeting() -> &'static str {
    static GREETING: OnceLock<String> = OnceLock::new();
    GREETING.get_or_init(|| {
        let given = std::env::var("GREETING").unwrap_or_default();
        let plain: String = given.chars().filter(|each| !matches!(each, '<' | '>' | '&')).take(200).collect();
        if plain.is_empty() { "Still here.".to_owned() } else { plain }
    })
}

/// What goes into the page is letters, digits and few signs.
fn safe(text: &str) -> Option<String> {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    (!text.is_empty() && text.len() <= 255 && text.bytes().all(is_safe)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_is_the_last_part_of_its_arn() {
        let answer = "HTTP/1.1 200 OK\r\n\r\n{\"Cluster\":\"c\",\"TaskARN\": \"arn:aws:ecs:r:1:task/c/0a1b\",\"Family\":\"f\"}";
        assert_eq!(task_id_in(answer).as_deref(), Some("0a1b"));
        assert_eq!(task_id_in("{\"TaskARN\":\"<script>\"}"), None);
        assert_eq!(task_id_in("HTTP/1.1 404 Not Found\r\n\r\n"), None);
    }
}
