//! AWS ECR: repositories and what the registry holds of them.
//!
//! A repository's settings are a record; its images are what the image store names, so that tasks, the registry's protocol,
//! `gantry image` and this API can never disagree on them. A repository that `gantry image` or a push to the plain host made
//! has images and no record: it shows itself with the default settings until somebody creates it.
//!
//! The store of images blocks, so whatever touches it runs on threads of its own.

mod images;
mod layers;
mod lifecycle;
mod names;
mod policies;
mod records;
mod registry;
mod repositories;
mod tags;
#[cfg(test)]
mod tests;
mod token;

pub use records::REPOSITORIES;
pub use registry::{PushRules, RegistryHost, host_name, sweep};
pub use token::Refused;

use gantry_api::ecr::*;

handlers! {
    Ecr;
    io create_repository(CreateRepositoryRequest) -> CreateRepositoryResponse = repositories::create;
    io delete_repository(DeleteRepositoryRequest) -> DeleteRepositoryResponse = repositories::delete;
    io describe_repositories(DescribeRepositoriesRequest) -> DescribeRepositoriesResponse = repositories::describe;
    io describe_registry(DescribeRegistryRequest) -> DescribeRegistryResponse = repositories::describe_registry;
    io put_image_tag_mutability(PutImageTagMutabilityRequest) -> PutImageTagMutabilityResponse = repositories::put_mutability;
    io put_image_scanning_configuration(PutImageScanningConfigurationRequest) -> PutImageScanningConfigurationResponse = repositories::put_scanning;
    io describe_images(DescribeImagesRequest) -> DescribeImagesResponse = images::describe;
    io list_images(ListImagesRequest) -> ListImagesResponse = images::list;
    io batch_get_image(BatchGetImageRequest) -> BatchGetImageResponse = images::get;
    io batch_delete_image(BatchDeleteImageRequest) -> BatchDeleteImageResponse = images::delete;
    io put_image(PutImageRequest) -> PutImageResponse = images::put;
    io batch_check_layer_availability(BatchCheckLayerAvailabilityRequest) -> BatchCheckLayerAvailabilityResponse = layers::check;
    io get_download_url_for_layer(GetDownloadUrlForLayerRequest) -> GetDownloadUrlForLayerResponse = layers::download_url;
    io initiate_layer_upload(InitiateLayerUploadRequest) -> InitiateLayerUploadResponse = layers::initiate;
    io upload_layer_part(UploadLayerPartRequest) -> UploadLayerPartResponse = layers::upload_part;
    io complete_layer_upload(CompleteLayerUploadRequest) -> CompleteLayerUploadResponse = layers::complete;
    io get_authorization_token(GetAuthorizationTokenRequest) -> GetAuthorizationTokenResponse = token::get;
    io set_repository_policy(SetRepositoryPolicyRequest) -> SetRepositoryPolicyResponse = policies::set;
    io get_repository_policy(GetRepositoryPolicyRequest) -> GetRepositoryPolicyResponse = policies::get;
    io delete_repository_policy(DeleteRepositoryPolicyRequest) -> DeleteRepositoryPolicyResponse = policies::delete;
    io put_lifecycle_policy(PutLifecyclePolicyRequest) -> PutLifecyclePolicyResponse = policies::put_lifecycle;
    io get_lifecycle_policy(GetLifecyclePolicyRequest) -> GetLifecyclePolicyResponse = policies::get_lifecycle;
    io delete_lifecycle_policy(DeleteLifecyclePolicyRequest) -> DeleteLifecyclePolicyResponse = policies::delete_lifecycle;
    io tag_resource(TagResourceRequest) -> TagResourceResponse = tags::tag;
    io untag_resource(UntagResourceRequest) -> UntagResourceResponse = tags::untag;
    io list_tags_for_resource(ListTagsForResourceRequest) -> ListTagsForResourceResponse = tags::list;
}
