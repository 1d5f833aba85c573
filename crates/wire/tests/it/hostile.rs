use gantry_types::{Timestamp, Value};
use gantry_wire::{AuthMode, render_output};
use proptest::prelude::*;

use crate::model::Ask;

/// Text that looks enough like a form, JSON or XML to get somewhere.
fn lookalike() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "List",
        "Tree",
        "Branches",
        "Leaf",
        "Time",
        "Blob",
        "Integer",
        "renamed",
        "null",
        "1e9",
        "-1",
        "99999999999999999999",
        "true",
        "=",
        "&",
        ".",
        "member",
        "item",
        "entry",
        "key",
        "value",
        "%",
        "%41",
        "%ff",
        "+",
        "1",
        "0",
        "4294967296",
        "<",
        ">",
        "/",
        "<a>",
        "</a>",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "&amp;",
        "&#",
        ";",
        "\u{0}",
        "\\u0000",
        "\\ud800",
        "ü",
        "Action=Echo",
        "Version=2020-01-01",
    ]);
    prop_oneof![
        prop::collection::vec(words, 0..40).prop_map(|words| words.concat().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..200),
    ]
}

/// A document that `Everything` may hold.
fn tree() -> impl Strategy<Value = Value> {
    let leaf = "\\PC{0,8}".prop_map(|text| Value::structure([("Leaf", Value::from(text))]));
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop::collection::vec(inner, 0..3)
            .prop_map(|items| Value::structure([("Branches", Value::List(items))]))
    })
}

fn everything() -> impl Strategy<Value = Value> {
    let text = || prop::option::of("\\PC{0,12}");
    let times = prop::option::of(-2_000_000_000_000i64..4_000_000_000_000);
    let numbers = (any::<Option<i32>>(), any::<Option<i64>>(), prop::option::of(-1e15f64..1e15));
    let lists = (
        prop::option::of(prop::collection::vec("\\PC{0,5}", 1..4)),
        prop::option::of(prop::collection::vec("\\PC{0,5}", 1..4)),
    );
    let maps = prop::option::of(prop::collection::btree_map("[a-z]{2,5}", "\\PC{0,5}", 1..4));
    let bytes = prop::option::of(prop::collection::vec(any::<u8>(), 0..20));
    (text(), times, numbers, lists, maps, bytes, tree(), any::<Option<bool>>()).prop_map(
        |(name, time, (integer, long, double), (list, flat), map, bytes, tree, boolean)| {
            let map = map.map(|map| {
                map.into_iter()
                    .map(|(key, value)| (key, Value::from(value)))
                    .collect::<std::collections::BTreeMap<_, _>>()
            });
            Value::structure([
                ("Name", name.into()),
                ("Time", time.map(Timestamp::from_millis).into()),
                ("Integer", integer.into()),
                ("Long", long.into()),
                ("Double", double.into()),
                ("List", list.into()),
                ("Flat", flat.into()),
                ("Map", map.into()),
                ("Blob", bytes.map_or(Value::Null, Value::Blob)),
                ("Tree", tree),
                ("Boolean", boolean.into()),
            ])
        },
    )
}

fn scope(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AK/20150830/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_body_makes_a_decoder_panic(body in lookalike()) {
        let xml = scope("restxml");
        let mut form = b"Action=Echo&Version=2020-01-01&".to_vec();
        form.extend(&body);
        let asks = [
            Ask::new("POST", "/", &[("x-amz-target", "json.Echo")], body.clone()),
            Ask::cbor("Echo", body.clone()),
            Ask::new("POST", "/echo", &[("authorization", &xml), ("x-amz-date", "20150830T123600Z")], body.clone()),
            Ask::new("POST", "/", &[("content-type", "application/x-www-form-urlencoded")], form.clone()),
            Ask { body: form, ..Ask::form("ec2", "") },
        ];
        for ask in asks {
            match ask.send() {
                Ok(call) => prop_assert_eq!(render_output(&call, &call.input).status, 200),
                Err(response) => prop_assert!(response.status.is_client_error(), "{}", response.status),
            }
        }
    }

    #[test]
    fn no_header_or_address_makes_the_check_panic(
        authorization in "(AWS4-HMAC-SHA256 )?[ -~]{0,80}",
        date in "[ -~]{0,20}",
        query in "[a-zA-Z0-9%&=+/.-]{0,60}",
        signed in "[a-z;-]{0,20}",
    ) {
        let scoped = format!("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{date}/service, SignedHeaders={signed}, Signature=00");
        let presigned = format!("/?Action=Echo&X-Amz-Algorithm=AWS4-HMAC-SHA256&{query}");
        for (authorization, uri) in [(authorization.as_str(), "/"), (scoped.as_str(), "/"), ("", presigned.as_str())] {
            let mut headers = vec![("x-amz-target", "json.Echo"), ("x-amz-date", date.as_str())];
            if !authorization.is_empty() {
                headers.push(("authorization", authorization));
            }
            let ask = Ask { mode: AuthMode::Verify, ..Ask::new("POST", uri, &headers, "{}") };
            prop_assert!(ask.send().is_err());
        }
    }

    #[test]
    fn what_is_written_is_read_back(value in everything()) {
        let json = Ask::json("json", "Echo", "").send().unwrap();
        let body = render_output(&json, &value).body;
        prop_assert_eq!(&Ask::new("POST", "/", &[("x-amz-target", "json.Echo")], body).input(), &value);
        let cbor = Ask::cbor("Echo", "").send().unwrap();
        let body = render_output(&cbor, &value).body;
        prop_assert_eq!(&Ask::cbor("Echo", body).input(), &value);
        let xml = scope("restxml");
        let headers = [("authorization", xml.as_str()), ("x-amz-date", "20150830T123600Z")];
        let echo = Ask::new("POST", "/echo", &headers, "").send().unwrap();
        let body = render_output(&echo, &value).body;
        prop_assert_eq!(&Ask::new("POST", "/echo", &headers, body).input(), &value);
    }
}
