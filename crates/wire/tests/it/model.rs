//! A small service in every protocol, and the means to ask it.

use gantry_types::{Timestamp, Value};
use gantry_wire::shape::{
    Authentication, EMPTY, ErrorModel, Kind, Location, Member, OperationModel, Pattern, ServiceModel, Shape,
    TimeFormat,
};
use gantry_wire::{
    Auth, AuthMode, Call, Credential, Principal, Protocol, Request, Response, Services, parse_request,
};
use http::{HeaderMap, HeaderName, Method, Uri};

const fn shape(name: &'static str, kind: Kind) -> Shape {
    Shape { name, kind, min: None, max: None, pattern: None, sensitive: false }
}

const fn member(name: &'static str, shape: &'static Shape) -> Member {
    Member {
        name,
        wire_name: name,
        query_name: name,
        shape,
        required: false,
        location: Location::Body,
        time_format: TimeFormat::Default,
    }
}

const fn named(wire_name: &'static str, query_name: &'static str, member: Member) -> Member {
    Member { wire_name, query_name, ..member }
}

const fn at(location: Location, wire_name: &'static str, member: Member) -> Member {
    Member { location, wire_name, ..member }
}

const fn required(member: Member) -> Member {
    Member { required: true, ..member }
}

pub(crate) static TEXT: Shape = shape("Text", Kind::String(&[]));
static BOOLEAN: Shape = shape("Boolean", Kind::Boolean);
static INTEGER: Shape = shape("Integer", Kind::Integer);
static LONG: Shape = shape("Long", Kind::Long);
static DOUBLE: Shape = shape("Double", Kind::Double);
static BLOB: Shape = shape("Blob", Kind::Blob);
static TIME: Shape = shape("Time", Kind::Timestamp(TimeFormat::Default));
static DOCUMENT: Shape = shape("Document", Kind::Document);
static COLOR: Shape = shape("Color", Kind::String(&["RED", "BLUE"]));
static WORD: Shape = Shape {
    name: "Word",
    kind: Kind::String(&[]),
    min: Some(2.0),
    max: Some(5.0),
    pattern: Some(Pattern::new("[a-z]*")),
    sensitive: false,
};
static SECRET: Shape = Shape {
    name: "Secret",
    kind: Kind::String(&[]),
    min: Some(8.0),
    max: None,
    pattern: None,
    sensitive: true,
};
static COUNT: Shape = Shape {
    name: "Count",
    kind: Kind::Integer,
    min: Some(1.0),
    max: Some(10.0),
    pattern: None,
    sensitive: false,
};
static LIST: Shape = shape("List", Kind::List { member: &TEXT, item_name: "", flattened: false });
static ITEMS: Shape = shape("Items", Kind::List { member: &TREE, item_name: "item", flattened: false });
static FLAT: Shape = shape("Flat", Kind::List { member: &TEXT, item_name: "Piece", flattened: true });
static TAGS: Shape = shape("Tags", Kind::List { member: &TAG, item_name: "", flattened: false });
static MAP: Shape = shape(
    "Map",
    Kind::Map { key: &WORD, value: &TEXT, key_name: "key", value_name: "value", flattened: false },
);
static FLAT_MAP: Shape =
    shape("FlatMap", Kind::Map { key: &TEXT, value: &TEXT, key_name: "K", value_name: "V", flattened: true });

static TAG: Shape = shape("Tag", Kind::Structure(&[required(member("Key", &WORD)), member("Value", &TEXT)]));

/// A structure that holds itself.
static TREE: Shape = shape("Tree", Kind::Structure(&[member("Branches", &ITEMS), member("Leaf", &TEXT)]));

/// One member of every kind. What is named twice shows which name a protocol takes.
pub(crate) static EVERYTHING: Shape = shape(
    "Everything",
    Kind::Structure(&[
        member("Blob", &BLOB),
        member("Boolean", &BOOLEAN),
        member("Color", &COLOR),
        member("Count", &COUNT),
        member("Document", &DOCUMENT),
        member("Double", &DOUBLE),
        member("Flat", &FLAT),
        member("FlatMap", &FLAT_MAP),
        member("Integer", &INTEGER),
        member("List", &LIST),
        member("Long", &LONG),
        member("Map", &MAP),
        named("renamed", "Renamed", member("Name", &TEXT)),
        member("Secret", &SECRET),
        member("Tags", &TAGS),
        member("Time", &TIME),
        member("Tree", &TREE),
        member("Word", &WORD),
    ]),
);

static NEEDY: Shape = shape(
    "Needy",
    Kind::Structure(&[
        required(member("List", &LIST)),
        required(member("TaskName", &TEXT)),
        member("Word", &WORD),
    ]),
);

static GONE_SHAPE: Shape =
    shape("Gone", Kind::Structure(&[member("Detail", &TEXT), member("Message", &TEXT)]));
static GONE: ErrorModel = ErrorModel {
    code: "GoneException",
    query_code: "Old.Gone",
    status: 410,
    sender: true,
    shape: &GONE_SHAPE,
};

static ERRORS_TABLE: [&ErrorModel; 1] = [&GONE];
const ERRORS: &[&ErrorModel] = &ERRORS_TABLE;

/// REST puts its members everywhere.
static PLACES: Shape = shape(
    "Places",
    Kind::Structure(&[
        member("Body", &TEXT),
        at(Location::Header, "x-date", member("Date", &TIME)),
        at(Location::Header, "x-header", member("Header", &INTEGER)),
        at(Location::Uri, "Label", member("Label", &TEXT)),
        at(Location::Headers, "x-meta-", member("Meta", &MAP)),
        at(Location::Query, "page", member("Page", &INTEGER)),
        at(Location::Status, "", member("Status", &INTEGER)),
        at(Location::Query, "w", member("Words", &LIST)),
    ]),
);
static DELIVERY: Shape =
    shape("Delivery", Kind::Structure(&[at(Location::Payload, "", member("Bytes", &BLOB))]));

const fn operation(name: &'static str, input: &'static Shape, output: &'static Shape) -> OperationModel {
    OperationModel {
        name,
        http_method: "POST",
        http_uri: "/",
        http_status: 200,
        input,
        output,
        has_output: true,
        result_wrapper: "",
        errors: ERRORS,
        authentication: Authentication::Signature,
    }
}

const ECHO: OperationModel =
    OperationModel { http_uri: "/echo", ..operation("Echo", &EVERYTHING, &EVERYTHING) };
const NEED: OperationModel = OperationModel { http_uri: "/need", ..operation("Need", &NEEDY, &NEEDY) };
const NOTHING: OperationModel =
    OperationModel { has_output: false, http_uri: "/nothing", ..operation("Nothing", &EMPTY, &EMPTY) };
const OPEN: OperationModel = OperationModel {
    authentication: Authentication::Anonymous,
    http_uri: "/open",
    ..operation("Open", &EMPTY, &EMPTY)
};
const UPLOAD: OperationModel = OperationModel {
    authentication: Authentication::SignatureWithoutBody,
    http_method: "PUT",
    http_uri: "/upload",
    ..operation("Upload", &DELIVERY, &DELIVERY)
};
const PLACE: OperationModel = OperationModel {
    http_method: "GET",
    http_uri: "/places/{Label}",
    ..operation("Place", &PLACES, &PLACES)
};

const fn service(name: &'static str, protocols: &'static [Protocol]) -> ServiceModel {
    ServiceModel {
        name,
        service_id: name,
        signing_name: name,
        api_version: "2020-01-01",
        target_prefix: name,
        xml_namespace: "http://example.com/doc/",
        protocols,
        operations: &[ECHO, NEED, NOTHING, OPEN, UPLOAD],
        unserved: &["Later"],
    }
}

pub(crate) static JSON10: ServiceModel = service("jsonten", &[Protocol::AwsJson10]);
pub(crate) static JSON11: ServiceModel =
    ServiceModel { signing_name: "service", ..service("json", &[Protocol::AwsJson11]) };
static LOGS: ServiceModel = service("logs", &[Protocol::AwsJson11]);
static ECS: ServiceModel = service("ecs", &[Protocol::AwsJson11]);
pub(crate) static QUERY: ServiceModel = ServiceModel {
    signing_name: "service",
    operations: &[
        OperationModel { result_wrapper: "EchoResult", ..ECHO },
        OperationModel { result_wrapper: "NeedResult", ..NEED },
        NOTHING,
        OPEN,
    ],
    ..service("query", &[Protocol::AwsQuery])
};
pub(crate) static EC2: ServiceModel =
    ServiceModel { xml_namespace: "http://example.com/doc", ..service("ec2", &[Protocol::Ec2Query]) };
static REST_JSON: ServiceModel =
    ServiceModel { operations: &[ECHO, PLACE, UPLOAD], ..service("restjson", &[Protocol::RestJson]) };
static REST_XML: ServiceModel =
    ServiceModel { operations: &[ECHO, PLACE, UPLOAD], ..service("restxml", &[Protocol::RestXml]) };
static S3: ServiceModel = ServiceModel { operations: &[UPLOAD], ..service("s3", &[Protocol::RestXml]) };
/// As CloudWatch: one service in three protocols.
static THREE: ServiceModel =
    service("three", &[Protocol::RpcV2Cbor, Protocol::AwsJson10, Protocol::AwsQuery]);

pub(crate) static SERVICES: Services =
    Services::new(&[&JSON10, &JSON11, &LOGS, &ECS, &QUERY, &EC2, &REST_JSON, &REST_XML, &S3, &THREE]);

/// 2015-08-30T12:36:00Z, the time of AWS's own examples.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(1_440_938_160_000)
}

pub(crate) const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
pub(crate) const TOKEN: &str = "tok/en+1==";

pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) now: Timestamp,
    pub(crate) mode: AuthMode,
}

impl Ask {
    pub(crate) fn new(method: &str, uri: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Self {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            map.append(name, value.parse().unwrap());
        }
        let (method, uri) = (method.parse().unwrap(), uri.parse().unwrap());
        Self { method, uri, headers: map, body: body.into(), now: now(), mode: AuthMode::AcceptAny }
    }

    pub(crate) fn json(service: &str, operation: &str, body: &str) -> Self {
        let target = format!("{service}.{operation}");
        let headers = [("x-amz-target", target.as_str()), ("content-type", "application/x-amz-json-1.1")];
        Self::new("POST", "/", &headers, body)
    }

    pub(crate) fn form(service: &str, body: &str) -> Self {
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=AK/20150830/eu-west-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        let headers = [
            ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
            ("authorization", scope.as_str()),
            ("x-amz-date", "20150830T123600Z"),
        ];
        Self::new("POST", "/", &headers, body)
    }

    pub(crate) fn cbor(operation: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = [("smithy-protocol", "rpc-v2-cbor"), ("content-type", "application/cbor")];
        Self::new("POST", &format!("/service/three/operation/{operation}"), &headers, body)
    }

    pub(crate) fn send(&self) -> Result<Call, Box<Response>> {
        let lookup = |key: &str, _token: Option<&str>| credential(key);
        let auth = Auth { lookup: &lookup, mode: self.mode, anonymous: Principal::root() };
        let request = Request {
            method: &self.method,
            uri: &self.uri,
            headers: &self.headers,
            body: &self.body,
            now: self.now,
            request_id: "request-1".to_owned(),
        };
        parse_request(&SERVICES, &request, &auth).map_err(Box::new)
    }

    pub(crate) fn input(&self) -> Value {
        self.send().unwrap_or_else(|response| panic!("{}", text(&response))).input
    }

    pub(crate) fn refused(&self) -> Response {
        match self.send() {
            Ok(call) => panic!("{} was accepted", call.operation.name),
            Err(response) => *response,
        }
    }
}

fn credential(key: &str) -> Option<Credential> {
    let role = Principal {
        arn: "arn:aws:sts::123456789012:assumed-role/R/s".to_owned(),
        user_id: "AROA:s".to_owned(),
        account: "123456789012".to_owned(),
    };
    let known = Credential {
        secret_key: SECRET_KEY.to_owned(),
        session_token: None,
        expires: None,
        principal: Principal::root(),
    };
    match key {
        "AKIDEXAMPLE" => Some(known),
        "ASIAEXAMPLE" => Some(Credential { session_token: Some(TOKEN.to_owned()), principal: role, ..known }),
        "ASIAOLD" => {
            Some(Credential { session_token: Some(TOKEN.to_owned()), expires: Some(now()), ..known })
        }
        _ => None,
    }
}

pub(crate) fn text(response: &Response) -> String {
    String::from_utf8_lossy(&response.body).into_owned()
}

pub(crate) fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// A document from JSON, with `$time` and `$blob`.
pub(crate) fn document(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

/// A document with a member of every kind but the document, which only JSON knows.
pub(crate) fn everything() -> Value {
    document(
        r#"{"Blob": {"$blob": "AAH/"}, "Boolean": true, "Color": "RED", "Double": 0.5, "Flat": ["a", "b"],
            "FlatMap": {"k": "v"}, "Integer": -7, "List": ["x", "ü<&>"], "Long": 9007199254740993,
            "Map": {"one": "1", "two": "2"}, "Name": "n", "Time": {"$time": 1440938160123},
            "Tree": {"Branches": [{"Leaf": "l"}, {"Branches": []}]}}"#,
    )
}
