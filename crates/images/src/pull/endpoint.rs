//! Where an image is asked for: the mirrors of its registry, then the registry itself.

use ureq::http::Uri;

use super::error::PullError;
use super::registries::{Registries, is_loopback};
use crate::reference::Reference;

/// One place that may have an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Host and port as the settings name them.
    pub(super) host: String,
    /// Up to the repository: `https://registry-1.docker.io/v2/`.
    base: String,
    pub(super) is_mirror: bool,
}

impl Endpoint {
    pub(super) fn url(&self, rest: &str) -> Result<Uri, PullError> {
        let url = format!("{}{rest}", self.base);
        url.parse().map_err(|_| PullError::Address(url))
    }
    /// As people write it.
    pub(super) fn name(&self) -> &str {
        self.base.strip_suffix("/v2/").unwrap_or(&self.base)
    }
}

pub(super) fn endpoints(reference: &Reference, registries: &Registries) -> Vec<Endpoint> {
    let domain = reference.domain();
    let mirrors = registries.settings(domain).map(|settings| settings.mirrors.as_slice()).unwrap_or_default();
    let mut endpoints: Vec<Endpoint> =
        mirrors.iter().map(|mirror| endpoint(mirror, registries, IsMirror::Yes)).collect();
    endpoints.push(endpoint(domain, registries, IsMirror::No));
    endpoints
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum IsMirror {
    Yes,
    No,
}

fn endpoint(name: &str, registries: &Registries, is_mirror: IsMirror) -> Endpoint {
    let name = name.trim().trim_end_matches('/');
    let (scheme, rest) = match name.split_once("://") {
        Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
        None => (None, name),
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.to_ascii_lowercase();
    let written = registries.settings(&host).and_then(|settings| settings.http);
    let scheme = match scheme.as_deref() {
        Some("http") => "http",
        Some(_) => "https",
        None if written.unwrap_or_else(|| is_loopback(&host)) => "http",
        None => "https",
    };
    // Docker's own registry is not where its name says.
    let authority = if host == "docker.io" { "registry-1.docker.io" } else { host.as_str() };
    let path = path.trim_matches('/').trim_end_matches("v2").trim_end_matches('/');
    let path = if path.is_empty() { String::new() } else { format!("{path}/") };
    // A mirror with a path of its own has the API below it, as the specification of the protocol has no other place.
    let base = format!("{scheme}://{authority}/v2/{path}");
    Endpoint { host, base, is_mirror: is_mirror == IsMirror::Yes }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registries(text: &str) -> Registries {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registries.toml");
        std::fs::write(&path, text).unwrap();
        Registries::read(&path, 4096).unwrap()
    }

    #[test]
    fn every_registry_has_its_address() {
        let registries = registries(
            "[registry.'docker.io']\nmirrors = ['https://m.example/', 'plain.example:5000/hub', 'http://n/v2']\n\
             [registry.'plain.example:5000']\nhttp = true\n[registry.'localhost:5001']\nhttp = false\n",
        );
        let check = |name: &str, expected: &[&str]| {
            let reference = Reference::parse(name).unwrap();
            let bases: Vec<String> =
                endpoints(&reference, &registries).into_iter().map(|each| each.base).collect();
            assert_eq!(bases, expected, "{name}");
        };
        let hub = [
            "https://m.example/v2/",
            "http://plain.example:5000/v2/hub/",
            "http://n/v2/",
            "https://registry-1.docker.io/v2/",
        ];
        check("nginx", &hub);
        check("docker.io/a/b:1", &hub);
        check("ghcr.io/a/b", &["https://ghcr.io/v2/"]);
        check("public.ecr.aws/a/b", &["https://public.ecr.aws/v2/"]);
        check("localhost:5000/a", &["http://localhost:5000/v2/"]);
        check("localhost:5001/a", &["https://localhost:5001/v2/"]);
        check("127.0.0.1:5000/a", &["http://127.0.0.1:5000/v2/"]);
        check("[::1]:5000/a", &["http://[::1]:5000/v2/"]);
        let all = endpoints(&Reference::parse("nginx").unwrap(), &registries);
        assert_eq!(all.iter().map(|each| each.is_mirror).collect::<Vec<_>>(), [true, true, true, false]);
        assert_eq!(all[3].url("library/nginx/manifests/1").unwrap().path(), "/v2/library/nginx/manifests/1");
    }
}
