use proptest::prelude::*;

use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The complete form and the short form of each name that Docker takes.
#[test]
fn names_are_completed_as_docker_completes_them() {
    let at = format!("@sha256:{HEX}");
    let table = [
        ("nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27", "nginx:1.27"),
        ("library/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("index.docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("docker.io/library/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("bitnami/nginx", "docker.io/bitnami/nginx:latest", "bitnami/nginx:latest"),
        ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
        ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
        ("localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest"),
        ("localhost:5000/x:y", "localhost:5000/x:y", "localhost:5000/x:y"),
        ("Upper/x", "Upper/x:latest", "Upper/x:latest"),
        ("host.example/a/b/c:v1", "host.example/a/b/c:v1", "host.example/a/b/c:v1"),
        ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
        ("[fe80::1]/x:1", "[fe80::1]/x:1", "[fe80::1]/x:1"),
        (
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1",
        ),
        ("a__b/c-d--e.f", "docker.io/a__b/c-d--e.f:latest", "a__b/c-d--e.f:latest"),
        ("x:_tag.-", "docker.io/library/x:_tag.-", "x:_tag.-"),
        ("docker.io/a.b/c", "docker.io/a.b/c:latest", "docker.io/a.b/c:latest"),
    ];
    for (given, full, familiar) in table {
        let reference = Reference::parse(given).unwrap_or_else(|error| panic!("{given}: {error}"));
        assert_eq!(reference.to_string(), full, "{given}");
        assert_eq!(reference.familiar(), familiar, "{given}");
        assert_eq!(reference.given(), given);
        assert_eq!(Reference::parse(full).unwrap(), reference, "{given}");
        assert_eq!(Reference::parse(familiar).unwrap(), reference, "{given}");
        let pinned = Reference::parse(&format!("{given}{at}")).unwrap();
        assert_eq!(pinned.digest().unwrap().to_string(), at[1..], "{given}");
        let tagged = reference.given().rsplit('/').next().unwrap().contains(':');
        assert_eq!(pinned.tag().is_some(), tagged, "a digest alone implies no tag: {given}");
    }
}

#[test]
fn names_that_docker_refuses_are_refused() {
    let table = [
        ("", "empty"),
        (":tag", "empty"),
        ("localhost:5000/", "empty"),
        ("Nginx", "lower case"),
        ("host.example/App", "lower case"),
        ("-x", "joined by"),
        ("x-", "joined by"),
        ("x..y", "joined by"),
        ("x___y", "joined by"),
        ("x//y", "joined by"),
        ("/x", "joined by"),
        ("x/", "joined by"),
        ("x y", "joined by"),
        ("x._y", "joined by"),
        ("../../etc/passwd", "host name"),
        ("a\0b", "joined by"),
        ("ünïcode", "joined by"),
        ("x:", "tag"),
        ("x:-a", "tag"),
        ("x:a/b", "host name"),
        ("x:a:b", "tag"),
        ("x@", "digest"),
        ("x@sha256:abc", "digest"),
        ("x@md5:d41d8cd98f00b204e9800998ecf8427e", "digest"),
        ("-host.example/x", "host name"),
        ("host.example:port/x", "host name"),
        ("host.example:/x", "host name"),
        ("[zz]/x.y", "joined by"),
        ("[::1/x", "host name"),
        (HEX, "digest of an image"),
    ];
    for (name, reason) in table {
        let error = Reference::parse(name).expect_err(name);
        assert!(error.reason.contains(reason), "{name:?} gives {error}");
    }
    assert!(Reference::parse(&"a".repeat(255 - "docker.io/library/".len())).is_ok());
    assert!(Reference::parse(&"a".repeat(256 - "docker.io/library/".len())).is_err());
    assert!(Reference::parse(&format!("x:{}", "t".repeat(128))).is_ok());
    assert!(Reference::parse(&format!("x:{}", "t".repeat(129))).is_err());
}

proptest! {
    #[test]
    fn no_input_panics_and_what_is_accepted_is_stable(text in "\\PC{0,80}") {
        if let Ok(reference) = Reference::parse(&text) {
            prop_assert_eq!(&Reference::parse(&reference.to_string()).unwrap(), &reference);
            prop_assert_eq!(&Reference::parse(&reference.familiar()).unwrap(), &reference);
        }
    }

    #[test]
    fn every_well_formed_name_is_accepted(
        domain in "([a-z0-9]{1,8}\\.[a-z]{2,5}(:[0-9]{1,5})?/)?",
        // A dot in the first part would make it a registry.
        path in "[a-z0-9]{1,5}((_|__|-{1,3})[a-z0-9]{1,5}){0,2}(/[a-z0-9]{1,5}(\\.[a-z0-9]{1,5})?){0,3}",
        tag in "(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,20})?",
    ) {
        let text = format!("{domain}{path}{tag}");
        let reference = Reference::parse(&text).unwrap();
        let ending = path + if tag.is_empty() { ":latest" } else { &tag };
        prop_assert!(reference.to_string().ends_with(&ending));
        prop_assert_eq!(&Reference::parse(&reference.familiar()).unwrap(), &reference);
    }
}
