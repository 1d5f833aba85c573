//! Archives of every kind, whole and damaged.

use std::fs;
use std::sync::Mutex;

use gantry_images::{Digest, Loaded, Progress, silent};
use serde_json::json;

use crate::TestStore;
use crate::archive::{Layout, REF_NAME, Tar, config, docker_archive, gzip, zstd};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONTAINERD: &str = "io.containerd.image.name";

fn layer(text: &str) -> Vec<u8> {
    Tar::new().file("file", text.as_bytes()).finish()
}

fn plain(text: &str) -> (&'static str, Vec<u8>, Digest) {
    let layer = layer(text);
    let diff_id = Digest::of(&layer);
    (LAYER, layer, diff_id)
}

fn names(loaded: &[Loaded]) -> Vec<String> {
    loaded.iter().flat_map(|image| &image.references).map(ToString::to_string).collect()
}

#[test]
fn an_archive_of_docker_is_loaded_under_its_names() {
    let store = TestStore::new();
    let archive = docker_archive(&["app:1", "host.example/team/app"], &[layer("1"), layer("2")]);
    let loaded = store.load(&archive[..], None, &silent).unwrap();
    assert_eq!(names(&loaded), ["docker.io/library/app:1", "host.example/team/app:latest"]);
    let image = store.image(&store.resolve("app:1").unwrap().unwrap()).unwrap();
    assert_eq!(image.config.cmd, ["/app"]);
    assert_eq!(image.config.env, ["A=1"]);
    assert_eq!(image.layers.iter().map(|layer| layer.diff_id).collect::<Vec<_>>(), image.config.diff_ids);
    assert_eq!(image.digest, image.manifest_digest);
    assert_eq!(store.resolve("host.example/team/app").unwrap(), Some(image.digest));
    let layers = store.prepare(&image.digest).unwrap();
    assert_eq!(fs::read(layers[0].join("file")).unwrap(), b"2");
    // Nothing of the archive stays but the image: a configuration, a manifest, two layers.
    assert_eq!(store.content().iter().filter(|name| name.starts_with("blobs")).count(), 4);
    assert_eq!(store.content().iter().filter(|name| name.starts_with("tmp")).count(), 0);

    // The same archive gives the same image, on any machine.
    assert_eq!(TestStore::new().load(&archive[..], None, &silent).unwrap(), loaded);
}

#[test]
fn a_name_of_ones_own_wins() {
    let store = TestStore::new();
    let archive = docker_archive(&["app:1"], &[layer("1")]);
    let loaded = store.load(&archive[..], Some("localhost:5000/mine"), &silent).unwrap();
    assert_eq!(names(&loaded), ["localhost:5000/mine:latest"]);
    assert_eq!(store.resolve("app:1").unwrap(), None);
    assert_eq!(store.list().unwrap()[0].name, "localhost:5000/mine");

    let unnamed = docker_archive(&[], &[layer("1")]);
    let error = store.load(&unnamed[..], None, &silent).unwrap_err().to_string();
    assert!(error.contains("--name"), "{error}");
    assert!(store.load(&unnamed[..], Some("x"), &silent).is_ok());
    assert!(store.load(&archive[..], Some("Not A Name"), &silent).is_err());
}

#[test]
fn compressed_archives_and_files_in_any_order_are_loaded() {
    let layers = [layer("1"), layer("2")];
    let diff_ids = [Digest::of(&layers[0]), Digest::of(&layers[1])];
    let manifest = json!([{"Config": "c.json", "RepoTags": ["x"], "Layers": ["a/layer.tar", "b/layer.tar"]}]);
    // The manifest first, the configuration last, a layer that is a link to another's file.
    let same =
        json!([{"Config": "c.json", "RepoTags": ["x"], "Layers": ["a/layer.tar", "l/layer.tar", "h"]}]);
    let ordered = Tar::new()
        .file("manifest.json", manifest.to_string().as_bytes())
        .file("b/layer.tar", &layers[1])
        .file("a/layer.tar", &layers[0])
        .file("./c.json", config(&diff_ids).to_string().as_bytes())
        .finish();
    let links = Tar::new()
        .symlink("l/layer.tar", "../a/layer.tar")
        .file("a/layer.tar", &layers[0])
        .hard_link("h", "a/layer.tar")
        .file("c.json", config(&[diff_ids[0]; 3]).to_string().as_bytes())
        .file("manifest.json", same.to_string().as_bytes())
        .finish();
    for (name, archive) in
        [("gzip", gzip(&ordered)), ("zstd", zstd(&ordered)), ("plain", ordered), ("links", links)]
    {
        let store = TestStore::new();
        let loaded =
            store.load(&archive[..], None, &silent).unwrap_or_else(|error| panic!("{name}: {error}"));
        store.prepare(&loaded[0].digest).unwrap();
    }
}

#[test]
fn an_oci_archive_keeps_its_digests_and_names() {
    let mut layout = Layout::default();
    let image = layout.image(&[plain("1")]);
    let digest: Digest = image["digest"].as_str().unwrap().parse().unwrap();
    layout.name(image.clone(), REF_NAME, "host.example/app:2");
    layout.name(image.clone(), CONTAINERD, "docker.io/library/app:2");
    let other = layout.image(&[plain("other")]);
    layout.name(other, REF_NAME, "other");
    layout.files.push(("README".into(), b"not part of an image".to_vec()));

    let store = TestStore::new();
    let loaded = store.load(&layout.archive()[..], None, &silent).unwrap();
    let all = ["host.example/app:2", "docker.io/library/app:2", "docker.io/library/other:latest"];
    assert_eq!(names(&loaded), all);
    assert_eq!(store.resolve("app:2").unwrap(), Some(digest));
    assert_eq!(store.content().iter().filter(|name| name.starts_with("blobs")).count(), 6);
    let error = store.load(&layout.archive()[..], Some("one"), &silent).unwrap_err().to_string();
    assert!(error.contains("holds 2 images"), "{error}");

    // The same as a directory.
    let directory = tempfile::tempdir().unwrap();
    for (path, content) in layout.files() {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let store = TestStore::new();
    assert_eq!(store.load_path(directory.path(), None, &silent).unwrap(), loaded);
}

#[test]
fn docker_writes_both_forms_into_one_archive() {
    let mut layout = Layout::default();
    let image = layout.image(&[plain("1")]);
    let config = layout.files[0].0.clone();
    let layer = layout.files[1].0.clone();
    layout.name(image.clone(), REF_NAME, "7");
    let manifest = json!([{"Config": config, "RepoTags": ["app:7", "more:7"], "Layers": [layer]}]);
    layout.files.push(("manifest.json".into(), manifest.to_string().into()));
    let store = TestStore::new();
    let loaded = store.load(&layout.archive()[..], None, &silent).unwrap();
    assert_eq!(names(&loaded), ["docker.io/library/app:7", "docker.io/library/more:7"]);
    assert_eq!(loaded[0].digest.to_string(), image["digest"].as_str().unwrap());
}

#[test]
fn of_an_index_this_machines_platform_is_taken() {
    let mut layout = Layout::default();
    let ours = layout.image(&[plain("ours")]);
    let mut theirs = layout.image(&[plain("theirs")]);
    let mut ours_there = ours.clone();
    ours_there["platform"] = json!({"os": "linux", "architecture": std::env::consts::ARCH.replace("x86_64", "amd64").replace("aarch64", "arm64")});
    theirs["platform"] = json!({"os": "linux", "architecture": "s390x"});
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [theirs, ours_there],
    });
    let index = layout.blob("application/vnd.oci.image.index.v1+json", index.to_string().into());
    layout.name(index.clone(), REF_NAME, "multi");
    // Most archives hold only one of the platforms that the index names.
    let theirs_config = layout.files[3].0.clone();
    layout.files.retain(|(path, _)| *path != theirs_config);

    let store = TestStore::new();
    store.load(&layout.archive()[..], None, &silent).unwrap();
    let digest = store.resolve("multi").unwrap().unwrap();
    assert_eq!(digest.to_string(), index["digest"].as_str().unwrap());
    let image = store.image(&digest).unwrap();
    assert_eq!(image.manifest_digest.to_string(), ours["digest"].as_str().unwrap());
    store.prune().unwrap();
    assert_eq!(fs::read(store.only_layer(&digest).join("file")).unwrap(), b"ours");
}

#[test]
fn what_is_no_whole_image_is_refused_and_leaves_nothing() {
    let manifest = |text: &str| Tar::new().file("manifest.json", text.as_bytes()).finish();
    let with_config = |config: &str, layers: &str| {
        Tar::new()
            .file(
                "manifest.json",
                format!(r#"[{{"Config":"c","RepoTags":["x"],"Layers":[{layers}]}}]"#).as_bytes(),
            )
            .file("c", config.as_bytes())
            .file("l", &layer("l"))
            .finish()
    };
    let layout = |change: &dyn Fn(&mut Layout)| {
        let mut layout = Layout::default();
        let image = layout.image(&[plain("1")]);
        layout.name(image, REF_NAME, "x");
        change(&mut layout);
        layout.archive()
    };
    let index = |text: &str| Tar::new().file("index.json", text.as_bytes()).finish();
    let wrong_diff_id = config(&[Digest::of(b"other")]).to_string();
    let whole = docker_archive(&["x"], &[layer("1")]);
    #[rustfmt::skip]
    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing", Vec::new(), "neither a manifest.json nor an index.json"),
        ("text", b"hello ".repeat(200), "neither a manifest.json nor an index.json"),
        ("another tar", layer("1"), "neither a manifest.json nor an index.json"),
        ("a gzip of text", gzip(b"hello"), "neither a manifest.json nor an index.json"),
        ("xz", b"\xfd7zXZ\0more".to_vec(), "compressed with xz, which is not supported"),
        ("cut off", whole[..1500].to_vec(), "middle of an entry"),
        ("gzip cut off", gzip(&whole)[..200].to_vec(), "cannot be read"),
        ("manifest no json", manifest("["), "manifest.json in the archive cannot be used"),
        ("no images", manifest("[]"), "neither a manifest.json nor an index.json"),
        ("configuration missing", manifest(r#"[{"Config":"c","Layers":[]}]"#), "manifest.json names \"c\""),
        ("outside", manifest(r#"[{"Config":"../../../../etc/passwd","Layers":[]}]"#), "names \"../../../../etc/passwd\""),
        ("layer missing", with_config(&config(&[Digest::of(b"")]).to_string(), "\"none\""), "names \"none\""),
        ("layers too few", with_config(&wrong_diff_id, ""), "names 1 layers, but the manifest names 0"),
        ("layer of another", with_config(&wrong_diff_id, "\"l\""), "layer l does not match the image's configuration"),
        ("index no json", index("{"), "index.json in the archive cannot be used"),
        ("index is a manifest", index(r#"{"schemaVersion":2,"config":{},"layers":[]}"#), "cannot be used"),
        ("index empty", index(r#"{"schemaVersion":2,"manifests":[]}"#), "neither a manifest.json nor"),
        ("manifest missing", layout(&|layout| { layout.files.pop(); }), "index.json names \"blobs/sha256/"),
        ("config missing", layout(&|layout| { layout.files.remove(0); }), "its manifest names \"blobs/sha256/"),
        ("blob damaged", layout(&|layout| layout.files[1].1.push(0)), "does not match its name"),
        ("size wrong", layout(&|layout| {
            let manifest = String::from_utf8(layout.files[2].1.clone()).unwrap();
            let changed = manifest.replace("\"size\":2048", "\"size\":2047");
            assert_ne!(manifest, changed);
            let descriptor = layout.blob("application/vnd.oci.image.manifest.v1+json", changed.into());
            layout.manifests.clear();
            layout.name(descriptor, REF_NAME, "x");
        }), "should have 2047 bytes, but has 2048"),
        ("no platform of ours", layout(&|layout| {
            let mut image = layout.manifests[0].clone();
            image["platform"] = json!({"os": "windows", "architecture": "amd64"});
            let index = json!({"schemaVersion": 2, "manifests": [image]}).to_string();
            let index = layout.blob("application/vnd.oci.image.index.v1+json", index.into());
            layout.manifests.clear();
            layout.name(index, REF_NAME, "x");
        }), "does not contain descriptor matching platform"),
        ("index in an index in an index", layout(&|layout| {
            for _ in 0..2 {
                let index = json!({"schemaVersion": 2, "manifests": layout.manifests}).to_string();
                let index = layout.blob("application/vnd.oci.image.index.v1+json", index.into());
                layout.manifests.clear();
                layout.name(index, REF_NAME, "x");
            }
        }), "index inside an index"),
    ];
    for (name, archive, expected) in table {
        let store = TestStore::new();
        let error = match store.load(&archive[..], None, &silent) {
            Err(error) => error.to_string(),
            Ok(loaded) => panic!("{name} is loaded: {loaded:?}"),
        };
        assert!(error.contains(expected), "{name} gives: {error}");
        assert_eq!(store.content(), Vec::<String>::new(), "{name} leaves something");
        assert!(store.list().unwrap().is_empty(), "{name}");
    }
}

#[test]
fn progress_is_told() {
    let store = TestStore::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("archive");
    let archive = gzip(&docker_archive(&["x"], &[Tar::new().file("f", &vec![1; 5_000_000]).finish()]));
    fs::write(&path, &archive).unwrap();
    let last = Mutex::new((0, None));
    let digest = store
        .load_path(&path, None, &|progress| {
            if let Progress::Reading { bytes, total } = progress {
                let mut last = last.lock().unwrap();
                assert!(bytes >= last.0);
                *last = (bytes, total);
            }
        })
        .unwrap()[0]
        .digest;
    assert_eq!(*last.lock().unwrap(), (archive.len() as u64, Some(archive.len() as u64)));
    let unpacked = Mutex::new((0, 0, 0));
    store
        .prepare_with(&digest, &|progress| {
            let mut unpacked = unpacked.lock().unwrap();
            match progress {
                Progress::Unpacking { bytes, total, .. } => (unpacked.0, unpacked.1) = (bytes, total),
                Progress::Unpacked { .. } => unpacked.2 += 1,
                _ => {}
            }
        })
        .unwrap();
    let (bytes, total, layers) = *unpacked.lock().unwrap();
    assert_eq!((bytes, layers), (total, 1));
}
