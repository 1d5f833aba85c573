//! What can go wrong in a build.

use std::io;
use std::path::PathBuf;

use crate::error::StoreError;
use crate::load::LoadError;
use crate::reference::ReferenceError;
use crate::unpack::LayerError;

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("could not read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is not text in UTF-8")]
    NotText { path: PathBuf },
    #[error("the build context {path} is not a directory")]
    Context { path: PathBuf },
    /// An instruction that is wrong or cannot be carried out.
    #[error("Dockerfile line {line}: {message}")]
    Instruction { line: usize, message: String },
    #[error("the Dockerfile has no FROM")]
    Empty,
    #[error("the Dockerfile has no stage {0:?}")]
    Target(String),
    #[error("line {line} of {path}: {message}")]
    Ignore { path: PathBuf, line: usize, message: String },
    /// An instruction that needs a program to run, and no builder that could do it.
    #[error(
        "Dockerfile line {line}: {keyword} runs programs, which needs another builder. Install buildah, podman or \
         docker (for example: apt-get install buildah), or build the image elsewhere and load it with \
         \"gantry image load\"{tried}"
    )]
    NeedsBuilder { line: usize, keyword: String, tried: String },
    #[error("{program} failed with {status}; what it wrote is above")]
    Builder { program: &'static str, status: String },
    #[error("{program} did not end within {seconds} s and was stopped")]
    BuilderTimeout { program: &'static str, seconds: u64 },
    #[error("could not run {program}: {source}")]
    RunBuilder { program: &'static str, source: io::Error },
    #[error("what {program} built cannot be loaded: {source}")]
    Load { program: &'static str, source: LoadError },
    #[error(transparent)]
    Name(#[from] ReferenceError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BuildError {
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Store(error) => error.is_disk_full(),
            Self::Load { source, .. } => source.is_disk_full(),
            _ => false,
        }
    }
}

impl From<LayerError> for BuildError {
    fn from(error: LayerError) -> Self {
        Self::Store(error.into())
    }
}

pub(super) fn at_line(line: usize, message: impl Into<String>) -> BuildError {
    BuildError::Instruction { line, message: message.into() }
}
