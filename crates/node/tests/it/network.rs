//! Tasks reach each other and the names of their VPC.

use gantry_domain::assignment::TaskPhase;

use crate::definition::{container, source, task};
use crate::harness::Test;
use crate::world::world;

pub(crate) const TESTS: &[Test] = &[
    ("network::tasks_reach_each_other_by_address_and_name", tasks_reach_each_other_by_address_and_name),
    ("network::a_vpc_that_nobody_uses_goes", a_vpc_that_nobody_uses_goes),
];

fn tasks_reach_each_other_by_address_and_name() {
    world(|world| {
        world.start(&[5]);
        let server = task(5, vec![container("web", &["serve", "8000"])]);
        world.run_to(&server, TaskPhase::Running);
        world.control().line(&source(&server, "web"), "listening on 8000");
        world.tell_vpc(&[5, 6]);
        let ask = |name: &str, words: &[&str]| {
            let mut each = container(name, words);
            each.essential = false;
            each
        };
        let client = task(
            6,
            vec![
                ask("address", &["get", "http://172.31.1.5:8000/"]),
                ask("balancer", &["resolve", "page.elb.localhost"]),
                ask("peer", &["resolve", "ip-172-31-1-5.ec2.internal"]),
                container("waits", &["sleep-politely"]),
            ],
        );
        world.run_to(&client, TaskPhase::Running);
        world.control().line(&source(&client, "address"), "hello from ip-172-31-1-5.ec2.internal");
        let resolved = |container: &str, address: &str| {
            let lines = world
                .control()
                .lines_when(&source(&client, container), "an answer", |lines| !lines.is_empty());
            assert!(lines[0].record.message.contains(address), "{container}: {}", lines[0].record.message);
        };
        resolved("balancer", "172.31.0.200:0");
        resolved("peer", "172.31.1.5:0");
        world.stop_to_end(&client);
        world.stop_to_end(&server);
    });
}

fn a_vpc_that_nobody_uses_goes() {
    world(|world| {
        world.start(&[5]);
        let task = task(5, vec![container("web", &["sleep-politely"])]);
        world.run_to(&task, TaskPhase::Running);
        let namespace = world.config.run_dir.join("netns").join(crate::definition::VPC);
        assert!(namespace.exists());
        world.control().tell(&gantry_link::ToNode::RemoveVpc(crate::definition::VPC.into()));
        world.stop_to_end(&task);
        assert!(namespace.exists(), "as long as the task is there");
        world.forget(&task);
        crate::world::wait_until("the namespace is gone", || !namespace.exists());
        crate::world::wait_until("its record is gone", || world.names_in("vpcs").is_empty());
        // And comes back.
        world.tell_vpc(&[6]);
        let task = crate::definition::task(6, vec![container("web", &["sleep-politely"])]);
        world.run_to(&task, TaskPhase::Running);
        world.stop_to_end(&task);
    });
}
