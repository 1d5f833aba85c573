//! Security groups: AWS's model, its direct evaluation, and its compilation to an nftables table.
//!
//! [`VpcSecurity`] is the whole state of one VPC, on all machines. [`admits`](VpcSecurity::admits) says what AWS's rules
//! mean; the compiler makes a table that means the same to the kernel, and a property test holds one against the other.
//!
//! Rules are stateful: they judge the first packet of a flow, and a change of rules leaves flows that were let through
//! alone. The VPC's DNS and the metadata addresses are always within reach, as on AWS.

mod compile;
mod evaluate;
mod model;

pub(crate) use compile::{VpcBase, compile};
pub use evaluate::Packet;
pub use model::{
    Attachment, Direction, IcmpKind, Member, Peer, PortRange, Rule, SecurityError, SecurityGroup, Traffic,
    TrafficError, VpcSecurity,
};

#[cfg(test)]
mod interpreter;
#[cfg(test)]
mod properties;
