//! The machine's own files: a process that is killed, a file system without room, two stores on one file.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use gantry_store::{FileDisk, Options, Store, Transaction, TransactionError};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

const CHILD: &str = "GANTRY_STORE_TEST_FILE";
const ACKNOWLEDGED: &str = "acknowledged ";

fn open(path: &Path) -> Store {
    Store::open(FileDisk::new(path), Options::default()).expect("the file can be opened")
}

fn put(number: u64) -> Transaction {
    let value = vec![number as u8; (number % 7 * 1000) as usize];
    Transaction::default().put(format!("key/{}", number % 50), value).put("last", number.to_string())
}

/// The process that is killed: this test binary, running this test alone. In the parent it does nothing.
#[test]
fn child_that_commits_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let mut store = open(Path::new(&path));
    let mut output = std::io::stdout();
    for number in store.revision() + 1.. {
        let revision = store.commit(&put(number)).expect("the disk has room");
        writeln!(output, "{ACKNOWLEDGED}{revision}").expect("the parent reads");
    }
}

struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn acknowledged_commits_survive_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut acknowledged = 0;
    for round in 1..=5 {
        let mut child = KilledOnDrop(
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "real_files::child_that_commits_until_it_is_killed", "--nocapture"])
                .env(CHILD, &path)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap(),
        );
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        let mut next = || {
            let numbers = lines.by_ref().map(Result::unwrap);
            let revision =
                numbers.filter_map(|line| line.strip_prefix(ACKNOWLEDGED)?.parse::<u64>().ok()).next();
            revision.expect("the child commits until it is killed")
        };
        while acknowledged < round * 40 {
            acknowledged = next();
        }
        child.0.kill().unwrap();
        child.0.wait().unwrap();
        // What it said before it died.
        for line in lines.map(Result::unwrap) {
            if let Some(revision) = line.strip_prefix(ACKNOWLEDGED) {
                acknowledged = revision.parse().unwrap();
            }
        }
        let store = open(&path);
        let revision = store.revision();
        assert!(
            revision == acknowledged || revision == acknowledged + 1,
            "{revision}, {acknowledged} acknowledged"
        );
        let last = store.get(b"last").unwrap().unwrap();
        assert_eq!((last.value, last.version), (revision.to_string().into_bytes(), revision));
        for number in revision.saturating_sub(49).max(1)..=revision {
            let found = store.get(format!("key/{}", number % 50).as_bytes()).unwrap().unwrap();
            assert_eq!((found.mod_revision, found.value.len() as u64), (number, number % 7 * 1000));
        }
        acknowledged = revision;
    }
}

/// Runs `body` on a thread with a file system of this size that goes with the thread.
fn on_small_file_system(size: &'static str, body: impl FnOnce(&Path) + Send + 'static) {
    let directory = tempfile::tempdir().expect("a directory to mount on");
    let path = directory.path().to_owned();
    let run = move || {
        // SAFETY: the thread shares no file system state with others afterwards, and nothing of it was in use before.
        unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) }
            .expect("this test must run as root: it makes a mount namespace");
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
            .expect("mounts stay inside");
        let options = std::ffi::CString::new(format!("size={size}")).expect("no zero byte");
        mount("none", &path, "tmpfs", MountFlags::empty(), Some(options.as_c_str())).expect("a small tmpfs");
        body(&path);
    };
    std::thread::spawn(run).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

#[test]
fn a_full_file_system_is_survived_and_used_again() {
    on_small_file_system("24m", |directory| {
        let mut store = open(&directory.join("store"));
        let ballast = directory.join("ballast");
        let mut taken = 0;
        for round in 0..3 {
            // Another program fills what is left.
            let mut file = std::fs::File::create(&ballast).unwrap();
            while file.write_all(&[0; 64 << 10]).is_ok() {}
            drop(file);
            let error = loop {
                let transaction = Transaction::default().put(format!("key/{taken}"), vec![b'x'; 30_000]);
                match store.commit(&transaction) {
                    Ok(_) => taken += 1,
                    Err(error) => break error,
                }
            };
            assert!(matches!(error, TransactionError::StorageFull), "round {round}: {error}");
            assert_eq!(store.prefix(b"key/", 10_000).unwrap().items.len(), taken);
            println!(
                "round {round}: file {} bytes",
                std::fs::metadata(directory.join("store")).unwrap().len()
            );
            std::fs::remove_file(&ballast).unwrap();
            store.commit(&Transaction::default().put(format!("key/{taken}"), "room again")).unwrap();
            taken += 1;
        }
        let revision = store.revision();
        drop(store);
        let store = open(&directory.join("store"));
        assert_eq!((store.prefix(b"key/", 10_000).unwrap().items.len(), store.revision()), (taken, revision));
    });
}

#[test]
fn one_file_has_one_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    Store::open(FileDisk::new(&path), Options::default()).unwrap_err();
    drop(store);
    open(&path);
}

#[test]
fn the_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    open(&path);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_file_of_something_else_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    std::fs::write(&path, "this is a letter, not a store".repeat(1000)).unwrap();
    Store::open(FileDisk::new(&path), Options::default()).unwrap_err();
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("this is a letter"));
}
