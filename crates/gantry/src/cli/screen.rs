//! What `gantry image` shows while it works.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use gantry_images::{Digest, Progress};

/// Progress on standard error: a bar that changes in place on a terminal, lines otherwise.
pub(super) struct Screen {
    is_terminal: bool,
    state: Mutex<ScreenState>,
}

#[derive(Default)]
struct ScreenState {
    drawn: Option<Instant>,
    /// Layers that are downloaded at the same time: bytes so far, and their sizes.
    downloads: BTreeMap<Digest, (u64, u64)>,
}

/// What an eye follows.
const REDRAW_INTERVAL: Duration = Duration::from_millis(100);

impl Screen {
    pub(super) fn new() -> Self {
        Self { is_terminal: std::io::stderr().is_terminal(), state: Mutex::default() }
    }

    pub(super) fn show(&self, progress: Progress<'_>) {
        match progress {
            Progress::Step { number, total, instruction } => {
                self.line(&format!("step {number}/{total}: {instruction}"));
            }
            Progress::Line(line) => self.line(line),
            Progress::Unpacked { layer } => self.line(&format!("unpacked {}", short(layer))),
            Progress::Here { layer } => self.line(&format!("layer {} is here", short(layer))),
            Progress::Downloading { layer, bytes, total } => self.download(layer, bytes, total),
            Progress::Reading { bytes, total } => self.bar("reading", bytes, total),
            Progress::Unpacking { layer, bytes, total } => {
                self.bar(&format!("unpacking {}", short(layer)), bytes, Some(total));
            }
            _ => {}
        }
    }

    /// One bar for all layers; where nothing can be redrawn, a line for each that begins and each that is complete.
    fn download(&self, layer: &Digest, bytes: u64, total: u64) {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = state.downloads.insert(*layer, (bytes, total));
        let sum = |each: fn(&(u64, u64)) -> u64| state.downloads.values().map(each).sum::<u64>();
        let (all_bytes, all_total) = (sum(|each| each.0), sum(|each| each.1));
        drop(state);
        if self.is_terminal {
            self.bar("downloading", all_bytes, Some(all_total));
        } else if before.is_none() && bytes < total {
            self.line(&format!("downloading {}: {}", short(layer), megabytes(total)));
        } else if bytes == total && before.is_none_or(|(before, _)| before < total) {
            self.line(&format!("downloaded {}", short(layer)));
        }
    }

    fn line(&self, text: &str) {
        self.clear();
        eprintln!("{text}");
    }

    fn bar(&self, what: &str, bytes: u64, total: Option<u64>) {
        if !self.is_terminal {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.drawn.is_some_and(|drawn| drawn.elapsed() < REDRAW_INTERVAL) {
            return;
        }
        state.drawn = Some(Instant::now());
        let _ = write!(std::io::stderr(), "\r\x1b[2K{}", bar(what, bytes, total));
    }

    fn clear(&self) {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.drawn.take().is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
    }

    pub(super) fn finish(&self) {
        self.clear();
    }
}

fn bar(what: &str, bytes: u64, total: Option<u64>) -> String {
    const CELLS: u64 = 24;
    match total.filter(|total| *total > 0) {
        Some(total) => {
            let full = (bytes.min(total) * CELLS / total) as usize;
            let empty = CELLS as usize - full;
            format!(
                "{what} [{}{}] {} of {}",
                "=".repeat(full),
                " ".repeat(empty),
                megabytes(bytes),
                megabytes(total)
            )
        }
        None => format!("{what} {}", megabytes(bytes)),
    }
}

fn short(digest: &Digest) -> String {
    digest.hex().chars().take(12).collect()
}

/// A size for people.
pub(super) fn megabytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_and_sizes() {
        assert_eq!(bar("reading", 0, Some(10)), "reading [                        ] 0 B of 10 B");
        assert_eq!(bar("reading", 5, Some(10)), "reading [============            ] 5 B of 10 B");
        assert_eq!(bar("reading", 20, Some(10)), "reading [========================] 20 B of 10 B");
        assert_eq!(bar("reading", 1_500, None), "reading 1.5 kB");
        assert_eq!(megabytes(2_500_000_000), "2.50 GB");
    }
}
