//! One frame in bytes: a 30-byte header, then the payload. Integers are little-endian.
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 4 | the segment's marker |
//! | 4 | 4 | payload length |
//! | 8 | 4 | CRC-32 of all other bytes of the frame |
//! | 12 | 8 | sequence |
//! | 20 | 8 | milliseconds since 1970 |
//! | 28 | 1 | kind |
//! | 29 | 1 | the writer's tag |
//! | 30 | | payload |

use std::fmt;

use gantry_types::Timestamp;

pub const FRAME_HEADER_BYTES: usize = 30;
/// A length beyond this is damage, not a frame.
pub const PAYLOAD_BYTES_MAX: usize = 4 << 20;

const CRC: std::ops::Range<usize> = 8..12;

/// The place of a frame in its spool. Frames count from 1; zero stands before the first.
///
/// Each time that a spool is opened again for writing, an epoch begins, at the next multiple of 2^32. So what a crash of
/// the machine took from the end of the spool, after somebody had read it, never shares a sequence with what is written
/// later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sequence(pub u64);

impl Sequence {
    pub const ZERO: Self = Self(0);

    const EPOCH_BITS: u32 = 32;

    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    pub(crate) fn next_epoch(self) -> Self {
        Self(((self.0 >> Self::EPOCH_BITS) + 1) << Self::EPOCH_BITS)
    }

    /// How many frames stand from this one to before `end`. Across the beginning of an epoch, where nothing says how far
    /// the older one went, those of the newer are counted; the record that begins it is not a frame of anybody.
    pub(crate) fn frames_until(self, end: Self) -> u64 {
        let frames = end.0.saturating_sub(self.0);
        let epoch_start = end.0 >> Self::EPOCH_BITS << Self::EPOCH_BITS;
        if self.0 < epoch_start { (end.0 - epoch_start).saturating_sub(1) } else { frames }
    }
}

impl fmt::Debug for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a writer appends.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The writer's own: standard output or standard error, a kind of record.
    pub tag: u8,
    pub at: Timestamp,
    pub payload: &'a [u8],
}

impl Entry<'_> {
    pub(crate) fn frame_bytes(&self) -> u64 {
        (FRAME_HEADER_BYTES + self.payload.len()) as u64
    }
}

/// What a reader gets back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    pub sequence: Sequence,
    pub at: Timestamp,
    pub tag: u8,
    pub payload: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Data,
    /// A writer opened the spool again. The payload is the sequence of the last frame that it found (8 bytes); the gap
    /// between the two is no loss.
    Resumed,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Resumed => 1,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Data),
            1 => Some(Self::Resumed),
            _ => None,
        }
    }
}

/// A frame that passed its check, and where its payload stands in the bytes that were parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub(crate) sequence: Sequence,
    pub(crate) at: Timestamp,
    pub(crate) kind: Kind,
    pub(crate) tag: u8,
    pub(crate) frame_bytes: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parse {
    Frame(Parsed),
    /// These bytes may be the beginning of a frame of this many bytes.
    Short {
        frame_bytes: usize,
    },
    Damaged,
}

/// Appends one frame to `out`.
pub(crate) fn encode(out: &mut Vec<u8>, marker: u32, sequence: Sequence, kind: Kind, entry: &Entry<'_>) {
    let start = out.len();
    let length =
        u32::try_from(entry.payload.len()).expect("the writer checked the payload against its limit");
    out.reserve(FRAME_HEADER_BYTES + entry.payload.len());
    out.extend_from_slice(&marker.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&sequence.0.to_le_bytes());
    out.extend_from_slice(&entry.at.millis().to_le_bytes());
    out.extend_from_slice(&[kind.byte(), entry.tag]);
    out.extend_from_slice(entry.payload);
    let crc = checksum(&out[start..]);
    out[start + CRC.start..start + CRC.end].copy_from_slice(&crc.to_le_bytes());
}

/// Reads the frame that begins at the first of `bytes`, without trusting any of them.
pub(crate) fn parse(bytes: &[u8], marker: u32) -> Parse {
    let marker = marker.to_le_bytes();
    let have = bytes.len().min(marker.len());
    if bytes[..have] != marker[..have] {
        return Parse::Damaged;
    }
    if bytes.len() < FRAME_HEADER_BYTES {
        return Parse::Short { frame_bytes: FRAME_HEADER_BYTES };
    }
    let payload_bytes = u32::from_le_bytes(array(bytes, 4)) as usize;
    if payload_bytes > PAYLOAD_BYTES_MAX {
        return Parse::Damaged;
    }
    let frame_bytes = FRAME_HEADER_BYTES + payload_bytes;
    let Some(frame) = bytes.get(..frame_bytes) else { return Parse::Short { frame_bytes } };
    let (crc, kind) = (u32::from_le_bytes(array(frame, CRC.start)), Kind::from_byte(frame[28]));
    match kind {
        Some(kind) if checksum(frame) == crc => Parse::Frame(Parsed {
            sequence: Sequence(u64::from_le_bytes(array(frame, 12))),
            at: Timestamp::from_millis(i64::from_le_bytes(array(frame, 20))),
            kind,
            tag: frame[29],
            frame_bytes,
        }),
        Some(_) | None => Parse::Damaged,
    }
}

/// Where the marker, or a beginning of it at the very end, next stands in `bytes`; the length when nowhere.
pub(crate) fn find_marker(bytes: &[u8], marker: u32) -> usize {
    let marker = marker.to_le_bytes();
    for (index, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == marker[0]) {
        let have = (bytes.len() - index).min(marker.len());
        if bytes[index..index + have] == marker[..have] {
            return index;
        }
    }
    bytes.len()
}

fn checksum(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame[..CRC.start]);
    hasher.update(&frame[CRC.end..]);
    hasher.finalize()
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a slice of N bytes makes an array of N")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MARKER: u32 = 0xdead_10cc;

    fn encoded(payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let entry = Entry { tag: 2, at: Timestamp::from_millis(1_700_000_000_123), payload };
        encode(&mut bytes, MARKER, Sequence(42), Kind::Data, &entry);
        bytes
    }

    proptest! {
        #[test]
        fn a_frame_is_read_back(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = encoded(&payload);
            let expected = Parsed {
                sequence: Sequence(42),
                at: Timestamp::from_millis(1_700_000_000_123),
                kind: Kind::Data,
                tag: 2,
                frame_bytes: bytes.len(),
            };
            prop_assert_eq!(parse(&bytes, MARKER), Parse::Frame(expected));
        }

        #[test]
        fn a_beginning_is_short(cut in 0usize..230) {
            let bytes = encoded(&[7; 200]);
            let short = matches!(parse(&bytes[..cut], MARKER), Parse::Short { frame_bytes } if frame_bytes > cut);
            prop_assert!(short);
        }

        #[test]
        fn one_flipped_bit_is_never_a_frame(bit in 0usize..(30 + 50) * 8) {
            let mut bytes = encoded(&[7; 50]);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let is_frame = matches!(parse(&bytes, MARKER), Parse::Frame(_));
            prop_assert!(!is_frame);
        }

        #[test]
        fn any_bytes_are_parsed(bytes in proptest::collection::vec(any::<u8>(), 0..100), marker: u32) {
            let marker = bytes.get(..4).map_or(marker, |first| u32::from_le_bytes(array(first, 0)));
            let is_frame = matches!(parse(&bytes, marker), Parse::Frame(_));
            prop_assert!(!is_frame);
        }
    }

    #[test]
    fn the_marker_is_found_whole_or_cut_off_at_the_end() {
        let marker = u32::from_le_bytes(*b"abac");
        for (bytes, expected) in
            [("", 0), ("xyz", 3), ("xabac", 1), ("abaabac", 3), ("xxab", 2), ("xxabx", 5), ("aaaa", 3)]
        {
            assert_eq!(find_marker(bytes.as_bytes(), marker), expected, "{bytes}");
        }
    }
}
