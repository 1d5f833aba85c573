//! Changes as netlink messages.

use nix::libc;

use super::abi::{self, chain, elements, expression as x, family, message, rule, set, verdict};
use super::diff::{Change, Elements};
use super::expression;
use super::inspect::ForeignChain;
use super::table::{ElementKey, Hook, HookPoint, KeyType, LinkPattern, Policy};
use crate::netlink::{Body, Messages};

const CREATE: libc::c_int = libc::NLM_F_CREATE;

/// Puts messages between the marks that make the kernel apply them as a whole.
pub(crate) fn transaction(fill: impl FnOnce(&mut Messages)) -> Messages {
    let mut messages = Messages::new();
    let mark = |messages: &mut Messages, kind| {
        messages.push("apply an nftables transaction", kind, 0, &[], |body| {
            let [high, low] = abi::SUBSYSTEM.to_be_bytes();
            body.raw(&[family::UNSPECIFIED, 0, high, low]);
        });
    };
    mark(&mut messages, abi::BATCH_BEGIN);
    fill(&mut messages);
    mark(&mut messages, abi::BATCH_END);
    messages
}

/// Writes the changes of one `inet` table.
pub(crate) fn encode(table: &str, changes: &[Change]) -> Messages {
    let mut encoder = Encoder { table, set_id: 0 };
    transaction(|messages| {
        for change in changes {
            encoder.change(messages, change);
        }
    })
}

/// A set of keys, or a map from keys to chains.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Keys,
    Gotos,
}

struct Encoder<'a> {
    table: &'a str,
    /// Each new set wants a number of its own within the transaction.
    set_id: u32,
}

impl Encoder<'_> {
    fn change(&mut self, messages: &mut Messages, change: &Change) {
        let table = self.table;
        match change {
            Change::AddTable => create_table(messages, table),
            Change::AddSet(name, key) => self.new_set(messages, name, *key, Holds::Keys),
            Change::AddMap(name, key) => self.new_set(messages, name, *key, Holds::Gotos),
            Change::AddChain(name, hook) => {
                push(messages, "create an nftables chain", message::NEW_CHAIN, CREATE, |body| {
                    body.text(chain::TABLE, table);
                    body.text(chain::NAME, name);
                    if let Some(hook) = hook {
                        write_hook(body, *hook);
                    }
                });
            }
            Change::AddRule(name, added) => {
                let flags = CREATE | libc::NLM_F_APPEND;
                push(messages, "add an nftables rule", message::NEW_RULE, flags, |body| {
                    body.text(rule::TABLE, table);
                    body.text(rule::CHAIN, name);
                    body.nested(rule::EXPRESSIONS, |list| expression::rule(list, added));
                });
            }
            Change::FlushChain(name) => {
                let names = [(rule::TABLE, table), (rule::CHAIN, name.as_str())];
                push_names(messages, "flush an nftables chain", message::DELETE_RULE, &names);
            }
            Change::FlushAllChains => {
                push_names(
                    messages,
                    "flush an nftables table",
                    message::DELETE_RULE,
                    &[(rule::TABLE, table)],
                );
            }
            Change::DeleteChain(name) => {
                let names = [(chain::TABLE, table), (chain::NAME, name.as_str())];
                push_names(messages, "delete an nftables chain", message::DELETE_CHAIN, &names);
            }
            Change::FlushSet(name) => {
                let names = [(elements::TABLE, table), (elements::SET, name.as_str())];
                push_names(messages, "flush an nftables set", message::DELETE_ELEMENTS, &names);
            }
            Change::DeleteSet(name) => {
                let names = [(set::TABLE, table), (set::NAME, name.as_str())];
                push_names(messages, "delete an nftables set", message::DELETE_SET, &names);
            }
            Change::AddElements(name, added) => {
                self.elements(messages, "add to an nftables set", message::NEW_ELEMENTS, CREATE, name, added);
            }
            Change::DeleteElements(name, gone) => {
                self.elements(messages, "take from an nftables set", message::DELETE_ELEMENTS, 0, name, gone);
            }
        }
    }

    fn new_set(&mut self, messages: &mut Messages, name: &str, key: KeyType, holds: Holds) {
        self.set_id += 1;
        let (key_type, key_length) = match key {
            KeyType::Address => (set::TYPE_IPV4_ADDRESS, 4),
            KeyType::Link => (set::TYPE_LINK_NAME, 16),
            KeyType::LinkAndAddress => (set::TYPE_LINK_NAME << set::TYPE_BITS | set::TYPE_IPV4_ADDRESS, 20),
        };
        let (table, set_id) = (self.table, self.set_id);
        push(messages, "create an nftables set", message::NEW_SET, CREATE, |body| {
            body.text(set::TABLE, table);
            body.text(set::NAME, name);
            body.be32(set::FLAGS, if holds == Holds::Gotos { set::FLAG_MAP } else { 0 });
            body.be32(set::KEY_TYPE, key_type);
            body.be32(set::KEY_LENGTH, key_length);
            if holds == Holds::Gotos {
                body.be32(set::DATA_TYPE, set::DATA_VERDICT);
            }
            body.be32(set::ID, set_id);
            if key == KeyType::Link {
                body.attribute(set::USERDATA, &set::HOST_BYTE_ORDER);
            }
        });
    }

    fn elements(
        &self,
        messages: &mut Messages,
        attempt: &'static str,
        kind: u16,
        flags: libc::c_int,
        name: &str,
        listed: &Elements,
    ) {
        let entries: Vec<(&ElementKey, Option<&str>)> = match listed {
            Elements::Keys(keys) => keys.iter().map(|key| (key, None)).collect(),
            Elements::Gotos(pairs) => pairs.iter().map(|(key, chain)| (key, Some(chain.as_str()))).collect(),
        };
        // An attribute is at most 64 KiB, and an element with a long chain name at most 400 bytes.
        for chunk in entries.chunks(128) {
            push(messages, attempt, kind, flags, |body| {
                body.text(elements::TABLE, self.table);
                body.text(elements::SET, name);
                body.nested(elements::ELEMENTS, |list| {
                    for (key, goto) in chunk {
                        list.nested(abi::LIST_ELEMENT, |element| {
                            element.nested(elements::KEY, |inner| {
                                inner.attribute(abi::data::VALUE, &expression::key_bytes(key));
                            });
                            if let Some(chain) = goto {
                                element.nested(elements::DATA, |inner| {
                                    expression::write_verdict(inner, verdict::GOTO, Some(chain));
                                });
                            }
                        });
                    }
                });
            });
        }
    }
}

fn write_hook(body: &mut Body<'_>, hook: Hook) {
    let (number, kind) = match hook.point {
        HookPoint::Prerouting => (0, "filter"),
        HookPoint::Input => (1, "filter"),
        HookPoint::Forward => (2, "filter"),
        HookPoint::Output => (3, "filter"),
        HookPoint::DestinationNat => (0, "nat"),
        HookPoint::OutputNat => (3, "nat"),
        HookPoint::SourceNat => (4, "nat"),
    };
    body.nested(chain::HOOK, |inner| {
        inner.be32(chain::HOOK_NUMBER, number);
        inner.be32(chain::HOOK_PRIORITY, hook.priority as u32);
    });
    let policy = match hook.policy {
        Policy::Accept => verdict::ACCEPT,
        Policy::Drop => verdict::DROP,
    };
    body.be32(chain::POLICY, policy as u32);
    body.text(chain::TYPE, kind);
}

/// Appends a message for an `inet` table.
fn push(
    messages: &mut Messages,
    attempt: &'static str,
    kind: u16,
    flags: libc::c_int,
    body: impl FnOnce(&mut Body<'_>),
) {
    push_in(messages, family::INET, attempt, kind, flags, body);
}

fn push_in(
    messages: &mut Messages,
    family: u8,
    attempt: &'static str,
    kind: u16,
    flags: libc::c_int,
    body: impl FnOnce(&mut Body<'_>),
) {
    messages.push(attempt, kind, flags, &[], |inner| {
        inner.raw(&[family, 0, 0, 0]);
        body(inner);
    });
}

/// Appends a message for an `inet` table that says no more than names.
fn push_names(messages: &mut Messages, attempt: &'static str, kind: u16, names: &[(u16, &str)]) {
    push(messages, attempt, kind, 0, |body| {
        for (attribute, name) in names {
            body.text(*attribute, name);
        }
    });
}

fn create_table(messages: &mut Messages, table: &str) {
    push(messages, "create an nftables table", message::NEW_TABLE, CREATE, |body| {
        body.text(abi::table::NAME, table);
    });
}

/// Deletes one of our tables, with all in it. It is made first, so that a table which is gone already is no failure.
pub(crate) fn delete_table(messages: &mut Messages, table: &str) {
    create_table(messages, table);
    push_names(messages, "delete an nftables table", message::DELETE_TABLE, &[(abi::table::NAME, table)]);
}

/// Where an accept rule of ours stands in a chain of another program.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Side {
    Input,
    Output,
}

/// Puts `iifname "PREFIX*" counter accept` (or `oifname`) at the head of another program's chain, in just the form that
/// iptables itself writes, so that its listings stay readable.
pub(crate) fn insert_accept_rule(
    messages: &mut Messages,
    place: &ForeignChain,
    side: Side,
    links: &LinkPattern,
    comment: &str,
) {
    let key = match side {
        Side::Input => x::META_IIFNAME,
        Side::Output => x::META_OIFNAME,
    };
    let attempt = "insert a rule beside the host's firewall";
    push_in(messages, place.family, attempt, message::NEW_RULE, CREATE, |body| {
        body.text(rule::TABLE, &place.table);
        body.text(rule::CHAIN, &place.chain);
        body.nested(rule::EXPRESSIONS, |list| {
            expression::link(list, key, x::COMPARE_EQUAL, links);
            expression::counter(list);
            expression::immediate(list, verdict::ACCEPT, None);
        });
        body.attribute(rule::USERDATA, &comment_bytes(comment));
    });
}

/// A comment in libnftnl's form: type, length, text with NUL.
pub(super) fn comment_bytes(comment: &str) -> Vec<u8> {
    let mut bytes = vec![rule::USERDATA_COMMENT, comment.len() as u8 + 1];
    bytes.extend_from_slice(comment.as_bytes());
    bytes.push(0);
    bytes
}

pub(crate) fn delete_rule(messages: &mut Messages, place: &ForeignChain, handle: u64) {
    let attempt = "remove our rule beside the host's firewall";
    push_in(messages, place.family, attempt, message::DELETE_RULE, 0, |body| {
        body.text(rule::TABLE, &place.table);
        body.text(rule::CHAIN, &place.chain);
        body.attribute(rule::HANDLE, &handle.to_be_bytes());
    });
}

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
