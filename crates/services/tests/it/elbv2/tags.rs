//! Tags of load balancers, target groups, listeners and rules.

use serde_json::{Value as Json, json};

use super::Fixture;
use crate::world::Answer as _;

const VALIDATION: &str = "ValidationError";

#[tokio::test]
async fn everything_with_an_arn_has_tags() {
    let fixture = Fixture::new().await;
    let world = &fixture.world;
    let balancer = fixture.balancer("site").await;
    let group = fixture.group("site").await;
    let listener = fixture.listener(&balancer, 80, &group).await;
    let rule = fixture.rule(&listener, 1, &group).await;
    let arns = json!([balancer, group, listener, rule]);
    // The same resource twice in one call is one resource.
    let input = json!({"ResourceArns": [balancer, group, listener, rule, balancer], "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b"}]});
    world.ok("elbv2 AddTags", input).await;
    world.ok("elbv2 AddTags", json!({"ResourceArns": arns, "Tags": [{"Key": "a", "Value": "2"}]})).await;
    let found =
        world.ok("elbv2 DescribeTags", json!({"ResourceArns": arns})).await["TagDescriptions"].clone();
    assert_eq!(found.list().len(), 4);
    for each in found.list() {
        assert_eq!(each["Tags"], json!([{"Key": "b"}, {"Key": "a", "Value": "2"}]), "{each}");
    }
    world.ok("elbv2 RemoveTags", json!({"ResourceArns": arns, "TagKeys": ["b", "none"]})).await;
    let found = world.ok("elbv2 DescribeTags", json!({"ResourceArns": [rule]})).await;
    assert_eq!(found["TagDescriptions"][0]["Tags"], json!([{"Key": "a", "Value": "2"}]));

    let tags = |tags: Json| json!({"ResourceArns": [balancer], "Tags": tags});
    let many = |count: usize| (0..count).map(|n| json!({"Key": format!("k{n}")})).collect::<Vec<_>>();
    let rows = [
        (tags(json!([{"Key": ""}])), VALIDATION, "Tag key '' is invalid"),
        (tags(json!([{"Key": "ü".repeat(129)}])), VALIDATION, "is invalid"),
        (tags(json!([{"Key": "Aws:x"}])), VALIDATION, "is invalid"),
        (tags(json!([{"Key": "x", "Value": "ü".repeat(257)}])), VALIDATION, "longer than 256"),
        (tags(json!([{"Key": "x"}, {"Key": "x"}])), "DuplicateTagKeys", "more than once"),
        (tags(json!(many(50))), "TooManyTags", "at most 50 tags"),
        (json!({"ResourceArns": [], "Tags": []}), VALIDATION, "Between 1 and 20 resources"),
        (
            json!({"ResourceArns": ["nonsense"], "Tags": []}),
            VALIDATION,
            "'nonsense' is not a valid load balancer ARN",
        ),
        (
            json!({"ResourceArns": [group.replace("/site/", "/none/")], "Tags": []}),
            "TargetGroupNotFound",
            "not found",
        ),
        // One that is missing keeps all from being changed.
        (
            json!({"ResourceArns": [group, rule.replace("/site/", "/none/")], "Tags": [{"Key": "c"}]}),
            "RuleNotFound",
            "not found",
        ),
    ];
    world.refuses_all("elbv2 AddTags", rows).await;
    let found = world.ok("elbv2 DescribeTags", json!({"ResourceArns": [group]})).await;
    assert_eq!(found["TagDescriptions"][0]["Tags"], json!([{"Key": "a", "Value": "2"}]));
    let input = json!({"ResourceArns": vec![balancer; 21]});
    world.refuses("elbv2 DescribeTags", input, VALIDATION, "Between 1 and 20 resources").await;
}
