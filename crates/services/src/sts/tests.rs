//! Sessions through the wire, as clients see them.

use std::time::Duration;

use gantry_domain::task_session::{InstallationKey, LIFE, RENEWAL, TaskSubject};
use gantry_types::Timestamp;
use serde_json::json;

use crate::testing::{Keys, World, element, form};

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}"#;

async fn role(world: &World, name: &str, extra: &str) {
    let form = format!("Action=CreateRole&RoleName={name}&AssumeRolePolicyDocument={}{extra}", form(TRUST));
    world.query("iam", &form).await.ok();
}

fn keys(answer: &str) -> Keys {
    Keys {
        id: element(answer, "AccessKeyId").to_owned(),
        secret: element(answer, "SecretAccessKey").to_owned(),
        token: Some(element(answer, "SessionToken").to_owned()),
    }
}

fn assume(name: &str, extra: &str) -> String {
    format!("Action=AssumeRole&RoleArn=arn:aws:iam::123456789012:role/{name}&RoleSessionName=me{extra}")
}

#[tokio::test]
async fn the_account_itself_calls_with_the_first_key() {
    let world = World::new();
    let answer = world.query("sts", "Action=GetCallerIdentity").await.ok();
    assert_eq!(element(&answer, "Arn"), "arn:aws:iam::123456789012:root");
    assert_eq!(element(&answer, "UserId"), "123456789012");
    assert_eq!(element(&answer, "Account"), "123456789012");
    let stranger = Keys { id: "AKIAUNKNOWNUNKNOWN22".to_owned(), ..Keys::root() };
    world.query_as(&stranger, "sts", "Action=GetCallerIdentity").await.fails(403, &["InvalidClientTokenId"]);
}

#[tokio::test]
async fn an_assumed_role_calls_until_its_time_is_over() {
    let mut world = World::new();
    role(&world, "deploy", "&Path=%2Fci%2F").await;
    let answer = world.query("sts", &assume("ci/deploy", "&DurationSeconds=900")).await.ok();
    assert_eq!(element(&answer, "Arn"), "arn:aws:sts::123456789012:assumed-role/deploy/me");
    assert!(element(&answer, "AssumedRoleId").starts_with("AROA"));
    assert!(element(&answer, "AssumedRoleId").ends_with(":me"));
    let session = keys(&answer);
    assert!(session.id.starts_with("ASIA"));

    let identity = "Action=GetCallerIdentity";
    let seen = world.query_as(&session, "sts", identity).await.ok();
    assert_eq!(element(&seen, "Arn"), "arn:aws:sts::123456789012:assumed-role/deploy/me");
    let without_token = Keys { token: None, ..session.clone() };
    world.query_as(&without_token, "sts", identity).await.fails(403, &["InvalidClientTokenId"]);
    let wrong_secret = Keys { secret: "x".to_owned(), ..session.clone() };
    world.query_as(&wrong_secret, "sts", identity).await.fails(403, &["SignatureDoesNotMatch"]);

    world.now = world.now + Duration::from_secs(900);
    world.query_as(&session, "sts", identity).await.fails(403, &["ExpiredToken", "is expired"]);
    // Long after, it is cleared away by the next session, and nobody knows it any more.
    world.now = world.now + Duration::from_secs(3600);
    world.query("sts", &assume("ci/deploy", "")).await.ok();
    world.query_as(&session, "sts", identity).await.fails(403, &["InvalidClientTokenId"]);
}

#[tokio::test]
async fn a_role_is_assumed_within_its_rules() {
    let world = World::new();
    role(&world, "short", "").await;
    role(&world, "long", "&MaxSessionDuration=43200").await;
    let nobody = "User: arn:aws:iam::123456789012:root is not authorized to perform: sts:AssumeRole on resource: \
                  arn:aws:iam::123456789012:role/nobody";
    for (form, status, parts) in [
        (assume("nobody", ""), 403, &["AccessDenied", nobody][..]),
        // The path belongs to the ARN.
        (assume("other/short", ""), 403, &["AccessDenied"]),
        (
            assume("short", "&DurationSeconds=3601"),
            400,
            &["ValidationError", "MaxSessionDuration set for this role"],
        ),
        (assume("short", "&DurationSeconds=899"), 400, &["ValidationError", "greater than or equal to 900"]),
        (assume("long", "&DurationSeconds=43201"), 400, &["ValidationError", "less than or equal to 43200"]),
        (assume("short", "&Policy=%7B"), 400, &["MalformedPolicyDocument"]),
        (assume("short", "").replace("Name=me", "Name=a%20b"), 400, &["ValidationError", "roleSessionName"]),
    ] {
        world.query("sts", &form).await.fails(status, parts);
    }
    let session = keys(&world.query("sts", &assume("long", "&DurationSeconds=43200")).await.ok());
    let chained = assume("long", "&DurationSeconds=3601");
    world.query_as(&session, "sts", &chained).await.fails(400, &["role chaining"]);
    world.query_as(&session, "sts", &assume("long", "&DurationSeconds=3600")).await.ok();
}

#[tokio::test]
async fn a_session_token_stands_for_its_caller() {
    let world = World::new();
    let answer = world.query("sts", "Action=GetSessionToken&DurationSeconds=129600").await.ok();
    let session = keys(&answer);
    // Root's own sessions take an hour at the most: 1_750_000_000 s is 15:06:40.
    assert_eq!(element(&answer, "Expiration"), "2025-06-15T16:06:40Z");
    let seen = world.query_as(&session, "sts", "Action=GetCallerIdentity").await.ok();
    assert_eq!(element(&seen, "Arn"), "arn:aws:iam::123456789012:root");
    world
        .query_as(&session, "sts", "Action=GetSessionToken")
        .await
        .fails(403, &["AccessDenied", "Cannot call GetSessionToken with session credentials"]);
}

#[tokio::test]
async fn sessions_outlive_the_process() {
    use gantry_store::fault::FaultyDisk;
    use gantry_store::{Database, Options};

    let disk = FaultyDisk::new(3);
    let session = {
        let world = World::on(Database::open(disk.clone(), Options::default()).unwrap());
        role(&world, "deploy", "").await;
        keys(&world.query("sts", &assume("deploy", "")).await.ok())
    };
    let world = World::on(Database::open(disk, Options::default()).unwrap());
    world.query_as(&session, "sts", "Action=GetCallerIdentity").await.ok();
}

/// Runs a task, which nobody places; gives its id.
async fn run_task(world: &World) -> String {
    let ecs = |operation, body| async move { world.json("ecs", operation, &body).await.document() };
    ecs("CreateCluster", json!({})).await;
    let container = json!({"name": "app", "image": "app"});
    let definition = json!({
        "family": "page", "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "256", "memory": "512",
        "containerDefinitions": [container],
    });
    ecs("RegisterTaskDefinition", definition).await;
    let subnets = world.query("ec2", "Action=DescribeSubnets").await.ok();
    let network = json!({"awsvpcConfiguration": {"subnets": [element(&subnets, "subnetId")]}});
    let task = json!({"taskDefinition": "page", "launchType": "FARGATE", "networkConfiguration": network});
    let answer = ecs("RunTask", task).await;
    let arn = answer["tasks"][0]["taskArn"].as_str().expect("a task").to_owned();
    arn.rsplit('/').next().expect("an id").to_owned()
}

/// What the node of a task gives it, by the key that `control` gave the node.
fn task_keys(role: &str, task: &str, now: Timestamp) -> Keys {
    let subject = TaskSubject {
        role: role.parse().unwrap(),
        region: "us-east-1".into(),
        cluster: "default".into(),
        task: task.into(),
    };
    let credentials =
        InstallationKey::derive(&Keys::root().secret).task_key(&subject).credentials(&subject, now);
    Keys {
        id: credentials.access_key_id,
        secret: credentials.secret_access_key,
        token: Some(credentials.token),
    }
}

#[tokio::test]
async fn a_tasks_role_calls_without_any_record_while_task_and_role_are_there() {
    let mut world = World::new();
    role(&world, "page", "&Path=%2Fapps%2F").await;
    let task = run_task(&world).await;
    let arn = "arn:aws:iam::123456789012:role/apps/page";
    let identity = "Action=GetCallerIdentity";
    let session = task_keys(arn, &task, world.now);
    let answer = world.query_as(&session, "sts", identity).await.ok();
    assert_eq!(element(&answer, "Arn"), format!("arn:aws:sts::123456789012:assumed-role/page/{task}"));
    assert!(element(&answer, "UserId").starts_with("AROA") && element(&answer, "UserId").ends_with(&task));

    let wrong_secret = Keys { secret: "x".to_owned(), ..session.clone() };
    world.query_as(&wrong_secret, "sts", identity).await.fails(403, &["SignatureDoesNotMatch"]);
    let others = task_keys(arn, &task, world.now + RENEWAL);
    let of_another_time = Keys { token: others.token, ..session.clone() };
    for unknown in [
        Keys { token: None, ..session.clone() },
        Keys { token: Some("AAAA".to_owned()), ..session.clone() },
        of_another_time,
        task_keys(arn, "00000000000000000000000000000000", world.now),
        task_keys("arn:aws:iam::123456789012:role/nobody", &task, world.now),
    ] {
        world.query_as(&unknown, "sts", identity).await.fails(403, &["InvalidClientTokenId"]);
    }
    world.query("iam", "Action=DeleteRole&RoleName=page").await.ok();
    world.query_as(&session, "sts", identity).await.fails(403, &["InvalidClientTokenId"]);
    role(&world, "page", "&Path=%2Fapps%2F").await;
    world.now = world.now + LIFE;
    world.query_as(&session, "sts", identity).await.fails(403, &["ExpiredToken", "is expired"]);
}
