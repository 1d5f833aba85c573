use gantry_types::Value;
use gantry_wire::{ApiError, render_error, render_output};

use crate::model::{Ask, document, everything, header, text};

fn scope(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AK/20150830/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}

fn ask(service: &str, method: &str, uri: &str, headers: &[(&str, &str)], body: &str) -> Ask {
    let scope = scope(service);
    let mut all = vec![("authorization", scope.as_str()), ("x-amz-date", "20150830T123600Z")];
    all.extend(headers);
    Ask::new(method, uri, &all, body)
}

const PLACES: &str = r#"{"Date":{"$time":1440938160000},"Header":5,"Label":"a/b c","Meta":{"one":"1"},"Page":2,"Words":["x","y z"]}"#;

#[test]
fn members_come_from_path_query_and_headers() {
    for service in ["restjson", "restxml"] {
        let headers = [("x-header", "5"), ("x-meta-one", "1"), ("x-date", "Sun, 30 Aug 2015 12:36:00 GMT")];
        let call = ask(service, "GET", "/places/a%2Fb%20c?page=2&w=x&w=y+z", &headers, "").send().unwrap();
        assert_eq!((call.service.name, &call.input), (service, &document(PLACES)));
        let mut output = document(PLACES);
        output.set("Status", 202i64);
        output.set("Body", "b");
        let answer = render_output(&call, &output);
        assert_eq!(
            (answer.status.as_u16(), header(&answer, "x-header"), header(&answer, "x-meta-one")),
            (202, "5", "1")
        );
        assert_eq!(header(&answer, "x-date"), "Sun, 30 Aug 2015 12:36:00 GMT");
        let body = match service {
            "restjson" => r#"{"Body":"b"}"#,
            _ => {
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Places xmlns=\"http://example.com/doc/\"><Body>b</Body></Places>"
            }
        };
        assert_eq!(text(&answer), body);
    }
}

#[test]
fn a_body_cannot_set_what_belongs_in_the_path() {
    let body = r#"{"Body":"b","Label":"other","page":9}"#;
    let call = ask("restjson", "GET", "/places/mine", &[], body).send().unwrap();
    assert_eq!(call.input, document(r#"{"Body":"b","Label":"mine"}"#));
}

#[test]
fn bodies_are_json_xml_or_bytes() {
    let call = ask("restjson", "POST", "/echo", &[], "").send().unwrap();
    let answer = render_output(&call, &everything());
    assert_eq!(ask("restjson", "POST", "/echo", &[], &text(&answer)).input(), everything());
    let call = ask("restxml", "POST", "/echo", &[], "").send().unwrap();
    let answer = render_output(&call, &everything());
    assert_eq!(header(&answer, "x-amz-request-id"), "request-1");
    assert_eq!(ask("restxml", "POST", "/echo", &[], &text(&answer)).input(), everything());
    let call = ask("restxml", "PUT", "/upload", &[], "<not xml").send().unwrap();
    assert_eq!(call.input, Value::structure([("Bytes", Value::Blob(b"<not xml".to_vec()))]));
    let answer = render_output(&call, &call.input);
    assert_eq!(
        (text(&answer).as_str(), header(&answer, "content-type")),
        ("<not xml", "application/octet-stream")
    );
}

#[test]
fn errors_stand_in_each_protocols_form() {
    let error = ApiError::sender("NotFoundException", "Not here.").with_status(404);
    let call = ask("restjson", "POST", "/echo", &[], "").send().unwrap();
    let answer = render_error(&call, &error);
    assert_eq!(header(&answer, "x-amzn-errortype"), "NotFoundException");
    assert_eq!((answer.status.as_u16(), text(&answer).as_str()), (404, r#"{"message":"Not here."}"#));
    let call = ask("s3", "PUT", "/upload", &[], "").send().unwrap();
    assert_eq!(
        text(&render_error(&call, &error)),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NotFoundException</Code><Message>Not here.</Message>\
         <RequestId>request-1</RequestId><HostId>request-1</HostId></Error>"
    );
}

#[test]
fn a_path_that_means_nothing_is_not_found() {
    let answer = ask("restjson", "DELETE", "/echo", &[], "").refused();
    assert_eq!(answer.status, 404);
    assert_eq!(header(&answer, "x-amzn-errortype"), "UnknownOperationException");
}
