//! Names, blobs, holds and prune, also by many at once.

use std::fs;
use std::io::Write;
use std::path::Path;

use gantry_images::{Digest, Limits, Reference, Store, StoreError, silent};

use crate::TestStore;
use crate::archive::{Tar, docker_archive};

fn archive(name: &str) -> Vec<u8> {
    docker_archive(
        &[name],
        &[Tar::new().file("shared", b"s").finish(), Tar::new().file("own", name.as_bytes()).finish()],
    )
}

fn load(store: &Store, name: &str) -> Digest {
    store.load(&archive(name)[..], None, &silent).unwrap()[0].digest
}

#[test]
fn images_are_named_found_and_removed() {
    let store = TestStore::new();
    assert_eq!(store.resolve("app").unwrap(), None);
    let digest = load(&store, "app:1");
    for name in [
        "app:1",
        "docker.io/library/app:1",
        &format!("app@{digest}"),
        &format!("x:y@{digest}"),
        &digest.to_string(),
    ] {
        assert_eq!(store.resolve(name).unwrap(), Some(digest), "{name}");
    }
    for name in ["app", "app:2", &format!("app:1@{}", Digest::of(b"")), &Digest::of(b"").to_string()] {
        assert_eq!(store.resolve(name).unwrap(), None, "{name}");
    }
    assert!(matches!(store.resolve("Not Valid"), Err(StoreError::Reference(_))));

    assert_eq!(store.tag("app:1", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app").unwrap(), digest);
    let error = store.tag("none", "x").unwrap_err().to_string();
    assert!(error.contains("no image none here"), "{error}");
    let listed: Vec<_> =
        store.list().unwrap().into_iter().map(|listed| (listed.name, listed.digest)).collect();
    let ecr = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app";
    assert_eq!(listed, [(ecr.into(), digest), ("app:1".into(), digest)]);

    // A name that moves leaves the old image, until it is pruned.
    let second = load(&store, "app:2");
    store.tag("app:2", "app:1").unwrap();
    assert_eq!(store.resolve("app:1").unwrap(), Some(second));
    assert!(store.remove("docker.io/library/app:1").unwrap());
    assert!(!store.remove("app:1").unwrap());
    assert_eq!(store.list().unwrap().len(), 2);

    // Another process sees all of it.
    let other = Store::open(store.path()).unwrap();
    assert_eq!(other.list().unwrap(), store.list().unwrap());
}

#[test]
fn the_store_is_a_layout_that_other_programs_read() {
    let store = TestStore::new();
    let digest = load(&store, "app:1");
    assert_eq!(
        fs::read_to_string(store.path().join("oci-layout")).unwrap(),
        r#"{"imageLayoutVersion":"1.0.0"}"#
    );
    let other = TestStore::new();
    let loaded = other.load_path(&store.path(), None, &silent).unwrap();
    assert_eq!((loaded[0].digest, loaded[0].references[0].given()), (digest, "docker.io/library/app:1"));
}

#[test]
fn prune_removes_what_nobody_needs() {
    let store = TestStore::new();
    let (one, two) = (load(&store, "one"), load(&store, "two"));
    let layers = (store.prepare(&one).unwrap(), store.prepare(&two).unwrap());
    assert_eq!(store.prune().unwrap(), gantry_images::Pruned::default());
    store.hold("task-1", &one).unwrap();
    store.hold("task-2", &one).unwrap();
    store.remove("one").unwrap();
    assert_eq!(store.prune().unwrap().blobs, 0, "held");
    assert_eq!(store.holders().unwrap(), [("task-1".to_owned(), one), ("task-2".to_owned(), one)]);
    store.release("task-1").unwrap();
    store.release("task-1").unwrap();
    // A hold outlives the process that took it.
    let store_again = Store::open(store.path()).unwrap();
    assert_eq!(store_again.prune().unwrap().blobs, 0, "held by another");
    store.release("task-2").unwrap();
    let pruned = store.prune().unwrap();
    assert_eq!((pruned.blobs, pruned.layers), (3, 1), "manifest, configuration, a layer that is not shared");
    assert!(pruned.blob_bytes > 0);
    assert!(!layers.0[0].exists() && layers.1.iter().all(|layer| layer.exists()));
    assert!(matches!(store.image(&one), Err(StoreError::MissingBlob(_))));
    assert!(matches!(store.hold("task", &one), Err(StoreError::MissingBlob(_))));
    store.image(&two).unwrap();
    store.remove("two").unwrap();
    store.prune().unwrap();
    assert_eq!(store.content(), Vec::<String>::new());
    for bad in ["", ".", "..", "a/b", ".x", "a\0b", &"x".repeat(201)] {
        assert!(matches!(store.hold(bad, &two), Err(StoreError::Holder(_))), "{bad:?}");
        assert!(store.release(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn what_is_under_way_survives_prune() {
    let store = TestStore::new();
    let limits = Limits { store_wait: std::time::Duration::from_millis(20), ..Limits::default() };
    let impatient = Store::open_with(store.path(), limits).unwrap();
    let mut ingest = store.ingest().unwrap();
    let digest = ingest.add(b"content").unwrap();
    ingest.publish().unwrap();
    assert!(store.has_blob(&digest).unwrap());
    let error = impatient.prune().unwrap_err();
    assert!(matches!(error, StoreError::Busy { .. }), "{error}");
    assert!(store.has_blob(&digest).unwrap());
    drop(ingest);
    assert_eq!(impatient.prune().unwrap().blobs, 1);
}

#[test]
fn blobs_are_proven_by_their_digests() {
    let store = TestStore::new();
    let mut ingest = store.ingest().unwrap();
    let mut writer = ingest.blob().unwrap();
    writer.write_all(b"content").unwrap();
    let error = ingest.finish(writer, Some(&Digest::of(b"other"))).unwrap_err().to_string();
    let expected = format!("expected {}, got {}", Digest::of(b"other"), Digest::of(b"content"));
    assert!(error.contains(&expected), "{error}");
    let mut writer = ingest.blob().unwrap();
    writer.write_all(b"con").unwrap();
    writer.write_all(b"tent").unwrap();
    assert!(!store.has_blob(&Digest::of(b"content")).unwrap(), "not before it is published");
    ingest.finish(writer, Some(&Digest::of(b"content"))).unwrap();
    ingest.add(b"content").unwrap();
    ingest.publish().unwrap();
    assert!(store.has_blob(&Digest::of(b"content")).unwrap());
    // Half a blob, and then nothing more.
    let mut writer = ingest.blob().unwrap();
    writer.write_all(b"half").unwrap();
    drop((writer, ingest));
    assert_eq!(store.content(), [format!("blobs/sha256/{}", Digest::of(b"content").hex())]);

    // What changed on the disk is noticed before it is parsed.
    let digest = load(&store, "app");
    let path = store.path().join("blobs/sha256").join(digest.hex());
    let content = fs::read_to_string(&path).unwrap();
    fs::write(&path, content.replace("schemaVersion", "schemaversion")).unwrap();
    assert!(matches!(store.image(&digest), Err(StoreError::DigestMismatch { .. })));
}

#[test]
fn a_name_with_a_digest_must_mean_that_image() {
    let store = TestStore::new();
    let digest = load(&store, "app");
    let wrong = Reference::parse(&format!("x@{}", Digest::of(b""))).unwrap();
    let right = Reference::parse(&format!("x@{digest}")).unwrap();
    assert!(matches!(
        store.ingest().unwrap().commit(&[(wrong, digest)]),
        Err(StoreError::DigestMismatch { .. })
    ));
    store.ingest().unwrap().commit(&[(right, digest)]).unwrap();
    assert_eq!(store.list().unwrap().len(), 2);
    let missing = Reference::parse("x").unwrap();
    let error = store.ingest().unwrap().commit(&[(missing, Digest::of(b""))]).unwrap_err();
    assert!(matches!(error, StoreError::MissingBlob(_)), "{error}");
}

#[test]
fn the_number_of_references_is_limited() {
    let directory = tempfile::tempdir().unwrap();
    let store =
        Store::open_with(directory.path(), Limits { references_max: 2, ..Limits::default() }).unwrap();
    load(&store, "one");
    load(&store, "two");
    let error = store.load(&archive("three")[..], None, &silent).unwrap_err().to_string();
    assert!(error.contains("2 references, which is its limit"), "{error}");
    load(&store, "two");
    assert_eq!(store.list().unwrap().len(), 2);
}

#[test]
fn a_damaged_index_is_told_and_not_overwritten() {
    let store = TestStore::new();
    load(&store, "app");
    let path = store.path().join("index.json");
    let whole = fs::read_to_string(&path).unwrap();
    for damaged in
        ["", "{", "[]", &whole[..whole.len() - 5], &whole.replace("docker.io/library/app", "Not Valid")]
    {
        fs::write(&path, damaged).unwrap();
        for error in
            [store.resolve("app").map(drop), store.tag("app", "b").map(drop), store.prune().map(drop)]
        {
            let error = error.expect_err(damaged).to_string();
            assert!(error.contains("index.json is damaged"), "{damaged:?} gives: {error}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
    }
    fs::write(&path, whole).unwrap();
    assert!(store.resolve("app").unwrap().is_some());
}

#[test]
fn many_load_tag_prepare_and_prune_at_once() {
    let store = TestStore::new();
    let path = store.path();
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let path = &path;
            scope.spawn(move || {
                // As processes do: each opens the store for itself.
                let store = Store::open(path).unwrap();
                for round in 0..4 {
                    let name = format!("app-{thread}:{round}");
                    let digest = load(&store, &name);
                    store.hold(&format!("task-{thread}"), &digest).unwrap();
                    let layers = store.prepare(&digest).unwrap();
                    assert_eq!(fs::read(layers[0].join("own")).unwrap(), name.as_bytes());
                    assert_eq!(fs::read(layers[1].join("shared")).unwrap(), b"s");
                    store.tag(&name, &format!("latest-{thread}")).unwrap();
                    if round % 2 == 0 {
                        store.remove(&name).unwrap();
                    }
                    if thread % 3 == 0 {
                        store.prune().unwrap();
                    }
                    assert!(layers.iter().all(|layer| layer.exists()), "held");
                }
            });
        }
    });
    // Of each thread: two names that stay, and the last one's tag.
    assert_eq!(store.list().unwrap().len(), 6 * 3);
    for listed in store.list().unwrap() {
        store.prepare(&listed.digest).unwrap();
    }
    assert!(store.content().iter().all(|name| !name.starts_with("tmp")));
}

#[test]
fn many_open_a_new_store_at_once() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let path = directory.path().join(format!("store-{round}"));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let store = Store::open(&path).unwrap();
                    load(&store, "app");
                    store.prune().unwrap();
                });
            }
        });
        assert!(path.join("oci-layout").exists());
    }
}

#[test]
fn a_saved_image_is_the_same_when_it_is_loaded() {
    let store = TestStore::new();
    let digest = load(&store, "host.example/app:1");
    let mut archive = Vec::new();
    store.save("host.example/app:1", &mut archive).unwrap();
    let other = TestStore::new();
    let loaded = other.load(&archive[..], None, &silent).unwrap();
    assert_eq!((loaded[0].digest, loaded[0].references[0].given()), (digest, "host.example/app:1"));
    assert_eq!(other.image(&digest).unwrap(), store.image(&digest).unwrap());
    let mut by_digest = Vec::new();
    store.save(&digest.to_string(), &mut by_digest).unwrap();
    let error = other.load(&by_digest[..], None, &silent).unwrap_err().to_string();
    assert!(error.contains("--name"), "{error}");
    assert!(store.save("none", Vec::new()).unwrap_err().to_string().contains("no image none here"));
}

#[test]
fn a_layer_is_unpacked_once_by_all_who_want_it() {
    let store = TestStore::new();
    let files = (0..3_000).fold(Tar::new(), |layer, number| layer.file(&format!("f{number}"), b"x"));
    let layers = [files.finish()];
    let digest = store.load(&docker_archive(&["x"], &layers)[..], None, &silent).unwrap()[0].digest;
    let unpacked = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let on_progress = |progress: gantry_images::Progress<'_>| {
                    if matches!(progress, gantry_images::Progress::Unpacked { .. }) {
                        unpacked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    }
                };
                let lower = store.prepare_with(&digest, &on_progress).unwrap();
                assert_eq!(fs::read_dir(&lower[0]).unwrap().count(), 3_000);
            });
        }
    });
    assert_eq!(unpacked.into_inner(), 1);
}

#[test]
fn the_store_is_nobody_elses_to_read() {
    use std::os::unix::fs::PermissionsExt;
    let store = TestStore::new();
    for directory in ["", "layers", "tmp", "blobs"] {
        let mode = store.path().join(Path::new(directory)).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{directory}");
    }
}
