//! The access log's lines, in AWS's field order.
//!
//! A line is made from an [`Entry`] alone; who writes it where is not decided here.

use std::fmt::Write as _;
use std::net::SocketAddrV4;
use std::time::Duration;

use gantry_types::{Arn, Timestamp};

use crate::http1::{Class, Classification};

/// The type field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestType {
    Http,
    WebSocket,
}

/// One request, or one WebSocket at its end.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    pub request_type: RequestType,
    /// When the response was sent.
    pub time: Timestamp,
    pub load_balancer: &'a Arn,
    pub client: SocketAddrV4,
    /// The last target that was tried.
    pub target: Option<SocketAddrV4>,
    /// From the request's arrival to a target; `None` if none was reached.
    pub request_processing_time: Option<Duration>,
    pub target_processing_time: Option<Duration>,
    pub response_processing_time: Option<Duration>,
    /// `None` when the client was gone before there was one: AWS writes 460 then, and `-` where none applies.
    pub elb_status_code: Option<u16>,
    pub target_status_code: Option<u16>,
    pub received_bytes: u64,
    pub sent_bytes: u64,
    pub method: &'a [u8],
    /// `http://host:port/path?query`.
    pub url: &'a [u8],
    /// `HTTP/1.1`.
    pub version: &'a [u8],
    pub user_agent: &'a [u8],
    pub target_group: Option<&'a Arn>,
    pub trace_id: &'a [u8],
    pub matched_rule: MatchedRule,
    pub request_creation_time: Timestamp,
    /// `forward`, `redirect`, `fixed-response`, `waf`, in the order in which they were done.
    pub actions_executed: &'a [&'a str],
    pub redirect_url: &'a [u8],
    pub error_reason: &'a str,
    /// Every target that was tried.
    pub targets: &'a [SocketAddrV4],
    pub target_status_codes: &'a [u16],
    pub classification: Classification,
    /// `TID_` and 16 hexadecimal digits, the same for all requests of a connection.
    pub connection_trace_id: &'a str,
}

/// Which rule decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchedRule {
    /// No rule was looked at.
    None,
    Default,
    Priority(u32),
    /// The rule could not be evaluated.
    Error,
}

/// The line, without its end.
pub fn line(entry: &Entry<'_>) -> String {
    let mut line = Line(String::with_capacity(640));
    line.bare(match entry.request_type {
        RequestType::Http => "http",
        RequestType::WebSocket => "ws",
    });
    line.bare(&timestamp(entry.time));
    let resource = entry.load_balancer.resource();
    line.bare(resource.strip_prefix("loadbalancer/").unwrap_or(resource));
    line.bare(&entry.client.to_string());
    line.optional(entry.target);
    line.bare(&seconds(entry.request_processing_time));
    line.bare(&seconds(entry.target_processing_time));
    line.bare(&seconds(entry.response_processing_time));
    line.optional(entry.elb_status_code);
    line.optional(entry.target_status_code);
    line.bare(&entry.received_bytes.to_string());
    line.bare(&entry.sent_bytes.to_string());
    line.request(entry);
    line.quoted(entry.user_agent);
    // Cipher and protocol of TLS.
    line.bare("-");
    line.bare("-");
    line.optional(entry.target_group);
    line.quoted(entry.trace_id);
    // The domain of SNI and the certificate.
    line.quoted(b"");
    line.quoted(b"");
    line.bare(&match entry.matched_rule {
        MatchedRule::None => "-".to_owned(),
        MatchedRule::Default => "0".to_owned(),
        MatchedRule::Priority(priority) => priority.to_string(),
        MatchedRule::Error => "-1".to_owned(),
    });
    line.bare(&timestamp(entry.request_creation_time));
    line.quoted(entry.actions_executed.join(",").as_bytes());
    line.quoted(entry.redirect_url);
    line.quoted(entry.error_reason.as_bytes());
    line.list(entry.targets);
    line.list(entry.target_status_codes);
    let found = entry.classification;
    line.quoted(if found.class() == Class::Compliant { b"" } else { found.class().as_str().as_bytes() });
    line.quoted(found.reason().map_or("", |reason| reason.as_str()).as_bytes());
    line.bare(if entry.connection_trace_id.is_empty() { "-" } else { entry.connection_trace_id });
    // Host and URI after transforms, and how those went.
    line.quoted(b"");
    line.quoted(b"");
    line.quoted(b"");
    line.0
}

struct Line(String);

impl Line {
    fn separate(&mut self) {
        if !self.0.is_empty() {
            self.0.push(' ');
        }
    }

    fn bare(&mut self, text: &str) {
        self.separate();
        self.0.push_str(text);
    }

    fn optional(&mut self, value: Option<impl ToString>) {
        self.bare(&value.map_or("-".to_owned(), |value| value.to_string()));
    }

    /// A dash stands for nothing. What could end the field or the line is percent-encoded.
    fn quoted(&mut self, text: &[u8]) {
        self.separate();
        self.0.push('"');
        self.encoded(if text.is_empty() { b"-" } else { text });
        self.0.push('"');
    }

    fn encoded(&mut self, text: &[u8]) {
        for byte in text {
            if matches!(byte, 0x20..=0x7e) && *byte != b'"' {
                self.0.push(char::from(*byte));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(self.0, "%{byte:02X}");
            }
        }
    }

    /// Method, URL and version; three dashes for a request that was none.
    fn request(&mut self, entry: &Entry<'_>) {
        self.separate();
        self.0.push('"');
        for (index, part) in [entry.method, entry.url, entry.version].into_iter().enumerate() {
            if index > 0 {
                self.0.push(' ');
            }
            self.encoded(if part.is_empty() { b"-" } else { part });
        }
        self.0.push('"');
    }

    fn list(&mut self, values: &[impl ToString]) {
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        self.quoted(values.join(" ").as_bytes());
    }
}

/// Seconds with milliseconds; -1 for what was not reached.
fn seconds(time: Option<Duration>) -> String {
    time.map_or("-1".to_owned(), |time| format!("{:.3}", time.as_secs_f64()))
}

/// AWS writes microseconds; the last three digits are zero.
fn timestamp(at: Timestamp) -> String {
    at.iso8601().replace('Z', "000Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::Reason;
    use crate::testing::elb;

    fn check(change: impl FnOnce(&mut Entry<'_>), expected: &str) {
        let (load_balancer, group) =
            (elb("loadbalancer/app/my-lb/50dc6c495c0c9188"), elb("targetgroup/my-targets/73e2d6bc24d8a067"));
        let target: SocketAddrV4 = "10.0.0.1:80".parse().unwrap();
        let mut entry = Entry {
            request_type: RequestType::Http,
            time: Timestamp::from_millis(1_530_570_180_186),
            load_balancer: &load_balancer,
            client: "192.168.131.39:2817".parse().unwrap(),
            target: Some(target),
            request_processing_time: Some(Duration::from_micros(400)),
            target_processing_time: Some(Duration::from_millis(48)),
            response_processing_time: Some(Duration::from_micros(37_600)),
            elb_status_code: Some(200),
            target_status_code: Some(200),
            received_bytes: 34,
            sent_bytes: 366,
            method: b"GET",
            url: b"http://www.example.com:80/",
            version: b"HTTP/1.1",
            user_agent: b"curl/7.46.0",
            target_group: Some(&group),
            trace_id: b"Root=1-58337262-36d228ad5d99923122bbe354",
            matched_rule: MatchedRule::Default,
            request_creation_time: Timestamp::from_millis(1_530_570_168_364),
            actions_executed: &["forward"],
            redirect_url: b"",
            error_reason: "",
            targets: &[target],
            target_status_codes: &[200],
            classification: Classification::default(),
            connection_trace_id: "TID_1234abcd5678ef90",
        };
        change(&mut entry);
        assert_eq!(line(&entry), expected.replace('\n', " "));
    }

    #[test]
    fn a_request_that_was_forwarded() {
        check(
            |_| {},
            "http 2018-07-02T22:23:00.186000Z app/my-lb/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80\n\
             0.000 0.048 0.038 200 200 34 366 \"GET http://www.example.com:80/ HTTP/1.1\" \"curl/7.46.0\" - -\n\
             arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/my-targets/73e2d6bc24d8a067\n\
             \"Root=1-58337262-36d228ad5d99923122bbe354\" \"-\" \"-\" 0 2018-07-02T22:22:48.364000Z \"forward\" \"-\" \"-\"\n\
             \"10.0.0.1:80\" \"200\" \"-\" \"-\" TID_1234abcd5678ef90 \"-\" \"-\" \"-\"",
        );
    }

    #[test]
    fn a_request_without_a_target() {
        check(
            |entry| {
                let nothing = None;
                (entry.target, entry.target_status_code, entry.target_group) = (None, None, None);
                (entry.request_processing_time, entry.target_processing_time) = (nothing, nothing);
                entry.response_processing_time = nothing;
                (entry.elb_status_code, entry.sent_bytes) = (Some(400), 0);
                (entry.method, entry.url, entry.version) = (b"", b"", b"");
                (entry.user_agent, entry.trace_id) = (b"", b"");
                entry.matched_rule = MatchedRule::None;
                (entry.actions_executed, entry.targets, entry.target_status_codes) = (&[], &[], &[]);
                entry.classification.note(Reason::BadHeader);
                entry.connection_trace_id = "";
            },
            "http 2018-07-02T22:23:00.186000Z app/my-lb/50dc6c495c0c9188 192.168.131.39:2817 -\n\
             -1 -1 -1 400 - 34 0 \"- - -\" \"-\" - - - \"-\" \"-\" \"-\" - 2018-07-02T22:22:48.364000Z \"-\" \"-\" \"-\"\n\
             \"-\" \"-\" \"Severe\" \"BadHeader\" - \"-\" \"-\" \"-\"",
        );
    }

    #[test]
    fn what_a_client_sends_stays_in_its_field() {
        check(
            |entry| {
                entry.request_type = RequestType::WebSocket;
                entry.user_agent = b"a\" \"b\n\xff";
                entry.url = b"http://x:80/\"";
                entry.matched_rule = MatchedRule::Priority(7);
                entry.redirect_url = b"https://x:443/";
                entry.error_reason = "TargetNotFound";
                entry.actions_executed = &["waf", "redirect"];
                entry.target_status_codes = &[502, 200];
            },
            "ws 2018-07-02T22:23:00.186000Z app/my-lb/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80\n\
             0.000 0.048 0.038 200 200 34 366 \"GET http://x:80/%22 HTTP/1.1\" \"a%22 %22b%0A%FF\" - -\n\
             arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/my-targets/73e2d6bc24d8a067\n\
             \"Root=1-58337262-36d228ad5d99923122bbe354\" \"-\" \"-\" 7 2018-07-02T22:22:48.364000Z \"waf,redirect\"\n\
             \"https://x:443/\" \"TargetNotFound\" \"10.0.0.1:80\" \"502 200\" \"-\" \"-\" TID_1234abcd5678ef90 \"-\" \"-\" \"-\"",
        );
    }
}
