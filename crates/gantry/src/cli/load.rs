//! `gantry load`.

use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;
use std::process::ExitCode;

use super::Failure;
use crate::load::{self, Plan, Progress, RawPlan, limits, report};

/// The same as k6's.
const THRESHOLDS_CROSSED: u8 = 99;

/// Send requests to a URL and say how it did.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A request fails when no whole answer comes or its status is not 200 to 399. Redirects are not followed. Durations include
connecting; at a fixed rate they count from the time at which the request was due, so that a stall is not hidden
(http_req_service counts from the real start). A GET that met the end of a kept-alive connection is sent again on a new one,
as browsers and k6 do, and counted as retried; --no-retry makes it a failure.

Thresholds: METRIC[:AGGREGATION] < <= > >= == != VALUE, with the metrics http_req_duration (avg, min, med, max, p(N)),
http_req_service, http_req_failed (rate, count), http_reqs (count, rate), iterations, dropped_iterations, http_req_retried.
p(95)<200ms means http_req_duration. One that is crossed makes the exit code 99.

Examples:
  gantry load http://web.localhost --vus 10 --sleep 1s --duration 5m
  gantry load http://web.localhost/api --rate 50/s --threshold 'http_req_failed<1%' --threshold 'p(95)<200ms'
  gantry load http://web.localhost --method POST --header 'Content-Type: application/json' --body '{\"id\":1}'")]
pub(crate) struct LoadArguments {
    /// Where to send requests (http only)
    url: String,
    /// Virtual users; with --rate, the most requests in flight [default: 1; with --rate 1000]
    #[arg(long, value_name = "N")]
    vus: Option<usize>,
    /// Start so many requests, whatever happened to those before: 50/s, 3000/m
    #[arg(long, value_name = "N/s")]
    rate: Option<String>,
    /// What each virtual user waits between an answer and the next request
    #[arg(long, value_name = "DURATION")]
    sleep: Option<String>,
    #[arg(long, default_value = "30s", value_name = "DURATION", help = "For how long")]
    duration: String,
    /// A request without a whole answer by then has failed
    #[arg(long, default_value = "60s", value_name = "DURATION")]
    timeout: String,
    /// [default: GET, with a body POST]
    #[arg(long, short = 'X')]
    method: Option<String>,
    /// A header, as 'Name: value'; may be repeated
    #[arg(long = "header", short = 'H', value_name = "LINE")]
    headers: Vec<String>,
    /// The body; @FILE reads it from a file
    #[arg(long, short = 'd', value_name = "TEXT|@FILE")]
    body: Option<String>,
    /// What must hold at the end; may be repeated
    #[arg(long = "threshold", value_name = "EXPRESSION")]
    thresholds: Vec<String>,
    /// Write the numbers into a file as JSON
    #[arg(long, value_name = "FILE")]
    summary_json: Option<PathBuf>,
    /// A request that met the end of a kept-alive connection fails
    #[arg(long)]
    no_retry: bool,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) fn run(arguments: LoadArguments) -> Result<ExitCode, Failure> {
    let attempted = format!("loading {}", arguments.url);
    let failed =
        |error: &dyn std::fmt::Display| Failure::new(attempted.clone(), error, "see `gantry load --help`");
    let plan = Plan::new(RawPlan {
        url: arguments.url.clone(),
        virtual_users: arguments.vus,
        rate: arguments.rate,
        sleep: arguments.sleep,
        duration: arguments.duration,
        timeout: arguments.timeout,
        method: arguments.method,
        headers: arguments.headers,
        body: body(arguments.body.as_deref()).map_err(|error| failed(&error))?,
        thresholds: arguments.thresholds,
        retry_closed: !arguments.no_retry,
    })
    .map_err(|error| failed(&error))?;
    crate::supervisor::raise_open_files_limit();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| failed(&error))?;
    let progress = if arguments.quiet { Progress::silent() } else { Progress::new() };
    let stats = runtime.block_on(load::run(plan.clone(), interrupted(), progress));
    let verdicts: Vec<_> = plan.thresholds.iter().map(|threshold| threshold.judge(&stats)).collect();
    let colour = std::io::stdout().is_terminal() && crate::logging::colour_wanted();
    print!("{}", report::text(&plan, &stats, &verdicts, colour));
    if let Some(path) = arguments.summary_json {
        let text = format!("{:#}\n", report::json(&stats, &verdicts));
        std::fs::write(&path, text).map_err(|error| {
            Failure::new(
                format!("writing {}", path.display()),
                error,
                "name another file with --summary-json",
            )
        })?;
    }
    match verdicts.iter().all(|verdict| verdict.holds) {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::from(THRESHOLDS_CROSSED)),
    }
}

/// Ready at the first Ctrl-C or SIGTERM; a second Ctrl-C ends the process at once.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tokio::task::spawn_local(async move {
        interrupt.recv().await;
        std::process::exit(130);
    });
}

fn body(argument: Option<&str>) -> Result<Vec<u8>, String> {
    let Some(argument) = argument else { return Ok(Vec::new()) };
    let Some(path) = argument.strip_prefix('@') else { return Ok(argument.as_bytes().to_vec()) };
    let failed = |error: std::io::Error| format!("reading the body from {path}: {error}");
    let mut content = Vec::new();
    std::fs::File::open(path)
        .map_err(failed)?
        .take(limits::BODY_BYTES_MAX + 1)
        .read_to_end(&mut content)
        .map_err(failed)?;
    if content.len() as u64 > limits::BODY_BYTES_MAX {
        return Err(format!("{path} is larger than {} bytes", limits::BODY_BYTES_MAX));
    }
    Ok(content)
}
