//! Records that no decision reads.

use gantry_types::Value;

/// A role, a policy, a gateway, a log group: what the API keeps and gives back.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Object {
    /// What it is: `iam/role`, `ec2/internet-gateway/us-east-1`, `logs/group/us-east-1`. A region stands in the class, so
    /// that a listing of one region is one range.
    pub class: String,
    /// Its name inside the class, unique there.
    pub name: String,
    pub document: Value,
}
