//! Names of things that a template does not name.

use super::failure::Failure;
use super::records::Kept;
use super::resource::Naming;
use super::{mapping, resources};
use crate::Context;

/// Random characters behind a generated name.
const RANDOM_CHARACTERS: usize = 12;
/// Where a name has to be this short, AWS keeps so much of the stack's name and the logical id.
const SHORT_CHARACTERS_MAX: usize = 32;
const SHORT_PART_CHARACTERS: usize = 5;

/// Randomness for the names of one resource, taken before a decision so that it stays a function of its arguments.
pub(super) struct Random {
    characters: String,
    token: String,
}

impl Random {
    pub(super) fn new(context: &Context) -> Self {
        let token = context.uuid();
        let digits = context.uuid();
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        // Two hexadecimal digits a character; the version's digit is the same everywhere and stands behind the first twelve.
        let bytes: Vec<u8> = digits.bytes().chain(token.bytes()).filter(u8::is_ascii_hexdigit).collect();
        let value = |pair: &[u8]| {
            let text = std::str::from_utf8(pair).unwrap_or("0");
            usize::from(u8::from_str_radix(text, 16).unwrap_or(0))
        };
        let character = |pair: &[u8]| char::from(alphabet[value(pair) % alphabet.len()]);
        Self { characters: bytes.chunks_exact(2).take(RANDOM_CHARACTERS).map(character).collect(), token }
    }
    pub(super) fn token(&self) -> String {
        self.token.clone()
    }
}

/// `<stack>-<logical id>-<random>` within the type's limits; empty for types without names.
pub(super) fn generated(resource_type: &str, stack: &str, logical_id: &str, random: &Random) -> String {
    let naming = resources::find(resource_type).and_then(|kind| kind.naming());
    naming.map_or_else(String::new, |naming| name(naming, stack, logical_id, &random.characters))
}

fn name(naming: Naming, stack: &str, logical_id: &str, random: &str) -> String {
    let take = |text: &str, count: usize| text.chars().take(count).collect::<String>();
    let (stack, logical_id) = if naming.characters_max <= SHORT_CHARACTERS_MAX {
        (take(stack, SHORT_PART_CHARACTERS), take(logical_id, SHORT_PART_CHARACTERS))
    } else {
        // The random part and two hyphens stay whole.
        let room = naming.characters_max.saturating_sub(RANDOM_CHARACTERS + 2);
        let of_stack = stack.len().min(room.saturating_sub(logical_id.len()).max(room / 2));
        (take(stack, of_stack), take(logical_id, room - of_stack.min(room)))
    };
    let name = format!("{stack}-{logical_id}-{random}");
    if naming.is_lower_case { name.to_lowercase() } else { name }
}

/// A thing that the template names cannot be there twice, so it cannot be replaced under that name.
pub(super) fn check_replacement(old: &Kept, new: &Kept) -> Result<(), Failure> {
    let Some(naming) = resources::find(&new.resource_type).and_then(|kind| kind.naming()) else {
        return Ok(());
    };
    let name = |kept: &Kept| kept.properties.get(naming.property).and_then(mapping::text);
    match (name(old), name(new)) {
        (Some(old), Some(new)) if old == new && !naming.is_repeatable => Err(Failure::plain(format!(
            "CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename {new} and update the stack again."
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_their_type() {
        let cases = [
            (Naming::new("N", 255), "shop", "Cluster", "shop-Cluster-abcdefghijkl"),
            (Naming::new("N", 32), "production", "LoadBalancer", "produ-LoadB-abcdefghijkl"),
            (
                Naming { is_lower_case: true, ..Naming::new("N", 63) },
                "Shop",
                "Repo",
                "shop-repo-abcdefghijkl",
            ),
            (Naming::new("N", 34), "a-very-long-stack", "Logical", "a-very-long-s-Logical-abcdefghijkl"),
        ];
        for (naming, stack, logical_id, expected) in cases {
            let name = name(naming, stack, logical_id, "abcdefghijkl");
            assert_eq!(name, expected);
            assert!(name.len() <= naming.characters_max);
        }
        let long = name(Naming::new("N", 64), &"s".repeat(128), &"l".repeat(255), "abcdefghijkl");
        assert_eq!((long.len(), &long[64 - 13..]), (64, "-abcdefghijkl"));
    }
}
