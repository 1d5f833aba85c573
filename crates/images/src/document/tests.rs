use super::*;

const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn parse(text: &str) -> Result<Document, DocumentError> {
    let text = text.replace("$A", A).replace("$B", B);
    Document::parse(text.as_bytes(), &Limits { layers_max: 2, platforms_max: 3, ..Limits::default() })
}

#[test]
fn documents_that_are_not_one_clear_image_are_refused() {
    let layer = r#"{"mediaType":"l","digest":"$A","size":1}"#;
    let table = [
        ("", "not a valid manifest"),
        ("[]", "not a valid manifest"),
        ("{}", "schemaVersion is 0"),
        (r#"{"schemaVersion":1,"fsLayers":[]}"#, "schema 1"),
        (r#"{"schemaVersion":3}"#, "schemaVersion is 3"),
        (r#"{"schemaVersion":2}"#, "neither"),
        (r#"{"schemaVersion":2,"mediaType":"text/plain","layers":[]}"#, "text/plain"),
        (r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#, "both a manifest and an index"),
        (r#"{"schemaVersion":2,"manifests":[],"config":{}}"#, "both a manifest and an index"),
        (
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","layers":[]}"#,
            "index.v1+json",
        ),
        (r#"{"schemaVersion":2,"layers":[]}"#, "missing field `config`"),
        (r#"{"schemaVersion":2,"schemaVersion":2,"layers":[]}"#, "duplicate field"),
        (
            r#"{"schemaVersion":2,"config":{"mediaType":"c","digest":"sha256:x","size":1},"layers":[]}"#,
            "64 hexadecimal digits",
        ),
        (
            r#"{"schemaVersion":2,"config":{"mediaType":"c","digest":"$A","size":-1},"layers":[]}"#,
            "invalid value",
        ),
    ];
    for (text, expected) in table {
        let error = parse(text).expect_err(text).to_string();
        assert!(error.contains(expected), "{text} gives: {error}");
    }
    let layers = [layer; 3].join(",");
    let config = r#"{"mediaType":"c","digest":"$A","size":1}"#;
    let error = parse(&format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layers}]}}"#));
    assert!(matches!(error, Err(DocumentError::TooMany { actual: 3, max: 2, .. })));
    let manifests = [layer; 4].join(",");
    let error = parse(&format!(r#"{{"schemaVersion":2,"manifests":[{manifests}]}}"#));
    assert!(matches!(error, Err(DocumentError::TooMany { actual: 4, max: 3, .. })));
    let large = vec![b' '; 4 * 1024 * 1024 + 1];
    assert!(matches!(Document::parse(&large, &Limits::default()), Err(DocumentError::TooLarge { .. })));
}

#[test]
fn a_manifest_of_docker_or_oci_is_read() {
    for media_type in [media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST] {
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{media_type}","annotations":null,"unknown":1,
                "config":{{"mediaType":"c","digest":"$A","size":7}},
                "layers":[{{"mediaType":"l","digest":"$B","size":9,"urls":["x"]}}]}}"#
        );
        let document = parse(&text).unwrap();
        assert_eq!(document.media_type(), media_type);
        let named: Vec<_> =
            document.descriptors().iter().map(|blob| (blob.digest.to_string(), blob.size)).collect();
        assert_eq!(named, [(A.to_owned(), 7), (B.to_owned(), 9)]);
    }
}

fn index(platforms: &[(&str, &str)]) -> Index {
    let manifests = platforms.iter().enumerate().map(|(number, (media_type, platform))| {
        let mut parts = platform.split('/').map(str::to_owned);
        let mut descriptor = Descriptor::new(media_type, Digest::of(&[number as u8]), 1);
        descriptor.platform = (!platform.is_empty()).then(|| Platform {
            os: parts.next().unwrap_or_default(),
            architecture: parts.next().unwrap_or_default(),
            variant: parts.next(),
        });
        descriptor
    });
    Index::new(manifests.collect())
}

#[test]
fn the_manifest_for_the_platform_is_chosen() {
    use media_type::{DOCKER_MANIFEST as D, OCI_INDEX as I, OCI_MANIFEST as M};
    let amd64 = Platform { os: "linux".into(), architecture: "amd64".into(), variant: None };
    let arm64 = Platform { variant: Some("v8".into()), architecture: "arm64".into(), ..amd64.clone() };
    type Row<'a> = (&'a Platform, &'a [(&'a str, &'a str)], Result<u8, &'a str>);
    #[rustfmt::skip]
    let table: &[Row<'_>] = &[
        (&amd64, &[(M, "linux/arm64"), (M, "linux/amd64")], Ok(1)),
        (&amd64, &[(D, "linux/amd64"), (M, "linux/amd64")], Ok(0)),
        (&amd64, &[(M, "linux/amd64/v3"), (M, "linux/amd64")], Ok(1)),
        (&amd64, &[(M, "linux/amd64/v3")], Err("platform 'linux/amd64'")),
        (&amd64, &[(M, "windows/amd64")], Err("platform 'linux/amd64'")),
        (&amd64, &[(M, "unknown/unknown"), (M, "linux/amd64")], Ok(1)),
        (&amd64, &[(M, "")], Ok(0)),
        (&amd64, &[(M, ""), (M, "")], Err("platform 'linux/amd64'")),
        (&amd64, &[(I, "linux/amd64"), (M, "linux/amd64")], Err("index inside an index")),
        (&amd64, &[("text/plain", "linux/amd64")], Err("platform")),
        (&amd64, &[], Err("platform")),
        (&arm64, &[(M, "linux/arm64")], Ok(0)),
        (&arm64, &[(M, "linux/arm64"), (M, "linux/arm64/v8")], Ok(1)),
        (&arm64, &[(M, "linux/arm64/v9")], Err("platform 'linux/arm64'")),
    ];
    for (platform, offered, expected) in table {
        let index = index(offered);
        match (index.choose(platform), expected) {
            (Ok(chosen), Ok(number)) => assert_eq!(chosen.digest, Digest::of(&[*number]), "{offered:?}"),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (result, _) => panic!("{offered:?} gives {result:?}"),
        }
    }
}
