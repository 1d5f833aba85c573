//! How long a container takes to start, beside `runc run` on the same bundle in the same minute.
//!
//! `cargo bench -p gantry-runtime --bench start` (as root; `runc` is compared with when it is installed).
//! Prints, in milliseconds: the first byte of output, the return of `start`, the whole life; and fifty at once.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gantry_runtime::{
    CapabilityChanges, ContainerId, ContainerSpec, ExecRequest, Network, OutputSink, OutputTarget,
    RootAccess, Runtime, RuntimeConfig, Stream, TaskSpec,
};
use gantry_types::{CpuUnits, TaskId, Timestamp};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

const ROUNDS: usize = 60;
const AT_ONCE: usize = 50;
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_deref().and_then(|word| word.to_str()) {
        Some("shim") => gantry_runtime::shim_main(arguments, open_pipe),
        Some("exec-shim") => gantry_runtime::exec_main(arguments),
        _ => bench(),
    }
}

/// Lines go straight into a named pipe, where the bench waits for the first.
struct PipeSink(File);

fn open_pipe(target: &OutputTarget) -> io::Result<Box<dyn OutputSink>> {
    Ok(Box::new(PipeSink(fs::OpenOptions::new().read(true).write(true).open(&target.path)?)))
}

impl OutputSink for PipeSink {
    fn append(&mut self, _: Stream, _: Timestamp, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }
}

fn bench() {
    assert!(rustix::process::geteuid().is_root(), "containers need root");
    let directory = std::env::temp_dir().join(format!("gantry-bench-{}", std::process::id()));
    fs::create_dir(&directory).expect("the temporary directory is writable");
    let bench = Bench::new(&directory);
    println!("{:<44} {:>7} {:>7} {:>7}", "milliseconds", "p50", "p95", "max");
    let (mut first, mut started, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    let (mut runc_first, mut runc_whole) = (Vec::new(), Vec::new());
    let runc = Command::new("runc").arg("--version").output().is_ok();
    bench.write_runc_bundle();
    for round in 0..ROUNDS {
        let times = bench.once(round);
        first.push(times.first_byte);
        started.push(times.started);
        whole.push(times.whole);
        if runc {
            let (first_byte, end) = bench.runc(round);
            runc_first.push(first_byte);
            runc_whole.push(end);
        }
    }
    report("gantry: start returned", started);
    report("gantry: first byte of output", first);
    report("gantry: to the recorded end", whole);
    if runc {
        report("runc run: first byte of output", runc_first);
        report("runc run: to its end", runc_whole);
    } else {
        println!("runc is not installed: no comparison");
    }
    bench.joined_and_executed();
    bench.at_once();
    bench.shim_memory();
    bench.runtime.delete_instance().expect("nothing runs any more");
    fs::remove_dir_all(&directory).expect("nothing is mounted in it");
}

struct Times {
    started: Duration,
    first_byte: Duration,
    whole: Duration,
}

struct Bench {
    runtime: Runtime,
    directory: PathBuf,
    layer: PathBuf,
}

impl Bench {
    fn new(directory: &Path) -> Self {
        let runtime = Runtime::new(RuntimeConfig {
            state_directory: directory.join("containers"),
            cgroup_parent: format!("gantry-bench-{}", std::process::id()),
            cgroup_root: None,
            shim_command: vec![OsString::from("/proc/self/exe"), OsString::from("shim")],
            exec_command: vec![OsString::from("/proc/self/exe"), OsString::from("exec-shim")],
        })
        .expect("a runtime");
        let layer = directory.join("layer");
        fs::create_dir_all(layer.join("bin")).expect("a layer");
        compile(&directory.join("program.rs"), &layer.join("bin/program"));
        Self { runtime, directory: directory.to_owned(), layer }
    }

    fn spec(&self, name: &str, words: &[&str]) -> ContainerSpec {
        ContainerSpec {
            id: ContainerId::new(name).expect("a plain name"),
            task: TaskId::from(name),
            layers: vec![self.layer.clone()],
            command: std::iter::once("/bin/program")
                .chain(words.iter().copied())
                .map(str::to_owned)
                .collect(),
            environment: Vec::new(),
            working_directory: PathBuf::from("/"),
            user: String::new(),
            hostname: String::new(),
            network: Network::Isolated,
            mounts: Vec::new(),
            tmpfs: Vec::new(),
            shared_memory_bytes: None,
            root_access: RootAccess::ReadWrite,
            capabilities: CapabilityChanges::default(),
            no_new_privileges: false,
            ulimits: Vec::new(),
            system_controls: Vec::new(),
            cpu_shares: Some(CpuUnits(256)),
            cpu_quota: Some(CpuUnits(1024)),
            memory_limit_bytes: Some(128 << 20),
            memory_reservation_bytes: None,
            pids_limit: None,
            init_process: false,
            output: OutputTarget { path: self.directory.join(format!("{name}.pipe")), bytes_max: 0 },
        }
    }

    fn prepare(&self, spec: &ContainerSpec) -> File {
        rustix::fs::mkfifoat(rustix::fs::CWD, &spec.output.path, rustix::fs::Mode::from_raw_mode(0o600))
            .expect("a named pipe");
        // For reading and writing, so that neither end waits for the other.
        fs::OpenOptions::new().read(true).write(true).open(&spec.output.path).expect("the named pipe")
    }

    fn once(&self, round: usize) -> Times {
        let spec = self.spec(&format!("round{round}"), &["hello"]);
        let mut output = self.prepare(&spec);
        let task = TaskSpec { id: spec.task.clone(), cpu_quota: None, memory_limit_bytes: None };
        let began = Instant::now();
        self.runtime.prepare_task(&task).expect("a task");
        let mut container = self.runtime.start(&spec).expect("a container");
        let started = began.elapsed();
        output.read_exact(&mut [0]).expect("a byte");
        let first_byte = began.elapsed();
        container.exit.wait(PATIENCE).expect("an end");
        let whole = began.elapsed();
        self.runtime.delete(&spec.id).expect("deleted");
        self.runtime.delete_task(&spec.task).expect("deleted");
        Times { started, first_byte, whole }
    }

    /// As tasks are: in a network namespace that is there before. And commands in a running container.
    fn joined_and_executed(&self) {
        let owner = self.spec("owner", &["wait"]);
        let mut output = self.prepare(&owner);
        let running = self.runtime.start(&owner).expect("a container");
        output.read_exact(&mut [0]).expect("a byte");
        let (mut started, mut executed) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let mut spec = self.spec(&format!("joined{round}"), &["hello"]);
            spec.network = Network::Namespace(PathBuf::from(format!("/proc/{}/ns/net", running.pid)));
            let mut output = self.prepare(&spec);
            let began = Instant::now();
            self.runtime.start(&spec).expect("a container").exit.wait(PATIENCE).expect("an end");
            started.push(began.elapsed());
            output.read_exact(&mut [0]).expect("a byte");
            self.runtime.delete(&spec.id).expect("deleted");
            self.runtime.delete_task(&spec.task).expect("deleted");
            let request = ExecRequest {
                command: vec!["/bin/program".to_owned()],
                environment: Vec::new(),
                user: None,
                working_directory: None,
                timeout: PATIENCE,
                output_bytes_max: 100,
            };
            let began = Instant::now();
            let result = self.runtime.exec(&owner.id, &request).expect("an exec");
            executed.push(began.elapsed());
            assert_eq!(result.output, b"hello\n");
        }
        self.runtime.delete(&owner.id).expect("deleted");
        self.runtime.delete_task(&owner.task).expect("deleted");
        report("gantry: whole life, network namespace joined", started);
        report("gantry: exec, to its end", executed);
    }

    /// The time until all of fifty have said something, and until all calls returned.
    fn at_once(&self) {
        let (mut calls, mut words) = (Vec::new(), Vec::new());
        for round in 0..5 {
            let specs: Vec<_> =
                (0..AT_ONCE).map(|index| self.spec(&format!("many{round}-{index}"), &["wait"])).collect();
            let outputs: Vec<File> = specs.iter().map(|spec| self.prepare(spec)).collect();
            let began = Instant::now();
            let running: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = specs
                    .iter()
                    .map(|spec| scope.spawn(|| self.runtime.start(spec).expect("a container")))
                    .collect();
                threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
            });
            calls.push(began.elapsed());
            for mut output in outputs {
                output.read_exact(&mut [0]).expect("a byte");
            }
            words.push(began.elapsed());
            drop(running);
            for spec in &specs {
                self.runtime.delete(&spec.id).expect("deleted");
                self.runtime.delete_task(&spec.task).expect("deleted");
            }
        }
        report("gantry: 50 at once, all started", calls);
        report("gantry: 50 at once, first byte of the slowest", words);
    }

    fn shim_memory(&self) {
        let specs: Vec<_> = (0..AT_ONCE).map(|index| self.spec(&format!("shim{index}"), &["wait"])).collect();
        for spec in &specs {
            let mut output = self.prepare(spec);
            self.runtime.start(spec).expect("a container");
            output.read_exact(&mut [0]).expect("a byte");
        }
        let own = std::process::id().to_string();
        let shims: Vec<u64> = fs::read_dir("/proc")
            .expect("/proc is mounted")
            .flatten()
            .filter(|entry| {
                let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
                status.lines().any(|line| line.split_whitespace().eq(["PPid:", own.as_str()]))
            })
            .filter_map(|entry| {
                let text = fs::read_to_string(entry.path().join("smaps_rollup")).ok()?;
                text.lines()
                    .find_map(|line| line.strip_prefix("Pss:")?.split_whitespace().next()?.parse().ok())
            })
            .collect();
        println!(
            "shims: {} KiB of memory each (PSS) at {} containers",
            shims.iter().sum::<u64>() / shims.len().max(1) as u64,
            shims.len()
        );
        for spec in &specs {
            self.runtime.delete(&spec.id).expect("deleted");
            self.runtime.delete_task(&spec.task).expect("deleted");
        }
    }

    fn write_runc_bundle(&self) {
        let bundle = self.directory.join("bundle");
        let config = r#"{"ociVersion":"1.0.2","root":{"path":"ROOT"},"process":{"cwd":"/","args":["/bin/program","hello"],
            "env":["PATH=/bin"],"user":{"uid":0,"gid":0},"capabilities":{"bounding":["CAP_KILL"],"effective":["CAP_KILL"],
            "permitted":["CAP_KILL"]}},"hostname":"host","mounts":[
            {"destination":"/proc","type":"proc","source":"proc"},
            {"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid","mode=755","size=65536k"]},
            {"destination":"/dev/pts","type":"devpts","source":"devpts","options":["newinstance","ptmxmode=0666","mode=0620","gid=5"]},
            {"destination":"/dev/shm","type":"tmpfs","source":"shm","options":["mode=1777","size=65536k"]},
            {"destination":"/dev/mqueue","type":"mqueue","source":"mqueue"},
            {"destination":"/sys","type":"sysfs","source":"sysfs","options":["ro"]},
            {"destination":"/sys/fs/cgroup","type":"cgroup","source":"cgroup","options":["ro"]}],
            "linux":{"resources":{"memory":{"limit":134217728},"cpu":{"shares":256,"quota":100000,"period":100000}},
            "namespaces":[{"type":"pid"},{"type":"ipc"},{"type":"uts"},{"type":"mount"},{"type":"network"}]}}"#;
        fs::create_dir(&bundle).expect("a bundle");
        let root = self.layer.to_str().expect("a plain path");
        fs::write(bundle.join("config.json"), config.replace("ROOT", root)).expect("a bundle");
    }

    /// The same program in the same layer, without an overlay: in runc's favour.
    fn runc(&self, round: usize) -> (Duration, Duration) {
        let began = Instant::now();
        let mut child = Command::new("runc")
            .args(["run", "--bundle"])
            .arg(self.directory.join("bundle"))
            .arg(format!("gantry-bench-{}-{round}", std::process::id()))
            .stdout(Stdio::piped())
            .spawn()
            .expect("runc starts");
        let output = child.stdout.take().expect("a pipe");
        let mut descriptors = [PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN)];
        poll(&mut descriptors, Some(&Timespec { tv_sec: 60, tv_nsec: 0 })).expect("output");
        let first = began.elapsed();
        assert!(child.wait().expect("an end").success(), "runc failed");
        (first, began.elapsed())
    }
}

/// A static program that says one word, and waits if asked.
fn compile(source: &Path, program: &Path) {
    let text = "fn main() { println!(\"hello\"); if std::env::args().nth(1).as_deref() == Some(\"wait\") { loop { std::thread::park(); } } }";
    fs::write(source, text).expect("the source is written");
    let compiled = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc")))
        .args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-C", "panic=abort", "-o"])
        .args([program, source])
        .status()
        .expect("rustc is installed");
    assert!(compiled.success(), "the program compiles");
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| {
        let index = (times.len() * percent).div_ceil(100).saturating_sub(1);
        times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    };
    println!("{what:<44} {:>7.1} {:>7.1} {:>7.1}", at(50), at(95), at(100));
}
