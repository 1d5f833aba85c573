//! What machines do to a store: full disks and killed processes.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use gantry_images::{BuildOptions, Store, silent};

use crate::archive::{Tar, docker_archive, gzip};
use crate::content;

/// Runs one test of this file once more, alone in a mount namespace of its own, with a small file system at `$DISK`.
fn on_a_small_disk(test: &str, kibibytes: u64) {
    let disk = tempfile::tempdir().unwrap();
    let script = format!("mount -t tmpfs -o size={kibibytes}k tmpfs \"$DISK\" && exec \"$@\"");
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("machine::{test}"), "--nocapture"])
        .env("DISK", disk.path())
        .output()
        .expect("unshare has to be installed for this test");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn disk() -> Option<std::path::PathBuf> {
    std::env::var_os("DISK").map(Into::into)
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    fs::File::open("/dev/urandom").unwrap().read_exact(&mut noise).unwrap();
    noise
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing() {
    let Some(disk) = disk() else { return on_a_small_disk("a_full_disk_is_told_and_leaves_nothing", 4096) };
    let path = disk.join("store");
    let store = Store::open(&path).unwrap();
    let small = docker_archive(&["small"], &[Tar::new().file("f", b"f").finish()]);
    let kept = store.load(&small[..], None, &silent).unwrap()[0].digest;
    let before = content(&path);

    let large = docker_archive(&["large"], &[Tar::new().file("f", &noise(6 << 20)).finish()]);
    let error = store.load(&large[..], None, &silent).unwrap_err();
    assert!(
        error.is_disk_full() && error.to_string().contains("the disk is full: could not write"),
        "{error}"
    );
    assert_eq!(content(&path), before);

    // Enough room for the blob, but not for the files that come out of it.
    let bomb = gzip(&Tar::new().file("first", b"x").file("zeros", &vec![0; 6 << 20]).finish());
    let diff_id =
        gantry_images::Digest::of(&Tar::new().file("first", b"x").file("zeros", &vec![0; 6 << 20]).finish());
    let mut layout = crate::archive::Layout::default();
    let image = layout.image(&[("application/vnd.oci.image.layer.v1.tar+gzip", bomb, diff_id)]);
    layout.name(image, crate::archive::REF_NAME, "bomb");
    let bomb = store.load(&layout.archive()[..], None, &silent).unwrap()[0].digest;
    let before = content(&path);
    let error = store.prepare(&bomb).unwrap_err();
    assert!(
        error.is_disk_full()
            && error.to_string().contains("the disk is full: could not write entry \"zeros\""),
        "{error}"
    );
    assert_eq!(content(&path), before);

    let context = tempfile::tempdir().unwrap();
    fs::write(context.path().join("Dockerfile"), "FROM small\nCOPY f /\nCOPY large /").unwrap();
    fs::write(context.path().join("f"), "f").unwrap();
    fs::write(context.path().join("large"), noise(6 << 20)).unwrap();
    let options = BuildOptions { tags: vec!["built".into()], ..BuildOptions::default() };
    let error = store.build(context.path(), &options, &silent).unwrap_err();
    assert!(error.is_disk_full(), "{error}");
    let grown: Vec<_> = content(&path).into_iter().filter(|name| !before.contains(name)).collect();
    assert!(grown.iter().all(|name| name.starts_with("layers/")), "only the base was unpacked: {grown:?}");

    // Names cannot be written either, and those that are there stay.
    store.remove("bomb").unwrap();
    store.prune().unwrap();
    let filler = disk.join("filler");
    let _ = fs::write(&filler, noise(8 << 20));
    assert!(store.tag("small", "other").unwrap_err().is_disk_full());
    assert_eq!(store.resolve("small").unwrap(), Some(kept));

    // With room again everything works again.
    fs::remove_file(filler).unwrap();
    store.tag("small", "other").unwrap();
    fs::write(context.path().join("large"), b"not large").unwrap();
    store.build(context.path(), &options, &silent).unwrap();
    store.prepare(&kept).unwrap();
}

/// Kills a process that loads and prunes without end, again and again; the store must be whole each time.
#[test]
fn a_killed_process_leaves_a_whole_store() {
    if let Some(path) = std::env::var_os("STORE") {
        let archive = docker_archive(&["victim"], &[Tar::new().file("f", &noise(300_000)).finish()]);
        let store = Store::open(&path).unwrap();
        println!("begun");
        for number in 0.. {
            let loaded = store.load(&archive[..], Some(&format!("victim:{}", number % 5)), &silent).unwrap();
            store.prepare(&loaded[0].digest).unwrap();
            store.remove(&format!("victim:{}", (number + 3) % 5)).unwrap();
            store.prune().unwrap();
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let kept = docker_archive(&["kept"], &[Tar::new().file("f", b"kept").finish()]);
    let kept = Store::open(&path).unwrap().load(&kept[..], None, &silent).unwrap()[0].digest;
    for round in 0..12_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "machine::a_killed_process_leaves_a_whole_store", "--nocapture"])
            .env("STORE", &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        wait_for(child.stdout.as_mut().unwrap(), b"begun");
        // A moment later each time; the work itself is the clock.
        let store = Store::open(&path).unwrap();
        for _ in 0..round * 3 {
            store.tag("kept", "moment").unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        check(&path, &kept);
    }
}

fn check(path: &Path, kept: &gantry_images::Digest) {
    let store = Store::open(path).unwrap();
    assert!(content(path).iter().all(|name| !name.starts_with("tmp/")), "{:?}", content(path));
    assert_eq!(store.resolve("kept").unwrap().as_ref(), Some(kept));
    for listed in store.list().unwrap() {
        let layers = store.prepare(&listed.digest).unwrap();
        assert!(layers[0].join("f").exists());
    }
    // Each blob is what its name says.
    for name in content(path) {
        if let Some(hex) = name.strip_prefix("blobs/sha256/") {
            let content = fs::read(path.join("blobs/sha256").join(hex)).unwrap();
            assert_eq!(gantry_images::Digest::of(&content).hex(), hex);
        }
    }
    store.prune().unwrap();
}

fn wait_for(output: &mut impl Read, text: &[u8]) {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(text) {
        assert_eq!(output.read(&mut byte).unwrap(), 1, "the child ended: {}", String::from_utf8_lossy(&seen));
        seen.push(byte[0]);
        assert!(seen.len() < 10_000);
    }
}
