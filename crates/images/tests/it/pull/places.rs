//! Mirrors, certificates.

use std::sync::Arc;

use gantry_images::{PullError, Unreachable};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::server::{Content, Reply, Server, digest_of};
use super::{Machine, simple};

fn registry(content: &[u8]) -> Server {
    let (layout, manifest, _) = simple(content);
    let content = Content::new(&layout).tag("1", &manifest);
    Server::start(move |seen| content.answer(seen))
}

fn mirrored(registry: &Server, mirrors: &[String]) -> Machine {
    let mirrors: Vec<String> = mirrors.iter().map(|mirror| format!("'{mirror}'")).collect();
    Machine::with(&format!("[registry.'{}']\nmirrors = [{}]\n", registry.address, mirrors.join(", ")), |_| {})
}

#[test]
fn mirrors_are_asked_in_their_order() {
    let (registry, first, second) = (registry(b"1"), registry(b"1"), registry(b"1"));
    let machine = mirrored(&registry, &[first.address.to_string(), format!("http://{}", second.address)]);
    machine.pull(&registry.name("team/app:1")).unwrap();
    assert!(registry.seen().is_empty() && second.seen().is_empty());
    assert!(first.seen().iter().all(|seen| seen.path().starts_with("/v2/team/app/")));
}

#[test]
fn what_a_mirror_lacks_the_registry_gives() {
    let (layout, manifest, layer) = simple(b"1");
    let content = Content::new(&layout).tag("1", &manifest);
    let without_layers = content.clone();
    let mut damaged = content.clone();
    damaged.damage(&layer, b"evil");
    let nobody = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    let mirrors = [
        Server::start(|_| Reply::new(404).into()),
        Server::start(|_| Reply::new(503).into()),
        Server::start(|_| Reply::new(403).into()),
        Server::start(move |seen| match seen.path().contains(&layer.hex()) {
            true => Reply::new(404).into(),
            false => without_layers.answer(seen),
        }),
        Server::start(move |seen| damaged.answer(seen)),
    ];
    let addresses = mirrors.iter().map(|mirror| mirror.address).chain([nobody]);
    for address in addresses {
        let content = content.clone();
        let registry = Server::start(move |seen| content.answer(seen));
        let machine = mirrored(&registry, &[address.to_string()]);
        machine.pull(&registry.name("app:1")).unwrap();
        assert_eq!(machine.file(&registry.name("app:1"), "f").as_deref(), Some(&b"1"[..]));
        assert!(!registry.seen().is_empty());
    }
    assert!(mirrors.iter().all(|mirror| !mirror.seen().is_empty()), "each was asked");
}

#[test]
fn the_error_names_mirror_and_registry() {
    let mirror = Server::start(|_| Reply::new(403).into());
    let registry = Server::start(|_| super::server::unknown("MANIFEST_UNKNOWN").into());
    let machine = mirrored(&registry, &[mirror.address.to_string()]);
    let error = machine.error(&registry.name("app:1"));
    let text = error.to_string();
    let expected =
        format!("{}: not found: manifest unknown (before that, the mirror", registry.name("app:1"));
    assert!(text.starts_with(&expected) && text.contains(&mirror.address.to_string()), "{text}");
    assert!(error.next_step().contains("check the name and the tag"));
}

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    fn server(&self, name: &str) -> Arc<rustls::ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Arc::new(config)
    }
}

#[test]
fn a_registry_proves_who_it_is() {
    let authority = Authority::new();
    let (layout, manifest, _) = simple(b"1");
    let content = Content::new(&layout).tag("1", &manifest);
    let start = |name: &str| {
        let content = content.clone();
        Server::start_with(Some(authority.server(name)), move |seen| content.answer(seen))
    };
    let (right, wrong) = (start("127.0.0.1"), start("elsewhere.example"));
    let machine = |server: &Server, settings: &str| {
        let machine =
            Machine::with(&format!("[registry.'{}']\nhttp = false\n{settings}\n", server.address), |_| {});
        std::fs::write(machine.store.directory.path().join("ca.pem"), authority.issuer.pem()).unwrap();
        machine
    };
    let pulled = machine(&right, "ca_file = 'ca.pem'").pull(&right.name("app:1")).unwrap();
    assert_eq!(pulled.digest, digest_of(&manifest));
    machine(&wrong, "skip_verification = true").pull(&wrong.name("app:1")).unwrap();

    for (server, settings, expected) in
        [(&right, "", "UnknownIssuer"), (&wrong, "ca_file = 'ca.pem'", "not valid for name")]
    {
        let error = machine(server, settings).error(&server.name("app:1"));
        assert!(matches!(*error, PullError::Unreachable { kind: Unreachable::Certificate, .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.is_transient() && error.next_step().contains("ca_file"), "{}", error.next_step());
    }
    // A loopback registry is asked without TLS unless it says otherwise.
    assert!(Machine::new().pull(&right.name("app:1")).is_err());
}

#[test]
fn nothing_leads_from_https_to_http() {
    let authority = Authority::new();
    let plain = registry(b"1");
    let target = plain.address;
    let server = Server::start_with(Some(authority.server("127.0.0.1")), move |seen| {
        Reply::new(307).header("Location", format!("http://{target}{}", seen.target)).into()
    });
    let settings = format!("[registry.'{}']\nhttp = false\nskip_verification = true\n", server.address);
    let error = Machine::with(&settings, |_| {}).error(&server.name("app:1"));
    assert!(error.to_string().ends_with("redirects from HTTPS to plain HTTP"), "{error}");
    assert!(plain.seen().is_empty());

    let challenge = format!("Bearer realm=\"http://{target}/token\"");
    let server = Server::start_with(Some(authority.server("127.0.0.1")), move |_| {
        Reply::new(401).header("WWW-Authenticate", challenge.as_str()).into()
    });
    let settings = format!("[registry.'{}']\nhttp = false\nskip_verification = true\n", server.address);
    let error = Machine::with(&settings, |_| {}).error(&server.name("app:1"));
    assert!(error.to_string().contains("its realm is no address of HTTPS"), "{error}");
    assert!(plain.seen().is_empty());
}

#[test]
fn settings_that_cannot_be_read_are_named() {
    let registry = registry(b"1");
    let machine = Machine::with("[registry", |_| {});
    let error = machine.error(&registry.name("app:1"));
    assert!(error.to_string().contains("registries.toml cannot be read"), "{error}");
    assert!(registry.seen().is_empty());
}
