//! Registries and networks that do not do what they should.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gantry_images::{Digest, PullError, Unreachable};
use serde_json::Value;

use super::server::{Answer, Content, Reply, Seen, Server};
use super::{Machine, noise, simple};
use crate::archive::Layout;

/// A registry with one large layer, whose downloads `damage` may change: it gets the number of the download.
fn with_large_layer(
    bytes: usize,
    damage: impl Fn(usize, &Seen, Reply, usize) -> Answer + Send + Sync + 'static,
) -> (Server, Digest) {
    let (layout, manifest, layer) = simple(&noise(bytes, 7));
    let size = layout.files[0].1.len().max(layout.files[1].1.len());
    let content = Content::new(&layout).tag("1", &manifest);
    let downloads = AtomicUsize::new(0);
    let server = Server::start(move |seen| {
        let reply = content.reply(seen);
        if seen.is_blob() && seen.path().contains(&layer.hex()) {
            damage(downloads.fetch_add(1, Ordering::SeqCst), seen, reply, size)
        } else {
            reply.into()
        }
    });
    (server, layer)
}

#[test]
fn a_download_that_is_cut_goes_on_where_it_was() {
    let (server, layer) = with_large_layer(1_000_000, |number, _, reply, _| match number {
        0..4 => Answer::Cut(reply, 200_000),
        _ => reply.into(),
    });
    let machine = Machine::new();
    let pulled = machine.pull(&server.name("app:1")).unwrap();
    assert!(machine.file(&server.name("app:1"), "f").is_some());
    let from: Vec<usize> = server
        .seen()
        .iter()
        .filter(|seen| seen.path().contains(&layer.hex()))
        .map(Seen::first_byte)
        .collect();
    assert_eq!(from, [0, 200_000, 400_000, 600_000, 800_000]);
    let size = machine.store.image(&pulled.digest).unwrap().layers[0].size;
    assert_eq!(pulled.bytes, size, "every byte came once");
}

#[test]
fn a_registry_that_cannot_go_on_gives_all_of_it_again() {
    let (layout, manifest, layer) = simple(&noise(300_000, 7));
    let content = Content::new(&layout).tag("1", &manifest);
    let whole = layout.files.iter().find(|(path, _)| path.ends_with(&layer.hex())).unwrap().1.clone();
    let downloads = AtomicUsize::new(0);
    let server = Server::start(move |seen| {
        if !seen.path().contains(&layer.hex()) {
            return content.answer(seen);
        }
        let whole = Reply::new(200).body(whole.clone());
        match downloads.fetch_add(1, Ordering::SeqCst) {
            0 | 2 => Answer::Cut(whole, 100_000),
            3 => Reply::new(416).into(),
            _ => whole.into(),
        }
    });
    let machine = Machine::new();
    machine.pull(&server.name("app:1")).unwrap();
    let from: Vec<usize> = server
        .seen()
        .iter()
        .filter(|seen| seen.path().contains(&layer.hex()))
        .map(Seen::first_byte)
        .collect();
    assert_eq!(from, [0, 100_000, 0, 100_000, 0]);
    assert!(machine.file(&server.name("app:1"), "f").is_some());
}

#[test]
fn a_registry_that_cuts_for_ever_is_given_up() {
    for after in [0, 100, 100_000] {
        let (server, _) = with_large_layer(3_000_000, move |_, _, reply, _| Answer::Cut(reply, after));
        let machine = Machine::with("", |limits| limits.cuts_max = 10);
        let error = machine.error(&server.name("app:1"));
        assert!(matches!(*error, PullError::Cut { .. }) && error.is_transient(), "{error}");
        assert!(error.is_of_content());
        let downloads = server.count(|seen| seen.is_blob()) - 1;
        let expected = if after < 64 * 1024 { 4 } else { 11 };
        assert_eq!(downloads, expected, "cut after {after} bytes");
    }
    // One that begins anew each time.
    let (server, _) = with_large_layer(300_000, |_, seen, reply, _| match seen.first_byte() {
        0 => Answer::Cut(reply, 100_000),
        _ => Reply::new(416).into(),
    });
    let machine = Machine::with("", |limits| limits.cuts_max = 10);
    let error = machine.error(&server.name("app:1"));
    assert!(matches!(*error, PullError::Cut { .. }), "{error}");
}

#[test]
fn content_that_is_not_what_its_name_says_is_refused() {
    let (layout, manifest, layer) = simple(b"good");
    let find = |end: &str| layout.files.iter().find(|(path, _)| path.ends_with(end)).unwrap().1.clone();
    let manifest_digest = super::server::digest_of(&manifest);
    let parsed: Value = serde_json::from_slice(&find(&manifest_digest.hex())).unwrap();
    let config = super::server::digest_of(&parsed["config"]);
    for (damaged, what) in [(layer, "layer"), (config, "configuration"), (manifest_digest, "manifest")] {
        let mut content = Content::new(&layout).tag("1", &manifest);
        let mut evil = find(&damaged.hex());
        let last = evil.len() - 3;
        evil[last] ^= 1;
        content.damage(&damaged, &evil);
        let server = Server::start(move |seen| content.answer(seen));
        let machine = Machine::new();
        for name in ["app:1".to_owned(), format!("app@{manifest_digest}")] {
            let error = machine.error(&server.name(&name));
            let PullError::DigestMismatch { what: told, expected, actual } = &*error else {
                panic!("{name} {what}: {error}")
            };
            assert!(told.starts_with(what), "{told}");
            assert_eq!((*expected, *actual), (damaged, Digest::of(&evil)));
            assert!(!error.is_transient() && error.next_step().contains("damaged content"));
            assert_eq!(machine.store.resolve(&server.name(&name)).unwrap(), None);
        }
        let blobs = machine.store.content().into_iter().filter(|name| name.contains(&damaged.hex())).count();
        assert_eq!(blobs, 0, "nothing of it is kept");
    }
}

#[test]
fn damage_on_the_way_gets_a_second_chance() {
    let (server, layer) = with_large_layer(1000, |number, _, reply, size| match number {
        0 => Reply::new(200).body(vec![0; size]).into(),
        _ => reply.into(),
    });
    // The large layer is not the largest file here: its size is what counts.
    let machine = Machine::new();
    let outcome = machine.pull(&server.name("app:1"));
    outcome.unwrap();
    assert_eq!(server.count(|seen| seen.path().contains(&layer.hex())), 2);
}

#[test]
fn passing_troubles_are_waited_for() {
    for (status, retry_after) in [(429, Some("0")), (503, None), (500, None), (502, Some("0"))] {
        let (layout, manifest, _) = simple(b"1");
        let content = Content::new(&layout).tag("1", &manifest);
        let requests = AtomicUsize::new(0);
        let server = Server::start(move |seen| {
            if requests.fetch_add(1, Ordering::SeqCst).is_multiple_of(3) {
                return content.answer(seen);
            }
            let reply = Reply::new(status);
            match retry_after {
                Some(after) => reply.header("Retry-After", after).into(),
                None => reply.into(),
            }
        });
        Machine::new().pull(&server.name("app:1")).unwrap();
        assert_eq!(
            server.seen().len(),
            7,
            "{status}: a manifest, a configuration, a layer, each but one the third time"
        );
    }
}

#[test]
fn troubles_that_do_not_pass_are_told() {
    let body =
        r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}"#;
    let server = Server::start(move |_| Reply::new(429).header("Retry-After", "3600").body(body).into());
    let error = Machine::new().error(&server.name("app:1"));
    assert!(
        error.to_string().ends_with("too many requests: You have reached your pull rate limit."),
        "{error}"
    );
    assert_eq!(server.seen().len(), 1, "an hour is not waited for");
    assert!(error.is_transient() && error.next_step().contains("log in"));

    let server = Server::start(|_| Reply::new(503).into());
    let error = Machine::new().error(&server.name("app:1"));
    assert!(error.to_string().ends_with("unexpected status 503"), "{error}");
    assert_eq!(server.seen().len(), 4);

    let server = Server::start(|_| Reply::new(418).body("I am\x07 no registry").into());
    let error = Machine::new().error(&server.name("app:1"));
    assert!(error.to_string().ends_with("unexpected status 418"), "{error}");
    assert!(!error.is_transient());
    assert_eq!(server.seen().len(), 1);

    // Nobody listens there any more.
    let address = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    let error = Machine::new().error(&format!("{address}/app:1"));
    assert!(error.to_string().ends_with("connection refused"), "{error}");
    assert!(matches!(*error, PullError::Unreachable { kind: Unreachable::Network, .. }), "{error}");
    assert!(error.is_transient() && error.next_step().contains("check the network"));
}

#[test]
fn registries_that_say_nothing_are_not_waited_for() {
    let (server, _) = with_large_layer(300_000, |number, _, reply, _| match number {
        0 => Answer::Stall(reply, 100_000),
        _ => reply.into(),
    });
    let machine = Machine::with("", |limits| limits.idle_wait = Duration::from_millis(200));
    machine.pull(&server.name("app:1")).unwrap();
    assert_eq!(server.seen().last().unwrap().first_byte(), 100_000, "it goes on elsewhere where it stalled");

    // A head that does not come.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let machine = Machine::with("", |limits| {
        limits.answer_wait = Duration::from_millis(100);
        limits.attempts_max = 2;
    });
    let error = machine.error(&format!("{}/app:1", silent.local_addr().unwrap()));
    assert!(matches!(*error, PullError::Cut { .. }) && error.is_transient(), "{error}");
}

#[test]
fn a_pull_has_an_end_however_it_goes_on() {
    let (server, _) =
        with_large_layer(300_000, |_, seen, reply, _| Answer::Stall(reply, seen.first_byte() + 1));
    let machine = Machine::with("", |limits| {
        limits.idle_wait = Duration::from_millis(50);
        limits.pull_wait = Duration::from_millis(400);
        limits.attempts_max = u32::MAX;
        limits.cuts_max = u32::MAX;
    });
    let error = machine.error(&server.name("app:1"));
    assert!(matches!(*error, PullError::TooSlow(_)), "{error}");
}

#[test]
fn answers_without_end_are_cut_off() {
    for kind in ["manifest", "config", "layer", "head"] {
        let (layout, manifest, layer) = simple(b"1");
        let content = Content::new(&layout).tag("1", &manifest);
        let server = Server::start(move |seen| {
            let is_layer = seen.path().contains(&layer.hex());
            match kind {
                "manifest" if seen.path().contains("/manifests/") => Answer::Endless(Reply::new(200)),
                "config" if seen.is_blob() && !is_layer => Answer::Endless(Reply::new(200)),
                "layer" if is_layer => Answer::Endless(Reply::new(200)),
                "head" => Answer::EndlessHead,
                _ => content.answer(seen),
            }
        });
        let error = Machine::new().error(&server.name("app:1"));
        assert!(
            matches!(*error, PullError::TooLarge { .. } | PullError::Protocol { .. }),
            "{kind}: {error:?}"
        );
    }
}

#[test]
fn sizes_that_are_lies_are_refused() {
    let lie = |what: &'static str, size: Value| {
        let (mut layout, manifest, _) = simple(b"1");
        let digest = super::server::digest_of(&manifest);
        let found = layout.files.iter().find(|(path, _)| path.ends_with(&digest.hex())).unwrap().1.clone();
        let mut parsed: Value = serde_json::from_slice(&found).unwrap();
        match what {
            "layer" => parsed["layers"][0]["size"] = size,
            _ => parsed["config"]["size"] = size,
        }
        let manifest = layout.blob("application/vnd.oci.image.manifest.v1+json", parsed.to_string().into());
        let content = Content::new(&layout).tag("1", &manifest);
        let server = Server::start(move |seen| content.answer(seen));
        let machine = Machine::with("", |limits| limits.attempts_max = 2);
        let error = machine.error(&server.name("app:1"));
        assert_eq!(machine.store.resolve(&server.name("app:1")).unwrap(), None);
        error.to_string()
    };
    assert!(lie("layer", 5.into()).contains("has more than 5 bytes"));
    assert!(lie("layer", 100_000.into()).contains("the connection was cut"));
    assert!(lie("layer", u64::MAX.into()).contains("has more than"));
    assert!(lie("layer", (-1).into()).contains("not a valid manifest"));
    assert!(lie("config", 5.into()).contains("should have 5 bytes"));
    assert!(lie("config", (1_u64 << 40).into()).contains("has more than"));
}

#[test]
fn redirects_are_few_and_stay_on_the_web() {
    let ring = Server::start(|seen| Reply::new(307).header("Location", seen.target.as_str()).into());
    let error = Machine::new().error(&ring.name("app:1"));
    assert!(error.to_string().ends_with("redirects more than 5 times"), "{error}");
    assert_eq!(ring.seen().len(), 6);
    for (location, expected) in [
        ("file:///etc/passwd", "which is no address"),
        ("gopher://127.0.0.1/", "which is no address"),
        ("http://", "which is no address"),
    ] {
        let server = Server::start(move |_| Reply::new(302).header("Location", location).into());
        let error = Machine::new().error(&server.name("app:1"));
        assert!(error.to_string().contains(expected), "{location}: {error}");
    }
    let nowhere = Server::start(|_| Reply::new(301).into());
    let error = Machine::new().error(&nowhere.name("app:1"));
    assert!(error.to_string().ends_with("without saying where to"), "{error}");
}

#[test]
fn a_layer_that_cannot_be_unpacked_fails_the_pull() {
    let mut layout = Layout::default();
    let (media_type, blob, _) = super::layer("f", b"1");
    let manifest = layout.image(&[(media_type, blob, Digest::of(b"another"))]);
    let content = Content::new(&layout).tag("1", &manifest);
    let server = Server::start(move |seen| content.answer(seen));
    let machine = Machine::new();
    let error = machine.error(&server.name("app:1"));
    assert!(error.to_string().contains("does not match its diff ID"), "{error}");
    assert_eq!(machine.store.resolve(&server.name("app:1")).unwrap(), None);
}
