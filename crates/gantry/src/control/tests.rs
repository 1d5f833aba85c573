//! The loop and the links with a real store and real sockets; the node and the load balancer are the test's.

use std::path::PathBuf;
use std::time::Duration;

use gantry_control::{Event, Limits};
use gantry_domain::Change;
use gantry_domain::assignment::{TaskPhase, TaskReport};
use gantry_domain::network::{Cidr, Subnet, Vpc};
use gantry_domain::node::{Node, NodeState};
use gantry_domain::service::AwsvpcConfiguration;
use gantry_domain::task::{
    DesiredStatus, HealthStatus, PlacementWish, StopCode, Task, TaskStatus, TaskTimes,
};
use gantry_domain::task_definition::{LaunchType, NetworkMode, TaskDefinition, TaskDefinitionStatus};
use gantry_domain::task_session::InstallationKey;
use gantry_link::{
    FrameReader, FrameWriter, FromNode, Hello, LogBatch, LogSource, PROTOCOL, Role, TaskName, ToNode,
};
use gantry_store::fault::FaultyDisk;
use gantry_store::{Database, Options};
use gantry_types::{AvailabilityZone, CpuUnits, Ids, MemoryMib, Timestamp, Value, arn};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::control_loop::{EVENTS_MAX, run};
use super::link_server::{Links, LogDelivery, serve};

const LIMIT: Duration = Duration::from_secs(20);

struct Server {
    database: Database,
    socket: PathBuf,
    links: Links,
    logs: mpsc::Receiver<LogDelivery>,
    _directory: tempfile::TempDir,
}

fn start() -> Server {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("control.sock");
    let database = Database::open(FaultyDisk::new(1), Options::default()).unwrap();
    let links = Links::default();
    let (events, received) = mpsc::channel::<Event>(EVENTS_MAX);
    let (log_sender, logs) = mpsc::channel(1);
    let listener = UnixListener::bind(&socket).unwrap();
    let sessions = InstallationKey::derive("secret");
    tokio::spawn(serve(listener, links.clone(), events, log_sender));
    tokio::spawn(run(
        database.clone(),
        links.clone(),
        received,
        Ids::from_seed(1),
        sessions,
        Limits::default(),
    ));
    Server { database, socket, links, logs, _directory: directory }
}

struct FakeNode {
    reader: FrameReader<OwnedReadHalf>,
    writer: FrameWriter<OwnedWriteHalf>,
}

impl FakeNode {
    async fn connect(server: &Server) -> Self {
        let (read, write) = UnixStream::connect(&server.socket).await.unwrap().into_split();
        let mut node = Self { reader: FrameReader::new(read), writer: FrameWriter::new(write) };
        let role = Role::Node { id: "local".into(), cpu: CpuUnits(2048), memory: MemoryMib(4096) };
        node.say(FromNode::Hello(Hello { protocol: PROTOCOL, version: "0".to_owned(), role })).await;
        node
    }

    async fn say(&mut self, message: FromNode) {
        self.writer.write(&message).await.unwrap();
    }

    /// The next message that is of interest; heartbeats show that the node lives too.
    async fn hear<T>(&mut self, interest: impl Fn(ToNode) -> Option<T>) -> T {
        timeout(LIMIT, async {
            loop {
                if let Some(found) = interest(self.reader.read().await.unwrap()) {
                    return found;
                }
                self.writer.write(&FromNode::Heartbeat).await.unwrap();
            }
        })
        .await
        .expect("the message comes")
    }
}

async fn until(server: &Server, what: &str, condition: impl Fn(&gantry_domain::View) -> bool) {
    let mut subscription = server.database.subscribe();
    timeout(LIMIT, async {
        while !condition(&server.database.view()) {
            subscription.next().await.unwrap();
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{what}"));
}

fn records() -> Vec<Change> {
    let region = || "us-east-1".into();
    let definition = TaskDefinition {
        region: region(),
        arn: arn("ecs", "us-east-1", "task-definition/web:1"),
        family: "web".into(),
        revision: 1,
        status: TaskDefinitionStatus::Active,
        network_mode: NetworkMode::Awsvpc,
        requires_compatibilities: vec![],
        cpu: Some(CpuUnits(256)),
        memory: Some(MemoryMib(512)),
        containers: vec![],
        volumes: vec![],
        task_role: None,
        execution_role: None,
        registered_at: Timestamp::EPOCH,
        document: Value::map(),
    };
    let vpc = Vpc {
        region: region(),
        id: "vpc-1".into(),
        cidr: Cidr::parse("10.0.0.0/16").unwrap(),
        is_default: true,
        created_at: Timestamp::EPOCH,
        document: Value::map(),
    };
    let subnet = Subnet {
        region: region(),
        id: "subnet-1".into(),
        vpc: "vpc-1".into(),
        cidr: Cidr::parse("10.0.0.0/24").unwrap(),
        availability_zone: "us-east-1a".into(),
        is_default: true,
        map_public_ip: false,
        document: Value::map(),
    };
    let network = AwsvpcConfiguration {
        subnets: vec!["subnet-1".into()],
        security_groups: vec!["sg-1".into()],
        assign_public_ip: false,
    };
    let task = Task {
        region: region(),
        cluster: "default".into(),
        id: "0123".into(),
        arn: arn("ecs", "us-east-1", "task/default/0123"),
        task_definition: definition.arn.clone(),
        group: "family:web".to_owned(),
        started_by: None,
        service: None,
        deployment: None,
        launch_type: LaunchType::Fargate,
        cpu: CpuUnits(256),
        memory: MemoryMib(512),
        wish: PlacementWish { network: Some(network), ..PlacementWish::default() },
        node: None,
        container_instance: None,
        availability_zone: AvailabilityZone::default(),
        attachment: None,
        desired_status: DesiredStatus::Running,
        last_status: TaskStatus::Provisioning,
        health: HealthStatus::Unknown,
        stop_code: None,
        stopped_reason: None,
        containers: vec![],
        registrations: vec![],
        accounted: false,
        times: TaskTimes::default(),
        version: 1,
        document: Value::map(),
    };
    vec![Change::create(definition), Change::create(vpc), Change::create(subnet), Change::create(task)]
}

fn report(task: &TaskName, phase: TaskPhase) -> FromNode {
    FromNode::Task(Box::new(TaskReport {
        region: task.region.clone(),
        cluster: task.cluster.clone(),
        task: task.task.clone(),
        phase,
        health: HealthStatus::Unknown,
        containers: vec![],
        stop: None,
        pull_started_at: None,
        pull_stopped_at: None,
        started_at: Some(Timestamp::from_millis(1)),
        execution_stopped_at: None,
    }))
}

fn task(view: &gantry_domain::View) -> Task {
    view.scan::<Task>("").next().expect("the task exists").cloned()
}

#[tokio::test]
async fn a_task_runs_and_is_stopped_over_a_real_link() {
    let server = start();
    server.database.commit(records()).await.unwrap();
    let mut node = FakeNode::connect(&server).await;
    node.say(FromNode::Reported { tasks: vec![] }).await;
    let name = node
        .hear(|message| match message {
            ToNode::Run(spec) => {
                Some(TaskName { region: spec.region, cluster: spec.cluster, task: spec.task })
            }
            _ => None,
        })
        .await;
    node.say(report(&name, TaskPhase::Running)).await;
    until(&server, "it runs", |view| task(view).last_status == TaskStatus::Running).await;
    let mut stopped = task(&server.database.view());
    stopped.desired_status = DesiredStatus::Stopped;
    stopped.stop_code = Some(StopCode::UserInitiated);
    server.database.commit(vec![Change::put(stopped)]).await.unwrap();
    node.hear(|message| matches!(message, ToNode::Stop(_)).then_some(())).await;
    node.say(report(&name, TaskPhase::Stopped)).await;
    until(&server, "it has stopped", |view| task(view).is_stopped()).await;
    node.hear(|message| matches!(message, ToNode::Forget(_)).then_some(())).await;
}

#[tokio::test]
async fn a_node_that_hangs_up_is_away_and_one_that_returns_is_told_everything() {
    let server = start();
    let state = |view: &gantry_domain::View| view.scan::<Node>("").next().map(|node| node.state);
    let mut node = FakeNode::connect(&server).await;
    node.say(FromNode::Reported { tasks: vec![] }).await;
    node.hear(|message| matches!(message, ToNode::Synced { .. }).then_some(())).await;
    until(&server, "it is there", |view| state(view) == Some(NodeState::Active)).await;
    drop(node);
    until(&server, "it is away", |view| state(view) == Some(NodeState::Disconnected)).await;
    let mut node = FakeNode::connect(&server).await;
    node.say(FromNode::Reported { tasks: vec![] }).await;
    node.hear(|message| matches!(message, ToNode::Synced { .. }).then_some(())).await;
    until(&server, "it is back", |view| state(view) == Some(NodeState::Active)).await;
}

#[tokio::test]
async fn logs_are_handed_on_and_their_keeping_is_told() {
    let mut server = start();
    let mut node = FakeNode::connect(&server).await;
    let source = LogSource { task: "0123".into(), container: "app".to_owned() };
    let batch = LogBatch {
        source: source.clone(),
        region: "us-east-1".into(),
        group: "/web".to_owned(),
        stream: "app/0123".to_owned(),
        create_group: true,
        records: vec![],
    };
    node.say(FromNode::Logs(batch.clone())).await;
    let delivery = timeout(LIMIT, server.logs.recv()).await.unwrap().unwrap();
    assert_eq!(delivery.batch, batch);
    server.links.send_to_node(delivery.link, ToNode::LogsKept { source, sequence: 7 });
    let kept = node
        .hear(|message| match message {
            ToNode::LogsKept { sequence, .. } => Some(sequence),
            _ => None,
        })
        .await;
    assert_eq!(kept, 7);
}

#[tokio::test]
async fn who_does_not_say_hello_or_talks_nonsense_is_disconnected() {
    let server = start();
    let (read, write) = UnixStream::connect(&server.socket).await.unwrap().into_split();
    FrameWriter::new(write).write(&FromNode::Heartbeat).await.unwrap();
    let closed = timeout(LIMIT, FrameReader::new(read).read::<ToNode>()).await.unwrap();
    assert!(closed.is_err());
    let mut node = FakeNode::connect(&server).await;
    node.say(FromNode::Reported { tasks: vec![] }).await;
    node.hear(|message| matches!(message, ToNode::Synced { .. }).then_some(())).await;
    let role = Role::LoadBalancer { id: "local".into() };
    node.say(FromNode::Hello(Hello { protocol: PROTOCOL, version: "0".to_owned(), role })).await;
    timeout(LIMIT, async { while node.reader.read::<ToNode>().await.is_ok() {} }).await.unwrap();
}
