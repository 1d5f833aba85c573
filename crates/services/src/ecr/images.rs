//! The images of a repository.

use gantry_api::ecr::*;
use gantry_api::{ApiError, CallContext};
use gantry_images::Digest;
use gantry_images::registry::{
    Deleted, ImageName, PutManifest, Registry, RegistryError, RegistryImage, RepositoryName, Selected,
};
use gantry_types::ACCOUNT;

use super::names::{internal, invalid, known};
use crate::Context;
use crate::page::page;

const PAGE_DEFAULT: usize = 100;

pub(super) async fn describe(
    context: &Context,
    call: &CallContext,
    input: &DescribeImagesRequest,
) -> Result<DescribeImagesResponse, ApiError> {
    let host = context.registry()?;
    let known = known(context, call, input.registry_id.as_deref(), &input.repository_name).await?;
    if input.image_ids.is_some() && (input.max_results.is_some() || input.next_token.is_some()) {
        return Err(invalid(
            "Invalid parameter: maxResults and nextToken cannot be given together with imageIds",
        ));
    }
    let images = images(context, &known.name).await?;
    let (chosen, next) = match &input.image_ids {
        Some(ids) => {
            (ids.iter().map(|id| by_id(&images, id, &known.name)).collect::<Result<Vec<_>, _>>()?, None)
        }
        None => {
            let filter = input.filter.clone().unwrap_or_default();
            let status = (filter.tag_status, filter.image_status);
            let images = images.into_iter().filter(|image| is_wanted(image, &status));
            let key = |image: &RegistryImage| image.digest.to_string();
            let page = page(images, key, input.next_token.as_deref(), size(input.max_results), bad_token)?;
            (page.items, page.next)
        }
    };
    let name = known.name.name().to_owned();
    let details = host.with(move |registry| {
        chosen.into_iter().map(|image| detail(registry, &name, image)).collect::<Result<Vec<_>, _>>()
    });
    Ok(DescribeImagesResponse { image_details: Some(details.await.map_err(internal)?), next_token: next })
}

fn detail(registry: &Registry, repository: &str, image: RegistryImage) -> Result<ImageDetail, RegistryError> {
    Ok(ImageDetail {
        artifact_media_type: registry.artifact_type(&image.digest)?,
        image_digest: Some(image.digest.to_string()),
        image_manifest_media_type: Some(image.media_type),
        image_pushed_at: Some(image.pushed_at),
        image_size_in_bytes: i64::try_from(registry.image_bytes(&image.digest)?).ok(),
        image_status: Some("ACTIVE".to_owned()),
        image_tags: Some(image.tags).filter(|tags| !tags.is_empty()),
        registry_id: Some(ACCOUNT.to_owned()),
        repository_name: Some(repository.to_owned()),
        ..ImageDetail::default()
    })
}

pub(super) async fn list(
    context: &Context,
    call: &CallContext,
    input: &ListImagesRequest,
) -> Result<ListImagesResponse, ApiError> {
    let known = known(context, call, input.registry_id.as_deref(), &input.repository_name).await?;
    let filter = input.filter.clone().unwrap_or_default();
    let status = (filter.tag_status, filter.image_status);
    let images = images(context, &known.name).await?;
    let ids = images.into_iter().filter(|image| is_wanted(image, &status)).flat_map(ids_of);
    let key = |id: &ImageIdentifier| {
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        format!("{}:{}", part(&id.image_digest), part(&id.image_tag))
    };
    let page = page(ids, key, input.next_token.as_deref(), size(input.max_results), bad_token)?;
    Ok(ListImagesResponse { image_ids: Some(page.items), next_token: page.next })
}

/// One for each tag; an image without tags has one too.
fn ids_of(image: RegistryImage) -> Vec<ImageIdentifier> {
    let digest = Some(image.digest.to_string());
    if image.tags.is_empty() {
        return vec![ImageIdentifier { image_digest: digest, image_tag: None }];
    }
    let tagged = |tag| ImageIdentifier { image_digest: digest.clone(), image_tag: Some(tag) };
    image.tags.into_iter().map(tagged).collect()
}

fn is_wanted(image: &RegistryImage, (tags, status): &(Option<String>, Option<String>)) -> bool {
    let by_tags = match tags.as_deref() {
        Some("TAGGED") => !image.tags.is_empty(),
        Some("UNTAGGED") => image.tags.is_empty(),
        _ => true,
    };
    // Nothing is ever archived here.
    by_tags && matches!(status.as_deref(), None | Some("ACTIVE" | "ANY"))
}

fn size(max_results: Option<i32>) -> usize {
    max_results.and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0).unwrap_or(PAGE_DEFAULT)
}

fn bad_token() -> ApiError {
    invalid("Invalid parameter at 'nextToken' failed to satisfy constraint: 'must be a token of this call'")
}

async fn images(context: &Context, name: &RepositoryName) -> Result<Vec<RegistryImage>, ApiError> {
    let name = name.clone();
    context.registry()?.with(move |registry| registry.images(&name)).await.map_err(internal)
}

fn by_id(
    images: &[RegistryImage],
    id: &ImageIdentifier,
    repository: &RepositoryName,
) -> Result<RegistryImage, ApiError> {
    let found = images.iter().find(|image| {
        id.image_tag.as_ref().is_none_or(|tag| image.tags.contains(tag))
            && id.image_digest.as_ref().is_none_or(|digest| image.digest.to_string() == *digest)
    });
    if id.image_tag.is_none() && id.image_digest.is_none() {
        return Err(invalid("Invalid request parameters: both tag and digest cannot be null"));
    }
    found.cloned().ok_or_else(|| {
        let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "null".to_owned());
        errors::image_not_found_exception(format!(
            "The image with imageId {{imageDigest:'{}', imageTag:'{}'}} does not exist within the repository with name \
             '{}' in the registry with id '{ACCOUNT}'",
            part(&id.image_digest),
            part(&id.image_tag),
            repository.name()
        ))
    })
}

pub(super) async fn get(
    context: &Context,
    call: &CallContext,
    input: &BatchGetImageRequest,
) -> Result<BatchGetImageResponse, ApiError> {
    let host = context.registry()?;
    let known = known(context, call, input.registry_id.as_deref(), &input.repository_name).await?;
    let (name, ids) = (known.name, input.image_ids.clone());
    let (images, failures) = host
        .with(move |registry| {
            let (mut images, mut failures) = (Vec::new(), Vec::new());
            for id in ids {
                match image(registry, &name, &id)? {
                    Ok(image) => images.push(image),
                    Err((code, reason)) => failures.push(failure(id, code, reason)),
                }
            }
            Ok((images, failures))
        })
        .await
        .map_err(internal)?;
    Ok(BatchGetImageResponse { images: Some(images), failures: Some(failures) })
}

type Failure = (&'static str, String);

fn image(
    registry: &Registry,
    repository: &RepositoryName,
    id: &ImageIdentifier,
) -> Result<Result<Image, Failure>, RegistryError> {
    let selected = match selected(id) {
        Ok(selected) => selected,
        Err(failure) => return Ok(Err(failure)),
    };
    let name = match (&selected.tag, selected.digest) {
        (Some(tag), _) => ImageName::Tag(tag.clone()),
        (None, Some(digest)) => ImageName::Digest(digest),
        (None, None) => return Ok(Err(neither())),
    };
    let manifest = match registry.manifest(repository, &name) {
        Err(RegistryError::ManifestUnknown(_)) => return Ok(Err(absent())),
        other => other?,
    };
    if selected.digest.is_some_and(|digest| digest != manifest.digest) {
        return Ok(Err(absent()));
    }
    Ok(Ok(Image {
        image_id: Some(ImageIdentifier {
            image_digest: Some(manifest.digest.to_string()),
            image_tag: selected.tag,
        }),
        image_manifest: Some(String::from_utf8_lossy(&manifest.content).into_owned()),
        image_manifest_media_type: Some(manifest.media_type),
        registry_id: Some(ACCOUNT.to_owned()),
        repository_name: Some(repository.name().to_owned()),
    }))
}

pub(super) async fn delete(
    context: &Context,
    call: &CallContext,
    input: &BatchDeleteImageRequest,
) -> Result<BatchDeleteImageResponse, ApiError> {
    let host = context.registry()?;
    let known = known(context, call, input.registry_id.as_deref(), &input.repository_name).await?;
    let (mut wanted, mut failures) = (Vec::new(), Vec::new());
    for id in &input.image_ids {
        match selected(id) {
            Ok(selected) => wanted.push((id.clone(), selected)),
            Err((code, reason)) => failures.push(failure(id.clone(), code, reason)),
        }
    }
    let name = known.name.clone();
    let all: Vec<Selected> = wanted.iter().map(|(_, selected)| selected.clone()).collect();
    let outcomes = host.with(move |registry| registry.delete(&name, &all)).await.map_err(internal)?;
    let mut deleted = Vec::new();
    for ((id, _), outcome) in wanted.into_iter().zip(outcomes) {
        let gone =
            |digest: Digest, tag| ImageIdentifier { image_digest: Some(digest.to_string()), image_tag: tag };
        match outcome {
            Deleted::Tag { tag, digest } => deleted.push(gone(digest, Some(tag))),
            Deleted::Image { digest, tags } if tags.is_empty() => deleted.push(gone(digest, None)),
            Deleted::Image { digest, tags } => {
                deleted.extend(tags.into_iter().map(|tag| gone(digest, Some(tag))));
            }
            Deleted::NotFound => {
                let (code, reason) = absent();
                failures.push(failure(id, code, reason));
            }
            Deleted::Mismatch => failures.push(failure(
                id,
                "ImageTagDoesNotMatchDigest",
                "The image tag does not lead to the image digest".to_owned(),
            )),
            Deleted::Referenced(lists) => {
                let lists: Vec<String> = lists.iter().map(Digest::to_string).collect();
                failures.push(failure(
                    id,
                    "ImageReferencedByManifestList",
                    format!("Requested image referenced by manifest list: [{}]", lists.join(", ")),
                ));
            }
        }
    }
    Ok(BatchDeleteImageResponse { image_ids: Some(deleted), failures: Some(failures) })
}

fn selected(id: &ImageIdentifier) -> Result<Selected, Failure> {
    let digest = id.image_digest.as_ref().map(|digest| {
        digest.parse().map_err(|error: gantry_images::DigestError| {
            ("InvalidImageDigest", format!("Invalid request parameters: {error}"))
        })
    });
    let selected = Selected { tag: id.image_tag.clone(), digest: digest.transpose()? };
    if selected.tag.is_none() && selected.digest.is_none() { Err(neither()) } else { Ok(selected) }
}

fn neither() -> Failure {
    ("MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null".to_owned())
}

fn absent() -> Failure {
    ("ImageNotFound", "Requested image not found".to_owned())
}

fn failure(id: ImageIdentifier, code: &str, reason: String) -> ImageFailure {
    ImageFailure { failure_code: Some(code.to_owned()), failure_reason: Some(reason), image_id: Some(id) }
}

pub(super) async fn put(
    context: &Context,
    call: &CallContext,
    input: &PutImageRequest,
) -> Result<PutImageResponse, ApiError> {
    let host = context.registry()?;
    let known = known(context, call, input.registry_id.as_deref(), &input.repository_name).await?;
    let content = input.image_manifest.clone().into_bytes();
    let digest = Digest::of(&content);
    let expected = input.image_digest.as_deref().map(str::parse::<Digest>).transpose();
    if expected.map_err(|error| invalid(error.to_string()))?.is_some_and(|expected| expected != digest) {
        return Err(errors::image_digest_does_not_match_exception(format!(
            "The image digest '{}' does not match the digest of the manifest, '{digest}'",
            input.image_digest.as_deref().unwrap_or_default()
        )));
    }
    let name = match &input.image_tag {
        Some(tag) => ImageName::parse(tag).map_err(|error| invalid(error.to_string()))?,
        None => ImageName::Digest(digest),
    };
    if let (Some(tag), ImageName::Digest(_)) = (&input.image_tag, &name) {
        return Err(invalid(format!("'{tag}' is a digest, not a tag")));
    }
    let (repository, media_type, now) =
        (known.name.clone(), input.image_manifest_media_type.clone(), call.now);
    let overwrite = match &input.image_tag {
        Some(tag) => context.push_rules(&known.name)?.overwrite(tag),
        None => gantry_images::registry::Overwrite::Allowed,
    };
    let outcome = host
        .with(move |registry| {
            registry.put_manifest(&PutManifest {
                repository: &repository,
                name,
                content: &content,
                media_type: media_type.as_deref(),
                overwrite,
                now,
            })
        })
        .await
        .map_err(put_error)?;
    if outcome.was_there {
        return Err(errors::image_already_exists_exception(format!(
            "Image with digest '{digest}' and tag '{}' already exists in the repository with name '{}' in registry with id \
             '{ACCOUNT}'",
            input.image_tag.as_deref().unwrap_or("null"),
            known.name.name()
        )));
    }
    Ok(PutImageResponse {
        image: Some(Image {
            image_id: Some(ImageIdentifier {
                image_digest: Some(digest.to_string()),
                image_tag: input.image_tag.clone(),
            }),
            image_manifest: Some(input.image_manifest.clone()),
            image_manifest_media_type: Some(outcome.media_type),
            registry_id: Some(ACCOUNT.to_owned()),
            repository_name: Some(known.name.name().to_owned()),
        }),
    })
}

fn put_error(error: RegistryError) -> ApiError {
    match error {
        RegistryError::TagImmutable { .. } => errors::image_tag_already_exists_exception(error.to_string()),
        RegistryError::ManifestBlobUnknown(digest) => errors::layers_not_found_exception(format!(
            "The specified layers or images could not be found: {digest}"
        )),
        RegistryError::Manifest(_) | RegistryError::TooLarge { .. } | RegistryError::Tag(_) => {
            invalid(format!("Invalid parameter at 'ImageManifest' failed to satisfy constraint: '{error}'"))
        }
        error => internal(error),
    }
}
