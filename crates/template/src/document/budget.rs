//! What one document may hold: depth and number of values.

use crate::error::{Result, format};
use crate::limits::{DEPTH_MAX, NODES_MAX};

#[derive(Default)]
pub(super) struct Budget {
    nodes: usize,
    depth: usize,
}

impl Budget {
    /// One more scalar, list or object.
    pub(super) fn node(&mut self) -> Result<()> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return format(format!("Number of values is greater than maximum allowed, {NODES_MAX}"));
        }
        Ok(())
    }
    pub(super) fn enter(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return format(format!("Nesting is deeper than maximum allowed, {DEPTH_MAX}"));
        }
        Ok(())
    }
    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }
}
