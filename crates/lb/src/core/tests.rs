//! What happens, and what is done about it, without a socket.

use std::time::Duration;

use gantry_domain::elb::{Target, TargetHealth, TargetHealthState};
use gantry_routing::ProbeResult;

use super::*;
use crate::testing::{elb, group_config, load_balancer_config, target};

/// A core with the link up and no process before it; each test tells its story in lines.
struct Story {
    state: State,
    now: Timestamp,
}

impl Story {
    fn new() -> Self {
        let mut story = Self { state: State::default(), now: Timestamp::from_millis(1_000_000) };
        story.tell(Event::PredecessorGone);
        story.tell(Event::LinkUp);
        story
    }

    /// With a load balancer that uses the group `g`.
    fn with_targets(targets: Vec<Target>) -> Self {
        let mut story = Self::new();
        story.control(ToLb::LoadBalancer(Box::new(load_balancer_config("a", 80, &elb("targetgroup/g/1")))));
        story.control(ToLb::TargetGroup(Box::new(group_config("g", targets))));
        story
    }

    fn tell(&mut self, event: Event) -> Vec<String> {
        let effects = step(&mut self.state, event, self.now);
        let mut lines: Vec<String> = Vec::new();
        for line in effects.iter().map(line) {
            // What is done once for all of a step is shown once.
            if !matches!(line.as_str(), "publish" | "save") || !lines.contains(&line) {
                lines.push(line);
            }
        }
        lines
    }

    fn control(&mut self, message: ToLb) -> Vec<String> {
        self.tell(Event::Control(Box::new(message)))
    }

    fn group(&mut self, targets: Vec<Target>) -> Vec<String> {
        self.control(ToLb::TargetGroup(Box::new(group_config("g", targets))))
    }

    fn later(&mut self, ms: u64) -> Vec<String> {
        self.now = self.now + Duration::from_millis(ms);
        self.tell(Event::Tick)
    }

    fn probed(&mut self, registration: &str, result: ProbeResult) -> Vec<String> {
        self.tell(Event::Probed { target: key(registration), result })
    }

    fn emptied(&mut self, registration: &str) -> Vec<String> {
        let key = key(registration);
        self.tell(Event::Emptied { target_group: key.target_group, registration: key.registration })
    }
}

fn key(registration: &str) -> TargetKey {
    TargetKey { target_group: elb("targetgroup/g/1"), registration: registration.into() }
}

fn line(effect: &Effect) -> String {
    match effect {
        Effect::Report(FromLb::TargetHealth { registration, health, .. }) => {
            format!("{registration} is {}", health.state)
        }
        Effect::Report(FromLb::Drained { registration, .. }) => format!("{registration} is drained"),
        Effect::Report(FromLb::Listener { error, .. }) => format!("listener: {error:?}"),
        Effect::Report(other) => format!("{other:?}"),
        Effect::Probe(order) => {
            format!("probe {} at {} from {}", order.target.registration, order.address, order.outbound.source)
        }
        Effect::Publish => "publish".to_owned(),
        Effect::Save => "save".to_owned(),
        Effect::Drain(key) => format!("drain {}", key.registration),
        Effect::Readmit(key) => format!("readmit {}", key.registration),
        Effect::Cut(key) => format!("cut {}", key.registration),
    }
}

fn leaving(registration: &str, since: Timestamp) -> Target {
    Target { draining_since: Some(since), ..target("g", registration, 20) }
}

fn healthy(registration: &str) -> Target {
    Target { health: TargetHealth::new(TargetHealthState::Healthy), ..target("g", registration, 20) }
}

const OK: ProbeResult = ProbeResult::Status(200);

#[test]
fn a_new_target_is_probed_and_reported_once() {
    let mut story = Story::new();
    story.control(ToLb::LoadBalancer(Box::new(load_balancer_config("a", 80, &elb("targetgroup/g/1")))));
    let group = || vec![target("g", "r", 20)];
    assert_eq!(story.group(group()), ["publish", "save", "probe r at 172.31.0.20:8000 from 172.31.0.10"]);
    assert_eq!(story.group(group()), ["publish", "save"], "a message that comes twice probes nothing");
    assert_eq!(story.probed("r", OK), ["publish", "save", "r is healthy"]);
    assert_eq!(story.group(group()), ["publish", "save"], "control's record is older than what it was told");
    assert_eq!(story.group(vec![healthy("r")]), ["publish", "save"]);
    assert_eq!(story.later(30_000), ["probe r at 172.31.0.20:8000 from 172.31.0.10"]);
    assert_eq!(story.probed("r", OK), [""; 0]);
}

#[test]
fn the_order_of_messages_does_not_matter() {
    let mut story = Story::new();
    assert_eq!(
        story.group(vec![target("g", "r", 20)]),
        ["publish", "save"],
        "nobody knows from where to probe"
    );
    let config = load_balancer_config("a", 80, &elb("targetgroup/g/1"));
    assert_eq!(
        story.control(ToLb::LoadBalancer(Box::new(config))),
        ["publish", "save", "probe r at 172.31.0.20:8000 from 172.31.0.10"]
    );
}

#[test]
fn a_group_that_nobody_uses_is_unused() {
    let mut story = Story::new();
    let mut config = group_config("g", vec![target("g", "r", 20)]);
    config.in_use = false;
    assert_eq!(story.control(ToLb::TargetGroup(Box::new(config))), ["publish", "save", "r is unused"]);
    let mut other_zone = target("g", "s", 21);
    other_zone.availability_zone = Some("us-east-1c".into());
    let mut story = Story::with_targets(vec![]);
    assert_eq!(story.group(vec![other_zone]), ["publish", "save", "s is unused"]);
}

#[test]
fn a_draining_target_is_reported_when_it_is_empty_and_cut_when_its_time_is_over() {
    let mut story = Story::with_targets(vec![healthy("r")]);
    let since = story.now;
    assert_eq!(story.group(vec![leaving("r", since)]), ["drain r", "publish", "save"]);
    assert_eq!(story.group(vec![leaving("r", since)]), ["publish", "save"], "it is drained once");
    assert_eq!(story.emptied("r"), ["r is drained"]);
    assert_eq!(story.emptied("r"), [""; 0]);
    assert_eq!(story.probed("r", OK), [""; 0], "a late result changes nothing");
    assert_eq!(story.group(vec![target("g", "r", 20)]), ["publish", "save"], "it never comes back");
    assert_eq!(story.later(299_999), [""; 0]);
    assert_eq!(story.later(1), ["cut r"]);
    assert_eq!(story.later(1_000_000), [""; 0], "it was cut once");
    assert_eq!(story.group(vec![]), ["publish", "save"]);
    assert_eq!(story.state.groups().next().unwrap().targets().count(), 0);
}

#[test]
fn a_target_that_vanishes_may_finish_its_requests() {
    let mut story = Story::with_targets(vec![healthy("r")]);
    assert_eq!(story.group(vec![]), ["drain r", "publish", "save"]);
    assert_eq!(story.emptied("r"), [""; 0], "control knows nothing of it any more");
    assert_eq!(story.state.kept_messages().len(), 2);
    assert_eq!(story.later(300_000), ["cut r", "publish"]);
    assert_eq!(story.state.groups().next().unwrap().targets().count(), 0);
}

#[test]
fn while_a_process_before_this_one_serves_nothing_is_drained() {
    let mut story = Story::with_targets(vec![healthy("r")]);
    story.state.predecessor = Predecessor::Possible;
    let since = story.now;
    story.group(vec![leaving("r", since)]);
    assert_eq!(story.emptied("r"), [""; 0]);
    assert_eq!(story.tell(Event::PredecessorGone), ["r is drained"]);
}

#[test]
fn a_new_link_is_told_what_control_does_not_know() {
    let mut story = Story::with_targets(vec![target("g", "r", 20), healthy("s")]);
    story.tell(Event::ListenerStatus { listener: elb("listener/app/a/1/80"), error: None });
    story.probed("r", OK);
    let since = story.now;
    story.tell(Event::LinkDown);
    assert_eq!(story.probed("s", ProbeResult::TimedOut), [""; 0]);
    story.later(30_000);
    assert_eq!(story.probed("s", ProbeResult::TimedOut), ["publish", "save"], "nobody listens");
    assert_eq!(story.tell(Event::LinkUp), ["listener: None"]);
    assert_eq!(
        story.group(vec![target("g", "r", 20), healthy("s")]),
        ["r is healthy", "s is unhealthy", "publish", "save"]
    );
    assert_eq!(story.group(vec![healthy("r"), leaving("s", since)]), ["drain s", "publish", "save"]);
    story.emptied("s");
    story.tell(Event::LinkDown);
    story.tell(Event::LinkUp);
    assert_eq!(story.group(vec![healthy("r"), leaving("s", since)]), ["s is drained", "publish", "save"]);
    let told = Target { drained: true, ..leaving("s", since) };
    story.tell(Event::LinkUp);
    assert_eq!(story.group(vec![healthy("r"), told]), ["publish", "save"]);
}

#[test]
fn a_refused_target_is_asked_quickly_and_readmitted() {
    let mut story = Story::with_targets(vec![healthy("r")]);
    story.probed("r", OK);
    let failed = Event::ConnectionFailed { target_group: elb("targetgroup/g/1"), registration: "r".into() };
    assert_eq!(story.tell(failed), ["publish", "save"]);
    assert!(story.state.is_refused(&key("r")));
    assert_eq!(story.later(10), ["probe r at 172.31.0.20:8000 from 172.31.0.10"]);
    assert_eq!(story.probed("r", ProbeResult::Failed), [""; 0]);
    assert_eq!(story.later(20), ["probe r at 172.31.0.20:8000 from 172.31.0.10"]);
    assert_eq!(story.probed("r", OK), ["readmit r", "publish", "save"]);
}

#[test]
fn a_second_target_starts_slowly_the_first_does_not() {
    let group = |targets| {
        let mut config = group_config("g", targets);
        config.group.attributes.insert("slow_start.duration_seconds".to_owned(), "30".to_owned());
        ToLb::TargetGroup(Box::new(config))
    };
    let mut story = Story::with_targets(vec![]);
    story.control(group(vec![target("g", "r", 20), target("g", "s", 21)]));
    story.probed("r", OK);
    let from =
        |story: &Story, registration| story.state.target(&key(registration)).unwrap().slow_start_from();
    assert_eq!(from(&story, "r"), None);
    story.probed("s", OK);
    assert_eq!(from(&story, "s"), Some(story.now));
    story.control(group(vec![target("g", "r", 20), target("g", "s", 21), target("g", "t", 22)]));
    story.probed("t", ProbeResult::Failed);
    assert_eq!(from(&story, "t"), None);
}

#[test]
fn what_was_not_listed_is_gone() {
    let mut story = Story::with_targets(vec![healthy("r")]);
    let synced = ToLb::Synced { load_balancers: vec![], target_groups: vec![] };
    assert_eq!(story.control(synced), ["drain r", "publish", "save"]);
    assert_eq!((story.state.load_balancers().count(), story.state.groups().count()), (0, 0));
    assert_eq!(story.state.wake_at(), None);
}

#[test]
fn a_new_process_goes_on_where_the_old_one_was() {
    let mut story = Story::with_targets(vec![target("g", "r", 20), target("g", "s", 21)]);
    story.probed("r", OK);
    let mut next = Story::new();
    for message in story.state.kept_messages() {
        next.tell(Event::Kept(Box::new(message)));
    }
    let states: Vec<_> =
        next.state.groups().flat_map(Group::targets).map(|target| target.standing().state.as_str()).collect();
    assert_eq!(states, ["healthy", "initial"]);
    assert_eq!(next.state.kept_messages().len(), story.state.kept_messages().len());
}

#[test]
fn sockets_follow_from_the_listeners() {
    let mut config = load_balancer_config("a", 80, &elb("targetgroup/g/1"));
    config.load_balancer.outside_address = Some(std::net::Ipv4Addr::new(127, 0, 1, 1));
    let mut story = Story::new();
    story.control(ToLb::LoadBalancer(Box::new(config)));
    let mut internal = load_balancer_config("b", 80, &elb("targetgroup/g/1"));
    internal.load_balancer.scheme = gantry_domain::elb::Scheme::Internal;
    internal.load_balancer.subnets[0].address = std::net::Ipv4Addr::new(172, 31, 0, 11);
    story.control(ToLb::LoadBalancer(Box::new(internal)));
    let wanted = wanted_sockets(&story.state, Some(std::net::Ipv4Addr::LOCALHOST));
    let listener = |name: &str| elb(&format!("listener/app/{name}/1/80"));
    let lines: Vec<String> = wanted
        .iter()
        .map(|(name, spec)| {
            format!(
                "{name} {} {:?}",
                spec.vpc.as_ref().map_or("outside", |vpc| vpc.as_str()),
                spec.purpose.listeners()
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            format!("lb/{}/127.0.1.1:80 outside [{:?}]", listener("a"), listener("a")),
            format!("lb/{}/172.31.0.10:80 vpc-1 [{:?}]", listener("a"), listener("a")),
            format!("lb/{}/172.31.0.11:80 vpc-1 [{:?}]", listener("b"), listener("b")),
            format!("lb/shared/127.0.0.1:80 outside [{:?}]", listener("a")),
        ]
    );
}
