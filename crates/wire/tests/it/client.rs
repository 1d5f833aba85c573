//! What our own client writes, our server reads, and the other way round.

use gantry_types::Value;
use gantry_wire::{
    ApiError, AuthMode, ServiceModel, Signer, client_answer, client_request, render_error, render_output,
};
use http::Uri;

use crate::model::{Ask, EC2, JSON10, JSON11, QUERY, SECRET_KEY, document, everything, now};

fn ask(service: &'static ServiceModel, operation: &str, input: &Value) -> Ask {
    let signer = Signer {
        access_key: "AKIDEXAMPLE",
        secret_key: SECRET_KEY,
        session_token: None,
        region: "eu-west-1",
        service: service.signing_name,
    };
    let endpoint = Uri::from_static("http://127.0.0.1:4566/");
    let operation = service.operation(operation).unwrap();
    let (head, body) =
        client_request(service, operation, input, &endpoint, &signer, now()).unwrap().into_parts();
    Ask {
        method: head.method,
        uri: head.uri,
        headers: head.headers,
        body,
        now: now(),
        mode: AuthMode::Verify,
    }
}

#[test]
fn calls_are_signed_and_say_what_they_were_given() {
    for service in [&JSON10, &JSON11, &QUERY] {
        let call = ask(service, "Echo", &everything()).send();
        let call =
            call.unwrap_or_else(|response| panic!("{}: {}", service.name, crate::model::text(&response)));
        assert_eq!(call.service.name, service.name);
        assert_eq!(call.operation.name, "Echo");
        assert_eq!(call.region.as_str(), "eu-west-1");
        assert_eq!(call.input, everything(), "{}", service.name);
    }
    let empty = document(r#"{"List":[]}"#);
    assert_eq!(ask(&QUERY, "Echo", &empty).input(), empty);
}

#[test]
fn answers_are_read_as_they_were_given() {
    for service in [&JSON10, &JSON11, &QUERY] {
        let call = ask(service, "Echo", &Value::map()).send().unwrap();
        let response = render_output(&call, &everything());
        let answer = client_answer(service, call.operation, response.status, &response.body).unwrap();
        assert_eq!(answer, Ok(everything()), "{}", service.name);
        let response = render_error(&call, &ApiError::sender("Gone", "It <is> gone.").with_status(404));
        let answer = client_answer(service, call.operation, response.status, &response.body).unwrap();
        let error = answer.unwrap_err();
        assert_eq!(
            (error.code.as_ref(), error.message.as_str(), error.status),
            ("Gone", "It <is> gone.", 404),
            "{}",
            service.name
        );
    }
    let call = ask(&QUERY, "Nothing", &Value::map()).send().unwrap();
    let response = render_output(&call, &Value::map());
    let answer = client_answer(&QUERY, call.operation, response.status, &response.body).unwrap();
    assert_eq!(answer, Ok(Value::map()));
}

#[test]
fn what_is_not_of_the_shape_is_not_sent_and_what_is_not_an_answer_not_believed() {
    let signer =
        Signer { access_key: "a", secret_key: "b", session_token: None, region: "r", service: "service" };
    let endpoint = Uri::from_static("http://127.0.0.1:4566/");
    let echo = |service: &'static ServiceModel| service.operation("Echo").unwrap();
    for input in [r#"{"Unknown":"x"}"#, r#"{"Integer":"x"}"#, r#"{"List":"x"}"#] {
        let request = client_request(&QUERY, echo(&QUERY), &document(input), &endpoint, &signer, now());
        assert!(request.is_err(), "{input}");
    }
    assert!(client_request(&EC2, echo(&EC2), &Value::map(), &endpoint, &signer, now()).is_err());
    for body in ["", "<a", "<a></a><b/>", "\u{0}"] {
        let status = http::StatusCode::OK;
        assert!(client_answer(&QUERY, echo(&QUERY), status, body.as_bytes()).is_err(), "{body:?}");
    }
}
