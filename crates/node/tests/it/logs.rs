//! What containers write arrives: in order, in time, once.

use std::time::Duration;

use gantry_domain::assignment::TaskPhase;

use crate::definition::{container, source, task};
use crate::harness::Test;
use crate::world::world;

pub(crate) const TESTS: &[Test] = &[
    ("logs::lines_arrive_live_with_their_own_times", lines_arrive_live_with_their_own_times),
    ("logs::a_link_that_breaks_loses_and_repeats_nothing", a_link_that_breaks_loses_and_repeats_nothing),
    ("logs::streams_are_named_as_awslogs_names_them", streams_are_named_as_awslogs_names_them),
    ("logs::output_of_a_task_that_is_gone_is_shipped_first", output_of_a_task_that_is_gone_is_shipped_first),
];

fn lines_arrive_live_with_their_own_times() {
    world(|world| {
        world.start(&[5]);
        let task = task(5, vec![container("web", &["tick", "20"])]);
        world.run_to(&task, TaskPhase::Running);
        let lines =
            world.control().lines_when(&source(&task, "web"), "100 ticks", |lines| lines.len() >= 100);
        let mut late: Vec<u64> = Vec::new();
        for (number, line) in lines.iter().enumerate() {
            assert_eq!(line.record.message, format!("tick {number}"));
            late.push(line.heard_at.since(line.record.at).as_millis() as u64);
        }
        assert!(lines.windows(2).all(|pair| pair[0].record.at <= pair[1].record.at), "times grow");
        let span = lines[99].record.at.since(lines[0].record.at);
        assert!(
            span >= Duration::from_millis(99 * 20),
            "each line has its own time, not its batch's: {span:?}"
        );
        late.sort_unstable();
        assert!(late[50] <= 100, "half of the lines are here within 100 ms: {late:?}");
    });
}

fn a_link_that_breaks_loses_and_repeats_nothing() {
    world(|world| {
        world.start(&[5]);
        let task = task(5, vec![container("web", &["tick", "1"])]);
        world.run_to(&task, TaskPhase::Running);
        let web = source(&task, "web");
        for round in 1..=3 {
            let had = world.control().texts(&web).len();
            world.control().lines_when(&web, "more", |lines| lines.len() > had + 50);
            // What is sent now is not taken, so it has to come again.
            world.control().keep_logs(false);
            world.control().wait_heartbeats(round);
            world.control().hang_up();
            world.control().keep_logs(true);
            world.link(&[5]);
        }
        let had = world.control().texts(&web).len();
        let lines = world.control().lines_when(&web, "more after all", |lines| lines.len() > had + 50);
        for (number, line) in lines.iter().enumerate() {
            assert_eq!(line.record.message, format!("tick {number}"));
        }
    });
}

fn streams_are_named_as_awslogs_names_them() {
    world(|world| {
        world.start(&[5]);
        let mut named = container("named", &["print", "one"]);
        let mut bare = container("bare", &["print-error", "two"]);
        let mut silent = container("silent", &["print", "three"]);
        let option = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let log = |definition: &mut gantry_domain::task_definition::ContainerDefinition, options: Vec<_>| {
            definition.essential = false;
            definition.log.as_mut().unwrap().options = options.into_iter().collect();
        };
        log(&mut named, vec![option("awslogs-group", "g"), option("awslogs-stream-prefix", "p")]);
        log(&mut bare, vec![option("awslogs-group", "g"), option("awslogs-create-group", "true")]);
        silent.essential = false;
        silent.log = None;
        let task = task(5, vec![named, bare, silent, container("waits", &["sleep-politely"])]);
        world.run_to(&task, TaskPhase::Running);
        let control = world.control();
        control.line(&source(&task, "named"), "one");
        control.line(&source(&task, "bare"), "two");
        let prefixed = format!("p/named/{}", task.task);
        assert_eq!(control.stream_of(&source(&task, "named")), Some(("g".to_owned(), prefixed, false)));
        let (_, report) = control
            .report_when(&task.task, "a runtime id", |report| report.containers[1].runtime_id.is_some());
        let id = report.containers[1].runtime_id.clone().unwrap();
        assert_eq!(control.stream_of(&source(&task, "bare")), Some(("g".to_owned(), id, true)));
        world.stop_to_end(&task);
        assert_eq!(world.control().stream_of(&source(&task, "silent")), None, "it is not shipped");
        assert_eq!(world.names_in("spool").len(), 4, "and kept for as long as the task is");
    });
}

fn output_of_a_task_that_is_gone_is_shipped_first() {
    world(|world| {
        world.start(&[5]);
        let task = task(5, vec![container("web", &["print", "last words"])]);
        world.control().keep_logs(false);
        world.run_to(&task, TaskPhase::Stopped);
        world.control().tell(&gantry_link::ToNode::Forget(crate::definition::name_of(&task)));
        crate::world::wait_until("the container is gone", || world.names_in("containers").is_empty());
        assert_eq!(world.names_in("spool").len(), 1, "what it wrote is not");
        world.control().keep_logs(true);
        world.control().hang_up();
        world.link(&[5]);
        world.control().line(&source(&task, "web"), "last words");
        crate::world::wait_until("its output is gone too", || world.names_in("spool").is_empty());
        crate::world::wait_until("the task is gone too", || world.names_in("tasks").is_empty());
    });
}
