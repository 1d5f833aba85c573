use gantry_domain::assignment::InterfaceSpec;
use gantry_domain::network::Cidr;
use gantry_domain::task_definition::{self as definitions, LaunchType, MountPoint, NetworkMode, Volume};
use gantry_domain::task_session::InstallationKey;
use gantry_images::Platform;
use gantry_types::{MemoryMib, arn};

use super::*;
use crate::shell::layout::container_id;

fn definition() -> ContainerDefinition {
    ContainerDefinition {
        name: "web".into(),
        image: "page".to_owned(),
        essential: true,
        cpu: CpuUnits(0),
        memory: None,
        memory_reservation: None,
        entry_point: None,
        command: None,
        environment: Default::default(),
        working_directory: None,
        user: None,
        hostname: None,
        port_mappings: vec![],
        health_check: None,
        stop_timeout: None,
        start_timeout: None,
        log: None,
        depends_on: vec![],
        mount_points: vec![],
        read_only_root: false,
        privileged: false,
        init_process: false,
        capabilities_add: vec![],
        capabilities_drop: vec![],
        ulimits: vec![],
        extra_hosts: vec![],
        dns_servers: vec![],
        dns_search_domains: vec![],
        docker_labels: Default::default(),
    }
}

fn own() -> Option<(Ipv4Addr, &'static str)> {
    Some(([10, 0, 0, 4].into(), "ip-10-0-0-4.ec2.internal"))
}

fn task() -> TaskSpec {
    TaskSpec {
        region: "us-east-1".into(),
        cluster: "c".into(),
        task: "t1".into(),
        arn: arn("ecs", "us-east-1", "task/c/t1"),
        task_definition: arn("ecs", "us-east-1", "task-definition/f:1"),
        family: "f".to_owned(),
        revision: 1,
        service: None,
        launch_type: LaunchType::Fargate,
        availability_zone: "us-east-1a".into(),
        network_mode: NetworkMode::Awsvpc,
        interface: Some(InterfaceSpec {
            interface: "eni-1".into(),
            vpc: "vpc-1".into(),
            subnet: "subnet-1".into(),
            subnet_cidr: Cidr::parse("10.0.0.0/20").unwrap(),
            address: [10, 0, 0, 4].into(),
            mac: "0a:00:0a:00:00:04".to_owned(),
            dns_address: [10, 0, 0, 2].into(),
            private_dns_name: "ip-10-0-0-4.ec2.internal".to_owned(),
        }),
        instance: None,
        cpu: None,
        memory: None,
        containers: vec![],
        volumes: vec![
            Volume { name: "scratch".to_owned(), host_path: None },
            Volume { name: "host".to_owned(), host_path: Some("/srv/data".to_owned()) },
        ],
        role: None,
        key: None,
        shown: Default::default(),
    }
}

fn image() -> ImageConfig {
    ImageConfig {
        platform: Platform::host(),
        created: None,
        env: vec!["PATH=/bin".to_owned(), "A=image".to_owned(), "EMPTY".to_owned()],
        entrypoint: vec!["/entry".to_owned()],
        cmd: vec!["image-command".to_owned()],
        working_dir: "/srv".to_owned(),
        user: "app".to_owned(),
        exposed_ports: vec![],
        volumes: vec![],
        labels: Default::default(),
        stop_signal: None,
        healthcheck: None,
        diff_ids: vec![],
    }
}

fn spec(definition: &ContainerDefinition, image: &ImageConfig) -> Result<ContainerSpec, String> {
    let layout = Layout::new("/node".into());
    let place = Place {
        id: ContainerId::new("t1-0").unwrap(),
        index: 0,
        layout: &layout,
        namespace: "/run/netns/eni-1".into(),
    };
    container_spec(&task(), definition, image, vec!["/layer".into()], place)
}

#[test]
fn entry_points_and_commands_combine_as_docker_combines_them() {
    type Words = &'static [&'static str];
    let cases: [(Option<Words>, Option<Words>, &str); 7] = [
        (None, None, "/entry image-command"),
        (None, Some(&["own", "x"]), "/entry own x"),
        (Some(&["/own"]), None, "/own"),
        (Some(&["/own", "-f"]), Some(&["x"]), "/own -f x"),
        (Some(&[]), None, "/entry image-command"),
        (None, Some(&[]), "/entry image-command"),
        (Some(&[]), Some(&["x"]), "/entry x"),
    ];
    for (entry_point, command, expected) in cases {
        let words =
            |words: Option<Words>| words.map(|words| words.iter().map(|word| (*word).to_owned()).collect());
        let definition =
            ContainerDefinition { entry_point: words(entry_point), command: words(command), ..definition() };
        let found = spec(&definition, &image()).unwrap().command.join(" ");
        assert_eq!(found, expected, "{entry_point:?} {command:?}");
    }
    let bare = ImageConfig { entrypoint: vec![], cmd: vec![], ..image() };
    let error = spec(&definition(), &bare).unwrap_err();
    assert!(error.starts_with("no command specified: neither the image page nor"), "{error}");
}

#[test]
fn variables_of_the_task_are_stronger_than_those_of_ecs_and_those_than_the_images() {
    let words = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let given = words(&[("A", "task"), ("B", "b=c"), ("AWS_REGION", "task")]);
    let definition = ContainerDefinition { environment: given.into_iter().collect(), ..definition() };
    let mut image = image();
    image.env.push("AWS_ENDPOINT_URL=image".to_owned());
    let found = spec(&definition, &image).unwrap().environment;
    let id = container_id(&"t1".into(), 0);
    let uri = |kind: &str| format!("http://169.254.170.2/{kind}/{id}");
    let expected = words(&[
        ("PATH", "/bin"),
        ("A", "task"),
        ("EMPTY", ""),
        ("AWS_ENDPOINT_URL", "http://169.254.170.2:4566"),
        ("AWS_EXECUTION_ENV", "AWS_ECS_FARGATE"),
        ("AWS_REGION", "task"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("ECS_CONTAINER_METADATA_URI", &uri("v3")),
        ("ECS_CONTAINER_METADATA_URI_V4", &uri("v4")),
        ("ECS_AGENT_URI", &uri("api")),
        ("B", "b=c"),
    ]);
    assert_eq!(found, expected);
}

#[test]
fn a_task_with_a_role_is_led_to_its_credentials() {
    let role: gantry_types::Arn = "arn:aws:iam::123456789012:role/page".parse().unwrap();
    let mut task = TaskSpec { role: Some(role), ..task() };
    let named = |task: &TaskSpec| {
        let offered = endpoints::offered(task, 0).into_iter();
        offered
            .filter(|(name, _)| name == "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
            .map(|(_, uri)| uri)
            .next()
    };
    assert_eq!(named(&task), None, "nobody has made a key for it");
    let key = InstallationKey::derive("secret").task_key(&task.subject().unwrap());
    let uri = format!("/v2/credentials/{}", key.credentials_id());
    task.key = Some(key);
    assert_eq!(named(&task), Some(uri));
}

#[test]
fn what_the_definition_does_not_say_the_image_says() {
    let found = spec(&definition(), &image()).unwrap();
    assert_eq!((found.user.as_str(), found.working_directory.to_str()), ("app", Some("/srv")));
    assert_eq!(found.hostname, "ip-10-0-0-4.ec2.internal");
    assert_eq!((found.cpu_shares, found.cpu_quota), (Some(CpuUnits(2)), None));
    let own = ContainerDefinition {
        user: Some("1:2".to_owned()),
        working_directory: Some("own".to_owned()),
        hostname: Some("me".to_owned()),
        cpu: CpuUnits(512),
        memory: Some(MemoryMib(64)),
        memory_reservation: Some(MemoryMib(32)),
        read_only_root: true,
        init_process: true,
        capabilities_add: vec!["SYS_PTRACE".to_owned()],
        ulimits: vec![definitions::Ulimit { name: "nofile".to_owned(), soft: 1, hard: 2 }],
        ..definition()
    };
    let found = spec(&own, &ImageConfig { working_dir: String::new(), ..image() }).unwrap();
    assert_eq!((found.user.as_str(), found.working_directory.to_str()), ("1:2", Some("/own")));
    assert_eq!((found.hostname.as_str(), found.init_process), ("me", true));
    assert_eq!((found.cpu_shares, found.memory_limit_bytes), (Some(CpuUnits(512)), Some(64 << 20)));
    assert_eq!((found.memory_reservation_bytes, found.root_access), (Some(32 << 20), RootAccess::ReadOnly));
    assert_eq!((found.capabilities.add.len(), found.ulimits[0].hard), (1, 2));
    found.check().unwrap();
}

#[test]
fn volumes_are_directories_of_the_task_or_of_the_host() {
    let point = |volume: &str, path: &str, read_only| MountPoint {
        source_volume: volume.to_owned(),
        container_path: path.to_owned(),
        read_only,
    };
    let definition = ContainerDefinition {
        mount_points: vec![point("host", "/data", true), point("scratch", "/tmp/x", false)],
        ..definition()
    };
    let mounts = spec(&definition, &image()).unwrap().mounts;
    let found: Vec<String> = mounts
        .iter()
        .map(|mount| format!("{} {} {:?}", mount.source.display(), mount.target.display(), mount.access))
        .collect();
    let expected = [
        "/node/tasks/t1/files/0/hosts /etc/hosts ReadWrite",
        "/node/tasks/t1/files/0/hostname /etc/hostname ReadWrite",
        "/node/tasks/t1/files/0/resolv.conf /etc/resolv.conf ReadWrite",
        "/srv/data /data ReadOnly",
        "/node/tasks/t1/volumes/0 /tmp/x ReadWrite",
    ];
    assert_eq!(found, expected);
    let definition = ContainerDefinition { mount_points: vec![point("gone", "/data", true)], ..definition };
    assert_eq!(spec(&definition, &image()).unwrap_err(), "the task has no volume gone");
}

#[test]
fn network_files_name_the_task_and_its_dns() {
    let mut definition = definition();
    assert_eq!(hosts_file(&definition, own()), "127.0.0.1 localhost\n10.0.0.4 ip-10-0-0-4.ec2.internal\n");
    assert_eq!(
        resolv_conf(&definition, Some("10.0.0.2"), "ec2.internal"),
        "nameserver 10.0.0.2\nsearch ec2.internal\n"
    );
    definition.extra_hosts = vec![("db".to_owned(), "10.9.9.9".to_owned())];
    definition.dns_servers = vec!["1.1.1.1".to_owned(), "8.8.8.8".to_owned()];
    definition.dns_search_domains = vec!["a.example".to_owned(), "b.example".to_owned()];
    assert!(hosts_file(&definition, own()).ends_with("\n10.9.9.9 db\n"));
    assert_eq!(
        resolv_conf(&definition, Some("10.0.0.2"), "ec2.internal"),
        "nameserver 1.1.1.1\nnameserver 8.8.8.8\nsearch a.example b.example\n"
    );
}
