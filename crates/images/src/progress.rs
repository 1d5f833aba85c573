//! What `load`, `build`, `pull` and `prepare` tell while they work.

use crate::digest::Digest;

/// One report. Reports come at least after each chunk of data, so a caller that draws should thin them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// An archive is read: bytes so far, and its size if it is known.
    Reading { bytes: u64, total: Option<u64> },
    /// A layer is unpacked: bytes of the stored blob so far, and its size.
    Unpacking { layer: &'a Digest, bytes: u64, total: u64 },
    /// A layer is downloaded: bytes so far, and its size.
    Downloading { layer: &'a Digest, bytes: u64, total: u64 },
    /// A layer needs no download: it is here.
    Here { layer: &'a Digest },
    /// A layer is unpacked completely.
    Unpacked { layer: &'a Digest },
    /// An instruction of a Dockerfile begins.
    Step { number: usize, total: usize, instruction: &'a str },
    /// A line that another builder wrote, or a warning.
    Line(&'a str),
}

/// Called from one thread at a time; it must not block for long.
pub type OnProgress<'a> = &'a (dyn Fn(Progress<'_>) + Sync);

/// For callers that show nothing.
pub fn silent(_: Progress<'_>) {}
