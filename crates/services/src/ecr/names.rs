//! Finding repositories, and AWS's words for what is not there.

use gantry_api::ecr::errors;
use gantry_api::{ApiError, CallContext};
use gantry_domain::View;
use gantry_images::registry::{RegistryError, RepositoryName};
use gantry_types::ACCOUNT;

use super::records::{self, Record};
use super::registry::RegistryHost;
use crate::Context;
use crate::objects::Found;

pub(super) fn not_found(name: &str, registry_id: Option<&str>) -> ApiError {
    let id = registry_id.unwrap_or(ACCOUNT);
    errors::repository_not_found_exception(format!(
        "The repository with name '{name}' does not exist in the registry with id '{id}'"
    ))
}

pub(super) fn invalid(message: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(message)
}

/// A repository that is there, and what is known of it.
pub(super) struct Known {
    pub(super) name: RepositoryName,
    /// With default settings if it has images alone.
    pub(super) record: Record,
}

/// The name, if the call means this registry.
pub(super) fn name(
    call: &CallContext,
    registry_id: Option<&str>,
    name: &str,
) -> Result<RepositoryName, ApiError> {
    if registry_id.is_some_and(|id| id != ACCOUNT) {
        return Err(not_found(name, registry_id));
    }
    RepositoryName::new(call.region.as_str(), name).map_err(|error| {
        invalid(format!("Invalid parameter at 'repositoryName' failed to satisfy constraint: '{error}'"))
    })
}

/// A repository that was created or has images.
pub(super) async fn known(
    context: &Context,
    call: &CallContext,
    registry_id: Option<&str>,
    given: &str,
) -> Result<Known, ApiError> {
    let name = name(call, registry_id, given)?;
    let record = context.read(|view| records::find(view, name.region(), name.name()))?;
    if let Some(found) = record {
        return Ok(Known { name, record: found.document });
    }
    let host = context.registry()?;
    let asked = name.clone();
    let images = host.with(move |registry| registry.images(&asked)).await.map_err(internal)?;
    match images.iter().map(|image| image.pushed_at).min() {
        Some(first) => {
            let record = Record::new(name.region(), name.name(), first);
            Ok(Known { name, record })
        }
        None => Err(not_found(given, None)),
    }
}

/// The record that a change begins with. A repository with images alone gets one by its first change.
pub(super) fn record(view: &View, known: &Known) -> Result<(Option<Found<Record>>, Record), ApiError> {
    let found = records::find(view, known.name.region(), known.name.name())?;
    let document = found.as_ref().map_or_else(|| known.record.clone(), |found| found.document.clone());
    Ok((found, document))
}

/// Changes a repository's record and gives what `change` gave.
pub(super) async fn change<T: gantry_api::IntoValue + Clone>(
    context: &Context,
    known: &Known,
    change: impl Fn(&mut Record) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    let decide = |view: &View, _: &mut gantry_types::Ids| {
        let (found, mut document) = record(view, known)?;
        let output = change(&mut document)?;
        let class = records::class(known.name.region());
        let written = match found {
            Some(found) => Found { document, ..found }.update(),
            None => crate::objects::create(&class, known.name.name(), document),
        };
        Ok((output, vec![written]))
    };
    context.answer(decide).await
}

/// What the registry could not do and is not about the call.
pub(super) fn internal(error: RegistryError) -> ApiError {
    match error {
        RegistryError::NoRoom => errors::server_exception(error.to_string()),
        error => {
            tracing::error!("the registry: {error}");
            errors::server_exception(error.to_string())
        }
    }
}

pub(super) fn shown(
    host: &RegistryHost,
    name: &RepositoryName,
    record: &Record,
) -> gantry_api::ecr::Repository {
    let mut shown = record.shown.clone();
    shown.repository_uri = Some(host.uri(name.region(), name.name()));
    shown
}
