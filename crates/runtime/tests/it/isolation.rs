//! What a container sees and may do.

use std::fs;

use gantry_runtime::{CapabilityChanges, Mount, MountAccess, Network, RootAccess, Tmpfs};

use crate::harness::Test;
use crate::machine::{Machine, PATIENCE};

pub(crate) const TESTS: &[Test] = &[
    ("isolation::a_program_finds_what_its_task_says", a_program_finds_what_its_task_says),
    ("isolation::the_defaults_are_dockers", the_defaults_are_dockers),
    (
        "isolation::forbidden_calls_fail_and_capabilities_give_some_back",
        forbidden_calls_fail_and_capabilities_give_some_back,
    ),
    ("isolation::mounts_are_read_only_or_writable_as_asked", mounts_are_read_only_or_writable_as_asked),
    ("isolation::layers_are_stacked_and_never_written", layers_are_stacked_and_never_written),
    ("isolation::kernel_parameters_are_the_namespaces_own", kernel_parameters_are_the_namespaces_own),
    ("isolation::a_network_namespace_is_joined_by_path", a_network_namespace_is_joined_by_path),
    ("isolation::a_container_sees_its_own_control_groups", a_container_sees_its_own_control_groups),
];

fn has(lines: &[String], expected: &[&str]) {
    for line in expected {
        assert!(lines.iter().any(|found| found == line), "no {line:?} in {lines:#?}");
    }
}

fn a_program_finds_what_its_task_says() {
    let machine = Machine::new();
    let mut spec = machine.spec(&["about", "ignored"]);
    spec.command = vec!["program".to_owned(), "about".to_owned()];
    spec.environment =
        vec![("ONE".to_owned(), "1=2 3".to_owned()), ("PATH".to_owned(), "/nowhere:/bin".to_owned())];
    spec.user = "app".to_owned();
    spec.working_directory = "/srv/new".into();
    spec.hostname = "ip-10-0-0-1".to_owned();
    has(
        &machine.said(&spec),
        &[
            "pid=1",
            "uid=1000 gid=1001",
            "groups=[50]",
            "cwd=/srv/new",
            "hostname=ip-10-0-0-1",
            "env ONE=1=2 3",
            "env PATH=/nowhere:/bin",
            "env HOME=/home/app",
            "env HOSTNAME=ip-10-0-0-1",
            // A user that is not root has none of the capabilities that the container may have.
            "CapEff: 0000000000000000",
            "CapPrm: 0000000000000000",
        ],
    );
}

fn the_defaults_are_dockers() {
    let machine = Machine::new();
    for init_process in [false, true] {
        let mut spec = machine.spec(&["about"]);
        spec.init_process = init_process;
        has(
            &machine.said(&spec),
            &[
                "uid=0 gid=0",
                "groups=[]",
                "cwd=/",
                "env HOME=/root",
                "env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "CapInh: 0000000000000000",
                "CapPrm: 00000000a80425fb",
                "CapEff: 00000000a80425fb",
                "CapBnd: 00000000a80425fb",
                "CapAmb: 0000000000000000",
                "NoNewPrivs: 0",
                "Seccomp: 2",
                // The standard library of the test's program ignores SIGPIPE; nothing else is inherited.
                "SigIgn: 0000000000001000",
                "SigBlk: 0000000000000000",
                // Standard streams, and the directory that lists them.
                "descriptors=4",
                "oom_score_adj=0",
            ],
        );
    }
    let mut spec = machine.spec(&["about"]);
    spec.no_new_privileges = true;
    spec.capabilities = CapabilityChanges { add: Vec::new(), drop: vec!["ALL".to_owned()] };
    has(
        &machine.said(&spec),
        &["NoNewPrivs: 1", "CapEff: 0000000000000000", "CapBnd: 0000000000000000", "Seccomp: 2"],
    );
}

fn forbidden_calls_fail_and_capabilities_give_some_back() {
    let machine = Machine::new();
    has(
        &machine.said(&machine.spec(&["calls"])),
        &[
            "mount=1",
            "unshare=1",
            "keyctl=1",
            "clone3=38",
            "bpf=1",
            "sethostname=1",
            "getpid=0",
            // A device may be made, but not be used.
            "mknod-disk=0",
            "open-disk=1",
            "proc-sys=30",
            "timer-list=0",
        ],
    );
    let mut spec = machine.spec(&["calls"]);
    spec.capabilities.add = vec!["SYS_ADMIN".to_owned()];
    // Past the filter: the kernel now looks at the arguments.
    has(&machine.said(&spec), &["mount=14", "unshare=0", "clone3=22", "sethostname=0", "keyctl=1"]);
    let mut spec = machine.spec(&["calls"]);
    spec.capabilities.drop = vec!["MKNOD".to_owned()];
    has(&machine.said(&spec), &["mknod-disk=1"]);
}

fn mounts_are_read_only_or_writable_as_asked() {
    let machine = Machine::new();
    let data = machine.directory.join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("file"), "from the host").unwrap();
    let resolver = machine.directory.join("resolv.conf");
    fs::write(&resolver, "nameserver 10.0.0.2\n").unwrap();
    let with = |words: &[&str]| {
        let mut spec = machine.spec(words);
        let mount = |source: &std::path::Path, target: &str, access| Mount {
            source: source.to_owned(),
            target: target.into(),
            access,
        };
        spec.mounts = vec![
            mount(&data, "/writable", MountAccess::ReadWrite),
            mount(&data, "/fixed", MountAccess::ReadOnly),
            mount(&resolver, "/etc/resolv.conf", MountAccess::ReadOnly),
        ];
        spec.tmpfs = vec![Tmpfs {
            target: "/scratch".into(),
            size_bytes: 1 << 20,
            options: vec!["noexec".to_owned()],
        }];
        spec.root_access = RootAccess::ReadOnly;
        machine.said(&spec)
    };
    assert_eq!(with(&["read", "/etc/resolv.conf"]), ["nameserver 10.0.0.2"]);
    assert_eq!(with(&["read", "/fixed/file"]), ["from the host"]);
    assert_eq!(with(&["write", "/fixed/file", "x"]), ["error 30"]);
    assert_eq!(with(&["write", "/etc/file", "x"]), ["error 30"]);
    assert_eq!(with(&["write", "/scratch/file", "x"]), ["written"]);
    assert_eq!(with(&["write", "/dev/shm/file", "x"]), ["written"]);
    assert_eq!(with(&["write", "/writable/file", "from inside"]), ["written"]);
    assert_eq!(fs::read_to_string(data.join("file")).unwrap(), "from inside");
}

fn kernel_parameters_are_the_namespaces_own() {
    let machine = Machine::new();
    let read = |name: &str, controls: &[(&str, &str)]| {
        let mut spec = machine.spec(&["read", &format!("/proc/sys/{}", name.replace('.', "/"))]);
        spec.user = "app".to_owned();
        spec.system_controls =
            controls.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        machine.said(&spec)
    };
    let ports = "net.ipv4.ip_unprivileged_port_start";
    let hosts = || fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    let before = hosts();
    assert_eq!(read(ports, &[]), ["0"]);
    assert_eq!(read(ports, &[(ports, "443")]), ["443"]);
    assert_eq!(read("kernel.msgmax", &[("kernel.msgmax", "4096")]), ["4096"]);
    assert_eq!(hosts(), before);
}

fn layers_are_stacked_and_never_written() {
    let machine = Machine::new();
    let mut spec = machine.spec(&["read", "/etc/which"]);
    let base = spec.layers.pop().unwrap();
    // Enough, with long names and letters that options give a meaning, for more than one page of options.
    let mut layers: Vec<_> = (0..60)
        .map(|index| {
            let layer = machine.directory.join(format!("layer {index}: {}, x\\y", "long".repeat(25)));
            fs::create_dir_all(layer.join("etc")).unwrap();
            fs::write(layer.join("etc/which"), format!("layer {index}")).unwrap();
            fs::write(layer.join(format!("etc/only-{index}")), format!("only {index}")).unwrap();
            layer
        })
        .collect();
    layers.push(base.clone());
    spec.layers = layers.clone();
    assert_eq!(machine.said(&spec), ["layer 0"]);
    let mut spec = machine.spec(&["read", "/etc/only-59"]);
    spec.layers = layers.clone();
    assert_eq!(machine.said(&spec), ["only 59"]);
    let mut spec = machine.spec(&["write", "/etc/which", "changed"]);
    spec.layers = layers.iter().take(2).chain([&base]).cloned().collect();
    assert_eq!(machine.said(&spec), ["written"]);
    assert_eq!(fs::read_to_string(layers[0].join("etc/which")).unwrap(), "layer 0");
}

fn a_network_namespace_is_joined_by_path() {
    let machine = Machine::new();
    // A namespace that lives as long as another container.
    let mut owner = machine.spec(&["wait"]);
    owner.task = gantry_types::TaskId::from("other");
    let started = machine.start(&owner);
    let path = format!("/proc/{}/ns/net", started.pid);
    let inode = fs::read_link(&path).unwrap().to_string_lossy().into_owned();
    let mut spec = machine.spec(&["wait"]);
    spec.network = Network::Namespace(path.into());
    let joined = machine.start(&spec);
    let namespace =
        |pid: i32| fs::read_link(format!("/proc/{pid}/ns/net")).unwrap().to_string_lossy().into_owned();
    assert_eq!(namespace(joined.pid), inode);
    let host = namespace(i32::try_from(std::process::id()).unwrap());
    assert_ne!(namespace(joined.pid), host);
    let mut spec = machine.spec(&["wait"]);
    spec.network = Network::Host;
    assert_eq!(namespace(machine.start(&spec).pid), host);
    let mut spec = machine.spec(&["wait"]);
    spec.network = Network::Namespace("/no/such/namespace".into());
    assert!(machine.runtime.start(&spec).is_err());
}

fn a_container_sees_its_own_control_groups() {
    let machine = Machine::new();
    let read = |path: &str| {
        let mut spec = machine.spec(&["read", path]);
        spec.memory_limit_bytes = Some(64 << 20);
        machine.said(&spec)
    };
    let limit = if fs::exists("/sys/fs/cgroup/memory").unwrap() {
        read("/sys/fs/cgroup/memory/memory.limit_in_bytes")
    } else {
        read("/sys/fs/cgroup/memory.max")
    };
    assert_eq!(limit, ["67108864"]);
    // Its own group is the root of what it sees.
    let groups = read("/proc/self/cgroup");
    let memory = groups.iter().find(|line| line.contains(":memory:") || line.starts_with("0::")).unwrap();
    assert!(memory.ends_with(":/"), "{groups:?}");
    let mut spec = machine.spec(&["write", "/sys/fs/cgroup/memory/memory.limit_in_bytes", "1"]);
    spec.memory_limit_bytes = Some(64 << 20);
    let mut started = machine.start(&spec);
    started.exit.wait(PATIENCE).unwrap();
    machine.wait_for_line(&spec, "error 30");
}
