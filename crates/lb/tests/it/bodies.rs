//! Bodies of any size, both ways.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::support::{Plan, Upstream, World, header, ok, read_head, soon};

/// Bytes that tell where they are.
fn pattern(from: usize, length: usize) -> Vec<u8> {
    (from..from + length).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8).collect()
}

/// Sends every byte of a request's body back as it comes, with the framing that the request has.
async fn echo(mut stream: TcpStream) {
    let mut buffer = Vec::new();
    while let Some(head) = read_head(&mut stream, &mut buffer).await {
        if head.starts_with("GET /health") {
            stream.write_all(&ok("")).await.unwrap();
            continue;
        }
        let (framing, mut left) = match header(&head, "content-length") {
            Some(length) => (format!("Content-Length: {length}"), length.parse::<usize>().ok()),
            None => ("Transfer-Encoding: chunked".to_owned(), None),
        };
        stream.write_all(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n").as_bytes()).await.unwrap();
        loop {
            if let Some(left) = &mut left {
                let count = (*left).min(buffer.len());
                stream.write_all(&buffer[..count]).await.unwrap();
                buffer.drain(..count);
                *left -= count;
                if *left == 0 {
                    break;
                }
            } else {
                let done = buffer.ends_with(b"0\r\n\r\n");
                stream.write_all(&buffer).await.unwrap();
                buffer.clear();
                if done {
                    break;
                }
            }
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        }
    }
}

const LARGE: usize = 8 << 20;

#[tokio::test]
async fn a_large_body_flows_both_ways_at_once() {
    let upstream = Upstream::start(|stream, _| echo(stream)).await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    let client = world.connect().await;
    let (mut reader, mut writer) = client.stream.into_split();
    let write = tokio::spawn(async move {
        writer
            .write_all(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n").as_bytes())
            .await
            .unwrap();
        for at in (0..LARGE).step_by(64 << 10) {
            writer.write_all(&pattern(at, 64 << 10)).await.unwrap();
        }
        writer
    });
    let mut received = Vec::new();
    soon("the echo", async {
        while !received.windows(4).any(|window| window == b"\r\n\r\n") {
            assert_ne!(reader.read_buf(&mut received).await.unwrap(), 0);
        }
        let head_length = received.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        while received.len() < head_length + LARGE {
            assert_ne!(reader.read_buf(&mut received).await.unwrap(), 0, "at {}", received.len());
        }
        assert!(received[head_length..] == pattern(0, LARGE), "the bytes are the same");
    })
    .await;
    write.await.unwrap();
}

#[tokio::test]
async fn chunks_extensions_and_trailers_pass_as_they_are() {
    let upstream = Upstream::start(|stream, _| echo(stream)).await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    let mut client = world.connect().await;
    let body = "3;a=b\r\nabc\r\n00A\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n";
    // `echo` looks for a body without trailers at its end, so this one ends with one that has none.
    let plain = "3;a=b\r\nabc\r\n00A\r\n0123456789\r\n0\r\n\r\n";
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for byte in plain.as_bytes() {
        client.send(&[*byte]).await;
    }
    let response = client.response().await;
    assert_eq!(response.text(), plain);
    drop((client, world));

    let upstream = Upstream::answering(move |_| {
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n{body}").into_bytes()
    })
    .await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    let mut client = world.connect().await;
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let answer = String::from_utf8(client.rest().await).unwrap();
    assert!(answer.ends_with(body), "{answer:?}");
}

#[tokio::test]
async fn what_the_target_does_not_read_the_client_cannot_send() {
    let go_on = Arc::new(Notify::new());
    let signal = go_on.clone();
    let upstream = Upstream::start(move |mut stream, _| {
        let signal = signal.clone();
        async move {
            let mut buffer = Vec::new();
            let Some(head) = read_head(&mut stream, &mut buffer).await else { return };
            if head.starts_with("GET /health") {
                stream.write_all(&ok("")).await.unwrap();
                return;
            }
            signal.notified().await;
            let mut left = 64 * (1 << 20) - buffer.len();
            let mut bytes = vec![0; 1 << 20];
            while left > 0 {
                left -= stream.read(&mut bytes).await.unwrap();
            }
            stream.write_all(&ok("all of it")).await.unwrap();
        }
    })
    .await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    let mut client = world.connect().await;
    let total = 64 * (1 << 20);
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {total}\r\n\r\n").as_bytes()).await;
    let piece = vec![7; 1 << 16];
    let mut sent = 0;
    // A second without progress is the end of what fits into sockets and buffers.
    while sent < total {
        let write = client.stream.write(&piece[..piece.len().min(total - sent)]);
        match tokio::time::timeout(std::time::Duration::from_secs(1), write).await {
            Ok(count) => sent += count.unwrap(),
            Err(_) => break,
        }
    }
    assert!(sent < total / 2, "{sent} bytes were taken by nobody");
    go_on.notify_waiters();
    while sent < total {
        sent += soon("the rest", client.stream.write(&piece[..piece.len().min(total - sent)])).await.unwrap();
    }
    assert_eq!(client.response().await.text(), "all of it");
}

#[tokio::test]
async fn a_response_before_the_bodys_end_reaches_the_client() {
    let upstream = Upstream::start(|mut stream, _| async move {
        let mut buffer = Vec::new();
        let Some(head) = read_head(&mut stream, &mut buffer).await else { return };
        let answer = if head.starts_with("GET /health") {
            ok("")
        } else {
            b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig".to_vec()
        };
        stream.write_all(&answer).await.unwrap();
    })
    .await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    let mut client = world.connect().await;
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").await;
    client.send(&[0; 100_000]).await;
    let response = client.response().await;
    assert_eq!((response.status, response.text().as_str()), (413, "big"));
    assert_eq!(response.header("connection"), Some("close"));
}

#[tokio::test]
async fn a_response_that_ends_early_ends_the_clients_connection() {
    let upstream = Upstream::start(|mut stream, _| async move {
        let mut buffer = Vec::new();
        let Some(head) = read_head(&mut stream, &mut buffer).await else { return };
        let answer: &[u8] = match () {
            () if head.starts_with("GET /health") => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            () if head.starts_with("GET /length") => b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
            () => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        };
        stream.write_all(answer).await.unwrap();
    })
    .await;
    let world = World::with_targets(Plan::default(), &[&upstream]).await;
    for path in ["/length", "/chunks"] {
        let mut client = world.connect().await;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await;
        let answer = String::from_utf8(client.rest().await).unwrap();
        assert!(answer.contains("short") && !answer.contains("\r\n0\r\n"), "{answer:?}");
    }
}
