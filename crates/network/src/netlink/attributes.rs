//! Reads what the kernel answers.

/// Iterates over the `(kind, payload)` attributes of a message. Ends at the first attribute that does not fit its
/// buffer, so a malformed answer is cut short and never read past its end.
#[derive(Clone, Copy)]
pub(crate) struct Attributes<'a> {
    rest: &'a [u8],
}

/// The two highest bits of an attribute's kind are flags (nested, network byte order).
const KIND_MASK: u16 = 0x3fff;

impl<'a> Attributes<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The payload of the first attribute of this kind.
    pub(crate) fn get(mut self, wanted: u16) -> Option<&'a [u8]> {
        self.find(|(kind, _)| *kind == wanted).map(|(_, payload)| payload)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16_at(self.rest, 0)?);
        let kind = u16_at(self.rest, 2)? & KIND_MASK;
        let payload = self.rest.get(4..length)?;
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, payload))
    }
}

pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(offset..offset + 2)?.try_into().ok()?))
}

pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?))
}

/// A NUL-terminated name.
pub(crate) fn text(payload: &[u8]) -> String {
    let end = payload.iter().position(|byte| *byte == 0).unwrap_or(payload.len());
    String::from_utf8_lossy(&payload[..end]).into_owned()
}

/// An IPv4 address in network byte order.
pub(crate) fn ipv4(payload: &[u8]) -> Option<std::net::Ipv4Addr> {
    <[u8; 4]>::try_from(payload).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_beyond_the_buffer_ends_the_iteration() {
        let good = [8, 0, 1, 0, 9, 9, 9, 9];
        let mut bytes = good.to_vec();
        bytes.extend([200, 0, 2, 0, 1]);
        let seen: Vec<_> = Attributes::new(&bytes).collect();
        assert_eq!(seen, [(1, &[9u8, 9, 9, 9][..])]);
    }

    #[test]
    fn a_length_shorter_than_its_header_ends_the_iteration() {
        for length in 0..4u8 {
            assert_eq!(Attributes::new(&[length, 0, 1, 0, 0, 0]).count(), 0);
        }
    }

    #[test]
    fn flags_are_no_part_of_the_kind() {
        let bytes = [4, 0, 1, 0x80];
        assert_eq!(Attributes::new(&bytes).get(1), Some(&[][..]));
    }
}
