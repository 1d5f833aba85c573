//! The fields of one 512-byte header.

use super::BLOCK;

pub(super) struct Header<'a>(pub(super) &'a [u8; BLOCK]);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// No magic: names of 100 bytes and nothing more.
    Old,
    /// POSIX: a prefix in front of the name.
    Ustar,
    /// GNU: times and sparse pieces where POSIX has the prefix.
    Gnu,
}

impl Header<'_> {
    pub(super) fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }
    /// Old programs summed signed bytes; both are taken.
    pub(super) fn checksum_is_right(&self) -> bool {
        let Some(stored) = number(&self.0[148..156]) else { return false };
        let mut unsigned = 0_i64;
        let mut signed = 0_i64;
        for (at, byte) in self.0.iter().enumerate() {
            let byte = if (148..156).contains(&at) { b' ' } else { *byte };
            unsigned += i64::from(byte);
            signed += i64::from(byte.cast_signed());
        }
        stored == unsigned || stored == signed
    }
    pub(super) fn format(&self) -> Format {
        match &self.0[257..265] {
            b"ustar\x0000" => Format::Ustar,
            b"ustar  \0" => Format::Gnu,
            _ => Format::Old,
        }
    }
    pub(super) fn type_flag(&self) -> u8 {
        self.0[156]
    }
    pub(super) fn path(&self) -> Vec<u8> {
        let name = text(&self.0[0..100]);
        let prefix = match self.format() {
            Format::Ustar => text(&self.0[345..500]),
            Format::Old | Format::Gnu => &[],
        };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }
    pub(super) fn link(&self) -> Vec<u8> {
        text(&self.0[157..257]).to_vec()
    }
    pub(super) fn mode(&self) -> Option<i64> {
        number(&self.0[100..108])
    }
    pub(super) fn uid(&self) -> Option<i64> {
        number(&self.0[108..116])
    }
    pub(super) fn gid(&self) -> Option<i64> {
        number(&self.0[116..124])
    }
    pub(super) fn size(&self) -> Option<i64> {
        number(&self.0[124..136])
    }
    pub(super) fn mtime(&self) -> Option<i64> {
        number(&self.0[136..148])
    }
    pub(super) fn device(&self) -> Option<(i64, i64)> {
        match self.format() {
            Format::Old => Some((0, 0)),
            Format::Ustar | Format::Gnu => Some((number(&self.0[329..337])?, number(&self.0[337..345])?)),
        }
    }
}

/// Up to the first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal digits between blanks and NULs, or base 256 if the first bit is set. Empty means 0, as in Go.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        // Two's complement, with the marker bit dropped.
        let negative = first & 0x40 != 0;
        let mut value: i128 = if negative { -1 } else { 0 };
        for (at, byte) in field.iter().enumerate() {
            let byte = if at == 0 && !negative { byte & 0x7f } else { *byte };
            value = value.checked_mul(256)? | i128::from(byte);
            if i64::try_from(value).is_err() {
                return None;
            }
        }
        return i64::try_from(value).ok();
    }
    let blank = |byte: &u8| *byte == b' ' || *byte == 0;
    let begin = field.iter().position(|byte| !blank(byte)).unwrap_or(field.len());
    let end = field.iter().rposition(|byte| !blank(byte)).map_or(begin, |last| last + 1);
    let mut value = 0_i64;
    for digit in &field[begin..end] {
        if !(b'0'..=b'7').contains(digit) {
            return None;
        }
        value = value.checked_mul(8)?.checked_add(i64::from(digit - b'0'))?;
    }
    Some(value)
}
