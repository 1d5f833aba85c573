//! What it takes to turn a thing into what a new version says.

use gantry_types::Value;

use super::records::Kept;
use super::resource::Update;
use super::resources;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Same,
    Update,
    Replace,
}

pub(super) fn compare(resource_type: &str, old: &Kept, new: &Kept) -> Verdict {
    let changed = changed_properties(&old.properties, &new.properties);
    let replaces = |name: &String| {
        update_of(resource_type, name, &old.properties, &new.properties) == Update::Replacement
    };
    if old.resource_type != new.resource_type || changed.iter().any(replaces) {
        Verdict::Replace
    } else if !changed.is_empty() || old.stack_tags != new.stack_tags {
        Verdict::Update
    } else {
        Verdict::Same
    }
}

/// The names of the properties that differ.
pub(super) fn changed_properties(old: &Value, new: &Value) -> Vec<String> {
    let mut names: Vec<String> =
        [old, new].into_iter().filter_map(Value::as_map).flat_map(|map| map.keys().cloned()).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| {
        let (old, new) = (old.get(name).unwrap_or(&Value::Null), new.get(name).unwrap_or(&Value::Null));
        !same(old, new)
    });
    names
}

/// What a change of one property does: [`Update::Conditional`] is decided.
pub(super) fn update_of(resource_type: &str, name: &str, old: &Value, new: &Value) -> Update {
    let Some(kind) = resources::find(resource_type) else { return Update::InPlace };
    let property = kind.properties().iter().find(|property| property.name == name);
    match property.map(|property| property.update) {
        Some(Update::Conditional) => {
            let null = &Value::Null;
            let (old, new) = (old.get(name).unwrap_or(null), new.get(name).unwrap_or(null));
            if kind.must_replace(name, old, new) { Update::Replacement } else { Update::InPlace }
        }
        Some(update) => update,
        None => Update::InPlace,
    }
}

/// Equal, where `8080` and `'8080'` are, as every type takes them alike.
fn same(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::List(old), Value::List(new)) => {
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| same(old, new))
        }
        (Value::Map(old), Value::Map(new)) => {
            old.len() == new.len()
                && old.iter().zip(new).all(|((name, old), (other, new))| name == other && same(old, new))
        }
        _ => match (super::mapping::text(old), super::mapping::text(new)) {
            (Some(old), Some(new)) => old == new,
            _ => old == new,
        },
    }
}
