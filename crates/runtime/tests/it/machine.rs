//! One test's runtime, image and containers, all gone at its end.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use gantry_runtime::{
    CapabilityChanges, ContainerId, ContainerSpec, ExitRecord, Network, OutputTarget, RootAccess, Runtime,
    RuntimeConfig, Started, TaskSpec,
};
use gantry_types::TaskId;

use crate::sink::{self, Line};

/// Nothing here takes longer on a machine that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Machine {
    pub(crate) runtime: Runtime,
    pub(crate) config: RuntimeConfig,
    pub(crate) directory: PathBuf,
    layer: PathBuf,
    next: AtomicU32,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self::with_cgroup_root(None)
    }

    pub(crate) fn with_cgroup_root(cgroup_root: Option<PathBuf>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("gantry-it-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(&name);
        fs::create_dir(&directory).unwrap();
        let config = RuntimeConfig {
            state_directory: directory.join("containers"),
            cgroup_parent: name,
            cgroup_root,
            shim_command: vec![OsString::from("/proc/self/exe"), OsString::from("shim")],
            exec_command: vec![OsString::from("/proc/self/exe"), OsString::from("exec-shim")],
        };
        let runtime = Runtime::new(config.clone()).unwrap();
        let layer = make_layer(&directory);
        Self { runtime, config, directory, layer, next: AtomicU32::new(0) }
    }

    /// A container that runs the fixture program with these words.
    pub(crate) fn spec(&self, words: &[&str]) -> ContainerSpec {
        let id = format!("c{}", self.next.fetch_add(1, Ordering::Relaxed));
        ContainerSpec {
            output: OutputTarget { path: self.directory.join(format!("{id}.output")), bytes_max: 1 << 30 },
            id: ContainerId::new(id).unwrap(),
            task: TaskId::from("task"),
            layers: vec![self.layer.clone()],
            command: std::iter::once("/bin/program")
                .chain(words.iter().copied())
                .map(str::to_owned)
                .collect(),
            environment: Vec::new(),
            working_directory: PathBuf::from("/"),
            user: String::new(),
            hostname: "host".to_owned(),
            network: Network::Isolated,
            mounts: Vec::new(),
            tmpfs: Vec::new(),
            shared_memory_bytes: None,
            root_access: RootAccess::ReadWrite,
            capabilities: CapabilityChanges::default(),
            no_new_privileges: false,
            ulimits: Vec::new(),
            system_controls: Vec::new(),
            cpu_shares: None,
            cpu_quota: None,
            memory_limit_bytes: None,
            memory_reservation_bytes: None,
            pids_limit: None,
            init_process: false,
        }
    }

    pub(crate) fn task(&self) -> TaskSpec {
        TaskSpec { id: TaskId::from("task"), cpu_quota: None, memory_limit_bytes: None }
    }

    pub(crate) fn start(&self, spec: &ContainerSpec) -> Started {
        self.runtime.start(spec).unwrap_or_else(|error| panic!("could not start {:?}: {error}", spec.command))
    }

    /// Starts, waits for the end, and removes the container.
    pub(crate) fn run(&self, spec: &ContainerSpec) -> (ExitRecord, Vec<Line>) {
        let mut started = self.start(spec);
        let record = started.exit.wait(PATIENCE).expect("the container ends");
        self.runtime.delete(&spec.id).unwrap();
        (record, sink::read(&spec.output.path))
    }

    /// What a program said on stdout when it ended well.
    pub(crate) fn said(&self, spec: &ContainerSpec) -> Vec<String> {
        let (record, lines) = self.run(spec);
        assert_eq!(record.exit_code, Some(0), "{record:?} {lines:?}");
        lines.into_iter().map(|line| line.text).collect()
    }

    /// Waits until a line of the container's output is there.
    pub(crate) fn wait_for_line(&self, spec: &ContainerSpec, text: &str) -> Line {
        let mut found = None;
        wait_until(&format!("the line {text:?}"), || {
            found = sink::read(&spec.output.path).into_iter().find(|line| line.text == text);
            found.is_some()
        });
        found.unwrap()
    }

    /// Command lines of processes that were started for this machine's containers.
    pub(crate) fn processes(&self) -> Vec<String> {
        processes_of(&self.directory)
    }

    pub(crate) fn cgroups(&self) -> Vec<PathBuf> {
        let hierarchies = fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path());
        hierarchies.map(|path| path.join(&self.config.cgroup_parent)).filter(|path| path.exists()).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for found in self.runtime.adopt().unwrap_or_default() {
            let _ = self.runtime.delete(&found.id);
        }
        let instance = self.runtime.delete_instance();
        let left: Vec<_> =
            fs::read_dir(&self.config.state_directory).unwrap().flatten().map(|e| e.path()).collect();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mounted = mounts.contains(self.directory.to_str().unwrap());
        let cgroups = self.cgroups();
        let processes = processes_of(&self.directory);
        let _ = fs::remove_dir_all(&self.directory);
        if !std::thread::panicking() {
            assert!(instance.is_ok(), "{instance:?}");
            assert!(left.is_empty(), "directories are left: {left:?}");
            assert!(!mounted, "mounts are left:\n{mounts}");
            assert!(cgroups.is_empty(), "control groups are left: {cgroups:?}");
            assert!(processes.is_empty(), "processes are left: {processes:?}");
        }
    }
}

/// Processes that were started for a directory.
fn processes_of(directory: &Path) -> Vec<String> {
    let text = format!("{}/", directory.display());
    let command_lines = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        entry.file_name().to_str()?.parse::<u32>().ok()?;
        fs::read(entry.path().join("cmdline")).ok()
    });
    let texts = command_lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    texts.filter(|line| line.contains(&text)).collect()
}

/// Looks again until it is so; for what gives no event. Bounded.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::yield_now();
    }
}

/// An image of one layer: the program, a shell, and accounts.
fn make_layer(directory: &Path) -> PathBuf {
    let layer = directory.join("layer");
    for name in ["bin", "etc", "tmp"] {
        fs::create_dir_all(layer.join(name)).unwrap();
    }
    for name in ["program", "sh"] {
        let path = layer.join("bin").join(name);
        fs::hard_link(program(), &path).or_else(|_| fs::copy(program(), &path).map(|_| ())).unwrap();
    }
    fs::write(layer.join("bin/not-executable"), "text").unwrap();
    fs::write(layer.join("bin/not-a-program"), "no format at all").unwrap();
    fs::write(layer.join("bin/no-interpreter"), "#!/missing/interpreter\n").unwrap();
    for name in ["not-a-program", "no-interpreter"] {
        fs::set_permissions(layer.join("bin").join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(layer.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n")
        .unwrap();
    fs::write(layer.join("etc/group"), "root:x:0:\napp:x:1001:\nlogs:x:50:app\n").unwrap();
    layer
}

/// The fixture program, linked statically, compiled once per content.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/program.rs");
        let text = fs::read(&source).unwrap();
        let hash = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("program-{hash:016x}"));
        if !path.exists() {
            let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
            let fresh = path.with_extension(std::process::id().to_string());
            let output = Command::new(compiler)
                .args([
                    "--edition",
                    "2024",
                    "-O",
                    "-C",
                    "target-feature=+crt-static",
                    "-C",
                    "panic=abort",
                    "-o",
                ])
                .arg(&fresh)
                .arg(&source)
                .output()
                .expect("rustc compiles the fixture program");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            fs::rename(&fresh, &path).unwrap();
        }
        path
    })
}

/// A node of its own process: starts what it is told, says so, and waits to be killed.
pub(crate) fn hold(mut arguments: impl Iterator<Item = OsString>) -> ! {
    let mut next = || arguments.next().unwrap().into_string().unwrap();
    let config = RuntimeConfig {
        state_directory: PathBuf::from(next()),
        cgroup_parent: next(),
        cgroup_root: None,
        shim_command: vec![OsString::from("/proc/self/exe"), OsString::from("shim")],
        exec_command: vec![OsString::from("/proc/self/exe"), OsString::from("exec-shim")],
    };
    let runtime = Runtime::new(config).unwrap();
    let spec: ContainerSpec = serde_json::from_str(&next()).unwrap();
    let started = runtime.start(&spec).unwrap();
    println!("{}", started.pid);
    std::io::stdout().flush().unwrap();
    loop {
        std::thread::park();
    }
}
