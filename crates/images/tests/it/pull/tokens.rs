//! Proving who asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gantry_images::PullError;

use super::server::{Answer, Content, Reply, Seen, Server};
use super::{Machine, simple};

/// `someone:secret`
const BASIC: &str = "Basic c29tZW9uZTpzZWNyZXQ=";

fn credentials(server: &Server) -> String {
    format!("[registry.'{}']\nusername = 'someone'\npassword = 'secret'\n", server.address)
}

fn unauthorized(challenge: &str) -> Answer {
    Reply::new(401)
        .header("WWW-Authenticate", challenge)
        .body(r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#)
        .into()
}

/// A token service and a registry that wants its tokens. `wanted`: what the token service wants to be shown.
fn with_tokens(wanted: Option<&'static str>, life_seconds: u64) -> (Server, Server) {
    let (layout, manifest, _) = simple(b"1");
    let content = Content::new(&layout).tag("1", &manifest);
    let count = AtomicUsize::new(0);
    let service = Server::start(move |seen| {
        if seen.header("authorization") != wanted {
            return Reply::new(401).body(r#"{"details":"incorrect username or password"}"#).into();
        }
        let number = count.fetch_add(1, Ordering::SeqCst);
        let body = format!(r#"{{"token":"token-{number}","expires_in":{life_seconds}}}"#);
        Reply::new(200).body(body).into()
    });
    let realm = format!("http://{}/token", service.address);
    let registry = Server::start(move |seen| {
        let is_known = seen.header("authorization").is_some_and(|given| given.starts_with("Bearer token-"));
        if !is_known {
            let scope = "repository:team/app:pull";
            return unauthorized(&format!(
                "Basic realm=\"other\", Bearer realm=\"{realm}\",service=\"the service\",scope=\"{scope}\""
            ));
        }
        content.answer(seen)
    });
    (service, registry)
}

#[test]
fn a_token_is_fetched_once_and_kept() {
    let (service, registry) = with_tokens(None, 300);
    let machine = Machine::new();
    machine.pull(&registry.name("team/app:1")).unwrap();
    machine.pull(&registry.name("team/app:1")).unwrap();
    let asked = service.seen();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].target, "/token?scope=repository:team/app:pull&service=the%20service");
    let refused = registry.count(|seen| seen.header("authorization").is_none());
    assert_eq!(refused, 1, "only the first request goes without");
}

#[test]
fn credentials_get_a_token_and_wrong_ones_do_not() {
    let (service, registry) = with_tokens(Some(BASIC), 300);
    let machine = Machine::with(&credentials(&registry), |_| {});
    machine.pull(&registry.name("team/app:1")).unwrap();
    assert_eq!(service.seen()[0].header("authorization"), Some(BASIC));
    assert!(registry.seen().iter().all(|seen| seen.header("authorization") != Some(BASIC)), "tokens alone");

    let error = Machine::new().error(&registry.name("team/app:1"));
    let expected = format!(
        "pull access denied for {}, repository does not exist or may require authorization: incorrect username or password",
        registry.name("team/app")
    );
    assert_eq!(error.to_string(), expected);
    assert!(error.next_step().contains("needs credentials in registries.toml"), "{}", error.next_step());
    let wrong = credentials(&registry).replace("secret", "wrong");
    let error = Machine::with(&wrong, |_| {}).error(&registry.name("team/app:1"));
    assert!(matches!(*error, PullError::Denied { has_credentials: true, .. }), "{error}");
    assert!(!error.is_transient());
}

#[test]
fn a_token_that_is_refused_is_fetched_anew() {
    let (layout, manifest, _) = simple(b"1");
    let content = Content::new(&layout).tag("1", &manifest);
    let given = Arc::new(AtomicUsize::new(0));
    let fetched = given.clone();
    let service = Server::start(move |_| {
        let number = fetched.fetch_add(1, Ordering::SeqCst);
        Reply::new(200).body(format!(r#"{{"access_token":"token-{number}"}}"#)).into()
    });
    let realm = format!("http://{}/token", service.address);
    // A token is good for two requests.
    let uses = AtomicUsize::new(0);
    let registry = Server::start(move |seen| {
        let current = format!("Bearer token-{}", uses.load(Ordering::SeqCst) / 2);
        if seen.header("authorization") != Some(current.as_str()) {
            return unauthorized(&format!("Bearer realm=\"{realm}\""));
        }
        uses.fetch_add(1, Ordering::SeqCst);
        content.answer(seen)
    });
    let machine = Machine::with("", |limits| limits.layers_at_once = 1);
    machine.pull(&registry.name("app:1")).unwrap();
    assert_eq!(given.load(Ordering::SeqCst), 2, "three requests need two of them");
    assert_eq!(service.seen()[0].target, "/token?scope=repository:app:pull", "a scope of our own");
}

#[test]
fn basic_credentials_go_to_the_registry_itself() {
    let (layout, manifest, _) = simple(b"1");
    let content = Content::new(&layout).tag("1", &manifest);
    let registry = Server::start(move |seen| match seen.header("authorization") {
        Some(BASIC) => content.answer(seen),
        _ => unauthorized("Basic realm=\"here\""),
    });
    Machine::with(&credentials(&registry), |_| {}).pull(&registry.name("app:1")).unwrap();
    let error = Machine::new().error(&registry.name("app:1"));
    assert!(matches!(*error, PullError::Denied { has_credentials: false, .. }), "{error}");
    assert!(error.to_string().ends_with(": authentication required"), "{error}");
}

#[test]
fn an_identity_token_is_exchanged() {
    let (layout, manifest, _) = simple(b"1");
    let content = Content::new(&layout).tag("1", &manifest);
    let service = Server::start(|seen: &Seen| match seen.body.contains("refresh_token=the%2Fidentity") {
        true => Reply::new(200).body(r#"{"access_token":"t"}"#).into(),
        false => Reply::new(400).into(),
    });
    let realm = format!("http://{}/oauth", service.address);
    let registry = Server::start(move |seen| match seen.header("authorization") {
        Some("Bearer t") => content.answer(seen),
        _ => unauthorized(&format!("Bearer realm=\"{realm}\",service=s")),
    });
    let machine = Machine::with("docker_config = 'config.json'", |_| {});
    let config = format!(r#"{{"auths":{{"{}":{{"identitytoken":"the/identity"}}}}}}"#, registry.address);
    std::fs::write(machine.store.directory.path().join("config.json"), config).unwrap();
    machine.pull(&registry.name("app:1")).unwrap();
    let asked = &service.seen()[0];
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/oauth"));
    assert!(
        asked.body.contains("grant_type=refresh_token") && asked.body.contains("service=s"),
        "{}",
        asked.body
    );
}

#[test]
fn what_cannot_be_answered_is_told() {
    let check = |challenge: &'static str, expected: &str| {
        let registry = Server::start(move |_| unauthorized(challenge));
        let error = Machine::new().error(&registry.name("app:1"));
        assert!(error.to_string().contains(expected), "{challenge}: {error}");
    };
    check("Negotiate", "asks for negotiate, which is no way to authorize that is known here");
    check("", "asks for nothing");
    check("Bearer service=x", "its realm is no address");
    check("Bearer realm=\"file:///etc/passwd\"", "its realm is no address");
    check("Bearer realm=\"not an address\"", "its realm is no address");

    let answers: [(&str, &str); 4] = [
        ("{}", "gives no token"),
        ("no json", "gives no token"),
        (r#"{"token":""}"#, "gives no token"),
        (r#"{"token":"a\r\nX-Evil: b"}"#, "holds what no token can hold"),
    ];
    for (answer, expected) in answers {
        let service = Server::start(move |_| Reply::new(200).body(answer).into());
        let challenge = format!("Bearer realm=\"http://{}/\"", service.address);
        let registry = Server::start(move |_| unauthorized(&challenge));
        let error = Machine::new().error(&registry.name("app:1"));
        assert!(error.to_string().contains(expected), "{answer}: {error}");
    }
    let endless = Server::start(|_| Answer::Endless(Reply::new(200)));
    let challenge = format!("Bearer realm=\"http://{}/\"", endless.address);
    let registry = Server::start(move |_| unauthorized(&challenge));
    let error = Machine::new().error(&registry.name("app:1"));
    assert!(matches!(*error, PullError::TooLarge { .. }), "{error}");
}

#[test]
fn what_proves_who_asks_goes_to_nobody_else() {
    let (layout, manifest, _) = simple(b"1");
    let content = Content::new(&layout).tag("1", &manifest);
    let storage_content = content.clone();
    let storage = Server::start(move |seen| storage_content.answer(seen));
    let target = storage.address;
    let registry = Server::start(move |seen| match (seen.header("authorization"), seen.is_blob()) {
        (Some(BASIC), true) => {
            Reply::new(307).header("Location", format!("http://{target}{}?signature=s", seen.target)).into()
        }
        (Some(BASIC), false) if !seen.path().starts_with("/v2/moved/") => {
            let moved = seen.target.replace("/v2/", "/v2/moved/");
            Reply::new(302).header("Location", moved).into()
        }
        (Some(BASIC), false) => content.answer(seen),
        _ => unauthorized("Basic realm=x"),
    });
    Machine::with(&credentials(&registry), |_| {}).pull(&registry.name("app:1")).unwrap();
    let seen = storage.seen();
    assert_eq!(seen.len(), 2, "the configuration and the layer");
    assert!(seen.iter().all(|seen| seen.header("authorization").is_none()), "{seen:?}");
    let moved = registry
        .count(|seen| seen.path().starts_with("/v2/moved/") && seen.header("authorization") == Some(BASIC));
    assert_eq!(moved, 1, "the same registry gets them again");
}
