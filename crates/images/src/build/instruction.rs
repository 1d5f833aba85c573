//! From lines to instructions with their parts, before variables are replaced.

use super::error::{BuildError, at_line};
use super::lines::Line;
use super::words;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Instruction {
    From {
        image: String,
        platform: Option<String>,
        name: Option<String>,
    },
    Copy(Transfer),
    Add(Transfer),
    Env(Vec<(String, String)>),
    Label(Vec<(String, String)>),
    Arg(Vec<(String, Option<String>)>),
    Expose(Vec<String>),
    User(String),
    WorkDir(String),
    Entrypoint(Command),
    Cmd(Command),
    Shell(Vec<String>),
    StopSignal(String),
    HealthCheck(HealthCheck),
    Volume(Vec<String>),
    Maintainer(String),
    /// RUN, ONBUILD: another builder's work.
    Foreign,
}

/// COPY and ADD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Transfer {
    pub(super) sources: Vec<String>,
    pub(super) destination: String,
    pub(super) from: Option<String>,
    pub(super) owner: Option<String>,
    pub(super) mode: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// A JSON list: the words as they are.
    Exec(Vec<String>),
    /// One line for the shell.
    Shell(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HealthCheck {
    /// `None` for NONE.
    pub(super) command: Option<Command>,
    pub(super) interval: Option<i64>,
    pub(super) timeout: Option<i64>,
    pub(super) start_period: Option<i64>,
    pub(super) start_interval: Option<i64>,
    pub(super) retries: Option<i64>,
}

pub(super) fn parse(line: &Line, escape: char) -> Result<Instruction, BuildError> {
    parse_parts(line, escape).map_err(|message| at_line(line.number, message))
}

fn parse_parts(line: &Line, escape: char) -> Result<Instruction, String> {
    let rest = line.rest.as_str();
    let keyword = line.keyword.as_str();
    if !matches!(keyword, "FROM" | "COPY" | "ADD" | "HEALTHCHECK" | "RUN" | "ONBUILD")
        && let Some((name, _)) = line.flags.first()
    {
        return Err(format!("{keyword} has no flag {name}"));
    }
    if rest.is_empty() && !matches!(keyword, "CMD" | "ENTRYPOINT" | "RUN") && is_known(keyword) {
        return Err(format!("{keyword} needs an argument"));
    }
    Ok(match keyword {
        "FROM" => from(line)?,
        "COPY" => Instruction::Copy(transfer(line, &["from", "chown", "chmod", "link"])?),
        "ADD" => Instruction::Add(transfer(line, &["chown", "chmod", "link"])?),
        "ENV" => Instruction::Env(pairs(keyword, rest, escape)?),
        "LABEL" => Instruction::Label(pairs(keyword, rest, escape)?),
        "ARG" => Instruction::Arg(arguments(rest, escape)?),
        "EXPOSE" => Instruction::Expose(blank_separated(rest)),
        "USER" => Instruction::User(rest.to_owned()),
        "WORKDIR" => Instruction::WorkDir(rest.to_owned()),
        "ENTRYPOINT" => Instruction::Entrypoint(command(rest)?),
        "CMD" => Instruction::Cmd(command(rest)?),
        "SHELL" => match json(rest)? {
            Some(words) if !words.is_empty() => Instruction::Shell(words),
            _ => return Err("SHELL needs a JSON list, as in SHELL [\"/bin/sh\", \"-c\"]".into()),
        },
        "STOPSIGNAL" => match blank_separated(rest).as_slice() {
            [signal] => Instruction::StopSignal(signal.clone()),
            _ => return Err("STOPSIGNAL needs one signal".into()),
        },
        "HEALTHCHECK" => Instruction::HealthCheck(health_check(line)?),
        "VOLUME" => Instruction::Volume(match json(rest)? {
            Some(paths) => paths,
            None => blank_separated(rest),
        }),
        "MAINTAINER" => Instruction::Maintainer(rest.to_owned()),
        "RUN" | "ONBUILD" => Instruction::Foreign,
        other => return Err(format!("unknown instruction {other}")),
    })
}

fn is_known(keyword: &str) -> bool {
    const KEYWORDS: [&str; 18] = [
        "FROM",
        "COPY",
        "ADD",
        "ENV",
        "LABEL",
        "ARG",
        "EXPOSE",
        "USER",
        "WORKDIR",
        "ENTRYPOINT",
        "CMD",
        "SHELL",
        "STOPSIGNAL",
        "HEALTHCHECK",
        "VOLUME",
        "MAINTAINER",
        "RUN",
        "ONBUILD",
    ];
    KEYWORDS.contains(&keyword)
}

fn blank_separated(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn from(line: &Line) -> Result<Instruction, String> {
    let mut platform = None;
    for (name, value) in &line.flags {
        match (name.as_str(), value) {
            ("--platform", Some(value)) => platform = Some(value.clone()),
            _ => return Err(format!("FROM has no flag {name}, or it needs a value")),
        }
    }
    let words = blank_separated(&line.rest);
    let (image, name) = match words.as_slice() {
        [image] => (image, None),
        [image, r#as, name] if r#as.eq_ignore_ascii_case("as") => (image, Some(name.to_ascii_lowercase())),
        _ => return Err("FROM needs an image, or an image AS a name".into()),
    };
    if let Some(name) = &name {
        let fits = name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c));
        if !fits || name == "scratch" {
            return Err(format!("{name:?} cannot name a stage"));
        }
    }
    Ok(Instruction::From { image: image.clone(), platform, name })
}

fn transfer(line: &Line, known: &[&str]) -> Result<Transfer, String> {
    let keyword = &line.keyword;
    let mut values = std::collections::BTreeMap::new();
    for (flag, value) in &line.flags {
        let name = flag.trim_start_matches('-');
        if !known.contains(&name) {
            return Err(match name {
                "parents" | "exclude" | "checksum" | "keep-git-dir" | "unpack" => {
                    format!("{keyword} {flag} is not supported")
                }
                _ => format!("{keyword} has no flag {flag}"),
            });
        }
        let value = match (name, value) {
            // How a builder caches; every layer here is independent of those below anyway.
            ("link", None) => String::new(),
            ("link", Some(value)) if value == "true" || value == "false" => value.clone(),
            ("link", Some(value)) => return Err(format!("--link is true or false, not {value:?}")),
            (_, Some(value)) if !value.is_empty() => value.clone(),
            _ => return Err(format!("{flag} needs a value, as in {flag}=value")),
        };
        if values.insert(name.to_owned(), value).is_some() {
            return Err(format!("{flag} stands here twice"));
        }
    }
    let mut sources = match json(&line.rest)? {
        Some(words) => words,
        None => blank_separated(&line.rest),
    };
    if sources.iter().any(|word| word.starts_with("<<")) {
        return Err(format!("{keyword} of a here-document (<<) is not supported; put the text into a file"));
    }
    let destination = sources.pop().unwrap_or_default();
    if sources.is_empty() {
        return Err(format!("{keyword} needs at least one source and a destination"));
    }
    Ok(Transfer {
        sources,
        destination,
        from: values.remove("from"),
        owner: values.remove("chown"),
        mode: values.remove("chmod"),
    })
}

/// `a=1 b=2`, or the old form `a 1`.
fn pairs(keyword: &str, rest: &str, escape: char) -> Result<Vec<(String, String)>, String> {
    let words = words::split(rest, escape);
    if words.first().is_some_and(|word| !word.contains('=')) {
        return match rest.split_once(char::is_whitespace) {
            Some((name, value)) => Ok(vec![(name.to_owned(), value.trim_start().to_owned())]),
            None => Err(format!("{keyword} needs a name and a value, as in {keyword} name=value")),
        };
    }
    words
        .iter()
        .map(|word| match word.split_once('=') {
            Some(("", _)) => Err(format!("{word:?} has no name in front of the =")),
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => Err(format!("{word:?} has no =; {keyword} needs name=value")),
        })
        .collect()
}

fn arguments(rest: &str, escape: char) -> Result<Vec<(String, Option<String>)>, String> {
    words::split(rest, escape)
        .iter()
        .map(|word| match word.split_once('=') {
            Some(("", _)) => Err(format!("{word:?} has no name in front of the =")),
            Some((name, value)) => Ok((name.to_owned(), Some(value.to_owned()))),
            None => Ok((word.clone(), None)),
        })
        .collect()
}

fn command(rest: &str) -> Result<Command, String> {
    Ok(match json(rest)? {
        Some(words) => Command::Exec(words),
        None => Command::Shell(rest.to_owned()),
    })
}

/// A JSON list of strings. Text that is not JSON at all is no error: it is the other form.
fn json(rest: &str) -> Result<Option<Vec<String>>, String> {
    if !rest.starts_with('[') {
        return Ok(None);
    }
    match serde_json::from_str::<serde_json::Value>(rest) {
        Ok(value) => serde_json::from_value(value)
            .map(Some)
            .map_err(|_| "the JSON list may hold nothing but strings".to_owned()),
        Err(_) => Ok(None),
    }
}

fn health_check(line: &Line) -> Result<HealthCheck, String> {
    let mut check = HealthCheck {
        command: None,
        interval: None,
        timeout: None,
        start_period: None,
        start_interval: None,
        retries: None,
    };
    for (name, value) in &line.flags {
        let value = value.as_deref().ok_or_else(|| format!("{name} needs a value"))?;
        let duration = || {
            let nanoseconds = duration_nanoseconds(value)
                .ok_or_else(|| format!("{name}: {value:?} is not a duration, as in 30s or 1m30s"))?;
            if nanoseconds != 0 && nanoseconds < 1_000_000 {
                return Err(format!("{name} cannot be less than 1ms"));
            }
            Ok(Some(nanoseconds))
        };
        match name.as_str() {
            "--interval" => check.interval = duration()?,
            "--timeout" => check.timeout = duration()?,
            "--start-period" => check.start_period = duration()?,
            "--start-interval" => check.start_interval = duration()?,
            "--retries" => {
                let retries =
                    value.parse::<u32>().map_err(|_| format!("--retries: {value:?} is not a number"))?;
                check.retries = Some(i64::from(retries));
            }
            _ => return Err(format!("HEALTHCHECK has no flag {name}")),
        }
    }
    let (kind, rest) = line.rest.split_once(char::is_whitespace).unwrap_or((&line.rest, ""));
    match kind.to_ascii_uppercase().as_str() {
        "NONE" if rest.is_empty() && line.flags.is_empty() => Ok(check),
        "NONE" => Err("HEALTHCHECK NONE stands alone".into()),
        "CMD" if rest.trim().is_empty() => Err("HEALTHCHECK CMD needs a command".into()),
        "CMD" => Ok(HealthCheck { command: Some(command(rest.trim())?), ..check }),
        _ => Err("HEALTHCHECK needs CMD and a command, or NONE".into()),
    }
}

/// Go's form: decimal numbers, each with a unit.
fn duration_nanoseconds(text: &str) -> Option<i64> {
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut sum = 0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, nanoseconds) =
            [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)]
                .into_iter()
                .find(|(unit, _)| rest.starts_with(unit))?;
        rest = &rest[unit.len()..];
        sum += number * nanoseconds;
    }
    (!text.is_empty() && sum < i64::MAX as f64).then_some(sum as i64)
}

#[cfg(test)]
mod tests;
