use gantry_types::Value;
use gantry_wire::{ApiError, render_error, render_output};

use crate::model::{Ask, document, everything, header, text};

const EVERYTHING: &str = r#"{"Blob":"AAH/","Boolean":true,"Color":"RED","Double":0.5,"Flat":["a","b"],"FlatMap":{"k":"v"},"Integer":-7,"List":["x","ü<&>"],"Long":9007199254740993,"Map":{"one":"1","two":"2"},"renamed":"n","Time":1440938160.123,"Tree":{"Branches":[{"Leaf":"l"},{"Branches":[]}]}}"#;

#[test]
fn a_body_becomes_a_document_and_a_document_a_body() {
    let call = Ask::json("json", "Echo", EVERYTHING).send().unwrap();
    assert_eq!(call.input, everything());
    let answer = render_output(&call, &call.input);
    assert_eq!(text(&answer), EVERYTHING);
    assert_eq!(answer.status, 200);
    assert_eq!(header(&answer, "content-type"), "application/x-amz-json-1.1");
    assert_eq!(header(&answer, "x-amzn-requestid"), "request-1");
}

#[test]
fn other_forms_that_clients_send_are_understood() {
    let cases = [
        (r#"{"Time":"2015-08-30T12:36:00.123Z"}"#, r#"{"Time":{"$time":1440938160123}}"#),
        (r#"{"Time":1440938160}"#, r#"{"Time":{"$time":1440938160000}}"#),
        (r#"{"Integer":7.0,"Double":3}"#, r#"{"Integer":7,"Double":3.0}"#),
        (r#"{"Blob":"AAE"}"#, r#"{"Blob":{"$blob":"AAE="}}"#),
        (r#"{"Name":"not the wire's","renamed":null,"Unknown":{"deep":[1,{}]}}"#, "{}"),
        (r#"{"Document":{"a":[1,0.5,null,"x",true]}}"#, r#"{"Document":{"a":[1,0.5,null,"x",true]}}"#),
        ("", "{}"),
        (" null ", "{}"),
    ];
    for (body, expected) in cases {
        assert_eq!(Ask::json("json", "Echo", body).input(), document(expected), "{body}");
    }
}

#[test]
fn numbers_that_json_lacks_are_words() {
    let call = Ask::json("json", "Echo", r#"{"Double":"-Infinity"}"#).send().unwrap();
    assert_eq!(call.input, Value::structure([("Double", Value::Float(f64::NEG_INFINITY))]));
    assert_eq!(text(&render_output(&call, &call.input)), r#"{"Double":"-Infinity"}"#);
}

#[test]
fn what_is_not_of_its_shape_is_a_serialization_exception() {
    let cases = [
        ("{", "EOF while parsing an object at line 1 column 1"),
        ("[]", "Start of list found where not expected"),
        (r#"{"List":{}}"#, "Start of structure or map found where not expected."),
        (r#"{"List":"x"}"#, "Expected list or null"),
        (
            r#"{"List":[1]}"#,
            "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String",
        ),
        (r#"{"Integer":"1"}"#, "class java.lang.String can not be converted to an Integer"),
        (r#"{"Boolean":"true"}"#, "class java.lang.String can not be converted to an Boolean"),
        (
            r#"{"Integer":2147483648}"#,
            "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an Integer",
        ),
        (
            r#"{"Integer":1.5}"#,
            "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an Integer",
        ),
        (r#"{"Tree":"x"}"#, "Unexpected field type"),
        (r#"{"Blob":"%"}"#, "class java.lang.String can not be converted to an Blob"),
        (
            r#"{"Time":1e300}"#,
            "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to milliseconds since epoch",
        ),
    ];
    for (body, message) in cases {
        let answer = Ask::json("json", "Echo", body).refused();
        let expected = format!(r#"{{"__type":"SerializationException","message":"{message}"}}"#);
        assert_eq!((answer.status.as_u16(), text(&answer)), (400, expected), "{body}");
    }
    let answer = Ask::json("json", "Echo", "{\"List\":[\"\u{7f}\"]}x").refused();
    assert!(text(&answer).contains("SerializationException"));
    let mut bytes = Ask::json("json", "Echo", "");
    bytes.body = b"{\"renamed\":\"\xff\"}".to_vec();
    assert!(text(&bytes.refused()).contains("SerializationException"));
}

#[test]
fn errors_have_their_type_message_and_members() {
    let gone = ApiError::sender("GoneException", "It is gone.").with_status(410).with_member("Detail", "d");
    let call = Ask::json("json", "Echo", "{}").send().unwrap();
    let answer = render_error(&call, &gone);
    assert_eq!(text(&answer), r#"{"__type":"GoneException","message":"It is gone.","Detail":"d"}"#);
    assert_eq!(answer.status, 410);
    let call = Ask::json("jsonten", "Echo", "{}").send().unwrap();
    let answer = render_error(&call, &gone);
    assert_eq!(
        text(&answer),
        r#"{"__type":"com.amazon.coral.service#GoneException","message":"It is gone.","Detail":"d"}"#
    );
    assert_eq!(header(&answer, "content-type"), "application/x-amz-json-1.0");
    assert_eq!(header(&answer, "x-amzn-query-error"), "");
}

#[test]
fn clients_of_the_former_query_protocol_get_its_code() {
    let mut ask = Ask::json("three", "Echo", "{}");
    ask.headers.insert("x-amzn-query-mode", "true".parse().unwrap());
    let call = ask.send().unwrap();
    let answer = render_error(&call, &ApiError::sender("GoneException", ""));
    assert_eq!(header(&answer, "x-amzn-query-error"), "Old.Gone;Sender");
    let answer = render_error(&call, &ApiError::receiver("Other", ""));
    assert_eq!(header(&answer, "x-amzn-query-error"), "Other;Receiver");
}

#[test]
fn an_operation_without_output_answers_without_a_body() {
    let call = Ask::json("json", "Nothing", "{}").send().unwrap();
    assert_eq!(text(&render_output(&call, &Value::map())), "");
}

#[test]
fn an_output_that_is_not_of_its_shape_is_an_internal_failure_that_names_the_place() {
    let call = Ask::json("json", "Echo", "{}").send().unwrap();
    let answer = render_output(&call, &document(r#"{"Tree":{"Branches":[{"Leaf":5}]}}"#));
    assert_eq!(answer.status, 500);
    assert_eq!(
        text(&answer),
        r#"{"__type":"InternalFailure","message":"Echo: a string was expected at 'Tree.Branches.1.Leaf' of the answer"}"#
    );
}
