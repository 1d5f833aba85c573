//! Clusters.

use gantry_api::ecs::*;
use gantry_api::{ApiError, CallContext, FromValue, IntoValue};
use gantry_domain::service::{Cluster as ClusterRecord, Service as ServiceRecord, ServiceStatus};
use gantry_domain::task::{DesiredStatus, Task, TaskStatus};
use gantry_domain::task_definition::LaunchType;
use gantry_domain::{Change, Key, Versioned, View};
use gantry_types::{Ids, Value, arn};

use super::names::{
    DEFAULT_CLUSTER, arn_of, cluster, cluster_name, invalid, invalid_token, is_name, page_size,
    refuse_unsupported, short,
};
use super::providers::{check_providers, check_strategy, default_strategy, providers_of};
use super::tags::{check_tags, tags_of, tags_value};
use crate::Decision;
use crate::page::page;
use crate::ties::{tie, untied};

const DESCRIBE_MAX: usize = 100;
const INSIGHTS: [&str; 3] = ["disabled", "enabled", "enhanced"];
/// The kind of the ties between a cluster and what is made in it.
const TIE: &str = "ecs-cluster";

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
    check_tags(call, input.tags.as_deref())?;
    refuse_unsupported(&[("serviceConnectDefaults", input.service_connect_defaults.is_some())])?;
    check_settings(input.settings.as_deref())?;
    let providers = input.capacity_providers.clone().unwrap_or_default();
    check_providers(&providers)?;
    let providers: Vec<String> = providers.iter().map(|name| short(name).to_owned()).collect();
    check_strategy(input.default_capacity_provider_strategy.as_deref().unwrap_or_default(), &providers)?;
    let key = Key::cluster(&call.region, &name.into());
    let existing = view.get::<ClusterRecord>(&key);
    if let Some(cluster) = existing.filter(|cluster| cluster.active) {
        // The same name again gives the cluster that there is.
        let shown = describe_one(view, cluster.value(), &[]);
        return Ok((CreateClusterResponse { cluster: Some(shown) }, vec![]));
    }
    let mut document = Value::map();
    document.set("configuration", input.configuration.clone().into_value());
    document.set("capacityProviders", providers.into_value());
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
    let output = describe_one(view, &record, &whole());
    let change = match existing {
        Some(inactive) => Change::update(record, inactive.revision),
        None => Change::create(record),
    };
    Ok((CreateClusterResponse { cluster: Some(output) }, vec![change]))
}

/// What the answer to a change shows.
fn whole() -> [String; 3] {
    ["TAGS", "SETTINGS", "CONFIGURATIONS"].map(str::to_owned)
}

fn check_settings(given: Option<&[ClusterSetting]>) -> Result<(), ApiError> {
    for setting in given.unwrap_or_default() {
        let (name, value) = (setting.name.as_deref().unwrap_or(""), setting.value.as_deref().unwrap_or(""));
        if name != "containerInsights" || !INSIGHTS.contains(&value) {
            return Err(invalid(format!("Invalid cluster setting: '{name}' = '{value}'.")));
        }
    }
    Ok(())
}

/// Part of every commit that makes something in a cluster: the cluster is as it was read, and its deletion conflicts.
pub(super) fn rest_on(cluster: &Versioned<'_, ClusterRecord>) -> [Change; 2] {
    [
        Change::check(Key::cluster(&cluster.region, &cluster.name), cluster.revision),
        tie(TIE, cluster.arn.as_str()),
    ]
}

fn settings_of(record: &ClusterRecord) -> Vec<ClusterSetting> {
    let settings = record.document.get("settings");
    settings.and_then(|settings| FromValue::from_value(settings).ok()).unwrap_or_default()
}

fn default_settings() -> Vec<ClusterSetting> {
    vec![ClusterSetting { name: Some("containerInsights".to_owned()), value: Some("disabled".to_owned()) }]
}

pub(super) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteClusterRequest,
    _ids: &mut Ids,
) -> Decision<DeleteClusterResponse> {
    let found = cluster(view, call, Some(&input.cluster))?;
    let prefix = format!("{}/{}/", call.region, found.name);
    let services = view.scan::<ServiceRecord>(&prefix);
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
    let untied = untied(view, TIE, record.arn.as_str());
    Ok((
        DeleteClusterResponse { cluster: Some(output) },
        vec![Change::update(record, found.revision), untied],
    ))
}

/// Changes a cluster's document and gives the cluster back.
pub(super) fn change(
    view: &View,
    found: Versioned<'_, ClusterRecord>,
    edit: impl FnOnce(&mut Value),
) -> (Option<Cluster>, Vec<Change>) {
    let mut record = found.value().clone();
    edit(&mut record.document);
    let shown = describe_one(view, &record, &whole());
    (Some(shown), vec![Change::update(record, found.revision)])
}

pub(super) fn update(
    view: &View,
    call: &CallContext,
    input: &UpdateClusterRequest,
    _ids: &mut Ids,
) -> Decision<UpdateClusterResponse> {
    refuse_unsupported(&[("serviceConnectDefaults", input.service_connect_defaults.is_some())])?;
    check_settings(input.settings.as_deref())?;
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
    check_settings(Some(&input.settings))?;
    let found = cluster(view, call, Some(&input.cluster))?;
    let (cluster, changes) =
        change(view, found, |document| document.set("settings", input.settings.clone().into_value()));
    Ok((UpdateClusterSettingsResponse { cluster }, changes))
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
        let name = cluster_name(call, Some(given))?;
        match name.and_then(|name| view.cluster(&call.region, &name)) {
            Some(cluster) => clusters.push(describe_one(view, cluster.value(), include)),
            None => failures.push(missing(&arn_of(call, given, "cluster"))),
        }
    }
    Ok(DescribeClustersResponse { clusters: Some(clusters), failures: Some(failures) })
}

pub(super) fn missing(arn: &str) -> Failure {
    Failure { arn: Some(arn.to_owned()), reason: Some("MISSING".to_owned()), detail: None }
}

fn describe_one(view: &View, record: &ClusterRecord, include: &[String]) -> Cluster {
    let shows = |what: &str| include.iter().any(|each| each == what);
    let tasks: Vec<&Task> =
        view.tasks_of_cluster(&record.region, &record.name).map(|task| task.value()).collect();
    let count =
        |wanted: &dyn Fn(&Task) -> bool| i32::try_from(tasks.iter().filter(|task| wanted(task)).count()).ok();
    let prefix = format!("{}/{}/", record.region, record.name);
    let services: Vec<&ServiceRecord> =
        view.scan::<ServiceRecord>(&prefix).map(|service| service.value()).collect();
    let active = services.iter().filter(|service| service.status == ServiceStatus::Active).count();
    let statistics = if shows("STATISTICS") { statistics(&tasks, &services) } else { vec![] };
    Cluster {
        cluster_arn: Some(record.arn.to_string()),
        cluster_name: Some(record.name.to_string()),
        status: Some(if record.active { "ACTIVE" } else { "INACTIVE" }.to_owned()),
        active_services_count: i32::try_from(active).ok(),
        running_tasks_count: count(&|task| task.last_status == TaskStatus::Running),
        pending_tasks_count: count(&is_pending),
        registered_container_instances_count: i32::try_from(
            view.instances_of_cluster(&record.region, &record.name).count(),
        )
        .ok(),
        statistics: Some(statistics),
        settings: Some(if shows("SETTINGS") { settings_of(record) } else { vec![] }),
        configuration: record
            .document
            .get("configuration")
            .filter(|_| shows("CONFIGURATIONS"))
            .and_then(|configuration| FromValue::from_value(configuration).ok()),
        tags: Some(if shows("TAGS") { tags_of(&record.document) } else { vec![] }),
        capacity_providers: Some(providers_of(record)),
        default_capacity_provider_strategy: Some(default_strategy(record)),
        ..Cluster::default()
    }
}

/// Counts by launch type, under AWS's names.
fn statistics(tasks: &[&Task], services: &[&ServiceRecord]) -> Vec<KeyValuePair> {
    let mut pairs = Vec::new();
    for (launch_type, text) in
        [(LaunchType::Ec2, "EC2"), (LaunchType::Fargate, "Fargate"), (LaunchType::External, "External")]
    {
        let of_type = || tasks.iter().filter(|task| task.launch_type == launch_type);
        let pending = of_type().filter(|task| is_pending(task)).count();
        let running = of_type().filter(|task| task.last_status == TaskStatus::Running).count();
        let in_status = |status: ServiceStatus| {
            let is_of_type = |service: &&&ServiceRecord| {
                service.primary().is_some_and(|primary| primary.launch_type == launch_type)
            };
            services.iter().filter(is_of_type).filter(|service| service.status == status).count()
        };
        pairs.extend([
            (format!("running{text}TasksCount"), running),
            (format!("pending{text}TasksCount"), pending),
            (format!("active{text}ServiceCount"), in_status(ServiceStatus::Active)),
            (format!("draining{text}ServiceCount"), in_status(ServiceStatus::Draining)),
        ]);
    }
    let pair =
        |(name, count): (String, usize)| KeyValuePair { name: Some(name), value: Some(count.to_string()) };
    pairs.into_iter().map(pair).collect()
}

fn is_pending(task: &Task) -> bool {
    task.desired_status == DesiredStatus::Running && task.last_status < TaskStatus::Running
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
