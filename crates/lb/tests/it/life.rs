//! The balancer without its control, and one after the other.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use gantry_link::{FromLb, Role};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;

use crate::support::{Plan, Upstream, World, group, ok, read_request, soon};

#[tokio::test]
async fn it_says_who_it_is() {
    let mut world = World::start_unready(Plan::default(), vec![group("g", Vec::new())]).await;
    let hello = world.control.expect("a hello", |report| matches!(report, FromLb::Hello(_))).await;
    let FromLb::Hello(hello) = hello else { unreachable!("it was matched") };
    assert_eq!(hello.role, Role::LoadBalancer { id: "lb-1".into() });
    world.control.expect("a heartbeat", |report| matches!(report, FromLb::Heartbeat)).await;
}

#[tokio::test]
async fn without_work_it_rests() {
    for keeps_state in [true, false] {
        let upstream = Upstream::saying("fine").await;
        let mut world = World::with_targets(Plan { keeps_state, ..Plan::default() }, &[&upstream]).await;
        let is_beat = |report: &FromLb| matches!(report, FromLb::Heartbeat);
        world.control.expect("a heartbeat", is_beat).await;
        let before = crate::support::core_cpu_ticks(&world.plan);
        // Each a second after the other.
        world.control.expect("a heartbeat", is_beat).await;
        world.control.expect("a heartbeat", is_beat).await;
        let ticks = crate::support::core_cpu_ticks(&world.plan) - before;
        assert!(ticks < 20, "{ticks} ticks of 10 ms in two seconds");
    }
}

#[tokio::test]
async fn it_serves_without_control_and_starts_without_it() {
    let upstream = Upstream::saying("fine").await;
    let mut world = World::with_targets(Plan::default(), &[&upstream]).await;
    world.control.kill();
    assert_eq!(world.get("/").await.status, 200);
    world.stop();
    world.ended().await;
    let probes = upstream.connections.load(Ordering::SeqCst);
    let (handle, thread) = world.start_successor();
    // It was healthy when the state was written, so it is served at once, and probed.
    assert_eq!(world.get("/").await.text(), "fine");
    assert!(upstream.connections.load(Ordering::SeqCst) > probes);
    handle.stop();
    soon("the end", tokio::task::spawn_blocking(move || thread.join().unwrap())).await.unwrap();
}

#[tokio::test]
async fn a_successor_takes_the_sockets_over_and_no_connection_is_lost() {
    let (go_on, arrived) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (resume, reached) = (go_on.clone(), arrived.clone());
    let upstream = Upstream::start(move |mut stream, _| {
        let (go_on, arrived) = (go_on.clone(), arrived.clone());
        async move {
            let mut buffer = Vec::new();
            while let Some(request) = read_request(&mut stream, &mut buffer).await {
                if request.path() == "/slow" {
                    arrived.notify_one();
                    go_on.notified().await;
                }
                if stream.write_all(&ok("fine")).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    let mut world = World::with_targets(Plan::default(), &[&upstream]).await;
    let mut running = world.connect().await;
    running.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    soon("the slow request", reached.notified()).await;
    let mut idle = world.connect().await;
    idle.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(idle.response().await.header("connection"), Some("keep-alive"));

    let links = world.control.links.load(Ordering::SeqCst);
    let (handle, thread) = world.start_successor();
    soon("the successor's link", async {
        while world.control.links.load(Ordering::SeqCst) == links {
            tokio::task::yield_now().await;
        }
    })
    .await;
    world
        .control
        .expect("its sockets", |report| matches!(report, FromLb::Listener { error: None, .. }))
        .await;
    world.stop();
    for _ in 0..50 {
        assert_eq!(world.get("/").await.status, 200);
    }
    soon("a goodbye", async {
        loop {
            idle.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            let response = idle.response().await;
            assert_eq!(response.status, 200);
            if response.header("connection") == Some("close") {
                return;
            }
        }
    })
    .await;
    assert!(idle.is_closed().await);
    resume.notify_waiters();
    assert_eq!(running.response().await.text(), "fine");
    drop(running);
    world.ended().await;
    for _ in 0..50 {
        assert_eq!(world.get("/").await.status, 200);
    }
    handle.stop();
    soon("the end", tokio::task::spawn_blocking(move || thread.join().unwrap())).await.unwrap();
}

#[tokio::test]
async fn a_successor_with_fewer_shards_polls_every_socket() {
    let upstream = Upstream::saying("fine").await;
    let mut world = World::with_targets(Plan { shards: 4, ..Plan::default() }, &[&upstream]).await;
    world.stop();
    world.ended().await;
    world.plan.shards = 1;
    let (handle, thread) = world.start_successor();
    for _ in 0..60 {
        assert_eq!(world.get("/").await.status, 200);
    }
    handle.stop();
    soon("the end", tokio::task::spawn_blocking(move || thread.join().unwrap())).await.unwrap();
}

#[tokio::test]
async fn a_listener_that_is_deleted_is_gone() {
    let upstream = Upstream::saying("fine").await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    let mut kept = world.connect().await;
    kept.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(kept.response().await.status, 200);
    world.control.change_load_balancer(|config| config.listeners.clear());
    soon("the end of listening", async {
        while tokio::net::TcpStream::connect(world.listener()).await.is_ok() {}
    })
    .await;
    kept.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(kept.is_closed().await);
}

#[tokio::test]
async fn a_rule_may_be_heard_of_before_its_group() {
    let upstream = Upstream::saying("fine").await;
    let config = group("g", vec![upstream.record("g", 0)]);
    let world = World::start(Plan::default(), vec![config.clone()]).await;
    world.control.remove_group(&config.group.arn);
    let mut client = world.connect().await;
    soon("a request that waits", async {
        loop {
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            tokio::select! {
                response = client.response() => assert_eq!(response.status, 200),
                () = held(&world) => return,
            }
        }
    })
    .await;
    world.control.set_group(config);
    assert_eq!(client.response().await.status, 200);
}

async fn held(world: &World) {
    while world.snapshot().groups.iter().all(|group| group.held_now == 0) {
        tokio::task::yield_now().await;
    }
}
