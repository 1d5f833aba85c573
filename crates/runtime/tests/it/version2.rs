//! The version 2 code on a version 2 hierarchy. Beside version 1 controllers it has none of its own, so limits are
//! not enforced there, and the runtime says so; all else is the same.

use std::path::PathBuf;

use gantry_runtime::StopSignal;

use crate::execs::request;
use crate::harness::Test;
use crate::machine::{Machine, PATIENCE};

pub(crate) const TESTS: &[Test] =
    &[("version2::containers_run_in_a_version_2_hierarchy", containers_run_in_a_version_2_hierarchy)];

fn hierarchy() -> PathBuf {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line =
        mounts.lines().find(|line| line.contains(" - cgroup2 ")).expect("a version 2 hierarchy is mounted");
    PathBuf::from(line.split(' ').nth(4).unwrap())
}

fn containers_run_in_a_version_2_hierarchy() {
    let root = hierarchy();
    let machine = Machine::with_cgroup_root(Some(root.clone()));
    let controllers = std::fs::read_to_string(root.join("cgroup.controllers")).unwrap();
    let mut spec = machine.spec(&["handle-term", "4"]);
    spec.memory_limit_bytes = Some(64 << 20);
    let mut started = machine.start(&spec);
    machine.wait_for_line(&spec, "ready");
    let enforced = controllers.split_whitespace().any(|name| name == "memory");
    assert_eq!(started.unenforced.is_empty(), enforced, "{:?}", started.unenforced);
    let member = std::fs::read_to_string(format!("/proc/{}/cgroup", started.pid)).unwrap();
    let expected = format!("0::/{}/task/{}", machine.config.cgroup_parent, spec.id);
    assert!(member.lines().any(|line| line == expected), "{member}");

    let result = machine.runtime.exec(&spec.id, &request(&["/bin/program", "abandon", "3"])).unwrap();
    assert_eq!(result.exit_code, Some(0));
    let procs =
        root.join(&machine.config.cgroup_parent).join("task").join(spec.id.as_str()).join("cgroup.procs");
    assert_eq!(std::fs::read_to_string(procs).unwrap().lines().count(), 1, "somebody survived");

    machine.runtime.stop(&spec.id, StopSignal::TERM, PATIENCE).unwrap();
    assert_eq!(started.exit.wait(PATIENCE).unwrap().exit_code, Some(4));
    machine.runtime.delete(&spec.id).unwrap();

    let said = machine.said(&machine.spec(&["read", "/proc/self/cgroup"]));
    assert!(said.iter().any(|line| line == "0::/"), "{said:?}");
    let calls = machine.said(&machine.spec(&["calls"]));
    // Without device rules no device can be made.
    assert!(calls.contains(&"mknod-disk=1".to_owned()), "{calls:?}");
}
