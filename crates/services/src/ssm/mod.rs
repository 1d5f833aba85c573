//! AWS Systems Manager: the Parameter Store.

handlers! {
    gantry_api::ssm::Ssm;
}
