//! Builds netlink messages.

use nix::errno::Errno;
use nix::libc;

/// Messages in the order in which the kernel shall handle them, each with the words for its failure.
#[derive(Default)]
pub(crate) struct Messages {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

pub(crate) struct Entry {
    /// Where the message begins in `bytes`.
    pub(crate) start: usize,
    /// What the message attempts, for the error.
    pub(crate) attempt: &'static str,
    /// Answers that mean "it is already so".
    pub(crate) tolerated: &'static [Errno],
}

const HEADER_BYTES: usize = 16;
const NESTED: u16 = 0x8000;

impl Messages {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Appends a message. `body` writes the family's fixed header and the attributes.
    pub(crate) fn push(
        &mut self,
        attempt: &'static str,
        kind: u16,
        flags: libc::c_int,
        tolerated: &'static [Errno],
        body: impl FnOnce(&mut Body<'_>),
    ) {
        let start = self.bytes.len();
        self.entries.push(Entry { start, attempt, tolerated });
        let flags = (flags | libc::NLM_F_REQUEST) as u16;
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        // The sequence number is written when the batch is sent; the port is ours by default.
        self.bytes.extend([0; 8]);
        body(&mut Body { bytes: &mut self.bytes });
        let length = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The bytes of the messages `from..until`.
    pub(crate) fn bytes(&self, from: usize, until: usize) -> &[u8] {
        let end_of = |index: usize| self.entries.get(index).map_or(self.bytes.len(), |entry| entry.start);
        &self.bytes[end_of(from)..end_of(until)]
    }

    /// Numbers message `index` and asks for the flags given beside its own.
    pub(crate) fn stamp(&mut self, index: usize, sequence: u32, more_flags: libc::c_int) {
        let header = &mut self.bytes[self.entries[index].start..][..HEADER_BYTES];
        let flags = u16::from_ne_bytes([header[6], header[7]]) | more_flags as u16;
        header[6..8].copy_from_slice(&flags.to_ne_bytes());
        header[8..12].copy_from_slice(&sequence.to_ne_bytes());
    }
}

/// The inside of one message.
pub(crate) struct Body<'a> {
    bytes: &'a mut Vec<u8>,
}

impl Body<'_> {
    /// Bytes as they are: a fixed header.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.pad();
    }

    pub(crate) fn attribute(&mut self, kind: u16, payload: &[u8]) {
        debug_assert!(payload.len() < usize::from(u16::MAX) - 4, "callers split what is longer");
        self.bytes.extend((payload.len() as u16 + 4).to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.raw(payload);
    }

    /// In the byte order of this machine, as rtnetlink wants it.
    pub(crate) fn u32(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    /// In network byte order, as nf_tables wants it.
    pub(crate) fn be32(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_be_bytes());
    }

    /// With a NUL behind it.
    pub(crate) fn text(&mut self, kind: u16, value: &str) {
        self.bytes.extend((value.len() as u16 + 5).to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(0);
        self.pad();
    }

    pub(crate) fn nested(&mut self, kind: u16, body: impl FnOnce(&mut Body<'_>)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend((kind | NESTED).to_ne_bytes());
        body(&mut Body { bytes: self.bytes });
        let length = self.bytes.len() - start;
        debug_assert!(length <= usize::from(u16::MAX), "callers split what is longer");
        self.bytes[start..start + 2].copy_from_slice(&(length as u16).to_ne_bytes());
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_carries_its_length_kind_flags_and_padded_attributes() {
        let mut messages = Messages::new();
        messages.push("try", 16, libc::NLM_F_ACK, &[], |body| {
            body.raw(&[1, 2, 3, 4]);
            body.text(3, "ab");
            body.nested(5, |inner| inner.attribute(1, &[7]));
        });
        messages.stamp(0, 9, libc::NLM_F_DUMP);
        let expected: &[u8] = &[
            40, 0, 0, 0, 16, 0, 0x05, 0x03, 9, 0, 0, 0, 0, 0, 0, 0, // header
            1, 2, 3, 4, // fixed part
            7, 0, 3, 0, b'a', b'b', 0, 0, // text, padded
            12, 0, 5, 0x80, 5, 0, 1, 0, 7, 0, 0, 0, // nested
        ];
        assert_eq!(messages.bytes(0, 1), expected);
    }
}
