//! The reconciler in a small world of its own, told as stories.

mod properties;
mod stories;
mod world;
