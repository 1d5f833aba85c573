//! Rules as the kernel's little register programs.

use super::abi::{data, expression as x, verdict};
use super::table::{LinkPattern, MapKey, Match, Rule, Verdict};
use super::{abi, table};
use crate::cidr::Ipv4Cidr;
use crate::netlink::Body;

const NFPROTO_IPV4: u8 = 2;

/// Offsets in the IPv4 and the transport header.
const SOURCE_OFFSET: u32 = 12;
const DESTINATION_OFFSET: u32 = 16;
const PORT_OFFSET: u32 = 2;

/// Writes a rule's expressions into its EXPRESSIONS attribute.
pub(super) fn rule(list: &mut Body<'_>, rule: &Rule) {
    // In an `inet` table an IPv6 packet has other bytes where IPv4 has its addresses.
    if rule.matches.iter().any(reads_ipv4) || reads_ipv4_verdict(&rule.verdict) {
        meta(list, x::META_NFPROTO, x::REGISTER_1);
        compare(list, x::COMPARE_EQUAL, &[NFPROTO_IPV4]);
    }
    for condition in &rule.matches {
        encode_match(list, condition);
    }
    encode_verdict(list, &rule.verdict);
}

fn reads_ipv4(condition: &Match) -> bool {
    match condition {
        Match::Source(_)
        | Match::Destination(_)
        | Match::SourceIn(_)
        | Match::DestinationIn(_)
        | Match::InputLinkAndSourceIn(_) => true,
        Match::EstablishedOrRelated
        | Match::Invalid
        | Match::InputLink(_)
        | Match::NotInputLink(_)
        | Match::OutputLink(_)
        | Match::NotOutputLink(_)
        | Match::Protocol(_)
        | Match::DestinationPorts(..)
        | Match::IcmpType(_)
        | Match::IcmpCode(_) => false,
    }
}

fn reads_ipv4_verdict(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::GotoByMap(MapKey::Source | MapKey::Destination, _))
}

fn encode_match(list: &mut Body<'_>, condition: &Match) {
    match condition {
        Match::EstablishedOrRelated => ct_state(list, x::CT_ESTABLISHED_RELATED),
        Match::Invalid => ct_state(list, x::CT_INVALID),
        Match::InputLink(pattern) => link(list, x::META_IIFNAME, x::COMPARE_EQUAL, pattern),
        Match::NotInputLink(pattern) => link(list, x::META_IIFNAME, x::COMPARE_NOT_EQUAL, pattern),
        Match::OutputLink(pattern) => link(list, x::META_OIFNAME, x::COMPARE_EQUAL, pattern),
        Match::NotOutputLink(pattern) => link(list, x::META_OIFNAME, x::COMPARE_NOT_EQUAL, pattern),
        Match::Source(range) => in_range(list, SOURCE_OFFSET, *range),
        Match::Destination(range) => in_range(list, DESTINATION_OFFSET, *range),
        Match::SourceIn(set) => {
            address(list, SOURCE_OFFSET, x::REGISTER_1);
            lookup(list, set);
        }
        Match::DestinationIn(set) => {
            address(list, DESTINATION_OFFSET, x::REGISTER_1);
            lookup(list, set);
        }
        Match::InputLinkAndSourceIn(set) => {
            // The pair lies in two neighbouring registers.
            meta(list, x::META_IIFNAME, x::REGISTER_1);
            address(list, SOURCE_OFFSET, x::REGISTER_2);
            lookup(list, set);
        }
        Match::Protocol(number) => {
            meta(list, x::META_L4PROTO, x::REGISTER_1);
            compare(list, x::COMPARE_EQUAL, &[*number]);
        }
        Match::DestinationPorts(from, to) if from == to => {
            payload(list, x::PAYLOAD_TRANSPORT, PORT_OFFSET, 2, x::REGISTER_1);
            compare(list, x::COMPARE_EQUAL, &from.to_be_bytes());
        }
        Match::DestinationPorts(from, to) => {
            payload(list, x::PAYLOAD_TRANSPORT, PORT_OFFSET, 2, x::REGISTER_1);
            expression(list, "range", |body| {
                body.be32(x::RANGE_SOURCE, x::REGISTER_1);
                body.be32(x::RANGE_OPERATION, x::RANGE_INSIDE);
                value(body, x::RANGE_FROM, &from.to_be_bytes());
                value(body, x::RANGE_TO, &to.to_be_bytes());
            });
        }
        Match::IcmpType(number) => {
            payload(list, x::PAYLOAD_TRANSPORT, 0, 1, x::REGISTER_1);
            compare(list, x::COMPARE_EQUAL, &[*number]);
        }
        Match::IcmpCode(number) => {
            payload(list, x::PAYLOAD_TRANSPORT, 1, 1, x::REGISTER_1);
            compare(list, x::COMPARE_EQUAL, &[*number]);
        }
    }
}

fn encode_verdict(list: &mut Body<'_>, verdict: &Verdict) {
    match verdict {
        Verdict::Accept => immediate(list, verdict::ACCEPT, None),
        Verdict::Drop => immediate(list, verdict::DROP, None),
        Verdict::Jump(chain) => immediate(list, verdict::JUMP, Some(chain)),
        Verdict::GotoByMap(key, map) => {
            match key {
                MapKey::InputLink => meta(list, x::META_IIFNAME, x::REGISTER_1),
                MapKey::OutputLink => meta(list, x::META_OIFNAME, x::REGISTER_1),
                MapKey::Source => address(list, SOURCE_OFFSET, x::REGISTER_1),
                MapKey::Destination => address(list, DESTINATION_OFFSET, x::REGISTER_1),
            }
            expression(list, "lookup", |body| {
                body.text(x::LOOKUP_SET, map);
                body.be32(x::LOOKUP_SOURCE, x::REGISTER_1);
                body.be32(x::LOOKUP_DESTINATION, x::REGISTER_VERDICT);
            });
        }
        Verdict::Masquerade => expression(list, "masq", |_| {}),
        Verdict::SendTo(address, port) => {
            load(list, x::REGISTER_1, &address.octets());
            load(list, x::REGISTER_2, &port.to_be_bytes());
            expression(list, "nat", |body| {
                body.be32(x::NAT_TYPE, x::NAT_DESTINATION);
                body.be32(x::NAT_FAMILY, u32::from(NFPROTO_IPV4));
                body.be32(x::NAT_ADDRESS, x::REGISTER_1);
                body.be32(x::NAT_PORT, x::REGISTER_2);
            });
        }
    }
}

/// Puts a value into a register.
fn load(list: &mut Body<'_>, register: u32, bytes: &[u8]) {
    expression(list, "immediate", |body| {
        body.be32(x::IMMEDIATE_DESTINATION, register);
        value(body, x::IMMEDIATE_DATA, bytes);
    });
}

/// A counter, which other programs' listings expect in front of a verdict.
pub(super) fn counter(list: &mut Body<'_>) {
    expression(list, "counter", |_| {});
}

fn expression(list: &mut Body<'_>, name: &str, body: impl FnOnce(&mut Body<'_>)) {
    list.nested(abi::LIST_ELEMENT, |element| {
        element.text(x::NAME, name);
        element.nested(x::DATA, body);
    });
}

fn meta(list: &mut Body<'_>, key: u32, register: u32) {
    expression(list, "meta", |body| {
        body.be32(x::META_DESTINATION, register);
        body.be32(x::META_KEY, key);
    });
}

pub(super) fn link(list: &mut Body<'_>, key: u32, operation: u32, pattern: &LinkPattern) {
    meta(list, key, x::REGISTER_1);
    compare(list, operation, &pattern.bytes());
}

fn compare(list: &mut Body<'_>, operation: u32, bytes: &[u8]) {
    expression(list, "cmp", |body| {
        body.be32(x::COMPARE_SOURCE, x::REGISTER_1);
        body.be32(x::COMPARE_OPERATION, operation);
        value(body, x::COMPARE_DATA, bytes);
    });
}

fn value(body: &mut Body<'_>, kind: u16, bytes: &[u8]) {
    body.nested(kind, |inner| inner.attribute(data::VALUE, bytes));
}

fn payload(list: &mut Body<'_>, base: u32, offset: u32, length: u32, register: u32) {
    expression(list, "payload", |body| {
        body.be32(x::PAYLOAD_DESTINATION, register);
        body.be32(x::PAYLOAD_BASE, base);
        body.be32(x::PAYLOAD_OFFSET, offset);
        body.be32(x::PAYLOAD_LENGTH, length);
    });
}

fn address(list: &mut Body<'_>, offset: u32, register: u32) {
    payload(list, x::PAYLOAD_NETWORK, offset, 4, register);
}

fn in_range(list: &mut Body<'_>, offset: u32, range: Ipv4Cidr) {
    address(list, offset, x::REGISTER_1);
    if range.prefix() < 32 {
        expression(list, "bitwise", |body| {
            body.be32(x::BITWISE_SOURCE, x::REGISTER_1);
            body.be32(x::BITWISE_DESTINATION, x::REGISTER_1);
            body.be32(x::BITWISE_LENGTH, 4);
            value(body, x::BITWISE_MASK, &range.netmask().octets());
            value(body, x::BITWISE_XOR, &[0; 4]);
        });
    }
    compare(list, x::COMPARE_EQUAL, &range.network().octets());
}

fn ct_state(list: &mut Body<'_>, states: u32) {
    expression(list, "ct", |body| {
        body.be32(x::CT_DESTINATION, x::REGISTER_1);
        body.be32(x::CT_KEY, x::CT_STATE);
    });
    expression(list, "bitwise", |body| {
        body.be32(x::BITWISE_SOURCE, x::REGISTER_1);
        body.be32(x::BITWISE_DESTINATION, x::REGISTER_1);
        body.be32(x::BITWISE_LENGTH, 4);
        // The state is a number of this machine, not of the wire.
        value(body, x::BITWISE_MASK, &states.to_ne_bytes());
        value(body, x::BITWISE_XOR, &[0; 4]);
    });
    compare(list, x::COMPARE_NOT_EQUAL, &[0; 4]);
}

fn lookup(list: &mut Body<'_>, set: &str) {
    expression(list, "lookup", |body| {
        body.text(x::LOOKUP_SET, set);
        body.be32(x::LOOKUP_SOURCE, x::REGISTER_1);
    });
}

pub(super) fn immediate(list: &mut Body<'_>, code: i32, chain: Option<&str>) {
    expression(list, "immediate", |body| {
        body.be32(x::IMMEDIATE_DESTINATION, x::REGISTER_VERDICT);
        body.nested(x::IMMEDIATE_DATA, |inner| write_verdict(inner, code, chain));
    });
}

pub(super) fn write_verdict(body: &mut Body<'_>, code: i32, chain: Option<&str>) {
    body.nested(data::VERDICT, |inner| {
        inner.be32(data::VERDICT_CODE, code as u32);
        if let Some(chain) = chain {
            inner.text(data::VERDICT_CHAIN, chain);
        }
    });
}

/// The bytes of a set's key, each part in registers of 4 bytes.
pub(super) fn key_bytes(key: &table::ElementKey) -> Vec<u8> {
    match key {
        table::ElementKey::Address(address) => address.octets().to_vec(),
        table::ElementKey::Link(name) => LinkPattern::named(name).bytes(),
        table::ElementKey::LinkAndAddress(name, address) => {
            let mut bytes = LinkPattern::named(name).bytes();
            bytes.extend(address.octets());
            bytes
        }
    }
}
