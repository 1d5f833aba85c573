//! One run of `terraform`: as the calling user, with this server's environment, its output line by line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::sync::mpsc;

use super::workspace::Workspace;
use crate::caller::Caller;
use crate::profile::Profile;

/// A longer line is cut.
const LINE_BYTES_MAX: u64 = 8 << 20;
/// A reader that is this far ahead waits.
const LINES_AHEAD: usize = 256;

/// The user's program, and for whom it runs.
#[derive(Debug)]
pub(crate) struct Terraform {
    pub(crate) program: PathBuf,
    pub(crate) caller: Caller,
    pub(crate) profile: Profile,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Output,
    Error,
}

/// Looked for where the user's shell would look. With sudo that is more than sudo's own path.
pub(crate) fn find_program(caller: &Caller) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let is_program = |path: &PathBuf| {
        std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    if let Some(named) = std::env::var_os("GANTRY_TERRAFORM").map(PathBuf::from) {
        return is_program(&named).then_some(named);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["bin", ".local/bin", ".tfenv/bin"].map(|folder| caller.home.join(folder));
    let more = more.into_iter().chain(["/usr/local/bin", "/snap/bin"].map(PathBuf::from));
    let folders: Vec<PathBuf> = std::env::split_paths(&path).chain(more).collect();
    let named = |name: &str| folders.iter().map(|folder| folder.join(name)).find(is_program);
    named("terraform").or_else(|| named("tofu"))
}

impl Terraform {
    pub(crate) fn name(&self) -> String {
        self.program.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn command(&self, workspace: &Workspace, words: &[OsString]) -> tokio::process::Command {
        let mut command = self.caller.command(&self.program);
        // Nothing of another account: no keys, no profile, no endpoint.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                command.env_remove(&name);
            }
        }
        let credentials = &self.profile.credentials;
        command
            .env("AWS_ENDPOINT_URL", &self.profile.endpoint)
            .env("AWS_ACCESS_KEY_ID", &credentials.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &credentials.secret_access_key)
            .env("AWS_REGION", &self.profile.region)
            .env("AWS_DEFAULT_REGION", &self.profile.region)
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("TF_DATA_DIR", &workspace.data)
            .env("TF_INPUT", "0")
            .env("TF_IN_AUTOMATION", "1")
            .env("CHECKPOINT_DISABLE", "1")
            .args(words)
            .current_dir(&workspace.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut command = tokio::process::Command::from(command);
        // A group of its own: Ctrl-C reaches it once, through us. A second one would make it leave its work as it is.
        command.process_group(0);
        command
    }

    /// Runs it, and hands every line on. Ctrl-C is passed on, and its end in order is waited for.
    pub(crate) async fn run(
        &self,
        workspace: &Workspace,
        words: &[OsString],
        mut on_line: impl FnMut(Stream, &str),
    ) -> std::io::Result<Ended> {
        let mut child = self.command(workspace, words).spawn()?;
        let (sender, mut lines) = mpsc::channel(LINES_AHEAD);
        if let Some(output) = child.stdout.take() {
            tokio::spawn(read(output, Stream::Output, sender.clone()));
        }
        if let Some(output) = child.stderr.take() {
            tokio::spawn(read(output, Stream::Error, sender));
        }
        let mut is_interrupted = false;
        loop {
            tokio::select! {
                line = lines.recv() => match line {
                    Some((stream, line)) => on_line(stream, &line),
                    None => break,
                },
                Ok(()) = tokio::signal::ctrl_c() => {
                    is_interrupted = true;
                    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
                    if let Some(pid) = pid {
                        // One that has just ended needs no signal.
                        let _ = kill_process(pid, Signal::INT);
                    }
                }
            }
        }
        Ok(Ended { status: child.wait().await?, is_interrupted })
    }

    /// Runs it and gives what it wrote to standard output, or its last words.
    pub(crate) async fn ask(&self, workspace: &Workspace, words: &[&str]) -> Result<String, String> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let (mut output, mut errors) = (String::new(), String::new());
        let ended = self
            .run(workspace, &words, |stream, line| {
                let text = if stream == Stream::Output { &mut output } else { &mut errors };
                text.push_str(line);
                text.push('\n');
            })
            .await
            .map_err(|error| error.to_string())?;
        match ended.status.success() {
            true => Ok(output),
            false => Err(if errors.trim().is_empty() { output } else { errors }),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) is_interrupted: bool,
}

async fn read(output: impl AsyncRead + Unpin, stream: Stream, lines: mpsc::Sender<(Stream, String)>) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while matches!((&mut output).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await, Ok(read) if read > 0)
    {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if lines.send((stream, text)).await.is_err() {
            return;
        }
        line.clear();
    }
}
