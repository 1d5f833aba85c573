//! AWS CloudFormation: stacks of resources that are made, changed and removed together.

mod caller;
mod failure;
mod mapping;
mod resource;
mod resources;

handlers! {
    gantry_api::cloudformation::Cloudformation;
}
