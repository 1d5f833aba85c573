//! Handing a build to buildah, podman or docker, whichever is installed, and loading what it built.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{BuildError, BuildOptions, Built};
use crate::error::StoreError;
use crate::files::TempDir;
use crate::progress::{OnProgress, Progress};
use crate::reference::Reference;
use crate::save::SaveError;
use crate::store::Store;

/// In the order of preference: the first needs no service that runs all the time.
const PROGRAMS: [Program; 3] = [Program::Buildah, Program::Podman, Program::Docker];
const LINE_BYTES_MAX: u64 = 16 * 1024;
const LINES_AHEAD: usize = 256;
/// For questions, not for builds.
const ASK_WAIT: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Buildah,
    Podman,
    Docker,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Buildah => "buildah",
            Self::Podman => "podman",
            Self::Docker => "docker",
        }
    }
}

/// A build that is handed over.
pub(super) struct Job<'a> {
    pub(super) context: &'a Path,
    pub(super) dockerfile: &'a Path,
    pub(super) options: &'a BuildOptions,
    pub(super) references: Vec<Reference>,
    /// The instruction that we cannot carry out.
    pub(super) line: usize,
    pub(super) keyword: String,
}

impl Job<'_> {
    pub(super) fn run(
        self,
        store: &Store,
        local_bases: &[Reference],
        on_progress: OnProgress<'_>,
    ) -> Result<Built, BuildError> {
        let runner = self.choose(store, on_progress)?;
        // A name of our own, so that nothing of the user's in that builder is replaced.
        let name = format!("localhost/gantry-build:{}", std::process::id());
        let result = self.build_and_load(store, &runner, &name, local_bases);
        // The builder need not keep what was loaded; a failure to clean up there is no failure here.
        let _ = runner.run(&["rmi", &name], ASK_WAIT);
        result
    }

    fn choose<'p>(&self, store: &Store, on_progress: OnProgress<'p>) -> Result<Runner<'p>, BuildError> {
        let path = self.options.builder_path.clone().or_else(|| std::env::var_os("PATH")).unwrap_or_default();
        let mut tried = String::new();
        for program in PROGRAMS {
            let Some(executable) = find(program.name(), &path) else { continue };
            let runner = Runner {
                program,
                executable,
                source_date_epoch: self.options.source_date_epoch,
                build_wait: store.limits().external_build_wait,
                on_progress,
            };
            // The client is often there without its service.
            if program == Program::Docker
                && runner.quiet(&["version", "--format", "{{.Server.Version}}"]).is_err()
            {
                tried = "; docker is installed, but its daemon does not answer".into();
                continue;
            }
            return Ok(runner);
        }
        Err(BuildError::NeedsBuilder { line: self.line, keyword: self.keyword.clone(), tried })
    }

    fn build_and_load(
        &self,
        store: &Store,
        runner: &Runner<'_>,
        name: &str,
        local_bases: &[Reference],
    ) -> Result<Built, BuildError> {
        for base in local_bases {
            runner.lend(store, base)?;
        }
        let mut arguments: Vec<OsString> = vec!["build".into(), "--tag".into(), name.into(), "--file".into()];
        arguments.push(self.dockerfile.into());
        if runner.program != Program::Docker {
            arguments.extend(["--format".into(), "oci".into()]);
            if let Some(epoch) = self.options.source_date_epoch {
                arguments.extend(["--timestamp".into(), epoch.to_string().into()]);
            }
        }
        for (key, value) in &self.options.build_args {
            arguments.extend(["--build-arg".into(), format!("{key}={value}").into()]);
        }
        if let Some(target) = &self.options.target {
            arguments.extend(["--target".into(), target.into()]);
        }
        arguments.push(self.context.into());
        runner.run(&arguments, runner.build_wait)?;

        let _in_use = store.in_use()?;
        let temporary = TempDir::create(&store.temporary_path())?;
        let archive = temporary.path().join("built.tar");
        runner.export(name, &archive)?;
        let load = |source| BuildError::Load { program: runner.program.name(), source };
        let first = self.references.first().map_or(name, Reference::given);
        let loaded = store.load_path(&archive, Some(first), runner.on_progress).map_err(load)?;
        let digest = loaded.first().expect("loading under one name gives one image").digest;
        for reference in self.references.iter().skip(1) {
            store.tag(first, reference.given())?;
        }
        if self.references.is_empty() {
            store.remove(name)?;
        }
        Ok(Built {
            digest,
            references: self.references.clone(),
            warnings: Vec::new(),
            builder: Some(runner.program.name()),
        })
    }
}

/// One of the programs, ready to be run.
struct Runner<'a> {
    program: Program,
    executable: PathBuf,
    source_date_epoch: Option<i64>,
    build_wait: Duration,
    on_progress: OnProgress<'a>,
}

impl Runner<'_> {
    /// Gives an image of our store to the builder under its name, since it may be nowhere else.
    fn lend(&self, store: &Store, base: &Reference) -> Result<(), BuildError> {
        let _in_use = store.in_use()?;
        let temporary = TempDir::create(&store.temporary_path())?;
        let path = temporary.path().join("base.tar");
        let fail = |error| BuildError::Store(StoreError::io("write", &path, error));
        let archive = std::fs::File::create(&path).map_err(fail)?;
        store.save(&base.to_string(), std::io::BufWriter::new(archive)).map_err(|error| match error {
            SaveError::Write(error) => fail(error),
            SaveError::Store(error) => error.into(),
        })?;
        if self.program != Program::Buildah {
            self.quiet(&[OsStr::new("load"), OsStr::new("--input"), path.as_os_str()])?;
            return Ok(());
        }
        let mut source = OsString::from("oci-archive:");
        source.push(&path);
        let output = self.quiet(&[OsStr::new("pull"), OsStr::new("--quiet"), &source])?;
        let id = output.lines().last().unwrap_or_default().trim().to_owned();
        self.quiet(&["tag", &id, &base.to_string()])?;
        Ok(())
    }

    fn export(&self, name: &str, archive: &Path) -> Result<(), BuildError> {
        let mut target = OsString::new();
        let arguments: Vec<&OsStr> = match self.program {
            Program::Buildah => {
                target.push("oci-archive:");
                target.push(archive);
                vec!["push".as_ref(), "--quiet".as_ref(), name.as_ref(), &target]
            }
            Program::Podman => {
                let save = ["save", "--quiet", "--format", "oci-archive", "--output"].map(OsStr::new);
                save.into_iter().chain([archive.as_os_str(), name.as_ref()]).collect()
            }
            Program::Docker => {
                vec!["save".as_ref(), "--output".as_ref(), archive.as_os_str(), name.as_ref()]
            }
        };
        self.run(&arguments, self.build_wait)
    }

    /// Runs the program and passes on every line that it writes.
    fn run<S: AsRef<OsStr>>(&self, arguments: &[S], wait: Duration) -> Result<(), BuildError> {
        let show = |line: &str| (self.on_progress)(Progress::Line(line));
        self.check(self.execute(arguments, wait, &show)?)
    }

    /// Runs the program and gives what it writes; shows it only if it fails.
    fn quiet<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<String, BuildError> {
        const OUTPUT_BYTES_MAX: usize = 64 * 1024;
        let output = std::cell::RefCell::new(String::new());
        let keep = |line: &str| {
            let mut output = output.borrow_mut();
            if output.len() + line.len() < OUTPUT_BYTES_MAX {
                output.push_str(line);
                output.push('\n');
            }
        };
        let status = self.execute(arguments, self.build_wait.min(ASK_WAIT * 30), &keep)?;
        let output = output.into_inner();
        if !status.success() {
            output.lines().for_each(|line| (self.on_progress)(Progress::Line(line)));
        }
        self.check(status)?;
        Ok(output)
    }

    fn check(&self, status: ExitStatus) -> Result<(), BuildError> {
        if status.success() {
            return Ok(());
        }
        Err(BuildError::Builder { program: self.program.name(), status: status.to_string() })
    }

    fn execute<S: AsRef<OsStr>>(
        &self,
        arguments: &[S],
        wait: Duration,
        on_line: &dyn Fn(&str),
    ) -> Result<ExitStatus, BuildError> {
        let program = self.program.name();
        let fail = |source| BuildError::RunBuilder { program, source };
        let mut command = Command::new(&self.executable);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: what the builder starts ends with it.
        command.process_group(0);
        if let Some(epoch) = self.source_date_epoch {
            command.env("SOURCE_DATE_EPOCH", epoch.to_string());
        }
        let mut child = command.spawn().map_err(fail)?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let deadline = Instant::now() + wait;
        let (sender, lines) = mpsc::sync_channel(LINES_AHEAD);
        let readers = [
            child.stdout.take().map(|output| read_lines(output, sender.clone())),
            child.stderr.take().map(|output| read_lines(output, sender)),
        ];
        let in_time = loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => on_line(&line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break true,
                Err(mpsc::RecvTimeoutError::Timeout) => break false,
            }
        };
        if !in_time {
            if let Some(group) = group {
                let _ = kill_process_group(group, Signal::KILL);
            }
            drop(lines);
        }
        let status = child.wait().map_err(fail)?;
        if !in_time {
            return Err(BuildError::BuilderTimeout { program, seconds: wait.as_secs() });
        }
        for reader in readers.into_iter().flatten() {
            let _ = reader.join();
        }
        Ok(status)
    }
}

/// Lines, and pieces of lines that are too long.
fn read_lines(
    output: impl Read + Send + 'static,
    lines: mpsc::SyncSender<String>,
) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        loop {
            let mut line = Vec::new();
            match (&mut output).take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    let text = String::from_utf8_lossy(&line);
                    if lines.send(text.trim_end_matches(['\n', '\r']).to_owned()).is_err() {
                        return;
                    }
                }
            }
        }
    })
}

fn find(program: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(program))
        .find(|candidate| {
            rustix::fs::access(candidate, rustix::fs::Access::EXEC_OK).is_ok() && candidate.is_file()
        })
}
