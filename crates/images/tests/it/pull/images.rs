//! What registries hold: lists, kinds of manifests and layers, and what is refused.

use gantry_images::{Digest, Origin, Platform, PullError, Reference};
use serde_json::json;

use super::server::{Content, Server, digest_of};
use super::{Machine, layer, simple};
use crate::archive::{Layout, Tar, zstd};

#[test]
fn an_index_leads_to_this_machines_image() {
    let mut layout = Layout::default();
    let plain = Tar::new().file("plain", b"1").finish();
    let squeezed = Tar::new().file("squeezed", b"2").finish();
    let layers = [
        ("application/vnd.oci.image.layer.v1.tar", plain.clone(), Digest::of(&plain)),
        ("application/vnd.oci.image.layer.v1.tar+zstd", zstd(&squeezed), Digest::of(&squeezed)),
        layer("zipped", b"3"),
    ];
    let mut own = layout.image(&layers);
    own["platform"] = json!(Platform::host());
    let mut other = layout.image(&[layer("other", b"4")]);
    other["platform"] = json!({"os": "linux", "architecture": "s390x"});
    let mut attestation = layout.image(&[layer("attestation", b"5")]);
    attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [attestation, other, own],
    });
    let index = layout.blob("application/vnd.oci.image.index.v1+json", index.to_string().into());
    let content = Content::new(&layout).tag("1", &index);
    let server = Server::start(move |seen| content.answer(seen));

    let machine = Machine::new();
    let name = server.name("team/app:1");
    let pulled = machine.pull(&name).unwrap();
    assert_eq!(pulled.digest, digest_of(&index));
    assert_eq!(machine.store.resolve(&name).unwrap(), Some(pulled.digest));
    let image = machine.store.image(&pulled.digest).unwrap();
    assert_eq!(image.manifest_digest, digest_of(&own));
    assert_eq!(pulled.bytes, image.layers.iter().map(|layer| layer.size).sum::<u64>());
    for (file, expected) in [("plain", b"1"), ("squeezed", b"2"), ("zipped", b"3")] {
        assert_eq!(machine.file(&name, file).as_deref(), Some(&expected[..]), "{file}");
    }
    assert_eq!(
        server.count(|seen| seen.is_blob()),
        4,
        "one configuration and three layers: {:?}",
        server.seen()
    );
    let accept = server.seen()[0].header("accept").unwrap().to_owned();
    assert!(accept.contains("manifest.list.v2+json") && accept.contains("image.index.v1+json"), "{accept}");

    let origin = machine.store.resolve_with_origin(&Reference::parse(&name).unwrap()).unwrap();
    assert_eq!(origin, Some((pulled.digest, Origin::Registry)));
    machine.store.tag(&name, "mine:1").unwrap();
    let origin = machine.store.resolve_with_origin(&Reference::parse("mine:1").unwrap()).unwrap();
    assert_eq!(origin, Some((pulled.digest, Origin::Here)), "a tag is made here");
}

#[test]
fn what_is_here_is_not_fetched_again() {
    let mut layout = Layout::default();
    let shared = layer("shared", b"shared");
    let first = layout.image(&[shared.clone(), layer("own", b"1")]);
    let second = layout.image(&[shared, layer("own", b"2")]);
    let content = Content::new(&layout).tag("1", &first).tag("2", &second);
    let server = Server::start(move |seen| content.answer(seen));

    let machine = Machine::new();
    machine.pull(&server.name("app:1")).unwrap();
    let before = server.seen().len();
    assert_eq!(machine.pull(&server.name("app:1")).unwrap().bytes, 0);
    let asked: Vec<_> = server.seen().split_off(before).into_iter().map(|seen| seen.method).collect();
    assert_eq!(asked, ["HEAD"], "an image that did not change costs one question");

    let before = server.count(|seen| seen.is_blob());
    machine.pull(&server.name("app:2")).unwrap();
    assert_eq!(server.count(|seen| seen.is_blob()) - before, 2, "its configuration and its own layer");
    assert_eq!(machine.file(&server.name("app:2"), "own").as_deref(), Some(&b"2"[..]));
    assert_eq!(machine.file(&server.name("app:2"), "shared").as_deref(), Some(&b"shared"[..]));
}

#[test]
fn a_tag_that_moved_is_pulled_again() {
    let (layout, first, _) = simple(b"1");
    let (mut both, second, _) = simple(b"2");
    both.files.extend(layout.files);
    let tags = [Content::new(&both).tag("1", &first), Content::new(&both).tag("1", &second)];
    let moved = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let which = moved.clone();
    let server =
        Server::start(move |seen| tags[which.load(std::sync::atomic::Ordering::SeqCst)].answer(seen));
    let machine = Machine::new();
    let name = server.name("app:1");
    machine.pull(&name).unwrap();
    assert_eq!(machine.file(&name, "f").as_deref(), Some(&b"1"[..]));
    moved.store(1, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(machine.pull(&name).unwrap().digest, digest_of(&second));
    assert_eq!(machine.file(&name, "f").as_deref(), Some(&b"2"[..]));
}

#[test]
fn an_image_is_pulled_by_its_digest() {
    let (layout, manifest, _) = simple(b"1");
    let content = Content::new(&layout);
    let server = Server::start(move |seen| content.answer(seen));
    let machine = Machine::new();
    let name = server.name(&format!("app:any@{}", digest_of(&manifest)));
    machine.pull(&name).unwrap();
    assert_eq!(server.count(|seen| seen.path().ends_with("/any")), 0, "the digest alone decides");
    assert_eq!(machine.store.resolve(&name).unwrap(), Some(digest_of(&manifest)));
}

#[test]
fn docker_manifests_are_images_too() {
    let mut layout = Layout::default();
    let tar = Tar::new().file("f", b"docker").finish();
    let blob = crate::archive::gzip(&tar);
    let config = crate::archive::config(&[Digest::of(&tar)]).to_string();
    let config = layout.blob("application/vnd.docker.container.image.v1+json", config.into());
    let layer = layout.blob("application/vnd.docker.image.rootfs.diff.tar.gzip", blob);
    let media_type = "application/vnd.docker.distribution.manifest.v2+json";
    let manifest =
        json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [layer]}).to_string();
    let mut manifest = layout.blob(media_type, manifest.into());
    manifest["platform"] = json!(Platform::host());
    let list_type = "application/vnd.docker.distribution.manifest.list.v2+json";
    let list = json!({"schemaVersion": 2, "mediaType": list_type, "manifests": [manifest]}).to_string();
    let list = layout.blob(list_type, list.into());
    let content = Content::new(&layout).tag("list", &list).tag("one", &manifest);
    let server = Server::start(move |seen| content.answer(seen));
    let machine = Machine::new();
    for tag in ["list", "one"] {
        machine.pull(&server.name(&format!("app:{tag}"))).unwrap();
        assert_eq!(machine.file(&server.name(&format!("app:{tag}")), "f").as_deref(), Some(&b"docker"[..]));
    }
}

#[test]
fn what_is_no_image_for_this_machine_is_refused_by_name() {
    let mut layout = Layout::default();
    let schema1 = layout.blob("x", br#"{"schemaVersion":1,"name":"app","fsLayers":[]}"#.to_vec());
    let mut other = layout.image(&[layer("f", b"1")]);
    other["platform"] = json!({"os": "linux", "architecture": "s390x"});
    let index = json!({"schemaVersion": 2, "manifests": [other]}).to_string();
    let index = layout.blob("application/vnd.oci.image.index.v1+json", index.into());
    let chart = layout.blob("application/vnd.cncf.helm.config.v1+json", b"{}".to_vec());
    let artifact = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": chart, "layers": [],
    });
    let artifact = layout.blob("application/vnd.oci.image.manifest.v1+json", artifact.to_string().into());
    let (_, blob, diff_id) = layer("f", b"2");
    let foreign =
        layout.image(&[("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", blob.clone(), diff_id)]);
    let undistributed =
        layout.image(&[("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", blob, diff_id)]);
    let damaged = layout.blob("x", b"{\"schemaVersion\":2".to_vec());
    let content = Content::new(&layout)
        .tag("schema1", &schema1)
        .tag("platform", &index)
        .tag("chart", &artifact)
        .tag("foreign", &foreign)
        .tag("undistributed", &undistributed)
        .tag("damaged", &damaged);
    let server = Server::start(move |seen| content.answer(seen));
    let machine = Machine::new();
    for (tag, expected) in [
        ("schema1", "manifests of Docker's schema 1 are not supported"),
        ("platform", "does not contain descriptor matching platform"),
        ("chart", "an artifact of another kind"),
        ("foreign", "whose content lies outside of registries"),
        ("undistributed", "whose content lies outside of registries"),
        ("damaged", "not a valid manifest"),
        ("none", "not found: manifest unknown"),
    ] {
        let name = server.name(&format!("app:{tag}"));
        let error = machine.error(&name);
        assert!(error.to_string().contains(expected), "{tag}: {error}");
        assert!(!error.is_transient(), "{tag}: {error}");
        assert_eq!(machine.store.resolve(&name).unwrap(), None);
    }
    assert_eq!(server.count(|seen| seen.path().contains(&digest_of(&foreign).hex())), 0);
}

/// Whatever an index, manifest or layer says of addresses elsewhere, nobody goes there.
#[test]
fn addresses_in_manifests_are_not_followed() {
    let elsewhere = Server::start(|_| super::server::Reply::new(200).into());
    let mut layout = Layout::default();
    let (media_type, blob, diff_id) = layer("f", b"here");
    let config = crate::archive::config(&[diff_id]).to_string();
    let config = layout.blob("application/vnd.oci.image.config.v1+json", config.into());
    let mut layer = layout.blob(media_type, blob);
    layer["urls"] = json!([format!("http://{}/layer", elsewhere.address)]);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": [layer],
    });
    let manifest = layout.blob("application/vnd.oci.image.manifest.v1+json", manifest.to_string().into());
    let content = Content::new(&layout).tag("1", &manifest);
    let server = Server::start(move |seen| content.answer(seen));
    let machine = Machine::new();
    machine.pull(&server.name("app:1")).unwrap();
    assert_eq!(machine.file(&server.name("app:1"), "f").as_deref(), Some(&b"here"[..]));
    assert!(elsewhere.seen().is_empty());
}

#[test]
fn names_of_the_own_registry_stay_here() {
    let machine = Machine::new();
    for name in ["123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1", "localhost:4566/app:1"] {
        let error = machine.error(name);
        assert!(matches!(*error, PullError::OwnRegistry(_)), "{error}");
        assert!(error.next_step().contains("push it"), "{}", error.next_step());
    }
}
