//! What nf_tables holds now, ours and other programs'.

use nix::errno::Errno;
use nix::libc;

use super::abi::{chain, family, message, rule, set, table, verdict};
use super::encode::comment_bytes;
use crate::netlink::{Attributes, Messages, NetlinkError, NetlinkSocket, text};

/// What a table holds, by name.
pub(crate) struct Names {
    pub(crate) chains: Vec<String>,
    /// Sets and maps.
    pub(crate) sets: Vec<String>,
}

/// The names in one of our `inet` tables, or None when there is no such table.
pub(crate) fn ours_in(socket: &NetlinkSocket, wanted: &str) -> Result<Option<Names>, NetlinkError> {
    if !table_names(socket)?.iter().any(|(family, name)| *family == family::INET && name == wanted) {
        return Ok(None);
    }
    let in_table =
        |answers: Vec<(u8, Vec<u8>)>, table_kind, name_kind, skip_anonymous: bool| -> Vec<String> {
            answers
                .iter()
                .filter(|(family, _)| *family == family::INET)
                .map(|(_, body)| Attributes::new(body))
                .filter(|attributes| attributes.get(table_kind).map(text).as_deref() == Some(wanted))
                .filter(|attributes| !(skip_anonymous && is_anonymous(*attributes)))
                .filter_map(|attributes| attributes.get(name_kind).map(text))
                .collect()
        };
    let chains = dump(socket, "list nftables chains", message::GET_CHAIN, |_| {})?;
    let sets = dump(socket, "list nftables sets", message::GET_SET, |_| {})?;
    Ok(Some(Names {
        chains: in_table(chains, chain::TABLE, chain::NAME, false),
        sets: in_table(sets, set::TABLE, set::NAME, true),
    }))
}

fn is_anonymous(set: Attributes<'_>) -> bool {
    set.get(set::FLAGS).and_then(be32).is_some_and(|flags| flags & set::FLAG_ANONYMOUS != 0)
}

/// Family and name of every table.
pub(crate) fn table_names(socket: &NetlinkSocket) -> Result<Vec<(u8, String)>, NetlinkError> {
    let answers = dump(socket, "list nftables tables", message::GET_TABLE, |_| {})?;
    let name = |body: &[u8]| Attributes::new(body).get(table::NAME).map(text);
    Ok(answers.iter().filter_map(|(family, body)| Some((*family, name(body)?))).collect())
}

/// A chain that another program made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForeignChain {
    pub(crate) family: u8,
    pub(crate) table: String,
    pub(crate) chain: String,
    /// False also for a chain without a hook.
    pub(crate) drops_by_default: bool,
}

/// Every chain of every program.
pub(crate) fn chain_names(socket: &NetlinkSocket) -> Result<Vec<ForeignChain>, NetlinkError> {
    Ok(chains(socket)?.into_iter().map(|(chain, _)| chain).collect())
}

/// Base chains that forwarded IPv4 packets pass, except in tables of ours.
pub(crate) fn forward_chains(
    socket: &NetlinkSocket,
    is_ours: impl Fn(&str) -> bool,
) -> Result<Vec<ForeignChain>, NetlinkError> {
    const FORWARD: u32 = 2;
    let is_wanted = |chain: &ForeignChain, hook| {
        matches!(chain.family, family::INET | family::IPV4) && hook == Some(FORWARD) && !is_ours(&chain.table)
    };
    Ok(chains(socket)?
        .into_iter()
        .filter(|(chain, hook)| is_wanted(chain, *hook))
        .map(|(chain, _)| chain)
        .collect())
}

/// Chains, and the hook's number of each that has one.
fn chains(socket: &NetlinkSocket) -> Result<Vec<(ForeignChain, Option<u32>)>, NetlinkError> {
    let answers = dump(socket, "list nftables chains", message::GET_CHAIN, |_| {})?;
    let parse = |(family, body): &(u8, Vec<u8>)| {
        let attributes = Attributes::new(body);
        let hook = attributes.get(chain::HOOK).and_then(|hook| Attributes::new(hook).get(chain::HOOK_NUMBER));
        let foreign = ForeignChain {
            family: *family,
            table: text(attributes.get(chain::TABLE)?),
            chain: text(attributes.get(chain::NAME)?),
            drops_by_default: attributes.get(chain::POLICY).and_then(be32) == Some(verdict::DROP as u32),
        };
        Some((foreign, hook.and_then(be32)))
    };
    Ok(answers.iter().filter_map(parse).collect())
}

/// Family and name of the tables that take no rules of others.
pub(crate) fn owned_tables(socket: &NetlinkSocket) -> Result<Vec<(u8, String)>, NetlinkError> {
    let answers = dump(socket, "list nftables tables", message::GET_TABLE, |_| {})?;
    let owned = |(family, body): &(u8, Vec<u8>)| {
        let attributes = Attributes::new(body);
        let flags = attributes.get(table::FLAGS).and_then(be32)?;
        (flags & table::FLAG_OWNER != 0).then_some((*family, text(attributes.get(table::NAME)?)))
    };
    Ok(answers.iter().filter_map(owned).collect())
}

/// Handles of the rules of a chain that carry this comment.
pub(crate) fn rules_with_comment(
    socket: &NetlinkSocket,
    foreign: &ForeignChain,
    comment: &str,
) -> Result<Vec<u64>, NetlinkError> {
    let wanted = comment_bytes(comment);
    let answers = dump(socket, "list nftables rules", message::GET_RULE, |body| {
        body.text(rule::TABLE, &foreign.table);
        body.text(rule::CHAIN, &foreign.chain);
    })?;
    let handle = |(family, body): &(u8, Vec<u8>)| {
        let attributes = Attributes::new(body);
        let is_in = |kind, name: &str| attributes.get(kind).map(text).as_deref() == Some(name);
        let matches = *family == foreign.family
            && is_in(rule::TABLE, &foreign.table)
            && is_in(rule::CHAIN, &foreign.chain)
            && attributes.get(rule::USERDATA) == Some(&wanted);
        let handle = attributes.get(rule::HANDLE)?.try_into().ok().map(u64::from_be_bytes)?;
        matches.then_some(handle)
    };
    Ok(answers.iter().filter_map(handle).collect())
}

/// Family and attributes of each answer.
fn dump(
    socket: &NetlinkSocket,
    attempt: &'static str,
    kind: u16,
    filter: impl FnOnce(&mut crate::netlink::Body<'_>),
) -> Result<Vec<(u8, Vec<u8>)>, NetlinkError> {
    let mut messages = Messages::new();
    messages.push(attempt, kind, libc::NLM_F_DUMP, &[], |body| {
        body.raw(&[family::UNSPECIFIED, 0, 0, 0]);
        filter(body);
    });
    match socket.query(messages) {
        Ok(answers) => Ok(answers
            .into_iter()
            .filter(|answer| answer.body.len() >= 4)
            .map(|answer| (answer.body[0], answer.body[4..].to_vec()))
            .collect()),
        // A chain that went away between two listings has no rules.
        Err(error) if error.is(Errno::ENOENT) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn be32(payload: &[u8]) -> Option<u32> {
    payload.try_into().ok().map(u32::from_be_bytes)
}
