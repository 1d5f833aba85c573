//! Clusters, and the capacity that stands behind them.

use gantry_api::ecs::*;
use gantry_api::{ApiError, CallContext, FromValue, IntoValue};
use gantry_domain::service::{Cluster as ClusterRecord, ServiceStatus};
use gantry_domain::task::{DesiredStatus, Task, TaskStatus};
use gantry_domain::{Change, Key, Versioned, View};
use gantry_types::{Ids, Value, arn};

use super::names::{
    DEFAULT_CLUSTER, cluster, cluster_name, invalid, invalid_token, is_name, page_size, short,
};
use super::tags::{check_tags, tags_value};
use crate::Decision;
use crate::page::page;

/// The providers that every cluster may use without making them.
const BUILT_IN_PROVIDERS: [&str; 2] = ["FARGATE", "FARGATE_SPOT"];
const DESCRIBE_MAX: usize = 100;

pub(super) fn create(
    view: &View,
    call: &CallContext,
    input: &CreateClusterRequest,
    _ids: &mut Ids,
) -> Decision<CreateClusterResponse> {
    let name = input.cluster_name.as_deref().unwrap_or(DEFAULT_CLUSTER);
    if !is_name(name, 255) {
        return Err(invalid(
            "Invalid cluster name: it must be up to 255 letters, numbers, hyphens and underscores.",
        ));
    }
    check_tags(input.tags.as_deref())?;
    check_providers(input.capacity_providers.as_deref().unwrap_or_default())?;
    let key = Key::cluster(&call.region, &name.into());
    let existing = view.get::<ClusterRecord>(&key);
    if let Some(cluster) = existing.filter(|cluster| cluster.active) {
        // The same name again gives the cluster that there is.
        return Ok((
            CreateClusterResponse { cluster: Some(describe_one(view, cluster.value(), &[])) },
            vec![],
        ));
    }
    let mut document = Value::map();
    document.set("configuration", input.configuration.clone().into_value());
    document.set("capacityProviders", input.capacity_providers.clone().into_value());
    document.set(
        "defaultCapacityProviderStrategy",
        input.default_capacity_provider_strategy.clone().into_value(),
    );
    document.set("settings", input.settings.clone().unwrap_or_else(default_settings).into_value());
    document.set("tags", tags_value(input.tags.as_deref()));
    let record = ClusterRecord {
        region: call.region.clone(),
        name: name.into(),
        arn: arn("ecs", call.region.as_str(), &format!("cluster/{name}")),
        active: true,
        document,
    };
    let output =
        describe_one(view, &record, &["TAGS".to_owned(), "SETTINGS".to_owned(), "CONFIGURATIONS".to_owned()]);
    let change = match existing {
        Some(inactive) => Change::update(record, inactive.revision),
        None => Change::create(record),
    };
    Ok((CreateClusterResponse { cluster: Some(output) }, vec![change]))
}

fn default_settings() -> Vec<ClusterSetting> {
    vec![ClusterSetting { name: Some("containerInsights".to_owned()), value: Some("disabled".to_owned()) }]
}

fn check_providers(names: &[String]) -> Result<(), ApiError> {
    match names.iter().find(|name| !BUILT_IN_PROVIDERS.contains(&name.as_str())) {
        None => Ok(()),
        Some(_) => Err(invalid(
            "The specified capacity provider was not found. Specify a valid name or ARN and try again.",
        )),
    }
}

pub(super) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteClusterRequest,
    _ids: &mut Ids,
) -> Decision<DeleteClusterResponse> {
    let found = cluster(view, call, Some(&input.cluster))?;
    let prefix = format!("{}/{}/", call.region, found.name);
    let services = view.scan::<gantry_domain::service::Service>(&prefix);
    if services.into_iter().any(|service| service.status != ServiceStatus::Inactive) {
        return Err(errors::cluster_contains_services_exception(
            "The Cluster cannot be deleted while Services are active.",
        ));
    }
    if view.tasks_of_cluster(&call.region, &found.name).any(|task| !task.is_stopped()) {
        return Err(errors::cluster_contains_tasks_exception(
            "The Cluster cannot be deleted while Tasks are active.",
        ));
    }
    let mut record = found.value().clone();
    record.active = false;
    let output = describe_one(view, &record, &[]);
    Ok((DeleteClusterResponse { cluster: Some(output) }, vec![Change::update(record, found.revision)]))
}

/// Changes a cluster's document and gives the cluster back.
fn change(
    view: &View,
    found: Versioned<'_, ClusterRecord>,
    edit: impl FnOnce(&mut Value),
) -> (Option<Cluster>, Vec<Change>) {
    let mut record = found.value().clone();
    edit(&mut record.document);
    let shown =
        describe_one(view, &record, &["SETTINGS".to_owned(), "CONFIGURATIONS".to_owned(), "TAGS".to_owned()]);
    (Some(shown), vec![Change::update(record, found.revision)])
}

pub(super) fn update(
    view: &View,
    call: &CallContext,
    input: &UpdateClusterRequest,
    _ids: &mut Ids,
) -> Decision<UpdateClusterResponse> {
    let found = cluster(view, call, Some(&input.cluster))?;
    let (cluster, changes) = change(view, found, |document| {
        if let Some(settings) = &input.settings {
            document.set("settings", settings.clone().into_value());
        }
        if let Some(configuration) = &input.configuration {
            document.set("configuration", configuration.clone().into_value());
        }
    });
    Ok((UpdateClusterResponse { cluster }, changes))
}

pub(super) fn update_settings(
    view: &View,
    call: &CallContext,
    input: &UpdateClusterSettingsRequest,
    _ids: &mut Ids,
) -> Decision<UpdateClusterSettingsResponse> {
    let found = cluster(view, call, Some(&input.cluster))?;
    let (cluster, changes) =
        change(view, found, |document| document.set("settings", input.settings.clone().into_value()));
    Ok((UpdateClusterSettingsResponse { cluster }, changes))
}

pub(super) fn put_capacity_providers(
    view: &View,
    call: &CallContext,
    input: &PutClusterCapacityProvidersRequest,
    _ids: &mut Ids,
) -> Decision<PutClusterCapacityProvidersResponse> {
    let found = cluster(view, call, Some(&input.cluster))?;
    check_providers(&input.capacity_providers)?;
    let (cluster, changes) = change(view, found, |document| {
        document.set("capacityProviders", input.capacity_providers.clone().into_value());
        document.set(
            "defaultCapacityProviderStrategy",
            input.default_capacity_provider_strategy.clone().into_value(),
        );
    });
    Ok((PutClusterCapacityProvidersResponse { cluster }, changes))
}

pub(super) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeClustersRequest,
) -> Result<DescribeClustersResponse, ApiError> {
    let include = input.include.as_deref().unwrap_or_default();
    let default = [DEFAULT_CLUSTER.to_owned()];
    let names = input.clusters.as_deref().filter(|names| !names.is_empty()).unwrap_or(&default);
    if names.len() > DESCRIBE_MAX {
        return Err(invalid("Clusters cannot have more than 100 elements."));
    }
    let (mut clusters, mut failures) = (Vec::new(), Vec::new());
    for given in names {
        match view.cluster(&call.region, &cluster_name(Some(given))) {
            Some(cluster) => clusters.push(describe_one(view, cluster.value(), include)),
            None => {
                let arn = arn("ecs", call.region.as_str(), &format!("cluster/{}", short(given)));
                failures.push(missing(arn.as_str()));
            }
        }
    }
    Ok(DescribeClustersResponse { clusters: Some(clusters), failures: Some(failures) })
}

pub(super) fn missing(arn: &str) -> Failure {
    Failure { arn: Some(arn.to_owned()), reason: Some("MISSING".to_owned()), detail: None }
}

fn describe_one(view: &View, record: &ClusterRecord, include: &[String]) -> Cluster {
    let shows = |what: &str| include.iter().any(|each| each == what);
    let member = |name: &str| record.document.get(name).cloned().unwrap_or_default();
    let tasks: Vec<&Task> =
        view.tasks_of_cluster(&record.region, &record.name).map(|task| task.value()).collect();
    let count =
        |wanted: &dyn Fn(&Task) -> bool| i32::try_from(tasks.iter().filter(|task| wanted(task)).count()).ok();
    let services =
        view.scan::<gantry_domain::service::Service>(&format!("{}/{}/", record.region, record.name));
    let active = services.filter(|service| service.status != ServiceStatus::Inactive).count();
    let statistics = shows("STATISTICS").then(Vec::new);
    Cluster {
        cluster_arn: Some(record.arn.to_string()),
        cluster_name: Some(record.name.to_string()),
        status: Some(if record.active { "ACTIVE" } else { "INACTIVE" }.to_owned()),
        active_services_count: i32::try_from(active).ok(),
        running_tasks_count: count(&|task| task.last_status == TaskStatus::Running),
        pending_tasks_count: count(&|task| {
            task.desired_status == DesiredStatus::Running && task.last_status < TaskStatus::Running
        }),
        registered_container_instances_count: Some(0),
        statistics: statistics.or_else(|| Some(vec![])),
        settings: if shows("SETTINGS") {
            FromValue::from_value(&member("settings")).ok()
        } else {
            Some(vec![])
        },
        configuration: if shows("CONFIGURATIONS") {
            FromValue::from_value(&member("configuration")).ok()
        } else {
            None
        },
        tags: if shows("TAGS") { FromValue::from_value(&member("tags")).ok() } else { Some(vec![]) },
        capacity_providers: Some(FromValue::from_value(&member("capacityProviders")).unwrap_or_default()),
        default_capacity_provider_strategy: Some(
            FromValue::from_value(&member("defaultCapacityProviderStrategy")).unwrap_or_default(),
        ),
        ..Cluster::default()
    }
}

pub(super) fn list(
    view: &View,
    call: &CallContext,
    input: &ListClustersRequest,
) -> Result<ListClustersResponse, ApiError> {
    let clusters = view.scan::<ClusterRecord>(&format!("{}/", call.region)).filter(|cluster| cluster.active);
    let arns = clusters.map(|cluster| cluster.arn.to_string());
    let size = page_size(input.max_results, 100, 100)?;
    let page = page(arns, String::clone, input.next_token.as_deref(), size, invalid_token)?;
    Ok(ListClustersResponse { cluster_arns: Some(page.items), next_token: page.next })
}

pub(super) fn describe_capacity_providers(
    _view: &View,
    call: &CallContext,
    input: &DescribeCapacityProvidersRequest,
) -> Result<DescribeCapacityProvidersResponse, ApiError> {
    let wanted = input.capacity_providers.as_deref().filter(|names| !names.is_empty());
    let arn = |name: &str| arn("ecs", call.region.as_str(), &format!("capacity-provider/{name}")).to_string();
    let is_wanted = |name: &str| wanted.is_none_or(|names| names.iter().any(|each| short(each) == name));
    let providers =
        BUILT_IN_PROVIDERS.into_iter().filter(|name| is_wanted(name)).map(|name| CapacityProvider {
            capacity_provider_arn: Some(arn(name)),
            name: Some(name.to_owned()),
            status: Some("ACTIVE".to_owned()),
            ..CapacityProvider::default()
        });
    let failures =
        wanted.unwrap_or_default().iter().filter(|each| !BUILT_IN_PROVIDERS.contains(&short(each)));
    Ok(DescribeCapacityProvidersResponse {
        capacity_providers: Some(providers.collect()),
        failures: Some(failures.map(|each| missing(&arn(short(each)))).collect()),
        next_token: None,
    })
}

/// Fargate's machines are not container instances of the cluster, and no others can be registered yet.
pub(super) fn list_container_instances(
    view: &View,
    call: &CallContext,
    input: &ListContainerInstancesRequest,
) -> Result<ListContainerInstancesResponse, ApiError> {
    cluster(view, call, input.cluster.as_deref())?;
    Ok(ListContainerInstancesResponse { container_instance_arns: Some(vec![]), next_token: None })
}

pub(super) fn describe_container_instances(
    view: &View,
    call: &CallContext,
    input: &DescribeContainerInstancesRequest,
) -> Result<DescribeContainerInstancesResponse, ApiError> {
    let cluster = cluster(view, call, input.cluster.as_deref())?;
    let arn = |id: &str| {
        let resource = format!("container-instance/{}/{}", cluster.name, short(id));
        arn("ecs", call.region.as_str(), &resource).to_string()
    };
    let failures = input.container_instances.iter().map(|id| missing(&arn(id))).collect();
    Ok(DescribeContainerInstancesResponse { container_instances: Some(vec![]), failures: Some(failures) })
}
