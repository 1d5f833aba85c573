//! CloudWatch Logs through the wire, as clients see it.

use std::time::Duration;

use gantry_telemetry::logs::Record;
use gantry_types::Timestamp;
use serde_json::{Value as Json, json};

use super::ingest::{IngestError, Lines, ingest};
use super::maintain::maintain;
use crate::testing::{NOW, World};

async fn call(world: &World, operation: &str, body: Json) -> Json {
    world.json("logs", operation, &body).await.document()
}

async fn fails(world: &World, operation: &str, body: Json, parts: &[&str]) {
    world.json("logs", operation, &body).await.fails(400, parts);
}

async fn group(world: &World, name: &str) {
    call(world, "CreateLogGroup", json!({ "logGroupName": name })).await;
}

async fn stream(world: &World, group: &str, name: &str) {
    call(world, "CreateLogStream", json!({ "logGroupName": group, "logStreamName": name })).await;
}

async fn put(world: &World, group: &str, stream: &str, events: &[(i64, &str)]) -> Json {
    let events: Vec<Json> =
        events.iter().map(|(at, message)| json!({ "timestamp": at, "message": message })).collect();
    let body = json!({ "logGroupName": group, "logStreamName": stream, "logEvents": events });
    call(world, "PutLogEvents", body).await
}

fn messages(answer: &Json) -> Vec<&str> {
    answer["events"].as_array().unwrap().iter().map(|event| event["message"].as_str().unwrap()).collect()
}

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
async fn events_are_put_and_read_in_both_directions() {
    let world = World::new();
    group(&world, "g").await;
    stream(&world, "g", "s").await;
    let exists = json!({ "logGroupName": "g", "logStreamName": "s" });
    fails(
        &world,
        "CreateLogStream",
        exists,
        &["ResourceAlreadyExistsException", "log stream already exists"],
    )
    .await;
    let answer = put(&world, "g", "s", &[(NOW - 4, "a"), (NOW - 3, "b"), (NOW - 3, "c")]).await;
    assert_eq!(answer["nextSequenceToken"].as_str().unwrap().len(), 56);
    put(&world, "g", "s", &[(NOW - 2, "d"), (NOW - 1, "e")]).await;

    let get = |extra: Json| {
        let mut body = json!({ "logGroupName": "g", "logStreamName": "s" });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    let all = call(&world, "GetLogEvents", get(json!({}))).await;
    assert_eq!(messages(&all), ["a", "b", "c", "d", "e"]);
    assert_eq!(all["events"][0], json!({ "ingestionTime": NOW, "message": "a", "timestamp": NOW - 4 }));
    let newest = call(&world, "GetLogEvents", get(json!({ "limit": 2 }))).await;
    assert_eq!(messages(&newest), ["d", "e"]);
    let before = get(json!({ "limit": 2, "nextToken": newest["nextBackwardToken"] }));
    let before = call(&world, "GetLogEvents", before).await;
    assert_eq!(messages(&before), ["b", "c"]);
    let again = call(&world, "GetLogEvents", get(json!({ "nextToken": before["nextForwardToken"] }))).await;
    assert_eq!(messages(&again), ["d", "e"]);
    let first = call(&world, "GetLogEvents", get(json!({ "limit": 3, "startFromHead": true }))).await;
    assert_eq!(messages(&first), ["a", "b", "c"]);

    // At the end the token stays, until there is more.
    let end = all["nextForwardToken"].clone();
    let nothing = call(&world, "GetLogEvents", get(json!({ "nextToken": end }))).await;
    assert_eq!((messages(&nothing), &nothing["nextForwardToken"]), (vec![], &end));
    let back = call(&world, "GetLogEvents", get(json!({ "nextToken": nothing["nextBackwardToken"] }))).await;
    assert_eq!(messages(&back), ["a", "b", "c", "d", "e"]);
    put(&world, "g", "s", &[(NOW, "f")]).await;
    let more = call(&world, "GetLogEvents", get(json!({ "nextToken": end }))).await;
    assert_eq!(messages(&more), ["f"]);
    let start = first["nextBackwardToken"].clone();
    let nothing = call(&world, "GetLogEvents", get(json!({ "nextToken": start }))).await;
    assert_eq!((messages(&nothing), &nothing["nextBackwardToken"]), (vec![], &start));
    let forth = get(json!({ "nextToken": nothing["nextForwardToken"], "limit": 1 }));
    assert_eq!(messages(&call(&world, "GetLogEvents", forth).await), ["a"]);

    // The start is included, the end is not.
    let some = get(json!({ "startTime": NOW - 3, "endTime": NOW - 1 }));
    assert_eq!(messages(&call(&world, "GetLogEvents", some).await), ["b", "c", "d"]);
    fails(&world, "GetLogEvents", get(json!({ "nextToken": "x" })), &["The specified nextToken is invalid."])
        .await;
    let missing = json!({ "logGroupName": "g", "logStreamName": "t" });
    fails(&world, "GetLogEvents", missing.clone(), &["The specified log stream does not exist."]).await;
    let put_missing = json!({ "logGroupName": "g", "logStreamName": "t", "logEvents": [{ "timestamp": NOW, "message": "m" }] });
    fails(&world, "PutLogEvents", put_missing, &["ResourceNotFoundException"]).await;
    let unordered = json!({ "logGroupName": "g", "logStreamName": "s",
        "logEvents": [{ "timestamp": NOW, "message": "m" }, { "timestamp": NOW - 1, "message": "m" }] });
    fails(&world, "PutLogEvents", unordered, &["InvalidParameterException", "chronological order"]).await;
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
async fn events_are_filtered_over_all_streams() {
    let world = World::new();
    group(&world, "g").await;
    for name in ["a/1", "a/2", "b/1"] {
        stream(&world, "g", name).await;
    }
    put(&world, "g", "a/1", &[(NOW - 50, "GET 200"), (NOW - 10, "GET 500")]).await;
    put(&world, "g", "a/2", &[(NOW - 40, "POST 500"), (NOW - 10, r#"{"level":"error","took":7}"#)]).await;
    put(&world, "g", "b/1", &[(NOW - 45, "GET 404")]).await;
    let filter = |extra: Json| {
        let mut body = json!({ "logGroupName": "g" });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    for (extra, expected) in [
        (json!({}), vec!["GET 200", "GET 404", "POST 500", "GET 500", r#"{"level":"error","took":7}"#]),
        (json!({ "filterPattern": "GET" }), vec!["GET 200", "GET 404", "GET 500"]),
        (json!({ "filterPattern": "[method, status >= 500]" }), vec!["POST 500", "GET 500"]),
        (json!({ "filterPattern": "{ $.took > 6 }" }), vec![r#"{"level":"error","took":7}"#]),
        (json!({ "logStreamNamePrefix": "b" }), vec!["GET 404"]),
        (json!({ "logStreamNames": ["b/1", "a/1"] }), vec!["GET 200", "GET 404", "GET 500"]),
        // Both ends are included.
        (json!({ "startTime": NOW - 45, "endTime": NOW - 40 }), vec!["GET 404", "POST 500"]),
        (json!({ "filterPattern": "nowhere" }), vec![]),
    ] {
        let answer = call(&world, "FilterLogEvents", filter(extra.clone())).await;
        assert_eq!(messages(&answer), expected, "{extra}");
        assert_eq!(answer.get("nextToken"), None, "{extra}");
        assert_eq!(answer["searchedLogStreams"], json!([]));
    }
    let (mut paged, mut ids, mut token) = (Vec::new(), Vec::new(), Json::Null);
    loop {
        let mut body = filter(json!({ "limit": 2, "filterPattern": "GET" }));
        if !token.is_null() {
            body["nextToken"] = token;
        }
        let page = call(&world, "FilterLogEvents", body).await;
        for event in page["events"].as_array().unwrap() {
            paged.push(event["message"].as_str().unwrap().to_owned());
            ids.push(event["eventId"].as_str().unwrap().to_owned());
        }
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(paged, ["GET 200", "GET 404", "GET 500"]);
    assert!(ids.is_sorted() && ids.iter().all(|id| id.len() == 56), "{ids:?}");
    for (extra, part) in [
        (json!({ "filterPattern": "a:b" }), "Invalid filter pattern: Invalid character(s) in term ':'"),
        (json!({ "logStreamNames": ["a/1"], "logStreamNamePrefix": "a" }), "mutually exclusive"),
        (json!({ "logStreamNames": ["c"] }), "The specified log stream does not exist."),
        (json!({ "nextToken": "1" }), "The specified nextToken is invalid."),
        (json!({ "startTime": 5, "endTime": 4 }), "startTime must not be after endTime"),
    ] {
        fails(&world, "FilterLogEvents", filter(extra), &[part]).await;
    }
    fails(&world, "FilterLogEvents", json!({ "logGroupName": "none" }), &["log group does not exist"]).await;
    fails(&world, "FilterLogEvents", json!({}), &["Either LogGroup name or LogGroup ARN must be provided."])
        .await;
    let arn = "arn:aws:logs:us-east-1:123456789012:log-group:g";
    let by_arn = json!({ "logGroupIdentifier": arn, "limit": 1 });
    assert_eq!(messages(&call(&world, "FilterLogEvents", by_arn).await), ["GET 200"]);
}

fn lines(group: &str, stream: &str, create_group: bool, numbered: std::ops::Range<u64>) -> Lines {
    let record = |sequence: u64| Record {
        sequence,
        at: Timestamp::from_millis(NOW + i64::try_from(sequence).unwrap()),
        message: format!("line {sequence}"),
    };
    Lines {
        region: "us-east-1".into(),
        group: group.to_owned(),
        stream: stream.to_owned(),
        create_group,
        source: format!("task/{stream}"),
        records: numbered.map(record).collect(),
    }
}

/// As the AWS CLI's `logs tail --follow` does it: it asks from the last event's time on, and leaves out the events that it
/// has seen of that time.
#[tokio::test]
async fn who_follows_a_group_sees_every_line_once() {
    let world = World::new();
    let (mut seen, mut known, mut since) = (Vec::new(), std::collections::BTreeSet::new(), NOW);
    for round in 0..6_u64 {
        for stream in ["app/1", "app/2"] {
            // The second half of a batch comes again with the next one.
            let from = (round * 3).saturating_sub(1);
            ingest(&world.context, lines("/web", stream, true, from + 1..round * 3 + 4), world.now)
                .await
                .unwrap();
        }
        let body = json!({ "logGroupName": "/web", "startTime": since, "interleaved": true });
        let page = call(&world, "FilterLogEvents", body).await;
        for event in page["events"].as_array().unwrap() {
            since = since.max(event["timestamp"].as_i64().unwrap());
            if known.insert(event["eventId"].as_str().unwrap().to_owned()) {
                seen.push((event["logStreamName"].to_string(), event["message"].to_string()));
            }
        }
    }
    assert_eq!(seen.len(), 2 * 18, "{seen:?}");
    let unique: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!(unique.len(), seen.len());
}

#[tokio::test]
async fn what_containers_write_is_kept_once() {
    let world = World::new();
    let missing = ingest(&world.context, lines("/web", "app/1", false, 1..3), world.now).await.unwrap_err();
    assert!(matches!(missing, IngestError::NoGroup(_)), "{missing}");
    let kept = ingest(&world.context, lines("/web", "app/1", true, 1..3), world.now).await.unwrap();
    assert_eq!(kept, Some(2));
    let again = ingest(&world.context, lines("/web", "app/1", false, 1..5), world.now).await.unwrap();
    assert_eq!(again, Some(4));
    let read = json!({ "logGroupName": "/web", "logStreamName": "app/1" });
    let answer = call(&world, "GetLogEvents", read).await;
    assert_eq!(messages(&answer), ["line 1", "line 2", "line 3", "line 4"]);
    let named = ingest(&world.context, lines("/a b", "app/1", true, 1..3), world.now).await.unwrap_err();
    assert!(matches!(named, IngestError::Name(_)), "{named}");
    let named = ingest(&world.context, lines("/web", "a:b", true, 1..3), world.now).await.unwrap_err();
    assert!(matches!(named, IngestError::Name(_)), "{named}");
    assert_eq!(ingest(&world.context, lines("/web", "app/9", true, 0..0), world.now).await.unwrap(), None);
    // Many containers begin at once.
    let starting = (0..20).map(|number| {
        let context = world.context.clone();
        let lines = lines("/many", &format!("each/{number}"), true, 1..2);
        tokio::spawn(async move { ingest(&context, lines, Timestamp::from_millis(NOW)).await.unwrap() })
    });
    for task in starting.collect::<Vec<_>>() {
        assert_eq!(task.await.unwrap(), Some(1));
    }
    let all = call(&world, "FilterLogEvents", json!({ "logGroupName": "/many" })).await;
    assert_eq!(messages(&all).len(), 20);
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

/// Reading in pages of any size, in either direction, gives what a sorted list would.
#[tokio::test]
async fn pages_of_any_size_give_all_events_in_order() {
    let world = World::new();
    group(&world, "g").await;
    let mut ids = gantry_types::Ids::from_seed(11);
    let mut all = Vec::new();
    for number in 0..4 {
        let name = format!("s{number}");
        stream(&world, "g", &name).await;
        for _ in 0..6 {
            // From milliseconds to days apart, and some at the same time.
            let spread = [1, 1_000, 100_000, 80_000_000][usize::try_from(ids.below(4)).unwrap()];
            let base = NOW - 10 * 86_400_000 + i64::try_from(ids.below(9 * 86_400_000)).unwrap();
            let mut times: Vec<i64> =
                (0..12).map(|_| base + i64::try_from(ids.below(spread)).unwrap()).collect();
            times.sort_unstable();
            let messages: Vec<(i64, String)> =
                times.iter().map(|at| (*at, format!("{name} {}", ids.hex(8)))).collect();
            let given: Vec<(i64, &str)> = messages.iter().map(|(at, text)| (*at, text.as_str())).collect();
            put(&world, "g", &name, &given).await;
            all.extend(messages);
        }
    }
    all.sort_by_key(|(at, _)| *at);
    let expected: Vec<&str> = all.iter().map(|(_, text)| text.as_str()).collect();
    for limit in [1, 7, 100, 10_000] {
        let (mut seen, mut token) = (Vec::new(), Json::Null);
        loop {
            let mut body = json!({ "logGroupName": "g", "limit": limit });
            if !token.is_null() {
                body["nextToken"] = token;
            }
            let page = call(&world, "FilterLogEvents", body).await;
            seen.extend(messages(&page).into_iter().map(str::to_owned));
            token = page["nextToken"].clone();
            if token.is_null() {
                break;
            }
        }
        assert_eq!(seen, expected, "{limit}");
    }
    let of_one: Vec<&str> = expected.iter().copied().filter(|text| text.starts_with("s2 ")).collect();
    let (mut seen, mut token) = (Vec::new(), Json::Null);
    loop {
        let mut body = json!({ "logGroupName": "g", "logStreamName": "s2", "limit": 5 });
        if !token.is_null() {
            body["nextToken"] = token.clone();
        }
        let page = call(&world, "GetLogEvents", body).await;
        let mut found: Vec<String> = messages(&page).into_iter().map(str::to_owned).collect();
        found.extend(seen);
        seen = found;
        if page["nextBackwardToken"] == token {
            break;
        }
        token = page["nextBackwardToken"].clone();
    }
    assert_eq!(seen, of_one);
}

#[tokio::test]
async fn large_events_come_in_pages_of_a_mebibyte() {
    let world = World::new();
    group(&world, "g").await;
    stream(&world, "g", "s").await;
    let large = "x".repeat(400 << 10);
    for at in 0..5 {
        put(&world, "g", "s", &[(NOW + at, &large)]).await;
    }
    let (mut sizes, mut token) = (Vec::new(), Json::Null);
    loop {
        let mut body = json!({ "logGroupName": "g" });
        if !token.is_null() {
            body["nextToken"] = token;
        }
        let page = call(&world, "FilterLogEvents", body).await;
        sizes.push(messages(&page).len());
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(sizes, [2, 2, 1]);
}

/// Every task that starts makes a stream: the group lets those go that were silent the longest.
#[tokio::test]
async fn a_group_with_too_many_streams_makes_room() {
    use super::records::{Stream, streams};

    let world = World::new();
    ingest(&world.context, lines("/web", "app/first", true, 1..2), world.now).await.unwrap();
    let group =
        world.context.read(|view| super::names::group(view, &"us-east-1".into(), "/web").unwrap().document);
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
        let streams = super::groups::streams_of(view, &group).unwrap();
        streams.into_iter().map(|stream| stream.document.name).collect()
    });
    assert_eq!(names.len(), 10_000 - 64 + 1);
    for (name, stays) in [("app/first", true), ("app/new", true), ("old/00064", false), ("old/00065", true)] {
        assert_eq!(names.iter().any(|own| own == name), stays, "{name}");
    }
}
