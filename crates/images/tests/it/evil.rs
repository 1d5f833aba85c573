//! Layers that attack the machine that unpacks them. Each is refused by name, and nothing of it remains.

use std::fs;
use std::path::Path;

use gantry_images::{Limits, Progress, Store};

use crate::archive::{Header, Layout, REF_NAME, Tar, docker_archive, gzip};
use crate::{TestStore, content};

/// Loads the layer, tries to unpack it, and gives the error. A canary beside the store must stay as it is.
fn refused(name: &str, layer: Tar) -> String {
    refused_with(name, Limits::default(), &docker_archive(&["evil"], &[layer.finish()]))
}

fn refused_with(name: &str, limits: Limits, archive: &[u8]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let outside = directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("canary"), "untouched").unwrap();
    let path = directory.path().join("store");
    let store = Store::open_with(&path, limits).unwrap();
    let loaded =
        store.load(archive, None, &|_: Progress<'_>| {}).unwrap_or_else(|error| panic!("{name}: {error}"));
    let before = content(&path);
    let error = match store.prepare(&loaded[0].digest) {
        Err(error) => error.to_string(),
        Ok(layers) => panic!("{name} is unpacked: {layers:?}"),
    };
    assert_eq!(content(&path), before, "{name} leaves something in the store");
    let left: Vec<_> = fs::read_dir(&outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["canary"], "{name} wrote outside");
    assert_eq!(fs::read(outside.join("canary")).unwrap(), b"untouched", "{name} wrote outside");
    assert!(!Path::new("/gantry-evil").exists(), "{name} wrote to /");
    error
}

#[test]
fn a_layer_that_leaves_its_root_is_refused_and_leaves_nothing() {
    let up = "../".repeat(20);
    #[rustfmt::skip]
    let table = [
        ("parent in a file", Tar::new().file("../outside/x", b"x"), "\"../outside/x\" has \"..\""),
        ("parent in the middle", Tar::new().file("a/../../outside/x", b"x"), "has \"..\""),
        ("parent at the end", Tar::new().directory("a/.."), "has \"..\""),
        ("parent after a slash", Tar::new().file("/../outside/x", b"x"), "has \"..\""),
        ("parent in a long name", Tar::new().file(&format!("{}/../../outside/x", "a".repeat(120)), b"x"), "has \"..\""),
        ("parent in a directory", Tar::new().directory("../outside/d"), "has \"..\""),
        ("parent in a link's own name", Tar::new().symlink("../outside/l", "x"), "has \"..\""),
        ("parent in a whiteout", Tar::new().file("../.wh.canary", b""), "has \"..\""),
        ("absolute link as directory", Tar::new().symlink("l", "/").file("l/gantry-evil", b"x"),
            "\"l/gantry-evil\" goes through a symbolic link that leaves the layer"),
        ("relative link as directory", Tar::new().symlink("l", "../../../outside").file("l/x", b"x"),
            "\"l/x\" goes through a symbolic link that leaves"),
        ("deep link as directory", Tar::new().directory("a/b").symlink("a/b/l", &up).file("a/b/l/gantry-evil", b"x"),
            "leaves the layer"),
        ("link to a link", Tar::new().symlink("a", "b").symlink("b", "/").file("a/gantry-evil", b"x"), "leaves the layer"),
        ("link that made directories", Tar::new().symlink("l", "/").file("l/gantry-evil/d/x", b"x"), "leaves the layer"),
        ("directory over a link below a link", Tar::new().symlink("l", "/").directory("l/gantry-evil"), "leaves the layer"),
        ("link below a link", Tar::new().symlink("l", "..").symlink("l/gantry-evil", "x"), "leaves the layer"),
        ("whiteout below a link", Tar::new().symlink("l", "../../../outside").file("l/.wh.canary", b""), "leaves the layer"),
        ("opaque below a link", Tar::new().symlink("l", "../../../outside").file("l/.wh..wh..opq", b""), "leaves the layer"),
        ("loop of links", Tar::new().symlink("a", "b").symlink("b", "a").file("a/x", b"x"), "leaves the layer"),
        ("link into proc", Tar::new().symlink("l", "/proc/self/cwd").file("l/x", b"x"), "leaves the layer"),
        ("dangling link as directory", Tar::new().symlink("l", "none").file("l/x", b"x"), "below something that is not"),
        ("hard link to a parent", Tar::new().hard_link("h", "../outside/canary"), "has \"..\""),
        ("hard link to an absolute file", Tar::new().hard_link("h", "/etc/passwd"), "which the layer does not have"),
        ("hard link through a link", Tar::new().symlink("l", "../../../outside").hard_link("h", "l/canary"),
            "\"h\" is a hard link to \"l/canary\", which goes through a symbolic link that leaves"),
        ("hard link to nothing", Tar::new().hard_link("h", "none"), "which the layer does not have"),
        ("hard link to a directory", Tar::new().directory("d").hard_link("h", "d"), "which is a directory"),
        ("hard link to the root", Tar::new().hard_link("h", "/"), "which is a directory"),
        ("link over the root", Tar::new().symlink(".", "/"), "would replace the root"),
        ("file over the root", Tar::new().file("/", b"x"), "would replace the root"),
        ("file below a file", Tar::new().file("f", b"x").file("f/x", b"x"), "below something that is not a directory"),
        ("whiteout without a name", Tar::new().file(".wh.", b""), "whiteout without a proper name"),
        ("whiteout of itself", Tar::new().file("d/.wh..", b""), "whiteout without a proper name"),
        ("whiteout of the parent", Tar::new().file("d/.wh...", b""), "whiteout without a proper name"),
        ("link to nothing", Tar::new().symlink("l", ""), "link to nothing"),
        ("block device", Tar::new().device("disk", b'4', (8, 0)), "\"disk\" is a device outside /dev"),
        ("character device", Tar::new().device("usr/mem", b'3', (1, 1)), "device outside /dev"),
        ("device hidden below dev by a link", Tar::new().directory("x").symlink("dev", "x").device("y/mem", b'3', (1, 1)),
            "device outside /dev"),
    ];
    for (name, layer, expected) in table {
        let error = refused(name, layer);
        assert!(error.contains(expected), "{name} gives: {error}");
    }
}

#[test]
fn a_link_that_is_replaced_by_a_directory_is_followed_no_more() {
    let store = TestStore::new();
    let layer = Tar::new()
        .symlink("l", "/tmp")
        .directory("l")
        .file("l/x", b"inside")
        .symlink("m", "..")
        .file("m", b"f");
    let archive = docker_archive(&["replaced"], &[layer.finish()]);
    let loaded = store.load(&archive[..], None, &gantry_images::silent).unwrap();
    let layer = store.only_layer(&loaded[0].digest);
    assert_eq!(fs::read(layer.join("l/x")).unwrap(), b"inside");
    assert!(layer.join("l").symlink_metadata().unwrap().is_dir());
    assert_eq!(fs::read(layer.join("m")).unwrap(), b"f");
}

#[test]
fn a_directory_that_is_replaced_by_a_link_leads_nowhere() {
    let layer =
        Tar::new().directory("d/e").file("d/e/x", b"1").symlink("d", "../../../outside").file("d/x", b"2");
    let error = refused("directory replaced", layer);
    assert!(error.contains("\"d/x\" goes through a symbolic link that leaves"), "{error}");
}

#[test]
fn names_and_owners_beyond_all_limits_are_refused() {
    let deep = "d/".repeat(300);
    let pax = |key: &'static str, value: &'static [u8]| {
        Tar::new().entry(&Header { path: b"f", pax: &[(key, value)], ..Header::default() }, b"")
    };
    let long_link = Header { path: b"l", kind: b'2', link: &[b'x'; 4096], ..Header::default() };
    #[rustfmt::skip]
    let table = [
        ("name of 256 bytes", Tar::new().file(&"n".repeat(256), b""), "more than 255 bytes"),
        ("path of 5000 bytes", Tar::new().file(&"abcd/".repeat(1000), b""), "more than 4096 bytes"),
        ("300 directories", Tar::new().file(&deep, b""), "more than 255 directories deep"),
        ("link of 4096 bytes", Tar::new().entry(&long_link, b""), "more than 4095 bytes"),
        ("owner -1", pax("uid", b"4294967295"), "owner or group"),
        ("owner of 64 bits", pax("gid", b"99999999999"), "owner or group"),
        ("name with NUL", pax("path", b"a\0b"), "holds NUL"),
        ("file cut off", Tar::new().block(&Header { path: b"f", ..Header::default() }, 100_000), "middle of an entry"),
        ("no archive", Tar::new().block(&Header { path: b"f", kind: b'!', ..Header::default() }, 0), "entry type '!'"),
    ];
    for (name, layer, expected) in table {
        let error = refused(name, layer);
        assert!(error.contains(expected), "{name} gives: {error}");
    }
}

#[test]
fn bombs_are_stopped_at_their_limits() {
    let limits = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        limits
    };
    let compressed = |layer: Tar| {
        let layer = layer.finish();
        let mut layout = Layout::default();
        let diff_id = gantry_images::Digest::of(&layer);
        let image = layout.image(&[("application/vnd.oci.image.layer.v1.tar+gzip", gzip(&layer), diff_id)]);
        layout.name(image, REF_NAME, "bomb");
        layout.archive()
    };
    let many_files = |count: usize, kind: u8| {
        (0..count).fold(Tar::new(), |layer, number| {
            let path = format!("f{number}");
            layer.entry(&Header { path: path.as_bytes(), kind, ..Header::default() }, b"")
        })
    };
    let sparse = Header {
        path: b"sparse",
        pax: &[("GNU.sparse.map", b""), ("GNU.sparse.size", b"1099511627776000")],
        ..Header::default()
    };
    #[rustfmt::skip]
    let table = [
        ("files", limits(|l| l.entries_max = 10), compressed(many_files(11, b'0')), "\"f10\" is one more than the limit of 10"),
        ("devices", limits(|l| l.entries_max = 10), compressed(many_files(11, b'6')), "limit of 10"),
        ("zeros", limits(|l| l.layer_bytes_max = 1 << 20), compressed(Tar::new().file("z", &vec![0; 8 << 20])),
            "\"z\" brings the layer above its limit of 1048576 bytes"),
        ("zeros in names", limits(|l| l.layer_bytes_max = 1 << 20), compressed(many_files(3000, b'5')),
            "larger than 1048576 bytes"),
        ("one file", limits(|l| l.layer_bytes_max = 1 << 20), compressed(Tar::new().block(
            &Header { path: b"z", ..Header::default() }, 1 << 30)), "above its limit of 1048576 bytes"),
        ("a sparse file", Limits::default(), compressed(Tar::new().entry(&sparse, b"")), "above its limit"),
        ("directory names", limits(|l| l.names_bytes_max = 1000), compressed(many_files(50, b'5')),
            "memory is set aside"),
    ];
    for (name, limits, archive, expected) in table {
        let error = refused_with(name, limits, &archive);
        assert!(error.contains(expected), "{name} gives: {error}");
    }
}

#[test]
fn a_tree_deeper_than_a_path_vanishes_too() {
    // Each link stands for 200 directories, so that the real depth is far beyond what one path could name.
    let mut layer = Tar::new();
    let step = "d/".repeat(200);
    let mut here = String::new();
    for number in 0..10 {
        layer = layer
            .directory(&format!("{here}{step}"))
            .symlink(&format!("l{number}"), &format!("{here}{step}."));
        here = format!("l{number}/");
    }
    let error = refused("deep tree", layer.file("../x", b""));
    assert!(error.contains("has \"..\""), "{error}");
}

#[test]
fn content_that_is_not_what_its_digest_says_is_refused() {
    let layer = Tar::new().file("a", b"right").finish();
    let other = Tar::new().file("a", b"wrong").finish();
    let diff_id = gantry_images::Digest::of(&layer);
    let mut layout = Layout::default();
    let image = layout.image(&[("application/vnd.oci.image.layer.v1.tar+gzip", gzip(&other), diff_id)]);
    layout.name(image, REF_NAME, "x");
    let error = refused_with("wrong layer", Limits::default(), &layout.archive());
    assert!(error.contains("does not match its diff ID: expected sha256:"), "{error}");

    // The same when the archive ends too early, or is no archive at all.
    for (name, blob, expected) in [
        ("cut off", gzip(&layer)[..40].to_vec(), "middle of an entry"),
        ("not gzip inside", [gzip(b"x"), b"garbage".to_vec()].concat(), "cannot be unpacked"),
        ("empty", Vec::new(), "does not match its diff ID"),
    ] {
        let mut layout = Layout::default();
        let image = layout.image(&[("application/vnd.oci.image.layer.v1.tar+gzip", blob, diff_id)]);
        layout.name(image, REF_NAME, "x");
        let error = refused_with(name, Limits::default(), &layout.archive());
        assert!(error.contains(expected), "{name} gives: {error}");
    }
}
