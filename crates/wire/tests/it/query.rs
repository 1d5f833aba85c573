use gantry_types::Value;
use gantry_wire::{ApiError, render_error, render_output};

use crate::model::{Ask, document, everything, header, text};

fn query(parameters: &str) -> Ask {
    Ask::form("service", &format!("Action=Echo&Version=2020-01-01&{parameters}"))
}

fn ec2(parameters: &str) -> Ask {
    Ask::form("ec2", &format!("Action=Echo&Version=2020-01-01&{parameters}"))
}

#[test]
fn a_query_becomes_a_document() {
    let call = query(
        "Blob=AAH%2F&Boolean=true&Color=RED&Double=0.5&Piece.1=a&Piece.2=b&FlatMap.1.K=k&FlatMap.1.V=v&Integer=-7\
         &List.member.1=x&List.member.2=%C3%BC%3C%26%3E&Long=9007199254740993&Map.entry.1.key=one&Map.entry.1.value=1\
         &Map.entry.2.key=two&Map.entry.2.value=2&Renamed=n&Time=2015-08-30T12%3A36%3A00.123Z\
         &Tree.Branches.item.1.Leaf=l&Tree.Branches.item.2.Branches=",
    );
    let call = call.send().unwrap();
    assert_eq!(call.input, everything());
    assert_eq!(call.region.as_str(), "eu-west-1");
}

#[test]
fn an_ec2_query_becomes_a_document() {
    let call = ec2(
        "Blob=AAH%2F&Boolean=true&Color=RED&Double=0.5&Flat.1=a&Flat.2=b&FlatMap.1.K=k&FlatMap.1.V=v&Integer=-7\
         &List.1=x&List.2=%C3%BC%3C%26%3E&Long=9007199254740993&Map.1.key=one&Map.1.value=1&Map.2.key=two&Map.2.value=2\
         &Renamed=n&Time=2015-08-30T12%3A36%3A00.123Z&Tree.Branches.1.Leaf=l&Tree.Branches.2.Branches=",
    );
    assert_eq!(call.input(), everything());
}

#[test]
fn lists_are_ordered_by_number_gaps_close_and_huge_indexes_cost_nothing() {
    let list = |items: &str| document(&format!(r#"{{"List":{items}}}"#));
    assert_eq!(query("List.member.10=c&List.member.9=b&List.member.1=a").input(), list(r#"["a","b","c"]"#));
    assert_eq!(query("List.member.999999999=x").input(), list(r#"["x"]"#));
    assert_eq!(query("List=").input(), list("[]"));
}

#[test]
fn a_query_may_come_in_the_address() {
    let ask = Ask::new("GET", "/?Action=Echo&Version=2020-01-01&Renamed=a%20b+c", &[], "");
    assert_eq!(ask.input(), document(r#"{"Name":"a b c"}"#));
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let ask = Ask::new("POST", "/?Action=Echo&Version=2020-01-01", &form, "Renamed=n");
    assert_eq!(ask.input(), document(r#"{"Name":"n"}"#));
}

const XML: &str = "<Blob>AAH/</Blob><Boolean>true</Boolean><Color>RED</Color><Double>0.5</Double>\
    <Piece>a</Piece><Piece>b</Piece><FlatMap><K>k</K><V>v</V></FlatMap><Integer>-7</Integer>\
    <List><member>x</member><member>ü&lt;&amp;&gt;</member></List><Long>9007199254740993</Long>\
    <Map><entry><key>one</key><value>1</value></entry><entry><key>two</key><value>2</value></entry></Map>\
    <renamed>n</renamed><Time>2015-08-30T12:36:00.123Z</Time>\
    <Tree><Branches><item><Leaf>l</Leaf></item><item><Branches/></item></Branches></Tree>";

#[test]
fn a_query_is_answered_in_wrappers() {
    let call = query("").send().unwrap();
    let answer = render_output(&call, &everything());
    assert_eq!(
        text(&answer),
        format!(
            "<EchoResponse xmlns=\"http://example.com/doc/\"><EchoResult>{XML}</EchoResult><ResponseMetadata>\
             <RequestId>request-1</RequestId></ResponseMetadata></EchoResponse>"
        )
    );
    assert_eq!(header(&answer, "content-type"), "text/xml");
    assert_eq!(header(&answer, "x-amzn-requestid"), "request-1");
    let empty = text(&render_output(&call, &Value::map()));
    assert!(empty.contains("<EchoResult/>"), "{empty}");
    let nothing = Ask::form("service", "Action=Nothing&Version=2020-01-01").send().unwrap();
    assert_eq!(
        text(&render_output(&nothing, &Value::map())),
        "<NothingResponse xmlns=\"http://example.com/doc/\"><ResponseMetadata><RequestId>request-1</RequestId>\
         </ResponseMetadata></NothingResponse>"
    );
}

#[test]
fn ec2_answers_without_wrappers_and_with_milliseconds() {
    let call = ec2("").send().unwrap();
    assert_eq!(
        text(&render_output(&call, &everything())),
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<EchoResponse xmlns=\"http://example.com/doc/\">\
             <requestId>request-1</requestId>{XML}</EchoResponse>"
        )
    );
    let whole = document(r#"{"Time":{"$time":1440938160000}}"#);
    assert!(text(&render_output(&call, &whole)).contains("<Time>2015-08-30T12:36:00.000Z</Time>"));
    let call = query("").send().unwrap();
    assert!(text(&render_output(&call, &whole)).contains("<Time>2015-08-30T12:36:00Z</Time>"));
    let nothing = Ask::form("ec2", "Action=Nothing&Version=2020-01-01").send().unwrap();
    assert!(
        text(&render_output(&nothing, &Value::map())).ends_with("<return>true</return></NothingResponse>")
    );
}

#[test]
fn what_xml_cannot_carry_does_not_break_the_answer() {
    let call = query("").send().unwrap();
    let value = Value::structure([("Name", Value::from("a\r\n\t\u{0}\u{1b}\u{fffe}\"'"))]);
    let answer = text(&render_output(&call, &value));
    assert!(answer.contains("<renamed>a&#xD;\n\t\u{fffd}\u{fffd}\u{fffd}&quot;'</renamed>"), "{answer}");
}

#[test]
fn errors_stand_in_each_protocols_form() {
    let gone = ApiError::sender("GoneException", "It <is> gone.").with_status(410).with_member("Detail", "d");
    let answer = render_error(&query("").send().unwrap(), &gone);
    assert_eq!(
        text(&answer),
        "<ErrorResponse xmlns=\"http://example.com/doc/\"><Error><Type>Sender</Type><Code>Old.Gone</Code>\
         <Message>It &lt;is&gt; gone.</Message><Detail>d</Detail></Error><RequestId>request-1</RequestId></ErrorResponse>"
    );
    assert_eq!(answer.status, 410);
    let answer = render_error(&ec2("").send().unwrap(), &ApiError::receiver("InternalError", "Oh."));
    assert_eq!(
        text(&answer),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>InternalError</Code>\
         <Message>Oh.</Message></Error></Errors><RequestID>request-1</RequestID></Response>"
    );
    assert_eq!(answer.status, 500);
}

#[test]
fn what_is_not_of_its_shape_is_refused_in_the_services_way() {
    let cases = [
        (query("Integer=x"), "MalformedInput", "Invalid value 'x' for Integer: an integer was expected"),
        (query("Boolean=1"), "MalformedInput", "Invalid value '1' for Boolean: a boolean was expected"),
        (query("Tree=x"), "MalformedInput", "Invalid value 'x' for Tree: a structure was expected"),
        (query("List.1=x"), "MalformedInput", "Invalid value '' for List: a list was expected"),
        (query("Renamed.x=1"), "MalformedInput", "Invalid value '' for Renamed: a string was expected"),
        (
            query("Tree.Branches.item.1.Leaf.x=1"),
            "MalformedInput",
            "Invalid value '' for Tree.Branches.Leaf: a string was expected",
        ),
        (
            query("Renamed=%ff"),
            "MalformedQueryString",
            "The query string contains a syntax error: Bytes that are not UTF-8",
        ),
        (ec2("Integer=x"), "InvalidParameterValue", "Invalid value 'x' for Integer: an integer was expected"),
        (ec2("Nope.1=x"), "UnknownParameter", "The parameter Nope.1 is not recognized"),
    ];
    for (ask, code, message) in cases {
        let answer = ask.refused();
        let body = text(&answer);
        assert!(body.contains(&format!("<Code>{code}</Code><Message>{message}</Message>")), "{body}");
        assert_eq!(answer.status, 400);
    }
    // A name may be as long as a body: the answer is not.
    assert!(ec2(&format!("{}=x", "n".repeat(100_000))).refused().body.len() < 2_000);
    // Other services pass over what they do not know.
    assert_eq!(query("Nope=x").input(), Value::map());
}
