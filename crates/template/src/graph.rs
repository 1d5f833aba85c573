//! What needs what: the order of creation, and its reverse.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Result, TemplateError};

/// The resources of a stack, each with those that it needs. There are no circles in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Graph {
    needs: BTreeMap<String, BTreeSet<String>>,
    needed_by: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// From what each needs; names that are no key themselves are left out. Fails with the names that go round.
    pub fn new(mut needs: BTreeMap<String, BTreeSet<String>>) -> Result<Self> {
        let names: BTreeSet<String> = needs.keys().cloned().collect();
        needs.values_mut().for_each(|needed| needed.retain(|name| names.contains(name)));
        let circle = circle(&needs);
        if !circle.is_empty() {
            return Err(TemplateError::Circular(circle));
        }
        let needed_by = reverse(&needs);
        Ok(Self { needs, needed_by })
    }

    pub fn resources(&self) -> impl Iterator<Item = &String> {
        self.needs.keys()
    }
    /// Each resource with those that it needs at first hand.
    pub fn dependencies(&self) -> &BTreeMap<String, BTreeSet<String>> {
        &self.needs
    }
    /// Each resource with those that need it at first hand.
    pub fn dependents(&self) -> &BTreeMap<String, BTreeSet<String>> {
        &self.needed_by
    }

    /// Not done, and all that it needs is done: these can be made at the same time.
    pub fn ready(&self, done: &BTreeSet<String>) -> Vec<String> {
        free(&self.needs, done)
    }

    /// Not gone, and nothing that needs it is left: these can be deleted at the same time.
    pub fn deletable(&self, gone: &BTreeSet<String>) -> Vec<String> {
        free(&self.needed_by, gone)
    }

    /// One order of creation; backwards, one of deletion.
    pub fn order(&self) -> Vec<String> {
        let mut open: BTreeMap<&String, usize> =
            self.needs.iter().map(|(name, needed)| (name, needed.len())).collect();
        let mut free: BTreeSet<&String> =
            open.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
        let mut order = Vec::with_capacity(open.len());
        while let Some(name) = free.pop_first() {
            order.push(name.clone());
            for dependent in self.needed_by.get(name).into_iter().flatten() {
                if let Some(count) = open.get_mut(dependent) {
                    *count -= 1;
                    if *count == 0 {
                        free.insert(dependent);
                    }
                }
            }
        }
        order
    }
}

fn free(needs: &BTreeMap<String, BTreeSet<String>>, done: &BTreeSet<String>) -> Vec<String> {
    needs
        .iter()
        .filter(|(name, needed)| !done.contains(*name) && needed.is_subset(done))
        .map(|(name, _)| name.clone())
        .collect()
}

fn reverse(needs: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    let mut reversed: BTreeMap<String, BTreeSet<String>> =
        needs.keys().map(|name| (name.clone(), BTreeSet::new())).collect();
    for (name, needed) in needs {
        for other in needed {
            reversed.entry(other.clone()).or_default().insert(name.clone());
        }
    }
    reversed
}

/// The names on circles, and between two circles; empty if there are none. What only leads to a circle, or away from
/// one, is peeled off: first what needs nothing that is left, then what nothing that is left needs.
pub(crate) fn circle(needs: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let needed_by = reverse(needs);
    let after = peel(needs.keys().collect(), needs, &needed_by);
    peel(after, &needed_by, needs).into_iter().cloned().collect()
}

/// Takes away, again and again, each name without an edge to a name that is left.
fn peel<'a>(
    mut left: BTreeSet<&'a String>,
    edges: &'a BTreeMap<String, BTreeSet<String>>,
    back: &'a BTreeMap<String, BTreeSet<String>>,
) -> BTreeSet<&'a String> {
    let mut open: BTreeMap<&String, usize> = left
        .iter()
        .map(|name| {
            let to = edges.get(*name).map_or(0, |to| to.iter().filter(|to| left.contains(to)).count());
            (*name, to)
        })
        .collect();
    let mut loose: Vec<&String> =
        open.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
    while let Some(name) = loose.pop() {
        left.remove(name);
        for from in back.get(name).into_iter().flatten() {
            if let Some(count) = open.get_mut(from)
                && *count > 0
            {
                *count -= 1;
                if *count == 0 {
                    loose.push(from);
                }
            }
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(edges: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
        edges
            .iter()
            .map(|(name, needed)| {
                ((*name).to_owned(), needed.iter().map(|name| (*name).to_owned()).collect())
            })
            .collect()
    }

    #[test]
    fn what_is_independent_comes_at_the_same_time() {
        let graph = Graph::new(needs(&[
            ("a", &[]),
            ("b", &["a"]),
            ("c", &["a"]),
            ("d", &["b", "c", "elsewhere"]),
            ("e", &[]),
        ]))
        .unwrap();
        let mut done = BTreeSet::new();
        let mut waves = Vec::new();
        while let wave @ [_, ..] = graph.ready(&done).as_slice() {
            waves.push(wave.join(" "));
            done.extend(wave.iter().cloned());
        }
        assert_eq!(waves, ["a e", "b c", "d"]);
        assert_eq!(graph.order(), ["a", "b", "c", "d", "e"]);
        assert_eq!(graph.deletable(&BTreeSet::new()), ["d", "e"]);
        assert_eq!(graph.deletable(&BTreeSet::from(["d".to_owned(), "e".to_owned(), "b".to_owned()])), ["c"]);
    }

    #[test]
    fn a_circle_is_told_without_what_hangs_on_it() {
        let edges: &[(&str, &[&str])] =
            &[("a", &["b"]), ("b", &["c"]), ("c", &["b"]), ("d", &[]), ("e", &["d", "b"]), ("c2", &["a"])];
        assert_eq!(
            Graph::new(needs(edges)),
            Err(TemplateError::Circular(vec!["b".to_owned(), "c".to_owned()]))
        );
        assert_eq!(circle(&needs(&[("a", &["a"]), ("b", &["a"])])), ["a"]);
        assert_eq!(circle(&needs(&[("a", &["b"]), ("b", &[])])), Vec::<String>::new());
    }
}
