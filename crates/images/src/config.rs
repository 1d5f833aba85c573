//! Image configurations: what an image says of the container to be made from it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::Digest;
use crate::document::{DocumentError, Platform, null_is_empty, parse_json};
use crate::limits::Limits;

/// What the node needs to know of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageConfig {
    pub platform: Platform,
    /// RFC 3339, as the image has it.
    pub created: Option<String>,
    /// `NAME=value`, in order.
    pub env: Vec<String>,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    /// Empty if the image names none; `/` is meant then.
    pub working_dir: String,
    /// `user[:group]` by name or number; empty for root.
    pub user: String,
    pub exposed_ports: Vec<ExposedPort>,
    pub volumes: Vec<String>,
    pub labels: BTreeMap<String, String>,
    /// `SIGTERM` or a number; none means SIGTERM.
    pub stop_signal: Option<String>,
    /// Kept for whoever shows the image. ECS ignores it: only a task definition's health check counts.
    pub healthcheck: Option<Healthcheck>,
    /// One for each layer, the lowest first.
    pub diff_ids: Vec<Digest>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExposedPort {
    pub port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// Durations are in nanoseconds, as Docker has them; 0 and absent both mean Docker's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub test: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_period: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<i64>,
}

/// The configuration as it is stored. Docker's and OCI's agree in all that is read here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ConfigFile {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) author: Option<String>,
    pub(crate) architecture: String,
    pub(crate) os: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) variant: Option<String>,
    #[serde(deserialize_with = "null_is_empty")]
    pub(crate) config: RunConfig,
    pub(crate) rootfs: RootFs,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub(crate) history: Vec<History>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct RunConfig {
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_empty")]
    pub(crate) user: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    pub(crate) exposed_ports: BTreeMap<String, Empty>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub(crate) env: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "words")]
    pub(crate) entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "words")]
    pub(crate) cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) healthcheck: Option<Healthcheck>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    pub(crate) volumes: BTreeMap<String, Empty>,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_empty")]
    pub(crate) working_dir: String,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub(crate) on_build: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stop_signal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "words")]
    pub(crate) shell: Option<Vec<String>>,
}

/// `{}`, the value that Go gives to the members of a set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Empty {}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RootFs {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub(crate) diff_ids: Vec<Digest>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self { kind: "layers".into(), diff_ids: Vec::new() }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct History {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) author: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) comment: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) empty_layer: bool,
}

/// Old images hold a command as one string.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        Many(Vec<String>),
        One(String),
    }
    Ok(Option::<Words>::deserialize(deserializer)?.map(|words| match words {
        Words::Many(many) => many,
        Words::One(one) => vec![one],
    }))
}

impl ConfigFile {
    pub(crate) fn parse(content: &[u8], limits: &Limits) -> Result<Self, DocumentError> {
        if content.len() as u64 > limits.document_bytes_max {
            return Err(DocumentError::TooLarge {
                actual: content.len() as u64,
                bytes_max: limits.document_bytes_max,
            });
        }
        parse_json("image configuration", content)
    }

    /// What the variable parts take, for a limit while a configuration grows.
    pub(crate) fn approximate_bytes(&self) -> u64 {
        let run = &self.config;
        let env = run.env.iter().map(String::len).sum::<usize>();
        let labels = run.labels.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let volumes = run.volumes.keys().map(String::len).sum::<usize>();
        (env + labels + volumes) as u64
    }

    /// Checks everything that the node would otherwise stumble over when it starts a container.
    pub(crate) fn check(self, layers: usize) -> Result<ImageConfig, DocumentError> {
        let run = self.config;
        if self.rootfs.diff_ids.len() != layers {
            return Err(DocumentError::LayerCount { diff_ids: self.rootfs.diff_ids.len(), layers });
        }
        let host = Platform::host();
        if !self.os.is_empty() && self.os != host.os {
            return Err(DocumentError::NoPlatform(host));
        }
        if self.rootfs.kind != "layers" {
            return Err(unusable(
                "rootfs.type",
                &format!("{:?} is not known, only \"layers\" is", self.rootfs.kind),
            ));
        }
        let entrypoint = run.entrypoint.unwrap_or_default();
        let cmd = run.cmd.unwrap_or_default();
        let single = |text: &str| text.contains('\0');
        let many = |texts: &[String]| texts.iter().any(|text| single(text));
        let fields = [
            ("Env", many(&run.env)),
            ("Entrypoint", many(&entrypoint)),
            ("Cmd", many(&cmd)),
            ("User", single(&run.user)),
            ("WorkingDir", single(&run.working_dir)),
        ];
        if let Some((field, _)) = fields.into_iter().find(|(_, holds_nul)| *holds_nul) {
            return Err(unusable(field, "it holds a NUL character"));
        }
        if let Some(name) = run.env.iter().find(|entry| entry.is_empty() || entry.starts_with('=')) {
            return Err(unusable("Env", &format!("{name:?} has no name")));
        }
        let mut exposed_ports = BTreeSet::new();
        for text in run.exposed_ports.keys() {
            let ports = ExposedPort::parse_range(text);
            exposed_ports
                .extend(ports.ok_or_else(|| unusable("ExposedPorts", &format!("{text:?} is not a port")))?);
        }
        Ok(ImageConfig {
            platform: Platform { os: self.os, architecture: self.architecture, variant: self.variant },
            created: self.created,
            exposed_ports: exposed_ports.into_iter().collect(),
            env: run.env,
            entrypoint,
            cmd,
            working_dir: run.working_dir,
            user: run.user,
            volumes: run.volumes.into_keys().collect(),
            labels: run.labels,
            stop_signal: run.stop_signal.filter(|signal| !signal.is_empty()),
            healthcheck: run.healthcheck,
            diff_ids: self.rootfs.diff_ids,
        })
    }
}

fn unusable(field: &'static str, reason: &str) -> DocumentError {
    DocumentError::Config { field, reason: reason.chars().take(300).collect() }
}

impl ExposedPort {
    /// Reads `80`, `53/udp` or `8000-8010/tcp`. Docker writes one port after the other, buildah a range.
    pub(crate) fn parse_range(text: &str) -> Option<Vec<Self>> {
        let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let protocol = protocol.to_ascii_lowercase();
        matches!(protocol.as_str(), "tcp" | "udp" | "sctp").then_some(())?;
        let port = |text: &str| -> Option<u16> {
            text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
        };
        let (first, last) = (port(first)?, port(last)?);
        let ports = (first..=last).map(|port| Self { port, protocol: protocol.clone() });
        (first <= last).then(|| ports.collect())
    }
}

impl std::fmt::Display for ExposedPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.port, self.protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, layers: usize) -> Result<ImageConfig, DocumentError> {
        ConfigFile::parse(text.as_bytes(), &Limits::default())?.check(layers)
    }

    #[test]
    fn everything_that_a_container_needs_is_read() {
        let diff_id = Digest::of(b"x");
        let config = read(
            &format!(
                r#"{{"architecture":"arm64","os":"linux","variant":"v8","created":"2024-01-02T03:04:05Z",
                "docker_version":"20","container_config":{{"Cmd":null}},
                "config":{{"Hostname":"","User":"app:staff","ExposedPorts":{{"8080/tcp":{{}},"53/udp":{{}},"80":{{}},"7-8/UDP":{{}}}},
                  "Tty":false,"Env":["PATH=/bin","EMPTY=","A=b=c"],"Entrypoint":["/a","b c"],"Cmd":"one string",
                  "Healthcheck":{{"Test":["CMD","x"],"Interval":30000000000,"Retries":3}},
                  "Volumes":{{"/data":{{}}}},"WorkingDir":"/srv","Labels":{{"k":"v"}},"StopSignal":"SIGQUIT",
                  "OnBuild":null,"ArgsEscaped":true}},
                "rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#
            ),
            1,
        )
        .unwrap();
        let port = |port, protocol: &str| ExposedPort { port, protocol: protocol.into() };
        let expected = ImageConfig {
            platform: Platform {
                os: "linux".into(),
                architecture: "arm64".into(),
                variant: Some("v8".into()),
            },
            created: Some("2024-01-02T03:04:05Z".into()),
            env: vec!["PATH=/bin".into(), "EMPTY=".into(), "A=b=c".into()],
            entrypoint: vec!["/a".into(), "b c".into()],
            cmd: vec!["one string".into()],
            working_dir: "/srv".into(),
            user: "app:staff".into(),
            exposed_ports: vec![
                port(7, "udp"),
                port(8, "udp"),
                port(53, "udp"),
                port(80, "tcp"),
                port(8080, "tcp"),
            ],
            volumes: vec!["/data".into()],
            labels: BTreeMap::from([("k".into(), "v".into())]),
            stop_signal: Some("SIGQUIT".into()),
            healthcheck: Some(Healthcheck {
                test: vec!["CMD".into(), "x".into()],
                interval: Some(30_000_000_000),
                retries: Some(3),
                ..Healthcheck::default()
            }),
            diff_ids: vec![diff_id],
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn the_nulls_that_go_writes_are_empty() {
        let config = read(
            r#"{"architecture":"amd64","os":"linux","history":null,"config":{"User":"","ExposedPorts":null,"Env":null,
                "Entrypoint":null,"Cmd":null,"Volumes":null,"Labels":null,"Healthcheck":null,"Shell":null},
                "rootfs":{"type":"layers","diff_ids":null}}"#,
            0,
        )
        .unwrap();
        assert!(config.env.is_empty() && config.cmd.is_empty() && config.exposed_ports.is_empty());
        assert!(read(r#"{"architecture":"amd64","os":"linux","config":null}"#, 0).is_ok());
    }

    #[test]
    fn configurations_that_no_container_could_use_are_refused() {
        let table = [
            ("{", "not a valid image configuration"),
            (r#"{"rootfs":{"type":"layers","diff_ids":["sha256:00"]}}"#, "64 hexadecimal"),
            (r#"{"rootfs":{"type":"other","diff_ids":[]}}"#, "rootfs.type"),
            (r#"{"os":"windows"}"#, "does not contain descriptor matching platform 'linux/"),
            (r#"{"config":{"Env":["=x"]}}"#, "has no name"),
            (r#"{"config":{"Env":["A=\u0000"]}}"#, "NUL"),
            (r#"{"config":{"Cmd":["\u0000"]}}"#, "NUL"),
            (r#"{"config":{"ExposedPorts":{"http":{}}}}"#, "not a port"),
            (r#"{"config":{"ExposedPorts":{"65536/tcp":{}}}}"#, "not a port"),
            (r#"{"config":{"ExposedPorts":{"80/icmp":{}}}}"#, "not a port"),
        ];
        for (text, expected) in table {
            let error = read(text, 0).expect_err(text).to_string();
            assert!(error.contains(expected), "{text} gives: {error}");
        }
        assert!(matches!(read("{}", 1), Err(DocumentError::LayerCount { diff_ids: 0, layers: 1 })));
    }
}
