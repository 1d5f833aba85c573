//! AWS CloudFormation: stacks of resources that are made, changed and removed together.

handlers! {
    gantry_api::cloudformation::Cloudformation;
}
