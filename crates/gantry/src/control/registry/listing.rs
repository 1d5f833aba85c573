//! Lists: repositories, tags, and what refers to an image.

use std::collections::BTreeSet;

use gantry_images::media_type;
use http::{Response, StatusCode, header};
use serde_json::json;

use super::super::outgoing::Outgoing;
use super::blobs::parse;
use super::problem::Problem;
use super::receive::blocking;
use super::{Asked, json as answer, set, typed};

pub(super) async fn catalogue(asked: &Asked<'_>) -> Result<Response<Outgoing>, Problem> {
    let (registry, region) = (asked.host.registry.clone(), asked.region.clone());
    let with_images = blocking(move || registry.repositories(&region)).await?;
    let failed = |error: gantry_wire::ApiError| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", error.message)
    };
    let created = asked.context.created_repositories(&asked.region).map_err(failed)?;
    let all: BTreeSet<String> = with_images.into_keys().chain(created).collect();
    let (names, next) = page(asked, all.into_iter().collect())?;
    let mut response = answer(StatusCode::OK, json!({ "repositories": names }).to_string());
    link(asked, &mut response, next);
    Ok(response)
}

pub(super) async fn tags(asked: &Asked<'_>, repository: &str) -> Result<Response<Outgoing>, Problem> {
    let repository = asked.to_read(repository).await?;
    let (registry, name) = (asked.host.registry.clone(), repository.name().to_owned());
    let (tags, next) = page(asked, blocking(move || registry.tags(&repository)).await?)?;
    let mut response = answer(StatusCode::OK, json!({ "name": name, "tags": tags }).to_string());
    link(asked, &mut response, next);
    Ok(response)
}

pub(super) async fn referrers(
    asked: &Asked<'_>,
    repository: &str,
    digest: &str,
) -> Result<Response<Outgoing>, Problem> {
    let repository = asked.to_read(repository).await?;
    let digest = parse(digest)?;
    let registry = asked.host.registry.clone();
    let found = blocking(move || registry.referrers(&repository, &digest)).await?;
    let wanted = asked.parameter("artifactType");
    let manifests: Vec<_> = found
        .into_iter()
        .filter(|referrer| wanted.is_none() || referrer.artifact_type == wanted)
        .map(|referrer| {
            let mut descriptor = json!(referrer.descriptor);
            descriptor["artifactType"] = json!(referrer.artifact_type);
            descriptor
        })
        .collect();
    let index = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests });
    let mut response = typed(StatusCode::OK, media_type::OCI_INDEX, index.to_string());
    if wanted.is_some() {
        set(response.headers_mut(), "oci-filters-applied", "artifactType");
    }
    Ok(response)
}

/// The names behind `last`, as many as `n` allows; and the last of them if there are more.
fn page(asked: &Asked<'_>, names: Vec<String>) -> Result<(Vec<String>, Option<String>), Problem> {
    let most = asked.desk.limits.page_max;
    let size = match asked.parameter("n") {
        None => most,
        Some(n) => n.parse::<usize>().map(|n| n.min(most)).map_err(|_| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "PAGINATION_NUMBER_INVALID",
                "The parameter n is no number.",
            )
        })?,
    };
    let last = asked.parameter("last").unwrap_or_default();
    let mut names: Vec<String> = names.into_iter().filter(|name| *name > last).collect();
    let is_more = names.len() > size;
    names.truncate(size);
    let next = names.last().cloned().filter(|_| is_more);
    Ok((names, next))
}

/// Leads to the next page.
fn link(asked: &Asked<'_>, response: &mut Response<Outgoing>, next: Option<String>) {
    if let Some(last) = next {
        let n = asked.parameter("n").unwrap_or_else(|| asked.desk.limits.page_max.to_string());
        let target = format!("<{}?last={last}&n={n}>; rel=\"next\"", asked.head.uri.path());
        set(response.headers_mut(), header::LINK, &target);
    }
}
