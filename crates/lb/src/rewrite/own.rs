//! Answers that the balancer makes itself.

use std::io::Write as _;

use gantry_types::Timestamp;

/// An answer of the balancer's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnResponse {
    pub(crate) status: u16,
    content_type: String,
    /// `Location`.
    location: Option<Vec<u8>>,
    body: Vec<u8>,
}

impl OwnResponse {
    /// A code with a small page.
    pub(crate) fn page(status: u16) -> Self {
        let title = format!("{status} {}", phrase(status));
        let body = format!(
            "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
        );
        Self { status, content_type: "text/html".to_owned(), location: None, body: body.into_bytes() }
    }

    pub(crate) fn redirect(status: u16, location: Vec<u8>) -> Self {
        Self { location: Some(location), ..Self::page(status) }
    }

    /// What a rule says; AWS's default type is text/plain.
    pub(crate) fn fixed(status: u16, content_type: Option<&str>, body: &str) -> Self {
        let content_type = content_type.unwrap_or("text/plain");
        // What the API lets through has no line ends; a record from elsewhere must not break the head.
        let content_type = content_type.chars().filter(|letter| !letter.is_control()).collect();
        Self { status, content_type, location: None, body: body.as_bytes().to_vec() }
    }

    /// Writes the whole answer. That to HEAD has no body.
    pub(crate) fn write(&self, out: &mut Vec<u8>, to_head: bool, keep: bool, now: Timestamp) {
        // Writing to a vector cannot fail.
        let _ = write!(out, "HTTP/1.1 {} {}\r\nServer: awselb/2.0\r\n", self.status, phrase(self.status));
        let _ = write!(out, "Date: {}\r\n", http_date(now));
        let bodiless = self.status == 204;
        if !bodiless {
            let _ =
                write!(out, "Content-Type: {}\r\nContent-Length: {}\r\n", self.content_type, self.body.len());
        }
        out.extend_from_slice(close_or_keep(keep));
        if let Some(location) = &self.location {
            out.extend_from_slice(b"Location: ");
            out.extend_from_slice(location);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        if !to_head && !bodiless {
            out.extend_from_slice(&self.body);
        }
    }
}

fn close_or_keep(keep: bool) -> &'static [u8] {
    if keep { b"Connection: keep-alive\r\n" } else { b"Connection: close\r\n" }
}

fn http_date(now: Timestamp) -> String {
    let at = now.civil();
    let weekday = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
        [usize::from(at.weekday().number_days_from_monday())];
    let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        [usize::from(u8::from(at.month())) - 1];
    let (day, year) = (at.day(), at.year());
    format!(
        "{weekday}, {day:02} {month} {year:04} {:02}:{:02}:{:02} GMT",
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// The phrases of the codes that the balancer or a rule's author uses.
fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Payload Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Entity",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        463 => "Too Many Forwarded Addresses",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(response: &OwnResponse, to_head: bool, keep: bool) -> String {
        let mut out = Vec::new();
        response.write(&mut out, to_head, keep, Timestamp::from_millis(1_700_000_000_000));
        String::from_utf8(out).unwrap().replace("\r\n", "\n")
    }

    #[test]
    fn own_answers_look_like_this() {
        let page = "<html>\n<head><title>502 Bad Gateway</title></head>\n<body>\n<center><h1>502 Bad Gateway</h1></center>\n</body>\n</html>\n";
        let head = format!(
            "HTTP/1.1 502 Bad Gateway\nServer: awselb/2.0\nDate: Tue, 14 Nov 2023 22:13:20 GMT\nContent-Type: text/html\n\
             Content-Length: {}\n",
            page.len() + page.lines().count()
        );
        assert_eq!(
            written(&OwnResponse::page(502), false, true),
            format!("{head}Connection: keep-alive\n\n{page}")
        );
        assert_eq!(written(&OwnResponse::page(502), true, false), format!("{head}Connection: close\n\n"));
        assert_eq!(
            written(&OwnResponse::fixed(404, None, "no"), false, true),
            "HTTP/1.1 404 Not Found\nServer: awselb/2.0\nDate: Tue, 14 Nov 2023 22:13:20 GMT\nContent-Type: text/plain\n\
             Content-Length: 2\nConnection: keep-alive\n\nno"
        );
        let redirect = written(&OwnResponse::redirect(301, b"http://a:80/".to_vec()), false, true);
        assert!(redirect.contains("\nLocation: http://a:80/\n"), "{redirect}");
    }

    #[test]
    fn a_fixed_type_cannot_break_the_head() {
        let response = OwnResponse::fixed(200, Some("text/plain\r\nX: y"), "");
        assert!(written(&response, false, true).contains("\nContent-Type: text/plainX: y\n"));
    }
}
