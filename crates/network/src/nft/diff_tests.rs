//! Applies changes to a model of the kernel that refuses what the kernel refuses.

use super::*;
use crate::nft::table::{Map, Match, Set, Verdict};

/// Checks that the changes lead from one table to the other, from full knowledge and from names alone.
pub(crate) fn check_diff(before: &Table, after: &Table) {
    let known = Applied::Known(before.clone());
    assert_eq!(&applied(before, &diff(&known, after)), after);
    assert_eq!(diff(&Applied::Known(after.clone()), after), []);
    let sets = before.sets.keys().chain(before.maps.keys()).cloned().collect();
    let names = Applied::Names(Names { chains: before.chains.keys().cloned().collect(), sets });
    assert_eq!(&applied(before, &diff(&names, after)), after);
    assert_eq!(&applied(&Table::default(), &diff(&Applied::Known(Table::default()), after)), after);
}

fn applied(before: &Table, changes: &[Change]) -> Table {
    let mut table = before.clone();
    for change in changes {
        apply(&mut table, change);
    }
    table
}

fn apply(table: &mut Table, change: &Change) {
    match change {
        Change::AddTable => table.name = "gantry".to_owned(),
        Change::AddSet(name, key) => {
            let set = Set { key: *key, elements: Default::default() };
            assert!(table.sets.insert(name.clone(), set).is_none(), "set {name} is there already");
        }
        Change::AddMap(name, key) => {
            let map = Map { key: *key, elements: Default::default() };
            assert!(table.maps.insert(name.clone(), map).is_none(), "map {name} is there already");
        }
        Change::AddChain(name, hook) => {
            let chain = table.chains.entry(name.clone()).or_insert(Chain { hook: *hook, rules: vec![] });
            assert_eq!(chain.hook, *hook, "a chain keeps its hook");
        }
        Change::AddElements(name, Elements::Keys(keys)) => {
            let set = table.sets.get_mut(name).expect("elements are added to a set that exists");
            keys.iter().for_each(|key| assert!(set.elements.insert(key.clone()), "an element is added once"));
        }
        Change::AddElements(name, Elements::Gotos(pairs)) => {
            for (key, chain) in pairs {
                assert!(table.chains.contains_key(chain), "a map leads to chains that exist");
                let map = table.maps.get_mut(name).expect("elements are added to a map that exists");
                assert_eq!(map.elements.insert(key.clone(), chain.clone()), None, "a key has one chain");
            }
        }
        Change::DeleteElements(name, Elements::Keys(keys)) => {
            let set = table.sets.get_mut(name).expect("elements are taken from a set that exists");
            keys.iter().for_each(|key| assert!(set.elements.remove(key), "an element is there to be taken"));
        }
        Change::DeleteElements(name, Elements::Gotos(pairs)) => {
            let map = table.maps.get_mut(name).expect("elements are taken from a map that exists");
            for (key, chain) in pairs {
                assert_eq!(map.elements.remove(key).as_ref(), Some(chain), "an element is there to be taken");
            }
        }
        Change::AddRule(name, rule) => {
            let all_there = rule.matches.iter().all(|condition| match condition {
                Match::SourceIn(set) | Match::DestinationIn(set) | Match::InputLinkAndSourceIn(set) => {
                    table.sets.contains_key(set)
                }
                _ => true,
            });
            let leads = match &rule.verdict {
                Verdict::Jump(chain) => table.chains.contains_key(chain),
                Verdict::GotoByMap(_, map) => table.maps.contains_key(map),
                Verdict::Accept | Verdict::Drop | Verdict::Masquerade | Verdict::SendTo(..) => true,
            };
            assert!(all_there && leads, "a rule names what exists");
            table
                .chains
                .get_mut(name)
                .expect("a rule is added to a chain that exists")
                .rules
                .push(rule.clone());
        }
        Change::FlushChain(name) => table.chains.get_mut(name).expect("a chain that exists").rules.clear(),
        Change::FlushAllChains => table.chains.values_mut().for_each(|chain| chain.rules.clear()),
        Change::FlushSet(name) => match (table.sets.get_mut(name), table.maps.get_mut(name)) {
            (Some(set), None) => set.elements.clear(),
            (None, Some(map)) => map.elements.clear(),
            _ => panic!("a set or map {name} exists"),
        },
        Change::DeleteChain(name) => {
            assert!(!is_chain_used(table, name), "a chain is deleted when nothing leads to it");
            let chain = table.chains.remove(name).expect("a chain that exists");
            assert_eq!(chain.rules, [], "a chain is deleted when it is empty");
        }
        Change::DeleteSet(name) => {
            assert!(!is_set_used(table, name), "a set is deleted when no rule names it");
            assert!(
                table.sets.remove(name).is_some() ^ table.maps.remove(name).is_some(),
                "a set that exists"
            );
        }
    }
}

fn is_chain_used(table: &Table, name: &str) -> bool {
    let jumps = |rule: &Rule| matches!(&rule.verdict, Verdict::Jump(chain) if chain == name);
    table.maps.values().any(|map| map.elements.values().any(|chain| chain == name))
        || table.chains.values().any(|chain| chain.rules.iter().any(jumps))
}

fn is_set_used(table: &Table, name: &str) -> bool {
    let names = |condition: &Match| match condition {
        Match::SourceIn(set) | Match::DestinationIn(set) | Match::InputLinkAndSourceIn(set) => set == name,
        _ => false,
    };
    let leads = |rule: &Rule| matches!(&rule.verdict, Verdict::GotoByMap(_, map) if map == name);
    table
        .chains
        .values()
        .any(|chain| chain.rules.iter().any(|rule| leads(rule) || rule.matches.iter().any(names)))
}
