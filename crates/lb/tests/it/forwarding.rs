//! Requests to targets and responses back.

use std::sync::atomic::Ordering;

use crate::support::{Plan, Upstream, World, ok};

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
