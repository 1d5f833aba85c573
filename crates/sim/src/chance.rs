//! Randomness of one seed.

use gantry_types::Ids;

/// Draws from the seed. Everything that happens by chance in a world comes from one of these, so that a seed tells one story.
#[derive(Debug, Clone)]
pub(crate) struct Chance(Ids);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Ids::from_seed(seed))
    }
    pub(crate) fn number(&mut self) -> u64 {
        self.0.next_u64()
    }
    /// A number in `0..bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }
    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.0.below(length as u64)).expect("an index is below a length")
    }
    /// A number in `low..=high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.0.below(high - low + 1)
    }
    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.0.below(count) == 0
    }
    pub(crate) fn per_mille(&mut self, rate: u64) -> bool {
        rate > 0 && self.0.below(1000) < rate
    }
    pub(crate) fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.index(from.len())]
    }
    /// Between `low` and `high`, each order of magnitude as likely as another.
    pub(crate) fn log_between(&mut self, low: u64, high: u64) -> u64 {
        let mut top = low;
        while top < high && self.one_in(2) {
            top = (top * 2).min(high);
        }
        self.between(low, top.max(low))
    }
}
