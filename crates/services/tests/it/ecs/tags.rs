//! Tags of ECS's resources.

use serde_json::{Value as Json, json};

use super::Fixture;
use crate::world::Answer as _;

const INVALID: &str = "InvalidParameterException";
const PREFIX: &str = "arn:aws:ecs:us-east-1:123456789012";

#[tokio::test]
async fn everything_with_an_arn_has_tags() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    world.ok("ecs CreateService", fixture.service("site", &json!({}))).await;
    let run = world.ok("ecs RunTask", fixture.task(&json!({}))).await;
    let arns = [
        format!("{PREFIX}:cluster/web"),
        format!("{PREFIX}:service/web/site"),
        format!("{PREFIX}:task-definition/web:1"),
        run["tasks"][0]["taskArn"].text(),
    ];
    for arn in &arns {
        let list = || async {
            world.ok("ecs ListTagsForResource", json!({"resourceArn": arn})).await["tags"].clone()
        };
        assert_eq!(list().await, json!([]), "{arn}");
        let tags = json!([{"key": "a", "value": "1"}, {"key": "b", "value": ""}]);
        world.ok("ecs TagResource", json!({"resourceArn": arn, "tags": tags})).await;
        assert_eq!(list().await, tags, "{arn}");
        world.ok("ecs TagResource", json!({"resourceArn": arn, "tags": [{"key": "a", "value": "2"}]})).await;
        world.ok("ecs UntagResource", json!({"resourceArn": arn, "tagKeys": ["b", "none"]})).await;
        assert_eq!(list().await, json!([{"key": "a", "value": "2"}]), "{arn}");
    }
}

#[tokio::test]
async fn tags_are_checked() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let arn = format!("{PREFIX}:cluster/web");
    let tags = |tags: Json| json!({"resourceArn": arn, "tags": tags});
    let many =
        |count: usize| (0..count).map(|n| json!({"key": format!("k{n}"), "value": "v"})).collect::<Vec<_>>();
    let rows = [
        (tags(json!([{"key": "", "value": "x"}])), INVALID, "Tag keys must be between 1 and 128"),
        (tags(json!([{"value": "x"}])), INVALID, "Tag keys must be between 1 and 128"),
        (
            tags(json!([{"key": "ü".repeat(129), "value": "x"}])),
            INVALID,
            "Tag keys must be between 1 and 128",
        ),
        (tags(json!([{"key": "a", "value": "ü".repeat(257)}])), INVALID, "Tag values must be up to 256"),
        (tags(json!([{"key": "AWS:a", "value": "x"}])), INVALID, "Tag keys must not begin with aws:."),
        (tags(json!([{"key": "a"}, {"key": "a"}])), INVALID, "Duplicate tag key 'a'."),
        (tags(json!(many(51))), INVALID, "exceeds the maximum of 50"),
    ];
    world.refuses_all("ecs TagResource", rows).await;
    world.ok("ecs TagResource", tags(json!(many(50)))).await;
    world
        .refuses("ecs TagResource", tags(json!([{"key": "more"}])), INVALID, "exceeds the maximum of 50")
        .await;
    world.ok("ecs TagResource", tags(json!([{"key": "k0", "value": "other"}]))).await;

    let missing = [
        format!("{PREFIX}:cluster/none"),
        format!("{PREFIX}:service/web/none"),
        format!("{PREFIX}:task/web/{}", "0".repeat(32)),
        format!("{PREFIX}:task-definition/web"),
        format!("{PREFIX}:task-definition/none:1"),
        format!("{PREFIX}:container-instance/web/i1"),
        format!("{PREFIX}:nonsense/x"),
        "arn:aws:ecs:eu-west-1:123456789012:cluster/web".to_owned(),
        "arn:aws:ecs:us-east-1:999999999999:cluster/web".to_owned(),
        "arn:aws:elasticloadbalancing:us-east-1:123456789012:cluster/web".to_owned(),
    ];
    for arn in missing {
        world
            .refuses(
                "ecs ListTagsForResource",
                json!({"resourceArn": arn}),
                "ResourceNotFoundException",
                "could not be found",
            )
            .await;
        let input = json!({"resourceArn": arn, "tags": [{"key": "a"}]});
        world.refuses("ecs TagResource", input, "ResourceNotFoundException", "could not be found").await;
        let input = json!({"resourceArn": arn, "tagKeys": ["a"]});
        world.refuses("ecs UntagResource", input, "ResourceNotFoundException", "could not be found").await;
    }
    world
        .refuses("ecs ListTagsForResource", json!({"resourceArn": "web"}), INVALID, "Invalid arn syntax.")
        .await;
    world.ok("ecs DeleteCluster", json!({"cluster": "web"})).await;
    world
        .refuses(
            "ecs ListTagsForResource",
            json!({"resourceArn": arn}),
            INVALID,
            "The specified cluster is inactive.",
        )
        .await;
}
