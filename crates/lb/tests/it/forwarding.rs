//! Requests to targets and responses back.

use std::sync::atomic::Ordering;

use gantry_domain::elb::{FixedResponse, Redirect, Rule, RuleAction, RuleCondition};
use gantry_types::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Plan, Upstream, World, elb, ok, read_head, soon};

#[tokio::test]
async fn a_request_reaches_a_target_and_both_connections_are_used_again() {
    let upstream = Upstream::answering(|request| ok(request.path())).await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    let probes = upstream.connections.load(Ordering::SeqCst);
    let mut client = world.connect().await;
    for path in ["/one", "/two?x=y", "/three"] {
        client
            .send(format!("GET {path} HTTP/1.1\r\nHost: example.com\r\nX-Mine: 1\r\n\r\n").as_bytes())
            .await;
        let response = client.response().await;
        assert_eq!((response.status, response.text().as_str()), (200, path));
        assert_eq!(response.header("connection"), Some("keep-alive"));
    }
    assert_eq!(upstream.connections.load(Ordering::SeqCst) - probes, 1, "one connection for all");
    let seen = upstream.seen();
    assert_eq!(seen[0].header("host"), Some("example.com"));
    assert_eq!(seen[0].header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen[0].header("x-mine"), Some("1"));
    assert!(seen[0].header("x-amzn-trace-id").is_some_and(|id| id.starts_with("Root=1-")));
}

#[tokio::test]
async fn requests_that_come_together_are_answered_in_order() {
    let upstream = Upstream::answering(|request| ok(request.path())).await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    let mut client = world.connect().await;
    let post = "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nxyz";
    let get = |path: &str| format!("\r\nGET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send(format!("{}{post}{}", get("/a"), get("/c")).as_bytes()).await;
    for path in ["/a", "/b", "/c"] {
        assert_eq!(client.response().await.text(), path);
    }
    assert_eq!(upstream.seen()[1].body, b"xyz");
}

#[tokio::test]
async fn the_pieces_of_requests_do_not_matter() {
    let upstream =
        Upstream::answering(|request| ok(&format!("{} {}", request.path(), request.body.len()))).await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    let stream = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
        GET /b HTTP/1.1\r\nHost: a\r\n\r\n\
        PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let mut random = gantry_types::Ids::from_seed(7);
    for round in 0..20 {
        let mut client = world.connect().await;
        let mut rest = &stream[..];
        while !rest.is_empty() {
            // The first round goes byte by byte.
            let count = if round == 0 { 1 } else { 1 + random.below(rest.len() as u64) as usize };
            client.send(&rest[..count]).await;
            rest = &rest[count..];
            tokio::task::yield_now().await;
        }
        for expected in ["/a 5", "/b 0", "/c 15"] {
            assert_eq!(client.response().await.text(), expected, "round {round}");
        }
    }
}

#[tokio::test]
async fn an_old_client_gets_what_it_understands() {
    let upstream = Upstream::answering(|request| match request.path() {
        "/chunked" => {
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".to_vec()
        }
        _ => ok("plain"),
    })
    .await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    let mut client = world.connect().await;
    client.send(b"GET /chunked HTTP/1.0\r\n\r\n").await;
    let answer = String::from_utf8(client.rest().await).unwrap();
    assert!(answer.ends_with("Connection: close\r\n\r\nabcde"), "{answer:?}");
    assert!(!answer.to_ascii_lowercase().contains("transfer-encoding"), "{answer:?}");
    assert_eq!(upstream.seen()[0].header("host"), Some("a.elb.localhost"));

    let mut client = world.connect().await;
    for _ in 0..2 {
        client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
        let response = client.response().await;
        assert_eq!(response.header("connection"), Some("keep-alive"));
    }
    client.send(b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(client.rest().await.ends_with(b"plain"));
}

#[tokio::test]
async fn responses_without_a_body_do_not_hold_up_the_next() {
    let upstream = Upstream::answering(|request| match request.path() {
        "/204" => b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n".to_vec(),
        "/304" => b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n".to_vec(),
        "/head" => b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n".to_vec(),
        _ => ok("next"),
    })
    .await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    let mut client = world.connect().await;
    for (method, path) in [("GET", "/204"), ("GET", "/304"), ("HEAD", "/head")] {
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await;
        let mut buffer = Vec::new();
        let head = soon("a head", read_head(&mut client.stream, &mut buffer)).await.unwrap();
        assert!(buffer.is_empty(), "{head}");
        client.send(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.response().await.text(), "next", "behind {path}");
    }
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_is_chunked_for_the_client() {
    let upstream = Upstream::start(|mut stream, _| async move {
        let mut buffer = Vec::new();
        while let Some(head) = read_head(&mut stream, &mut buffer).await {
            let probe = head.starts_with("GET /health");
            let answer =
                if probe { ok("") } else { b"HTTP/1.0 200 OK\r\nX: y\r\n\r\nuntil the end".to_vec() };
            stream.write_all(&answer).await.unwrap();
            if !probe {
                return;
            }
        }
    })
    .await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    let mut client = world.connect().await;
    for _ in 0..2 {
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let response = client.response().await;
        assert_eq!(response.header("transfer-encoding"), Some("chunked"));
        assert_eq!(response.text(), "d\r\nuntil the end\r\n0\r\n\r\n");
    }
}

#[tokio::test]
async fn interim_responses_pass_and_the_final_one_follows() {
    let upstream = Upstream::answering(|_| {
        [&b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"[..], &ok("final")].concat()
    })
    .await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    let mut client = world.connect().await;
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let hints = client.response().await;
    assert_eq!((hints.status, hints.header("link")), (103, Some("</a>")));
    assert_eq!(client.response().await.text(), "final");
    client.send(b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(client.rest().await.starts_with(b"HTTP/1.1 200"), "an old client knows no interim responses");
}

#[tokio::test]
async fn a_client_that_asks_may_send_its_body() {
    let upstream = Upstream::answering(|request| ok(&String::from_utf8_lossy(&request.body))).await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    let mut client = world.connect().await;
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n").await;
    assert_eq!(client.response().await.status, 100);
    client.send(b"body").await;
    assert_eq!(client.response().await.text(), "body");
    assert_eq!(upstream.seen()[0].header("expect"), None, "the balancer has answered it");
}

#[tokio::test]
async fn an_upgraded_connection_is_a_tunnel_and_each_side_may_end_first() {
    let upstream = Upstream::start(|mut stream, requests| async move {
        let mut buffer = Vec::new();
        let Some(head) = read_head(&mut stream, &mut buffer).await else { return };
        if head.starts_with("GET /health") {
            let _ = stream.write_all(&ok("")).await;
            return;
        }
        requests.lock().unwrap().push(crate::support::Request { head, body: Vec::new() });
        stream
            .write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nhello ",
            )
            .await
            .unwrap();
        // Echoes up to the client's end, and then says something more.
        stream.write_all(&buffer).await.unwrap();
        let mut bytes = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut bytes).await {
            stream.write_all(&bytes[..count]).await.unwrap();
        }
        stream.write_all(b" bye").await.unwrap();
    })
    .await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    let mut client = world.connect().await;
    client.send(b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\nearly ").await;
    let upgraded = client.response().await;
    assert_eq!((upgraded.status, upgraded.header("upgrade")), (101, Some("echo")));
    assert_eq!(upgraded.header("connection"), Some("Upgrade"));
    client.send(b"late").await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(String::from_utf8(client.rest().await).unwrap(), "hello early late bye");
    assert_eq!(upstream.seen()[0].header("connection"), Some("Upgrade"));
    world.until("a counted tunnel", |snapshot| snapshot.load_balancers[0].1.websockets == 1).await;
}

#[tokio::test]
async fn a_refused_upgrade_is_an_ordinary_response() {
    let upstream = Upstream::saying("no").await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    let mut client = world.connect().await;
    for _ in 0..2 {
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
        assert_eq!(client.response().await.text(), "no");
    }
}

fn rule(priority: u32, path: &str, action: RuleAction) -> Rule {
    Rule {
        arn: elb(&format!("listener-rule/app/a/1/1/{priority}")),
        listener: elb("listener/app/a/1/1"),
        priority,
        conditions: vec![RuleCondition::PathPattern(vec![path.to_owned()])],
        actions: vec![action],
        document: Value::Null,
    }
}

#[tokio::test]
async fn rules_answer_redirect_or_forward() {
    let upstream = Upstream::saying("target").await;
    let fixed =
        FixedResponse { status: 418, content_type: Some("text/css".to_owned()), body: "short".to_owned() };
    let redirect = Redirect {
        protocol: "HTTPS".to_owned(),
        host: "#{host}".to_owned(),
        port: "443".to_owned(),
        path: "/new/#{path}".to_owned(),
        query: "#{query}".to_owned(),
        status: 301,
    };
    let plan = Plan {
        rules: vec![
            rule(1, "/fixed*", RuleAction::FixedResponse(fixed)),
            rule(2, "/old*", RuleAction::Redirect(redirect)),
        ],
        ..Plan::default()
    };
    let world = World::with_targets(plan, &[&upstream]).await;
    let mut client = world.connect().await;
    client.send(b"POST /fixed HTTP/1.1\r\nHost: b.com\r\nContent-Length: 3\r\n\r\nxyz").await;
    let response = client.response().await;
    assert_eq!((response.status, response.text().as_str()), (418, "short"));
    assert_eq!(response.header("content-type"), Some("text/css"));
    assert_eq!(response.header("server"), Some("awselb/2.0"));
    client.send(b"GET /old?a=b HTTP/1.1\r\nHost: b.com:80\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!((response.status, response.header("location")), (301, Some("https://b.com:443/new/old?a=b")));
    client.send(b"HEAD /fixed HTTP/1.1\r\nHost: b.com\r\n\r\nGET / HTTP/1.1\r\nHost: b.com\r\n\r\n").await;
    let mut buffer = Vec::new();
    let head = soon("a head", read_head(&mut client.stream, &mut buffer)).await.unwrap();
    assert!(head.contains("Content-Length: 5"), "{head}");
    while !buffer.ends_with(b"target") {
        assert_ne!(soon("the next response", client.stream.read_buf(&mut buffer)).await.unwrap(), 0);
    }
    assert!(buffer.starts_with(b"HTTP/1.1 200"), "the answer to HEAD has no body");
    let sums = world.snapshot().load_balancers[0].1.clone();
    assert_eq!((sums.fixed_responses, sums.redirects, sums.requests), (2, 1, 1));
    assert_eq!((sums.elb_3xx, sums.elb_4xx), (1, 2));
}

#[tokio::test]
async fn targets_take_turns() {
    let (one, two) = (Upstream::saying("one").await, Upstream::saying("two").await);
    let world = World::with_targets(Plan::default(), &[&one, &two]).await;
    for _ in 0..10 {
        assert_eq!(world.get("/").await.status, 200);
    }
    assert_eq!((one.seen().len(), two.seen().len()), (5, 5));
    let snapshot = world.until("ten answers", |snapshot| snapshot.groups[0].sums.target_2xx == 10).await;
    assert_eq!(snapshot.groups[0].sums.response_time.count(), 10);
    world
        .until("no request in flight", |snapshot| snapshot.targets.iter().all(|target| target.in_flight == 0))
        .await;
}
