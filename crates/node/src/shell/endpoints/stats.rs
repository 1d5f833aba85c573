//! What a container uses, in Docker's words: two samples, the last and one before it, from which clients make rates.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gantry_domain::task_definition::NetworkMode;
use gantry_network::NamespaceSockets;
use gantry_runtime::{CgroupStats, ContainerId};
use gantry_types::Timestamp;
use serde_json::{Value, json};

use super::Endpoints;
use super::document::Part;
use super::route::Version;
use crate::core::TaskState;
use crate::shell::blocking;
use crate::shell::limits::{STATS_CONTAINERS_MAX, STATS_INTERVAL_MIN};
use crate::shell::work::{Machine, runtime_id};

/// The kernel counts processor time in hundredths of a second.
const NANOSECONDS_PER_TICK: u64 = 10_000_000;
/// Samples this old belong to a container that nobody asks about any more.
const SAMPLE_AGE_MAX: Duration = Duration::from_secs(600);

/// The last samples of the containers that were asked about.
#[derive(Default)]
pub(super) struct Samples(Mutex<BTreeMap<String, Pair>>);

#[derive(Clone, Default)]
struct Pair {
    before: Option<Sample>,
    last: Sample,
}

#[derive(Clone, Default)]
struct Sample {
    at: Timestamp,
    group: CgroupStats,
    system_ns: u64,
    processors: usize,
    traffic: Traffic,
}

/// Bytes, packets, errors, drops; received and sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Traffic {
    received: [u64; 4],
    sent: [u64; 4],
}

impl Endpoints {
    /// All containers of a task, by their ids.
    pub(super) async fn stats_of_all(&self, task: TaskState, version: Version) -> Value {
        let mut all = serde_json::Map::new();
        for part in Part::all(&task.spec) {
            all.insert(part.id(&task.spec), self.stats(task.clone(), part, version).await);
        }
        all.into()
    }

    /// `null` for a container that does not run.
    pub(super) async fn stats(&self, task: TaskState, part: Part, version: Version) -> Value {
        let (machine, id, name) = (self.machine.clone(), part.id(&task.spec), part.docker_name(&task.spec));
        let sample = blocking(move || match part {
            Part::Container(index) => machine.sample(&task, index),
            Part::Pause => Some(Sample { traffic: machine.task_traffic(&task), ..Sample::of_now() }),
        });
        match sample.await {
            Some(sample) => document(&id, &name, &self.samples.add(&id, sample), version),
            None => Value::Null,
        }
    }
}

impl Machine {
    fn sample(&self, task: &TaskState, index: usize) -> Option<Sample> {
        let id = runtime_id(&task.spec.task, index).ok()?;
        let group = self.runtime.stats(&id).ok()?;
        let traffic = match task.spec.network_mode {
            NetworkMode::Awsvpc => self.task_traffic(task),
            NetworkMode::Bridge => self.container_traffic(&id),
            // An instance's traffic is no container's.
            NetworkMode::Host | NetworkMode::None => Traffic::default(),
        };
        Some(Sample { group, traffic, ..Sample::of_now() })
    }

    /// Of the task's own interface, which its containers share.
    fn task_traffic(&self, task: &TaskState) -> Traffic {
        let Some(interface) = &task.spec.interface else { return Traffic::default() };
        traffic_in(&self.namespaces.join(interface.interface.as_str()))
    }

    fn container_traffic(&self, id: &ContainerId) -> Traffic {
        let Ok(network) = self.runtime.network_namespace(id) else { return Traffic::default() };
        traffic_in(Path::new(&format!("/proc/self/fd/{}", network.as_raw_fd())))
    }
}

/// Of a network namespace.
fn traffic_in(namespace: &Path) -> Traffic {
    let inside = NamespaceSockets::open(namespace);
    let counted = inside.and_then(|inside| inside.with(|| fs::read_to_string("/proc/thread-self/net/dev")));
    counted.map(|text| traffic(&text)).unwrap_or_default()
}

/// Everything but the loopback, of `/proc/net/dev`.
fn traffic(text: &str) -> Traffic {
    let mut all = Traffic::default();
    for line in text.lines() {
        let Some((name, counts)) = line.split_once(':') else { continue };
        let counts: Vec<u64> = counts.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        if name.trim() == "lo" || counts.len() < 12 {
            continue;
        }
        for index in 0..4 {
            all.received[index] += counts[index];
            all.sent[index] += counts[8 + index];
        }
    }
    all
}

impl Sample {
    fn of_now() -> Self {
        Self {
            at: Timestamp::now(),
            group: CgroupStats::default(),
            system_ns: fs::read_to_string("/proc/stat").map(|text| system_ns(&text)).unwrap_or(0),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            traffic: Traffic::default(),
        }
    }
}

/// All processors' time together since the start, idle or not.
fn system_ns(stat: &str) -> u64 {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "));
    // Time of guests is in the user's already, so only the first eight are added.
    let ticks = line.unwrap_or("").split_whitespace().take(8).filter_map(|word| word.parse::<u64>().ok());
    ticks.sum::<u64>().saturating_mul(NANOSECONDS_PER_TICK)
}

impl Samples {
    /// Keeps a sample; gives it with the one before. Who asks faster than Docker samples is given a longer time in between.
    fn add(&self, id: &str, sample: Sample) -> Pair {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kept.get(id).and_then(|pair| match sample.at.since(pair.last.at) < STATS_INTERVAL_MIN {
            true => pair.before.clone(),
            false => Some(pair.last.clone()),
        });
        let moves_on = kept.get(id).is_none_or(|pair| sample.at.since(pair.last.at) >= STATS_INTERVAL_MIN);
        let pair = Pair { before, last: sample };
        if moves_on {
            let now = pair.last.at;
            kept.retain(|_, old| now.since(old.last.at) < SAMPLE_AGE_MAX);
            if kept.len() < STATS_CONTAINERS_MAX || kept.contains_key(id) {
                kept.insert(id.to_owned(), pair.clone());
            }
        }
        pair
    }
}

fn document(id: &str, name: &str, pair: &Pair, version: Version) -> Value {
    let (last, group) = (&pair.last, &pair.last.group);
    let before = pair.before.as_ref();
    let [received, sent] = [last.traffic.received, last.traffic.sent];
    let mut document = json!({
        "read": last.at.iso8601(),
        "preread": before.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |before| before.at.iso8601()),
        "pids_stats": {"current": group.pids.unwrap_or(0)},
        "blkio_stats": {
            "io_service_bytes_recursive": [],
            "io_serviced_recursive": [],
            "io_queue_recursive": [],
            "io_service_time_recursive": [],
            "io_wait_time_recursive": [],
            "io_merged_recursive": [],
            "io_time_recursive": [],
            "sectors_recursive": [],
        },
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": processor(last),
        "precpu_stats": before.map_or_else(|| processor(&Sample::default()), processor),
        "memory_stats": memory(group),
        "name": format!("/{name}"),
        "id": id,
        "networks": {"eth0": {
            "rx_bytes": received[0], "rx_packets": received[1], "rx_errors": received[2], "rx_dropped": received[3],
            "tx_bytes": sent[0], "tx_packets": sent[1], "tx_errors": sent[2], "tx_dropped": sent[3],
        }},
    });
    if version == Version::V4 {
        let rate = |bytes: fn(&Traffic) -> u64| {
            let before = before?;
            let seconds = last.at.since(before.at).as_secs_f64();
            let grown = bytes(&last.traffic).saturating_sub(bytes(&before.traffic));
            (seconds > 0.0).then(|| grown as f64 / seconds)
        };
        document["network_rate_stats"] = json!({
            "rx_bytes_per_sec": rate(|traffic| traffic.received[0]).unwrap_or(0.0),
            "tx_bytes_per_sec": rate(|traffic| traffic.sent[0]).unwrap_or(0.0),
        });
    }
    document
}

fn processor(sample: &Sample) -> Value {
    json!({
        "cpu_usage": {
            "total_usage": sample.group.cpu_usage_ns.unwrap_or(0),
            "usage_in_kernelmode": sample.group.cpu_system_ns.unwrap_or(0),
            "usage_in_usermode": sample.group.cpu_user_ns.unwrap_or(0),
        },
        "system_cpu_usage": sample.system_ns,
        "online_cpus": sample.processors,
        "throttling_data": {
            "periods": sample.group.cpu_periods.unwrap_or(0),
            "throttled_periods": sample.group.cpu_throttled_periods.unwrap_or(0),
            "throttled_time": sample.group.cpu_throttled_ns.unwrap_or(0),
        },
    })
}

fn memory(group: &CgroupStats) -> Value {
    let inactive = group.memory_inactive_file_bytes.unwrap_or(0);
    let mut memory = json!({
        "usage": group.memory_usage_bytes.unwrap_or(0),
        "max_usage": group.memory_usage_bytes_max.unwrap_or(0),
        // Both names, for clients of both versions of control groups.
        "stats": {"inactive_file": inactive, "total_inactive_file": inactive},
    });
    if let Some(limit) = group.memory_limit_bytes {
        memory["limit"] = limit.into();
    }
    memory
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(millis: i64, cpu_ns: u64) -> Sample {
        Sample {
            at: Timestamp::from_millis(millis),
            group: CgroupStats {
                cpu_usage_ns: Some(cpu_ns),
                memory_usage_bytes: Some(4096),
                memory_inactive_file_bytes: Some(1024),
                memory_limit_bytes: Some(1 << 29),
                pids: Some(2),
                ..CgroupStats::default()
            },
            system_ns: 2 * cpu_ns,
            processors: 2,
            traffic: Traffic { received: [cpu_ns, 1, 0, 0], sent: [7, 1, 0, 0] },
        }
    }

    #[test]
    fn two_samples_make_a_rate_however_often_is_asked() {
        let samples = Samples::default();
        let first = document("id", "web", &samples.add("id", sample(1_000, 100)), Version::V4);
        assert_eq!(first["preread"], "0001-01-01T00:00:00Z");
        assert_eq!(first["precpu_stats"]["cpu_usage"]["total_usage"], 0);
        let early = document("id", "web", &samples.add("id", sample(1_100, 110)), Version::V4);
        assert_eq!(early["preread"], "0001-01-01T00:00:00Z", "too early to count");
        let second = document("id", "web", &samples.add("id", sample(2_000, 400)), Version::V4);
        assert_eq!(second["preread"], "1970-01-01T00:00:01.000Z");
        assert_eq!(second["precpu_stats"]["cpu_usage"]["total_usage"], 100);
        assert_eq!(second["cpu_stats"]["cpu_usage"]["total_usage"], 400);
        assert_eq!(second["network_rate_stats"]["rx_bytes_per_sec"], 300.0);
        let again = document("id", "web", &samples.add("id", sample(2_100, 500)), Version::V4);
        assert_eq!(again["preread"], "1970-01-01T00:00:01.000Z", "the pair is kept");
        assert_eq!(again["cpu_stats"]["cpu_usage"]["total_usage"], 500);
    }

    #[test]
    fn a_document_has_what_clients_of_docker_read() {
        let pair = Pair { before: None, last: sample(1_000, 100) };
        let document = document("abc", "web", &pair, Version::V2);
        assert_eq!(document["memory_stats"]["usage"], 4096);
        assert_eq!(document["memory_stats"]["limit"], 1 << 29);
        assert_eq!(document["memory_stats"]["stats"]["total_inactive_file"], 1024);
        assert_eq!(document["pids_stats"]["current"], 2);
        assert_eq!(document["networks"]["eth0"]["rx_bytes"], 100);
        assert_eq!((&document["id"], &document["name"]), (&json!("abc"), &json!("/web")));
        assert_eq!(document.get("network_rate_stats"), None, "version 4 alone has rates");
    }

    #[test]
    fn counters_are_read_as_the_kernel_writes_them() {
        let text = "Inter-|   Receive                                                |  Transmit\n \
                    face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
                    lo:  999      9    0    0    0     0          0         0      999       9    0    0    0     0       0          0\n  \
                    eth0: 1500     10    1    2    0     0          0         0      700       5    3    4    0     0       0          0\n";
        assert_eq!(traffic(text), Traffic { received: [1500, 10, 1, 2], sent: [700, 5, 3, 4] });
        assert_eq!(traffic("nonsense\neth0: 1 2\n"), Traffic::default());
        assert_eq!(system_ns("cpu  1 2 3 4 5 6 7 8 100 100\ncpu0 1 2 3 4\n"), 36 * NANOSECONDS_PER_TICK);
        assert_eq!(system_ns(""), 0);
    }

    #[test]
    fn samples_of_containers_that_nobody_asks_about_are_dropped() {
        let samples = Samples::default();
        for number in 0..STATS_CONTAINERS_MAX + 5 {
            samples.add(&number.to_string(), sample(1_000, 1));
        }
        assert_eq!(samples.0.lock().unwrap().len(), STATS_CONTAINERS_MAX);
        samples.add("new", sample(10_000_000, 1));
        assert_eq!(samples.0.lock().unwrap().len(), 1);
    }
}
