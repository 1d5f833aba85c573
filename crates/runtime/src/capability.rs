//! Which capabilities a container keeps.

use std::collections::BTreeSet;

use rustix::thread::CapabilitySet;
use serde::{Deserialize, Serialize};

use crate::spec::SpecError;

/// Changes to Docker's default set, by name with or without `CAP_`; `ALL` means every one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CapabilityChanges {
    #[serde(default)]
    pub add: Vec<String>,
    #[serde(default)]
    pub drop: Vec<String>,
}

/// Docker's default capabilities.
const CAPABILITIES_DEFAULT: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

impl CapabilityChanges {
    pub(crate) fn check(&self) -> Result<(), SpecError> {
        for name in self.add.iter().chain(&self.drop) {
            let canonical = capability_name(name);
            if canonical != "CAP_ALL" && capability_bits(&canonical).is_none() {
                return Err(SpecError::Capability(name.clone()));
            }
        }
        Ok(())
    }

    /// The names that remain: the defaults (none after `drop ALL`, every one after `add ALL`), less `drop`, plus
    /// `add`. What this process does not hold it cannot give; only what is asked for by name is an error then, which
    /// the kernel raises.
    pub(crate) fn resolve(&self, held: CapabilitySet) -> BTreeSet<String> {
        let named = |names: &[String]| -> BTreeSet<String> {
            names.iter().map(|name| capability_name(name)).collect()
        };
        let (add, drop) = (named(&self.add), named(&self.drop));
        let mut set: BTreeSet<String> = match (add.contains("CAP_ALL"), drop.contains("CAP_ALL")) {
            (true, _) => all_capabilities(),
            (false, true) => BTreeSet::new(),
            (false, false) => CAPABILITIES_DEFAULT.iter().map(|name| (*name).to_owned()).collect(),
        };
        set.retain(|name| {
            !drop.contains(name) && capability_bits(name).is_some_and(|bits| held.contains(bits))
        });
        set.extend(add.into_iter().filter(|name| name != "CAP_ALL"));
        set
    }
}

fn capability_name(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") }
}

pub(crate) fn capability_bits(canonical: &str) -> Option<CapabilitySet> {
    CapabilitySet::from_name(canonical.strip_prefix("CAP_")?)
}

fn all_capabilities() -> BTreeSet<String> {
    CapabilitySet::all().iter_names().map(|(name, _)| format!("CAP_{name}")).collect()
}

/// What this process may give to a container.
pub(crate) fn held() -> CapabilitySet {
    rustix::thread::capabilities(None).map_or(CapabilitySet::all(), |sets| sets.permitted)
}

/// The set as the kernel takes it. Names were checked with the specification.
pub(crate) fn capability_set(names: &BTreeSet<String>) -> CapabilitySet {
    names.iter().filter_map(|name| capability_bits(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(add: &[&str], drop: &[&str]) -> Vec<String> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let changes = CapabilityChanges { add: owned(add), drop: owned(drop) };
        changes.check().expect("every name is known");
        changes.resolve(CapabilitySet::all()).into_iter().collect()
    }

    #[test]
    fn adding_and_dropping_follow_docker() {
        assert_eq!(resolve(&[], &[]), CAPABILITIES_DEFAULT);
        assert_eq!(resolve(&["NET_ADMIN"], &["ALL"]), ["CAP_NET_ADMIN"]);
        assert_eq!(resolve(&[], &["all"]), Vec::<String>::new());
        assert!(!resolve(&[], &["cap_mknod"]).contains(&"CAP_MKNOD".to_owned()));
        assert!(resolve(&["SYS_PTRACE"], &[]).contains(&"CAP_SYS_PTRACE".to_owned()));
        let most = resolve(&["ALL"], &["SYS_ADMIN"]);
        assert!(most.len() > 35 && !most.contains(&"CAP_SYS_ADMIN".to_owned()), "{most:?}");
    }

    #[test]
    fn what_is_not_held_is_not_given_unless_it_is_named() {
        let held = CapabilitySet::all() - CapabilitySet::SYS_RESOURCE - CapabilitySet::MKNOD;
        let changes = |add: &str| CapabilityChanges { add: vec![add.to_owned()], drop: Vec::new() };
        assert!(!changes("ALL").resolve(held).contains("CAP_SYS_RESOURCE"));
        assert!(!changes("KILL").resolve(held).contains("CAP_MKNOD"));
        assert!(changes("SYS_RESOURCE").resolve(held).contains("CAP_SYS_RESOURCE"));
    }

    #[test]
    fn an_unknown_name_is_refused() {
        let changes = CapabilityChanges { add: vec!["CAP_FLY".to_owned()], drop: Vec::new() };
        assert_eq!(changes.check(), Err(SpecError::Capability("CAP_FLY".to_owned())));
    }
}
