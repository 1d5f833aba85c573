//! What the tests of handlers stand on: the real wire, the real store on a disk in memory, signed requests.

use std::sync::Arc;

use gantry_api::CallContext;
use gantry_domain::network::Cidr;
use gantry_store::fault::FaultyDisk;
use gantry_store::{Database, Options};
use gantry_telemetry::logs::{Limits, LogStore};
use gantry_types::{Ids, Timestamp};
use gantry_wire::{Auth, AuthMode, Principal, Request, Response, Signer, parse_request};
use gantry_wire::{render_error, render_output};
use http::{HeaderMap, HeaderValue, Method, Uri};

use crate::{Context, RootKey, Services, Settings};

static MODELS: gantry_wire::Services = gantry_wire::Services::new(gantry_api::SERVICES);

pub(crate) const ROOT: (&str, &str) = ("AKIAROOTROOTROOTROOT", "root-secret");
pub(crate) const NOW: i64 = 1_750_000_000_000;

/// An installation without a socket.
pub(crate) struct World {
    pub(crate) context: Arc<Context>,
    pub(crate) now: Timestamp,
    pub(crate) region: &'static str,
    _folder: tempfile::TempDir,
}

/// Who signs.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

impl Keys {
    pub(crate) fn root() -> Self {
        Self { id: ROOT.0.to_owned(), secret: ROOT.1.to_owned(), token: None }
    }
}

/// An answer's status and text.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl World {
    pub(crate) fn new() -> Self {
        let database = Database::open(FaultyDisk::new(1), Options::default()).unwrap();
        Self::on(database)
    }

    pub(crate) fn on(database: Database) -> Self {
        let settings = Settings {
            dns_suffix: "localhost".to_owned(),
            load_balancer_range: Cidr::parse("127.64.0.0/10").unwrap(),
            account_created_at: Timestamp::from_millis(NOW - 86_400_000),
        };
        let root = RootKey { access_key_id: ROOT.0.to_owned(), secret_access_key: ROOT.1.to_owned() };
        let folder = tempfile::tempdir().unwrap();
        let log_store = LogStore::open(folder.path(), Limits::default()).unwrap();
        let context = Arc::new(Context::new(database, log_store, Ids::from_seed(7), root, settings));
        Self { context, now: Timestamp::from_millis(NOW), region: "us-east-1", _folder: folder }
    }

    /// A Query request, as the AWS CLI sends it: `Action=ListRoles&MaxItems=1`.
    pub(crate) async fn query(&self, service: &str, form: &str) -> Answer {
        self.query_as(&Keys::root(), service, form).await
    }

    pub(crate) async fn query_as(&self, keys: &Keys, service: &str, form: &str) -> Answer {
        let version = MODELS.named(service).unwrap().api_version;
        let body = format!("{form}&Version={version}");
        let mut headers = HeaderMap::new();
        headers.insert(
            "content-type",
            HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"),
        );
        self.send(keys, service, headers, body.as_bytes()).await
    }

    /// A JSON request, as the AWS CLI sends it.
    pub(crate) async fn json(&self, service: &str, operation: &str, body: &serde_json::Value) -> Answer {
        let target = format!("{}.{operation}", MODELS.named(service).unwrap().target_prefix);
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/x-amz-json-1.1"));
        headers.insert("x-amz-target", HeaderValue::from_str(&target).unwrap());
        self.send(&Keys::root(), service, headers, body.to_string().as_bytes()).await
    }

    pub(crate) async fn send(
        &self,
        keys: &Keys,
        service: &str,
        mut headers: HeaderMap,
        body: &[u8],
    ) -> Answer {
        let (method, uri) = (Method::POST, Uri::from_static("http://127.0.0.1:4566/"));
        let signer = Signer {
            access_key: &keys.id,
            secret_key: &keys.secret,
            session_token: keys.token.as_deref(),
            region: self.region,
            service: MODELS.named(service).unwrap().signing_name,
        };
        signer.sign(&method, &uri, &mut headers, body, self.now);
        let request = Request {
            method: &method,
            uri: &uri,
            headers: &headers,
            body,
            now: self.now,
            request_id: "00000000-0000-4000-8000-000000000000".to_owned(),
        };
        let lookup = |key: &str, token: Option<&str>| self.context.credential(key, token);
        let auth = Auth { lookup: &lookup, mode: AuthMode::Verify, anonymous: Principal::root() };
        let response = match parse_request(&MODELS, &request, &auth) {
            Ok(call) => self.run(&call).await,
            Err(response) => response,
        };
        Answer { status: response.status.as_u16(), body: String::from_utf8(response.body).unwrap() }
    }

    async fn run(&self, call: &CallContext) -> Response {
        match Services::new(Arc::clone(&self.context)).handle(call).await {
            Ok(output) => render_output(call, &output),
            Err(error) => render_error(call, &error),
        }
    }
}

impl Answer {
    /// Asserts success, and gives the body.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    /// Asserts an error with this status whose body has all of these parts.
    #[track_caller]
    pub(crate) fn fails(self, status: u16, parts: &[&str]) {
        assert_eq!(self.status, status, "{}", self.body);
        for part in parts {
            assert!(self.body.contains(part), "'{part}' is missing: {}", self.body);
        }
    }
}

impl Answer {
    /// Asserts success, and gives the body as JSON; null where there is none.
    #[track_caller]
    pub(crate) fn document(self) -> serde_json::Value {
        let body = self.ok();
        if body.is_empty() { serde_json::Value::Null } else { serde_json::from_str(&body).unwrap() }
    }
}

/// The first element of this name in a text of XML.
#[track_caller]
pub(crate) fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let inner =
        xml.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once(&format!("</{name}>")));
    inner.unwrap_or_else(|| panic!("<{name}> is missing: {xml}")).0
}

/// Percent-encodes a form's value.
pub(crate) fn form(value: &str) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// A call whose operation and input do not matter to the handler.
pub(crate) fn call(service: &str) -> CallContext {
    let service = MODELS.named(service).unwrap();
    CallContext {
        service,
        operation: &service.operations[0],
        protocol: service.protocols[0],
        region: gantry_types::Region::from("us-east-1"),
        request_id: String::new(),
        now: Timestamp::from_millis(NOW),
        access_key: ROOT.0.to_owned(),
        principal: Principal::root(),
        input: gantry_types::Value::map(),
        query_mode: false,
    }
}
