//! Which bytes may stand where.

/// RFC 9110's `tchar`: what methods and header names are made of.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};

pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| TOKEN[usize::from(*byte)])
}

/// Visible ASCII, space and tab alone. Folded without an early end, so that it runs on many bytes at once.
pub(crate) fn is_plain(text: &[u8]) -> bool {
    !text.iter().fold(false, |odd, byte| odd | ((*byte < 0x20) & (*byte != b'\t')) | (*byte >= 0x7f))
}

/// NUL and CR end a line for some recipients; LF cannot be inside a line.
pub(crate) fn ends_lines(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n'))
}

/// Without spaces and tabs at both ends.
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !blank(byte)).map_or(start, |at| at + 1);
    &text[start..end]
}

/// What a Host header or an authority may hold: RFC 3986's host and port, without userinfo.
pub(crate) fn is_authority(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(byte))
}

/// Decimal digits alone, at most `u64::MAX`.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    text.iter().try_fold(0u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}
