//! What is said over the sockets: one JSON value a packet.

use serde::{Deserialize, Serialize};

/// From a child to the supervisor. Names are relative to the child's role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Keeps the descriptors beside the message under this name, instead of those that it had.
    Put { name: String },
    /// Asks for duplicates of the descriptors of this name.
    Get { name: String },
    /// Asks for the names behind this one, in order.
    List { after: Option<String> },
    /// Closes the supervisor's descriptors of this name.
    Remove { name: String },
    /// The child serves.
    Ready,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Done,
    /// The descriptors are beside the message.
    Found,
    NotFound,
    Names {
        names: Vec<String>,
        /// There are names behind the last one.
        more: bool,
    },
    Refused {
        why: String,
    },
}

/// From a load balancer that lost its supervisor to the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Offer {
    /// The descriptors beside the message have this name.
    Descriptors { name: String },
    /// That was all.
    End { process: u32 },
}

/// The answer, when the next load balancer serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Accept nothing more, finish what is in flight, and end.
    Drain,
}
