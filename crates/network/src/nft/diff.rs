//! What to change in the kernel so that a table becomes the wanted one.

use super::inspect::Names;
use super::table::{Chain, ElementKey, Hook, KeyType, Rule, Table};

/// What the kernel holds now.
pub(crate) enum Applied {
    /// We applied it, so we know all of it. An empty table also stands for none.
    Known(Table),
    /// A former process applied it; only names could be listed. Everything in it is made anew.
    Names(Names),
}

/// One step. The order in a list is the order of the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    AddTable,
    AddSet(String, KeyType),
    AddMap(String, KeyType),
    AddChain(String, Option<Hook>),
    AddElements(String, Elements),
    DeleteElements(String, Elements),
    AddRule(String, Rule),
    FlushChain(String),
    FlushAllChains,
    FlushSet(String),
    DeleteChain(String),
    DeleteSet(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Elements {
    Keys(Vec<ElementKey>),
    Gotos(Vec<(ElementKey, String)>),
}

/// The changes from `applied` to `wanted`, in an order in which nothing is named before it exists or deleted while it is
/// named. Empty when there is nothing to do.
pub(crate) fn diff(applied: &Applied, wanted: &Table) -> Vec<Change> {
    let empty = Table::default();
    let mut changes = Vec::new();
    let before = match applied {
        Applied::Known(table) => table,
        Applied::Names(names) => {
            clear(names, wanted, &mut changes);
            &empty
        }
    };
    if matches!(applied, Applied::Known(table) if table.name.is_empty()) {
        changes.push(Change::AddTable);
    }
    // What others name comes first.
    for (name, set) in wanted.sets.iter().filter(|(name, _)| !before.sets.contains_key(*name)) {
        changes.push(Change::AddSet(name.clone(), set.key));
    }
    for (name, map) in wanted.maps.iter().filter(|(name, _)| !before.maps.contains_key(*name)) {
        changes.push(Change::AddMap(name.clone(), map.key));
    }
    for (name, chain) in wanted.chains.iter().filter(|(name, _)| !before.chains.contains_key(*name)) {
        changes.push(Change::AddChain(name.clone(), chain.hook));
    }
    for (name, set) in &wanted.sets {
        let known = before.sets.get(name).map(|set| &set.elements);
        let gone = known.into_iter().flatten().filter(|key| !set.elements.contains(key));
        let added = set.elements.iter().filter(|key| !known.is_some_and(|known| known.contains(key)));
        push_elements(&mut changes, name, Elements::Keys(gone.cloned().collect()), Change::DeleteElements);
        push_elements(&mut changes, name, Elements::Keys(added.cloned().collect()), Change::AddElements);
    }
    for (name, map) in &wanted.maps {
        let known = before.maps.get(name).map(|map| &map.elements);
        let pair = |(key, chain): (&ElementKey, &String)| (key.clone(), chain.clone());
        let gone = known.into_iter().flatten().filter(|(key, chain)| map.elements.get(*key) != Some(*chain));
        let added = map
            .elements
            .iter()
            .filter(|(key, chain)| known.and_then(|known| known.get(*key)) != Some(*chain));
        push_elements(&mut changes, name, Elements::Gotos(gone.map(pair).collect()), Change::DeleteElements);
        push_elements(&mut changes, name, Elements::Gotos(added.map(pair).collect()), Change::AddElements);
    }
    for (name, chain) in &wanted.chains {
        let known = before.chains.get(name).map_or(&[][..], |chain| &chain.rules);
        replace_rules(&mut changes, name, known, chain);
    }
    let gone: Vec<_> = before.chains.keys().filter(|name| !wanted.chains.contains_key(*name)).collect();
    delete_chains(&mut changes, &gone);
    let sets = before.sets.keys().filter(|name| !wanted.sets.contains_key(*name));
    let maps = before.maps.keys().filter(|name| !wanted.maps.contains_key(*name));
    changes.extend(sets.chain(maps).cloned().map(Change::DeleteSet));
    changes
}

fn replace_rules(changes: &mut Vec<Change>, name: &str, known: &[Rule], wanted: &Chain) {
    if known == wanted.rules {
        return;
    }
    // Rules appended behind known ones leave those alone.
    let kept = if wanted.rules.starts_with(known) {
        known.len()
    } else {
        changes.push(Change::FlushChain(name.to_owned()));
        0
    };
    changes.extend(wanted.rules[kept..].iter().map(|rule| Change::AddRule(name.to_owned(), rule.clone())));
}

/// All rules of all chains go before the first chain, since they may name each other.
fn delete_chains(changes: &mut Vec<Change>, names: &[&String]) {
    changes.extend(names.iter().map(|name| Change::FlushChain((*name).clone())));
    changes.extend(names.iter().map(|name| Change::DeleteChain((*name).clone())));
}

fn push_elements(
    changes: &mut Vec<Change>,
    name: &str,
    elements: Elements,
    change: fn(String, Elements) -> Change,
) {
    let empty = match &elements {
        Elements::Keys(keys) => keys.is_empty(),
        Elements::Gotos(pairs) => pairs.is_empty(),
    };
    if !empty {
        changes.push(change(name.to_owned(), elements));
    }
}

/// Empties a table of which only names are known. Base chains that are still wanted stay: making a chain that exists
/// changes nothing.
fn clear(Names { chains, sets }: &Names, wanted: &Table, changes: &mut Vec<Change>) {
    let is_wanted_base = |name: &str| wanted.chains.get(name).is_some_and(|chain| chain.hook.is_some());
    changes.push(Change::AddTable);
    changes.push(Change::FlushAllChains);
    changes.extend(sets.iter().cloned().map(Change::FlushSet));
    changes.extend(chains.iter().filter(|name| !is_wanted_base(name)).cloned().map(Change::DeleteChain));
    changes.extend(sets.iter().cloned().map(Change::DeleteSet));
}

#[cfg(test)]
#[path = "diff_tests.rs"]
pub(crate) mod tests;
