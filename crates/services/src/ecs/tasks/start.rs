//! StartTask: the caller names the instances.

use gantry_api::ecs::{Failure, StartTaskRequest, StartTaskResponse};
use gantry_api::{CallContext, IntoValue};
use gantry_domain::task::PlacementWish;
use gantry_domain::task_definition::LaunchType;
use gantry_domain::{Change, Stored as _, View};
use gantry_types::{Ids, Value};

use super::make::{Recipe, check_words, with_place};
use super::{Tagging, overrides, runnable, tags};
use crate::Decision;
use crate::ecs::names::{arn_of, cluster, container_instance, invalid, is_set, refuse_unsupported};
use crate::ecs::tags::check_tags;
use crate::ecs::{clusters, describe, network, roles};

const START_MAX: usize = 10;

pub(in crate::ecs) fn start(
    view: &View,
    call: &CallContext,
    input: &StartTaskRequest,
    ids: &mut Ids,
) -> Decision<StartTaskResponse> {
    let cluster = cluster(view, call, input.cluster.as_deref())?;
    if input.container_instances.is_empty() {
        return Err(invalid("Container instances cannot be empty."));
    }
    if input.container_instances.len() > START_MAX {
        return Err(invalid(format!("Container instances cannot have more than {START_MAX} elements.")));
    }
    check_tags(call, input.tags.as_deref())?;
    let found = runnable(view, call, &input.task_definition, LaunchType::Ec2)?;
    let definition = found.value();
    refuse_unsupported(&[("volumeConfigurations", is_set(&input.volume_configurations))])?;
    let network = network::resolve(view, call, definition, input.network_configuration.as_ref())?;
    roles::check(view, definition, input.overrides.as_ref())?;
    check_words(input.started_by.as_deref(), input.group.as_deref())?;
    let sizes = overrides::check(definition, LaunchType::Ec2, input.overrides.as_ref())?;
    let given = Tagging {
        tags: input.tags.as_deref(),
        propagate: input.propagate_tags.as_deref(),
        managed: input.enable_ecs_managed_tags,
    };
    let mut document = Value::map();
    document.set("overrides", input.overrides.clone().into_value());
    document.set("tags", tags(cluster.value(), definition, &given)?);
    document.set("enableExecuteCommand", input.enable_execute_command.unwrap_or(false));
    let mut recipe = Recipe {
        call,
        cluster: cluster.value(),
        definition,
        launch_type: LaunchType::Ec2,
        group: input.group.as_deref(),
        started_by: input.started_by.as_deref(),
        sizes,
        wish: PlacementWish { network, ..PlacementWish::default() },
        document,
    };
    let (mut wished, mut failures) = (Vec::new(), Vec::new());
    for given in &input.container_instances {
        match container_instance(view, call, &cluster.name, given)? {
            Some(instance) => {
                recipe.wish.instance = Some(instance.id.clone());
                wished.push(recipe.make(ids));
            }
            None => failures.push(Failure {
                arn: Some(arn_of(call, given, &format!("container-instance/{}", cluster.name))),
                reason: Some("MISSING".to_owned()),
                detail: None,
            }),
        }
    }
    let mut tasks = Vec::new();
    if !wished.is_empty() {
        let (placed, refused) = with_place(view, cluster.value(), wished, ids)?;
        tasks = placed;
        failures.extend(refused);
    }
    let response = StartTaskResponse {
        tasks: Some(tasks.iter().map(|task| describe::task(view, task, true)).collect()),
        failures: Some(failures),
    };
    if tasks.is_empty() {
        return Ok((response, vec![]));
    }
    let mut changes = Vec::from(clusters::rest_on(&cluster));
    changes.push(Change::check(found.value().key(), found.revision));
    changes.extend(tasks.into_iter().map(Change::create));
    Ok((response, changes))
}
