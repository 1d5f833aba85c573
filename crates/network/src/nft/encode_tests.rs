//! Golden bytes. The messages in `golden.txt` agree with what the `nft` program 1.0.6 sends for the same table (`nft
//! --debug=mnl`), but for the order of attributes and port ranges, for which it uses two comparisons.

use super::*;
use crate::nft::table::{Chain, Map, MapKey, Match, Rule, Set, Table, Verdict};
use crate::nft::{Applied, diff};

#[test]
fn a_table_is_encoded_as_the_golden_bytes() {
    let changes = diff(&Applied::Known(Table::default()), &sample());
    assert_golden(&encode("gantry", &changes), include_str!("golden.txt"));
}

#[test]
fn a_rule_beside_iptables_has_the_form_that_iptables_writes() {
    let place = ForeignChain {
        family: family::IPV4,
        table: "filter".to_owned(),
        chain: "FORWARD".to_owned(),
        drops_by_default: true,
    };
    let links = LinkPattern::StartingWith("gta-".to_owned());
    let messages =
        transaction(|messages| insert_accept_rule(messages, &place, Side::Input, &links, "gantry-a"));
    assert_golden(&messages, include_str!("golden_beside.txt"));
}

#[test]
fn every_message_of_a_large_set_keeps_within_its_limits() {
    let elements: Vec<_> =
        (0..10_000u32).map(|number| (ElementKey::Address(number.into()), "c".repeat(200))).collect();
    let messages = encode("gantry", &[Change::AddElements("m".to_owned(), Elements::Gotos(elements))]);
    let count = messages.entries().len();
    assert_eq!(count, 10_000usize.div_ceil(128) + 2);
    for index in 0..count {
        assert!(messages.bytes(index, index + 1).len() < 60_000, "an attribute holds at most 65,535 bytes");
    }
}

fn sample() -> Table {
    let chain = |hook, rules: Vec<Rule>| Chain { hook, rules };
    let hook = Hook { point: HookPoint::Forward, priority: -10, policy: Policy::Drop };
    let by_link = Rule::new([], Verdict::GotoByMap(MapKey::InputLink, "m".to_owned()));
    let rules = vec![
        Rule::new(
            [
                Match::Source("172.16.0.0/12".parse().expect("a range")),
                Match::Protocol(6),
                Match::DestinationPorts(80, 90),
            ],
            Verdict::Accept,
        ),
        Rule::new([Match::EstablishedOrRelated], Verdict::Accept),
        Rule::new([Match::InputLinkAndSourceIn("s".to_owned())], Verdict::Jump("c2".to_owned())),
        Rule::new([Match::NotOutputLink(LinkPattern::named("uplink"))], Verdict::Masquerade),
    ];
    let key = ElementKey::LinkAndAddress("e1".to_owned(), [10, 0, 0, 1].into());
    let set = Set { key: KeyType::LinkAndAddress, elements: [key].into() };
    let map =
        Map { key: KeyType::Link, elements: [(ElementKey::Link("e1".to_owned()), "c".to_owned())].into() };
    Table {
        name: "gantry".to_owned(),
        chains: [
            ("base".to_owned(), chain(Some(hook), vec![by_link])),
            ("c".to_owned(), chain(None, rules)),
            ("c2".to_owned(), chain(None, vec![])),
        ]
        .into(),
        sets: [("s".to_owned(), set)].into(),
        maps: [("m".to_owned(), map)].into(),
    }
}

/// Compares with lines of hexadecimal bytes under each message's words. Empty lines and spaces do not count.
fn assert_golden(messages: &Messages, golden: &str) {
    let mut written = String::new();
    for (index, entry) in messages.entries().iter().enumerate() {
        written.push_str(&format!("# {}\n", entry.attempt));
        for row in messages.bytes(index, index + 1).chunks(32) {
            let words: Vec<_> = row
                .chunks(4)
                .map(|word| word.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
                .collect();
            written.push_str(&format!("{}\n", words.join(" ")));
        }
    }
    assert_eq!(written, golden, "the encoding changed:\n{written}");
}
