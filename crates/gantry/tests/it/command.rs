//! The command line, as a person uses it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use crate::wait::until;

fn gantry(arguments: &[&str], state_dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gantry"))
        .args(arguments)
        .env_clear()
        .env("GANTRY_STATE_DIR", state_dir)
        .env("HOME", state_dir)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A port that nobody has at the moment.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server in the background that is gone when this is dropped.
struct Server<'a> {
    state_dir: &'a Path,
    listen: String,
}

impl<'a> Server<'a> {
    fn start(state_dir: &'a Path) -> Self {
        let server = Self { state_dir, listen: format!("127.0.0.1:{}", free_port()) };
        let output = gantry(&["server", "--detach", "--listen", &server.listen], state_dir);
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        server
    }

    fn pid(&self) -> u32 {
        fs::read_to_string(self.state_dir.join("lock")).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let output = gantry(&["down"], self.state_dir);
        if !std::thread::panicking() {
            assert!(output.status.success(), "{}", text(&output.stderr));
        }
    }
}

#[test]
fn a_server_comes_up_is_found_and_goes_down() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path();
    let server = Server::start(state);
    let mode = fs::metadata(state).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700);

    let output = gantry(&["env", "--shell", "json"], state);
    let variables: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(variables["AWS_ENDPOINT_URL"], format!("http://{}", server.listen));
    assert_eq!(variables["AWS_ACCESS_KEY_ID"].as_str().map(str::len), Some(20));

    let second = gantry(&["server", "--listen", "127.0.0.1:0"], state);
    assert_eq!(second.status.code(), Some(1));
    let sentence = text(&second.stderr);
    assert!(sentence.contains(&format!("process {} holds", server.pid())), "{sentence}");
    assert!(sentence.contains("gantry down"), "{sentence}");

    let keys = fs::read(state.join("credentials.json")).unwrap();
    let pid = server.pid();
    drop(server);
    until("every process of the server is gone", || {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.is_empty().then_some(())
    });
    let _again = Server::start(state);
    assert_eq!(fs::read(state.join("credentials.json")).unwrap(), keys, "keys are made once");
}

#[test]
fn a_running_server_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let first = Server::start(directory.path());
    let old = first.pid();
    let output = gantry(&["server", "--detach", "--replace", "--listen", &first.listen], directory.path());
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_ne!(first.pid(), old);
    assert!(
        !Path::new(&format!("/proc/{old}/cmdline")).exists()
            || fs::read(format!("/proc/{old}/cmdline")).unwrap().is_empty()
    );
}

#[test]
fn what_cannot_be_done_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    let cases: [(&[&str], i32, &str); 6] = [
        (
            &["server", "--accept-any-credentials", "--listen", "0.0.0.0:4566"],
            1,
            "only allowed on a loopback address",
        ),
        (&["server", "--region", "nowhere"], 1, "a region is written like us-east-1"),
        (&["server", "--lb-range", "10.0.0.0"], 1, "write one like 127.64.0.0/10"),
        (&["server", "--log", "=loud="], 1, "is no log filter"),
        (&["env"], 1, "sudo gantry server --detach"),
        (&["sever"], 2, "unrecognized subcommand 'sever'"),
    ];
    for (arguments, code, sentence) in cases {
        let output = gantry(arguments, directory.path());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let said = text(&output.stderr);
        assert!(said.contains(sentence), "{arguments:?}: {said}");
        assert!(code == 2 || said.contains("next: "), "{arguments:?}: {said}");
    }
    let output = gantry(&["down"], directory.path());
    assert!(output.status.success() && text(&output.stdout).contains("no server runs"));
    let output = gantry(&["lb", "--state-dir", "/nonexistent"], directory.path());
    assert!(text(&output.stderr).contains("is started by `gantry server` alone"), "{}", text(&output.stderr));
}
