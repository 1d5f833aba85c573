//! Paths inside a layer, and why an entry is refused.

use std::fmt;

use crate::limits::Limits;

/// A path below the root of a layer: no empty part, no `.`, no `..`, within the limits. Empty for the root itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EntryPath<'a> {
    parts: Vec<&'a [u8]>,
}

/// Why an entry is not taken, to be read after its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    ParentPart,
    Nul,
    TooLong { bytes_max: usize },
    PartTooLong,
    TooDeep { depth_max: usize },
    LeavesLayer,
    ParentNotDirectory,
    RootNotDirectory,
    Whiteout,
    LinkMissing { target: String },
    LinkTarget { target: String, refusal: Box<Refusal> },
    LinkToDirectory { target: String },
    LinkEmpty,
    SymlinkTooLong,
    Device,
    Owner,
    TooManyEntries { entries_max: u64 },
    TooManyDirectories,
    TooLarge { bytes_max: u64 },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ParentPart => f.write_str("has \"..\" in its path"),
            Self::Nul => f.write_str("has a NUL character in its path"),
            Self::TooLong { bytes_max } => write!(f, "has a path of more than {bytes_max} bytes"),
            Self::PartTooLong => f.write_str("has a name of more than 255 bytes"),
            Self::TooDeep { depth_max } => write!(f, "lies more than {depth_max} directories deep"),
            Self::LeavesLayer => f.write_str("goes through a symbolic link that leaves the layer"),
            Self::ParentNotDirectory => f.write_str("lies below something that is not a directory"),
            Self::RootNotDirectory => f.write_str("would replace the root directory"),
            Self::Whiteout => f.write_str("is a whiteout without a proper name"),
            Self::LinkMissing { target } => {
                write!(f, "is a hard link to {target:?}, which the layer does not have")
            }
            Self::LinkTarget { target, refusal } => {
                write!(f, "is a hard link to {target:?}, which {refusal}")
            }
            Self::LinkToDirectory { target } => {
                write!(f, "is a hard link to {target:?}, which is a directory")
            }
            Self::LinkEmpty => f.write_str("is a link to nothing"),
            Self::SymlinkTooLong => f.write_str("is a symbolic link to more than 4095 bytes"),
            Self::Device => f.write_str("is a device outside /dev"),
            Self::Owner => f.write_str("has an owner or group outside 0 to 4294967294"),
            Self::TooManyEntries { entries_max } => write!(f, "is one more than the limit of {entries_max}"),
            Self::TooManyDirectories => f.write_str("is one directory more than memory is set aside for"),
            Self::TooLarge { bytes_max } => {
                write!(f, "brings the layer above its limit of {bytes_max} bytes")
            }
        }
    }
}

impl<'a> EntryPath<'a> {
    /// A leading slash means the layer's root, as it does for Docker; there are images that have it everywhere.
    pub(crate) fn parse(path: &'a [u8], limits: &Limits) -> Result<Self, Refusal> {
        if path.len() > limits.path_bytes_max {
            return Err(Refusal::TooLong { bytes_max: limits.path_bytes_max });
        }
        if path.contains(&0) {
            return Err(Refusal::Nul);
        }
        let mut parts = Vec::new();
        for part in path.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return Err(Refusal::ParentPart),
                part if part.len() > 255 => return Err(Refusal::PartTooLong),
                part => parts.push(part),
            }
        }
        if parts.len() > limits.path_depth_max {
            return Err(Refusal::TooDeep { depth_max: limits.path_depth_max });
        }
        Ok(Self { parts })
    }
    /// The directory and the name in it; `None` for the root.
    pub(crate) fn split(&self) -> Option<(&[&'a [u8]], &'a [u8])> {
        self.parts.split_last().map(|(name, parents)| (parents, *name))
    }
    pub(crate) fn first(&self) -> Option<&'a [u8]> {
        self.parts.first().copied()
    }
    pub(crate) fn join(parts: &[&[u8]]) -> Vec<u8> {
        parts.join(&b'/')
    }
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        Self::join(&self.parts)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_taken_apart_and_bad_ones_refused() {
        let limits = Limits { path_bytes_max: 600, path_depth_max: 3, ..Limits::default() };
        let parse = |path: &str| EntryPath::parse(path.as_bytes(), &limits).map(|path| path.to_bytes());
        for (given, expected) in [
            ("a/b", "a/b"),
            ("./a//b/", "a/b"),
            ("/a/./b", "a/b"),
            ("", ""),
            ("/", ""),
            ("./", ""),
            ("...", "..."),
        ] {
            assert_eq!(parse(given).unwrap(), expected.as_bytes(), "{given}");
        }
        for given in ["..", "../a", "/..", "a/../b", "a/..", "./../a"] {
            assert_eq!(parse(given), Err(Refusal::ParentPart), "{given}");
        }
        assert_eq!(parse("a\0b"), Err(Refusal::Nul));
        assert_eq!(parse("a/b/c/d"), Err(Refusal::TooDeep { depth_max: 3 }));
        assert_eq!(parse(&"a".repeat(256)), Err(Refusal::PartTooLong));
        assert_eq!(parse(&"a/".repeat(301)), Err(Refusal::TooLong { bytes_max: 600 }));
    }

    proptest! {
        #[test]
        fn what_is_accepted_stays_below_the_root(path in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(parsed) = EntryPath::parse(&path, &Limits::default()) {
                for part in parsed.to_bytes().split(|byte| *byte == b'/') {
                    prop_assert!(part != b".." && part != b"." && !part.contains(&0));
                }
                prop_assert!(!parsed.to_bytes().starts_with(b"/"));
            }
        }
    }
}
