//! Who shares a pull, and what ends one.

use std::sync::mpsc;
use std::sync::{Arc, Barrier};

use gantry_images::{LayerState, Progress, PullError, Reference};

use super::server::{Answer, Content, PATIENCE, Seen, Server};
use super::{Machine, layer, noise, simple};
use crate::archive::Layout;

fn is_fetch(seen: &Seen) -> bool {
    seen.method == "GET"
}

#[test]
fn those_who_want_the_same_image_share_one_pull() {
    let (layout, manifest, _) = simple(&noise(200_000, 3));
    let content = Content::new(&layout).tag("1", &manifest);
    // Nothing is answered before everybody waits.
    let barrier = Arc::new(Barrier::new(2));
    let gate = barrier.clone();
    let server = Server::start(move |seen| {
        if seen.path().contains("/manifests/") {
            gate.wait();
        }
        content.answer(seen)
    });
    let machine = Machine::new();
    let reference = Reference::parse(&server.name("app:1")).unwrap();
    let (landed, outcomes) = mpsc::channel();
    let tickets: Vec<_> = (0..20)
        .map(|_| {
            let landed = landed.clone();
            machine.puller.begin(&reference, move |outcome| landed.send(outcome).unwrap()).unwrap()
        })
        .collect();
    barrier.wait();
    let digests: Vec<_> = (0..20).map(|_| outcomes.recv_timeout(PATIENCE).unwrap().unwrap().digest).collect();
    assert!(digests.iter().all(|digest| *digest == digests[0]));
    assert_eq!(server.count(is_fetch), 3, "a manifest, a configuration, a layer: {:?}", server.seen());
    drop(tickets);
}

#[test]
fn images_share_the_download_of_a_layer() {
    let mut layout = Layout::default();
    let shared = layer("shared", &noise(500_000, 5));
    let digest = gantry_images::Digest::of(&shared.1);
    let images: Vec<_> =
        (0..6).map(|number| layout.image(&[shared.clone(), layer("own", &[number])])).collect();
    let content = images
        .iter()
        .enumerate()
        .fold(Content::new(&layout), |content, (number, image)| content.tag(&number.to_string(), image));
    let server = Server::start(move |seen| content.answer(seen));
    let machine = Machine::new();
    std::thread::scope(|scope| {
        for number in 0..6 {
            let (machine, server) = (&machine, &server);
            scope.spawn(move || machine.pull(&server.name(&format!("app:{number}"))).unwrap());
        }
    });
    assert_eq!(server.count(|seen| seen.path().contains(&digest.hex())), 1);
    for number in 0..6_u8 {
        let own = machine.file(&server.name(&format!("app:{number}")), "own");
        assert_eq!(own, Some(vec![number]));
    }
}

/// A registry whose layer never comes to its end.
fn stalling() -> Server {
    let (layout, manifest, layer) = simple(&noise(200_000, 9));
    let content = Content::new(&layout).tag("1", &manifest);
    Server::start(move |seen| match seen.path().contains(&layer.hex()) {
        true => Answer::Stall(content.reply(seen), 1000),
        false => content.answer(seen),
    })
}

#[test]
fn a_pull_that_nobody_waits_for_is_stopped_at_once() {
    let server = stalling();
    let machine = Machine::new();
    let reference = Reference::parse(&server.name("app:1")).unwrap();
    let (landed, outcomes) = mpsc::channel();
    let other = landed.clone();
    let first = machine.puller.begin(&reference, move |outcome| landed.send(outcome).unwrap()).unwrap();
    let second = machine.puller.begin(&reference, move |outcome| other.send(outcome).unwrap()).unwrap();
    server.wait_for(2, Seen::is_blob);
    drop(first);
    // The other one waits on, and sees how far it is.
    wait_until(|| {
        let layers = second.progress();
        layers.len() == 1 && matches!(layers[0].state, LayerState::Downloading { bytes } if bytes > 0)
    });
    drop(second);
    // Long before any time-out of the client.
    server.wait_for_closed(1);
    assert!(outcomes.recv_timeout(PATIENCE).is_err(), "who left is not told");
    wait_until(|| machine.left().is_empty());

    // It can be pulled anew at once.
    let (landed, _outcomes) = mpsc::channel();
    let again = machine.puller.begin(&reference, move |outcome| drop(landed.send(outcome))).unwrap();
    server.wait_for(4, Seen::is_blob);
    drop(again);
    server.wait_for_closed(2);
}

#[test]
fn a_failure_is_everybodys_and_is_not_kept() {
    let (layout, manifest, _) = simple(b"1");
    let content = Content::new(&layout).tag("1", &manifest);
    let barrier = Arc::new(Barrier::new(2));
    let gate = barrier.clone();
    let count = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(move |seen| {
        if count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
            gate.wait();
            return super::server::unknown("MANIFEST_UNKNOWN").into();
        }
        content.answer(seen)
    });
    let machine = Machine::new();
    let reference = Reference::parse(&server.name("app:1")).unwrap();
    let (landed, outcomes) = mpsc::channel();
    let _tickets: Vec<_> = (0..3)
        .map(|_| {
            let landed = landed.clone();
            machine.puller.begin(&reference, move |outcome| landed.send(outcome).unwrap()).unwrap()
        })
        .collect();
    barrier.wait();
    for _ in 0..3 {
        let error = outcomes.recv_timeout(PATIENCE).unwrap().unwrap_err();
        assert!(matches!(*error, PullError::NotFound { .. }), "{error}");
    }
    machine.pull(&server.name("app:1")).unwrap();
}

#[test]
fn only_so_many_images_are_pulled_at_once() {
    let server = stalling();
    let machine = Machine::with("", |limits| {
        limits.images_at_once = 1;
        limits.images_max = 2;
    });
    let begin = |name: &str| {
        let reference = Reference::parse(&server.name(name)).unwrap();
        machine.puller.begin(&reference, |_| {})
    };
    let first = begin("app:1").unwrap();
    server.wait_for(2, Seen::is_blob);
    let second = begin("other:1").unwrap();
    let error = begin("third:1").unwrap_err();
    assert!(matches!(error, PullError::TooMany(2)), "{error}");
    assert_eq!(server.count(|seen| seen.path().contains("/other/")), 0, "it waits for its turn");
    drop(first);
    server.wait_for(1, |seen| seen.path().contains("/other/"));
    drop(second);
}

#[test]
fn progress_is_told() {
    let mut layout = Layout::default();
    let manifest = layout.image(&[layer("a", &noise(300_000, 1)), layer("b", &noise(300_000, 2))]);
    let content = Content::new(&layout).tag("1", &manifest);
    let server = Server::start(move |seen| content.answer(seen));
    let machine = Machine::new();
    let told = std::sync::Mutex::new(Vec::new());
    let reference = Reference::parse(&server.name("app:1")).unwrap();
    let on_progress = |progress: Progress<'_>| match progress {
        Progress::Downloading { layer, bytes, total } => {
            assert!(bytes <= total && total > 300_000);
            told.lock().unwrap().push((*layer, bytes == total));
        }
        Progress::Unpacked { layer } => told.lock().unwrap().push((*layer, true)),
        other => panic!("{other:?}"),
    };
    machine.puller.pull(&reference, &on_progress).unwrap();
    let mut ends: Vec<_> = told
        .into_inner()
        .unwrap()
        .into_iter()
        .filter(|(_, is_end)| *is_end)
        .map(|(layer, _)| layer)
        .collect();
    ends.sort();
    ends.dedup();
    assert_eq!(ends.len(), 2);
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }
}
