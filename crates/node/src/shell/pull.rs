//! Images that are not on this machine: pulled by the ECS agent's rules, without holding anybody else up.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use gantry_images::{Digest, LayerState, Origin, PullError, PullOutcome, Puller, Reference, Ticket};
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, interval_at, sleep};

use super::blocking;
use super::limits::{PULL_ATTEMPTS_MAX, PULL_PAUSE_MAX, PULL_TELL_INTERVAL};

/// When a registry is asked for an image that is here, by the names and meanings of the agent's
/// `ECS_IMAGE_PULL_BEHAVIOR`. An image that was built, loaded or pushed here, or that is named by its digest, is never
/// asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImagePullBehavior {
    /// What is here is used.
    #[default]
    PreferCached,
    /// Each task asks; what is here is used when that fails.
    Default,
    /// Each task asks, and fails when that fails.
    Always,
    /// The first task on this machine asks.
    Once,
}

impl FromStr for ImagePullBehavior {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "prefer-cached" => Ok(Self::PreferCached),
            "default" => Ok(Self::Default),
            "always" => Ok(Self::Always),
            "once" => Ok(Self::Once),
            _ => Err("write prefer-cached, default, always or once".to_owned()),
        }
    }
}

/// Where the image of a container comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Here(Digest),
    Registry { instead: Option<Digest> },
}

/// Decides it. `is_elsewhere`: other registries can have the image.
pub(super) fn source(
    behavior: ImagePullBehavior,
    reference: &Reference,
    is_elsewhere: bool,
    here: Option<(Digest, Origin)>,
) -> Source {
    let Some((digest, origin)) = here else { return Source::Registry { instead: None } };
    if !is_elsewhere || origin == Origin::Here || reference.digest().is_some() {
        return Source::Here(digest);
    }
    match behavior {
        ImagePullBehavior::PreferCached | ImagePullBehavior::Once => Source::Here(digest),
        ImagePullBehavior::Default => Source::Registry { instead: Some(digest) },
        ImagePullBehavior::Always => Source::Registry { instead: None },
    }
}

/// Pulls an image, and tries again as the agent does what may pass. The error is a sentence for the user.
pub(super) async fn pull(
    puller: &Puller,
    reference: &Reference,
    pause_min: Duration,
    mut stop: watch::Receiver<bool>,
) -> Result<Digest, String> {
    let stopped = async {
        // Who could stop it is gone: so is the task.
        let _ = stop.wait_for(|is_stopped| *is_stopped).await;
    };
    tokio::pin!(stopped);
    let mut attempt = 1;
    let mut pause = pause_min;
    loop {
        let outcome = tokio::select! {
            biased;
            () = &mut stopped => return Err(STOPPED.to_owned()),
            outcome = once(puller, reference) => outcome,
        };
        let error = match outcome {
            Ok(pulled) => {
                tracing::info!(image = %reference, digest = %pulled.digest, bytes = pulled.bytes, "pulled");
                return Ok(pulled.digest);
            }
            Err(error) => error,
        };
        if !error.is_transient() || attempt >= PULL_ATTEMPTS_MAX {
            return Err(words(&error, reference, attempt));
        }
        tracing::warn!(image = %reference, "pulling: {error}; trying again in {} ms", pause.as_millis());
        tokio::select! {
            biased;
            () = &mut stopped => return Err(STOPPED.to_owned()),
            () = sleep(pause) => {}
        }
        attempt += 1;
        pause = (pause * 2).min(PULL_PAUSE_MAX);
    }
}

const STOPPED: &str = "the task was stopped while its image was pulled";

/// One pull; who drops it does not wait for it any more.
async fn once(puller: &Puller, reference: &Reference) -> PullOutcome {
    let (landed, mut outcome) = oneshot::channel();
    let (puller, named) = (puller.clone(), reference.clone());
    let begin = move || puller.begin(&named, move |outcome| drop(landed.send(outcome)));
    let ticket = blocking(begin).await.map_err(Arc::new)?;
    let mut tell = interval_at(Instant::now() + PULL_TELL_INTERVAL, PULL_TELL_INTERVAL);
    loop {
        tokio::select! {
            outcome = &mut outcome => return outcome.unwrap_or_else(|_| Err(Arc::new(PullError::Stopped))),
            _ = tell.tick() => tell_progress(&ticket, reference),
        }
    }
}

fn tell_progress(ticket: &Ticket, reference: &Reference) {
    let layers = ticket.progress();
    let total: u64 = layers.iter().map(|layer| layer.size).sum();
    let here: u64 = layers
        .iter()
        .map(|layer| match layer.state {
            LayerState::Waiting => 0,
            LayerState::Downloading { bytes } => bytes,
            LayerState::Here | LayerState::Unpacking | LayerState::Done => layer.size,
        })
        .sum();
    tracing::info!(image = %reference, "pulling: {here} of {total} bytes in {} layers", layers.len());
}

/// As ECS words it, and then what to do.
pub(super) fn words(error: &PullError, reference: &Reference, attempts: u32) -> String {
    let next = error.next_step();
    if error.is_of_content() {
        return format!("ref pull has been retried {attempts} time(s): failed to copy: {error}; {next}");
    }
    format!(
        "pull image manifest has been retried {attempts} time(s): failed to resolve ref {reference}: {error}; {next}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaviors_have_the_agents_meanings() {
        use ImagePullBehavior::{Always, Default, Once, PreferCached};
        let digest = |text: &str| Digest::of(text.as_bytes());
        let here = digest("here");
        let cached = Some((here, Origin::Registry));
        let own = Some((here, Origin::Here));
        let pulls = Source::Registry { instead: None };
        let tagged = "docker.io/library/web:1";
        let by_digest = format!("web@{here}");
        for (behavior, name, is_elsewhere, known, expected) in [
            (PreferCached, tagged, true, None, pulls),
            (PreferCached, tagged, true, cached, Source::Here(here)),
            (Default, tagged, true, None, pulls),
            (Default, tagged, true, cached, Source::Registry { instead: Some(here) }),
            (Always, tagged, true, cached, pulls),
            (Once, tagged, true, None, pulls),
            (Once, tagged, true, cached, Source::Here(here)),
            // What was made here is not asked for elsewhere, whatever the behavior.
            (Always, tagged, true, own, Source::Here(here)),
            (Default, tagged, true, own, Source::Here(here)),
            (Always, by_digest.as_str(), true, cached, Source::Here(here)),
            (Always, tagged, false, cached, Source::Here(here)),
        ] {
            let reference = Reference::parse(name).unwrap();
            let found = source(behavior, &reference, is_elsewhere, known);
            assert_eq!(found, expected, "{behavior:?} {name} {is_elsewhere} {known:?}");
        }
        for (text, behavior) in
            [("prefer-cached", PreferCached), ("default", Default), ("always", Always), ("once", Once)]
        {
            assert_eq!(text.parse(), Ok(behavior));
            assert_eq!(serde_json::to_value(behavior).unwrap(), text);
        }
        assert!("never".parse::<ImagePullBehavior>().is_err());
    }
}
