//! Whatever arrives, in whatever pieces.

use proptest::prelude::*;

use super::*;

/// Heads that are nearly right.
fn heads() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just("Host: a".to_owned()),
        Just("Content-Length: 5".to_owned()),
        Just("Transfer-Encoding: chunked".to_owned()),
        Just("X-Forwarded-For: 1.2.3.4".to_owned()),
        "[A-Za-z -]{0,6}:?[ -~]{0,10}",
    ];
    let end = prop_oneof![9 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r")];
    let first = prop_oneof![Just("GET / HTTP/1.1".to_owned()), "[A-Z]{0,4} [ -~]{0,8} HTTP/1.[0-9]"];
    (first, prop::collection::vec((line, end), 0..6)).prop_map(|(first, lines)| {
        let mut head = format!("{first}\r\n");
        for (line, end) in lines {
            head.push_str(&line);
            head.push_str(end);
        }
        head.push_str("\r\n\r\n");
        head.into_bytes()
    })
}

/// Chunked bodies that are nearly right.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let chunk = (prop::collection::vec(any::<u8>(), 0..40), any::<bool>()).prop_map(|(data, extended)| {
        let mut chunk = format!("{:x}{}\r\n", data.len(), if extended { ";a=b" } else { "" }).into_bytes();
        chunk.extend_from_slice(&data);
        chunk.extend_from_slice(b"\r\n");
        chunk
    });
    (
        prop::collection::vec(chunk, 0..4),
        "(A: [a-z]{0,4}\r\n){0,2}",
        any::<prop::sample::Index>(),
        any::<Option<u8>>(),
    )
        .prop_map(|(chunks, trailers, at, damage)| {
            let mut body = chunks.concat();
            body.extend_from_slice(b"0\r\n");
            body.extend_from_slice(trailers.as_bytes());
            body.extend_from_slice(b"\r\nrest");
            if let Some(byte) = damage {
                let at = at.index(body.len());
                body[at] = byte;
            }
            body
        })
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = RequestHead::parse(&bytes);
        let _ = ResponseHead::parse(&bytes);
        let _ = HeadEnd::new(REQUEST_HEAD_BYTES_MAX).advance(&bytes);
        let _ = ChunkScanner::new().scan(&bytes, |_| {});
    }

    /// Where our parser and a widely used one both take a head for compliant, they read the same.
    #[test]
    fn another_parser_reads_the_same(head in heads()) {
        let HeadProgress::Complete(length) = HeadEnd::new(REQUEST_HEAD_BYTES_MAX).advance(&head) else { return Ok(()) };
        let head = &head[..length];
        let Ok(ours) = RequestHead::parse(head) else { return Ok(()) };
        if ours.classification.class() != Class::Compliant {
            return Ok(());
        }
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut theirs = httparse::Request::new(&mut headers);
        prop_assert!(matches!(theirs.parse(head), Ok(httparse::Status::Complete(end)) if end == length));
        prop_assert_eq!(theirs.method.map(str::as_bytes), Some(ours.method));
        let fields: Vec<_> = ours.fields.iter().map(|field| (field.name, field.value)).collect();
        let expected: Vec<_> = theirs.headers.iter().map(|header| (header.name.as_bytes(), header.value)).collect();
        prop_assert_eq!(fields, expected);
    }

    #[test]
    fn the_pieces_of_a_chunked_body_do_not_matter(body in bodies(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5)) {
        let whole = follow(&[&body]);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&body[from..cut]);
            from = cut;
        }
        pieces.push(&body[from..]);
        prop_assert_eq!(follow(&pieces), whole);
    }
}

/// The payload and the body's length, or that it is refused.
fn follow(pieces: &[&[u8]]) -> Option<(Vec<u8>, usize, bool)> {
    let mut scanner = ChunkScanner::new();
    let (mut payload, mut length, mut finished) = (Vec::new(), 0, false);
    for piece in pieces {
        let scanned = scanner.scan(piece, |part| payload.extend_from_slice(part)).ok()?;
        length += scanned.length;
        finished = scanned.finished;
    }
    Some((payload, length, finished))
}
