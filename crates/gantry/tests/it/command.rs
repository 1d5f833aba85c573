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
        for command in ["down", "clean"] {
            let output = gantry(&[command], self.state_dir);
            if !std::thread::panicking() {
                assert!(output.status.success(), "{command}: {}", text(&output.stderr));
            }
        }
        if !std::thread::panicking() {
            let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
            assert!(!mounts.contains(self.state_dir.to_str().unwrap()), "nothing stays mounted");
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

    let again = gantry(&["server", "--detach"], state);
    assert!(
        again.status.success() && text(&again.stdout).contains("a server already runs"),
        "{}",
        text(&again.stdout)
    );

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

/// One call without a signature; true when a whole answer came, `None` when nobody listened.
fn ask_api(listen: &str) -> Option<bool> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(listen).ok()?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    let request = "POST / HTTP/1.1\r\nHost: ecs\r\nX-Amz-Target: AmazonEC2ContainerServiceV20141113.ListClusters\r\n\
                   Content-Type: application/x-amz-json-1.1\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    let mut answer = String::new();
    let whole = stream.write_all(request.as_bytes()).is_ok() && stream.read_to_string(&mut answer).is_ok();
    Some(whole && answer.contains("MissingAuthenticationToken"))
}

fn children(server: u32, role: &str) -> Vec<u32> {
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let plays = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let words: Vec<&str> = status.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.get(1) == Some(&server.to_string().as_str()) && line.split('\0').nth(1) == Some(role)
    };
    processes.filter(plays).collect()
}

#[test]
fn while_control_is_killed_again_and_again_nobody_is_refused() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let stop = AtomicBool::new(false);
    let (served, refused, broken) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let (mut served, mut refused, mut broken) = (0, 0, 0);
            while !stop.load(Ordering::Relaxed) {
                match ask_api(&server.listen) {
                    Some(true) => served += 1,
                    Some(false) => broken += 1,
                    None => refused += 1,
                }
            }
            (served, refused, broken)
        });
        for _ in 0..3 {
            until("control answers", || ask_api(&server.listen).filter(|whole| *whole));
            let pid = children(server.pid(), "control")[0];
            let process = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
            rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
            until("another one is started", || {
                children(server.pid(), "control").into_iter().find(|next| *next != pid)
            });
        }
        until("the last one answers", || ask_api(&server.listen).filter(|whole| *whole));
        stop.store(true, Ordering::Relaxed);
        asking.join().unwrap()
    });
    assert_eq!(refused, 0, "connections wait for the next control");
    assert!(broken <= 3, "at most the one call in flight at each kill: {broken}");
    assert!(served > 3, "{served}");
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

/// Answers every connection once, with this status.
fn serve_status(status: &'static str) -> u16 {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    port
}

#[test]
fn thresholds_decide_the_exit_code_of_load() {
    let directory = tempfile::tempdir().unwrap();
    let summary = directory.path().join("summary.json");
    let load = |status, threshold| {
        let url = format!("http://127.0.0.1:{}/", serve_status(status));
        let summary = summary.to_str().unwrap();
        gantry(
            &[
                "load",
                &url,
                "--rate",
                "50/s",
                "--duration",
                "200ms",
                "--threshold",
                threshold,
                "--summary-json",
                summary,
            ],
            directory.path(),
        )
    };
    let output = load("200 OK", "http_req_failed<1%");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("0.00%  0 out of 10"), "{}", text(&output.stdout));
    let output = load("503 Service Unavailable", "http_req_failed<1%");
    assert_eq!(output.status.code(), Some(99), "{}", text(&output.stdout));
    assert!(
        text(&output.stdout).contains("crossed 'http_req_failed<1%' is 100.00%"),
        "{}",
        text(&output.stdout)
    );
    let json: serde_json::Value = serde_json::from_slice(&fs::read(&summary).unwrap()).unwrap();
    assert_eq!(json["metrics"]["http_req_failed"]["failed"], 10);
    let output = gantry(&["load", "https://127.0.0.1/"], directory.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("only http:// is spoken here"), "{}", text(&output.stderr));
}

#[test]
fn load_that_is_interrupted_says_what_it_saw() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("http://127.0.0.1:{}/", serve_status("200 OK"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_gantry"))
        .args(["load", &url, "--duration", "60s", "--sleep", "10ms", "--quiet"])
        .env_clear()
        .env("HOME", directory.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    // It handles signals once it has a handler for them; until then it would just end.
    until("it handles SIGINT", || {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?.trim();
        (u64::from_str_radix(caught, 16).ok()? & 2 != 0).then_some(())
    });
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let status = until("it ends", || child.try_wait().unwrap());
    assert!(status.success(), "{status}");
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut said).unwrap();
    assert!(said.contains("http_reqs"), "{said}");
}

#[test]
fn a_profile_is_written_by_its_owner_and_found_without_the_state_directory() {
    use std::io::Write as _;
    use std::os::unix::fs::{MetadataExt as _, chown};
    use std::os::unix::process::CommandExt as _;
    let (user, group) = (23_456, 23_456);
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    chown(home.path(), Some(user), Some(group)).expect("these tests need root");
    // Where that user can execute it, whoever owns the way to the real one.
    let program = tempfile::tempdir().unwrap();
    fs::set_permissions(program.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = program.path().join("gantry");
    fs::copy(env!("CARGO_BIN_EXE_gantry"), &program).unwrap();
    let as_user = |words: &[&str]| {
        let mut command = Command::new(&program);
        command.args(words).env_clear().env("HOME", home.path()).uid(user).gid(group).current_dir("/");
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        command.spawn().unwrap()
    };
    let mut child = as_user(&["write-profile", "--home", home.path().to_str().unwrap()]);
    let profile = r#"{"endpoint":"http://127.0.0.1:4566","region":"eu-central-1",
        "access_key_id":"AKIAAAAAAAAAAAAAAAAA","secret_access_key":"secret"}"#;
    child.stdin.take().unwrap().write_all(profile.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    let file = fs::metadata(home.path().join(".config/gantry/profile.json")).unwrap();
    assert_eq!((file.uid(), file.mode() & 0o777), (user, 0o600));
    let output = as_user(&["env"]).wait_with_output().unwrap();
    assert!(text(&output.stdout).contains("export AWS_REGION=eu-central-1;"), "{}", text(&output.stdout));
}
