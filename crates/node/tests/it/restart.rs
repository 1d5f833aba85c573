//! The node dies; its tasks do not notice, and the next node finds them.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use gantry_domain::assignment::{TaskPhase, TaskSpec};
use gantry_domain::task::ContainerStatus;
use gantry_link::{Role, ToNode};
use gantry_network::NamespaceSockets;

use crate::control::PATIENCE;
use crate::definition::{VPC, container, source, task, vpc};
use crate::harness::Test;
use crate::world::{World, wait_until, world};

pub(crate) const TESTS: &[Test] = &[
    ("restart::output_written_without_a_node_arrives_whole", output_written_without_a_node_arrives_whole),
    ("restart::an_end_without_a_node_is_told", an_end_without_a_node_is_told),
    ("restart::a_container_that_died_with_its_shim_is_told", a_container_that_died_with_its_shim_is_told),
    ("restart::names_are_answered_without_control", names_are_answered_without_control),
    (
        "restart::killed_at_any_moment_of_a_start_it_starts_once",
        killed_at_any_moment_of_a_start_it_starts_once,
    ),
    ("restart::killed_at_any_moment_of_an_end_it_ends_once", killed_at_any_moment_of_an_end_it_ends_once),
    ("restart::questions_wait_for_the_next_node", questions_wait_for_the_next_node),
    (
        "restart::after_a_reboot_nothing_runs_and_everything_can",
        after_a_reboot_nothing_runs_and_everything_can,
    ),
    ("restart::tasks_run_on_without_control", tasks_run_on_without_control),
    ("restart::a_removal_that_was_cut_off_is_finished", a_removal_that_was_cut_off_is_finished),
    ("restart::what_belongs_to_nobody_is_removed", what_belongs_to_nobody_is_removed),
    ("restart::a_task_that_had_not_started_is_started_once", a_task_that_had_not_started_is_started_once),
];

fn output_written_without_a_node_arrives_whole() {
    const BYTES: usize = 10 << 20;
    world(|world| {
        world.start_control();
        world.start_node_process();
        world.link(&[5]);
        let flood = BYTES.to_string();
        let mut web = container("web", &["flood", &flood]);
        web.stop_timeout = Some(Duration::from_secs(20));
        let task = task(5, vec![web]);
        world.run_to(&task, TaskPhase::Running);
        let web = source(&task, "web");
        world.control().lines_when(&web, "the beginning", |lines| lines.len() > 100);
        world.stop_node();
        // The last line is written although nobody reads.
        let spool = world.config.node_dir.join("spool").join(&world.names_in("spool")[0]);
        wait_until("all of it is on disk", || holds(&spool, b"ready"));
        let before = world.control().texts(&web).len();
        world.start_node_process();
        world.link(&[5]);
        let report = world.control().report_in_phase(&task.task, TaskPhase::Running);
        assert_eq!(report.containers[0].status, ContainerStatus::Running);
        world.control().line(&web, "ready");
        let lines = world.control().texts(&web);
        let count = BYTES / 108;
        assert!(before < count, "the node was killed in the middle: {before} of {count}");
        assert_eq!(lines.len(), count + 2);
        for (number, line) in lines[..count].iter().enumerate() {
            assert!(line.starts_with(&format!("{number:08}")) && line.len() == 107, "line {number}: {line}");
        }
        assert_eq!(lines[count..], ["the end", "ready"]);
        let report = world.stop_to_end(&task);
        assert_eq!(report.containers[0].exit_code, Some(0));
        world.control().line(&web, "stopped politely");
        world.forget(&task);
    });
}

/// Whether a spool's newest segment holds these bytes.
fn holds(spool: &std::path::Path, bytes: &[u8]) -> bool {
    let files = std::fs::read_dir(spool).unwrap().flatten();
    files
        .filter_map(|entry| std::fs::read(entry.path()).ok())
        .any(|content| content.windows(bytes.len()).any(|window| window == bytes))
}

fn an_end_without_a_node_is_told() {
    world(|world| {
        world.start(&[5]);
        let task = task(5, vec![container("web", &["serve", "8000"])]);
        let report = world.run_to(&task, TaskPhase::Running);
        world.control().line(&source(&task, "web"), "listening on 8000");
        world.stop_node();
        let answer = ask(world, 5, "GET /exit?code=7 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(answer, "", "it ends without an answer");
        wait_until("its end is recorded", || {
            let id = report.containers[0].runtime_id.clone().unwrap();
            world.config.node_dir.join("containers").join(id).join("exit.json").exists()
        });
        world.start_node();
        world.link(&[5]);
        let report = world.control().report_in_phase(&task.task, TaskPhase::Stopped);
        assert_eq!(report.containers[0].exit_code, Some(7));
        assert!(report.started_at.is_some(), "it had been running");
        assert!(report.containers[0].image_digest.is_some());
        world.forget(&task);
    });
}

/// Connects to a task from inside its own namespace.
fn ask(world: &World, number: u8, request: &str) -> String {
    use std::io::{Read as _, Write as _};
    let namespace = world.config.run_dir.join("netns").join(crate::definition::interface_id(number));
    let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8000);
    let inside = NamespaceSockets::open(&namespace).unwrap();
    let mut stream = inside.with(|| std::net::TcpStream::connect(address)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    // A reset is an end too.
    let _ = stream.read_to_string(&mut answer);
    answer
}

fn a_container_that_died_with_its_shim_is_told() {
    world(|world| {
        world.start(&[5]);
        let task = task(5, vec![container("web", &["sleep-politely"])]);
        let report = world.run_to(&task, TaskPhase::Running);
        let id = report.containers[0].runtime_id.clone().unwrap();
        world.stop_node();
        kill_shim(world, &id);
        world.start_node();
        world.link(&[5]);
        let report = world.control().report_in_phase(&task.task, TaskPhase::Stopped);
        assert_eq!(report.containers[0].exit_code, None);
        let reason = report.containers[0].reason.clone().expect("a reason");
        assert!(reason.contains("its exit code is unknown"), "{reason}");
        world.forget(&task);
    });
}

/// An A query for this name, and the address in the answer.
fn resolve(world: &World, name: &str) -> Option<Ipv4Addr> {
    let socket = question(world, name);
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    answer(&socket)
}

/// Asks the VPC's DNS from inside a task.
fn question(world: &World, name: &str) -> std::net::UdpSocket {
    let namespace = world.config.run_dir.join("netns").join(crate::definition::interface_id(5));
    let inside = NamespaceSockets::open(&namespace).unwrap();
    let socket = inside.with(|| std::net::UdpSocket::bind("0.0.0.0:0")).unwrap();
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(label.len() as u8);
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    socket.send_to(&query, (vpc(&[]).dns_address, 53)).unwrap();
    socket
}

fn answer(socket: &std::net::UdpSocket) -> Option<Ipv4Addr> {
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer).ok()?;
    let end: [u8; 4] = answer[..length][length - 4..].try_into().unwrap();
    // One answer record, whose data is at the end.
    (answer[7] == 1).then(|| end.into())
}

fn names_are_answered_without_control() {
    world(|world| {
        world.start(&[5]);
        let task = task(5, vec![container("web", &["sleep-politely"])]);
        world.run_to(&task, TaskPhase::Running);
        let balancer = Some(Ipv4Addr::new(172, 31, 0, 200));
        assert_eq!(resolve(world, "page.elb.localhost"), balancer);
        wait_until("the VPC is kept", || world.names_in("vpcs") == [format!("{VPC}.json")]);
        world.stop_node();
        world.kill_control();
        world.start_node();
        wait_until("an answer", || resolve(world, "page.elb.localhost") == balancer);
        assert_eq!(resolve(world, "other.elb.localhost"), None);
        world.start_control();
        world.link(&[5]);
        world.stop_to_end(&task);
    });
}

fn questions_wait_for_the_next_node() {
    world(|world| {
        world.start(&[5]);
        let task = task(5, vec![container("web", &["sleep-politely"])]);
        world.run_to(&task, TaskPhase::Running);
        world.stop_node();
        let socket = question(world, "page.elb.localhost");
        world.start_node();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(answer(&socket), Some(Ipv4Addr::new(172, 31, 0, 200)), "nobody had to ask twice");
        world.link(&[5]);
        world.control().tell(&ToNode::RemoveVpc(VPC.into()));
        world.stop_to_end(&task);
        world.forget(&task);
        // The node's own is there for as long as it is.
        wait_until("the VPC's sockets are given back", || {
            gantry_node::shell::SocketStore::names(&*world.sockets) == ["local"]
        });
    });
}

fn after_a_reboot_nothing_runs_and_everything_can() {
    world(|world| {
        world.start(&[5, 6]);
        let before = task(5, vec![container("web", &["sleep-politely"])]);
        let report = world.run_to(&before, TaskPhase::Running);
        world.stop_node();
        // What a reboot takes: processes, namespaces, links. Files stay, also those that namespaces were mounted on.
        let id = report.containers[0].runtime_id.clone().unwrap();
        kill_shim(world, &id);
        let netns = world.config.run_dir.join("netns");
        for name in [VPC.to_owned(), crate::definition::interface_id(5)] {
            nix::mount::umount2(&netns.join(name), nix::mount::MntFlags::MNT_DETACH).unwrap();
        }
        world.sockets = Arc::default();
        wait_until("the links are gone", || {
            !std::fs::read_to_string("/proc/thread-self/net/dev").unwrap().contains("gtn")
        });
        world.start_node();
        world.link(&[5, 6]);
        let report = world.control().report_in_phase(&before.task, TaskPhase::Stopped);
        assert_eq!(report.containers[0].exit_code, None);
        world.forget(&before);
        let after = task(6, vec![container("web", &["sleep-politely"])]);
        world.run_to(&after, TaskPhase::Running);
        assert_eq!(world.stop_to_end(&after).containers[0].exit_code, Some(0));
    });
}

fn kill_shim(world: &World, id: &str) {
    let record = world.config.node_dir.join("containers").join(id).join("shim.json");
    let record: serde_json::Value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    let shim = i32::try_from(record["shim"]["pid"].as_i64().unwrap()).unwrap();
    let shim = rustix::process::Pid::from_raw(shim).unwrap();
    rustix::process::kill_process(shim, rustix::process::Signal::KILL).unwrap();
    wait_until("the shim is gone", || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", shim.as_raw_nonzero()));
        stat.map_or(true, |stat| stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
    });
}

fn tasks_run_on_without_control() {
    world(|world| {
        world.start(&[5, 6]);
        let stays = task(5, vec![container("web", &["tick", "5"])]);
        let ends = task(6, vec![container("web", &["serve", "8000"])]);
        world.run_to(&stays, TaskPhase::Running);
        world.run_to(&ends, TaskPhase::Running);
        world.control().line(&source(&ends, "web"), "listening on 8000");
        let (hello, _) = world.control().linked(1);
        world.kill_control();
        let _ = ask(world, 6, "GET /exit?code=0 HTTP/1.1\r\nHost: x\r\n\r\n");
        world.start_control();
        let (again, known) = world.control().linked(1);
        assert_eq!(hello, again, "the same node");
        assert!(matches!(&hello.role, Role::Node { cpu, memory, .. } if cpu.0 >= 1024 && memory.0 > 0));
        assert_eq!(known.len(), 2);
        world.control().report_in_phase(&stays.task, TaskPhase::Running);
        let report = world.control().report_in_phase(&ends.task, TaskPhase::Stopped);
        assert_eq!(report.containers[0].exit_code, Some(0));
        // What was said meanwhile goes on without a gap where the former control stopped.
        let lines = world.control().lines_when(&source(&stays, "web"), "lines", |lines| lines.len() > 20);
        let first: usize = lines[0].record.message.strip_prefix("tick ").unwrap().parse().unwrap();
        for (offset, line) in lines.iter().enumerate() {
            assert_eq!(line.record.message, format!("tick {}", first + offset));
        }
        assert_eq!(world.control().repeated_lines(), 0);
    });
}

fn a_removal_that_was_cut_off_is_finished() {
    world(|world| {
        world.start(&[5]);
        let task = task(5, vec![container("web", &["print", "words"])]);
        world.run_to(&task, TaskPhase::Stopped);
        world.control().line(&source(&task, "web"), "words");
        world.stop_node();
        let directory = world.task_directory(&task);
        std::fs::rename(directory.join("task.json"), directory.join("forgotten.json")).unwrap();
        world.start_node();
        world.link(&[]);
        wait_until("the task is gone", || world.names_in("tasks").is_empty());
        for directory in ["containers", "spool"] {
            assert_eq!(world.names_in(directory), Vec::<String>::new(), "{directory}");
        }
    });
}

fn what_belongs_to_nobody_is_removed() {
    world(|world| {
        world.start(&[5]);
        let task = task(5, vec![container("web", &["sleep-politely"])]);
        world.run_to(&task, TaskPhase::Running);
        world.stop_node();
        // The record is destroyed: nobody knows what this task was.
        std::fs::write(world.task_directory(&task).join("task.json"), "{ torn").unwrap();
        world.start_node();
        for directory in ["tasks", "containers", "spool"] {
            assert_eq!(world.names_in(directory), Vec::<String>::new(), "{directory}");
        }
        assert!(!world.config.run_dir.join("netns").join(crate::definition::interface_id(5)).exists());
        assert_eq!(std::fs::read_dir(world.directory.join("images/holds")).unwrap().count(), 0);
        let (_, known) = world.control().linked(2);
        assert!(known.is_empty(), "{known:?}");
    });
}

fn a_task_that_had_not_started_is_started_once() {
    world(|world| {
        world.start_control();
        world.start_node_process();
        world.control().linked(1);
        // Without its VPC it waits.
        let task = task(5, vec![container("web", &["sleep-politely"])]);
        world.run_to(&task, TaskPhase::Preparing);
        let record = world.task_directory(&task).join("task.json");
        wait_until("the task is on disk", || record.exists());
        world.stop_node();
        world.control().forget_reports();
        world.start_node_process();
        let (_, known) = world.control().linked(2);
        assert_eq!(known.as_slice(), std::slice::from_ref(&task.task));
        world.tell_vpc(&[5]);
        world.control().report_in_phase(&task.task, TaskPhase::Running);
        world.wait_until_polite(&task);
        world.control().tell(&ToNode::Run(Box::new(task.clone())));
        let report = world.stop_to_end(&task);
        assert_eq!(report.containers[0].exit_code, Some(0));
        world.control().line(&source(&task, "web"), "stopped politely");
        let ready = world.control().texts(&source(&task, "web"));
        assert_eq!(ready, ["ready", "stopped politely"]);
        world.forget(&task);
    });
}

/// Kills the node as soon as a trace of the task is there, and starts another one. Gives the traces' names and how to see them.
type Moment = (&'static str, fn(&World, &TaskSpec) -> bool);

const MOMENTS_OF_A_START: [Moment; 7] = [
    ("the order was sent", |_, _| true),
    ("its directory is there", |world, task| world.task_directory(task).exists()),
    ("its record is there", |world, task| world.task_directory(task).join("task.json").exists()),
    ("its interface is there", |world, task| {
        let name = task.interface.as_ref().unwrap().interface.to_string();
        world.config.run_dir.join("netns").join(name).exists()
    }),
    ("its container's directory is there", |world, _| !world.names_in("containers").is_empty()),
    ("its shim is at work", |world, _| shim_record(world).is_some()),
    ("its process is there", |world, _| {
        shim_record(world).is_some_and(|record| !record["container"].is_null())
    }),
];

fn shim_record(world: &World) -> Option<serde_json::Value> {
    let id = world.names_in("containers").into_iter().find(|name| !name.starts_with('.'))?;
    let text = std::fs::read(world.config.node_dir.join("containers").join(id).join("shim.json")).ok()?;
    serde_json::from_slice(&text).ok()
}

fn killed_at_any_moment_of_a_start_it_starts_once() {
    world(|world| {
        world.start_control();
        world.start_node_process();
        let numbers: Vec<u8> = (10..10 + MOMENTS_OF_A_START.len() as u8).collect();
        world.link(&numbers);
        for (number, (moment, has_come)) in numbers.iter().zip(MOMENTS_OF_A_START) {
            let task = task(*number, vec![container("web", &["sleep-politely"])]);
            world.run(&task);
            wait_until(moment, || has_come(world, &task));
            world.stop_node();
            world.control().forget_reports();
            world.start_node_process();
            let known = world.link(&numbers);
            if !known.contains(&task.task) {
                // It was killed before it had written anything down, so it has to be told again.
                world.run(&task);
            }
            world.control().report_in_phase(&task.task, TaskPhase::Running);
            world.control().line(&source(&task, "web"), "ready");
            let report = world.stop_to_end(&task);
            assert_eq!(report.containers[0].exit_code, Some(0), "killed when {moment}");
            world.control().line(&source(&task, "web"), "stopped politely");
            let said = world.control().texts(&source(&task, "web"));
            assert_eq!(said, ["ready", "stopped politely"], "killed when {moment}");
            world.forget(&task);
        }
        for directory in ["tasks", "containers", "spool"] {
            assert_eq!(world.names_in(directory), Vec::<String>::new(), "{directory}");
        }
    });
}

const MOMENTS_OF_AN_END: [Moment; 3] = [
    ("the order was sent", |_, _| true),
    ("the record is marked", |world, task| !world.task_directory(task).join("task.json").exists()),
    ("the container is gone", |world, _| world.names_in("containers").is_empty()),
];

fn killed_at_any_moment_of_an_end_it_ends_once() {
    world(|world| {
        world.start_control();
        world.start_node_process();
        let numbers: Vec<u8> = (10..10 + MOMENTS_OF_AN_END.len() as u8).collect();
        world.link(&numbers);
        for (number, (moment, has_come)) in numbers.iter().zip(MOMENTS_OF_AN_END) {
            let task = task(*number, vec![container("web", &["sleep-politely"])]);
            world.run_to(&task, TaskPhase::Running);
            world.stop_to_end(&task);
            world.control().tell(&ToNode::Forget(crate::definition::name_of(&task)));
            wait_until(moment, || has_come(world, &task));
            world.stop_node();
            world.control().forget_reports();
            world.start_node_process();
            let known = world.link(&numbers);
            if known.contains(&task.task) {
                // It was killed before it had marked the task, which it then reports as it was.
                world.control().report_in_phase(&task.task, TaskPhase::Stopped);
                world.forget(&task);
            }
            wait_until("the task is gone", || world.names_in("tasks").is_empty());
            let said = world.control().texts(&source(&task, "web"));
            assert_eq!(said, ["ready", "stopped politely"], "killed when {moment}");
        }
        for directory in ["containers", "spool"] {
            assert_eq!(world.names_in(directory), Vec::<String>::new(), "{directory}");
        }
    });
}
