use std::time::Duration;

use gantry_wire::{AuthMode, Call, Response, Signer};

use crate::model::{Ask, SECRET_KEY, TOKEN, header, now, text};

fn checked(mut ask: Ask) -> Ask {
    ask.mode = AuthMode::Verify;
    ask
}

fn signed(mut ask: Ask, service: &str) -> Ask {
    let signer = Signer {
        access_key: "AKIDEXAMPLE",
        secret_key: SECRET_KEY,
        session_token: None,
        region: "eu-west-3",
        service,
    };
    ask.headers.insert("host", "localhost:4566".parse().unwrap());
    signer.sign(&ask.method, &ask.uri, &mut ask.headers, &ask.body, ask.now);
    checked(ask)
}

fn json() -> Ask {
    signed(Ask::json("json", "Echo", r#"{"renamed":"n"}"#), "service")
}

/// Computed with botocore: key ASIAEXAMPLE with its token.
fn from_botocore() -> Ask {
    let headers = [
        ("host", "example.amazonaws.com"),
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", "json.Echo"),
        ("x-amz-date", "20150830T123600Z"),
        ("x-amz-security-token", TOKEN),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, \
             Signature=01d71d3f07c9f95742d83c19dcac4cfbdc59ecb4dd4c5e30e19ee3b30b98dd87",
        ),
    ];
    checked(Ask::new("POST", "/", &headers, r#"{"renamed":"a"}"#))
}

const PRESIGNED: &str = "/?Action=Echo&Version=2020-01-01&Renamed=a&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=\
    ASIAEXAMPLE%2F20150830%2Fus-east-1%2Fservice%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expires=60\
    &X-Amz-SignedHeaders=host&X-Amz-Security-Token=tok%2Fen%2B1%3D%3D&X-Amz-Signature=f76318f5fbb2a2975d353ba7561391e72627f71017bf2f6fdbff233bc86a98a9";

fn presigned(uri: &str) -> Ask {
    checked(Ask::new("GET", uri, &[("host", "example.amazonaws.com")], ""))
}

#[test]
fn good_signatures_are_accepted() {
    let caller =
        |call: &Call| (call.access_key.clone(), call.region.to_string(), call.principal.user_id.clone());
    let text = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
    assert_eq!(caller(&json().send().unwrap()), text("AKIDEXAMPLE", "eu-west-3", "123456789012"));
    assert_eq!(caller(&from_botocore().send().unwrap()), text("ASIAEXAMPLE", "us-east-1", "AROA:s"));
    assert_eq!(caller(&presigned(PRESIGNED).send().unwrap()), text("ASIAEXAMPLE", "us-east-1", "AROA:s"));
    let form = signed(Ask::form("service", "Action=Echo&Version=2020-01-01&Renamed=a%20b"), "service");
    assert!(form.send().is_ok());
    let open = Ask::json("json", "Open", "");
    assert!(checked(open).send().is_ok(), "nobody has to sign this one");
}

fn code(response: &Response) -> String {
    let body = text(response);
    if !header(response, "x-amzn-errortype").is_empty() {
        return header(response, "x-amzn-errortype").to_owned();
    }
    if body.starts_with('{') {
        let json: serde_json::Value = serde_json::from_str(&body).unwrap();
        return json["__type"].as_str().unwrap().to_owned();
    }
    body.split_once("<Code>").unwrap().1.split_once("</Code>").unwrap().0.to_owned()
}

#[test]
fn a_date_header_tells_the_time_too() {
    let mut ask = Ask::json("json", "Echo", "{}");
    ask.headers.insert("date", "Sun, 30 Aug 2015 12:36:00 GMT".parse().unwrap());
    ask.headers.insert("host", "example.amazonaws.com".parse().unwrap());
    let authorization = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                         SignedHeaders=content-type;date;host;x-amz-target, Signature=28219d50151e82c4783c028d197a67aa44955d598d298bd29e42e63307ec9505";
    ask.headers.insert("authorization", authorization.parse().unwrap());
    assert!(checked(ask).send().is_ok());
}

#[test]
fn whatever_is_tampered_with_is_noticed() {
    let mut body = json();
    body.body = br#"{"renamed":"m"}"#.to_vec();
    let mut target = json();
    target.headers.insert("x-amz-target", "json.Need".parse().unwrap());
    let mut host = json();
    host.headers.insert("host", "other".parse().unwrap());
    let mut query = json();
    query.uri = "/?a=b".parse().unwrap();
    let mut doubled = json();
    doubled.headers.append("content-type", "x".parse().unwrap());
    let mut unsigned_body = json();
    unsigned_body.headers.insert("x-amz-content-sha256", "UNSIGNED-PAYLOAD".parse().unwrap());
    unsigned_body.body = br#"{"renamed":"m"}"#.to_vec();
    let mut digit = json();
    let authorization = header_of(&digit, "authorization");
    let last = if authorization.ends_with('0') { '1' } else { '0' };
    let changed = format!("{}{last}", &authorization[..authorization.len() - 1]);
    digit.headers.insert("authorization", changed.parse().unwrap());
    for (what, ask) in [
        ("body", body),
        ("target", target),
        ("host", host),
        ("query", query),
        ("header", doubled),
        ("unsigned body", unsigned_body),
        ("signature", digit),
        ("presigned", presigned(&PRESIGNED.replace("Renamed=a", "Renamed=b"))),
    ] {
        let answer = ask.refused();
        let expected = if what == "presigned" {
            ("SignatureDoesNotMatch", 403)
        } else {
            ("InvalidSignatureException", 400)
        };
        assert_eq!((code(&answer).as_str(), answer.status.as_u16()), expected, "{what}");
        assert!(text(&answer).contains("The request signature we calculated does not match"), "{what}");
    }
}

fn header_of(ask: &Ask, name: &str) -> String {
    ask.headers[name].to_str().unwrap().to_owned()
}

#[test]
fn a_target_that_is_not_signed_is_refused() {
    let mut ask = Ask::json("json", "Echo", "{}");
    let target = ask.headers.remove("x-amz-target").unwrap();
    let mut ask = signed(ask, "service");
    ask.headers.insert("x-amz-target", target);
    assert!(text(&ask.refused()).contains("must be a 'SignedHeader'"));
}

#[test]
fn a_signature_is_good_for_its_service_and_day() {
    let answer = signed(Ask::json("json", "Echo", "{}"), "other").refused();
    assert!(text(&answer).contains("Credential should be scoped to correct service: 'service'."));
    let mut ask = json();
    let authorization = header_of(&ask, "authorization").replace("/20150830/", "/20150829/");
    ask.headers.insert("authorization", authorization.parse().unwrap());
    assert!(text(&ask.refused()).contains("'20150829' != '20150830', from '20150830T123600Z'."));
    let mut ask = json();
    let authorization = header_of(&ask, "authorization").replace("/eu-west-3/", "/EU WEST/");
    ask.headers.insert("authorization", authorization.parse().unwrap());
    assert!(text(&ask.refused()).contains("Credential should be scoped to a valid region, not 'EU WEST'."));
}

#[test]
fn clocks_may_differ_by_five_minutes() {
    let within = [Duration::from_secs(299), Duration::from_secs(300)];
    for skew in within {
        for now in [now() + skew, now() - skew] {
            let mut ask = json();
            ask.now = now;
            assert!(ask.send().is_ok(), "{now}");
        }
    }
    let mut late = json();
    late.now = now() + Duration::from_secs(301);
    assert!(text(&late.refused()).contains(
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)"
    ));
    let mut early = json();
    early.now = now() - Duration::from_secs(301);
    assert!(text(&early.refused()).contains(
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T123059Z + 5 min.)"
    ));
}

#[test]
fn a_presigned_address_holds_as_long_as_it_says() {
    let mut ask = presigned(PRESIGNED);
    ask.now = now() + Duration::from_secs(60);
    assert!(ask.send().is_ok());
    ask.now = now() + Duration::from_secs(61);
    assert_eq!(code(&ask.refused()), "SignatureDoesNotMatch");
    for expires in ["0", "604801", "x", "-1"] {
        let answer = presigned(&PRESIGNED.replace("Expires=60", &format!("Expires={expires}"))).refused();
        assert!(text(&answer).contains("between 1 and 604800"), "{expires}");
    }
}

#[test]
fn refusals_are_worded_by_protocol() {
    let unsigned = |ask: Ask| checked(ask);
    let form = |service: &str| {
        let mut ask = Ask::form(service, "Action=Echo&Version=2020-01-01");
        ask.headers.remove("authorization");
        ask
    };
    let rest = |service: &str| {
        let uri = if service == "s3" { "/upload" } else { "/echo" };
        Ask::new(if service == "s3" { "PUT" } else { "POST" }, uri, &[], "")
    };
    let unknown = |mut ask: Ask, service: &str| {
        ask.headers.insert("host", "h".parse().unwrap());
        let signer = Signer {
            access_key: "AKNOBODY",
            secret_key: "x",
            session_token: None,
            region: "us-east-1",
            service,
        };
        signer.sign(&ask.method, &ask.uri, &mut ask.headers, &ask.body, ask.now);
        checked(ask)
    };
    let token = |mut ask: Ask, service: &str, access_key: &str, session_token: Option<&str>| {
        ask.headers.insert("host", "h".parse().unwrap());
        let signer =
            Signer { access_key, secret_key: SECRET_KEY, session_token, region: "us-east-1", service };
        signer.sign(&ask.method, &ask.uri, &mut ask.headers, &ask.body, ask.now);
        checked(ask)
    };
    let echo = || Ask::json("json", "Echo", "{}");
    let cases = [
        (unsigned(echo()), "MissingAuthenticationTokenException", 400),
        (unsigned(rest("restjson")), "MissingAuthenticationTokenException", 403),
        (unsigned(form("service")), "MissingAuthenticationToken", 403),
        (unknown(echo(), "service"), "UnrecognizedClientException", 400),
        (unknown(rest("restjson"), "restjson"), "UnrecognizedClientException", 403),
        (unknown(form("service"), "service"), "InvalidClientTokenId", 403),
        (unknown(form("ec2"), "ec2"), "AuthFailure", 401),
        (unknown(rest("s3"), "s3"), "InvalidAccessKeyId", 403),
        (token(echo(), "service", "ASIAEXAMPLE", None), "UnrecognizedClientException", 400),
        (token(echo(), "service", "ASIAEXAMPLE", Some("other")), "UnrecognizedClientException", 400),
        (token(echo(), "service", "AKIDEXAMPLE", Some(TOKEN)), "UnrecognizedClientException", 400),
        (token(echo(), "service", "ASIAOLD", Some(TOKEN)), "ExpiredTokenException", 400),
        (token(form("service"), "service", "ASIAOLD", Some(TOKEN)), "ExpiredToken", 403),
        (token(form("ec2"), "ec2", "ASIAOLD", Some(TOKEN)), "RequestExpired", 400),
        (token(rest("s3"), "s3", "ASIAOLD", Some(TOKEN)), "ExpiredToken", 400),
    ];
    for (index, (ask, expected, status)) in cases.into_iter().enumerate() {
        let answer = ask.refused();
        assert_eq!((code(&answer).as_str(), answer.status.as_u16()), (expected, status), "case {index}");
    }
}

#[test]
fn what_is_no_signature_is_incomplete() {
    let cases = [
        (
            "AWS4-HMAC-SHA256 Credential=AK/20150830/us-east-1/service/aws4_request, SignedHeaders=host",
            "requires 'Signature' parameter",
        ),
        ("AWS4-HMAC-SHA256", "requires 'Credential' parameter"),
        (
            "AWS4-HMAC-SHA256 Credential=AK/service, SignedHeaders=host, Signature=0",
            "exactly 5 slash-delimited elements",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=/20150830/us-east-1/service/aws4_request, SignedHeaders=host, Signature=0",
            "exactly 5",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=AK/1/2/3/4, SignedHeaders=host;;, Signature=0",
            "SignedHeaders must name",
        ),
        ("Bearer abc", "Unsupported AWS 'algorithm': 'Bearer'"),
    ];
    for (authorization, expected) in cases {
        let mut ask = Ask::json("json", "Echo", "{}");
        ask.headers.insert("authorization", authorization.parse().unwrap());
        ask.headers.insert("x-amz-date", "20150830T123600Z".parse().unwrap());
        let answer = checked(ask).refused();
        assert_eq!((code(&answer).as_str(), answer.status.as_u16()), ("IncompleteSignatureException", 400));
        assert!(text(&answer).contains(expected), "{}", text(&answer));
    }
    let mut undated = json();
    undated.headers.remove("x-amz-date");
    assert!(text(&undated.refused()).contains("either a 'X-Amz-Date' or a 'Date' header"));
}

#[test]
fn the_body_may_stay_unsigned_only_where_aws_allows_it() {
    let upload = |service: &str, hash: Option<&str>, body: &str| {
        let mut ask = Ask::new("PUT", "/upload", &[("host", "h")], body);
        if let Some(hash) = hash {
            ask.headers.insert("x-amz-content-sha256", hash.parse().unwrap());
        }
        let signer = Signer {
            access_key: "AKIDEXAMPLE",
            secret_key: SECRET_KEY,
            session_token: None,
            region: "us-east-1",
            service,
        };
        signer.sign(&ask.method, &ask.uri, &mut ask.headers, b"other", ask.now);
        checked(ask)
    };
    assert_eq!(code(&upload("restjson", None, "body").refused()), "InvalidSignatureException");
    let wrong = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(code(&upload("s3", Some(wrong), "body").refused()), "XAmzContentSHA256Mismatch");
    assert!(upload("restjson", None, "other").send().is_ok());
}

#[test]
fn accepting_any_credentials_still_reads_the_scope() {
    let call = Ask::form("service", "Action=Echo&Version=2020-01-01").send().unwrap();
    assert_eq!((call.region.as_str(), call.access_key.as_str()), ("eu-west-1", "AK"));
    let call = Ask::json("json", "Echo", "{}").send().unwrap();
    assert_eq!((call.region.as_str(), call.access_key.as_str()), ("us-east-1", ""));
    let scope = "AWS4-HMAC-SHA256 Credential=test/x/eu-west-2/service/aws4_request";
    let mut bare = Ask::json("json", "Echo", "{}");
    bare.headers.insert("authorization", scope.parse().unwrap());
    let call = bare.send().unwrap();
    assert_eq!((call.region.as_str(), call.access_key.as_str()), ("eu-west-2", "test"));
    bare.headers.insert("authorization", "Bearer x".parse().unwrap());
    assert_eq!(bare.send().unwrap().region.as_str(), "us-east-1");
    let mut known = from_botocore();
    known.mode = AuthMode::AcceptAny;
    known.body = b"{}".to_vec();
    assert_eq!(known.send().unwrap().principal.user_id, "AROA:s");
    let mut strange = json();
    strange.mode = AuthMode::AcceptAny;
    strange.headers.insert(
        "authorization",
        "AWS4-HMAC-SHA256 Credential=a/d/../service/t, SignedHeaders=h, Signature=0".parse().unwrap(),
    );
    assert!(text(&strange.refused()).contains("valid region"));
}
