//! The registry over a store in a directory of its own.

use std::time::{Duration, SystemTime};

use serde_json::json;

use gantry_types::Timestamp;

use super::*;
use crate::document::media_type;
use crate::error::StoreError;
use crate::limits::Limits;

const ID: &str = "00000000-0000-4000-8000-000000000001";
const OTHER_ID: &str = "00000000-0000-4000-8000-000000000002";

struct World {
    directory: tempfile::TempDir,
    registry: Registry,
    app: RepositoryName,
}

impl World {
    fn new() -> Self {
        Self::with(Limits::default())
    }
    fn with(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::open(Store::open_with(directory.path(), limits).unwrap()).unwrap();
        Self { directory, registry, app: RepositoryName::new("us-east-1", "team/app").unwrap() }
    }
    /// Another process after a crash of this one.
    fn restarted(&self) -> Registry {
        Registry::open(Store::open(self.directory.path()).unwrap()).unwrap()
    }
    fn blob(&self, content: &[u8]) -> Digest {
        let upload = self.registry.begin_upload(&self.app, OTHER_ID).unwrap();
        upload.append(content.chunks(7)).unwrap();
        upload.finish(&Digest::of(content)).unwrap();
        Digest::of(content)
    }
    fn image(&self, seed: &str) -> Vec<u8> {
        let (config, layer) = (format!("{{\"seed\": \"{seed}\"}}"), format!("layer of {seed}"));
        self.blob(config.as_bytes());
        self.blob(layer.as_bytes());
        manifest(config.as_bytes(), &[layer.as_bytes()])
    }
    fn put(&self, name: &str, content: &[u8]) -> Result<PutOutcome, RegistryError> {
        self.put_with(name, content, Overwrite::Allowed, None)
    }
    fn put_with(
        &self,
        name: &str,
        content: &[u8],
        overwrite: Overwrite,
        media_type: Option<&str>,
    ) -> Result<PutOutcome, RegistryError> {
        self.registry.put_manifest(&PutManifest {
            repository: &self.app,
            name: ImageName::parse(name)?,
            content,
            media_type,
            overwrite,
            now: Timestamp::from_millis(1_000),
        })
    }
    fn images(&self) -> Vec<(Digest, Vec<String>)> {
        let images = self.registry.images(&self.app).unwrap();
        images.into_iter().map(|image| (image.digest, image.tags)).collect()
    }
    fn delete(&self, tag: Option<&str>, digest: Option<Digest>) -> Deleted {
        let selected = Selected { tag: tag.map(str::to_owned), digest };
        self.registry.delete(&self.app, &[selected]).unwrap().remove(0)
    }
}

fn descriptor(media_type: &str, content: &[u8]) -> serde_json::Value {
    json!({ "mediaType": media_type, "digest": Digest::of(content), "size": content.len() })
}

fn manifest(config: &[u8], layers: &[&[u8]]) -> Vec<u8> {
    let layers: Vec<_> = layers.iter().map(|layer| descriptor(media_type::OCI_LAYER_ZSTD, layer)).collect();
    let config = descriptor(media_type::OCI_CONFIG, config);
    let manifest = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": layers });
    manifest.to_string().into_bytes()
}

fn list_of(manifests: &[&[u8]]) -> Vec<u8> {
    let manifests: Vec<_> =
        manifests.iter().map(|manifest| descriptor(media_type::OCI_MANIFEST, manifest)).collect();
    let index = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests });
    index.to_string().into_bytes()
}

#[test]
fn an_upload_goes_on_after_a_crash_where_it_was() {
    let world = World::new();
    let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let upload = world.registry.begin_upload(&world.app, ID).unwrap();
    upload.append([&content[..150_000], &content[150_000..300_000]].into_iter()).unwrap();
    std::mem::forget(upload);
    let restarted = world.restarted();
    assert_eq!(restarted.upload_size(&world.app, ID).unwrap(), 300_000);
    let upload = restarted.resume_upload(&world.app, ID).unwrap();
    assert_eq!(upload.append(std::iter::once(&content[300_000..])).unwrap(), content.len() as u64);
    upload.finish(&Digest::of(&content)).unwrap();
    let (mut file, size) = restarted.open_blob(&Digest::of(&content)).unwrap();
    let mut stored = Vec::new();
    std::io::Read::read_to_end(&mut file, &mut stored).unwrap();
    assert_eq!((size, stored), (content.len() as u64, content));
    assert!(matches!(restarted.upload_size(&world.app, ID), Err(RegistryError::UploadUnknown)));
    assert_eq!(std::fs::read_dir(world.directory.path().join("uploads")).unwrap().count(), 0);
}

#[test]
fn who_comes_later_has_the_upload() {
    let world = World::new();
    let first = world.registry.begin_upload(&world.app, ID).unwrap();
    first.append(std::iter::once(&b"one "[..])).unwrap();
    let second = world.registry.resume_upload(&world.app, ID).unwrap();
    assert!(matches!(first.append(std::iter::once(&b"lost"[..])), Err(RegistryError::UploadTaken)));
    assert!(matches!(first.cancel(), Err(RegistryError::UploadTaken)));
    second.append(std::iter::once(&b"two"[..])).unwrap();
    drop(first);
    second.finish(&Digest::of(b"one two")).unwrap();
    assert!(matches!(second.size(), Err(RegistryError::UploadUnknown)));
}

#[test]
fn an_upload_is_of_one_repository_and_ids_are_no_paths() {
    let world = World::new();
    let _upload = world.registry.begin_upload(&world.app, ID).unwrap();
    let other = RepositoryName::new("us-east-1", "other").unwrap();
    let elsewhere = RepositoryName::new("eu-west-1", "team/app").unwrap();
    for repository in [&other, &elsewhere] {
        assert!(matches!(world.registry.resume_upload(repository, ID), Err(RegistryError::UploadUnknown)));
    }
    for id in ["", "..", "../../tmp/00000000-0000-4000-8000-0000000", &"a".repeat(37)] {
        assert!(world.registry.begin_upload(&world.app, id).is_err(), "{id}");
    }
    assert!(matches!(
        world.registry.begin_upload(&world.app, ID),
        Err(RegistryError::Store(StoreError::Io { .. }))
    ));
}

#[test]
fn a_wrong_digest_drops_the_upload() {
    let world = World::new();
    let upload = world.registry.begin_upload(&world.app, ID).unwrap();
    upload.append(std::iter::once(&b"content"[..])).unwrap();
    let error = upload.finish(&Digest::of(b"other")).unwrap_err();
    assert!(matches!(error, RegistryError::DigestMismatch { .. }));
    assert!(!world.registry.store().has_blob(&Digest::of(b"other")).unwrap());
    assert!(!world.registry.store().has_blob(&Digest::of(b"content")).unwrap());
    assert_eq!(std::fs::read_dir(world.directory.path().join("uploads")).unwrap().count(), 0);
}

#[test]
fn uploads_have_limits_and_expire() {
    let world = World::with(Limits { uploads_max: 1, blob_bytes_max: 10, ..Limits::default() });
    let upload = world.registry.begin_upload(&world.app, ID).unwrap();
    assert!(matches!(
        world.registry.begin_upload(&world.app, OTHER_ID),
        Err(RegistryError::TooManyUploads(1))
    ));
    assert_eq!(upload.append(std::iter::once(&[0; 10][..])).unwrap(), 10);
    assert!(matches!(upload.append(std::iter::once(&[0; 1][..])), Err(RegistryError::TooLarge { .. })));
    assert_eq!(world.registry.expire().unwrap(), 0);
    let data = world.directory.path().join("uploads").join(ID).join("data");
    let long_ago = SystemTime::now() - Limits::default().unfinished_push_kept - Duration::from_secs(1);
    File::options().write(true).open(data).unwrap().set_modified(long_ago).unwrap();
    assert_eq!(world.registry.expire().unwrap(), 1);
    assert!(matches!(upload.append(std::iter::empty()), Err(RegistryError::UploadUnknown)));
    world.registry.begin_upload(&world.app, OTHER_ID).unwrap();
}

#[test]
fn a_manifest_needs_its_blobs() {
    let world = World::new();
    let missing = manifest(b"{}", &[b"layer"]);
    match world.put("1", &missing) {
        Err(RegistryError::ManifestBlobUnknown(digest)) => assert_eq!(digest, Digest::of(b"{}")),
        other => panic!("{other:?}"),
    }
    world.blob(b"{}");
    assert!(matches!(world.put("1", &missing), Err(RegistryError::ManifestBlobUnknown(_))));
    world.blob(b"layer");
    assert!(!world.put("1", &missing).unwrap().was_there);
    assert!(world.put("1", &missing).unwrap().was_there);
    let wrong_size = String::from_utf8(missing.clone()).unwrap().replace("\"size\":5", "\"size\":6");
    assert!(matches!(world.put("2", wrong_size.as_bytes()), Err(RegistryError::Manifest(_))));
    assert!(matches!(world.put("2", b"{}"), Err(RegistryError::Manifest(_))));
    let other = Digest::of(b"other").to_string();
    assert!(matches!(world.put(&other, &missing), Err(RegistryError::DigestMismatch { .. })));
    let docker = Some(media_type::DOCKER_MANIFEST);
    let told = world.put_with("2", &missing, Overwrite::Allowed, docker);
    assert!(matches!(told, Err(RegistryError::Manifest(_))));
    for tag in ["", "-a", "a/b", &"a".repeat(129)] {
        assert!(world.put(tag, &missing).is_err(), "{tag}");
    }
    let found = world.registry.manifest(&world.app, &ImageName::Tag("1".into())).unwrap();
    assert_eq!((found.content, found.media_type.as_str()), (missing, media_type::OCI_MANIFEST));
}

#[test]
fn layers_of_a_vendor_need_not_be_here() {
    let world = World::new();
    world.blob(b"{}");
    let foreign = String::from_utf8(manifest(b"{}", &[b"windows"]))
        .unwrap()
        .replace(media_type::OCI_LAYER_ZSTD, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    world.put("1", foreign.as_bytes()).unwrap();
}

#[test]
fn an_image_stays_when_its_tag_moves_on() {
    let world = World::new();
    let (one, two) = (world.image("one"), world.image("two"));
    let (first, second) = (Digest::of(&one), Digest::of(&two));
    world.put("latest", &one).unwrap();
    world.put("latest", &two).unwrap();
    world.put("v2", &two).unwrap();
    let mut expected = vec![(first, vec![]), (second, vec!["latest".to_owned(), "v2".to_owned()])];
    expected.sort();
    assert_eq!(world.images(), expected);
    // Moved tags are no reason to throw anything away.
    world.registry.store().prune().unwrap();
    world.registry.manifest(&world.app, &ImageName::Digest(first)).unwrap();

    assert_eq!(world.delete(Some("latest"), Some(first)), Deleted::Mismatch);
    assert_eq!(world.delete(Some("none"), None), Deleted::NotFound);
    assert_eq!(world.delete(Some("latest"), None), Deleted::Tag { tag: "latest".into(), digest: second });
    assert_eq!(world.images().len(), 2);
    assert_eq!(world.delete(None, Some(first)), Deleted::Image { digest: first, tags: vec![] });
    assert_eq!(world.images(), [(second, vec!["v2".to_owned()])]);
    // The image goes with its last tag.
    assert_eq!(world.delete(Some("v2"), None), Deleted::Tag { tag: "v2".into(), digest: second });
    assert_eq!(world.images(), []);
    assert!(world.registry.is_empty(&world.app).unwrap());
    assert_eq!(world.registry.store().prune().unwrap().blobs, 6);
}

#[test]
fn a_tag_alone_can_be_taken_away() {
    let world = World::new();
    let one = world.image("one");
    world.put("latest", &one).unwrap();
    assert_eq!(world.registry.untag(&world.app, "latest").unwrap(), Some(Digest::of(&one)));
    assert_eq!(world.registry.untag(&world.app, "latest").unwrap(), None);
    assert_eq!(world.images(), [(Digest::of(&one), vec![])]);
}

#[test]
fn immutable_tags_lead_where_they_led() {
    let world = World::new();
    let (one, two) = (world.image("one"), world.image("two"));
    world.put_with("v1", &one, Overwrite::Refused, None).unwrap();
    assert!(world.put_with("v1", &one, Overwrite::Refused, None).unwrap().was_there);
    let error = world.put_with("v1", &two, Overwrite::Refused, None).unwrap_err();
    assert!(matches!(error, RegistryError::TagImmutable { .. }));
    assert_eq!(world.images(), [(Digest::of(&one), vec!["v1".to_owned()])]);
    world.put_with("v2", &two, Overwrite::Refused, None).unwrap();
}

#[test]
fn what_a_list_needs_goes_after_it() {
    let world = World::new();
    let (one, two) = (world.image("one"), world.image("two"));
    let list = list_of(&[&one, &two]);
    assert!(matches!(world.put("list", &list), Err(RegistryError::ManifestBlobUnknown(_))));
    for image in [&one, &two] {
        world.put(&Digest::of(image).to_string(), image).unwrap();
    }
    world.put("list", &list).unwrap();
    let (first, all) = (Digest::of(&one), Digest::of(&list));
    assert_eq!(world.delete(None, Some(first)), Deleted::Referenced(vec![all]));
    let by = |digest| Selected { tag: None, digest: Some(digest) };
    let deleted = world.registry.delete(&world.app, &[by(first), by(all)]).unwrap();
    assert_eq!(
        deleted,
        [
            Deleted::Image { digest: first, tags: vec![] },
            Deleted::Image { digest: all, tags: vec!["list".into()] }
        ]
    );
    assert_eq!(world.images().len(), 1);
}

#[test]
fn referrers_are_found() {
    let world = World::new();
    let one = world.image("one");
    world.put("latest", &one).unwrap();
    let mut signature: serde_json::Value = serde_json::from_slice(&world.image("signature")).unwrap();
    signature["artifactType"] = json!("application/x-signature");
    signature["annotations"] = json!({ "by": "me" });
    signature["subject"] = descriptor(media_type::OCI_MANIFEST, &one);
    let signature = signature.to_string().into_bytes();
    let put = world.put(&Digest::of(&signature).to_string(), &signature).unwrap();
    assert_eq!(put.subject, Some(Digest::of(&one)));
    let referrers = world.registry.referrers(&world.app, &Digest::of(&one)).unwrap();
    let [referrer] = referrers.as_slice() else { panic!("{referrers:?}") };
    assert_eq!(referrer.artifact_type.as_deref(), Some("application/x-signature"));
    assert_eq!(referrer.descriptor.annotations["by"], "me");
    assert_eq!(world.registry.referrers(&world.app, &Digest::of(b"none")).unwrap(), []);
}

#[test]
fn prune_keeps_what_a_push_was_promised() {
    let world = World::new();
    let blob = world.blob(b"a layer whose manifest is still to come");
    let store = world.registry.store();
    assert_eq!(store.prune().unwrap().blobs, 0);
    let marker = world.directory.path().join("fresh").join(blob.hex());
    let long_ago = SystemTime::now() - Limits::default().unfinished_push_kept - Duration::from_secs(1);
    File::options().write(true).open(&marker).unwrap().set_modified(long_ago).unwrap();
    // Whoever asks for it counts on it again.
    assert!(world.registry.blob_size(&blob).unwrap().is_some());
    assert_eq!(store.prune().unwrap().blobs, 0);
    File::options().write(true).open(&marker).unwrap().set_modified(long_ago).unwrap();
    assert_eq!(store.prune().unwrap().blobs, 1);
    assert!(!marker.exists());
}

#[test]
fn every_form_of_a_name_leads_to_what_was_pushed() {
    let world = World::new();
    let one = world.image("one");
    world.put("v1", &one).unwrap();
    let (store, digest) = (world.registry.store(), Digest::of(&one));
    for host in [
        "123456789012.dkr.ecr.us-east-1.amazonaws.com",
        "123456789012.dkr.ecr.us-east-1.localhost:4566",
        "999999999999.dkr.ecr.us-east-1.amazonaws.com",
        "localhost:4566",
        "127.0.0.1:4566",
    ] {
        assert_eq!(store.resolve(&format!("{host}/team/app:v1")).unwrap(), Some(digest), "{host}");
        assert_eq!(store.resolve(&format!("{host}/team/app@{digest}")).unwrap(), Some(digest), "{host}");
        assert_eq!(store.resolve(&format!("{host}/team/app:v2")).unwrap(), None, "{host}");
    }
    for other in ["team/app:v1", "localhost:5000/team/app:v1"] {
        assert_eq!(store.resolve(other).unwrap(), None, "{other}");
    }
    assert_eq!(store.resolve("123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:v1").unwrap(), None);
    // The server was started anew, with another port and another region.
    let own = crate::OwnRegistry { region: "eu-west-1".into(), hosts: vec!["localhost:5000".into()] };
    store.set_own_registry(&own).unwrap();
    assert_eq!(store.resolve("localhost:4566/team/app:v1").unwrap(), None);
    assert_eq!(store.resolve("localhost:5000/team/app:v1").unwrap(), None);
    let listed = store.list().unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert!(store.remove("123456789012.dkr.ecr.us-east-1.localhost:1/team/app:v1").unwrap());
    assert_eq!(store.list().unwrap(), []);
    assert_eq!(
        store.resolve(&format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app@{digest}")).unwrap(),
        None
    );
}

#[test]
fn repositories_are_those_with_images() {
    let world = World::new();
    assert!(world.registry.repositories("us-east-1").unwrap().is_empty());
    world.put("v1", &world.image("one")).unwrap();
    let found = world.registry.repositories("us-east-1").unwrap();
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        [("team/app".to_owned(), Timestamp::from_millis(1_000))]
    );
    assert!(world.registry.repositories("eu-west-1").unwrap().is_empty());
    assert_eq!(world.registry.regions().unwrap().into_iter().collect::<Vec<_>>(), ["us-east-1"]);
    // A repository whose name begins like another one's is another one.
    let other = RepositoryName::new("us-east-1", "team/app-2").unwrap();
    assert!(world.registry.is_empty(&other).unwrap());
    assert_eq!(world.registry.delete_all(&world.app).unwrap(), 1);
    assert!(world.registry.repositories("us-east-1").unwrap().is_empty());
}

#[test]
fn names_of_repositories() {
    for (name, is_fine) in [
        ("app", true),
        ("team/app", true),
        ("a.b_c__d-e/f", true),
        ("App", false),
        ("a:b", false),
        ("a@b", false),
        ("../a", false),
        ("a//b", false),
        ("", false),
        ("/a", false),
    ] {
        assert_eq!(RepositoryName::new("us-east-1", name).is_ok(), is_fine, "{name}");
    }
    assert!(RepositoryName::new("us-east-1", &"a".repeat(211)).is_err());
    assert!(RepositoryName::new("us.east", "app").is_err());
    assert!(RepositoryName::new("../x", "app").is_err());
}

#[test]
fn thousands_of_tags_are_fine() {
    let world = World::new();
    let one = world.image("one");
    let ingest = world.registry.store().ingest().unwrap();
    world.put("first", &one).unwrap();
    let image = crate::Descriptor::new(media_type::OCI_MANIFEST, Digest::of(&one), one.len() as u64);
    let limits = Limits::default();
    world
        .registry
        .store()
        .change_references(ingest.temporary(), |references| {
            for number in 0..10_000 {
                let name = world.app.tagged(&format!("build-{number:05}")).unwrap();
                references.set(&name, &image, Timestamp::EPOCH, &limits)?;
            }
            Ok(())
        })
        .unwrap();
    world.put("last", &one).unwrap();
    assert_eq!(world.registry.tags(&world.app).unwrap().len(), 10_002);
    assert_eq!(world.images()[0].1.len(), 10_002);
}
