//! ECR's API over the wire, with a registry in a directory of its own.

use gantry_images::registry::Registry;
use gantry_images::{Digest, Store, media_type};
use serde_json::{Value, json};

use super::RegistryHost;
use crate::testing::{Answer, NOW, World};

struct Ecr {
    world: World,
    registry: Registry,
    _folder: tempfile::TempDir,
}

impl Ecr {
    fn new() -> Self {
        let (world, folder) = (World::new(), tempfile::tempdir().unwrap());
        let registry = Registry::open(Store::open(folder.path()).unwrap()).unwrap();
        let host = RegistryHost { registry: registry.clone(), port: 4566, region: "us-east-1".into() };
        world.context.set_registry(host);
        Self { world, registry, _folder: folder }
    }

    async fn call(&self, operation: &str, body: Value) -> Answer {
        self.world.json("ecr", operation, &body).await
    }

    async fn ok(&self, operation: &str, body: Value) -> Value {
        self.call(operation, body).await.document()
    }

    /// A manifest whose blobs came through the API.
    async fn manifest(&self, repository: &str, seed: &str) -> String {
        let config = self.layer(repository, &format!("{{\"seed\":\"{seed}\"}}")).await;
        let layer = self.layer(repository, &format!("layer of {seed}")).await;
        let part = |media_type: &str, (digest, size): &(String, usize)| json!({ "mediaType": media_type, "digest": digest, "size": size });
        json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": part(media_type::OCI_CONFIG, &config),
            "layers": [part(media_type::OCI_LAYER, &layer)],
        })
        .to_string()
    }

    async fn layer(&self, repository: &str, content: &str) -> (String, usize) {
        use base64::Engine as _;
        let digest = Digest::of(content.as_bytes()).to_string();
        let upload =
            self.ok("InitiateLayerUpload", json!({ "repositoryName": repository })).await["uploadId"].clone();
        let blob = base64::engine::general_purpose::STANDARD.encode(content);
        let part = json!({
            "repositoryName": repository, "uploadId": upload, "partFirstByte": 0, "partLastByte": content.len() - 1,
            "layerPartBlob": blob,
        });
        self.ok("UploadLayerPart", part).await;
        let done = json!({ "repositoryName": repository, "uploadId": upload, "layerDigests": [digest] });
        self.ok("CompleteLayerUpload", done).await;
        (digest, content.len())
    }
}

#[tokio::test]
async fn a_repository_shows_itself_as_awss_do() {
    let ecr = Ecr::new();
    let made = ecr.ok("CreateRepository", json!({ "repositoryName": "team/app" })).await;
    let mut shown = made["repository"].clone();
    let created_at = shown.as_object_mut().unwrap().remove("createdAt").unwrap();
    assert_eq!(created_at.as_f64(), Some(NOW as f64 / 1000.0));
    let expected = json!({
        "encryptionConfiguration": { "encryptionType": "AES256" },
        "imageScanningConfiguration": { "scanOnPush": false },
        "imageTagMutability": "MUTABLE",
        "registryId": "123456789012",
        "repositoryArn": "arn:aws:ecr:us-east-1:123456789012:repository/team/app",
        "repositoryName": "team/app",
        "repositoryUri": "123456789012.dkr.ecr.us-east-1.localhost:4566/team/app",
    });
    assert_eq!(shown, expected);
    let all = ecr.ok("DescribeRepositories", json!({})).await;
    assert_eq!(all["repositories"], json!([made["repository"]]));
    ecr.call("CreateRepository", json!({ "repositoryName": "team/app" })).await.fails(
        400,
        &[
            "RepositoryAlreadyExistsException",
            "The repository with name 'team/app' already exists in the registry with id '123456789012'",
        ],
    );
}

#[tokio::test]
async fn what_is_not_there_is_said_in_awss_words() {
    let ecr = Ecr::new();
    let absent = "The repository with name 'app' does not exist in the registry with id '123456789012'";
    for (operation, more) in [
        ("DescribeImages", json!({})),
        ("ListImages", json!({})),
        ("BatchGetImage", json!({ "imageIds": [{ "imageTag": "a" }] })),
        ("BatchDeleteImage", json!({ "imageIds": [{ "imageTag": "a" }] })),
        ("DeleteRepository", json!({})),
        ("PutImageTagMutability", json!({ "imageTagMutability": "MUTABLE" })),
        ("PutImageScanningConfiguration", json!({ "imageScanningConfiguration": {} })),
        ("GetRepositoryPolicy", json!({})),
        ("DeleteRepositoryPolicy", json!({})),
        ("GetLifecyclePolicy", json!({})),
        ("DeleteLifecyclePolicy", json!({})),
        ("InitiateLayerUpload", json!({})),
        ("PutImage", json!({ "imageManifest": "{}" })),
        ("BatchCheckLayerAvailability", json!({ "layerDigests": ["sha256:00"] })),
    ] {
        let mut body = json!({ "repositoryName": "app" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ecr.call(operation, body).await.fails(400, &["RepositoryNotFoundException", absent]);
    }
    let elsewhere = json!({ "repositoryName": "app", "registryId": "999999999999" });
    ecr.call("ListImages", elsewhere).await.fails(400, &["RepositoryNotFoundException", "'999999999999'"]);
    let arn = json!({ "resourceArn": "arn:aws:ecr:us-east-1:123456789012:repository/app" });
    ecr.call("ListTagsForResource", arn).await.fails(400, &["RepositoryNotFoundException"]);
    ecr.call("ListTagsForResource", json!({ "resourceArn": "app" }))
        .await
        .fails(400, &["InvalidParameterException"]);
    ecr.call("CreateRepository", json!({ "repositoryName": "App" }))
        .await
        .fails(400, &["InvalidParameterException"]);
}

#[tokio::test]
async fn images_that_nobody_created_a_repository_for_are_shown() {
    let ecr = Ecr::new();
    ecr.ok("CreateRepository", json!({ "repositoryName": "made" })).await;
    let manifest = ecr.manifest("made", "one").await;
    ecr.ok("PutImage", json!({ "repositoryName": "made", "imageManifest": manifest, "imageTag": "v1" }))
        .await;
    let made = "123456789012.dkr.ecr.us-east-1.amazonaws.com/made:v1";
    // The manifest's configuration is none of an image, so it is named as a push would.
    assert!(ecr.registry.store().resolve(made).unwrap().is_some());
    let repository = gantry_images::registry::RepositoryName::new("us-east-1", "loaded").unwrap();
    ecr.registry
        .put_manifest(&gantry_images::registry::PutManifest {
            repository: &repository,
            name: gantry_images::registry::ImageName::Tag("v1".into()),
            content: manifest.as_bytes(),
            media_type: None,
            overwrite: gantry_images::registry::Overwrite::Allowed,
            now: ecr.world.now,
        })
        .unwrap();
    let all = ecr.ok("DescribeRepositories", json!({})).await;
    let names: Vec<_> =
        all["repositories"].as_array().unwrap().iter().map(|one| one["repositoryName"].clone()).collect();
    assert_eq!(names, ["loaded", "made"]);
    assert_eq!(all["repositories"][0]["imageTagMutability"], "MUTABLE");
    // Its first setting makes it one that was created; so does creating it.
    let immutable = json!({ "repositoryName": "loaded", "imageTagMutability": "IMMUTABLE" });
    ecr.ok("PutImageTagMutability", immutable).await;
    ecr.call("CreateRepository", json!({ "repositoryName": "loaded" }))
        .await
        .fails(400, &["RepositoryAlreadyExistsException"]);
    let other = ecr.manifest("loaded", "two").await;
    let put = json!({ "repositoryName": "loaded", "imageManifest": other, "imageTag": "v1" });
    ecr.call("PutImage", put).await.fails(400, &["ImageTagAlreadyExistsException", "immutable"]);
    ecr.ok("DeleteRepository", json!({ "repositoryName": "loaded", "force": true })).await;
    let all = ecr.ok("DescribeRepositories", json!({})).await;
    assert_eq!(all["repositories"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn images_expire_by_their_policy() {
    let ecr = Ecr::new();
    ecr.ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    for seed in ["one", "two", "three"] {
        let manifest = ecr.manifest("app", seed).await;
        ecr.ok(
            "PutImage",
            json!({ "repositoryName": "app", "imageManifest": manifest, "imageTag": "latest" }),
        )
        .await;
    }
    let selection = json!({ "tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1 });
    let rule = json!({ "rulePriority": 1, "selection": selection, "action": { "type": "expire" } });
    let policy =
        json!({ "repositoryName": "app", "lifecyclePolicyText": json!({ "rules": [rule] }).to_string() });
    ecr.ok("PutLifecyclePolicy", policy).await;
    let count = async || {
        ecr.ok("ListImages", json!({ "repositoryName": "app" })).await["imageIds"].as_array().unwrap().len()
    };
    super::sweep(&ecr.world.context, ecr.world.now).await.unwrap();
    assert_eq!(count().await, 3);
    let later = ecr.world.now + std::time::Duration::from_secs(24 * 3600);
    super::sweep(&ecr.world.context, later).await.unwrap();
    assert_eq!(count().await, 1);
    let known = ecr.ok("GetLifecyclePolicy", json!({ "repositoryName": "app" })).await;
    assert_eq!(known["lastEvaluatedAt"].as_f64().unwrap(), later.seconds());
}

#[tokio::test]
async fn pages_meet() {
    let ecr = Ecr::new();
    for number in 0..5 {
        ecr.ok("CreateRepository", json!({ "repositoryName": format!("app-{number}") })).await;
    }
    let (mut names, mut token) = (Vec::new(), Value::Null);
    loop {
        let page = ecr.ok("DescribeRepositories", json!({ "maxResults": 2, "nextToken": token })).await;
        names
            .extend(page["repositories"].as_array().unwrap().iter().map(|one| one["repositoryName"].clone()));
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(names, ["app-0", "app-1", "app-2", "app-3", "app-4"]);
    ecr.call("DescribeRepositories", json!({ "nextToken": "x" }))
        .await
        .fails(400, &["InvalidParameterException"]);
}

#[tokio::test]
async fn without_a_registry_nothing_is_promised() {
    let world = World::new();
    world.json("ecr", "DescribeRepositories", &json!({})).await.fails(500, &["ServerException"]);
}
