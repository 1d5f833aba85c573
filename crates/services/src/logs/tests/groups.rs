//! Groups and streams.

use std::time::Duration;

use gantry_types::Timestamp;
use serde_json::{Value as Json, json};

use super::super::ingest::ingest;
use super::super::maintain::maintain;
use super::{call, fails, group, lines, messages, put, stream};
use crate::testing::{NOW, World};

#[tokio::test]
async fn a_group_lives() {
    let world = World::new();
    let create = json!({ "logGroupName": "/ecs/web", "tags": { "team": "a" } });
    call(&world, "CreateLogGroup", create.clone()).await;
    fails(
        &world,
        "CreateLogGroup",
        create,
        &["ResourceAlreadyExistsException", "The specified log group already exists"],
    )
    .await;
    fails(&world, "CreateLogGroup", json!({ "logGroupName": "a b" }), &["InvalidParameterException"]).await;
    let retention = |days: i32| json!({ "logGroupName": "/ecs/web", "retentionInDays": days });
    fails(&world, "PutRetentionPolicy", retention(2), &["enum value set: [1, 3, 5, 7, 14"]).await;
    call(&world, "PutRetentionPolicy", retention(7)).await;
    let described = call(&world, "DescribeLogGroups", json!({ "logGroupNamePrefix": "/ecs" })).await;
    let arn = "arn:aws:logs:us-east-1:123456789012:log-group:/ecs/web";
    assert_eq!(
        described,
        json!({ "logGroups": [{
            "arn": format!("{arn}:*"),
            "creationTime": NOW,
            "logGroupArn": arn,
            "logGroupClass": "STANDARD",
            "logGroupName": "/ecs/web",
            "metricFilterCount": 0,
            "retentionInDays": 7,
            "storedBytes": 0,
        }] })
    );
    call(&world, "DeleteRetentionPolicy", json!({ "logGroupName": "/ecs/web" })).await;
    let described = call(&world, "DescribeLogGroups", json!({})).await;
    assert_eq!(described["logGroups"][0].get("retentionInDays"), None);

    let tags = json!({ "b": "2" });
    call(&world, "TagLogGroup", json!({ "logGroupName": "/ecs/web", "tags": tags })).await;
    call(&world, "TagResource", json!({ "resourceArn": arn, "tags": { "c": "3" } })).await;
    call(&world, "UntagResource", json!({ "resourceArn": arn, "tagKeys": ["b"] })).await;
    let by_name = call(&world, "ListTagsLogGroup", json!({ "logGroupName": "/ecs/web" })).await;
    assert_eq!(by_name, json!({ "tags": { "team": "a", "c": "3" } }));
    call(&world, "UntagLogGroup", json!({ "logGroupName": "/ecs/web", "tags": ["c"] })).await;
    let by_arn = call(&world, "ListTagsForResource", json!({ "resourceArn": arn })).await;
    assert_eq!(by_arn, json!({ "tags": { "team": "a" } }));

    call(&world, "DeleteLogGroup", json!({ "logGroupName": "/ecs/web" })).await;
    fails(
        &world,
        "DeleteLogGroup",
        json!({ "logGroupName": "/ecs/web" }),
        &["ResourceNotFoundException", "The specified log group does not exist."],
    )
    .await;
}

#[tokio::test]
async fn groups_are_listed_by_name_class_and_tag() {
    let world = World::new();
    for name in ["/a/one", "/a/two", "/b/one"] {
        group(&world, name).await;
    }
    call(&world, "TagLogGroup", json!({ "logGroupName": "/b/one", "tags": { "env": "production" } })).await;
    let names = |answer: &Json| -> Vec<String> {
        let groups = answer["logGroups"].as_array().unwrap();
        groups.iter().map(|group| group["logGroupName"].as_str().unwrap().to_owned()).collect()
    };
    for (operation, body, expected) in [
        ("DescribeLogGroups", json!({}), vec!["/a/one", "/a/two", "/b/one"]),
        ("DescribeLogGroups", json!({ "logGroupNamePrefix": "/a" }), vec!["/a/one", "/a/two"]),
        ("DescribeLogGroups", json!({ "logGroupNamePattern": "one" }), vec!["/a/one", "/b/one"]),
        ("DescribeLogGroups", json!({ "logGroupClass": "INFREQUENT_ACCESS" }), vec![]),
        (
            "DescribeLogGroups",
            json!({ "logGroupIdentifiers": ["/b/one", "/a/two"] }),
            vec!["/a/two", "/b/one"],
        ),
        ("ListLogGroups", json!({ "logGroupNamePattern": "^/a/|two" }), vec!["/a/one", "/a/two"]),
        ("ListLogGroups", json!({ "logGroupTags": [{ "key": "env", "values": ["prod*"] }] }), vec!["/b/one"]),
        ("ListLogGroups", json!({ "logGroupTags": [{ "key": "env", "values": ["!prod*"] }] }), vec![]),
    ] {
        assert_eq!(names(&call(&world, operation, body.clone()).await), expected, "{operation} {body}");
    }
    let first = call(&world, "DescribeLogGroups", json!({ "limit": 2 })).await;
    let second = call(&world, "DescribeLogGroups", json!({ "nextToken": first["nextToken"] })).await;
    assert_eq!(names(&second), ["/b/one"]);
    assert_eq!(second.get("nextToken"), None);
    let both = json!({ "logGroupNamePrefix": "a", "logGroupNamePattern": "b" });
    fails(&world, "DescribeLogGroups", both, &["mutually exclusive"]).await;
    fails(&world, "DescribeLogGroups", json!({ "nextToken": "zz" }), &["nextToken is invalid"]).await;
    let mut elsewhere = world;
    elsewhere.region = "eu-west-1";
    assert_eq!(names(&call(&elsewhere, "DescribeLogGroups", json!({})).await), Vec::<String>::new());
}

#[tokio::test]
async fn a_stream_that_is_made_again_is_empty() {
    let world = World::new();
    group(&world, "g").await;
    stream(&world, "g", "s").await;
    put(&world, "g", "s", &[(NOW, "old")]).await;
    let names = json!({ "logGroupName": "g", "logStreamName": "s" });
    call(&world, "DeleteLogStream", names.clone()).await;
    fails(&world, "DeleteLogStream", names.clone(), &["The specified log stream does not exist."]).await;
    stream(&world, "g", "s").await;
    assert_eq!(messages(&call(&world, "GetLogEvents", names.clone()).await), Vec::<&str>::new());
    put(&world, "g", "s", &[(NOW, "newer")]).await;
    call(&world, "DeleteLogGroup", json!({ "logGroupName": "g" })).await;
    group(&world, "g").await;
    let streams = call(&world, "DescribeLogStreams", json!({ "logGroupName": "g" })).await;
    assert_eq!(streams, json!({ "logStreams": [] }));
    stream(&world, "g", "s").await;
    assert_eq!(messages(&call(&world, "GetLogEvents", names).await), Vec::<&str>::new());
}

#[tokio::test]
async fn streams_are_listed_in_either_order() {
    let world = World::new();
    // One group's stream is not another one's, whatever the slashes.
    for name in ["g", "g/a"] {
        group(&world, name).await;
    }
    for (name, at) in [("a/x", Some(NOW - 1)), ("b", None), ("c", Some(NOW - 9)), ("d", Some(NOW - 5))] {
        stream(&world, "g", name).await;
        if let Some(at) = at {
            put(&world, "g", name, &[(at, "m")]).await;
        }
    }
    stream(&world, "g/a", "x").await;
    let list = |extra: Json| {
        let mut body = json!({ "logGroupName": "g" });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    let names = |answer: &Json| -> Vec<String> {
        let streams = answer["logStreams"].as_array().unwrap();
        streams.iter().map(|stream| stream["logStreamName"].as_str().unwrap().to_owned()).collect()
    };
    for (extra, expected) in [
        (json!({}), ["a/x", "b", "c", "d"].as_slice()),
        (json!({ "descending": true }), &["d", "c", "b", "a/x"]),
        (json!({ "orderBy": "LastEventTime" }), &["b", "c", "d", "a/x"]),
        (json!({ "orderBy": "LastEventTime", "descending": true }), &["a/x", "d", "c", "b"]),
        (json!({ "logStreamNamePrefix": "a" }), &["a/x"]),
    ] {
        assert_eq!(
            names(&call(&world, "DescribeLogStreams", list(extra.clone())).await),
            expected,
            "{extra}"
        );
        // Page by page it is the same.
        let (mut paged, mut token) = (Vec::new(), Json::Null);
        loop {
            let mut body = list(extra.clone());
            body["limit"] = json!(1);
            if !token.is_null() {
                body["nextToken"] = token;
            }
            let page = call(&world, "DescribeLogStreams", body).await;
            paged.extend(names(&page));
            token = page["nextToken"].clone();
            if token.is_null() {
                break;
            }
        }
        assert_eq!(paged, expected, "{extra}");
    }
    let one = call(&world, "DescribeLogStreams", list(json!({ "logStreamNamePrefix": "a" }))).await;
    let one = &one["logStreams"][0];
    assert_eq!(one["arn"], "arn:aws:logs:us-east-1:123456789012:log-group:g:log-stream:a/x");
    for (member, at) in [
        ("creationTime", NOW),
        ("firstEventTimestamp", NOW - 1),
        ("lastEventTimestamp", NOW - 1),
        ("lastIngestionTime", NOW),
    ] {
        assert_eq!(one[member], at, "{member}");
    }
    let empty = call(&world, "DescribeLogStreams", list(json!({ "logStreamNamePrefix": "b" }))).await;
    assert_eq!(empty["logStreams"][0].get("lastEventTimestamp"), None);
    let both = list(json!({ "orderBy": "LastEventTime", "logStreamNamePrefix": "a" }));
    fails(&world, "DescribeLogStreams", both, &["Cannot order by LastEventTime with a logStreamNamePrefix."])
        .await;
    fails(&world, "DescribeLogStreams", list(json!({ "nextToken": "ü" })), &["nextToken is invalid"]).await;
}

#[tokio::test]
async fn what_expired_is_not_shown_and_then_goes() {
    let mut world = World::new();
    for name in ["short", "for-ever"] {
        group(&world, name).await;
        stream(&world, name, "s").await;
        put(&world, name, "s", &[(NOW - 3_600_000, "old"), (NOW, "new")]).await;
    }
    let retention = |name: &str| json!({ "logGroupName": name, "retentionInDays": 1 });
    call(&world, "PutRetentionPolicy", retention("short")).await;
    world.now = world.now + Duration::from_secs(86_400);
    let read = |name: &str| json!({ "logGroupName": name, "logStreamName": "s" });
    assert_eq!(messages(&call(&world, "GetLogEvents", read("short")).await), ["new"]);
    assert_eq!(messages(&call(&world, "FilterLogEvents", json!({ "logGroupName": "short" })).await), ["new"]);
    assert_eq!(messages(&call(&world, "GetLogEvents", read("for-ever")).await), ["old", "new"]);
    let described = call(&world, "DescribeLogStreams", json!({ "logGroupName": "short" })).await;
    assert_eq!(described["logStreams"][0]["firstEventTimestamp"], NOW);

    // A segment goes when no group keeps anything of it any more.
    let store = &world.context.logs().store;
    store.seal();
    world.now = world.now + Duration::from_secs(60);
    maintain(&world.context, world.now).await.unwrap();
    assert_eq!(messages(&call(&world, "GetLogEvents", read("for-ever")).await), ["old", "new"]);
    call(&world, "PutRetentionPolicy", retention("for-ever")).await;
    maintain(&world.context, world.now).await.unwrap();
    call(&world, "DeleteRetentionPolicy", json!({ "logGroupName": "for-ever" })).await;
    assert_eq!(messages(&call(&world, "GetLogEvents", read("for-ever")).await), Vec::<&str>::new());
}

#[tokio::test]
async fn a_deleted_groups_many_streams_are_cleared_away() {
    let world = World::new();
    for number in 0..150 {
        ingest(&world.context, lines("/many", &format!("app/{number}"), true, 1..2), world.now)
            .await
            .unwrap();
    }
    ingest(&world.context, lines("/other", "app", true, 1..2), world.now).await.unwrap();
    let count =
        || world.context.read(|view| view.scan::<gantry_domain::object::Object>("logs/stream/").count());
    assert_eq!(count(), 151);
    call(&world, "DeleteLogGroup", json!({ "logGroupName": "/many" })).await;
    assert_eq!(count(), 51, "a commit has room for so many");
    maintain(&world.context, world.now).await.unwrap();
    assert_eq!(count(), 1);
}

/// Every task that starts makes a stream: the group lets those go that were silent the longest.
#[tokio::test]
async fn a_group_with_too_many_streams_makes_room() {
    use super::super::records::{Stream, streams};

    let world = World::new();
    ingest(&world.context, lines("/web", "app/first", true, 1..2), world.now).await.unwrap();
    let group = world
        .context
        .read(|view| super::super::names::group(view, &"us-east-1".into(), "/web").unwrap().document);
    let stream = |number: i64| Stream {
        id: format!("{number}"),
        name: format!("old/{number:05}"),
        // Younger than the first one, which was written to since.
        created_at: Timestamp::from_millis(NOW - 100_000 + number),
        sequence_token: "1".to_owned(),
    };
    let numbers: Vec<i64> = (1..10_000).collect();
    for numbers in numbers.chunks(100) {
        let create = |number: &i64| {
            let stream = stream(*number);
            crate::objects::create(&streams(&group), &stream.name.clone(), stream)
        };
        world.context.database().commit(numbers.iter().map(create).collect()).await.unwrap();
    }
    ingest(&world.context, lines("/web", "app/new", true, 1..2), world.now).await.unwrap();
    let names: Vec<String> = world.context.read(|view| {
        let streams = super::super::groups::streams_of(view, &group).unwrap();
        streams.into_iter().map(|stream| stream.document.name).collect()
    });
    assert_eq!(names.len(), 10_000 - 64 + 1);
    for (name, stays) in [("app/first", true), ("app/new", true), ("old/00064", false), ("old/00065", true)] {
        assert_eq!(names.iter().any(|own| own == name), stays, "{name}");
    }
}
