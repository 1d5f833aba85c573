//! Redirects: a location made from parts of the request.

use gantry_domain::elb::Redirect;

/// A compiled redirect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectTemplate {
    /// 301 or 302.
    pub status: u16,
    protocol: Vec<Piece>,
    host: Vec<Piece>,
    port: Vec<Piece>,
    path: Vec<Piece>,
    query: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Protocol,
    Host,
    Port,
    Path,
    Query,
}

/// The names between `#{` and `}`.
const NAMES: [(&str, Piece); 5] = [
    ("#{protocol}", Piece::Protocol),
    ("#{host}", Piece::Host),
    ("#{port}", Piece::Port),
    ("#{path}", Piece::Path),
    ("#{query}", Piece::Query),
];

impl RedirectTemplate {
    pub(crate) fn compile(redirect: &Redirect) -> Self {
        Self {
            status: redirect.status,
            protocol: pieces(&redirect.protocol),
            host: pieces(&redirect.host),
            port: pieces(&redirect.port),
            path: pieces(&redirect.path),
            query: pieces(&redirect.query),
        }
    }

    /// The Location header's value: `protocol://host:port/path?query`, the port always written.
    ///
    /// `protocol` is `HTTP` or `HTTPS`; `path` begins with a slash, which `#{path}` does not repeat.
    pub fn location(
        &self,
        protocol: &str,
        host: &[u8],
        port: u16,
        path: &[u8],
        query: Option<&[u8]>,
    ) -> Vec<u8> {
        let port = port.to_string();
        let values = Values {
            protocol: protocol.as_bytes(),
            host,
            port: port.as_bytes(),
            path: path.strip_prefix(b"/").unwrap_or(path),
            query: query.unwrap_or(b""),
        };
        let mut location = values.expand(&self.protocol);
        location.make_ascii_lowercase();
        location.extend_from_slice(b"://");
        location.extend(values.expand(&self.host));
        location.push(b':');
        location.extend(values.expand(&self.port));
        let path = values.expand(&self.path);
        if !path.starts_with(b"/") {
            location.push(b'/');
        }
        location.extend(path);
        let query = values.expand(&self.query);
        if !query.is_empty() {
            location.push(b'?');
            location.extend(query);
        }
        printable(&location)
    }
}

struct Values<'a> {
    protocol: &'a [u8],
    host: &'a [u8],
    port: &'a [u8],
    path: &'a [u8],
    query: &'a [u8],
}

impl Values<'_> {
    fn expand(&self, pieces: &[Piece]) -> Vec<u8> {
        let mut text = Vec::new();
        for piece in pieces {
            text.extend_from_slice(match piece {
                Piece::Text(text) => text.as_bytes(),
                Piece::Protocol => self.protocol,
                Piece::Host => self.host,
                Piece::Port => self.port,
                Piece::Path => self.path,
                Piece::Query => self.query,
            });
        }
        text
    }
}

fn pieces(template: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while !rest.is_empty() {
        let next = NAMES
            .iter()
            .filter_map(|(name, piece)| rest.find(name).map(|at| (at, *name, piece)))
            .min_by_key(|(at, _, _)| *at);
        let Some((at, name, piece)) = next else {
            pieces.push(Piece::Text(rest.to_owned()));
            break;
        };
        if at > 0 {
            pieces.push(Piece::Text(rest[..at].to_owned()));
        }
        pieces.push(piece.clone());
        rest = &rest[at + name.len()..];
    }
    pieces
}

/// Whatever the request held, a header's value holds no control character, space or byte beyond ASCII.
fn printable(location: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(location.len());
    for byte in location {
        if (0x21..0x7f).contains(byte) {
            text.push(*byte);
        } else {
            text.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parts: [&str; 5], path: &str, query: Option<&str>, expected: &str) {
        let [protocol, host, port, template_path, template_query] = parts.map(str::to_owned);
        let redirect =
            Redirect { protocol, host, port, path: template_path, query: template_query, status: 301 };
        let location = RedirectTemplate::compile(&redirect).location(
            "HTTP",
            b"example.com",
            80,
            path.as_bytes(),
            query.map(str::as_bytes),
        );
        assert_eq!(String::from_utf8_lossy(&location), expected);
    }

    #[test]
    fn a_location_is_made_of_the_requests_parts() {
        let kept = ["#{protocol}", "#{host}", "#{port}", "/#{path}", "#{query}"];
        check(kept, "/a/b", Some("x=1"), "http://example.com:80/a/b?x=1");
        check(kept, "/", None, "http://example.com:80/");
        check(["HTTPS", "#{host}", "443", "/#{path}", "#{query}"], "/a", None, "https://example.com:443/a");
        check(
            ["HTTPS", "www.#{host}", "443", "/new/#{path}/end", "#{query}&from=#{host}"],
            "/a",
            Some("q"),
            "https://www.example.com:443/new/a/end?q&from=example.com",
        );
        check(
            ["HTTP", "#{host}", "8#{port}", "/#{unknown}", ""],
            "/a",
            None,
            "http://example.com:880/#{unknown}",
        );
    }

    #[test]
    fn nothing_from_the_request_breaks_out_of_the_header() {
        check(
            ["#{protocol}", "#{host}", "#{port}", "/#{path}", "#{query}"],
            "/a b\u{1}é",
            None,
            "http://example.com:80/a%20b%01%C3%A9",
        );
    }
}
