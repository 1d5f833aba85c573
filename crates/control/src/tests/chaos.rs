//! Faults at random, any number at a time; when they end, everything converges.

use std::time::Duration;

use gantry_domain::Change;
use gantry_domain::elb::Target;
use gantry_domain::network::NetworkInterface;
use gantry_domain::task::{Task, TaskStatus};
use gantry_types::Ids;

use super::records;
use super::stories::{roll, stop_task};
use super::world::World;

const SECOND: Duration = Duration::from_secs(1);

/// Two services through a story that the seed tells. Faults end after a while; then both become steady.
fn run(seed: u64) {
    let mut chance = Ids::from_seed(seed);
    let mut world = World::new();
    world.ids = Ids::from_seed(seed ^ 0x5eed);
    let now = world.now;
    for (name, port, balanced) in [("web", 80, true), ("worker", 81, false)] {
        world.put(records::target_group(name, port, now));
        let mut service = records::service(name, 2 + chance.below(3) as u32, balanced, now);
        // One task at 50/100 is one that can neither be stopped nor doubled: that is told, and stays.
        if name == "web" {
            (service.minimum_healthy_percent, service.maximum_percent) =
                [(100, 200), (50, 150), (50, 100), (0, 200)][chance.below(4) as usize];
        }
        world.put(vec![Change::create(service)]);
    }
    world.commit_fails_every = (chance.below(2) == 0).then_some(12);
    let mut revision = 1;
    for _ in 0..8 + chance.below(20) {
        world.pass(Duration::from_millis(chance.below(400)));
        let any = |world: &World, chance: &mut Ids| {
            let tasks: Vec<Task> = world.tasks().into_iter().filter(|task| !task.is_stopped()).collect();
            (!tasks.is_empty()).then(|| tasks[chance.below(tasks.len() as u64) as usize].clone())
        };
        match chance.below(13) {
            12 => world.clock_skew_ms = chance.below(1_200_000) as i64 - 600_000,
            0 => world.kill_core(),
            1 => world.kill_after = Some((world.steps + 1 + chance.below(20), chance.below(2) == 0)),
            2 => world.node_disconnects(),
            3 => world.node_returns(),
            4 => world.lb_restarts(),
            5 => world.reboot(),
            6 => {
                if let Some(task) = any(&world, &mut chance) {
                    world.kill_container_if_any(&task);
                }
            }
            7 => {
                if let Some(task) = any(&world, &mut chance).filter(Task::is_wanted) {
                    stop_task(&mut world, &task);
                }
            }
            8 | 9 => {
                revision += 1;
                let fails = chance.below(3) == 0;
                world.node.cannot_start = fails.then(|| records::definition_arn(revision));
                roll(&mut world, u64::from(revision), revision);
            }
            10 => {
                let count = chance.below(4) as u32;
                world.change_service("worker", |service| service.desired_count = count);
            }
            _ => {
                if let Some(task) = any(&world, &mut chance) {
                    world.lb.always_unhealthy.insert(task.id.clone());
                    world.lb_probes_again();
                }
            }
        }
        world.commit_takes = Duration::from_millis(1 + chance.below(60));
    }
    world.commit_fails_every = None;
    world.node.cannot_start = None;
    world.lb.always_unhealthy.clear();
    world.lb_probes_again();
    world.node_returns();
    world.until(&format!("seed {seed} converges"), SECOND * 300, |world| {
        ["web", "worker"].iter().all(|name| {
            let service = world.service(name);
            let wanted = world.wanted(name);
            service.steady
                && service.deployments.len() == 1
                && wanted.len() == service.desired_count as usize
                && wanted.iter().all(|task| task.last_status == TaskStatus::Running)
        })
    });
    world.pass(SECOND * 310);
    let wanted: Vec<Task> = world.tasks().into_iter().filter(Task::is_wanted).collect();
    assert_eq!(world.node.tasks.len(), wanted.len(), "seed {seed}: the node has what is wanted");
    assert_eq!(world.view.scan::<NetworkInterface>("").count(), wanted.len(), "seed {seed}: interfaces");
    let balanced = wanted.iter().filter(|task| task.group == "service:web").count();
    assert_eq!(world.view.scan::<Target>("").count(), balanced, "seed {seed}: targets");
    let unaccounted = |task: &&Task| task.is_stopped() && !task.accounted;
    assert_eq!(
        world.tasks().iter().filter(unaccounted).count(),
        0,
        "seed {seed}: ends that were not counted"
    );
}

#[test]
fn whatever_happens_it_converges() {
    for seed in 0..80 {
        run(seed);
    }
}
