//! What a layer becomes on the disk.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use gantry_images::{Digest, silent};
use rustix::fs::makedev;

use crate::TestStore;
use crate::archive::{Header, Layout, REF_NAME, Tar, docker_archive, gzip, zstd};

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 1000];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

fn load(store: &TestStore, layers: &[Vec<u8>]) -> Digest {
    store.load(&docker_archive(&["test"], layers)[..], None, &silent).unwrap()[0].digest
}

#[test]
fn every_attribute_of_a_file_is_kept() {
    let store = TestStore::new();
    // Newlines in a capability: CAP_DAC_OVERRIDE and CAP_FOWNER.
    let capability = b"\x01\0\0\x02\x0a\0\0\0\x0a\0\0\0\0\0\0\0\0\0\0\0";
    let pax: &[(&str, &[u8])] = &[
        ("mtime", b"1600000000.123456789"),
        ("SCHILY.xattr.security.capability", capability),
        ("SCHILY.xattr.user.note", b"a=b\nc"),
        ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ("SCHILY.xattr.user.overlay.opaque", b"y"),
        ("SCHILY.xattr.security.selinux", b"label"),
    ];
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
    let owned = |path, kind, mode| Header { path, kind, mode, uid: 1234, gid: 5678, ..Header::default() };
    let layer = Tar::new()
        .entry(&Header { pax, ..owned(b"bin/tool", b'0', 0o4755) }, b"content")
        .entry(&owned(b"d", b'5', 0o1777), b"")
        .entry(&owned(b"d/fifo", b'6', 0o640), b"")
        .entry(&Header { link: b"../../etc/passwd", ..owned(b"d/link", b'2', 0o777) }, b"")
        .hard_link("hard", "./bin/tool")
        .hard_link("hard-link-to-a-link", "/d/link")
        .file(&long, b"long")
        .file("/absolute", b"inside")
        .file("./dot", b"")
        .device("dev/null", b'3', (1, 3))
        .entry(&Header { path: b".", kind: b'5', mode: 0o711, ..Header::default() }, b"");
    let root = store.only_layer(&load(&store, &[layer.finish()]));

    let tool = root.join("bin/tool").metadata().unwrap();
    assert_eq!(fs::read(root.join("bin/tool")).unwrap(), b"content");
    assert_eq!((tool.mode() & 0o7777, tool.uid(), tool.gid()), (0o4755, 1234, 5678));
    assert_eq!((tool.mtime(), tool.mtime_nsec()), (1_600_000_000, 123_456_789));
    assert_eq!(xattr(&root.join("bin/tool"), "security.capability").unwrap(), capability);
    assert_eq!(xattr(&root.join("bin/tool"), "user.note").unwrap(), b"a=b\nc");
    for foreign in ["trusted.overlay.opaque", "user.overlay.opaque", "security.selinux"] {
        assert_eq!(xattr(&root.join("bin/tool"), foreign), None, "{foreign}");
    }
    let directory = root.join("d").metadata().unwrap();
    assert_eq!((directory.mode() & 0o7777, directory.uid()), (0o1777, 1234));
    assert_eq!(directory.mtime(), 1_700_000_000, "what was made in it later does not count");
    let fifo = root.join("d/fifo").symlink_metadata().unwrap();
    assert!(fifo.file_type().is_fifo());
    assert_eq!((fifo.mode() & 0o7777, fifo.gid(), fifo.mtime()), (0o640, 5678, 1_700_000_000));
    assert_eq!(fs::read_link(root.join("d/link")).unwrap(), Path::new("../../etc/passwd"));
    assert_eq!(root.join("d/link").symlink_metadata().unwrap().uid(), 1234);
    assert_eq!(root.join("hard").metadata().unwrap().ino(), tool.ino());
    assert!(root.join("hard-link-to-a-link").symlink_metadata().unwrap().is_symlink());
    assert_eq!(fs::read(root.join(long)).unwrap(), b"long");
    assert_eq!(fs::read(root.join("absolute")).unwrap(), b"inside");
    assert!(!root.join("dev/null").exists(), "a container has a /dev of its own");
    assert_eq!(root.metadata().unwrap().mode() & 0o7777, 0o711);
    assert_eq!(root.join("bin").metadata().unwrap().mode() & 0o7777, 0o755, "implied");
}

#[test]
fn whiteouts_become_what_overlayfs_knows() {
    let store = TestStore::new();
    let layer = Tar::new()
        .file("d/.wh.gone", b"")
        .file("opaque/.wh..wh..opq", b"")
        .file("opaque/new", b"x")
        .file(".wh..wh.aufs", b"")
        .file(".wh..wh.plnk", b"")
        // A name that is hidden below and new in this layer, in either order.
        .file(".wh.file-after", b"")
        .file("file-after", b"x")
        .file("file-before", b"x")
        .file(".wh.file-before", b"")
        .file(".wh.dir-after", b"")
        .directory("dir-after")
        .directory("dir-before")
        .file(".wh.dir-before", b"")
        .file(".wh.implied", b"")
        .file("implied/x", b"x");
    let root = store.only_layer(&load(&store, &[layer.finish()]));
    let gone = root.join("d/gone").symlink_metadata().unwrap();
    assert!(gone.file_type().is_char_device());
    assert_eq!(gone.rdev(), makedev(0, 0));
    for opaque in ["opaque", "dir-after", "dir-before", "implied"] {
        assert_eq!(
            xattr(&root.join(opaque), "trusted.overlay.opaque").as_deref(),
            Some(&b"y"[..]),
            "{opaque}"
        );
    }
    assert_eq!(xattr(&root.join("d"), "trusted.overlay.opaque"), None);
    assert_eq!(fs::read(root.join("file-after")).unwrap(), b"x");
    assert_eq!(fs::read(root.join("file-before")).unwrap(), b"x");
    let mut names: Vec<_> =
        fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["d", "dir-after", "dir-before", "file-after", "file-before", "implied", "opaque"]);
}

/// The proof of the pudding: the kernel's own view of the lower directories.
#[test]
fn an_overlay_of_the_layers_shows_the_image() {
    let store = TestStore::new();
    let layers = [
        Tar::new().file("a/1", b"1").file("a/2", b"2").file("b/1", b"1").file("c", b"c").finish(),
        Tar::new()
            .file("a/.wh.1", b"")
            .file("b/.wh..wh..opq", b"")
            .file("b/2", b"2")
            .file(".wh.c", b"")
            .finish(),
        Tar::new().file("a/3", b"3").file("c/d", b"d").finish(),
        // The same once more: overlayfs must not see it twice.
        Tar::new()
            .file("a/.wh.1", b"")
            .file("b/.wh..wh..opq", b"")
            .file("b/2", b"2")
            .file(".wh.c", b"")
            .finish(),
    ];
    let digest = load(&store, &layers);
    let lower = store.prepare(&digest).unwrap();
    assert_eq!(lower.len(), 3);
    let options: Vec<_> = lower.iter().map(|path| path.to_str().unwrap()).collect();
    let script = format!(
        "mount -t overlay overlay -o lowerdir={} \"$1\" && cd \"$1\" && find . -type f | sort",
        options.join(":")
    );
    let target = tempfile::tempdir().unwrap();
    let output = std::process::Command::new("unshare")
        .args(["--mount", "sh", "-c", &script, "sh"])
        .arg(target.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "./a/2\n./a/3\n./b/2\n");
}

#[test]
fn later_entries_replace_earlier_ones() {
    let store = TestStore::new();
    let layer = Tar::new()
        .file("f", b"old")
        .file("f", b"new")
        .file("d/x", b"x")
        .file("d", b"now a file")
        .file("e", b"file")
        .file("hard", b"1")
        .hard_link("e", "hard")
        .hard_link("hard", "hard")
        .directory("merged")
        .file("merged/x", b"x")
        .entry(&Header { path: b"merged/", kind: b'5', mode: 0o700, ..Header::default() }, b"");
    let root = store.only_layer(&load(&store, &[layer.finish()]));
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    assert_eq!((read("f"), read("d"), read("e")), ("new".into(), "now a file".into(), "1".into()));
    assert_eq!(read("merged/x"), "x");
    assert_eq!(root.join("merged").metadata().unwrap().mode() & 0o777, 0o700);
}

#[test]
fn layers_may_be_compressed_in_any_way() {
    let layer = Tar::new().file("a", &vec![b'a'; 1_000_000]).file("b", b"b").finish();
    let diff_id = Digest::of(&layer);
    let (first, second) = layer.split_at(700_000);
    let frames = [zstd(first), vec![0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 2], zstd(second)].concat();
    for (name, blob) in [
        ("plain", layer.clone()),
        ("gzip", gzip(&layer)),
        ("gzip in two members", [gzip(first), gzip(second)].concat()),
        ("zstd", zstd(&layer)),
        ("zstd in two frames with a skipped one", frames),
    ] {
        let store = TestStore::new();
        let mut layout = Layout::default();
        // The media type may say what it wants: the content tells.
        let image = layout.image(&[("application/vnd.oci.image.layer.v1.tar+gzip", blob, diff_id)]);
        layout.name(image, REF_NAME, "x");
        let loaded = store.load(&layout.archive()[..], None, &silent).unwrap();
        let root = store.only_layer(&loaded[0].digest);
        assert_eq!(fs::read(root.join("a")).unwrap().len(), 1_000_000, "{name}");
        assert_eq!(root.file_name().unwrap().to_str().unwrap(), diff_id.hex(), "{name}");
    }
}

#[test]
fn sparse_files_stay_sparse() {
    let store = TestStore::new();
    let pax: &[(&str, &[u8])] = &[("GNU.sparse.map", b"0,3,104857600,2"), ("GNU.sparse.size", b"209715200")];
    let layer =
        Tar::new().entry(&Header { path: b"s", pax, ..Header::default() }, b"abcde").file("next", b"n");
    let root = store.only_layer(&load(&store, &[layer.finish()]));
    let sparse = root.join("s").metadata().unwrap();
    assert_eq!(sparse.len(), 209_715_200);
    assert!(sparse.blocks() < 1000, "{} blocks", sparse.blocks());
    let content = fs::read(root.join("s")).unwrap();
    assert_eq!((&content[..3], &content[104_857_600..104_857_602]), (&b"abc"[..], &b"de"[..]));
    assert_eq!(fs::read(root.join("next")).unwrap(), b"n");
}

#[test]
fn layers_are_shared_between_images() {
    let store = TestStore::new();
    let shared = Tar::new().file("shared", b"s").finish();
    let one = load(&store, &[shared.clone(), Tar::new().file("one", b"1").finish()]);
    let two = load(&store, &[shared, Tar::new().file("two", b"2").finish()]);
    let (one, two) = (store.prepare(&one).unwrap(), store.prepare(&two).unwrap());
    assert_eq!(one[1], two[1]);
    assert_ne!(one[0], two[0]);
    assert!(one[0].join("one").exists() && one[1].join("shared").exists(), "the topmost layer comes first");
}

#[test]
fn an_image_without_layers_has_one_empty_directory() {
    let store = TestStore::new();
    let lower = store.prepare(&load(&store, &[])).unwrap();
    assert_eq!(lower.len(), 1);
    assert_eq!(fs::read_dir(&lower[0]).unwrap().count(), 0);
}
