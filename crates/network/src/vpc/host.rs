//! The host's own network, of which we touch little: forwarding, one nftables table, the uplinks, and an accept rule in
//! front of other programs' forward chains.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{NetworkConfig, NetworkError};
use crate::name::Instance;
use crate::namespace::{self, NamespaceError};
use crate::netlink::{NetlinkError, NetlinkSocket};
use crate::nft::{
    self, Chain, ForeignChain, Hook, HookPoint, LinkPattern, LiveTable, Match, Policy, Rule, Side, Table,
    Verdict,
};

pub(super) struct Host {
    pub(super) namespace: OwnedFd,
    pub(super) route: NetlinkSocket,
    netfilter: NetlinkSocket,
    turn: Mutex<()>,
    table: Mutex<LiveTable>,
}

const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

impl Host {
    /// The network of the calling thread.
    pub(super) fn open() -> Result<Self, NetworkError> {
        let namespace = namespace::current()?;
        let (route, netfilter) = super::open_sockets().map_err(on_host)?;
        Ok(Self { namespace, route, netfilter, turn: Mutex::default(), table: Mutex::default() })
    }

    /// Held while something is decided from what the host has and then made.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ensure(&self, config: &NetworkConfig) -> Result<(), NetworkError> {
        self.ensure_forwarding()?;
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.apply(&self.netfilter, host_table(config)).map_err(on_host)?;
        self.ensure_room(&config.instance).map_err(on_host)
    }

    /// Switches forwarding on. It is never switched off again: others may rely on it by then.
    fn ensure_forwarding(&self) -> Result<(), NetworkError> {
        let switch_on = || {
            if fs::read(IP_FORWARD)?.starts_with(b"1") { Ok(()) } else { fs::write(IP_FORWARD, "1") }
        };
        let failed =
            |source: io::Error| NetworkError::Setting { path: IP_FORWARD.to_owned(), value: "1", source };
        self.within(switch_on)?.map_err(failed)
    }

    /// An accept in our own table does not outweigh a drop in another program's, so ours also stands in front of its
    /// rules. What comes in for a VPC unasked is dropped by our own table all the same.
    fn ensure_room(&self, instance: &Instance) -> Result<(), NetlinkError> {
        let comment = instance.host_table();
        for foreign in self.forward_chains(instance)?.iter().filter(|foreign| takes_our_rule(foreign)) {
            if !nft::rules_with_comment(&self.netfilter, foreign, &comment)?.is_empty() {
                continue;
            }
            let links = LinkPattern::StartingWith(instance.link_prefix());
            let messages = nft::transaction(|messages| {
                for side in [Side::Input, Side::Output] {
                    nft::insert_accept_rule(messages, foreign, side, &links, &comment);
                }
            });
            if let Err(error) = self.netfilter.transact(messages) {
                // firewalld may own its table; then only its own commands can let us through, and `doctor` says which.
                tracing::warn!(table = foreign.table, chain = foreign.chain, %error, "the host's firewall may drop traffic from VPCs");
            }
        }
        Ok(())
    }

    /// Takes away everything of ours but the uplinks.
    pub(super) fn clear(&self, instance: &Instance) -> Result<(), NetworkError> {
        let comment = instance.host_table();
        for foreign in self.forward_chains(instance).map_err(on_host)? {
            let handles = nft::rules_with_comment(&self.netfilter, &foreign, &comment).map_err(on_host)?;
            if !handles.is_empty() {
                let messages = nft::transaction(|messages| {
                    for handle in &handles {
                        nft::delete_rule(messages, &foreign, *handle);
                    }
                });
                self.netfilter.transact(messages).map_err(on_host)?;
            }
        }
        let messages = nft::transaction(|messages| nft::delete_table(messages, &comment));
        self.netfilter.transact(messages).map_err(on_host)?;
        *self.table.lock().unwrap_or_else(PoisonError::into_inner) = LiveTable::default();
        Ok(())
    }

    fn forward_chains(&self, instance: &Instance) -> Result<Vec<ForeignChain>, NetlinkError> {
        let ours = instance.host_table();
        nft::forward_chains(&self.netfilter, |table| table == ours)
    }

    fn within<T>(&self, action: impl FnOnce() -> T) -> Result<T, NetworkError> {
        let failed = |source| NamespaceError {
            attempt: "enter the host's namespace from",
            path: "/proc".into(),
            source,
        };
        Ok(namespace::within(&self.namespace, action).map_err(failed)?)
    }
}

/// Chains whose owner expects rules of others in front: iptables' (where Docker and ufw also write) and firewalld's. A
/// firewall that somebody wrote by hand is theirs to open; `doctor` names it.
pub(crate) fn takes_our_rule(foreign: &ForeignChain) -> bool {
    let place = (foreign.family, foreign.table.as_str(), foreign.chain.as_str());
    place == (nft::FAMILY_IPV4, "filter", "FORWARD")
        || place == (nft::FAMILY_INET, "firewalld", "filter_FORWARD")
}

/// Lets VPCs out under the host's address, answers in, and nothing else: not from one VPC to another, not from
/// elsewhere into one.
fn host_table(config: &NetworkConfig) -> Table {
    let uplinks = || LinkPattern::StartingWith(config.instance.link_prefix());
    let forward = [
        Rule::new([Match::InputLink(uplinks()), Match::OutputLink(uplinks())], Verdict::Drop),
        Rule::new([Match::OutputLink(uplinks()), Match::EstablishedOrRelated], Verdict::Accept),
        Rule::new([Match::OutputLink(uplinks())], Verdict::Drop),
    ];
    let masquerade =
        Rule::new([Match::Source(config.uplink_range), Match::NotOutputLink(uplinks())], Verdict::Masquerade);
    let chain = |point, priority, rules: Vec<Rule>| Chain {
        hook: Some(Hook { point, priority, policy: Policy::Accept }),
        rules,
    };
    Table {
        name: config.instance.host_table(),
        chains: [
            ("forward".to_owned(), chain(HookPoint::Forward, 0, forward.into())),
            ("masquerade".to_owned(), chain(HookPoint::SourceNat, 100, vec![masquerade])),
        ]
        .into(),
        ..Table::default()
    }
}

pub(super) fn on_host(source: NetlinkError) -> NetworkError {
    NetworkError::Netlink { place: "host".to_owned(), source }
}
