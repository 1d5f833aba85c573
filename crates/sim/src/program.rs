//! What the containers' programs do. An operator deploys a revision; what the revision's programs do is decided here.

use std::time::Duration;

use gantry_domain::task_definition::{
    ContainerDefinition, ContainerDependency, ContainerHealthCheck, DependencyCondition, PortMapping,
    TransportProtocol,
};
use gantry_types::CpuUnits;

/// A program that runs in a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) answers: Answers,
    /// It ends by itself after a time between these milliseconds, with this.
    pub(crate) ends: Option<(u64, u64, Ending)>,
    pub(crate) on_stop_signal: OnStopSignal,
    pub(crate) image: Image,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// It answers as soon as it has booted, in at most so many times what the world's programs take.
    AfterBoots(u64),
    /// It answers every health check with an error.
    WithErrors,
    /// It never listens.
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Code(i32),
    OutOfMemory,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnStopSignal {
    /// Ends within so many milliseconds.
    EndsWithin(u64),
    Ignores,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Image {
    Present,
    Missing,
}

const GOOD: Program = Program {
    answers: Answers::AfterBoots(1),
    ends: None,
    on_stop_signal: OnStopSignal::EndsWithin(300),
    image: Image::Present,
};

/// The revisions whose tasks come to serve.
pub(crate) const GOOD_REVISIONS: [u32; 6] = [1, 2, 3, 4, 5, 6];
/// The revisions whose tasks never serve for long.
pub(crate) const BAD_REVISIONS: [u32; 5] = [7, 8, 9, 10, 11];
/// A task that does something and ends.
pub(crate) const JOB_REVISION: u32 = 12;
pub(crate) const REVISIONS: u32 = 12;
pub(crate) const PORT: u16 = 8000;

/// What the container does in a task of this revision.
pub(crate) fn program(revision: u32, container: &str) -> Program {
    if container != "app" {
        return GOOD;
    }
    match revision {
        5 => Program { answers: Answers::AfterBoots(3), ..GOOD },
        6 => Program { on_stop_signal: OnStopSignal::Ignores, ..GOOD },
        7 => Program { image: Image::Missing, ..GOOD },
        8 => Program { ends: Some((1, 200, Ending::Code(1))), answers: Answers::Never, ..GOOD },
        9 => Program { answers: Answers::WithErrors, ..GOOD },
        10 => Program { ends: Some((5_000, 60_000, Ending::OutOfMemory)), ..GOOD },
        11 => Program { ends: Some((60_000, 300_000, Ending::Code(3))), ..GOOD },
        JOB_REVISION => Program { ends: Some((100, 60_000, Ending::Code(0))), ..GOOD },
        _ => GOOD,
    }
}

/// The containers of a revision, the one that serves last.
pub(crate) fn containers(revision: u32) -> Vec<ContainerDefinition> {
    let check = |interval_s: u64| ContainerHealthCheck {
        command: vec!["CMD".to_owned(), "/check".to_owned()],
        interval: Duration::from_secs(interval_s),
        timeout: Duration::from_secs(5),
        retries: 3,
        start_period: Duration::from_secs(10),
    };
    let depends = |condition| vec![ContainerDependency { container: "aside".into(), condition }];
    let mut app = container("app");
    let mut aside = container("aside");
    match revision {
        2 | 9 => app.health_check = Some(check(30)),
        3 => {
            aside.essential = false;
            app.depends_on = depends(DependencyCondition::Start);
        }
        4 => {
            aside.health_check = Some(check(15));
            app.depends_on = depends(DependencyCondition::Healthy);
        }
        6 => app.stop_timeout = Some(Duration::from_secs(5)),
        _ => {}
    }
    if app.depends_on.is_empty() { vec![app] } else { vec![aside, app] }
}

fn container(name: &str) -> ContainerDefinition {
    ContainerDefinition {
        name: name.into(),
        image: name.to_owned(),
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
        port_mappings: vec![PortMapping {
            name: None,
            container_port: PORT,
            host_port: PORT,
            protocol: TransportProtocol::Tcp,
        }],
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
