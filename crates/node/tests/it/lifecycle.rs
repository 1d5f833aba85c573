//! Tasks from their start to their end.

use std::collections::BTreeMap;
use std::time::Duration;

use gantry_domain::assignment::TaskPhase;
use gantry_domain::task::{ContainerStatus, HealthStatus, StopCode};
use gantry_domain::task_definition::{DependencyCondition, MountPoint, Volume};
use gantry_types::{ContainerName, CpuUnits, MemoryMib};

use crate::definition::{after, container, health_check, source, task};
use crate::harness::Test;
use crate::world::world;

pub(crate) const TESTS: &[Test] = &[
    ("lifecycle::a_task_runs_is_told_stops_and_leaves_nothing", a_task_runs_is_told_stops_and_leaves_nothing),
    ("lifecycle::an_end_is_told_with_its_code", an_end_is_told_with_its_code),
    (
        "lifecycle::the_image_and_the_definition_make_the_container",
        the_image_and_the_definition_make_the_container,
    ),
    ("lifecycle::volumes_are_shared_and_end_with_the_task", volumes_are_shared_and_end_with_the_task),
    ("lifecycle::a_health_check_turns_both_ways", a_health_check_turns_both_ways),
    ("lifecycle::dependencies_order_starts_and_stops", dependencies_order_starts_and_stops),
    ("lifecycle::what_ignores_its_stop_signal_is_killed", what_ignores_its_stop_signal_is_killed),
    ("lifecycle::want_of_memory_is_told_from_other_ends", want_of_memory_is_told_from_other_ends),
];

fn a_task_runs_is_told_stops_and_leaves_nothing() {
    world(|world| {
        world.start(&[5]);
        let task = task(5, vec![container("web", &["sleep-politely"])]);
        let report = world.run_to(&task, TaskPhase::Running);
        let web = &report.containers[0];
        assert_eq!(web.status, ContainerStatus::Running);
        let id = web.runtime_id.clone().expect("a runtime id");
        assert!(id.starts_with(task.task.as_str()), "{id}");
        assert!(web.image_digest.as_ref().is_some_and(|digest| digest.starts_with("sha256:")), "{web:?}");
        let times = (report.pull_started_at, report.pull_stopped_at, report.started_at);
        assert!(matches!(times, (Some(a), Some(b), Some(c)) if a <= b && b <= c), "{times:?}");
        world.control().line(&source(&task, "web"), "ready");

        let report = world.stop_to_end(&task);
        assert_eq!(report.containers[0].exit_code, Some(0));
        assert_eq!(report.stop, None, "it was told to");
        world.control().line(&source(&task, "web"), "stopped politely");
        let before = world.cgroups();
        assert!(!before.is_empty());
        world.forget(&task);
        for directory in ["tasks", "containers", "spool"] {
            assert_eq!(world.names_in(directory), Vec::<String>::new(), "{directory}");
        }
        for group in before {
            assert!(!group.join(task.task.as_str()).exists(), "{}", group.display());
        }
        assert!(!world.config.run_dir.join("netns").join(crate::definition::interface_id(5)).exists());
        // A late order does not run it again.
        world.run(&task);
        let other = crate::definition::task(6, vec![container("web", &["exit", "0"])]);
        world.tell_vpc(&[6]);
        world.run_to(&other, TaskPhase::Stopped);
        assert_eq!(world.names_in("tasks"), [other.task.as_str()]);
    });
}

fn an_end_is_told_with_its_code() {
    world(|world| {
        world.start(&[5, 6]);
        let task = task(5, vec![container("web", &["exit", "3"])]);
        let report = world.run_to(&task, TaskPhase::Stopped);
        assert_eq!((report.containers[0].exit_code, &report.containers[0].reason), (Some(3), &None));
        let stop = report.stop.expect("a cause");
        assert_eq!(stop.code, StopCode::EssentialContainerExited);
        assert_eq!(stop.reason, "Essential container in task exited");
        // A side container's end is not the task's.
        let mut side = container("side", &["exit", "1"]);
        side.essential = false;
        let task = crate::definition::task(6, vec![container("web", &["sleep-politely"]), side]);
        world.run(&task);
        let (_, report) = world.control().report_when(&task.task, "the side container's end", |report| {
            report.containers[1].exit_code == Some(1) && report.phase == TaskPhase::Running
        });
        assert_eq!(report.stop, None);
        world.wait_until_polite(&task);
        world.stop_to_end(&task);
    });
}

fn the_image_and_the_definition_make_the_container() {
    world(|world| {
        world.start(&[5]);
        let mut print = container("print", &["env"]);
        print.environment = [("BOTH", "task"), ("FROM_TASK", "1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let mut user = container("user", &["user"]);
        user.user = Some("app".to_owned());
        let mut cwd = container("cwd", &["cwd"]);
        cwd.working_directory = Some("/made/here".to_owned());
        let mut entry = container("entry", &[]);
        entry.entry_point = Some(vec!["/app".to_owned(), "print".to_owned(), "own entry point".to_owned()]);
        entry.command = None;
        let mut hosts = container("hosts", &["cat", "/etc/hosts"]);
        hosts.read_only_root = true;
        let mut resolver = container("resolver", &["cat", "/etc/resolv.conf"]);
        resolver.init_process = true;
        let waits = container("waits", &["sleep-politely"]);
        let mut containers = vec![print, user, cwd, entry, hosts, resolver];
        for container in &mut containers {
            container.essential = false;
        }
        containers.push(waits);
        let task = task(5, containers);
        world.run(&task);
        world.control().report_when(&task.task, "the end of all that end", |report| {
            report.containers[..6].iter().all(|container| container.exit_code == Some(0))
        });
        let said = |container: &str, last: &str| {
            world.control().line(&source(&task, container), last);
            world.control().texts(&source(&task, container))
        };
        let variables = said("print", "FROM_TASK=1");
        for variable in ["FROM_IMAGE=1", "BOTH=task", "HOSTNAME=ip-172-31-1-5.ec2.internal"] {
            assert!(variables.iter().any(|line| line == variable), "{variable} of {variables:?}");
        }
        assert!(variables.iter().any(|line| line.starts_with("PATH=/")), "{variables:?}");
        assert_eq!(said("user", "1000:1001"), ["1000:1001"]);
        assert_eq!(said("cwd", "/made/here"), ["/made/here"]);
        assert_eq!(said("entry", "own entry point"), ["own entry point"]);
        let own = "172.31.1.5 ip-172-31-1-5.ec2.internal";
        assert_eq!(said("hosts", own), ["127.0.0.1 localhost", own]);
        let search = "search ec2.internal";
        assert_eq!(said("resolver", search), ["nameserver 172.31.0.2", search]);
        world.wait_until_polite(&task);
        world.stop_to_end(&task);
    });
}

fn volumes_are_shared_and_end_with_the_task() {
    world(|world| {
        world.start(&[5]);
        let host = world.directory.join("host/data");
        let file = world.directory.join("a-file");
        std::fs::write(&file, "of the host").unwrap();
        let point = |volume: &str, path: &str| MountPoint {
            source_volume: volume.to_owned(),
            container_path: path.to_owned(),
            read_only: false,
        };
        let mut one = container("one", &["check", "/shared"]);
        one.mount_points =
            vec![point("scratch", "/shared"), point("host", "/data"), point("file", "/etc/of-the-host")];
        one.essential = false;
        let waits = container("waits", &["sleep-politely"]);
        let volumes = vec![
            Volume { name: "scratch".to_owned(), host_path: None },
            Volume { name: "host".to_owned(), host_path: Some(host.to_str().unwrap().to_owned()) },
            Volume { name: "file".to_owned(), host_path: Some(file.to_str().unwrap().to_owned()) },
        ];
        let task = gantry_domain::assignment::TaskSpec { volumes, ..task(5, vec![one, waits]) };
        world.run(&task);
        world
            .control()
            .report_when(&task.task, "the check's end", |report| report.containers[0].exit_code == Some(0));
        assert!(host.is_dir(), "a host path is made where it is missing");
        assert!(world.task_directory(&task).join("volumes/0").is_dir());
        world.wait_until_polite(&task);
        world.stop_to_end(&task);
        world.forget(&task);
        assert!(host.is_dir(), "the host's own stays");
    });
}

fn a_health_check_turns_both_ways() {
    world(|world| {
        world.start(&[5]);
        let shared = world.directory.join("health");
        std::fs::create_dir(&shared).unwrap();
        let mut web = container("web", &["sleep-politely"]);
        web.health_check = Some(health_check(&["CMD", "/app", "check", "/health/good"], 100, 2));
        web.mount_points = vec![MountPoint {
            source_volume: "health".to_owned(),
            container_path: "/health".to_owned(),
            read_only: true,
        }];
        let volumes =
            vec![Volume { name: "health".to_owned(), host_path: Some(shared.to_str().unwrap().to_owned()) }];
        let task = gantry_domain::assignment::TaskSpec { volumes, ..task(5, vec![web]) };
        std::fs::write(shared.join("good"), "").unwrap();
        world.run(&task);
        let control = world.control();
        let healthy = |wanted| move |report: &gantry_domain::assignment::TaskReport| report.health == wanted;
        control.report_when(&task.task, "HEALTHY", healthy(HealthStatus::Healthy));
        assert_eq!(control.reports(&task.task)[0].health, HealthStatus::Unknown);
        std::fs::remove_file(shared.join("good")).unwrap();
        let (_, report) = control.report_when(&task.task, "UNHEALTHY", healthy(HealthStatus::Unhealthy));
        assert_eq!(report.phase, TaskPhase::Running, "control decides what becomes of it");
        control.forget_reports();
        std::fs::write(shared.join("good"), "").unwrap();
        control.report_when(&task.task, "HEALTHY again", healthy(HealthStatus::Healthy));
        world.wait_until_polite(&task);
        world.stop_to_end(&task);
    });
}

fn dependencies_order_starts_and_stops() {
    world(|world| {
        world.start(&[5]);
        let mut migrate = container("migrate", &["exit", "0"]);
        migrate.essential = false;
        let mut web = container("web", &["sleep-politely"]);
        web.health_check = Some(health_check(&["CMD", "/app", "check", "/app"], 50, 1));
        let web = after(web, "migrate", DependencyCondition::Success);
        let proxy = after(container("proxy", &["sleep-politely"]), "web", DependencyCondition::Healthy);
        let task = task(5, vec![proxy, web, migrate]);
        world.run_to(&task, TaskPhase::Running);
        let first = |container: usize| {
            let reports = world.control().reports(&task.task);
            reports.iter().position(|report| report.containers[container].status != ContainerStatus::Pending)
        };
        assert!(first(2) < first(1) && first(1) < first(0), "migrate, then web, then proxy");
        let seen = world.control().reports(&task.task);
        let began = seen.iter().find(|report| report.containers[0].status == ContainerStatus::Running);
        assert_eq!(began.map(|report| report.containers[1].health), Some(HealthStatus::Healthy));
        world.control().forget_reports();
        world.stop_to_end(&task);
        let ends: Vec<ContainerName> = {
            let mut ends = Vec::new();
            for report in world.control().reports(&task.task) {
                for each in report.containers.iter().filter(|each| each.status == ContainerStatus::Stopped) {
                    if !ends.contains(&each.name) {
                        ends.push(each.name.clone());
                    }
                }
            }
            ends
        };
        assert_eq!(ends, ["migrate".into(), "proxy".into(), "web".into()]);
    });
}

fn what_ignores_its_stop_signal_is_killed() {
    world(|world| {
        world.start(&[5]);
        let mut web = container("web", &["sleep"]);
        web.stop_timeout = Some(Duration::from_secs(1));
        let task = task(5, vec![web]);
        let report = world.run_to(&task, TaskPhase::Running);
        assert_eq!(report.stop, None);
        world.stop(&task);
        let (told_at, _) =
            world.control().report_when(&task.task, "Stopping", |report| report.phase == TaskPhase::Stopping);
        let (ended_at, report) =
            world.control().report_when(&task.task, "Stopped", |report| report.phase == TaskPhase::Stopped);
        assert_eq!(report.containers[0].exit_code, Some(137));
        assert_eq!(report.containers[0].reason, None, "not for want of memory");
        let took = ended_at.since(told_at);
        assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(10), "{took:?}");
    });
}

fn want_of_memory_is_told_from_other_ends() {
    world(|world| {
        world.start(&[5, 6]);
        let mut web = container("web", &["eat", "200"]);
        web.memory = Some(MemoryMib(32));
        web.cpu = CpuUnits(256);
        let hungry = task(5, vec![web]);
        // The task's own limit holds for what its containers use together.
        let mut limited = task(6, vec![container("web", &["eat", "200"])]);
        limited.memory = Some(MemoryMib(32));
        let reports: BTreeMap<u8, _> = [(5, hungry), (6, limited)]
            .into_iter()
            .map(|(number, task)| (number, world.run_to(&task, TaskPhase::Stopped)))
            .collect();
        for report in reports.values() {
            let web = &report.containers[0];
            assert_eq!(web.exit_code, Some(137), "{report:?}");
        }
        let reason = |number: u8| reports[&number].containers[0].reason.clone();
        assert_eq!(reason(5).as_deref(), Some("OutOfMemoryError: Container killed due to memory usage"));
        assert_eq!(reason(6), reason(5), "the task's limit");
    });
}
