use gantry_wire::{BODY_BYTES_MAX, FORM_PARAMETERS_MAX, Protocol};

use crate::model::{Ask, header, text};

#[test]
fn one_service_is_found_in_each_of_its_protocols() {
    let calls = [
        (Ask::json("three", "Echo", "{}"), Protocol::AwsJson10),
        (Ask::cbor("Echo", ""), Protocol::RpcV2Cbor),
        (Ask::form("three", "Action=Echo&Version=2020-01-01"), Protocol::AwsQuery),
    ];
    for (ask, protocol) in calls {
        let call = ask.send().unwrap();
        assert_eq!((call.service.name, call.operation.name, call.protocol), ("three", "Echo", protocol));
    }
}

#[test]
fn unknown_operations_are_told_from_those_that_are_not_implemented() {
    let cases = [
        (Ask::json("json", "Nope", ""), 400, r#"{"__type":"UnknownOperationException"}"#),
        (Ask::json("nobody", "Echo", ""), 400, r#"{"__type":"UnknownOperationException"}"#),
        (
            Ask::json("json", "Later", ""),
            501,
            r#"{"__type":"NotImplemented","message":"Gantry does not implement json:Later yet."}"#,
        ),
        (
            Ask::form("service", "Action=Nope&Version=2020-01-01"),
            400,
            "<ErrorResponse xmlns=\"http://example.com/doc/\"><Error><Type>Sender</Type><Code>InvalidAction</Code>\
             <Message>Could not find operation Nope for version 2020-01-01</Message></Error><RequestId>request-1</RequestId>\
             </ErrorResponse>",
        ),
        (
            Ask::form("service", "Action=Later&Version=2020-01-01"),
            501,
            "<ErrorResponse xmlns=\"http://example.com/doc/\"><Error><Type>Receiver</Type><Code>NotImplemented</Code>\
             <Message>Gantry does not implement query:Later yet.</Message></Error><RequestId>request-1</RequestId>\
             </ErrorResponse>",
        ),
        (
            Ask::form("ec2", "Action=Nope&Version=2020-01-01"),
            400,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>InvalidAction</Code><Message>The \
             action Nope is not valid for this web service.</Message></Error></Errors><RequestID>request-1</RequestID>\
             </Response>",
        ),
    ];
    for (ask, status, body) in cases {
        let answer = ask.refused();
        assert_eq!((answer.status.as_u16(), text(&answer).as_str()), (status, body));
        assert_eq!(header(&answer, "x-amzn-requestid"), "request-1");
    }
    for path in ["/service/three/operation/Nope", "/service/other/operation/Echo", "/three/Echo", "/"] {
        let answer = Ask::new("POST", path, &[("smithy-protocol", "rpc-v2-cbor")], "").refused();
        assert_eq!(
            (answer.status.as_u16(), header(&answer, "smithy-protocol")),
            (404, "rpc-v2-cbor"),
            "{path}"
        );
    }
}

#[test]
fn a_query_without_version_or_scope_is_not_guessed() {
    assert_eq!(Ask::form("service", "Action=Echo").send().unwrap().service.name, "query");
    let answer = Ask::new("GET", "/?Action=Echo", &[], "").refused();
    assert!(text(&answer).contains("Could not find operation Echo for version NO_VERSION_SPECIFIED"));
    let answer = Ask::form("service", "Action=Echo&Version=1999-01-01").refused();
    assert!(text(&answer).contains("Could not find operation Echo for version 1999-01-01"));
    let answer = Ask::form("service", "Renamed=a").refused();
    assert!(text(&answer).contains("<Code>MissingAction</Code>"));
}

#[test]
fn requests_are_limited() {
    let answer = Ask::json("json", "Echo", &" ".repeat(BODY_BYTES_MAX + 1)).refused();
    assert_eq!(answer.status, 413);
    assert!(text(&answer).contains("RequestEntityTooLarge"));
    let answer = Ask::form("service", &"a&".repeat(FORM_PARAMETERS_MAX + 1)).refused();
    assert!(text(&answer).contains("<Code>MalformedQueryString</Code>"));
    let deep = format!(r#"{{"Tree":{}1{}}}"#, r#"{"Branches":["#.repeat(200), "]}".repeat(200));
    assert!(text(&Ask::json("json", "Echo", &deep).refused()).contains("SerializationException"));
}
