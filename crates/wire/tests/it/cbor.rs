use gantry_types::Value;
use gantry_wire::{ApiError, render_error, render_output};

use crate::model::{Ask, document, everything, header, text};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn a_document_survives_the_way_there_and_back() {
    let call = Ask::cbor("Echo", "").send().unwrap();
    let answer = render_output(&call, &everything());
    assert_eq!(header(&answer, "smithy-protocol"), "rpc-v2-cbor");
    assert_eq!(header(&answer, "content-type"), "application/cbor");
    assert_eq!(Ask::cbor("Echo", answer.body).input(), everything());
}

#[test]
fn bytes_are_those_of_the_standard() {
    let call = Ask::cbor("Echo", "").send().unwrap();
    let cases = [
        (r#"{"Integer":-7}"#, "a1 67 496e7465676572 26"),
        (r#"{"Long":1000000000000}"#, "a1 64 4c6f6e67 1b 000000e8d4a51000"),
        (r#"{"Name":"ü"}"#, "a1 67 72656e616d6564 62 c3bc"),
        (r#"{"Blob":{"$blob":"AAH/"}}"#, "a1 64 426c6f62 43 0001ff"),
        (r#"{"Time":{"$time":1440938160500}}"#, "a1 64 54696d65 c1 fb 41d578be2c200000"),
        (r#"{"List":["a"],"Boolean":false}"#, "a2 67 426f6f6c65616e f4 64 4c697374 81 61 61"),
    ];
    for (value, expected) in cases {
        let value = document(value);
        assert_eq!(render_output(&call, &value).body, bytes(expected), "{value:?}");
        assert_eq!(Ask::cbor("Echo", bytes(expected)).input(), value);
    }
}

#[test]
fn other_encodings_of_the_same_are_understood() {
    let cases = [
        // Of indefinite length, with a string in pieces, an unknown member with a tag, and null.
        (
            "bf 67 72656e616d6564 7f 61 61 61 62 ff 61 78 c2 41 00 64 4c697374 9f 61 63 ff 65 436f6c6f72 f6 ff",
            r#"{"Name":"ab","List":["c"]}"#,
        ),
        ("a1 66 446f75626c65 f9 3800", r#"{"Double":0.5}"#),
        ("a1 66 446f75626c65 fa 3f000000", r#"{"Double":0.5}"#),
        ("a1 66 446f75626c65 02", r#"{"Double":2.0}"#),
        ("a1 67 496e7465676572 f9 4700", r#"{"Integer":7}"#),
        ("a1 64 54696d65 c1 1a 55e2f830", r#"{"Time":{"$time":1440938032000}}"#),
        ("f6", "{}"),
    ];
    for (hex, expected) in cases {
        assert_eq!(Ask::cbor("Echo", bytes(hex)).input(), document(expected), "{hex}");
    }
}

#[test]
fn what_is_broken_is_refused() {
    let deep = format!("a1 61 78 {} 00", "81".repeat(200));
    let cases = [
        "a1",
        "a1 67 496e7465676572 61 78",
        "a1 67 496e7465676572 1a 80000000",
        "80",
        "bf",
        "a0 00",
        "a1 01 02",
        "a1 67 72656e616d6564 61 ff",
        "a1 67 72656e616d6564 7b ffffffffffffffff",
        "bb ffffffffffffffff",
        "a1 64 4c697374 9b ffffffffffffffff",
        "a1 61 78 ff",
        "a1 61 78 1c",
        deep.as_str(),
    ];
    for hex in cases {
        let answer = Ask::cbor("Echo", bytes(hex)).refused();
        assert_eq!(answer.status, 400, "{hex}");
        assert!(text(&answer).contains("SerializationException"), "{hex}");
    }
}

#[test]
fn errors_have_an_absolute_type() {
    let call = Ask::cbor("Echo", "").send().unwrap();
    let answer = render_error(&call, &ApiError::sender("GoneException", "m").with_member("Detail", "d"));
    assert_eq!(
        answer.body,
        bytes(
            "a3 66 44657461696c 61 64 66 5f5f74797065 78 26 636f6d2e616d617a6f6e2e636f72616c2e736572766963652347 \
             6f6e65457863657074696f6e 67 6d657373616765 61 6d"
        )
    );
    let nothing = Ask::cbor("Nothing", "").send().unwrap();
    let answer = render_output(&nothing, &Value::map());
    assert_eq!((answer.body.len(), header(&answer, "content-type")), (0, ""));
}
