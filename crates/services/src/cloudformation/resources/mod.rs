//! The resource types, one file each. A new one is a file and a line here.

mod ec2_vpc;
mod ecs_cluster;

use super::resource::ResourceType;

/// In the order of their names.
pub(crate) static TYPES: &[&dyn ResourceType] = &[&ec2_vpc::Vpc, &ecs_cluster::Cluster];

pub(crate) fn find(name: &str) -> Option<&'static dyn ResourceType> {
    TYPES.iter().copied().find(|each| each.name() == name)
}
