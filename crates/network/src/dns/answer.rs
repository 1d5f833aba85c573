//! What to do with one request.

use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, PTR, SOA};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::zone::{Found, Zone};
use crate::limits;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

#[derive(Debug)]
pub(super) enum Decision {
    /// Send this.
    Answer(Vec<u8>),
    /// Ask somebody who knows.
    Forward(Forward),
    /// Not a request: say nothing, so that two servers never talk to each other for ever.
    Ignore,
}

/// A question for the host's resolvers, and what is needed to answer it.
#[derive(Debug)]
pub(super) struct Forward {
    request: Metadata,
    question: Query,
    edns: Option<Edns>,
}

/// The header's length; less is no message.
const HEADER_BYTES: usize = 12;

pub(super) fn decide(zone: &Zone, request: &[u8], transport: Transport) -> Decision {
    if request.len() < HEADER_BYTES || request[2] & 0x80 != 0 {
        return Decision::Ignore;
    }
    let id = u16::from_be_bytes([request[0], request[1]]);
    let op_code = OpCode::from_u8(request[2] >> 3 & 0x0f);
    let refuse = |code| encode(&Message::error_msg(id, op_code, code), None);
    if op_code != OpCode::Query {
        return refuse(ResponseCode::NotImp);
    }
    let Ok(message) = Message::from_vec(request) else { return refuse(ResponseCode::FormErr) };
    let [question] = &message.queries[..] else { return refuse(ResponseCode::FormErr) };

    let limit = size_limit(&message, transport);
    let refuse = |code| encode(&response(&message.metadata, question, message.edns.as_ref(), code), limit);
    if message.version() != 0 {
        return refuse(ResponseCode::BADVERS);
    }
    let is_transfer = matches!(question.query_type(), RecordType::AXFR | RecordType::IXFR);
    if question.query_class() != DNSClass::IN || is_transfer {
        return refuse(ResponseCode::Refused);
    }
    let found = zone.find(question.name(), question.query_type());
    if found == Found::Elsewhere {
        let (request, question, edns) = (message.metadata, question.clone(), message.edns);
        return Decision::Forward(Forward { request, question, edns });
    }
    let mut answer = response(&message.metadata, question, message.edns.as_ref(), ResponseCode::NoError);
    answer.metadata.authoritative = true;
    let record = |data| Record::from_rdata(question.name().clone(), limits::DNS_TTL_SECONDS, data);
    match found {
        Found::Addresses(addresses) => {
            // Clients take the first, so each request has another first.
            let (after, before) = addresses.split_at(usize::from(id) % addresses.len().max(1));
            answer.answers =
                before.iter().chain(after).map(|address| record(RData::A(A(*address)))).collect();
        }
        Found::Pointer(name) => answer.answers = vec![record(RData::PTR(PTR(name.clone())))],
        Found::NoData | Found::Elsewhere => answer.authorities = vec![authority(question.name())],
        Found::NoSuchName => {
            answer.metadata.response_code = ResponseCode::NXDomain;
            answer.authorities = vec![authority(question.name())];
        }
    }
    encode(&answer, limit)
}

/// How long a resolver may remember that there is nothing.
fn authority(name: &Name) -> Record {
    let zone = name.trim_to(1);
    let (server, mailbox) = (Name::root(), Name::root());
    let ttl = limits::DNS_TTL_SECONDS;
    let seconds = ttl as i32;
    Record::from_rdata(zone, ttl, RData::SOA(SOA::new(server, mailbox, 1, seconds, seconds, seconds, ttl)))
}

fn response(request: &Metadata, question: &Query, edns: Option<&Edns>, code: ResponseCode) -> Message {
    let mut message = Message::new(request.id, MessageType::Response, OpCode::Query);
    message.metadata = Metadata::response_from_request(request);
    message.metadata.recursion_available = true;
    message.metadata.response_code = code;
    message.add_query(question.clone());
    if edns.is_some() {
        message.set_edns(our_edns(limits::DNS_UDP_PAYLOAD_BYTES));
    }
    message
}

fn our_edns(payload: u16) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(payload);
    edns
}

/// The largest answer that the client takes; None over TCP.
fn size_limit(request: &Message, transport: Transport) -> Option<usize> {
    match transport {
        Transport::Udp => Some(usize::from(request.max_payload().min(limits::DNS_UDP_PAYLOAD_BYTES))),
        Transport::Tcp => None,
    }
}

/// An answer that is too long says so, and the client asks again over TCP.
fn encode(message: &Message, limit: Option<usize>) -> Decision {
    let bytes = match message.to_vec() {
        Ok(bytes) if bytes.len() > limit.unwrap_or(usize::from(u16::MAX)) => {
            let mut short = message.clone();
            short.answers.clear();
            short.authorities.clear();
            short.metadata.truncation = true;
            short.to_vec()
        }
        encoded => encoded,
    };
    bytes.map_or(Decision::Ignore, Decision::Answer)
}

impl Forward {
    /// A new message with the client's question and nothing else of the client's.
    pub(super) fn upstream_request(&self, id: u16) -> Vec<u8> {
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.metadata.checking_disabled = self.request.checking_disabled;
        message.add_query(self.question.clone());
        if let Some(edns) = &self.edns {
            let payload = edns.max_payload().clamp(512, limits::DNS_UDP_PAYLOAD_BYTES);
            let mut ours = our_edns(payload);
            ours.set_dnssec_ok(edns.flags().dnssec_ok);
            message.set_edns(ours);
        }
        message.to_vec().expect("a question that was decoded can be encoded")
    }

    /// Takes an upstream's answer to `request` as the client's, if it is that: same id, same question.
    pub(super) fn accept(&self, request: &[u8], mut answer: Vec<u8>) -> Option<Vec<u8>> {
        let end = question_end(request)?;
        let is_response = answer.len() >= end && answer[2] & 0x80 != 0;
        let same_id = is_response && answer[..2] == request[..2];
        let one_question = same_id && answer[4..6] == [0, 1];
        if !one_question || !answer[HEADER_BYTES..end].eq_ignore_ascii_case(&request[HEADER_BYTES..end]) {
            return None;
        }
        answer[..2].copy_from_slice(&self.request.id.to_be_bytes());
        Some(answer)
    }

    /// The answer when nobody else gave one.
    pub(super) fn failure(&self) -> Vec<u8> {
        let message = response(&self.request, &self.question, self.edns.as_ref(), ResponseCode::ServFail);
        message.to_vec().expect("a question that was decoded can be encoded")
    }
}

/// Where the one question of a message of ours ends: behind its name, which is spelled out, come four bytes.
fn question_end(message: &[u8]) -> Option<usize> {
    let mut end = HEADER_BYTES;
    loop {
        let length = usize::from(*message.get(end)?);
        end += length + 1;
        if length == 0 {
            return Some(end + 4);
        }
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
