//! Tasks that cannot start say why.

use gantry_domain::assignment::{TaskPhase, TaskSpec};
use gantry_domain::task::StopCode;
use gantry_domain::task_definition::{ContainerDefinition, NetworkMode};
use gantry_link::ToNode;

use crate::definition::{container, task, vpc};
use crate::harness::Test;
use crate::world::world;

pub(crate) const TESTS: &[Test] = &[
    ("failures::what_cannot_start_says_why", what_cannot_start_says_why),
    ("failures::a_vpc_that_cannot_be_made_fails_its_tasks", a_vpc_that_cannot_be_made_fails_its_tasks),
    ("failures::a_stop_before_the_vpc_is_there_ends_the_task", a_stop_before_the_vpc_is_there_ends_the_task),
    (
        "failures::a_full_disk_starts_nothing_and_room_again_does",
        a_full_disk_starts_nothing_and_room_again_does,
    ),
    ("failures::what_a_failed_container_said_is_kept", what_a_failed_container_said_is_kept),
];

fn what_cannot_start_says_why() {
    let with = |change: fn(&mut ContainerDefinition)| {
        let mut definition = container("web", &["sleep"]);
        change(&mut definition);
        definition
    };
    let cases: [(&str, ContainerDefinition); 6] = [
        (
            "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref \
             docker.io/library/missing:1: could not reach https://registry-1.docker.io/v2/library/missing/manifests/1: ",
            with(|web| web.image = "missing:1".to_owned()),
        ),
        (
            "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref \
             localhost:4566/missing:1: ",
            with(|web| web.image = "localhost:4566/missing:1".to_owned()),
        ),
        ("CannotPullContainerError: ", with(|web| web.image = "NOT//a name".to_owned())),
        ("CannotStartContainerError: ", with(|web| web.entry_point = Some(vec!["/missing".to_owned()]))),
        ("CannotStartContainerError: ", with(|web| web.user = Some("nobody-there".to_owned()))),
        (
            "CannotStartContainerError: the task has no volume gone",
            with(|web| {
                web.mount_points = vec![gantry_domain::task_definition::MountPoint {
                    source_volume: "gone".to_owned(),
                    container_path: "/x".to_owned(),
                    read_only: false,
                }];
            }),
        ),
    ];
    world(move |world| {
        world.start(&[1, 2, 3, 4, 5, 6, 7]);
        for (index, (expected, definition)) in cases.into_iter().enumerate() {
            let task = task(1 + index as u8, vec![definition]);
            let report = world.run_to(&task, TaskPhase::Stopped);
            let stop = report.stop.clone().expect("a cause");
            assert_eq!(stop.code, StopCode::TaskFailedToStart, "{report:?}");
            assert!(
                stop.reason.starts_with(expected) && stop.reason.len() >= expected.len(),
                "{}",
                stop.reason
            );
            assert_eq!(report.containers[0].reason, Some(stop.reason), "the container says it too");
            assert_eq!(report.containers[0].exit_code, None);
            world.forget(&task);
        }
        let task =
            TaskSpec { network_mode: NetworkMode::Bridge, ..task(7, vec![container("web", &["sleep"])]) };
        let reason = world.run_to(&task, TaskPhase::Stopped).stop.expect("a cause").reason;
        let expected = "ResourceInitializationError: the task has no network interface";
        assert_eq!(reason, expected);
        world.forget(&task);
    });
}

fn a_vpc_that_cannot_be_made_fails_its_tasks() {
    world(|world| {
        world.start(&[]);
        let mut spec = vpc(&[5]);
        // Where the pairs of addresses between VPCs and the host come from.
        spec.cidr = gantry_domain::network::Cidr::parse("169.254.192.0/24").unwrap();
        spec.vpc = "vpc-0000000000000000b".into();
        world.control().tell(&ToNode::Vpc(Box::new(spec.clone())));
        let mut task = task(5, vec![container("web", &["sleep"])]);
        if let Some(interface) = &mut task.interface {
            interface.vpc = spec.vpc.clone();
        }
        let stop = world.run_to(&task, TaskPhase::Stopped).stop.expect("a cause");
        assert_eq!(stop.code, StopCode::TaskFailedToStart);
        let expected = "ResourceInitializationError: 169.254.192.0/24 of vpc-0000000000000000b overlaps";
        assert!(stop.reason.starts_with(expected), "{}", stop.reason);
        world.forget(&task);
    });
}

fn a_stop_before_the_vpc_is_there_ends_the_task() {
    world(|world| {
        world.start_control();
        world.start_node();
        world.control().linked(1);
        let task = task(5, vec![container("web", &["sleep"])]);
        world.run_to(&task, TaskPhase::Preparing);
        world.stop_to_end(&task);
        world.forget(&task);
    });
}

fn a_full_disk_starts_nothing_and_room_again_does() {
    world(|world| {
        let tasks = world.config.node_dir.join("tasks");
        std::fs::create_dir_all(&tasks).unwrap();
        let options = Some("size=64k,mode=700");
        nix::mount::mount(Some("tmpfs"), &tasks, Some("tmpfs"), nix::mount::MsFlags::empty(), options)
            .unwrap();
        world.start(&[5, 6]);
        let stays = task(5, vec![container("web", &["sleep-politely"])]);
        world.run_to(&stays, TaskPhase::Running);
        let filler = tasks.join("filler");
        let full = std::fs::write(&filler, vec![0; 1 << 20]).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);

        let refused = task(6, vec![container("web", &["sleep-politely"])]);
        let stop = world.run_to(&refused, TaskPhase::Stopped).stop.expect("a cause");
        let expected = "CannotStartContainerError: could not keep a record of the task on this machine: ";
        assert!(stop.reason.starts_with(expected), "{}", stop.reason);
        // What runs can still be stopped, and is told.
        assert_eq!(world.stop_to_end(&stays).containers[0].exit_code, Some(0));

        std::fs::remove_file(&filler).unwrap();
        world.forget(&refused);
        world.forget(&stays);
        world.tell_vpc(&[7]);
        let again = task(7, vec![container("web", &["sleep-politely"])]);
        world.run_to(&again, TaskPhase::Running);
        world.stop_to_end(&again);
        world.forget(&again);
        world.stop_node();
        nix::mount::umount2(&tasks, nix::mount::MntFlags::MNT_DETACH).unwrap();
    });
}

fn what_a_failed_container_said_is_kept() {
    world(|world| {
        world.start(&[5]);
        let mut web = container("web", &["print-error", "this is why"]);
        web.log = None;
        let task = task(5, vec![web]);
        let report = world.run_to(&task, TaskPhase::Stopped);
        world.forget(&task);
        let spool =
            world.config.node_dir.join("ended").join(report.containers[0].runtime_id.clone().unwrap());
        let lines = gantry_node::output::last_lines(&spool, 10).unwrap();
        assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["this is why"]);
    });
}
