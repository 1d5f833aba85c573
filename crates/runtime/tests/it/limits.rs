use gantry_runtime::{ContainerSpec, StartError, StartFailureKind, Ulimit};
use gantry_types::CpuUnits;

use crate::execs::request;
use crate::harness::Test;
use crate::machine::{Machine, PATIENCE};

pub(crate) const TESTS: &[Test] = &[
    ("limits::out_of_memory_is_told_apart_from_a_kill", out_of_memory_is_told_apart_from_a_kill),
    ("limits::a_task_shares_one_memory_limit", a_task_shares_one_memory_limit),
    ("limits::cpu_quotas_hold_for_container_and_task", cpu_quotas_hold_for_container_and_task),
    ("limits::processes_and_open_files_are_limited", processes_and_open_files_are_limited),
    ("limits::figures_are_those_of_the_container", figures_are_those_of_the_container),
];

const MIB: u64 = 1 << 20;

fn out_of_memory_is_told_apart_from_a_kill() {
    let machine = Machine::new();
    for init_process in [false, true] {
        let mut spec = machine.spec(&["eat", "200"]);
        spec.memory_limit_bytes = Some(32 * MIB);
        spec.init_process = init_process;
        let (record, lines) = machine.run(&spec);
        assert_eq!((record.exit_code, record.oom_killed), (Some(137), true), "{record:?} {lines:?}");
        assert!(lines.is_empty());
        let mut spec = machine.spec(&["eat", "8"]);
        spec.memory_limit_bytes = Some(32 * MIB);
        spec.init_process = init_process;
        assert_eq!(machine.said(&spec), ["ate 8"]);
    }
    // The smallest limit that ECS takes, and one that is below what any start needs.
    let mut spec = machine.spec(&["say", "small"]);
    spec.memory_limit_bytes = Some(6 * MIB);
    assert_eq!(machine.said(&spec), ["small"]);
    spec.memory_limit_bytes = Some(64 << 10);
    match machine.runtime.start(&spec) {
        Err(StartError::Failed(failure)) => {
            assert_eq!(failure.kind, StartFailureKind::OutOfMemory, "{failure}");
        }
        other => panic!("{other:?}"),
    }
    // A health check that eats too much is killed, not its container; and a later kill is just a kill.
    let mut spec = machine.spec(&["wait"]);
    spec.memory_limit_bytes = Some(32 * MIB);
    let mut started = machine.start(&spec);
    machine.wait_for_line(&spec, "ready");
    let result = machine.runtime.exec(&spec.id, &request(&["/bin/program", "eat", "200"])).unwrap();
    assert_eq!(result.exit_code, Some(137));
    assert!(machine.runtime.stats(&spec.id).unwrap().oom_kills > 0);
    assert_eq!(machine.runtime.exit_record(&spec.id), None);
    machine.runtime.kill(&spec.id).unwrap();
    let record = started.exit.wait(PATIENCE).unwrap();
    assert_eq!((record.exit_code, record.oom_killed), (Some(137), false));
}

fn a_task_shares_one_memory_limit() {
    let machine = Machine::new();
    let mut task = machine.task();
    task.memory_limit_bytes = Some(48 * MIB);
    assert_eq!(machine.runtime.prepare_task(&task).unwrap(), Vec::<String>::new());
    assert_eq!(machine.runtime.task_stats(&task.id).unwrap().memory_limit_bytes, Some(48 * MIB));
    let (record, _) = machine.run(&machine.spec(&["eat", "200"]));
    assert_eq!((record.exit_code, record.oom_killed), (Some(137), true));
    machine.runtime.delete_task(&task.id).unwrap();
    machine.runtime.delete_task(&task.id).unwrap();
}

/// The part of one processor that a program got, in percent, that wanted all of it for a second.
fn share(machine: &Machine, spec: &ContainerSpec) -> u64 {
    machine.said(spec)[0].parse::<u64>().unwrap() / 10
}

fn cpu_quotas_hold_for_container_and_task() {
    let machine = Machine::new();
    let mut spec = machine.spec(&["spin", "1000"]);
    spec.cpu_quota = Some(CpuUnits(256));
    let got = share(&machine, &spec);
    assert!((5..=40).contains(&got), "{got} % with a quota of 25 %");
    let mut task = machine.task();
    task.cpu_quota = Some(CpuUnits(512));
    machine.runtime.prepare_task(&task).unwrap();
    let got = share(&machine, &machine.spec(&["spin", "1000"]));
    assert!((10..=65).contains(&got), "{got} % with a quota of the task of 50 %");
}

fn processes_and_open_files_are_limited() {
    let machine = Machine::new();
    let mut spec = machine.spec(&["fork-until-refused"]);
    spec.pids_limit = Some(20);
    // The processes that built the container may count for a moment yet.
    let said = machine.said(&spec);
    let made: u64 = said[0].split([' ', ':']).nth(2).unwrap().parse().unwrap();
    assert!((15..=19).contains(&made) && said[0].ends_with(": 11"), "{said:?}");
    let mut spec = machine.spec(&["about"]);
    spec.ulimits = vec![Ulimit { name: "nofile".to_owned(), soft: 512, hard: 1024 }];
    let said = machine.said(&spec);
    assert!(said.contains(&"Max open files 512 1024 files".to_owned()), "{said:?}");
}

fn figures_are_those_of_the_container() {
    let machine = Machine::new();
    let mut spec = machine.spec(&["wait"]);
    spec.memory_limit_bytes = Some(64 * MIB);
    spec.memory_reservation_bytes = Some(16 * MIB);
    spec.cpu_shares = Some(CpuUnits(512));
    spec.pids_limit = Some(50);
    let started = machine.start(&spec);
    machine.wait_for_line(&spec, "ready");
    assert_eq!(started.unenforced, Vec::<String>::new());
    let before = machine.runtime.stats(&spec.id).unwrap();
    assert_eq!(
        (before.pids, before.pids_limit, before.memory_limit_bytes, before.oom_kills),
        (Some(1), Some(50), Some(64 * MIB), 0)
    );
    assert!(before.memory_usage_bytes.unwrap() < 32 * MIB, "{before:?}");
    assert!(before.memory_usage_bytes_max.unwrap() >= before.memory_usage_bytes.unwrap(), "{before:?}");
    machine.runtime.exec(&spec.id, &request(&["/bin/program", "spin", "200"])).unwrap();
    let after = machine.runtime.stats(&spec.id).unwrap();
    let used_ms = (after.cpu_usage_ns.unwrap() - before.cpu_usage_ns.unwrap()) / 1_000_000;
    assert!((20..2000).contains(&used_ms), "{used_ms} ms for a command that worked for 200");
    assert!(machine.runtime.task_stats(&spec.task).unwrap().cpu_usage_ns >= after.cpu_usage_ns);
}
