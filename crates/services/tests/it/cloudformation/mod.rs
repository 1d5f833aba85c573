//! Stacks, as clients see them: the operations, and the engine that makes what they say.

mod change_sets;
mod kills;
mod lifecycle;
mod refusals;
mod sharing;
mod world;
