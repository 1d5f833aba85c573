//! A `control` that says what a test tells it to, and remembers what it hears.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gantry_domain::assignment::{TaskPhase, TaskReport};
use gantry_link::{FromNode, Hello, LogRecord, LogSource, ToNode, decode, encode};
use gantry_types::{TaskId, Timestamp};

/// Nothing here takes longer on a machine that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Heard {
    hellos: Vec<Hello>,
    stream: Option<UnixStream>,
    reports: BTreeMap<TaskId, Vec<(Timestamp, TaskReport)>>,
    /// The last complete list, since the last `Hello`.
    reported: Option<Vec<TaskId>>,
    logs: BTreeMap<LogSource, Vec<Line>>,
    streams: BTreeMap<LogSource, (String, String, bool)>,
    /// Lines that came again.
    repeated: usize,
    heartbeats: usize,
    keeps_logs: bool,
    closing: bool,
}

/// A line as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) record: LogRecord,
    pub(crate) heard_at: Timestamp,
}

type Shared = Arc<(Mutex<Heard>, Condvar)>;

pub(crate) struct Control {
    shared: Shared,
    socket: PathBuf,
    accepting: Option<JoinHandle<()>>,
}

impl Control {
    pub(crate) fn listen(socket: &Path) -> Self {
        let _ = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket).unwrap();
        let shared = Shared::default();
        shared.0.lock().unwrap().keeps_logs = true;
        let theirs = shared.clone();
        let accepting = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                if theirs.0.lock().unwrap().closing {
                    return;
                }
                let shared = theirs.clone();
                std::thread::spawn(move || hear(&shared, stream));
            }
        });
        Self { shared, socket: socket.to_owned(), accepting: Some(accepting) }
    }

    /// Sends to the node that is linked.
    pub(crate) fn tell(&self, message: &ToNode) {
        let frame = encode(message).unwrap();
        let stream = self.wait("a linked node", |heard| heard.stream.as_ref()?.try_clone().ok());
        (&stream).write_all(&frame).unwrap();
    }

    /// Waits until `found` finds something in what was heard.
    fn wait<T>(&self, what: &str, mut found: impl FnMut(&Heard) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let (heard, changed) = &*self.shared;
        let mut heard = heard.lock().unwrap();
        loop {
            if let Some(found) = found(&heard) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let last: Vec<_> = heard.reports.values().filter_map(|all| all.last()).cloned().collect();
                let said: BTreeMap<_, usize> =
                    heard.logs.iter().map(|(source, lines)| (source.clone(), lines.len())).collect();
                drop(heard);
                panic!("waited {PATIENCE:?} for {what}; the last reports: {last:?}; lines: {said:?}");
            }
            heard = changed.wait_timeout(heard, left).unwrap().0;
        }
    }

    /// The first report of the task that is so, with when it came.
    pub(crate) fn report_when(
        &self,
        task: &TaskId,
        what: &str,
        is_so: impl Fn(&TaskReport) -> bool,
    ) -> (Timestamp, TaskReport) {
        self.wait(&format!("task {task}: {what}"), |heard| {
            heard.reports.get(task)?.iter().find(|(_, report)| is_so(report)).cloned()
        })
    }

    pub(crate) fn report_in_phase(&self, task: &TaskId, phase: TaskPhase) -> TaskReport {
        self.report_when(task, &format!("{phase:?}"), |report| report.phase == phase).1
    }

    pub(crate) fn reports(&self, task: &TaskId) -> Vec<TaskReport> {
        let heard = self.shared.0.lock().unwrap();
        heard.reports.get(task).into_iter().flatten().map(|(_, report)| report.clone()).collect()
    }

    /// Forgets what was reported, so that only news are found.
    pub(crate) fn forget_reports(&self) {
        self.shared.0.lock().unwrap().reports.clear();
    }

    /// Waits for the n-th `Hello` and the complete report behind it.
    pub(crate) fn linked(&self, count: usize) -> (Hello, Vec<TaskId>) {
        self.wait(&format!("link number {count}"), |heard| {
            let hello = heard.hellos.get(count - 1)?;
            let whole = heard.hellos.len() == count;
            heard.reported.clone().filter(|_| whole).map(|reported| (hello.clone(), reported))
        })
    }

    pub(crate) fn wait_heartbeats(&self, count: usize) {
        self.wait(&format!("{count} heartbeats"), |heard| (heard.heartbeats >= count).then_some(()));
    }

    /// Closes the link; the node comes again.
    pub(crate) fn hang_up(&self) {
        if let Some(stream) = self.shared.0.lock().unwrap().stream.take() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Whether lines are acknowledged from now on.
    pub(crate) fn keep_logs(&self, keep: bool) {
        self.shared.0.lock().unwrap().keeps_logs = keep;
    }

    pub(crate) fn lines_when(
        &self,
        source: &LogSource,
        what: &str,
        is_so: impl Fn(&[Line]) -> bool,
    ) -> Vec<Line> {
        self.wait(&format!("output of {}: {what}", source.container), |heard| {
            heard.logs.get(source).filter(|lines| is_so(lines)).cloned()
        })
    }

    /// Waits for a line.
    pub(crate) fn line(&self, source: &LogSource, text: &str) -> Line {
        let lines =
            self.lines_when(source, text, |lines| lines.iter().any(|line| line.record.message == text));
        lines.into_iter().find(|line| line.record.message == text).unwrap()
    }

    pub(crate) fn texts(&self, source: &LogSource) -> Vec<String> {
        let heard = self.shared.0.lock().unwrap();
        heard.logs.get(source).into_iter().flatten().map(|line| line.record.message.clone()).collect()
    }

    /// Group, stream, and whether the group may be made.
    pub(crate) fn stream_of(&self, source: &LogSource) -> Option<(String, String, bool)> {
        self.shared.0.lock().unwrap().streams.get(source).cloned()
    }

    pub(crate) fn repeated_lines(&self) -> usize {
        self.shared.0.lock().unwrap().repeated
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Also when a test failed while it held the lock.
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner).closing = true;
        // Wakes the accepting thread.
        let _ = UnixStream::connect(&self.socket);
        let _ = self.accepting.take().unwrap().join();
        let _ = std::fs::remove_file(&self.socket);
        if let Some(stream) = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner).stream.take() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

fn hear(shared: &Shared, mut stream: UnixStream) {
    let mut answers = stream.try_clone().unwrap();
    while let Some(message) = read(&mut stream) {
        let (heard, changed) = &**shared;
        let mut heard = heard.lock().unwrap();
        let answer = heard.take(message, &stream);
        drop(heard);
        changed.notify_all();
        if let Some(answer) = answer {
            let _ = answers.write_all(&encode(&answer).unwrap());
        }
    }
}

fn read(stream: &mut UnixStream) -> Option<FromNode> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut body).ok()?;
    Some(decode(&body).unwrap())
}

impl Heard {
    fn take(&mut self, message: FromNode, stream: &UnixStream) -> Option<ToNode> {
        match message {
            FromNode::Hello(hello) => {
                self.hellos.push(hello);
                self.reported = None;
                self.stream = stream.try_clone().ok();
            }
            FromNode::Task(report) => {
                self.reports.entry(report.task.clone()).or_default().push((Timestamp::now(), *report));
            }
            FromNode::Reported { tasks } => {
                self.reported = Some(tasks.into_iter().map(|name| name.task).collect());
            }
            FromNode::Heartbeat => self.heartbeats += 1,
            FromNode::Logs(batch) => {
                let lines = self.logs.entry(batch.source.clone()).or_default();
                let mut last = lines.last().map_or(0, |line| line.record.sequence);
                let sequence = batch.records.last().expect("no batch is empty").sequence;
                for record in batch.records {
                    if record.sequence <= last {
                        self.repeated += 1;
                    } else if self.keeps_logs {
                        last = record.sequence;
                        lines.push(Line { record, heard_at: Timestamp::now() });
                    }
                }
                let place = (batch.group, batch.stream, batch.create_group);
                self.streams.insert(batch.source.clone(), place);
                if self.keeps_logs {
                    return Some(ToNode::LogsKept { source: batch.source, sequence });
                }
            }
        }
        None
    }
}
