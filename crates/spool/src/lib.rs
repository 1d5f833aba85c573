//! (purpose, flow and invariants stand here)
