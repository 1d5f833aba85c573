//! A machine of its own for one test: a host network and mounts that nobody else sees, a node, and a `control`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gantry_domain::assignment::{TaskPhase, TaskReport, TaskSpec};
use gantry_link::ToNode;
use gantry_node::shell::{self, NoSocketStore, NodeConfig, SocketStore, remove_all};
use gantry_types::TaskId;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use tokio::sync::oneshot;

use crate::control::{Control, PATIENCE};
use crate::definition::{name_of, source, stop_order, vpc};
use crate::image;

/// Runs a test as if it were alone on a machine. Threads and processes that it starts are on that machine too.
pub(crate) fn world(test: impl FnOnce(&mut World) + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
                .expect("these tests make namespaces: run them as root");
            let nothing = None::<&str>;
            mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
                .expect("detach from the machine's mounts");
            let mut world = World::new();
            test(&mut world);
            world.end();
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

pub(crate) struct World {
    pub(crate) directory: PathBuf,
    pub(crate) config: NodeConfig,
    control: Option<Control>,
    node: Option<Node>,
    links: usize,
    pub(crate) sockets: Arc<Sockets>,
}

/// Sockets that outlive a node inside this process, as the supervisor keeps them.
#[derive(Default)]
pub(crate) struct Sockets(Mutex<BTreeMap<String, Vec<OwnedFd>>>);

impl SocketStore for Sockets {
    fn take(&self, name: &str) -> Option<Vec<OwnedFd>> {
        let sockets = self.0.lock().unwrap();
        Some(sockets.get(name)?.iter().map(|socket| socket.try_clone().unwrap()).collect())
    }
    fn put(&self, name: &str, sockets: &[OwnedFd]) -> io::Result<()> {
        let kept = sockets.iter().map(OwnedFd::try_clone).collect::<io::Result<_>>()?;
        self.0.lock().unwrap().insert(name.to_owned(), kept);
        Ok(())
    }
    fn remove(&self, name: &str) {
        self.0.lock().unwrap().remove(name);
    }
    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }
}

enum Node {
    Thread { stop: oneshot::Sender<()>, thread: JoinHandle<()> },
    Process(Child),
}

impl World {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("gantry-node-it-{}-{count}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        image::build(&directory.join("images"), &directory);
        let instance = format!("n{:04x}{count:x}", std::process::id() & 0xffff);
        let config = config(&directory, &instance);
        Self { directory, config, control: None, node: None, links: 0, sockets: Arc::default() }
    }

    pub(crate) fn control(&self) -> &Control {
        self.control.as_ref().expect("the test started a control")
    }

    /// `control` lives, and knows nothing of an earlier one.
    pub(crate) fn start_control(&mut self) {
        self.control = Some(Control::listen(&self.config.control_socket));
        self.links = 0;
    }

    pub(crate) fn kill_control(&mut self) {
        self.control = None;
    }

    /// A node inside this process.
    pub(crate) fn start_node(&mut self) {
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (config, sockets) = (self.config.clone(), self.sockets.clone());
        let thread = std::thread::spawn(move || {
            let ready = move || ready.send(()).unwrap();
            let stop = async {
                let _ = stopped.await;
            };
            shell::run(config, sockets, ready, stop).expect("the node runs");
        });
        is_ready.recv_timeout(PATIENCE).expect("the node gets ready");
        self.node = Some(Node::Thread { stop, thread });
    }

    /// A node that can be killed.
    pub(crate) fn start_node_process(&mut self) {
        let mut child = Command::new("/proc/self/exe")
            .arg("node")
            .arg(&self.directory)
            .arg(&self.config.instance)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        let mut output = io::BufReader::new(child.stdout.take().unwrap());
        io::BufRead::read_line(&mut output, &mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        self.node = Some(Node::Process(child));
    }

    /// The node ends as on SIGTERM, or is killed if it is a process.
    pub(crate) fn stop_node(&mut self) {
        match self.node.take() {
            Some(Node::Thread { stop, thread }) => {
                let _ = stop.send(());
                thread.join().expect("the node ends in order");
            }
            Some(Node::Process(mut child)) => {
                child.kill().unwrap();
                child.wait().unwrap();
            }
            None => {}
        }
    }

    /// Control and node, linked; the VPC with these tasks is told.
    pub(crate) fn start(&mut self, tasks: &[u8]) {
        self.start_control();
        self.start_node();
        self.link(tasks);
    }

    /// Waits for the node, and tells it to keep the tasks that it has, and the VPC with these. Gives the tasks that it has.
    pub(crate) fn link(&mut self, tasks: &[u8]) -> Vec<TaskId> {
        self.links += 1;
        let (_, known) = self.control().linked(self.links);
        self.tell_vpc(tasks);
        let tasks = known
            .iter()
            .cloned()
            .map(|task| gantry_link::TaskName {
                region: crate::definition::REGION.into(),
                cluster: crate::definition::CLUSTER.into(),
                task,
            })
            .collect();
        self.control().tell(&ToNode::Synced { tasks, vpcs: vec![crate::definition::VPC.into()] });
        known
    }

    pub(crate) fn tell_vpc(&self, tasks: &[u8]) {
        self.control().tell(&ToNode::Vpc(Box::new(vpc(tasks))));
    }

    pub(crate) fn run(&self, task: &TaskSpec) {
        self.control().tell(&ToNode::Run(Box::new(task.clone())));
    }

    pub(crate) fn run_to(&self, task: &TaskSpec, phase: TaskPhase) -> TaskReport {
        self.run(task);
        let report = self.control().report_in_phase(&task.task, phase);
        if phase == TaskPhase::Running {
            self.wait_until_polite(task);
        }
        report
    }

    /// Until then the programs ignore a stop signal, as a first process without a handler does.
    pub(crate) fn wait_until_polite(&self, task: &TaskSpec) {
        let polite = task.containers.iter().filter(|each| {
            each.command.as_ref().is_some_and(|words| words[0] == "sleep-politely") && each.log.is_some()
        });
        for container in polite {
            self.control().line(&source(task, container.name.as_str()), "ready");
        }
    }

    pub(crate) fn stop(&self, task: &TaskSpec) {
        self.control().tell(&ToNode::Stop(stop_order(task)));
    }

    pub(crate) fn stop_to_end(&self, task: &TaskSpec) -> TaskReport {
        self.stop(task);
        self.control().report_in_phase(&task.task, TaskPhase::Stopped)
    }

    /// `control` has the task's end on record; returns when nothing of it is left.
    pub(crate) fn forget(&self, task: &TaskSpec) {
        self.control().tell(&ToNode::Forget(name_of(task)));
        let directory = self.task_directory(task);
        wait_until("the task's directory is removed", || !directory.exists());
    }

    pub(crate) fn task_directory(&self, task: &TaskSpec) -> PathBuf {
        self.config.node_dir.join("tasks").join(task.task.as_str())
    }

    pub(crate) fn names_in(&self, directory: &str) -> Vec<String> {
        let path = self.config.node_dir.join(directory);
        let mut names: Vec<String> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub(crate) fn cgroups(&self) -> Vec<PathBuf> {
        let parent = format!("gantry-{}", self.config.instance);
        let hierarchies = fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path());
        hierarchies
            .chain([PathBuf::from("/sys/fs/cgroup")])
            .map(|path| path.join(&parent))
            .filter(|path| path.exists())
            .collect()
    }

    /// Ends everything, and looks whether anything is left.
    fn end(&mut self) {
        self.stop_node();
        self.control = None;
        self.sockets = Arc::default();
        remove_all(&self.config).unwrap();
        remove_all(&self.config).expect("removing may be repeated");
        let processes = processes_of(&self.directory);
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let mounted: Vec<&str> =
            mounts.lines().filter(|line| line.contains(self.directory.to_str().unwrap())).collect();
        assert!(processes.is_empty(), "processes are left: {processes:?}");
        assert!(mounted.is_empty(), "mounts are left: {mounted:?}");
        assert!(self.cgroups().is_empty(), "control groups are left: {:?}", self.cgroups());
        let links = links();
        assert!(links.iter().all(|link| link == "lo" || is_fallback(link)), "links are left: {links:?}");
        let tables = command("nft", "list tables");
        assert_eq!(tables.trim(), "", "nftables tables are left");
        assert_eq!(fs::read_dir(self.directory.join("images/holds")).unwrap().count(), 0, "holds are left");
        let mut left: Vec<_> =
            fs::read_dir(&self.config.node_dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["id", "lock"]);
    }
}

/// Also when the test failed.
impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            match self.node.take() {
                // It runs on for a moment, in a world that ends.
                Some(Node::Thread { stop, thread }) => {
                    let _ = stop.send(());
                    let _ = thread.join();
                }
                Some(Node::Process(mut child)) => {
                    let _ = child.kill();
                    let _ = child.wait();
                }
                None => {}
            }
            let _ = remove_all(&self.config);
        }
        self.control = None;
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn config(directory: &Path, instance: &str) -> NodeConfig {
    let run = directory.join("run");
    fs::create_dir_all(&run).unwrap();
    let control = run.join("control.sock");
    let config = NodeConfig::new(directory.join("node"), run, directory.join("images"), control, instance);
    // Nobody waits here for a network that there is none of.
    NodeConfig { image_pull_pause_min: Duration::from_millis(1), ..config }
}

/// The process that [`World::start_node_process`] starts.
pub(crate) fn node_process(mut arguments: impl Iterator<Item = OsString>) {
    let directory = PathBuf::from(arguments.next().expect("the test's directory"));
    let instance = arguments.next().expect("the instance").into_string().unwrap();
    let ready = || println!("ready");
    shell::run(config(&directory, &instance), Arc::new(NoSocketStore), ready, std::future::pending())
        .unwrap();
}

/// Looks again until it is so; for what gives no event. Bounded.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::yield_now();
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

fn links() -> Vec<String> {
    let text = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    text.lines()
        .skip(2)
        .filter_map(|line| line.split(':').next())
        .map(|name| name.trim().to_owned())
        .collect()
}

/// Links that some kernels put into every network namespace.
fn is_fallback(link: &str) -> bool {
    ["tunl0", "sit0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6tnl0", "ip6gre0"]
        .contains(&link)
}

pub(crate) fn command(program: &str, arguments: &str) -> String {
    let output = Command::new(program).args(arguments.split_whitespace()).output();
    let output = output.unwrap_or_else(|error| panic!("these tests need the {program} program: {error}"));
    assert!(output.status.success(), "{program} {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
