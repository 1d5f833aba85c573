//! No request fails that need not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use gantry_domain::elb::TargetHealthState;
use gantry_lb::Limits;
use gantry_link::FromLb;
use gantry_types::Timestamp;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;

use crate::support::{Client, Plan, Upstream, World, group, ok, read_head, read_request, soon};

/// Answers the first request on each connection, and closes when the second one comes, as a server does whose keep-alive is
/// over that moment.
async fn closes_on_the_second() -> Upstream {
    Upstream::start(|mut stream, requests| async move {
        let mut buffer = Vec::new();
        let Some(request) = read_request(&mut stream, &mut buffer).await else { return };
        let probe = request.path() == "/health";
        let path = request.path().to_owned();
        stream.write_all(&ok(&path)).await.unwrap();
        if !probe {
            requests.lock().unwrap().push(request);
            let _ = read_request(&mut stream, &mut buffer).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_stale_connection_costs_an_idempotent_request_nothing() {
    let upstream = closes_on_the_second().await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    let mut client = world.connect().await;
    for index in 0..5 {
        client.send(format!("GET /{index} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await;
        assert_eq!(client.response().await.text(), format!("/{index}"));
    }
    client.send(b"PUT /put HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await;
    assert_eq!(client.response().await.text(), "/put");
    assert_eq!(upstream.seen().last().unwrap().body, b"abc", "the body was sent again");
    assert!(world.snapshot().groups[0].sums.replayed >= 3);
}

#[tokio::test]
async fn a_request_that_may_have_done_something_is_not_sent_again() {
    let upstream = closes_on_the_second().await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    let mut client = world.connect().await;
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.response().await.status, 200);
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await;
    assert_eq!(client.response().await.status, 502);
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_connection_that_the_target_has_closed_is_not_used() {
    let closed = Arc::new(Notify::new());
    let signal = closed.clone();
    let upstream = Upstream::start(move |mut stream, requests| {
        let signal = signal.clone();
        async move {
            let mut buffer = Vec::new();
            let Some(request) = read_request(&mut stream, &mut buffer).await else { return };
            let probe = request.path() == "/health";
            stream.write_all(&ok("fine")).await.unwrap();
            if !probe {
                requests.lock().unwrap().push(request);
                drop(stream);
                signal.notify_one();
            }
        }
    })
    .await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    let mut client = world.connect().await;
    for _ in 0..10 {
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await;
        assert_eq!(client.response().await.status, 200);
        soon("the connection's end", closed.notified()).await;
    }
    assert_eq!(upstream.seen().len(), 10);
    assert_eq!(world.snapshot().groups[0].sums.replayed, 0);
}

#[tokio::test]
async fn a_request_that_kills_targets_is_not_given_to_all() {
    let upstream = Upstream::start(|mut stream, requests| async move {
        let mut buffer = Vec::new();
        let Some(request) = read_request(&mut stream, &mut buffer).await else { return };
        if request.path() == "/health" {
            stream.write_all(&ok("")).await.unwrap();
        } else {
            requests.lock().unwrap().push(request);
        }
    })
    .await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    assert_eq!(world.get("/deadly").await.status, 502);
    assert_eq!(upstream.seen().len(), 1 + Limits::default().replays_max as usize);
    let snapshot = world.snapshot();
    assert_eq!(
        (snapshot.groups[0].sums.requests, snapshot.load_balancers[0].1.requests),
        (1, 1),
        "it is one request"
    );
    assert_eq!(snapshot.targets[0].sums.requests, 3);
}

#[tokio::test]
async fn a_dead_target_is_passed_over_and_found_again() {
    let (dead, alive) = (Upstream::saying("dead").await, Upstream::saying("alive").await);
    let world = World::with_targets(Plan::default(), &[&dead, &alive]).await;
    let address = dead.address;
    dead.kill();
    for _ in 0..20 {
        assert_eq!(world.get("/").await.text(), "alive");
    }
    assert_eq!(world.snapshot().groups[0].sums.connection_errors, 1, "one request met it, the others knew");
    let _again = Upstream::start_at(address, |mut stream, _| async move {
        let mut buffer = Vec::new();
        while read_head(&mut stream, &mut buffer).await.is_some() {
            stream.write_all(&ok("again")).await.unwrap();
        }
    })
    .await;
    soon("the target's return", async { while world.get("/").await.text() != "again" {} }).await;
}

#[tokio::test]
async fn a_target_that_does_not_connect_is_passed_over() {
    // A listening socket whose backlog is full answers no SYN.
    let (full, _filler) = crate::support::full_backlog().await;
    let alive = Upstream::saying("alive").await;
    let mut stuck = alive.record("g", 0);
    (stuck.address, stuck.port) = (*full.ip(), full.port());
    let mut config = group("g", vec![stuck, alive.record("g", 1)]);
    config.group.health_check.enabled = false;
    let limits = Limits { connect_patience: Duration::from_millis(100), ..Limits::default() };
    let world = World::start(Plan { limits, ..Plan::default() }, vec![config]).await;
    for _ in 0..10 {
        assert_eq!(world.get("/").await.text(), "alive");
    }
    assert_eq!(world.snapshot().groups[0].sums.connection_errors, 1);
}

#[tokio::test]
async fn a_refused_request_without_hope_fails_at_once() {
    let upstream = Upstream::saying("x").await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    upstream.kill();
    assert_eq!(world.get("/").await.status, 502);
    assert_eq!(world.get("/").await.status, 502);
}

#[tokio::test]
async fn a_request_waits_for_a_target_that_is_promised() {
    let upstream = Upstream::saying("here").await;
    let mut promised = group("g", Vec::new());
    promised.promised = true;
    let world = World::start(Plan::default(), vec![promised.clone()]).await;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let mut client = world.connect().await;
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab").await;
        waiting.push(client);
    }
    world.until("the requests to be held", |snapshot| snapshot.groups[0].held_now == 20).await;
    promised.targets = vec![upstream.record("g", 0)];
    world.control.set_group(promised);
    for client in &mut waiting {
        assert_eq!(client.response().await.text(), "here");
    }
    let sums = &world.snapshot().groups[0].sums;
    assert_eq!((sums.held, sums.held_in_vain), (20, 0));
}

#[tokio::test]
async fn waiting_has_an_end_and_room_has_one() {
    let limits =
        Limits { hold_timeout: Duration::from_millis(300), hold_requests_max: 1, ..Limits::default() };
    let mut promised = group("g", Vec::new());
    promised.promised = true;
    let world = World::start(Plan { limits, ..Plan::default() }, vec![promised]).await;
    let mut held = world.connect().await;
    held.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    world.until("the request to be held", |snapshot| snapshot.groups[0].held_now == 1).await;
    assert_eq!(world.get("/").await.status, 503, "no room");
    assert_eq!(held.response().await.status, 503, "the time is over");
    let mut leaving = world.connect().await;
    leaving.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    drop(leaving);
    world.until("the place of a client that left", |snapshot| snapshot.groups[0].held_now == 0).await;
}

/// Answers `/slow` when told to, everything else at once.
async fn slow(go_on: Arc<Notify>, arrived: Arc<Notify>) -> Upstream {
    Upstream::start(move |mut stream, requests| {
        let (go_on, arrived) = (go_on.clone(), arrived.clone());
        async move {
            let mut buffer = Vec::new();
            while let Some(request) = read_request(&mut stream, &mut buffer).await {
                let path = request.path().to_owned();
                requests.lock().unwrap().push(request);
                if path == "/slow" {
                    arrived.notify_one();
                    go_on.notified().await;
                }
                if stream.write_all(&ok(&path)).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

fn is_drained(report: &FromLb) -> bool {
    matches!(report, FromLb::Drained { registration, .. } if registration.as_str() == "r-0")
}

#[tokio::test]
async fn a_draining_target_finishes_its_requests_and_gets_no_other() {
    let (go_on, arrived) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let old = slow(go_on.clone(), arrived.clone()).await;
    let new = Upstream::saying("new").await;
    let mut world = World::with_targets(Plan::default(), &[&old]).await;
    let mut client = world.connect().await;
    client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    soon("the request", arrived.notified()).await;

    let mut leaving = old.record("g", 0);
    leaving.draining_since = Some(Timestamp::now());
    world.control.set_group(group("g", vec![leaving, new.record("g", 1)]));
    world.healthy(1).await;
    let before = old.seen().iter().filter(|request| request.path() == "/").count();
    for _ in 0..10 {
        assert_eq!(world.get("/").await.text(), "new");
    }
    assert_eq!(old.seen().iter().filter(|request| request.path() == "/").count(), before);
    assert!(!world.control.so_far().iter().any(is_drained), "a request is in flight");
    go_on.notify_waiters();
    assert_eq!(client.response().await.text(), "/slow");
    world.control.expect("the drained target", is_drained).await;
}

#[tokio::test]
async fn an_idle_target_is_drained_at_once_and_its_connections_close() {
    let (sender, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let upstream = Upstream::start(move |mut stream, _| {
        let sender = sender.clone();
        async move {
            let mut buffer = Vec::new();
            let mut served = 0;
            while let Some(head) = read_head(&mut stream, &mut buffer).await {
                served += usize::from(!head.starts_with("GET /health"));
                stream.write_all(&ok("")).await.unwrap();
            }
            if served > 0 {
                sender.send(()).unwrap();
            }
        }
    })
    .await;
    let mut world = World::with_targets(Plan::default(), &[&upstream]).await;
    assert_eq!(world.get("/").await.status, 200);
    let mut leaving = upstream.record("g", 0);
    leaving.draining_since = Some(Timestamp::now());
    world.control.set_group(group("g", vec![leaving]));
    world.control.expect("the drained target", is_drained).await;
    soon("the end of the idle connection", ended.recv()).await;
    assert_eq!(world.get("/").await.status, 503);
}

#[tokio::test]
async fn the_deregistration_delay_ends_what_still_runs() {
    let (go_on, arrived) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let upstream = slow(go_on, arrived.clone()).await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    let mut client = world.connect().await;
    client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    soon("the request", arrived.notified()).await;
    let mut leaving = upstream.record("g", 0);
    leaving.draining_since = Some(Timestamp::now());
    let mut config = group("g", vec![leaving]);
    config.group.attributes.insert("deregistration_delay.timeout_seconds".to_owned(), "1".to_owned());
    world.control.set_group(config);
    assert_eq!(client.response().await.status, 502);
}

/// Ten clients without a pause, each with a connection that it keeps; counts what failed.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    fn on(world: &World) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let listener = world.listener();
        let clients = (0..10)
            .map(|_| {
                let (stop, answered) = (stop.clone(), answered.clone());
                tokio::spawn(async move {
                    let mut failures = Vec::new();
                    let mut client = Client::connect(listener).await;
                    while !stop.load(Ordering::Relaxed) {
                        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
                        match client.try_response().await {
                            Some(response) if response.status == 200 => {
                                answered.fetch_add(1, Ordering::Relaxed);
                                if response.header("connection") == Some("close") {
                                    client = Client::connect(listener).await;
                                }
                            }
                            other => failures.push(format!("{other:?}")),
                        }
                        if failures.len() > 3 {
                            break;
                        }
                    }
                    failures
                })
            })
            .collect();
        Self { stop, answered, clients }
    }

    /// Waits until so many more requests were answered.
    async fn more(&self, count: usize) {
        let goal = self.answered.load(Ordering::Relaxed) + count;
        soon("answers under load", async {
            while self.answered.load(Ordering::Relaxed) < goal {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    async fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for client in self.clients {
            failures.extend(soon("a client's end", client).await.unwrap());
        }
        failures
    }
}

#[tokio::test]
async fn replacing_the_only_target_under_load_fails_nothing() {
    let mut current = Upstream::saying("x").await;
    let mut world = World::with_targets(Plan::default(), &[&current]).await;
    let load = Load::on(&world);
    for generation in 0..10 {
        load.more(100).await;
        let next = Upstream::saying("y").await;
        let mut config = group("g", vec![current.record("g", generation), next.record("g", generation + 1)]);
        config.promised = true;
        world.control.set_group(config.clone());
        world.healthy(generation + 1).await;
        config.targets[0].draining_since = Some(Timestamp::now());
        world.control.set_group(config.clone());
        let drained = format!("r-{generation}");
        world
            .control
            .expect("the drained target", |report| {
                matches!(report, FromLb::Drained { registration, .. } if registration.as_str() == drained)
            })
            .await;
        // From here on nobody uses it: it may die with all its connections.
        current.kill();
        config.targets.remove(0);
        world.control.set_group(config);
        current = next;
    }
    load.more(100).await;
    assert_eq!(load.end().await, Vec::<String>::new());
}

#[tokio::test]
async fn killing_the_only_target_under_load_fails_nothing_that_can_be_sent_again() {
    let mut current = Upstream::saying("x").await;
    let mut world = World::with_targets(Plan::default(), &[&current]).await;
    let mut config = group("g", vec![current.record("g", 0)]);
    config.promised = true;
    world.control.set_group(config.clone());
    let load = Load::on(&world);
    for generation in 1..6 {
        load.more(100).await;
        current.kill();
        let next = Upstream::saying("y").await;
        config.targets[0].draining_since = Some(Timestamp::now());
        config.targets.push(next.record("g", generation));
        world.control.set_group(config.clone());
        world.healthy(generation).await;
        config.targets.remove(0);
        world.control.set_group(config.clone());
        current = next;
    }
    load.more(100).await;
    // A request that a dying target took in three times is not sent a fourth time: it may be what kills.
    let failures = load.end().await;
    assert!(failures.len() <= 5 && failures.iter().all(|text| text.contains("status: 502")), "{failures:?}");
}

#[tokio::test]
async fn all_unhealthy_targets_are_tried_when_none_is_promised() {
    let upstream = Upstream::start(|mut stream, _| async move {
        let mut buffer = Vec::new();
        while let Some(head) = read_head(&mut stream, &mut buffer).await {
            let answer = if head.starts_with("GET /health") {
                b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_vec()
            } else {
                ok("open")
            };
            stream.write_all(&answer).await.unwrap();
        }
    })
    .await;
    let mut config = group("g", vec![upstream.record("g", 0)]);
    config.group.health_check.interval = Duration::from_millis(100);
    let mut world = World::start(Plan::default(), vec![config]).await;
    let report = world
        .control
        .expect("an unhealthy target", |report| {
            matches!(report, FromLb::TargetHealth { health, .. } if health.state == TargetHealthState::Unhealthy)
        })
        .await;
    let FromLb::TargetHealth { health, .. } = report else { unreachable!("it was matched") };
    assert_eq!(health.description.as_deref(), Some("Health checks failed with these codes: [500]"));
    assert_eq!(world.get("/").await.text(), "open");
    assert_eq!(world.snapshot().groups[0].sums.failed_open, 1);
}
