//! nf_tables without the `nft` program: a table as a value, the difference between two tables, and its encoding.
//!
//! ```text
//! Table (wanted) ──┐
//!                  ├─ diff ─> Vec<Change> ─ encode ─> one netlink transaction
//! Table (applied) ─┘
//! ```
//! A base chain (one with a hook) is never deleted and made again: between the making and the commit the kernel would
//! apply its policy, which is to drop, to every packet. Everything else may be replaced: the kernel shows packets
//! either all of a transaction or nothing of it.

mod abi;
mod diff;
mod encode;
mod expression;
mod inspect;
mod live;
mod table;

#[cfg(test)]
pub(crate) use diff::{Applied, diff, tests::check_diff};
pub(crate) use encode::{Side, delete_rule, delete_table, insert_accept_rule, transaction};
pub(crate) use inspect::{ForeignChain, chain_names, forward_chains, owned_tables, rules_with_comment};
pub(crate) use live::LiveTable;
pub(crate) use table::{
    Chain, ElementKey, Hook, HookPoint, KeyType, LinkPattern, Map, MapKey, Match, Policy, Rule, Set, Table,
    Verdict,
};

pub(crate) const FAMILY_INET: u8 = abi::family::INET;
pub(crate) const FAMILY_IPV4: u8 = abi::family::IPV4;
