//! X-Amzn-Trace-Id.

use gantry_types::{Ids, Timestamp};

use crate::http1::trim;
use crate::limits::TRACE_ID_BYTES_MAX;

/// Random numbers for requests: which target, which trace. Not for secrets.
#[derive(Debug)]
pub(crate) struct Randomness(Ids);

impl Randomness {
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self(Ids::from_seed(seed))
    }
    pub(crate) fn next(&mut self) -> u64 {
        self.0.next_u64()
    }
}

/// The header's value. Without a trace it begins one; a trace that came gets this balancer's own part in front, in place of
/// that of a balancer before this one.
pub(super) fn write_trace_id(
    out: &mut Vec<u8>,
    came: Option<&[u8]>,
    now: Timestamp,
    random: &mut Randomness,
) {
    let came = came.filter(|value| value.len() <= TRACE_ID_BYTES_MAX);
    let parts =
        || came.unwrap_or_default().split(|byte| *byte == b';').map(trim).filter(|part| !part.is_empty());
    let named =
        |part: &[u8], name: &[u8]| part.len() >= name.len() && part[..name.len()].eq_ignore_ascii_case(name);
    if !parts().any(|part| named(part, b"Root=")) {
        out.extend_from_slice(b"Root=");
        write_id(out, now, random);
        // What came without a Root is kept behind it.
        for part in parts().filter(|part| !named(part, b"Self=")) {
            out.push(b';');
            out.extend_from_slice(part);
        }
        return;
    }
    out.extend_from_slice(b"Self=");
    write_id(out, now, random);
    for part in parts().filter(|part| !named(part, b"Self=")) {
        out.push(b';');
        out.extend_from_slice(part);
    }
}

/// `1-`, the time in 8 hexadecimal digits, `-`, 24 random ones.
fn write_id(out: &mut Vec<u8>, now: Timestamp, random: &mut Randomness) {
    out.extend_from_slice(b"1-");
    write_hex(out, (now.millis() / 1000).unsigned_abs(), 8);
    out.push(b'-');
    write_hex(out, random.next(), 16);
    write_hex(out, random.next(), 8);
}

fn write_hex(out: &mut Vec<u8>, value: u64, digits: u32) {
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[((value >> (place * 4)) & 15) as usize]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `N` stands for the part that is new.
    fn check(came: Option<&str>, expected: &str) {
        let mut out = Vec::new();
        let now = Timestamp::from_millis(0x6789_1234 * 1000);
        write_trace_id(&mut out, came.map(str::as_bytes), now, &mut Randomness::from_seed(1));
        let out = String::from_utf8(out).unwrap();
        let at = out.find("1-67891234-").expect("a new id");
        let id = &out[at..at + 35];
        assert!(id[11..].bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
        assert_eq!(out.replace(id, "N"), expected, "{came:?}");
    }

    #[test]
    fn a_trace_is_begun_or_continued() {
        check(None, "Root=N");
        check(Some(""), "Root=N");
        check(Some("Root=1-a-b"), "Self=N;Root=1-a-b");
        check(Some("Root=1-a-b;Parent=c;Sampled=1"), "Self=N;Root=1-a-b;Parent=c;Sampled=1");
        check(Some("Self=1-x-y;Root=1-a-b;CalledFrom=app"), "Self=N;Root=1-a-b;CalledFrom=app");
        check(Some("CalledFrom=app"), "Root=N;CalledFrom=app");
        check(Some(&format!("Root=1-a-b;x={}", "y".repeat(TRACE_ID_BYTES_MAX))), "Root=N");
    }
}
