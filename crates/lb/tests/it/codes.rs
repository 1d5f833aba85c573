//! The codes that the balancer makes itself, its limits and its timeouts.

use std::time::Duration;

use gantry_lb::Limits;
use gantry_link::FromLb;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::support::{Client, Plan, Upstream, World, group, ingress, ok, read_head, soon};

/// Sends bytes on a connection of their own; the code must come back, and the connection must end or stay.
async fn check(world: &World, request: &[u8], status: u16, stays: bool) {
    let case = String::from_utf8_lossy(&request[..request.len().min(60)]).into_owned();
    let mut client = world.connect().await;
    client.send(request).await;
    let response = client.response().await;
    assert_eq!(response.status, status, "{case:?}");
    if status >= 400 {
        assert_eq!(response.header("server"), Some("awselb/2.0"), "{case:?}");
        assert!(response.text().contains(&format!("<title>{status} ")), "{case:?}");
    }
    let connection = if stays { "keep-alive" } else { "close" };
    assert_eq!(response.header("connection"), Some(connection), "{case:?}");
    if !stays {
        assert!(client.is_closed().await, "{case:?}");
    }
}

#[tokio::test]
async fn requests_that_are_none() {
    let upstream = Upstream::saying("fine").await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    let line = "x".repeat(17 << 10);
    for (request, status) in [
        ("nonsense\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: folded\r\n over\r\n\r\n".to_owned(), 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx".to_owned(), 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n".to_owned(), 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n".to_owned(), 400),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n"
                .to_owned(),
            400,
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\na\n0\n\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {line}\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}", format!("X: {}\r\n", "y".repeat(9000)).repeat(8)), 400),
        (format!("GET /{line} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 405),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {}\r\n\r\n", "1.1.1.1,".repeat(31)), 463),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_owned(), 501),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n".to_owned(), 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505),
    ] {
        check(&world, request.as_bytes(), status, false).await;
    }
    assert!(upstream.seen().iter().all(|request| request.body.is_empty()), "nothing of it was served");
    assert_eq!(world.get("/").await.status, 200, "and the balancer lives");
}

#[tokio::test]
async fn whatever_arrives_the_balancer_lives() {
    let upstream = Upstream::saying("fine").await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    let mut random = gantry_types::Ids::from_seed(11);
    let model = b"POST /a?b=c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for _ in 0..300 {
        let mut bytes = model.to_vec();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(3) {
                0 => bytes[at] = random.below(256) as u8,
                1 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, b"\r\n :,\0\t"[random.below(7) as usize]),
            }
        }
        let mut client = world.connect().await;
        client.send(&bytes).await;
        let _ = client.stream.shutdown().await;
        let answer = client.rest().await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{answer:?} to {bytes:?}");
    }
    assert_eq!(world.get("/").await.status, 200);
    world
        .until("the end of all of them", |snapshot| {
            let sums = &snapshot.load_balancers[0].1;
            sums.connections_opened - sums.connections_closed <= 1 && snapshot.targets[0].in_flight == 0
        })
        .await;
}

#[tokio::test]
async fn whatever_targets_answer_the_balancer_lives() {
    let random = std::sync::Mutex::new(gantry_types::Ids::from_seed(13));
    let upstream = Upstream::answering(move |request| {
        let mut random = random.lock().unwrap();
        let mut bytes = match random.below(2) {
            0 => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
                .to_vec(),
            _ => b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello".to_vec(),
        };
        if request.path() == "/sound" {
            return ok("sound");
        }
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(2) {
                0 => bytes[at] = random.below(256) as u8,
                _ => bytes.insert(at, b"\r\n :,\0\t"[random.below(7) as usize]),
            }
        }
        bytes
    })
    .await;
    let attributes = vec![("idle_timeout.timeout_seconds", "1".to_owned())];
    let world = World::with_targets(Plan { attributes, ..Plan::default() }, &[&upstream]).await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let mut client = world.connect().await;
        clients.spawn(async move {
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
            let answer = client.rest().await;
            assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{answer:?}");
        });
    }
    while let Some(outcome) = soon("a client's end", clients.join_next()).await {
        outcome.unwrap();
    }
    // Nothing that a damaged answer left behind reaches the next client.
    for _ in 0..50 {
        assert_eq!(world.get("/sound").await.text(), "sound");
    }
    world.until("no request in flight", |snapshot| snapshot.targets[0].in_flight == 0).await;
}

#[tokio::test]
async fn ambiguous_requests_are_routed_in_one_reading_and_both_connections_close() {
    let upstream = Upstream::saying("fine").await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for request in [
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n{smuggled}",
            smuggled.len()
        ),
        format!("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc{}", &smuggled[5..]),
        "GET / HTTP/1.1\nHost: a\n\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
    ] {
        check(&world, request.as_bytes(), 200, false).await;
    }
    let seen = upstream.seen();
    assert_eq!(seen.len(), 4);
    assert!(
        seen.iter().all(|request| request.path() == "/" && request.header("connection") == Some("close"))
    );
    assert!(seen.iter().all(|request| request.header("host") == Some("a")));
    assert_eq!(world.snapshot().load_balancers[0].1.desync_non_compliant, 4);

    let strictest = ("routing.http.desync_mitigation_mode", "strictest".to_owned());
    let world =
        World::with_targets(Plan { attributes: vec![strictest], ..Plan::default() }, &[&upstream]).await;
    check(&world, b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, false).await;
}

#[tokio::test]
async fn a_client_that_is_too_slow() {
    let upstream = Upstream::saying("fine").await;
    let attributes = vec![("idle_timeout.timeout_seconds", "1".to_owned())];
    let world = World::with_targets(Plan { attributes, ..Plan::default() }, &[&upstream]).await;
    check(&world, b"GET / HTTP/1.1\r\nHost:", 408, false).await;
    check(&world, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab", 408, false).await;
    let mut silent = world.connect().await;
    assert!(silent.is_closed().await, "a connection without a request ends without a word");
    let mut idle = world.connect().await;
    idle.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(idle.response().await.status, 200);
    assert!(idle.is_closed().await);
}

#[tokio::test]
async fn a_client_is_told_to_come_again_when_its_connection_is_old() {
    let upstream = Upstream::saying("fine").await;
    let attributes = vec![("client_keep_alive.seconds", "1".to_owned())];
    let world = World::with_targets(Plan { attributes, ..Plan::default() }, &[&upstream]).await;
    let mut client = world.connect().await;
    let told = soon("the end of the connection's time", async {
        loop {
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            let response = client.response().await;
            assert_eq!(response.status, 200);
            if response.header("connection") == Some("close") {
                return client.is_closed().await;
            }
        }
    });
    assert!(told.await);
}

/// A target that answers health checks, and requests with whatever `answer` holds; then it closes.
async fn rude(answer: &'static [u8]) -> Upstream {
    Upstream::start(move |mut stream, requests| async move {
        let mut buffer = Vec::new();
        let Some(head) = read_head(&mut stream, &mut buffer).await else { return };
        if head.starts_with("GET /health") {
            let _ = stream.write_all(&ok("")).await;
        } else {
            requests.lock().unwrap().push(crate::support::Request { head, body: Vec::new() });
            let _ = stream.write_all(answer).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_target_that_answers_badly() {
    for answer in [
        &b"SSH-2.0-OpenSSH_9.2\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nHal",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ] {
        let upstream = rude(answer).await;
        let world = World::with_targets(Plan::default(), &[&upstream]).await;
        check(&world, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 502, true).await;
        assert_eq!(upstream.seen().len(), 1, "a request whose response has begun is not sent again");
    }
    let long: &'static [u8] =
        format!("HTTP/1.1 200 OK\r\n{}\r\n", format!("X: {}\r\n", "y".repeat(8000)).repeat(5))
            .leak()
            .as_bytes();
    let upstream = rude(long).await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    check(&world, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 502, true).await;
    let snapshot = world.snapshot();
    assert_eq!((snapshot.load_balancers[0].1.elb_502, snapshot.load_balancers[0].1.elb_5xx), (1, 1));
}

#[tokio::test]
async fn a_target_that_does_not_answer() {
    let upstream = Upstream::start(|mut stream, _| async move {
        let mut buffer = Vec::new();
        let Some(head) = read_head(&mut stream, &mut buffer).await else { return };
        if head.starts_with("GET /health") {
            let _ = stream.write_all(&ok("")).await;
            return;
        }
        if head.starts_with("GET /part") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab").await;
        }
        // Until the balancer closes.
        let _ = read_head(&mut stream, &mut buffer).await;
    })
    .await;
    let attributes = vec![("idle_timeout.timeout_seconds", "1".to_owned())];
    let world = World::with_targets(Plan { attributes, ..Plan::default() }, &[&upstream]).await;
    check(&world, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 504, true).await;
    let mut client = world.connect().await;
    client.send(b"GET /part HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(client.rest().await.ends_with(b"\r\n\r\nab"), "a response that stops ends the connection");
}

#[tokio::test]
async fn a_target_that_does_not_even_connect() {
    let (full, _fillers) = crate::support::full_backlog().await;
    let upstream = Upstream::saying("fine").await;
    let mut stuck = upstream.record("g", 0);
    (stuck.address, stuck.port) = (*full.ip(), full.port());
    let mut config = group("g", vec![stuck]);
    config.group.health_check.enabled = false;
    let limits = Limits { connect_timeout: Duration::from_millis(500), ..Limits::default() };
    let world = World::start(Plan { limits, ..Plan::default() }, vec![config]).await;
    check(&world, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 504, true).await;
}

#[tokio::test]
async fn without_targets() {
    let world = World::start(Plan::default(), vec![group("g", Vec::new())]).await;
    check(&world, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 503, true).await;
    check(&world, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab", 503, false).await;
    let sums = world.snapshot().load_balancers[0].1.clone();
    assert_eq!((sums.elb_503, sums.requests), (2, 0), "only requests with a chosen target count");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let upstream = Upstream::start(move |mut stream, _| {
        let sender = sender.clone();
        async move {
            let mut buffer = Vec::new();
            let Some(head) = read_head(&mut stream, &mut buffer).await else { return };
            if head.starts_with("GET /health") {
                let _ = stream.write_all(&ok("")).await;
                return;
            }
            sender.send("came").unwrap();
            assert!(read_head(&mut stream, &mut buffer).await.is_none());
            sender.send("left").unwrap();
        }
    })
    .await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    let mut client = world.connect().await;
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(soon("the request", receiver.recv()).await, Some("came"));
    drop(client);
    assert_eq!(soon("the end of the target's connection", receiver.recv()).await, Some("left"));
    world.until("the count", |snapshot| snapshot.load_balancers[0].1.elb_460 == 1).await;
}

#[tokio::test]
async fn security_groups_decide_who_comes_in() {
    let upstream = Upstream::saying("fine").await;
    let plan = Plan {
        ingress: vec![ingress("10.0.0.0/8", 80, 80), ingress("127.0.0.0/8", 81, 90)],
        ..Plan::default()
    };
    let world = World::with_targets(plan, &[&upstream]).await;
    let mut client = world.connect().await;
    let _ = client.stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(client.is_closed().await);
    assert_eq!(world.snapshot().load_balancers[0].1.connections_rejected, 1);
    let inside = world.control_addresses()[0];
    let mut client = Client::connect(std::net::SocketAddrV4::new(inside, 80)).await;
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.response().await.status, 200, "inside, the VPC has judged");
    world.control.change_load_balancer(|config| config.ingress = vec![ingress("127.0.0.0/8", 80, 80)]);
    soon("the new rules", async {
        loop {
            let mut client = world.connect().await;
            let _ = client.stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            if client.try_response().await.is_some_and(|response| response.status == 200) {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let upstream = Upstream::saying("fine").await;
    let limits = Limits { connections_max: 2, ..Limits::default() };
    let world = World::with_targets(Plan { limits, shards: 1, ..Plan::default() }, &[&upstream]).await;
    let (mut first, mut second, mut third) =
        (world.connect().await, world.connect().await, world.connect().await);
    for client in [&mut first, &mut second, &mut third] {
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    }
    assert_eq!(first.response().await.status, 200);
    assert_eq!(second.response().await.status, 200);
    assert!(tokio::time::timeout(Duration::from_millis(300), third.response()).await.is_err(), "it waits");
    drop(first);
    assert_eq!(third.response().await.status, 200);
    assert_eq!(upstream.seen().len(), 3);
}

#[tokio::test]
async fn a_listener_that_cannot_listen_says_why_and_listens_later() {
    let upstream = Upstream::saying("fine").await;
    let plan = Plan::default();
    let taken = TcpListener::bind((plan.address, plan.port)).await.unwrap();
    let mut world = World::start_unready(plan, vec![group("g", vec![upstream.record("g", 0)])]).await;
    let report = world
        .control
        .expect("an error", |report| matches!(report, FromLb::Listener { error: Some(_), .. }))
        .await;
    let FromLb::Listener { error: Some(error), .. } = report else { unreachable!("it was matched") };
    assert!(error.contains(&format!("listening on {}:80", world.plan.address)), "{error}");
    drop(taken);
    world.control.expect("the socket", |report| matches!(report, FromLb::Listener { error: None, .. })).await;
    assert_eq!(world.get("/").await.status, 200);
}
