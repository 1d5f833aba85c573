use std::time::{Duration, Instant};

use gantry_runtime::{ContainerId, ExitRecord, FoundState, StartError, StartFailureKind, StopSignal};

use crate::harness::Test;
use crate::machine::{Machine, PATIENCE};

pub(crate) const TESTS: &[Test] = &[
    ("lifecycle::exit_codes_and_signals_are_told", exit_codes_and_signals_are_told),
    ("lifecycle::a_program_that_cannot_start_says_why", a_program_that_cannot_start_says_why),
    ("lifecycle::stop_asks_first_and_kills_in_the_end", stop_asks_first_and_kills_in_the_end),
    ("lifecycle::an_init_forwards_signals_and_reaps", an_init_forwards_signals_and_reaps),
    ("lifecycle::ids_are_used_once_and_deletes_repeat", ids_are_used_once_and_deletes_repeat),
    ("lifecycle::a_watch_made_late_tells_the_end", a_watch_made_late_tells_the_end),
    ("lifecycle::an_end_on_a_full_disk_is_recorded", an_end_on_a_full_disk_is_recorded),
    ("lifecycle::a_killed_shim_takes_its_container_along", a_killed_shim_takes_its_container_along),
];

fn end(record: &ExitRecord) -> (Option<i32>, Option<i32>, bool) {
    (record.exit_code, record.signal, record.oom_killed)
}

fn exit_codes_and_signals_are_told() {
    let machine = Machine::new();
    let cases: [(&[&str], _); 6] = [
        (&["exit", "0"], (Some(0), None, false)),
        (&["exit", "7"], (Some(7), None, false)),
        (&["exit", "255"], (Some(255), None, false)),
        // Process 1 is deaf to signals that it does not handle, even its own.
        (&["signal", "15"], (Some(0), None, false)),
        (&["signal", "9"], (Some(0), None, false)),
        (&["say", "hello"], (Some(0), None, false)),
    ];
    for (words, expected) in cases {
        let (record, _) = machine.run(&machine.spec(words));
        assert_eq!(end(&record), expected, "{words:?}: {record:?}");
        let started = record.started_at.unwrap();
        assert!(started <= record.finished_at, "{record:?}");
    }
    for signal in [9, 6, 64] {
        let spec = machine.spec(&["handle-term", "0"]);
        let mut started = machine.start(&spec);
        machine.wait_for_line(&spec, "ready");
        machine.runtime.signal(&spec.id, StopSignal::number(signal).unwrap()).unwrap();
        if signal == 9 {
            let record = started.exit.wait(PATIENCE).unwrap();
            assert_eq!(end(&record), (Some(137), Some(9), false), "{record:?}");
        } else {
            // Deaf to those too; still there.
            assert_eq!(machine.runtime.exit_record(&spec.id), None);
        }
        machine.runtime.delete(&spec.id).unwrap();
    }
}

fn a_program_that_cannot_start_says_why() {
    let machine = Machine::new();
    type Change = fn(&mut gantry_runtime::ContainerSpec);
    let cases: [(Change, StartFailureKind, &str); 10] = [
        (
            |spec| spec.command = vec!["nope".to_owned()],
            StartFailureKind::ExecutableNotFound,
            "exec: \"nope\": executable file not found in $PATH",
        ),
        (
            |spec| spec.command = vec!["/bin/nope".to_owned()],
            StartFailureKind::ExecutableNotFound,
            "exec: \"/bin/nope\": no such file or directory",
        ),
        (
            |spec| spec.command = vec!["/bin/not-executable".to_owned()],
            StartFailureKind::PermissionDenied,
            "exec: \"/bin/not-executable\": permission denied",
        ),
        (
            |spec| spec.command = vec!["not-executable".to_owned()],
            StartFailureKind::PermissionDenied,
            "exec: \"not-executable\": permission denied",
        ),
        (
            |spec| spec.command = vec!["/bin/not-a-program".to_owned()],
            StartFailureKind::InvalidExecutable,
            "exec: \"/bin/not-a-program\": exec format error",
        ),
        (
            |spec| spec.command = vec!["/bin/no-interpreter".to_owned()],
            StartFailureKind::InvalidExecutable,
            "interpreter",
        ),
        (
            |spec| spec.user = "nobody".to_owned(),
            StartFailureKind::UnknownUser,
            "unable to find user \"nobody\"",
        ),
        (
            |spec| spec.working_directory = "/bin/program/x".into(),
            StartFailureKind::WorkingDirectory,
            "working directory /bin/program/x",
        ),
        (|spec| spec.layers.push("/no/such/layer".into()), StartFailureKind::Mount, "/no/such/layer"),
        (
            |spec| spec.output.path = "/no/such/directory/output".into(),
            StartFailureKind::Output,
            "/no/such/directory/output",
        ),
    ];
    for init_process in [false, true] {
        for (change, kind, message) in cases {
            let mut spec = machine.spec(&[]);
            spec.init_process = init_process;
            change(&mut spec);
            match machine.runtime.start(&spec) {
                Err(StartError::Failed(failure)) => {
                    assert_eq!(failure.kind, kind, "{failure}");
                    assert!(failure.message.contains(message), "{failure} does not say {message}");
                }
                other => panic!("{message}: {other:?}"),
            }
            assert_eq!(machine.runtime.adopt().unwrap(), [], "after {message}");
        }
    }
}

fn stop_asks_first_and_kills_in_the_end() {
    let machine = Machine::new();
    let spec = machine.spec(&["handle-term", "42"]);
    let mut started = machine.start(&spec);
    machine.wait_for_line(&spec, "ready");
    machine.runtime.stop(&spec.id, StopSignal::TERM, PATIENCE).unwrap();
    assert_eq!(end(&started.exit.wait(PATIENCE).unwrap()), (Some(42), None, false));
    machine.runtime.delete(&spec.id).unwrap();

    let spec = machine.spec(&["ignore-term"]);
    let mut started = machine.start(&spec);
    machine.wait_for_line(&spec, "ready");
    let asked = Instant::now();
    machine.runtime.stop(&spec.id, StopSignal::TERM, Duration::from_millis(300)).unwrap();
    assert_eq!(end(&started.exit.wait(PATIENCE).unwrap()), (Some(137), Some(9), false));
    let took = asked.elapsed();
    assert!(took >= Duration::from_millis(300) && took < PATIENCE, "{took:?}");
}

fn an_init_forwards_signals_and_reaps() {
    let machine = Machine::new();
    let mut spec = machine.spec(&["handle-term", "42"]);
    spec.init_process = true;
    let mut started = machine.start(&spec);
    machine.wait_for_line(&spec, "ready");
    machine.runtime.stop(&spec.id, StopSignal::TERM, PATIENCE).unwrap();
    assert_eq!(end(&started.exit.wait(PATIENCE).unwrap()), (Some(42), None, false));

    for (words, expected) in [
        (&["exit", "3"][..], (Some(3), None, false)),
        // Behind an init a signal does what it does everywhere.
        (&["signal", "15"], (Some(143), None, false)),
        (&["signal", "9"], (Some(137), None, false)),
    ] {
        let mut spec = machine.spec(words);
        spec.init_process = true;
        assert_eq!(end(&machine.run(&spec).0), expected, "{words:?}");
    }
    let mut spec = machine.spec(&["orphans", "20"]);
    spec.init_process = true;
    assert_eq!(machine.said(&spec), ["processes=2"]);
    // The init is this very binary; a container must not get at it.
    let mut spec = machine.spec(&["read", "/proc/1/exe"]);
    spec.init_process = true;
    assert_eq!(machine.said(&spec), ["error 13"]);
}

fn ids_are_used_once_and_deletes_repeat() {
    let machine = Machine::new();
    let spec = machine.spec(&["wait"]);
    let _started = machine.start(&spec);
    assert!(matches!(machine.runtime.start(&spec), Err(StartError::Exists(_))));
    machine.runtime.delete(&spec.id).unwrap();
    machine.runtime.delete(&spec.id).unwrap();
    machine.runtime.delete(&ContainerId::new("never-was").unwrap()).unwrap();
    // The name is free again.
    let _started = machine.start(&spec);
}

fn a_watch_made_late_tells_the_end() {
    let machine = Machine::new();
    let spec = machine.spec(&["handle-term", "5"]);
    let mut started = machine.start(&spec);
    machine.wait_for_line(&spec, "ready");
    let mut during = machine.runtime.watch(&spec.id).unwrap();
    assert_eq!(during.try_read(), None);
    assert_eq!(during.wait(Duration::from_millis(1)), None);
    machine.runtime.signal(&spec.id, StopSignal::TERM).unwrap();
    let record = started.exit.wait(PATIENCE).unwrap();
    assert_eq!(record.exit_code, Some(5));
    assert_eq!(during.wait(PATIENCE), Some(record.clone()));
    assert_eq!(machine.runtime.watch(&spec.id).unwrap().wait(PATIENCE), Some(record.clone()));
    assert_eq!(machine.runtime.exit_record(&spec.id), Some(record));
    assert!(machine.runtime.signal(&spec.id, StopSignal::TERM).is_err());
}

fn an_end_on_a_full_disk_is_recorded() {
    let machine = Machine::new();
    let disk = machine.directory.join("disk");
    std::fs::create_dir(&disk).unwrap();
    std::thread::scope(|scope| {
        // The small disk is mounted for this thread and what it starts.
        let thread = scope.spawn(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
            use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
            mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC).unwrap();
            mount("tmpfs", &disk, "tmpfs", MountFlags::empty(), c"size=1m").unwrap();
            let mut config = machine.config.clone();
            config.state_directory = disk.join("containers");
            let runtime = gantry_runtime::Runtime::new(config).unwrap();
            let spec = machine.spec(&["fill-after-signal", "/file", "7"]);
            let mut started = runtime.start(&spec).unwrap();
            machine.wait_for_line(&spec, "ready");
            runtime.signal(&spec.id, StopSignal::number(10).unwrap()).unwrap();
            let record = started.exit.wait(PATIENCE).unwrap();
            assert_eq!((record.exit_code, &record.error), (Some(7), &None));
            assert_eq!(runtime.exit_record(&spec.id), Some(record));
            // Full as it is, the next one is refused with a reason, and room comes back.
            let next = machine.spec(&["exit", "0"]);
            let error = runtime.start(&next).unwrap_err().to_string();
            assert!(error.contains("No space left on device"), "{error}");
            runtime.delete(&spec.id).unwrap();
            let mut started = runtime.start(&next).unwrap();
            assert_eq!(started.exit.wait(PATIENCE).unwrap().exit_code, Some(0));
            runtime.delete(&next.id).unwrap();
        });
        thread.join().unwrap();
    });
}

fn a_killed_shim_takes_its_container_along() {
    let machine = Machine::new();
    for init_process in [false, true] {
        let mut spec = machine.spec(&["wait"]);
        spec.init_process = init_process;
        let mut started = machine.start(&spec);
        machine.wait_for_line(&spec, "ready");
        let container = rustix::process::Pid::from_raw(started.pid).unwrap();
        let container = rustix::process::pidfd_open(container, rustix::process::PidfdFlags::empty()).unwrap();
        rustix::process::kill_process(parent_of(started.pid), rustix::process::Signal::KILL).unwrap();
        let record = started.exit.wait(PATIENCE).unwrap();
        assert_eq!(record.error.unwrap().kind, StartFailureKind::Lost);
        let mut descriptors = [rustix::event::PollFd::new(&container, rustix::event::PollFlags::IN)];
        let timeout = rustix::event::Timespec { tv_sec: 30, tv_nsec: 0 };
        assert_eq!(rustix::event::poll(&mut descriptors, Some(&timeout)), Ok(1), "the container lives on");
        let found = machine.runtime.adopt().unwrap();
        assert!(matches!(&found[0].state, FoundState::Exited(record) if record.error.is_some()), "{found:?}");
        machine.runtime.delete(&spec.id).unwrap();
    }
}

fn parent_of(pid: i32) -> rustix::process::Pid {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    rustix::process::Pid::from_raw(parent.trim().parse().unwrap()).unwrap()
}
