//! Layers through the API: what the registry's protocol does in the same store, under the same upload ids.

use gantry_api::ecr::*;
use gantry_api::{ApiError, CallContext};
use gantry_images::Digest;
use gantry_images::registry::RegistryError;
use gantry_types::ACCOUNT;

use super::names::{internal, invalid, known};
use super::token;
use crate::Context;

/// What one part should have: as text in a request it is a third longer, and the request has to stay below the endpoint's
/// limit.
const PART_BYTES: i64 = 4 << 20;
const LAYER_MEDIA_TYPE: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

pub(super) async fn check(
    context: &Context,
    call: &CallContext,
    input: &BatchCheckLayerAvailabilityRequest,
) -> Result<BatchCheckLayerAvailabilityResponse, ApiError> {
    let host = context.registry()?;
    known(context, call, input.registry_id.as_deref(), &input.repository_name).await?;
    let (mut layers, mut failures) = (Vec::new(), Vec::new());
    for text in &input.layer_digests {
        let digest: Digest = match text.parse() {
            Ok(digest) => digest,
            Err(error) => {
                failures.push(LayerFailure {
                    failure_code: Some("InvalidLayerDigest".to_owned()),
                    failure_reason: Some(format!("Invalid layer digest: {error}")),
                    layer_digest: Some(text.clone()),
                });
                continue;
            }
        };
        let size = host.with(move |registry| registry.blob_size(&digest)).await.map_err(internal)?;
        layers.push(Layer {
            layer_availability: Some(if size.is_some() { "AVAILABLE" } else { "UNAVAILABLE" }.to_owned()),
            layer_digest: Some(text.clone()),
            layer_size: size.and_then(|size| i64::try_from(size).ok()),
            media_type: size.map(|_| LAYER_MEDIA_TYPE.to_owned()),
        });
    }
    Ok(BatchCheckLayerAvailabilityResponse { layers: Some(layers), failures: Some(failures) })
}

pub(super) async fn download_url(
    context: &Context,
    call: &CallContext,
    input: &GetDownloadUrlForLayerRequest,
) -> Result<GetDownloadUrlForLayerResponse, ApiError> {
    let host = context.registry()?;
    let known = known(context, call, input.registry_id.as_deref(), &input.repository_name).await?;
    let digest: Digest = input.layer_digest.parse().map_err(|error| malformed(&error))?;
    let size = host.with(move |registry| registry.blob_size(&digest)).await.map_err(internal)?;
    if size.is_none() {
        return Err(errors::layers_not_found_exception(format!(
            "The layer with digest '{digest}' could not be found in the repository with name '{}' in registry with id \
             '{ACCOUNT}'",
            known.name.name()
        )));
    }
    let proof = token::link(context.root_secret(), &input.layer_digest, call.now);
    let host = host.host(call.region.as_str());
    Ok(GetDownloadUrlForLayerResponse {
        download_url: Some(format!("http://{host}/v2/{}/blobs/{digest}?proof={proof}", known.name.name())),
        layer_digest: Some(input.layer_digest.clone()),
    })
}

fn malformed(error: &gantry_images::DigestError) -> ApiError {
    invalid(format!("Invalid parameter at 'layerDigest' failed to satisfy constraint: '{error}'"))
}

pub(super) async fn initiate(
    context: &Context,
    call: &CallContext,
    input: &InitiateLayerUploadRequest,
) -> Result<InitiateLayerUploadResponse, ApiError> {
    let host = context.registry()?;
    let known = known(context, call, input.registry_id.as_deref(), &input.repository_name).await?;
    let id = context.uuid();
    let upload = id.clone();
    let begin = host.with(move |registry| registry.begin_upload(&known.name, &upload).map(drop));
    begin.await.map_err(|error| match error {
        RegistryError::TooManyUploads(_) => errors::limit_exceeded_exception(error.to_string()),
        error => internal(error),
    })?;
    Ok(InitiateLayerUploadResponse { part_size: Some(PART_BYTES), upload_id: Some(id) })
}

pub(super) async fn upload_part(
    context: &Context,
    call: &CallContext,
    input: &UploadLayerPartRequest,
) -> Result<UploadLayerPartResponse, ApiError> {
    let host = context.registry()?;
    let known = known(context, call, input.registry_id.as_deref(), &input.repository_name).await?;
    let (first, last) = (input.part_first_byte, input.part_last_byte);
    let length = i64::try_from(input.layer_part_blob.0.len()).unwrap_or(i64::MAX);
    if first.checked_add(length) != last.checked_add(1) {
        return Err(invalid(format!(
            "Invalid parameter at 'partLastByte' failed to satisfy constraint: 'the part has {length} bytes, but from \
             {first} to {last} it would have another number'"
        )));
    }
    let (part, id) = (input.layer_part_blob.0.clone(), input.upload_id.clone());
    let name = known.name.clone();
    let done = host
        .with(move |registry| {
            let upload = registry.resume_upload(&name, &id)?;
            let size = upload.size()?;
            if i64::try_from(size) != Ok(first) {
                return Ok(Err(size));
            }
            upload.append(std::iter::once(part.as_slice())).map(Ok)
        })
        .await
        .map_err(|error| upload_error(error, known.name.name(), &input.upload_id))?;
    let last_received = |size: u64| i64::try_from(size).unwrap_or(i64::MAX) - 1;
    match done {
        Ok(size) => Ok(UploadLayerPartResponse {
            last_byte_received: Some(last_received(size)),
            registry_id: Some(ACCOUNT.to_owned()),
            repository_name: Some(known.name.name().to_owned()),
            upload_id: Some(input.upload_id.clone()),
        }),
        Err(size) => Err(errors::invalid_layer_part_exception(format!(
            "The part begins at byte {first}, but the layer goes on at byte {size}"
        ))
        .with_member("registryId", ACCOUNT)
        .with_member("repositoryName", known.name.name())
        .with_member("uploadId", input.upload_id.as_str())
        .with_member("lastValidByteReceived", last_received(size))),
    }
}

pub(super) async fn complete(
    context: &Context,
    call: &CallContext,
    input: &CompleteLayerUploadRequest,
) -> Result<CompleteLayerUploadResponse, ApiError> {
    let host = context.registry()?;
    let known = known(context, call, input.registry_id.as_deref(), &input.repository_name).await?;
    let text = input.layer_digests.iter().find(|digest| digest.starts_with("sha256:"));
    let text = text.or(input.layer_digests.first()).cloned().unwrap_or_default();
    let digest: Digest = text.parse().map_err(|error| malformed(&error))?;
    let (name, id) = (known.name.clone(), input.upload_id.clone());
    let done = host.with(move |registry| {
        let was_there = registry.blob_size(&digest)?.is_some();
        let upload = registry.resume_upload(&name, &id)?;
        if upload.size()? == 0 {
            return Ok(Err(errors::empty_upload_exception(
                "The specified layer upload does not contain any layer parts",
            )));
        }
        upload.finish(&digest)?;
        Ok(Ok(was_there))
    });
    let was_there = done.await.map_err(|error| match error {
        RegistryError::DigestMismatch { expected, actual } => errors::invalid_layer_exception(format!(
            "The layer has the digest '{actual}', not '{expected}'; it was dropped"
        )),
        error => upload_error(error, known.name.name(), &input.upload_id),
    })??;
    if was_there {
        return Err(errors::layer_already_exists_exception(format!(
            "The layer with digest '{digest}' already exists in the repository with name '{}' in registry with id \
             '{ACCOUNT}'",
            known.name.name()
        )));
    }
    Ok(CompleteLayerUploadResponse {
        layer_digest: Some(digest.to_string()),
        registry_id: Some(ACCOUNT.to_owned()),
        repository_name: Some(known.name.name().to_owned()),
        upload_id: Some(input.upload_id.clone()),
    })
}

fn upload_error(error: RegistryError, repository: &str, id: &str) -> ApiError {
    match error {
        RegistryError::UploadUnknown | RegistryError::UploadTaken => {
            errors::upload_not_found_exception(format!(
                "The upload with id '{id}' could not be found in the repository with name '{repository}' in registry with \
                 id '{ACCOUNT}'"
            ))
        }
        RegistryError::TooLarge { .. } => errors::limit_exceeded_exception(error.to_string()),
        error => internal(error),
    }
}
