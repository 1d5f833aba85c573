use super::*;

fn spec() -> ContainerSpec {
    ContainerSpec {
        id: ContainerId::new("0123-web").expect("a plain id"),
        task: TaskId::from("0123"),
        layers: vec![PathBuf::from("/layers/a")],
        command: vec!["/bin/program".to_owned()],
        environment: vec![("A".to_owned(), "b=c".to_owned())],
        working_directory: PathBuf::from("/"),
        user: String::new(),
        hostname: "web".to_owned(),
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
        output: OutputTarget { path: PathBuf::from("/output"), bytes_max: 1 << 20 },
    }
}

#[test]
fn a_specification_survives_its_file() {
    let text = serde_json::to_string(&spec()).expect("it is plain data");
    assert_eq!(serde_json::from_str::<ContainerSpec>(&text).expect("it was just written"), spec());
    assert_eq!(spec().check(), Ok(()));
}

#[test]
fn what_can_be_known_wrong_is_refused_before_anything_is_made() {
    type Change = fn(&mut ContainerSpec);
    let cases: [(Change, &str); 15] = [
        (|spec| spec.pids_limit = Some(3), "a limit of 3 processes"),
        (|spec| spec.task = TaskId::from("../up"), "task id \"../up\""),
        (|spec| spec.layers.clear(), "between 1 and 500 layers, not 0"),
        (|spec| spec.layers[0] = PathBuf::from("/a/../b"), "layer \"/a/../b\""),
        (|spec| spec.command.clear(), "command is empty"),
        (|spec| spec.command[0].clear(), "command is empty"),
        (|spec| spec.command.push("a\0b".to_owned()), "the command holds a NUL byte"),
        (|spec| spec.environment.push(("A=B".to_owned(), String::new())), "variable name \"A=B\""),
        (|spec| spec.working_directory = PathBuf::from("app"), "working directory \"app\""),
        (
            |spec| {
                spec.mounts.push(Mount {
                    source: PathBuf::from("/data"),
                    target: PathBuf::from("/a/../../etc"),
                    access: MountAccess::ReadWrite,
                });
            },
            "mount target",
        ),
        (|spec| spec.capabilities.add.push("FLY".to_owned()), "unknown capability \"FLY\""),
        (
            |spec| spec.ulimits.push(Ulimit { name: "nofile".to_owned(), soft: 2, hard: 1 }),
            "the soft limit 2 is above the hard limit 1",
        ),
        (
            |spec| spec.system_controls.push(("kernel.panic".to_owned(), "1".to_owned())),
            "system control \"kernel.panic\" is not namespaced",
        ),
        (
            |spec| {
                spec.memory_limit_bytes = Some(1);
                spec.memory_reservation_bytes = Some(2);
            },
            "reservation of 2 bytes is above the limit of 1",
        ),
        (
            |spec| {
                spec.tmpfs.push(Tmpfs {
                    target: PathBuf::from("/tmp"),
                    size_bytes: 1,
                    options: vec!["remount".to_owned()],
                });
            },
            "mount option \"remount\"",
        ),
    ];
    for (change, expected) in cases {
        let mut spec = spec();
        change(&mut spec);
        let error = spec.check().expect_err(expected).to_string();
        assert!(error.contains(expected), "{error} does not say {expected}");
    }
}

#[test]
fn an_id_stays_inside_its_directory() {
    for text in ["", ".", "..", ".hidden", "a/b", "a b", "ä", "-a", &"x".repeat(129)] {
        assert!(ContainerId::new(text).is_err(), "{text:?}");
    }
    for text in ["a", "a.b-c_d", &"x".repeat(128)] {
        assert!(ContainerId::new(text).is_ok(), "{text:?}");
    }
}

#[test]
fn signals_are_known_by_name_and_number() {
    for (text, number) in [
        ("SIGTERM", 15),
        ("term", 15),
        ("9", 9),
        ("SIGQUIT", 3),
        ("SIGRTMIN+3", nix::libc::SIGRTMIN() + 3),
        ("RTMAX-1", nix::libc::SIGRTMAX() - 1),
    ] {
        assert_eq!(StopSignal::parse(text).map(StopSignal::as_raw), Ok(number), "{text}");
    }
    for text in ["", "0", "65", "-1", "SIGNONE", "RTMIN+x"] {
        assert!(StopSignal::parse(text).is_err(), "{text}");
    }
}
