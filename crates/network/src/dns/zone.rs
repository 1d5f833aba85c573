//! The names that a VPC knows.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::str::FromStr;

use hickory_proto::rr::{LowerName, Name, RecordType};

use crate::cidr::Ipv4Cidr;

/// Everything that a VPC's DNS answers itself.
#[derive(Debug, Clone, Default)]
pub struct ZoneConfig {
    /// Domains that are ours alone: a name below one that is not listed does not exist, and is asked of nobody.
    pub domains: Vec<String>,
    /// The VPC's ranges, whose addresses have the names listed here or none.
    pub ranges: Vec<Ipv4Cidr>,
    /// Names, of these domains or any other, and their addresses. The first name of an address is what a reverse
    /// look-up gives.
    pub names: Vec<(String, Vec<Ipv4Addr>)>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a domain name: {reason}")]
pub struct ZoneError {
    name: String,
    reason: String,
}

/// The names in the form for look-ups. Replaced as a whole when a name changes.
#[derive(Debug, Clone, Default)]
pub struct Zone {
    domains: HashSet<LowerName>,
    ranges: Vec<Ipv4Cidr>,
    names: HashMap<LowerName, Vec<Ipv4Addr>>,
    pointers: HashMap<Ipv4Addr, Name>,
    /// Names that have no addresses but names below them: they exist.
    inner: HashSet<LowerName>,
}

/// What the zone says to a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Addresses(&'a [Ipv4Addr]),
    Pointer(&'a Name),
    /// The name exists without a record of this type.
    NoData,
    NoSuchName,
    /// Not ours: somebody else knows.
    Elsewhere,
}

impl Zone {
    pub fn new(config: ZoneConfig) -> Result<Self, ZoneError> {
        let mut zone = Self { ranges: config.ranges, ..Self::default() };
        for domain in config.domains {
            zone.domains.insert(LowerName::new(&parse(&domain)?));
        }
        for (text, addresses) in config.names {
            let name = parse(&text)?;
            for address in &addresses {
                zone.pointers.entry(*address).or_insert_with(|| name.clone());
            }
            for ancestor in ancestors(&name) {
                zone.inner.insert(LowerName::new(&ancestor));
            }
            zone.names.entry(LowerName::new(&name)).or_default().extend(addresses);
        }
        zone.add_localhost();
        Ok(zone)
    }

    /// `localhost` is this machine and nobody else's business (RFC 6761).
    fn add_localhost(&mut self) {
        let localhost = parse("localhost").expect("a valid name");
        self.names.entry(LowerName::new(&localhost)).or_insert_with(|| vec![Ipv4Addr::LOCALHOST]);
    }

    pub(super) fn find(&self, name: &Name, kind: RecordType) -> Found<'_> {
        let lower = LowerName::new(name);
        if let Some(addresses) = self.names.get(&lower) {
            let wanted = matches!(kind, RecordType::A | RecordType::ANY) && !addresses.is_empty();
            return if wanted { Found::Addresses(addresses) } else { Found::NoData };
        }
        if let Some(address) = reverse(name).filter(|address| self.owns(*address)) {
            return match self.pointers.get(&address) {
                Some(name) if matches!(kind, RecordType::PTR | RecordType::ANY) => Found::Pointer(name),
                Some(_) => Found::NoData,
                None => Found::NoSuchName,
            };
        }
        let ours =
            std::iter::successors(Some(lower.clone()), |name| (!name.is_root()).then(|| name.base_name()))
                .any(|name| self.domains.contains(&name));
        match (ours, self.inner.contains(&lower) || self.domains.contains(&lower)) {
            (true, true) => Found::NoData,
            (true, false) => Found::NoSuchName,
            (false, _) => Found::Elsewhere,
        }
    }

    /// Whether nobody else could know the name of an address.
    fn owns(&self, address: Ipv4Addr) -> bool {
        self.pointers.contains_key(&address) || self.ranges.iter().any(|range| range.contains(address))
    }
}

fn parse(text: &str) -> Result<Name, ZoneError> {
    let refused = |reason: String| ZoneError { name: text.chars().take(300).collect(), reason };
    let mut name = Name::from_ascii(text).map_err(|error| refused(error.to_string()))?;
    name.set_fqdn(true);
    if name.is_root() {
        return Err(refused("it is the root of all names".to_owned()));
    }
    Ok(name)
}

fn ancestors(name: &Name) -> impl Iterator<Item = Name> {
    std::iter::successors(Some(name.base_name()), |name| (!name.is_root()).then(|| name.base_name()))
        .filter(|name| !name.is_root())
}

/// The address in `4.3.2.1.in-addr.arpa`.
fn reverse(name: &Name) -> Option<Ipv4Addr> {
    let mut labels = name.iter().rev().map(|label| std::str::from_utf8(label).ok());
    let mut label = || labels.next().flatten();
    if !label()?.eq_ignore_ascii_case("arpa") || !label()?.eq_ignore_ascii_case("in-addr") {
        return None;
    }
    let digits = [label()?, label()?, label()?, label()?].join(".");
    if label().is_some() { None } else { Ipv4Addr::from_str(&digits).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> Zone {
        Zone::new(ZoneConfig {
            domains: vec!["localhost".into(), "ec2.internal".into()],
            ranges: vec!["172.31.0.0/16".parse().unwrap()],
            names: vec![
                ("web.elb.localhost".into(), vec![[172, 31, 0, 200].into(), [172, 31, 16, 200].into()]),
                ("ip-172-31-0-5.ec2.internal".into(), vec![[172, 31, 0, 5].into()]),
                ("Api.Example.com".into(), vec![[172, 31, 0, 200].into()]),
            ],
        })
        .unwrap()
    }

    #[test]
    fn names_are_found_or_not() {
        use RecordType::{A, AAAA, MX, PTR};
        let cases: &[(&str, RecordType, &str)] = &[
            ("web.elb.localhost.", A, "Addresses([172.31.0.200, 172.31.16.200])"),
            ("WEB.elb.LOCALHOST.", A, "Addresses([172.31.0.200, 172.31.16.200])"),
            ("web.elb.localhost.", AAAA, "NoData"),
            ("web.elb.localhost.", MX, "NoData"),
            ("elb.localhost.", A, "NoData"),
            ("other.elb.localhost.", A, "NoSuchName"),
            ("x.web.elb.localhost.", A, "NoSuchName"),
            ("localhost.", A, "Addresses([127.0.0.1])"),
            ("localhost.", AAAA, "NoData"),
            ("ec2.internal.", A, "NoData"),
            ("api.example.com.", A, "Addresses([172.31.0.200])"),
            ("example.com.", A, "Elsewhere"),
            ("www.example.com.", A, "Elsewhere"),
            ("notlocalhost.", A, "Elsewhere"),
            (".", A, "Elsewhere"),
            ("200.0.31.172.in-addr.arpa.", PTR, "Pointer(Name(\"web.elb.localhost.\"))"),
            ("200.0.31.172.IN-ADDR.ARPA.", A, "NoData"),
            ("9.9.31.172.in-addr.arpa.", PTR, "NoSuchName"),
            ("8.8.8.8.in-addr.arpa.", PTR, "Elsewhere"),
            ("1.0.31.172.x.in-addr.arpa.", PTR, "Elsewhere"),
            ("31.172.in-addr.arpa.", PTR, "Elsewhere"),
        ];
        let zone = zone();
        for (name, kind, expected) in cases {
            let found = zone.find(&Name::from_ascii(name).unwrap(), *kind);
            assert_eq!(format!("{found:?}"), *expected, "{name} {kind}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in ["", ".", "a..b", &"x".repeat(64), &"x.".repeat(200)] {
            let config = ZoneConfig { names: vec![(name.to_owned(), vec![])], ..ZoneConfig::default() };
            assert!(Zone::new(config).is_err(), "{name:?}");
        }
    }
}
