//! Events: put, read, filtered, followed, and written by containers.

use gantry_types::Timestamp;
use serde_json::{Value as Json, json};

use super::super::ingest::{IngestError, ingest};
use super::{call, fails, group, lines, messages, put, stream};
use crate::testing::{NOW, World};

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
