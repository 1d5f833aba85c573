//! Raw arguments in, a validated plan out.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method};
use thiserror::Error;

use super::limits;
use super::target::Target;
use super::threshold::Threshold;

#[derive(Debug, Error, PartialEq)]
pub enum PlanError {
    #[error("'{url}' cannot be loaded: {why}")]
    Url { url: String, why: &'static str },
    #[error("'{0}' is no duration; write one like 500ms, 30s, 5m or 1m30s")]
    Duration(String),
    #[error("'{0}' is no rate; write one like 50/s or 3000/m, at most {max}/s", max = limits::RATE_MAX)]
    Rate(String),
    #[error("{0} virtual users are not between 1 and {max}", max = limits::VIRTUAL_USERS_MAX)]
    VirtualUsers(usize),
    #[error("'{0}' is no HTTP method")]
    Method(String),
    #[error("'{0}' is no header; write one like 'Accept: text/html'")]
    Header(String),
    #[error("'{expression}' is no threshold ({why}); write one like 'http_req_failed<1%' or 'p(95)<200ms'")]
    Threshold { expression: String, why: &'static str },
    #[error(
        "think time (--sleep) belongs to virtual users; at a fixed rate requests start when they are due"
    )]
    SleepWithRate,
}

/// What the command line said.
#[derive(Debug, Clone, Default)]
pub struct RawPlan {
    pub url: String,
    pub virtual_users: Option<usize>,
    pub rate: Option<String>,
    pub sleep: Option<String>,
    pub duration: String,
    pub timeout: String,
    pub method: Option<String>,
    pub headers: Vec<String>,
    pub body: Vec<u8>,
    pub thresholds: Vec<String>,
    pub retry_closed: bool,
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub target: Target,
    pub pace: Pace,
    pub duration: Duration,
    pub timeout: Duration,
    pub method: Method,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub thresholds: Vec<Threshold>,
    /// Whether a request without side effects that met the end of a kept-alive connection is sent again on a new one, as HTTP
    /// clients (and k6) do.
    pub retry_closed: bool,
}

/// Who decides when a request starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Closed model: each user asks, waits for the answer, thinks.
    Users { count: usize, sleep: Duration },
    /// Open model: so many requests a second are due, of which so many may be in flight.
    Rate { per_second: f64, in_flight_max: usize },
}

impl Plan {
    pub fn new(raw: RawPlan) -> Result<Self, PlanError> {
        let target = Target::parse(&raw.url)?;
        if let Some(count) =
            raw.virtual_users.filter(|count| !(1..=limits::VIRTUAL_USERS_MAX).contains(count))
        {
            return Err(PlanError::VirtualUsers(count));
        }
        let pace = match (&raw.rate, &raw.sleep) {
            (Some(_), Some(_)) => return Err(PlanError::SleepWithRate),
            (Some(rate), None) => Pace::Rate {
                per_second: parse_rate(rate)?,
                in_flight_max: raw.virtual_users.unwrap_or(limits::IN_FLIGHT_DEFAULT),
            },
            (None, sleep) => Pace::Users {
                count: raw.virtual_users.unwrap_or(1),
                sleep: sleep.as_deref().map_or(Ok(Duration::ZERO), parse_duration)?,
            },
        };
        let duration = parse_duration(&raw.duration)?;
        if duration.is_zero() || duration > limits::DURATION_MAX {
            return Err(PlanError::Duration(raw.duration));
        }
        let timeout = parse_duration(&raw.timeout)?;
        if timeout.is_zero() {
            return Err(PlanError::Duration(raw.timeout));
        }
        let default_method = if raw.body.is_empty() { "GET" } else { "POST" };
        let method = raw.method.unwrap_or_else(|| default_method.to_owned());
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| PlanError::Method(method))?;
        let headers = headers(&raw.headers, &target, &method, raw.body.len())?;
        let thresholds = raw
            .thresholds
            .iter()
            .map(|expression| {
                Threshold::parse(expression)
                    .map_err(|why| PlanError::Threshold { expression: expression.clone(), why })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            target,
            pace,
            duration,
            timeout,
            method,
            headers,
            body: Bytes::from(raw.body),
            thresholds,
            retry_closed: raw.retry_closed,
        })
    }

    /// Requests in flight at most.
    pub fn in_flight_max(&self) -> usize {
        match self.pace {
            Pace::Users { count, .. } => count,
            Pace::Rate { in_flight_max, .. } => in_flight_max,
        }
    }
}

fn headers(
    lines: &[String],
    target: &Target,
    method: &Method,
    body_bytes: usize,
) -> Result<HeaderMap, PlanError> {
    let mut headers = HeaderMap::new();
    let agent = concat!("gantry-load/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    let host = HeaderValue::from_str(&target.authority)
        .map_err(|_| PlanError::Header(format!("Host: {}", target.authority)))?;
    headers.insert(HOST, host);
    if body_bytes > 0 || *method == Method::POST || *method == Method::PUT {
        headers.insert(CONTENT_LENGTH, body_bytes.into());
    }
    let mut named: Vec<HeaderName> = Vec::new();
    for line in lines {
        let wrong = || PlanError::Header(line.clone());
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong())?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| wrong())?;
        if headers.len() >= limits::HEADERS_MAX || name == CONTENT_LENGTH {
            return Err(wrong());
        }
        // The first line of a name replaces our default; further ones add to it.
        if named.contains(&name) {
            headers.append(name, value);
        } else {
            headers.insert(name.clone(), value);
            named.push(name);
        }
    }
    Ok(headers)
}

/// `500ms`, `30s`, `5m`, `2h`, `1m30s`; a bare number means seconds.
pub fn parse_duration(text: &str) -> Result<Duration, PlanError> {
    let wrong = || PlanError::Duration(text.to_owned());
    let mut rest = text.trim();
    if let Ok(seconds) = rest.parse::<u32>() {
        return Ok(Duration::from_secs(seconds.into()));
    }
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let seconds = match &rest[..letters] {
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        rest = &rest[letters..];
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())?;
        total = total.checked_add(part).ok_or_else(wrong)?;
    }
    Ok(total)
}

/// `50/s`, `3000/m`, `10/h`; a bare number means per second.
pub fn parse_rate(text: &str) -> Result<f64, PlanError> {
    let wrong = || PlanError::Rate(text.to_owned());
    let (number, unit) = text.trim().split_once('/').unwrap_or((text.trim(), "s"));
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    let seconds = match unit.trim() {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let per_second = number / seconds;
    if per_second > 0.0 && per_second <= limits::RATE_MAX { Ok(per_second) } else { Err(wrong()) }
}
