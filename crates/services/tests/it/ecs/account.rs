//! Account settings.

use serde_json::json;

use crate::world::{Answer as _, World};

#[tokio::test]
async fn account_settings_are_kept_and_have_defaults() {
    let world = World::new();
    assert_eq!(world.ok("ecs ListAccountSettings", json!({})).await["settings"], json!([]));
    let (mut names, mut token) = (Vec::new(), json!(null));
    loop {
        let page =
            world.ok("ecs ListAccountSettings", json!({"effectiveSettings": true, "nextToken": token})).await;
        assert!(page["settings"].list().len() <= 10);
        names.extend(page["settings"].each("name"));
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert!(names.is_sorted() && names.len() > 10, "{names:?}");
    let input = json!({"name": "containerInsights", "value": "enhanced"});
    let put = world.ok("ecs PutAccountSetting", input.clone()).await;
    assert_eq!(put["setting"]["value"], "enhanced");
    world.ok("ecs PutAccountSettingDefault", input).await;
    let listed = world.ok("ecs ListAccountSettings", json!({"name": "containerInsights"})).await;
    assert_eq!(listed["settings"].each("value"), ["enhanced"]);
    assert_eq!(
        world.ok("ecs ListAccountSettings", json!({"name": "containerInsights", "value": "disabled"})).await
            ["settings"],
        json!([])
    );
    let gone = world.ok("ecs DeleteAccountSetting", json!({"name": "containerInsights"})).await;
    assert_eq!(gone["setting"]["value"], "enhanced");
    assert_eq!(world.ok("ecs DeleteAccountSetting", json!({"name": "containerInsights"})).await, json!({}));
    let rows = [
        (
            json!({"name": "nonsense", "value": "enabled"}),
            "InvalidParameterException",
            "nonsense is not a valid account setting name.",
        ),
        (
            json!({"name": "containerInsights", "value": "perhaps"}),
            "InvalidParameterException",
            "Invalid value 'perhaps'",
        ),
    ];
    world.refuses_all("ecs PutAccountSetting", rows).await;
    world
        .refuses(
            "ecs ListAccountSettings",
            json!({"maxResults": 11}),
            "InvalidParameterException",
            "maxResults",
        )
        .await;
}
