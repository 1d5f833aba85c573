use std::time::{Duration, Instant};

use gantry_runtime::{
    ContainerId, ExecError, ExecRequest, ExecResult, StartFailureKind, health_check_command,
};

use crate::harness::Test;
use crate::machine::{Machine, PATIENCE, wait_until};

pub(crate) const TESTS: &[Test] = &[
    ("execs::a_command_runs_beside_the_program", a_command_runs_beside_the_program),
    ("execs::a_timeout_kills_the_whole_family", a_timeout_kills_the_whole_family),
    ("execs::what_a_command_leaves_behind_is_killed", what_a_command_leaves_behind_is_killed),
    ("execs::long_output_is_cut_and_does_not_block", long_output_is_cut_and_does_not_block),
    ("execs::an_exec_that_cannot_start_says_why", an_exec_that_cannot_start_says_why),
];

pub(crate) fn request(command: &[&str]) -> ExecRequest {
    ExecRequest {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        environment: Vec::new(),
        user: None,
        working_directory: None,
        timeout: PATIENCE,
        output_bytes_max: 4096,
    }
}

fn a_command_runs_beside_the_program() {
    let machine = Machine::new();
    let mut spec = machine.spec(&["wait"]);
    spec.environment =
        vec![("FROM".to_owned(), "container".to_owned()), ("BOTH".to_owned(), "container".to_owned())];
    spec.user = "app".to_owned();
    spec.working_directory = "/srv".into();
    let _started = machine.start(&spec);
    let exec = |request: &ExecRequest| machine.runtime.exec(&spec.id, request).unwrap();

    let files = || {
        let directory = machine.config.state_directory.join(spec.id.as_str());
        let names = |path: &std::path::Path| {
            std::fs::read_dir(path).unwrap().flatten().map(|entry| entry.path()).collect::<Vec<_>>()
        };
        let mut all = names(&directory);
        all.extend(names(&directory.join("oci").join(spec.id.as_str())));
        all.sort();
        all
    };
    let before = files();
    let result = exec(&request(&["/bin/program", "say", "well"]));
    assert_eq!(files(), before, "an exec leaves nothing behind");
    let expected = ExecResult {
        exit_code: Some(0),
        timed_out: false,
        output: b"well\n".to_vec(),
        output_truncated: false,
    };
    assert_eq!(result, expected);
    let shell = health_check_command(&["CMD-SHELL".to_owned(), "exit 1".to_owned()]).unwrap();
    let shell: Vec<&str> = shell.iter().map(String::as_str).collect();
    assert_eq!(exec(&request(&shell)).exit_code, Some(1));
    assert_eq!(exec(&request(&["/bin/program", "signal", "9"])).exit_code, Some(137));
    assert_eq!(exec(&request(&["/bin/program", "complain", "loud"])).output, b"loud\n");

    let mut about = request(&["program", "about"]);
    about.environment = vec![("BOTH".to_owned(), "exec".to_owned())];
    let text = String::from_utf8(exec(&about).output).unwrap();
    for line in [
        "uid=1000 gid=1001",
        "groups=[50]",
        "cwd=/srv",
        "env FROM=container",
        "env BOTH=exec",
        "env HOME=/home/app",
        "hostname=host",
        "Seccomp: 2",
        "CapEff: 0000000000000000",
        "descriptors=4",
        "SigIgn: 0000000000001000",
        "oom_score_adj=0",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line:?} in\n{text}");
    }
    about.user = Some("0".to_owned());
    about.working_directory = Some("/tmp".into());
    let text = String::from_utf8(exec(&about).output).unwrap();
    for line in ["uid=0 gid=0", "cwd=/tmp", "env HOME=/root"] {
        assert!(text.lines().any(|found| found == line), "no {line:?} in\n{text}");
    }
}

fn a_timeout_kills_the_whole_family() {
    let machine = Machine::new();
    let mut spec = machine.spec(&["wait"]);
    // The dead stay in the count until process 1 has reaped them.
    spec.init_process = true;
    let _started = machine.start(&spec);
    machine.wait_for_line(&spec, "ready");
    let mut family = request(&["/bin/program", "family", "5"]);
    family.timeout = Duration::from_millis(400);
    let asked = Instant::now();
    let result = machine.runtime.exec(&spec.id, &family).unwrap();
    let took = asked.elapsed();
    assert!(result.timed_out && result.exit_code.is_none(), "{result:?}");
    assert_eq!(result.output, b"ready\n");
    assert!(took >= Duration::from_millis(400) && took < PATIENCE, "{took:?}");
    wait_until("the end of the family", || machine.runtime.stats(&spec.id).unwrap().pids == Some(2));
}

fn what_a_command_leaves_behind_is_killed() {
    let machine = Machine::new();
    let mut spec = machine.spec(&["wait"]);
    // The dead stay in the count until process 1 has reaped them.
    spec.init_process = true;
    let _started = machine.start(&spec);
    machine.wait_for_line(&spec, "ready");
    let mut family = request(&["/bin/program", "abandon", "5"]);
    family.timeout = PATIENCE;
    let result = machine.runtime.exec(&spec.id, &family).unwrap();
    assert_eq!((result.exit_code, result.timed_out), (Some(0), false));
    wait_until("the end of the family", || machine.runtime.stats(&spec.id).unwrap().pids == Some(2));
}

fn long_output_is_cut_and_does_not_block() {
    let machine = Machine::new();
    let spec = machine.spec(&["wait"]);
    let _started = machine.start(&spec);
    let result =
        machine.runtime.exec(&spec.id, &request(&["/bin/program", "lines", "10000", "100"])).unwrap();
    assert_eq!((result.exit_code, result.output.len(), result.output_truncated), (Some(0), 4096, true));
}

fn an_exec_that_cannot_start_says_why() {
    let machine = Machine::new();
    let spec = machine.spec(&["wait"]);
    let mut started = machine.start(&spec);
    let fails = |request: &ExecRequest| match machine.runtime.exec(&spec.id, request) {
        Err(ExecError::Failed(failure)) => failure.kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(fails(&request(&["nope"])), StartFailureKind::ExecutableNotFound);
    assert_eq!(fails(&request(&["/bin/not-executable"])), StartFailureKind::PermissionDenied);
    let mut stranger = request(&["program"]);
    stranger.user = Some("stranger".to_owned());
    assert_eq!(fails(&stranger), StartFailureKind::UnknownUser);
    assert!(matches!(machine.runtime.exec(&spec.id, &request(&[])), Err(ExecError::Spec(_))));

    let nobody = ContainerId::new("nobody").unwrap();
    assert!(matches!(machine.runtime.exec(&nobody, &request(&["program"])), Err(ExecError::NotRunning(_))));
    machine.runtime.kill(&spec.id).unwrap();
    started.exit.wait(PATIENCE).unwrap();
    assert!(matches!(machine.runtime.exec(&spec.id, &request(&["program"])), Err(ExecError::NotRunning(_))));
}
