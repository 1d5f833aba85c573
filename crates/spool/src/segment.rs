//! A segment's name says all that must be known before its first frame is read, so that no header can be torn.

use crate::frame::Sequence;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentName {
    /// No frame of the segment comes before this one.
    pub(crate) first: Sequence,
    /// Begins each frame of this segment, and is known to nobody who only writes payloads.
    pub(crate) marker: u32,
}

impl SegmentName {
    pub(crate) fn file_name(self) -> String {
        format!("{:020}-{:08x}.spool", self.first.0, self.marker)
    }

    /// Nothing but what [`Self::file_name`] writes: other files in the directory are not ours.
    pub(crate) fn parse(file_name: &str) -> Option<Self> {
        let (first, marker) = file_name.strip_suffix(".spool")?.split_once('-')?;
        let name =
            Self { first: Sequence(first.parse().ok()?), marker: u32::from_str_radix(marker, 16).ok()? };
        (name.file_name() == file_name).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_sort_by_sequence() {
        let name = SegmentName { first: Sequence(1234), marker: 0xab };
        assert_eq!(name.file_name(), "00000000000000001234-000000ab.spool");
        assert_eq!(SegmentName::parse(&name.file_name()), Some(name));
        let later = SegmentName { first: Sequence(20_000), marker: 0 };
        assert!(later > name && later.file_name() > name.file_name());
    }

    #[test]
    fn other_names_are_not_segments() {
        for name in
            ["", "x.spool", "1-1.spool", "acknowledged", "00000000000000001234-000000AB.spool", "-.spool"]
        {
            assert_eq!(SegmentName::parse(name), None, "{name}");
        }
    }
}
