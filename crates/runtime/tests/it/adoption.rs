//! The node dies; its containers do not notice.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gantry_runtime::{ContainerSpec, FoundState, StartFailureKind, StopSignal};

use crate::harness::Test;
use crate::machine::{Machine, PATIENCE, wait_until};
use crate::sink;

pub(crate) const TESTS: &[Test] = &[
    ("adoption::a_container_outlives_its_node_and_is_found", a_container_outlives_its_node_and_is_found),
    (
        "adoption::output_without_a_node_neither_blocks_nor_is_lost",
        output_without_a_node_neither_blocks_nor_is_lost,
    ),
    ("adoption::an_end_without_a_node_is_recorded", an_end_without_a_node_is_recorded),
    ("adoption::a_node_killed_at_any_point_of_a_start", a_node_killed_at_any_point_of_a_start),
    ("adoption::what_a_crash_left_half_made_can_be_deleted", what_a_crash_left_half_made_can_be_deleted),
];

/// Another process that starts a container and then waits to be killed.
fn node(machine: &Machine, spec: &ContainerSpec) -> Child {
    Command::new("/proc/self/exe")
        .arg("hold")
        .arg(&machine.config.state_directory)
        .arg(&machine.config.cgroup_parent)
        .arg(serde_json::to_string(spec).unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills the node with SIGKILL when its container runs. Gives back the container's process id.
fn start_and_kill_the_node(machine: &Machine, spec: &ContainerSpec) -> i32 {
    let mut node = node(machine, spec);
    let mut line = String::new();
    BufReader::new(node.stdout.take().unwrap()).read_line(&mut line).unwrap();
    node.kill().unwrap();
    node.wait().unwrap();
    line.trim().parse().unwrap()
}

fn a_container_outlives_its_node_and_is_found() {
    let machine = Machine::new();
    let spec = machine.spec(&["handle-term", "9"]);
    let pid = start_and_kill_the_node(&machine, &spec);
    machine.wait_for_line(&spec, "ready");
    let found = machine.runtime.adopt().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].id.clone(), found[0].task.clone()), (spec.id.clone(), Some(spec.task.clone())));
    assert!(
        matches!(found[0].state, FoundState::Running { pid: running, .. } if running == pid),
        "{found:?}"
    );
    let mut watch = machine.runtime.watch(&spec.id).unwrap();
    assert_eq!(watch.try_read(), None);
    machine.runtime.stop(&spec.id, StopSignal::TERM, PATIENCE).unwrap();
    let record = watch.wait(PATIENCE).unwrap();
    assert_eq!(record.exit_code, Some(9));
    assert_eq!(machine.runtime.adopt().unwrap()[0].state, FoundState::Exited(record));
}

fn output_without_a_node_neither_blocks_nor_is_lost() {
    let machine = Machine::new();
    let spec = machine.spec(&["lines-after-signal", "100000", "104"]);
    start_and_kill_the_node(&machine, &spec);
    machine.wait_for_line(&spec, "ready");
    // Ten megabytes, while nobody but the shim lives.
    machine.runtime.signal(&spec.id, StopSignal::number(10).unwrap()).unwrap();
    wait_until("the last line", || {
        std::fs::metadata(&spec.output.path).is_ok_and(|file| file.len() > 10_400_000)
            && sink::read(&spec.output.path).len() == 100_001
    });
    let lines = sink::read(&spec.output.path);
    assert!(lines[1..].iter().enumerate().all(|(index, line)| line.text == format!("{index:0104}")));
}

fn an_end_without_a_node_is_recorded() {
    let machine = Machine::new();
    let spec = machine.spec(&["handle-term", "3"]);
    let pid = start_and_kill_the_node(&machine, &spec);
    machine.wait_for_line(&spec, "ready");
    // Not through the shim: from outside, as the kernel or an operator would.
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    wait_until("the record of the end", || machine.runtime.exit_record(&spec.id).is_some());
    let record = machine.runtime.exit_record(&spec.id).unwrap();
    assert_eq!((record.exit_code, record.error), (Some(3), None));
}

fn a_node_killed_at_any_point_of_a_start() {
    let machine = Machine::new();
    for round in 0..40 {
        let spec = machine.spec(&["wait"]);
        let mut node = node(&machine, &spec);
        let directory = machine.config.state_directory.join(spec.id.as_str());
        wait_until("the container's directory", || directory.exists());
        // A start takes some 10 ms; these moments spread over it and a little beyond.
        let moment = Instant::now() + Duration::from_micros(round * 500);
        wait_until("the moment", || Instant::now() >= moment);
        node.kill().unwrap();
        node.wait().unwrap();
        for found in machine.runtime.adopt().unwrap() {
            machine.runtime.delete(&found.id).unwrap();
        }
        assert!(!directory.exists());
        // A shim that had not said who it is finds its directory gone, and goes too.
        wait_until("the shim's end", || machine.processes().is_empty());
    }
}

fn what_a_crash_left_half_made_can_be_deleted() {
    let machine = Machine::new();
    let files: [&[(&str, &str)]; 4] = [
        &[],
        &[("spec.json", "{\"cut off")],
        &[("shim.json", "{}"), ("exit.json", "[]")],
        &[("spec.json", ""), ("shim.json", "\0"), ("upper", "a file where a directory should be")],
    ];
    for (index, files) in files.into_iter().enumerate() {
        let directory = machine.config.state_directory.join(format!("half{index}"));
        std::fs::create_dir(&directory).unwrap();
        for (name, text) in files {
            std::fs::write(directory.join(name), text).unwrap();
        }
    }
    // A whole specification without a shim, with its control groups.
    let spec = machine.spec(&["wait"]);
    let started = machine.start(&spec);
    let directory = machine.config.state_directory.join(spec.id.as_str());
    let group = machine.cgroups()[0].join("task").join(spec.id.as_str());
    assert!(group.exists());
    std::fs::remove_file(directory.join("shim.json")).unwrap();
    drop(started);

    let found = machine.runtime.adopt().unwrap();
    assert_eq!(found.len(), 5);
    for container in found {
        match container.state {
            FoundState::Exited(record) => assert_eq!(record.error.unwrap().kind, StartFailureKind::Lost),
            other => panic!("{other:?}"),
        }
        machine.runtime.delete(&container.id).unwrap();
    }
    assert!(!group.exists());
}
