//! Creating, describing, setting and deleting repositories.

use std::collections::BTreeMap;

use gantry_api::ecr::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_domain::object::Object;
use gantry_types::{ACCOUNT, Ids};

use super::names::{self, internal, invalid, known, not_found, shown};
use super::records::{self, Record};
use super::tags::check_tags;
use crate::Context;
use crate::objects;
use crate::page::page;

const REPOSITORIES_MAX: usize = 10_000;
const PAGE_DEFAULT: usize = 100;

pub(super) async fn create(
    context: &Context,
    call: &CallContext,
    input: &CreateRepositoryRequest,
) -> Result<CreateRepositoryResponse, ApiError> {
    let host = context.registry()?;
    let name = names::name(call, input.registry_id.as_deref(), &input.repository_name)?;
    let tags = input.tags.clone().unwrap_or_default();
    check_tags(call, &tags)?;
    let mut made = Record::new(name.region(), name.name(), call.now);
    made.tags = tags;
    set_mutability(
        &mut made,
        input.image_tag_mutability.as_deref(),
        input.image_tag_mutability_exclusion_filters.clone(),
    )?;
    if let Some(scanning) = &input.image_scanning_configuration {
        made.shown.image_scanning_configuration =
            Some(ImageScanningConfiguration { scan_on_push: Some(scanning.scan_on_push == Some(true)) });
    }
    if let Some(encryption) = &input.encryption_configuration {
        if encryption.encryption_type == "AES256" && encryption.kms_key.is_some() {
            return Err(invalid("Invalid parameter: a KMS key is given, but the encryption type is AES256"));
        }
        made.shown.encryption_configuration = Some(encryption.clone());
    }
    let answer = CreateRepositoryResponse { repository: Some(shown(host, &name, &made)) };
    let decide = |view: &View, _: &mut Ids| {
        if records::find(view, name.region(), name.name())?.is_some() {
            return Err(errors::repository_already_exists_exception(format!(
                "The repository with name '{}' already exists in the registry with id '{ACCOUNT}'",
                name.name()
            )));
        }
        let class = records::class(name.region());
        if view.scan::<Object>(&format!("{class}/")).count() >= REPOSITORIES_MAX {
            return Err(errors::limit_exceeded_exception(format!(
                "The registry with id '{ACCOUNT}' already has the maximum allowed number of repositories, which is \
                 {REPOSITORIES_MAX}"
            )));
        }
        Ok((answer.clone(), vec![objects::create(&class, name.name(), made.clone())]))
    };
    context.answer(decide).await
}

/// The images go first: what a crash leaves is a repository without images, and the call can be repeated.
pub(super) async fn delete(
    context: &Context,
    call: &CallContext,
    input: &DeleteRepositoryRequest,
) -> Result<DeleteRepositoryResponse, ApiError> {
    let host = context.registry()?;
    let known = known(context, call, input.registry_id.as_deref(), &input.repository_name).await?;
    let (name, force) = (known.name.clone(), input.force == Some(true));
    let is_empty = host
        .with(move |registry| {
            if force {
                registry.delete_all(&name)?;
            }
            registry.is_empty(&name)
        })
        .await
        .map_err(internal)?;
    if !is_empty {
        return Err(errors::repository_not_empty_exception(format!(
            "The repository with name '{}' in registry with id '{ACCOUNT}' cannot be deleted because it still contains \
             images",
            known.name.name()
        )));
    }
    let answer = DeleteRepositoryResponse { repository: Some(shown(host, &known.name, &known.record)) };
    let decide = |view: &View, _: &mut Ids| {
        let found = records::find(view, known.name.region(), known.name.name())?;
        Ok((answer.clone(), found.iter().map(objects::Found::delete).collect()))
    };
    context.answer(decide).await
}

pub(super) async fn describe(
    context: &Context,
    call: &CallContext,
    input: &DescribeRepositoriesRequest,
) -> Result<DescribeRepositoriesResponse, ApiError> {
    let host = context.registry()?;
    let registry_id = input.registry_id.as_deref();
    if let Some(wanted) = &input.repository_names {
        if input.max_results.is_some() || input.next_token.is_some() {
            return Err(invalid(
                "Invalid parameter: maxResults and nextToken cannot be given together with repositoryNames",
            ));
        }
        let mut repositories = Vec::with_capacity(wanted.len());
        for name in wanted {
            let known = known(context, call, registry_id, name).await?;
            repositories.push(shown(host, &known.name, &known.record));
        }
        return Ok(DescribeRepositoriesResponse { next_token: None, repositories: Some(repositories) });
    }
    if registry_id.is_some_and(|id| id != ACCOUNT) {
        return Err(not_found("", registry_id));
    }
    let region = call.region.as_str().to_owned();
    let with_images = host.with(move |registry| registry.repositories(&region)).await.map_err(internal)?;
    let region = call.region.as_str();
    let mut all: BTreeMap<String, Record> = with_images
        .into_iter()
        .map(|(name, first)| (name.clone(), Record::new(region, &name, first)))
        .collect();
    for found in context.read(|view| records::list(view, region))? {
        all.insert(found.name, found.document);
    }
    let size = usize::try_from(input.max_results.unwrap_or(0)).ok().filter(|size| *size > 0);
    let page = page(
        all,
        |(name, _)| name.clone(),
        input.next_token.as_deref(),
        size.unwrap_or(PAGE_DEFAULT),
        || {
            invalid(
                "Invalid parameter at 'nextToken' failed to satisfy constraint: 'must be a token of this call'",
            )
        },
    )?;
    let repositories = page.items.into_iter().map(|(name, record)| {
        let mut repository = record.shown;
        repository.repository_uri = Some(host.uri(region, &name));
        repository
    });
    Ok(DescribeRepositoriesResponse { repositories: Some(repositories.collect()), next_token: page.next })
}

pub(super) async fn describe_registry(
    _context: &Context,
    _call: &CallContext,
    _input: &DescribeRegistryRequest,
) -> Result<DescribeRegistryResponse, ApiError> {
    Ok(DescribeRegistryResponse {
        registry_id: Some(ACCOUNT.to_owned()),
        replication_configuration: Some(ReplicationConfiguration { rules: Vec::new() }),
    })
}

pub(super) async fn put_mutability(
    context: &Context,
    call: &CallContext,
    input: &PutImageTagMutabilityRequest,
) -> Result<PutImageTagMutabilityResponse, ApiError> {
    let known = known(context, call, input.registry_id.as_deref(), &input.repository_name).await?;
    names::change(context, &known, |record| {
        let filters = input.image_tag_mutability_exclusion_filters.clone();
        set_mutability(record, Some(&input.image_tag_mutability), filters)?;
        Ok(PutImageTagMutabilityResponse {
            image_tag_mutability: record.shown.image_tag_mutability.clone(),
            image_tag_mutability_exclusion_filters: record
                .shown
                .image_tag_mutability_exclusion_filters
                .clone(),
            registry_id: Some(ACCOUNT.to_owned()),
            repository_name: Some(known.name.name().to_owned()),
        })
    })
    .await
}

fn set_mutability(
    record: &mut Record,
    kind: Option<&str>,
    filters: Option<Vec<ImageTagMutabilityExclusionFilter>>,
) -> Result<(), ApiError> {
    let kind = kind.unwrap_or("MUTABLE");
    let filters = filters.filter(|filters| !filters.is_empty());
    match (kind.ends_with("_WITH_EXCLUSION"), &filters) {
        (true, None) => {
            return Err(invalid(format!(
                "Invalid parameter at 'imageTagMutabilityExclusionFilters' failed to satisfy constraint: 'must be given \
                 for {kind}'"
            )));
        }
        (false, Some(_)) => {
            return Err(invalid(format!(
                "Invalid parameter at 'imageTagMutabilityExclusionFilters' failed to satisfy constraint: 'must not be \
                 given for {kind}'"
            )));
        }
        _ => {}
    }
    record.shown.image_tag_mutability = Some(kind.to_owned());
    record.shown.image_tag_mutability_exclusion_filters = filters;
    Ok(())
}

pub(super) async fn put_scanning(
    context: &Context,
    call: &CallContext,
    input: &PutImageScanningConfigurationRequest,
) -> Result<PutImageScanningConfigurationResponse, ApiError> {
    let known = known(context, call, input.registry_id.as_deref(), &input.repository_name).await?;
    let scanning = ImageScanningConfiguration {
        scan_on_push: Some(input.image_scanning_configuration.scan_on_push == Some(true)),
    };
    names::change(context, &known, |record| {
        record.shown.image_scanning_configuration = Some(scanning.clone());
        Ok(PutImageScanningConfigurationResponse {
            image_scanning_configuration: Some(scanning.clone()),
            registry_id: Some(ACCOUNT.to_owned()),
            repository_name: Some(known.name.name().to_owned()),
        })
    })
    .await
}
