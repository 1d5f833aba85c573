//! Parameters that AWS itself keeps for everybody: the ids of its machine images.

use gantry_api::ssm::Parameter;
use gantry_types::{Region, Timestamp};
use serde_json::json;

use crate::ec2::images::{IMAGES, Image};

/// Public parameters have no history here.
pub(super) const VERSION: i64 = 1;
/// When the images were made that the parameters lead to.
const MODIFIED_MILLIS: i64 = 1_749_513_600_000;
const AGENT_VERSION: &str = "1.94.0";
const RUNTIME_VERSION: &str = "Docker version 25.0.8";

pub(super) fn find(region: &Region, name: &str) -> Option<Parameter> {
    // Nobody else's names begin so, and most callers mean their own.
    name.starts_with("/aws/")
        .then(|| all(region).into_iter().find(|each| each.name.as_deref() == Some(name)))?
}

pub(super) fn all(region: &Region) -> Vec<Parameter> {
    let mut parameters = Vec::new();
    for image in &IMAGES {
        let id = image.id(region);
        parameters.extend(image.parameters.iter().map(|name| parameter(region, name, &id, "aws:ec2:image")));
        if let Some(path) = image.ecs_path {
            parameters.extend(of_ecs(region, image, path));
        }
    }
    parameters
}

/// What ECS tells of an image: all of it in one document, and each part of it by itself.
fn of_ecs(region: &Region, image: &Image, path: &str) -> Vec<Parameter> {
    let id = image.id(region);
    let recommended = format!("{path}/recommended");
    let document = json!({
        "schema_version": 1,
        "image_name": image.name,
        "image_id": id,
        "os": image.operating_system,
        "ecs_runtime_version": RUNTIME_VERSION,
        "ecs_agent_version": AGENT_VERSION,
    });
    let part = |name: &str, value: &str, data_type| {
        parameter(region, &format!("{recommended}/{name}"), value, data_type)
    };
    vec![
        parameter(region, &recommended, &document.to_string(), "text"),
        part("schema_version", "1", "text"),
        part("image_name", image.name, "text"),
        part("image_id", &id, "aws:ec2:image"),
        part("os", image.operating_system, "text"),
        part("ecs_runtime_version", RUNTIME_VERSION, "text"),
        part("ecs_agent_version", AGENT_VERSION, "text"),
    ]
}

fn parameter(region: &Region, name: &str, value: &str, data_type: &str) -> Parameter {
    Parameter {
        // The account is nobody's.
        arn: Some(format!("arn:aws:ssm:{region}::parameter{name}")),
        data_type: Some(data_type.to_owned()),
        last_modified_date: Some(Timestamp::from_millis(MODIFIED_MILLIS)),
        name: Some(name.to_owned()),
        r#type: Some("String".to_owned()),
        value: Some(value.to_owned()),
        version: Some(VERSION),
        ..Parameter::default()
    }
}
