use proptest::prelude::*;

use super::super::zone::ZoneConfig;
use super::*;

fn zone() -> Zone {
    Zone::new(ZoneConfig {
        domains: vec!["localhost".into()],
        ranges: vec!["172.31.0.0/16".parse().unwrap()],
        names: vec![
            ("web.localhost".into(), (1..=3).map(|last| [172, 31, 0, last].into()).collect()),
            ("many.localhost".into(), (0..200).map(|last| [172, 31, 1, last].into()).collect()),
        ],
    })
    .unwrap()
}

fn question(id: u16, name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn answered(message: &Message, transport: Transport) -> Message {
    match decide(&zone(), &message.to_vec().unwrap(), transport) {
        Decision::Answer(bytes) => Message::from_vec(&bytes).unwrap(),
        other => panic!("expected an answer: {other:?}"),
    }
}

fn code(message: &Message) -> ResponseCode {
    answered(message, Transport::Udp).metadata.response_code
}

#[test]
fn a_known_name_is_answered_with_each_address_first_in_turn() {
    for (id, first) in [(0, 1), (1, 2), (2, 3), (3, 1)] {
        let answer = answered(&question(id, "WEB.localhost.", RecordType::A), Transport::Udp);
        assert_eq!(answer.metadata.id, id);
        assert!(answer.metadata.authoritative && answer.metadata.recursion_available);
        assert_eq!(answer.answers.len(), 3);
        assert_eq!(answer.answers[0].data, RData::A(A([172, 31, 0, first].into())));
        assert_eq!(answer.queries[0].name().to_ascii(), "WEB.localhost.", "clients may compare the case");
    }
}

#[test]
fn what_does_not_exist_is_told_so_and_for_how_long() {
    let missing = answered(&question(7, "no.localhost.", RecordType::A), Transport::Udp);
    assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(missing.authorities.len(), 1);
    let no_data = answered(&question(7, "web.localhost.", RecordType::AAAA), Transport::Udp);
    assert_eq!((no_data.metadata.response_code, no_data.answers.len()), (ResponseCode::NoError, 0));
    assert_eq!(no_data.authorities.len(), 1);
    let pointer = answered(&question(7, "2.0.31.172.in-addr.arpa.", RecordType::PTR), Transport::Udp);
    assert_eq!(pointer.answers[0].data.to_string(), "web.localhost.");
}

#[test]
fn a_long_answer_comes_whole_over_tcp() {
    let request = question(0, "many.localhost.", RecordType::A);
    let short = answered(&request, Transport::Udp);
    assert!(short.metadata.truncation && short.answers.is_empty());
    assert_eq!(answered(&request, Transport::Tcp).answers.len(), 200);

    let mut with_room = request;
    with_room.set_edns(our_edns(65_000));
    let short = answered(&with_room, Transport::Udp);
    assert!(short.metadata.truncation, "never more than what passes every network");
    assert!(short.edns.is_some());
}

#[test]
fn what_is_not_served_is_refused_in_the_right_words() {
    let mut update = question(1, "web.localhost.", RecordType::A);
    update.metadata.op_code = OpCode::Update;
    assert_eq!(code(&update), ResponseCode::NotImp);

    assert_eq!(code(&question(1, "web.localhost.", RecordType::AXFR)), ResponseCode::Refused);

    let mut chaos = question(1, "web.localhost.", RecordType::A);
    chaos.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(code(&chaos), ResponseCode::Refused);

    let mut two = question(1, "web.localhost.", RecordType::A);
    two.add_query(two.queries[0].clone());
    assert_eq!(code(&two), ResponseCode::FormErr);

    let mut future = question(1, "web.localhost.", RecordType::A);
    future.set_edns(our_edns(1232));
    future.edns.as_mut().unwrap().set_version(1);
    let refused = answered(&future, Transport::Udp);
    assert_eq!(u16::from(refused.metadata.response_code), u16::from(ResponseCode::BADVERS));
}

#[test]
fn answers_are_never_answered() {
    let mut response = question(1, "web.localhost.", RecordType::A);
    response.metadata.message_type = MessageType::Response;
    let bytes = response.to_vec().unwrap();
    assert!(matches!(decide(&zone(), &bytes, Transport::Udp), Decision::Ignore));
    assert!(matches!(decide(&zone(), &bytes[..11], Transport::Udp), Decision::Ignore));
}

fn forward(name: &str) -> Forward {
    match decide(&zone(), &question(77, name, RecordType::A).to_vec().unwrap(), Transport::Udp) {
        Decision::Forward(forward) => forward,
        other => panic!("expected a question for others: {other:?}"),
    }
}

#[test]
fn only_the_answer_to_the_question_is_passed_on() {
    let forward = forward("www.example.com.");
    let request = forward.upstream_request(4242);
    let sent = Message::from_vec(&request).unwrap();
    assert_eq!((sent.metadata.id, sent.queries[0].name().to_ascii().as_str()), (4242, "www.example.com."));

    let answer = |id, name| {
        let mut message = question(id, name, RecordType::A);
        message.metadata.message_type = MessageType::Response;
        message.to_vec().unwrap()
    };
    let accepted = forward.accept(&request, answer(4242, "www.EXAMPLE.com.")).expect("the answer");
    assert_eq!(Message::from_vec(&accepted).unwrap().metadata.id, 77, "under the client's id");
    for (what, wrong) in [
        ("another id", answer(4243, "www.example.com.")),
        ("another name", answer(4242, "www.example.org.")),
        ("a question", request.clone()),
        ("nothing", vec![]),
        ("a torn header", answer(4242, "www.example.com.")[..13].to_vec()),
    ] {
        assert!(forward.accept(&request, wrong).is_none(), "{what}");
    }
    let failure = Message::from_vec(&forward.failure()).unwrap();
    assert_eq!((failure.metadata.id, failure.metadata.response_code), (77, ResponseCode::ServFail));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Containers may send anything. Whatever comes is refused, ignored, or a question that can be asked.
    #[test]
    fn any_bytes_are_decided_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        survive(&bytes);
    }

    #[test]
    fn a_damaged_request_is_decided_without_panic(
        damage in proptest::collection::vec((0usize..60, any::<u8>()), 1..6),
        cut in 0usize..60,
    ) {
        let mut message = question(1, "web.localhost.", RecordType::A);
        message.set_edns(our_edns(1232));
        let mut bytes = message.to_vec().unwrap();
        for (place, byte) in damage {
            let place = place % bytes.len();
            bytes[place] = byte;
        }
        bytes.truncate(bytes.len().saturating_sub(cut));
        survive(&bytes);
    }

    #[test]
    fn any_answer_from_upstream_is_taken_or_left(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let forward = forward("www.example.com.");
        forward.accept(&forward.upstream_request(1), bytes);
    }
}

fn survive(bytes: &[u8]) {
    for transport in [Transport::Udp, Transport::Tcp] {
        match decide(&zone(), bytes, transport) {
            Decision::Answer(answer) => {
                assert_eq!(answer[..2], bytes[..2], "the client's id");
                Message::from_vec(&answer).expect("an answer that can be read");
            }
            Decision::Forward(forward) => {
                Message::from_vec(&forward.upstream_request(9)).expect("a question that can be read");
                forward.failure();
            }
            Decision::Ignore => {}
        }
    }
}
