//! Capacity providers: which there are, which belong to a cluster, and what a strategy of them means.

use gantry_api::ecs::*;
use gantry_api::{ApiError, CallContext, FromValue, IntoValue};
use gantry_domain::View;
use gantry_domain::service::{Cluster as ClusterRecord, Service as ServiceRecord, ServiceStatus};
use gantry_domain::task_definition::LaunchType;
use gantry_types::{Ids, arn};

use super::clusters::{change, missing};
use super::names::{cluster, invalid, invalid_token, page_size, short};
use crate::Decision;
use crate::page::page;

/// The providers that every account has. Others can't be made yet.
const BUILT_IN: [&str; 2] = ["FARGATE", "FARGATE_SPOT"];
const STRATEGY_ITEMS_MAX: usize = 20;

/// What RunTask, CreateService and UpdateService say about capacity.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Capacity {
    pub(super) launch_type: LaunchType,
    /// The capacity provider that was chosen, if a strategy led to one.
    pub(super) provider: Option<String>,
    /// The strategy that led there: given, or the cluster's default.
    pub(super) strategy: Option<Vec<CapacityProviderStrategyItem>>,
}

/// A launch type, or a capacity provider strategy, or the cluster's default strategy, or EC2: in AWS's order.
pub(super) fn capacity(
    cluster: &ClusterRecord,
    launch_type: Option<&str>,
    strategy: Option<&[CapacityProviderStrategyItem]>,
) -> Result<Capacity, ApiError> {
    let strategy = strategy.filter(|items| !items.is_empty());
    if launch_type.is_some() && strategy.is_some() {
        return Err(invalid(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
        ));
    }
    if let Some(text) = launch_type {
        let launch_type =
            LaunchType::parse(text).ok_or_else(|| invalid(format!("Invalid launch type '{text}'.")))?;
        return Ok(Capacity { launch_type, provider: None, strategy: None });
    }
    let default = default_strategy(cluster);
    if let Some(items) = strategy {
        check_strategy(items, &providers_of(cluster))?;
    }
    let items = strategy.unwrap_or(&default);
    if items.is_empty() {
        return Ok(Capacity { launch_type: LaunchType::Ec2, provider: None, strategy: None });
    }
    // All of Fargate is this machine: the heaviest item says what it is called.
    let weight =
        |item: &&CapacityProviderStrategyItem| (item.base.unwrap_or(0) > 0, item.weight.unwrap_or(0));
    let heaviest = items.iter().max_by_key(weight).map(|item| short(&item.capacity_provider).to_owned());
    Ok(Capacity { launch_type: LaunchType::Fargate, provider: heaviest, strategy: Some(items.to_vec()) })
}

pub(super) fn providers_of(cluster: &ClusterRecord) -> Vec<String> {
    let names = cluster.document.get("capacityProviders");
    names.and_then(|names| FromValue::from_value(names).ok()).unwrap_or_default()
}

pub(super) fn default_strategy(cluster: &ClusterRecord) -> Vec<CapacityProviderStrategyItem> {
    let items = cluster.document.get("defaultCapacityProviderStrategy");
    items.and_then(|items| FromValue::from_value(items).ok()).unwrap_or_default()
}

pub(super) fn check_providers(names: &[String]) -> Result<(), ApiError> {
    match names.iter().find(|name| !BUILT_IN.contains(&short(name))) {
        None => Ok(()),
        Some(_) => Err(not_found()),
    }
}

fn not_found() -> ApiError {
    invalid("The specified capacity provider was not found. Specify a valid name or ARN and try again.")
}

/// A strategy names providers of the cluster, each once, at most one with a base, and at least one with a weight.
pub(super) fn check_strategy(
    items: &[CapacityProviderStrategyItem],
    associated: &[String],
) -> Result<(), ApiError> {
    if items.len() > STRATEGY_ITEMS_MAX {
        return Err(invalid(format!(
            "A capacity provider strategy can contain at most {STRATEGY_ITEMS_MAX} capacity providers."
        )));
    }
    for (index, item) in items.iter().enumerate() {
        let name = short(&item.capacity_provider);
        if !BUILT_IN.contains(&name) {
            return Err(not_found());
        }
        if !associated.iter().any(|each| each == name) {
            return Err(invalid(
                "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. Associate the capacity provider with the cluster and try again.",
            ));
        }
        if items[..index].iter().any(|other| short(&other.capacity_provider) == name) {
            return Err(invalid(
                "The specified capacity provider strategy cannot contain duplicate capacity providers.",
            ));
        }
        let within = |value: Option<i32>, most: i32| (0..=most).contains(&value.unwrap_or(0));
        if !within(item.base, 100_000) || !within(item.weight, 1000) {
            return Err(invalid("A base is between 0 and 100000, a weight between 0 and 1000."));
        }
    }
    if items.iter().filter(|item| item.base.unwrap_or(0) > 0).count() > 1 {
        return Err(invalid(
            "Only one capacity provider in a capacity provider strategy can have a base defined.",
        ));
    }
    if items.len() > 1 && items.iter().all(|item| item.weight.unwrap_or(0) == 0) {
        return Err(invalid(
            "There are no capacity providers with a weight value greater than zero defined in the capacity provider strategy. At least one capacity provider must have a weight value greater than zero specified.",
        ));
    }
    Ok(())
}

pub(super) fn put(
    view: &View,
    call: &CallContext,
    input: &PutClusterCapacityProvidersRequest,
    _ids: &mut Ids,
) -> Decision<PutClusterCapacityProvidersResponse> {
    let found = cluster(view, call, Some(&input.cluster))?;
    check_providers(&input.capacity_providers)?;
    let names: Vec<String> = input.capacity_providers.iter().map(|name| short(name).to_owned()).collect();
    check_strategy(&input.default_capacity_provider_strategy, &names)?;
    let prefix = format!("{}/{}/", call.region, found.name);
    let in_use = view.scan::<ServiceRecord>(&prefix).any(|service| {
        let provider = service.primary().and_then(|primary| primary.document.get("capacityProviderName"));
        let provider = provider.and_then(gantry_types::Value::as_str);
        service.status == ServiceStatus::Active
            && provider.is_some_and(|provider| !names.iter().any(|name| name == provider))
    });
    if in_use {
        return Err(errors::resource_in_use_exception(
            "The specified capacity provider is in use and cannot be removed.",
        ));
    }
    let (cluster, changes) = change(view, found, |document| {
        document.set("capacityProviders", names.into_value());
        document.set(
            "defaultCapacityProviderStrategy",
            input.default_capacity_provider_strategy.clone().into_value(),
        );
    });
    Ok((PutClusterCapacityProvidersResponse { cluster }, changes))
}

pub(super) fn describe(
    _view: &View,
    call: &CallContext,
    input: &DescribeCapacityProvidersRequest,
) -> Result<DescribeCapacityProvidersResponse, ApiError> {
    let wanted = input.capacity_providers.as_deref().filter(|names| !names.is_empty());
    let arn = |name: &str| arn("ecs", call.region.as_str(), &format!("capacity-provider/{name}")).to_string();
    let is_wanted = |name: &&str| wanted.is_none_or(|names| names.iter().any(|each| short(each) == *name));
    let size = page_size(input.max_results, 10, 10)?;
    let found = BUILT_IN.into_iter().filter(is_wanted);
    let page = page(found, |name| (*name).to_owned(), input.next_token.as_deref(), size, invalid_token)?;
    let providers = page.items.into_iter().map(|name| CapacityProvider {
        capacity_provider_arn: Some(arn(name)),
        name: Some(name.to_owned()),
        status: Some("ACTIVE".to_owned()),
        ..CapacityProvider::default()
    });
    let unknown = wanted.unwrap_or_default().iter().filter(|each| !BUILT_IN.contains(&short(each)));
    Ok(DescribeCapacityProvidersResponse {
        capacity_providers: Some(providers.collect()),
        failures: Some(unknown.map(|each| missing(&arn(short(each)))).collect()),
        next_token: page.next,
    })
}
