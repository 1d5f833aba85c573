//! AWS ECR: repositories and what the registry holds of them.

handlers! {
    gantry_api::ecr::Ecr;
}
