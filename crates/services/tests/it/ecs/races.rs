//! Calls that meet: both decide before either is committed.

use gantry_api::ApiError;
use serde_json::{Value as Json, json};

use super::{Fixture, definition};
use crate::world::Answer as _;

fn code(outcome: &Result<Json, ApiError>) -> &str {
    match outcome {
        Ok(_) => "ok",
        Err(error) => &error.code,
    }
}

#[tokio::test]
async fn a_cluster_is_not_deleted_under_what_is_being_made_in_it() {
    for (make, refusal) in [
        ("ecs RunTask", "ClusterContainsTasksException"),
        ("ecs CreateService", "ClusterContainsServicesException"),
    ] {
        for made_first in [true, false] {
            let fixture = Fixture::new().await;
            let input = match make {
                "ecs RunTask" => fixture.task(&json!({})),
                _ => fixture.service("site", &json!({})),
            };
            let (make, delete) = ((make, input), ("ecs DeleteCluster", json!({"cluster": "web"})));
            if made_first {
                let (made, deleted) = fixture.world.together(make.clone(), delete).await;
                assert_eq!((code(&made), code(&deleted)), ("ok", refusal), "{}", make.0);
            } else {
                let (deleted, made) = fixture.world.together(delete, make.clone()).await;
                assert_eq!((code(&deleted), code(&made)), ("ok", "ClusterNotFoundException"), "{}", make.0);
            }
        }
    }
}

#[tokio::test]
async fn two_registrations_are_two_revisions() {
    let fixture = Fixture::new().await;
    let register = ("ecs RegisterTaskDefinition", definition("web"));
    let (first, second) = fixture.world.together(register.clone(), register).await;
    let mut revisions =
        [first, second].map(|made| made.unwrap()["taskDefinition"]["revision"].as_i64().unwrap());
    revisions.sort_unstable();
    assert_eq!(revisions, [2, 3]);
}

#[tokio::test]
async fn a_crowd_gets_through() {
    let fixture = Fixture::new().await;
    let calls: Vec<_> = (0..100).map(|_| ("ecs RegisterTaskDefinition", definition("crowd"))).collect();
    let made = fixture.world.all_together(calls).await;
    let mut revisions: Vec<i64> =
        made.into_iter().map(|made| made.unwrap()["taskDefinition"]["revision"].as_i64().unwrap()).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=100).collect::<Vec<_>>());
    // Tasks do not even meet.
    let calls = (0..50).map(|_| ("ecs RunTask", fixture.task(&json!({"count": 2})))).collect();
    assert!(fixture.world.all_together(calls).await.iter().all(Result::is_ok));
    let listed = fixture.world.ok("ecs ListTasks", json!({"cluster": "web"})).await;
    assert_eq!(listed["taskArns"].list().len(), 100);
}

#[tokio::test]
async fn of_two_services_of_one_name_one_is_made() {
    let fixture = Fixture::new().await;
    let create = ("ecs CreateService", fixture.service("site", &json!({})));
    let (first, second) = fixture.world.together(create.clone(), create).await;
    assert_eq!((code(&first), code(&second)), ("ok", "InvalidParameterException"));
    assert_eq!(second.unwrap_err().message, "Creation of service was not idempotent.");
    let token = ("ecs CreateService", fixture.service("other", &json!({"clientToken": "t"})));
    let (first, second) = fixture.world.together(token.clone(), token).await;
    assert_eq!(first.unwrap()["service"]["deployments"], second.unwrap()["service"]["deployments"]);
}

#[tokio::test]
async fn one_client_token_runs_one_task() {
    let fixture = Fixture::new().await;
    let run = ("ecs RunTask", fixture.task(&json!({"clientToken": "t"})));
    let (first, second) = fixture.world.together(run.clone(), run).await;
    assert_eq!(first.unwrap()["tasks"].each("taskArn"), second.unwrap()["tasks"].each("taskArn"));
}

#[tokio::test]
async fn a_definition_is_not_deregistered_under_a_call_that_read_it() {
    for (make, more) in [("ecs RunTask", false), ("ecs CreateService", true)] {
        let fixture = Fixture::new().await;
        let input = if more { fixture.service("site", &json!({})) } else { fixture.task(&json!({})) };
        let deregister = ("ecs DeregisterTaskDefinition", json!({"taskDefinition": "web:1"}));
        let (gone, made) = fixture.world.together(deregister, (make, input)).await;
        assert_eq!((code(&gone), code(&made)), ("ok", "ClientException"), "{make}");
    }
}

#[tokio::test]
async fn two_updates_are_both_made() {
    let fixture = Fixture::new().await;
    fixture.world.ok("ecs CreateService", fixture.service("site", &json!({}))).await;
    let count = ("ecs UpdateService", json!({"cluster": "web", "service": "site", "desiredCount": 7}));
    let grace =
        ("ecs UpdateService", json!({"cluster": "web", "service": "site", "enableExecuteCommand": true}));
    let (first, second) = fixture.world.together(count, grace).await;
    assert_eq!((code(&first), code(&second)), ("ok", "ok"));
    let service = fixture.describe("site").await;
    assert_eq!((&service["desiredCount"], &service["enableExecuteCommand"]), (&json!(7), &json!(true)));
}
