//! `control` is killed at every step of a story, with and without the commits of its last step: the story ends the same.

use std::time::Duration;

use super::stories::{roll, steady, stop_task};
use super::world::World;

const SECOND: Duration = Duration::from_secs(1);

fn sweep(story: impl Fn(&mut World), check: impl Fn(&World)) {
    let begin = |kill: Option<(u64, bool)>| {
        let mut world = steady(2);
        let before = world.steps;
        world.kill_after = kill.map(|(step, commits)| (before + step, commits));
        story(&mut world);
        world.until("steady again", SECOND * 30, |world| {
            let service = world.service("web");
            let running = world.node.tasks.len();
            service.steady && service.deployments.len() == 1 && running == 2 && world.healthy("web") == 2
        });
        check(&world);
        // Nothing is left to do.
        world.pass(SECOND * 40);
        assert!(world.service("web").steady, "{}", world.describe());
        world.steps - before
    };
    let steps = begin(None);
    assert!(steps > 10, "the story has {steps} steps");
    for step in 1..=steps.min(150) {
        for commits in [false, true] {
            begin(Some((step, commits)));
        }
    }
}

#[test]
fn a_rolling_update() {
    sweep(
        |world| roll(world, 2, 2),
        |world| assert!(world.wanted("web").iter().all(|task| task.task_definition.name() == "2")),
    );
}

#[test]
fn a_stopped_task() {
    sweep(
        |world| {
            let task = world.wanted("web")[0].clone();
            stop_task(world, &task);
            world.until("it has stopped", SECOND * 10, |world| {
                world.tasks().iter().any(|each| each.id == task.id && each.is_stopped())
            });
        },
        |world| assert_eq!(world.tasks().len(), 3),
    );
}

#[test]
fn a_killed_container() {
    sweep(
        |world| {
            let task = world.wanted("web")[0].clone();
            world.kill_container(&task);
            world.until("it was noticed", SECOND * 10, |world| {
                world.tasks().iter().any(|each| each.id == task.id && each.is_stopped())
            });
        },
        |world| assert_eq!(world.tasks().len(), 3),
    );
}

#[test]
fn a_restart_of_the_machine() {
    sweep(
        |world| {
            world.reboot();
            world.until("it was noticed", SECOND * 10, |world| {
                world.tasks().iter().filter(|each| each.is_stopped()).count() == 2
            });
        },
        |world| assert_eq!(world.tasks().len(), 4),
    );
}
