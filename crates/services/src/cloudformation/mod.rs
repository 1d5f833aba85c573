//! AWS CloudFormation: stacks of resources that are made, changed and removed together.

mod caller;
mod difference;
mod engine;
mod failure;
mod mapping;
mod naming;
mod plan;
mod records;
mod resource;
mod resources;

pub(crate) use caller::is_internal;
pub use engine::run;

handlers! {
    gantry_api::cloudformation::Cloudformation;
}
