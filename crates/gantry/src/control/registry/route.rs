//! What a path of the OCI distribution protocol asks for.

/// A path below `/v2/`, taken apart but not yet validated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// `/v2/`: whether there is a registry, and whether the client may use it.
    Base,
    Catalogue,
    Tags {
        repository: String,
    },
    Manifest {
        repository: String,
        reference: String,
    },
    Blob {
        repository: String,
        digest: String,
    },
    Uploads {
        repository: String,
    },
    Upload {
        repository: String,
        id: String,
    },
    Referrers {
        repository: String,
        digest: String,
    },
}

impl Route {
    /// `None` for what is no path of the protocol. Names of repositories may hold the protocol's own words, so the end of
    /// the path decides.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let path = decode(path)?;
        if path == "/v2" {
            return Some(Self::Base);
        }
        let rest = path.strip_prefix("/v2/")?;
        match rest {
            "" => return Some(Self::Base),
            "_catalog" => return Some(Self::Catalogue),
            _ => {}
        }
        let segments: Vec<&str> = rest.split('/').collect();
        let name = |until: usize| {
            let name = segments[..segments.len() - until].join("/");
            (!name.is_empty()).then_some(name)
        };
        Some(match segments.as_slice() {
            [.., "tags", "list"] => Self::Tags { repository: name(2)? },
            [.., "blobs", "uploads"] => Self::Uploads { repository: name(2)? },
            [.., "blobs", "uploads", ""] => Self::Uploads { repository: name(3)? },
            [.., "blobs", "uploads", id] => Self::Upload { repository: name(3)?, id: (*id).to_owned() },
            [.., "blobs", digest] => Self::Blob { repository: name(2)?, digest: (*digest).to_owned() },
            [.., "manifests", reference] => {
                Self::Manifest { repository: name(2)?, reference: (*reference).to_owned() }
            }
            [.., "referrers", digest] => {
                Self::Referrers { repository: name(2)?, digest: (*digest).to_owned() }
            }
            _ => return None,
        })
    }
}

/// Undoes percent-encoding; `None` for what is none or no text.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let value = digit(bytes.next())? * 16 + digit(bytes.next())?;
        decoded.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(decoded).ok()
}

/// The first value of a parameter of a query.
pub(super) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let pairs = query?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.filter(|(key, _)| *key == name).find_map(|(_, value)| decode(&value.replace('+', "%20")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let repository = || "a/b".to_owned();
        for (path, route) in [
            ("/v2", Some(Route::Base)),
            ("/v2/", Some(Route::Base)),
            ("/v2/_catalog", Some(Route::Catalogue)),
            ("/v2/a/b/tags/list", Some(Route::Tags { repository: repository() })),
            (
                "/v2/a/b/manifests/latest",
                Some(Route::Manifest { repository: repository(), reference: "latest".into() }),
            ),
            (
                "/v2/a/b/manifests/sha256%3a00",
                Some(Route::Manifest { repository: repository(), reference: "sha256:00".into() }),
            ),
            (
                "/v2/a/b/blobs/sha256:00",
                Some(Route::Blob { repository: repository(), digest: "sha256:00".into() }),
            ),
            ("/v2/a/b/blobs/uploads", Some(Route::Uploads { repository: repository() })),
            ("/v2/a/b/blobs/uploads/", Some(Route::Uploads { repository: repository() })),
            ("/v2/a/b/blobs/uploads/7", Some(Route::Upload { repository: repository(), id: "7".into() })),
            ("/v2/a/b/referrers/x", Some(Route::Referrers { repository: repository(), digest: "x".into() })),
            (
                "/v2/blobs/manifests/manifests/blobs",
                Some(Route::Manifest { repository: "blobs/manifests".into(), reference: "blobs".into() }),
            ),
            ("/v2/manifests/latest", None),
            ("/v2/tags/list", None),
            ("/v2/a", None),
            ("/v2/a/b", None),
            ("/v3/", None),
            ("/v2/a/manifests/%zz", None),
            ("/v2/a/manifests/%ff", None),
            ("/v2/a/manifests/%", None),
        ] {
            assert_eq!(Route::parse(path), route, "{path}");
        }
    }

    #[test]
    fn parameters() {
        let query = Some("mount=sha256%3Aab&from=a%2Fb&n=&mount=second&flag");
        for (name, value) in [
            ("mount", Some("sha256:ab")),
            ("from", Some("a/b")),
            ("n", Some("")),
            ("flag", Some("")),
            ("x", None),
        ] {
            assert_eq!(parameter(query, name).as_deref(), value, "{name}");
        }
        assert_eq!(parameter(None, "n"), None);
    }
}
