//! Requests that two recipients could read differently: what each is, in AWS's words.

use super::*;

/// `class reason` of a head, or the refusal.
fn classify(head: &str) -> String {
    match RequestHead::parse(head.as_bytes()) {
        Ok(head) => {
            let reason = head.classification.reason().map_or("-", Reason::as_str);
            format!("{} {reason} {:?}", head.classification.class().as_str(), head.body)
        }
        Err(malformed) => format!("{malformed:?}"),
    }
}

fn check(lines: &str, expected: &str) {
    let head = format!("{}\r\n\r\n", lines.replace('\n', "\r\n"));
    assert_eq!(classify(&head), expected, "{lines:?}");
}

#[test]
fn framing() {
    check("POST / HTTP/1.1\nHost: a\nContent-Length: 5", "Compliant - Length(5)");
    check("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked", "Compliant - Chunked");
    check("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: CHUNKED", "Compliant - Chunked");
    check("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: identity", "Compliant - None");
    check(
        "POST / HTTP/1.1\nHost: a\nContent-Length: 5\nTransfer-Encoding: chunked",
        "Ambiguous BothTeClPresent Chunked",
    );
    check(
        "POST / HTTP/1.1\nHost: a\nContent-Length: 5\nContent-Length: 5",
        "Ambiguous DuplicateContentLength Length(5)",
    );
    check(
        "POST / HTTP/1.1\nHost: a\nContent-Length: 5\nContent-Length: 6",
        "Severe MultipleContentLength Length(5)",
    );
    for bad in ["5, 5", "+5", "-5", "0x5", "5a", "", "5 5", "18446744073709551616", "５"] {
        check(&format!("POST / HTTP/1.1\nHost: a\nContent-Length: {bad}"), "Severe BadContentLength None");
    }
    for bad in [
        "xchunked",
        "chunked;q=1",
        "chunked, identity",
        "chunked\u{b}",
        "\u{b}chunked",
        "",
        "cow",
        "chunked, gzip",
    ] {
        check(
            &format!("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: {bad}"),
            "Severe BadTransferEncoding None",
        );
    }
    check("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: gzip, chunked", "TransferCoding");
    check("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: gzip", "TransferCoding");
    check(
        "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked",
        "Severe MultipleTransferEncodingChunked None",
    );
    check("POST / HTTP/1.0\nHost: a\nTransfer-Encoding: chunked", "Severe BadTransferEncoding None");
    check("GET / HTTP/1.1\nHost: a\nContent-Length: 0", "Acceptable GetHeadZeroContentLength Length(0)");
    check(
        "GET / HTTP/1.1\nHost: a\nContent-Length: 3",
        "Ambiguous UndefinedContentLengthSemantics Length(3)",
    );
    check(
        "HEAD / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked",
        "Ambiguous UndefinedTransferEncodingSemantics Chunked",
    );
    check("DELETE / HTTP/1.1\nHost: a\nContent-Length: 3", "Compliant - Length(3)");
}

#[test]
fn names_that_hide_framing() {
    for name in
        ["Transfer_Encoding", "Transfer-Encoding-", "Content_Length", "Content.Length", "TransferEncoding"]
    {
        check(&format!("POST / HTTP/1.1\nHost: a\n{name}: chunked"), "Ambiguous SuspiciousHeader None");
    }
    check("POST / HTTP/1.1\nHost: a\nContent-Lengthy: 3", "Compliant - None");
    for line in [
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "Foo bar: x",
    ] {
        check(&format!("POST / HTTP/1.1\nHost: a\n{line}"), "Severe BadHeader None");
    }
}

#[test]
fn header_lines() {
    check("GET / HTTP/1.1\nHost: a\nX: folded\n over", "Severe BadHeader None");
    check("GET / HTTP/1.1\n X: y\nHost: a", "Severe BadHeader None");
    check("GET / HTTP/1.1\nHost: a\nno colon", "Severe BadHeader None");
    check("GET / HTTP/1.1\nHost: a\n: empty", "Ambiguous EmptyHeader None");
    check("GET / HTTP/1.1\nHost: a\nX: a\0b", "Severe BadHeader None");
    check("GET / HTTP/1.1\nHost: a\nX: \u{7}", "Acceptable NonCompliantHeader None");
    check("GET / HTTP/1.1\nHost: a\nX: é", "Acceptable NonCompliantHeader None");
    check("GET / HTTP/1.1\nHost: a\nX(y): z", "Acceptable NonCompliantHeader None");
    check("GET / HTTP/1.1\nHost: a\nX:", "Compliant - None");
    assert_eq!(classify("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"), "Severe BadHeader None");
    assert_eq!(classify("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\r\n\r\n"), "Severe BadHeader None");
    assert_eq!(classify("GET / HTTP/1.1\nHost: a\n\n"), "Ambiguous SuspiciousHeader None");
    assert_eq!(classify("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"), "Ambiguous SuspiciousHeader None");
}

#[test]
fn hosts() {
    check("GET / HTTP/1.1", "NoHost");
    check("GET / HTTP/1.0", "Compliant - None");
    check("GET / HTTP/1.1\nHost:", "Compliant - None");
    check("GET / HTTP/1.1\nHost: [::1]:80", "Compliant - None");
    check("GET / HTTP/1.1\nHost: a\nHost: b", "Ambiguous SuspiciousHeader None");
    for bad in ["a b", "a/b", "user@a", "a#", "a,b", "a\\b"] {
        check(&format!("GET / HTTP/1.1\nHost: {bad}"), "Severe BadHeader None");
    }
}

#[test]
fn request_lines() {
    check("GET /a b HTTP/1.1\nHost: a", "Acceptable SpaceInUri None");
    check("GET /\u{1} HTTP/1.1\nHost: a", "Ambiguous AmbiguousUri None");
    check("GET /\0 HTTP/1.1\nHost: a", "Severe BadUri None");
    check("GET http://b/x HTTP/1.1\nHost: a", "Compliant - None");
    check("GET http://b HTTP/1.1\nHost: a", "Compliant - None");
    check("OPTIONS * HTTP/1.1\nHost: a", "Compliant - None");
    check("GET / HTTP/1.2\nHost: a", "Acceptable NonCompliantVersion None");
    check("GET / HTTP/2.0\nHost: a", "Version");
    check("PRI * HTTP/2.0", "Version");
    check("GET / HTTP/1.10\nHost: a", "Bad(BadVersion)");
    check("GET / http/1.1\nHost: a", "Bad(BadVersion)");
    check("GET / FTP/1.1\nHost: a", "Bad(BadVersion)");
    check("GET /", "Bad(BadVersion)");
    check("GET", "Bad(BadMethod)");
    check("G@T / HTTP/1.1\nHost: a", "Bad(BadMethod)");
    check(" GET / HTTP/1.1\nHost: a", "Bad(BadMethod)");
    check("GET  HTTP/1.1\nHost: a", "Bad(BadUri)");
    check("GET x HTTP/1.1\nHost: a", "Bad(BadUri)");
    check("GET ftp://b/ HTTP/1.1\nHost: a", "Bad(BadUri)");
    check("GET http:///x HTTP/1.1\nHost: a", "Bad(BadUri)");
    check("CONNECT a:443 HTTP/1.1\nHost: a", "Bad(BadUri)");
}

#[test]
fn modes_decide_what_is_routed() {
    use Class::{Acceptable, Ambiguous, Compliant, Severe};
    for (mode, routed, closed) in [
        (DesyncMode::Monitor, [true, true, true, true], [false, false, false, true]),
        (DesyncMode::Defensive, [true, true, true, false], [false, false, true, true]),
        (DesyncMode::Strictest, [true, false, false, false], [false, false, true, true]),
    ] {
        let classes = [Compliant, Acceptable, Ambiguous, Severe];
        assert_eq!(classes.map(|class| mode.admits(class)), routed, "{mode:?}");
        assert_eq!(classes.map(|class| mode.closes(class)), closed, "{mode:?}");
    }
}
