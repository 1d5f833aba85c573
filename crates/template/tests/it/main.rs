//! Templates as people write them: what they become, and how wrong ones are refused.

#![expect(clippy::unwrap_used, reason = "what these tests unwrap is what they hold true")]

mod bounds;
mod changes;
mod documents;
mod functions;
mod order;
mod parameters;
mod properties;
mod refusals;
mod rules;
mod stack;
mod summary;
mod systems;
