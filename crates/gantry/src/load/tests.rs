//! Runs against a server with known failures, and the tables of what is parsed.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::plan::{Pace, Plan, PlanError, RawPlan, parse_duration, parse_rate};
use super::stats::{Outcome, Sample, Stats};
use super::threshold::Threshold;
use super::{Progress, report};

fn raw(url: &str) -> RawPlan {
    RawPlan {
        url: url.to_owned(),
        duration: "30s".to_owned(),
        timeout: "5s".to_owned(),
        retry_closed: true,
        ..RawPlan::default()
    }
}

/// How the server answers its `n`-th request (from 1).
type Script = Box<dyn Fn(u64) -> Answer>;

enum Answer {
    Ok,
    Status(u16),
    /// Answers, then closes the connection without having said so.
    OkThenClose,
    /// Closes without an answer.
    Close,
    Stall(Duration),
}

/// Serves until the run is over; returns its numbers and how many requests and connections the server saw.
fn run_against(script: Script, change: impl FnOnce(&mut RawPlan), requests: u64) -> (Stats, u64, u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(tokio::task::LocalSet::new().run_until(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut raw = raw(&format!("http://{}/path?query=1", listener.local_addr().unwrap()));
        change(&mut raw);
        let plan = Plan::new(raw).unwrap();
        let (seen, connections) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let enough = Rc::new(tokio::sync::Notify::new());
        let script = Rc::new(script);
        let server = tokio::task::spawn_local({
            let (seen, connections, enough) = (seen.clone(), connections.clone(), enough.clone());
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    connections.set(connections.get() + 1);
                    let (seen, enough, script) = (seen.clone(), enough.clone(), script.clone());
                    tokio::task::spawn_local(async move {
                        let _ = serve(stream, &seen, requests, &enough, &script).await;
                    });
                }
            }
        });
        let stats = super::run(plan, async move { enough.notified().await }, Progress::silent()).await;
        server.abort();
        (stats, seen.get(), connections.get())
    }))
}

async fn serve(
    mut stream: TcpStream,
    seen: &Cell<u64>,
    requests: u64,
    enough: &tokio::sync::Notify,
    script: &Script,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 4096];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        if !buffer[..filled].windows(4).any(|end| end == b"\r\n\r\n") {
            continue;
        }
        filled = 0;
        seen.set(seen.get() + 1);
        if seen.get() >= requests {
            enough.notify_one();
        }
        let answer = script(seen.get());
        let status = match answer {
            Answer::Close => return Ok(()),
            Answer::Status(status) => status,
            Answer::Ok | Answer::OkThenClose | Answer::Stall(_) => 200,
        };
        if let Answer::Stall(pause) = answer {
            tokio::time::sleep(pause).await;
        }
        let text = format!("HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\nhello");
        stream.write_all(text.as_bytes()).await?;
        if let Answer::OkThenClose = answer {
            return Ok(());
        }
    }
}

#[test]
fn failures_are_counted_by_kind() {
    let script = |n| match n % 10 {
        3 => Answer::Status(503),
        6 => Answer::Status(404),
        8 => Answer::Status(302),
        _ => Answer::Ok,
    };
    let (stats, seen, connections) = run_against(Box::new(script), |raw| raw.virtual_users = Some(4), 100);
    assert_eq!(stats.requests, seen);
    let expected = |rest| (1..=seen).filter(|n| n % 10 == rest).count() as u64;
    assert_eq!(stats.statuses.get(&503).copied(), Some(expected(3)));
    assert_eq!(stats.statuses.get(&404).copied(), Some(expected(6)));
    assert_eq!(stats.failed, expected(3) + expected(6), "a redirect is not followed and no failure");
    assert_eq!(connections, 4, "each user keeps its connection");
    assert_eq!(stats.received_bytes, seen * "HTTP/1.1 200 X\r\nContent-Length: 5\r\n\r\nhello".len() as u64);
    assert!(stats.sent_bytes > seen * 30);
    assert_eq!(stats.duration.count(), seen);
}

#[test]
fn a_closed_connection_is_a_failure_unless_it_was_kept_alive() {
    // The first request of a connection: no reason to send it again.
    let (stats, seen, _) = run_against(Box::new(|_| Answer::Close), |_| (), 3);
    assert_eq!((stats.failed, stats.retried), (seen, 0));
    assert_eq!(stats.errors["connection closed early"].count, seen);
    assert!(stats.first_failure.is_some());

    let script = |n| if n == 2 { Answer::Close } else { Answer::Ok };
    let (stats, seen, connections) = run_against(Box::new(script), |_| (), 10);
    assert_eq!((stats.failed, stats.retried, connections), (0, 1, 2), "{:?}", stats.errors);
    assert_eq!(stats.requests, seen - 1, "one request reached the server twice");

    let (stats, ..) = run_against(Box::new(script), |raw| raw.retry_closed = false, 10);
    assert_eq!((stats.failed, stats.retried), (1, 0));

    // One that may have had an effect is never sent twice.
    let (stats, ..) = run_against(Box::new(script), |raw| raw.method = Some("POST".to_owned()), 10);
    assert_eq!((stats.failed, stats.retried), (1, 0));

    let script = |n: u64| if n.is_multiple_of(2) { Answer::OkThenClose } else { Answer::Ok };
    let (stats, ..) = run_against(Box::new(script), |raw| raw.sleep = Some("2ms".to_owned()), 20);
    assert_eq!(stats.failed, 0, "{:?}", stats.errors);
}

#[test]
fn nobody_listens() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut raw = raw(&format!("127.0.0.1:{port}"));
    raw.duration = "50ms".to_owned();
    raw.sleep = Some("5ms".to_owned());
    let stats =
        runtime.block_on(super::run(Plan::new(raw).unwrap(), std::future::pending(), Progress::silent()));
    assert!(stats.requests > 0);
    assert_eq!(stats.errors["connection refused"].count, stats.requests);
}

#[test]
fn a_request_without_an_answer_times_out() {
    let script = |n| if n == 2 { Answer::Stall(Duration::from_secs(60)) } else { Answer::Ok };
    let (stats, ..) = run_against(Box::new(script), |raw| raw.timeout = "50ms".to_owned(), 5);
    assert_eq!(stats.errors["timeout"].count, 1);
    assert_eq!(stats.failed, 1);
}

#[test]
fn a_stall_is_charged_for_everybody_who_would_have_waited() {
    // 100 a second for one second, one at a time; the tenth takes 400 ms: about 40 are due meanwhile.
    let script = |n| if n == 10 { Answer::Stall(Duration::from_millis(400)) } else { Answer::Ok };
    let change = |raw: &mut RawPlan| {
        raw.rate = Some("100/s".to_owned());
        raw.virtual_users = Some(1);
        raw.duration = "1s".to_owned();
    };
    let (stats, ..) = run_against(Box::new(script), change, u64::MAX);
    assert_eq!((stats.requests, stats.dropped, stats.failed), (100, 0, 0));
    assert!(stats.duration.percentile_ms(75.0) > 100.0, "{}", stats.duration.percentile_ms(75.0));
    assert!(stats.service.percentile_ms(75.0) < 100.0, "{}", stats.service.percentile_ms(75.0));
    assert!(stats.duration.max_ms() >= 400.0);
}

#[test]
fn a_rate_is_kept_and_what_never_started_is_said() {
    let change = |raw: &mut RawPlan| {
        raw.rate = Some("200/s".to_owned());
        raw.duration = "500ms".to_owned();
    };
    let (stats, seen, connections) = run_against(Box::new(|_| Answer::Ok), change, u64::MAX);
    assert_eq!((stats.requests, seen), (100, 100));
    assert!(connections <= 20, "idle connections are used again: {connections}");

    let change = |raw: &mut RawPlan| {
        raw.rate = Some("200/s".to_owned());
        raw.duration = "500ms".to_owned();
        raw.timeout = "200ms".to_owned();
        raw.virtual_users = Some(1);
    };
    let (stats, ..) = run_against(Box::new(|_| Answer::Stall(Duration::from_secs(60))), change, u64::MAX);
    let parts = (stats.requests, stats.dropped, stats.interrupted);
    assert_eq!(parts.0 + parts.1 + parts.2, 100, "{parts:?}");
    assert!(stats.dropped > 90);
}

#[test]
fn durations_rates_and_urls() {
    for (text, millis) in
        [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("1m30s", 90_000), ("10", 10_000), ("1.5s", 1_500)]
    {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for text in ["", "s", "10x", "-1s", "1s1", "99999999999999999999h"] {
        assert_eq!(parse_duration(text), Err(PlanError::Duration(text.to_owned())), "{text}");
    }
    for (text, per_second) in [("50/s", 50.0), ("3000/m", 50.0), ("36/h", 0.01), ("7", 7.0)] {
        assert_eq!(parse_rate(text), Ok(per_second), "{text}");
    }
    for text in ["", "0/s", "-1/s", "1/d", "1e9/s", "nan"] {
        assert_eq!(parse_rate(text), Err(PlanError::Rate(text.to_owned())), "{text}");
    }
    let plan = Plan::new(raw("web.localhost:8000")).unwrap();
    assert_eq!(
        (plan.target.host.as_str(), plan.target.port, plan.target.path.to_string()),
        ("web.localhost", 8000, "/".to_owned())
    );
    let plan = Plan::new(raw("http://[::1]/a?b=c")).unwrap();
    assert_eq!(
        (plan.target.host.as_str(), plan.target.port, plan.target.path.to_string()),
        ("::1", 80, "/a?b=c".to_owned())
    );
    for url in ["https://a", "ftp://a", "http://", "http://u:p@a/", "http://a b/"] {
        assert!(matches!(Plan::new(raw(url)), Err(PlanError::Url { .. })), "{url}");
    }
}

#[test]
fn a_plan_says_what_is_wrong_with_it() {
    let check = |change: &dyn Fn(&mut RawPlan), expected: &str| {
        let mut raw = raw("http://a");
        change(&mut raw);
        let sentence = Plan::new(raw).expect_err(expected).to_string();
        assert!(sentence.contains(expected), "{sentence}");
    };
    check(&|raw| raw.virtual_users = Some(0), "not between 1 and 10000");
    check(&|raw| raw.duration = "0s".to_owned(), "is no duration");
    check(&|raw| raw.headers.push("no colon".to_owned()), "is no header");
    check(&|raw| raw.headers.push("Content-Length: 5".to_owned()), "is no header");
    check(&|raw| raw.method = Some("G E T".to_owned()), "is no HTTP method");
    check(&|raw| raw.thresholds.push("fast".to_owned()), "it compares nothing");
    let both = |raw: &mut RawPlan| (raw.rate, raw.sleep) = (Some("1/s".to_owned()), Some("1s".to_owned()));
    check(&both, "think time");
}

#[test]
fn headers_of_the_plan() {
    let mut raw = raw("http://a:81/");
    raw.headers = ["Host: shop.example", "X-A: 1", "x-a: 2"].map(str::to_owned).into();
    raw.body = b"{}".to_vec();
    let plan = Plan::new(raw).unwrap();
    assert_eq!(plan.method, http::Method::POST);
    assert_eq!(plan.headers["host"], "shop.example");
    assert_eq!(plan.headers["content-length"], "2");
    assert_eq!(plan.headers.get_all("x-a").iter().count(), 2);
    assert_eq!(plan.pace, Pace::Users { count: 1, sleep: Duration::ZERO });
}

fn stats(millis: impl Iterator<Item = u64>, failed_every: u64) -> Stats {
    let mut stats = Stats { elapsed: Duration::from_secs(10), ..Stats::default() };
    for (index, millis) in millis.enumerate() {
        let status = if (index as u64 + 1).is_multiple_of(failed_every) { 503 } else { 200 };
        stats.record(Sample {
            duration: Duration::from_millis(millis),
            service: Duration::from_millis(millis / 2),
            outcome: Outcome::Status(status),
            ended: Duration::from_millis(index as u64),
            sent_bytes: 100,
            received_bytes: 1000,
            retried: false,
        });
    }
    stats
}

#[test]
fn percentiles_are_those_of_the_values() {
    let stats = stats(1..=1000, 50);
    let close = |value: f64, expected: f64| {
        assert!((value - expected).abs() <= expected * 0.002, "{value} for {expected}");
    };
    assert_eq!((stats.duration.min_ms(), stats.duration.max_ms()), (1.0, 1000.0));
    close(stats.duration.average_ms(), 500.5);
    close(stats.duration.percentile_ms(50.0), 500.0);
    close(stats.duration.percentile_ms(90.0), 900.0);
    close(stats.duration.percentile_ms(99.0), 990.0);
    assert_eq!(stats.duration.percentile_ms(100.0), 1000.0, "never above the largest value");
    assert_eq!((stats.failed, stats.failed_rate()), (20, 0.02));
    assert_eq!(Stats::default().duration.percentile_ms(99.0), 0.0);
}

#[test]
fn thresholds_hold_or_are_crossed() {
    let stats = stats(1..=1000, 50);
    for (expression, holds) in [
        ("http_req_failed<1%", false),
        ("http_req_failed < 3%", true),
        ("http_req_failed:rate<0.021", true),
        ("http_req_failed:count<=20", true),
        ("p(95)<200ms", false),
        ("p(95)<951", true),
        ("p(99.9)<=1s", true),
        ("http_req_duration:avg<501ms", true),
        ("http_req_duration:med>600", false),
        ("http_req_service:max<=500ms", true),
        ("http_reqs==1000", true),
        ("http_reqs:rate>=100/s", true),
        ("http_reqs!=1000", false),
        ("dropped_iterations==0", true),
        ("min>=1000us", true),
    ] {
        let threshold = Threshold::parse(expression).expect(expression);
        assert_eq!(threshold.judge(&stats).holds, holds, "{expression}: {}", threshold.judge(&stats).value);
        assert!(!threshold.judge(&Stats::default()).holds, "nothing was measured: {expression}");
    }
    for expression in [
        "",
        "p(95)",
        "p(95)<",
        "p(95)<fast",
        "p(101)<1",
        "p(95)<1%",
        "http_req_failed<1ms",
        "latency<1",
        "p(95)~1",
        "http_req_duration<1",
    ] {
        assert!(Threshold::parse(expression).is_err(), "{expression}");
    }
}

#[test]
fn the_summary() {
    let stats = stats(1..=1000, 500);
    let plan = Plan::new(raw("http://a")).unwrap();
    let verdicts = [Threshold::parse("p(95)<200ms").unwrap().judge(&stats)];
    let text = report::text(&plan, &stats, &verdicts, false);
    let expected = "  THRESHOLDS
    crossed 'p(95)<200ms' is 950ms

    http_req_duration...........: avg=500ms min=1.00ms med=500ms max=1.00s p(90)=900ms p(95)=950ms p(99)=990ms
    http_req_failed.............: 0.20%  2 out of 1,000
    http_reqs...................: 1,000  100.00/s
    iterations..................: 1,000  100.00/s
    vus.........................: 1
    data_received...............: 1.0 MB  100.0 kB/s
    data_sent...................: 100.0 kB  10.0 kB/s
    status codes................: 200: 998  503: 2
    failures....................: first after 0.50 s, last after 1.00 s
    running.....................: 10.0 s
";
    assert_eq!(text, expected);
    let json = report::json(&stats, &verdicts);
    assert_eq!(json["metrics"]["http_reqs"]["count"], 1000);
    assert_eq!(json["metrics"]["http_req_failed"]["rate"], 0.002);
    assert_eq!(json["thresholds"][0]["ok"], false);
    assert_eq!(json["statuses"]["503"], 2);
}

#[test]
fn numbers_for_people() {
    for (value, text) in [
        (0.0, "0s"),
        (0.25, "250µs"),
        (1.234, "1.23ms"),
        (45.67, "45.7ms"),
        (122.79, "123ms"),
        (1500.0, "1.50s"),
        (135_000.0, "2m15s"),
    ] {
        assert_eq!(report::milliseconds(value), text);
    }
    for (value, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(report::count(value), text);
    }
}
