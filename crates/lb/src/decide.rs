//! What becomes of a request, from its head alone.

use std::sync::Arc;

use gantry_routing::{Action, RequestFacts, RequestHeaders};

use crate::connection::Connection;
use crate::http1::{Body, Class, Field, Malformed, RequestHead, Version};
use crate::limits::LOCATION_BYTES_MAX;
use crate::rewrite::{OwnResponse, Refusal, RequestContext, write_request};
use crate::shard::Side;
use crate::table::{GroupTable, ListenerTable, Table};

/// What to do with a request.
pub(crate) enum Decision {
    Answer {
        response: OwnResponse,
        to_head: bool,
        keep: bool,
        /// The client has said that this is its last request.
        client_closes: bool,
        body: Body,
    },
    Forward(Box<Plan>),
    /// The connection ends without a word.
    Close,
}

/// A request that goes to a target; its head is written already.
pub(crate) struct Plan {
    pub(crate) group: Arc<GroupTable>,
    pub(crate) body: Body,
    pub(crate) version: Version,
    pub(crate) to_head: bool,
    pub(crate) idempotent: bool,
    pub(crate) upgrade: bool,
    /// Neither connection is used again.
    pub(crate) ambiguous: bool,
    pub(crate) keep: bool,
    /// The client has said that this is its last request.
    pub(crate) client_closes: bool,
    pub(crate) expects_continue: bool,
}

struct FieldLookup<'a, 'b>(&'a [Field<'b>]);

impl RequestHeaders for FieldLookup<'_, '_> {
    fn any(&self, name: &str, wanted: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.0.iter().any(|field| field.name.eq_ignore_ascii_case(name.as_bytes()) && wanted(field.value))
    }
}

/// Reads the head at the front of the connection's buffer, takes it out, and decides.
pub(crate) fn decide(connection: &mut Connection, head_length: usize) -> Decision {
    let buffer = std::mem::take(&mut connection.buffer);
    let decision = decide_on(connection, &buffer.filled()[..head_length]);
    connection.buffer = buffer;
    connection.buffer.consume(head_length);
    decision
}

fn decide_on(connection: &mut Connection, bytes: &[u8]) -> Decision {
    let shard = Arc::clone(&connection.shard);
    let table = shard.shared.table.load();
    let head = match RequestHead::parse(bytes) {
        Ok(head) => head,
        Err(malformed) => return refuse(connection, malformed.status()),
    };
    let Some(listener) = table.listener(connection.socket, head.host()).cloned() else {
        // The listener was deleted, or nothing on this shared address has that name.
        return if connection.listener.is_some() { Decision::Close } else { refuse(connection, 404) };
    };
    if !admits(connection, &listener, &table) {
        return Decision::Close;
    }
    connection.set_listener(Some(Arc::clone(&listener)));
    let attributes = &listener.balancer.attributes;
    let counters = listener.balancer.counters.at(shard.index);
    counters.received_bytes.add(bytes.len() as u64);

    let class = head.classification.class();
    if class != Class::Compliant {
        counters.desync_non_compliant.add(1);
    }
    if !attributes.desync.admits(class) {
        return refuse(connection, 400);
    }
    if head.method == b"TRACE" {
        return refuse(connection, 405);
    }
    let ambiguous = attributes.desync.closes(class);
    let client_closes = !head.keeps_alive();
    let keep = !ambiguous
        && !client_closes
        && !shard.shared.stop.has_begun()
        && connection.opened_at.elapsed() < attributes.client_keep_alive;

    let lookup = FieldLookup(&head.fields);
    let facts = RequestFacts {
        method: head.method,
        host: head.host(),
        path: head.path,
        query: head.query,
        source: *connection.peer.ip(),
        headers: &lookup,
    };
    let found = listener.rules.evaluate(&facts);
    counters.rule_evaluations.add(u64::from(found.evaluations));
    let answer = |response: OwnResponse| Decision::Answer {
        response,
        to_head: head.method == b"HEAD",
        keep,
        client_closes,
        body: head.body,
    };
    let (now, random) = (shard.shared.clock.now(), shard.with_random(|random| random.next()));
    match found.action {
        Action::FixedResponse(fixed) => {
            counters.fixed_responses.add(1);
            connection.count_own(fixed.status);
            answer(OwnResponse::fixed(fixed.status, fixed.content_type.as_deref(), &fixed.body))
        }
        Action::Redirect(redirect) => {
            let location = redirect.location("HTTP", head.host(), listener.port, head.path, head.query);
            if location.len() > LOCATION_BYTES_MAX {
                counters.redirects_too_long.add(1);
                return refuse(connection, 500);
            }
            counters.redirects.add(1);
            connection.count_own(redirect.status);
            answer(OwnResponse::redirect(redirect.status, location))
        }
        Action::Unknown => {
            connection.count_own(500);
            answer(OwnResponse::page(500))
        }
        Action::Forward(groups) => {
            let Some(group) = groups.choose(random).and_then(|slot| table.group(slot)) else {
                connection.count_own(503);
                return answer(OwnResponse::page(503));
            };
            let upgrade = head.upgrades() && head.body == Body::None;
            let context = RequestContext {
                attributes,
                listener_port: listener.port,
                dns_name: &listener.balancer.dns_name,
                client: connection.peer,
                close: ambiguous,
                upgrade,
                now,
            };
            let out = &mut connection.request_head;
            out.clear();
            match shard.with_random(|random| write_request(out, &head, &context, random)) {
                Err(Refusal::TooManyForwardedFor) => return refuse(connection, 463),
                Ok(notes) if notes.invalid_headers > 0 && attributes.drop_invalid_headers => {
                    counters.invalid_headers_dropped.add(1);
                }
                Ok(notes) if notes.invalid_headers > 0 => counters.invalid_headers_forwarded.add(1),
                Ok(_) => {}
            }
            Decision::Forward(Box::new(Plan {
                group: Arc::clone(group),
                body: head.body,
                version: head.version,
                to_head: head.method == b"HEAD",
                idempotent: head.is_idempotent(),
                upgrade,
                ambiguous,
                keep,
                client_closes,
                expects_continue: head.expects_continue() && head.body != Body::None,
            }))
        }
    }
}

/// A code that ends the connection: what follows the head may be anything.
fn refuse(connection: &Connection, status: u16) -> Decision {
    connection.count_own(status);
    let response = OwnResponse::page(status);
    Decision::Answer { response, to_head: false, keep: false, client_closes: false, body: Body::None }
}

/// On a shared address a client is judged when it is known whom it wants; elsewhere it was judged at accept.
fn admits(connection: &Connection, listener: &Arc<ListenerTable>, table: &Table) -> bool {
    if connection.side == Side::Inside || table.own_listener(connection.socket).is_some() {
        return true;
    }
    let known = connection.listener.as_ref().is_some_and(|known| known.arn == listener.arn);
    let lets_in = known || listener.balancer.lets_in(*connection.peer.ip(), listener.port);
    if !lets_in {
        listener.balancer.counters.at(connection.shard.index).connections_rejected.add(1);
    }
    lets_in
}

impl Malformed {
    fn status(self) -> u16 {
        match self {
            Self::Bad(_) | Self::NoHost => 400,
            Self::TransferCoding => 501,
            Self::Version => 505,
        }
    }
}
