//! Proving who asks: from a 401 and its challenges to the `Authorization` of the next request.
//!
//! Bearer: the registry names a token service; that gets the credentials, if there are any, and gives a token for one
//! repository and a while. Tokens are kept for all pulls of a process. Basic: the credentials themselves.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::Body;
use ureq::http::{Response, StatusCode, Uri};

use super::challenge::Challenge;
use super::error::PullError;
use super::registries::Credentials;
use super::session::{Request, Session, bounded, shown};

/// A longer one would not fit into a request's head.
const TOKEN_BYTES_MAX: usize = 32 * 1024;

/// The tokens of a process.
#[derive(Default)]
pub(super) struct Tokens(Mutex<BTreeMap<Key, Token>>);

/// Whom a token is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) host: String,
    pub(super) repository: String,
    pub(super) username: String,
}

struct Token {
    authorization: String,
    ends: Instant,
}

impl Tokens {
    pub(super) fn get(&self, key: &Key) -> Option<String> {
        let mut tokens = self.lock();
        let token = tokens.get(key)?;
        if token.ends > Instant::now() {
            return Some(token.authorization.clone());
        }
        tokens.remove(key);
        None
    }

    pub(super) fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    fn put(&self, key: &Key, authorization: &str, life: Duration, tokens_max: usize) {
        let mut tokens = self.lock();
        let now = Instant::now();
        tokens.retain(|_, token| token.ends > now);
        if tokens.len() >= tokens_max
            && let Some(first) = tokens.iter().min_by_key(|(_, token)| token.ends).map(|(key, _)| key.clone())
        {
            tokens.remove(&first);
        }
        // A tenth less: it shall not end on its way.
        tokens.insert(
            key.clone(),
            Token { authorization: authorization.to_owned(), ends: now + life.mul_f64(0.9) },
        );
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Token>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers the challenges of `asked`; `None` if they ask for credentials that there are none of.
    pub(super) fn answer(
        &self,
        session: &Session,
        asked: &Uri,
        challenges: &[Challenge],
        key: &Key,
    ) -> Result<Option<String>, PullError> {
        let credentials =
            session.registries.settings(&key.host).and_then(|settings| settings.credentials.as_ref());
        if let Some(bearer) = challenges.iter().find(|challenge| challenge.scheme == "bearer") {
            let service = Service { session, asked, key, challenge: bearer };
            let (token, life) = session.persist(|| service.fetch(credentials))?;
            let authorization = format!("Bearer {token}");
            self.put(key, &authorization, life, session.limits.tokens_max);
            return Ok(Some(authorization));
        }
        if challenges.iter().any(|challenge| challenge.scheme == "basic") {
            let Some(authorization) = credentials.and_then(Credentials::basic) else { return Ok(None) };
            self.put(key, &authorization, session.limits.token_life_max, session.limits.tokens_max);
            return Ok(Some(authorization));
        }
        let schemes: Vec<&str> = challenges.iter().map(|challenge| challenge.scheme.as_str()).collect();
        let schemes = if schemes.is_empty() { "nothing".to_owned() } else { schemes.join(", ") };
        Err(PullError::Challenge { host: key.host.clone(), schemes })
    }
}

/// One question to a token service.
struct Service<'a> {
    session: &'a Session,
    asked: &'a Uri,
    key: &'a Key,
    challenge: &'a Challenge,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Service<'_> {
    fn fetch(&self, credentials: Option<&Credentials>) -> Result<(String, Duration), PullError> {
        let realm = self.realm()?;
        let own_scope = format!("repository:{}:pull", self.key.repository);
        let scope = self.challenge.get("scope").unwrap_or(&own_scope);
        let service = self.challenge.get("service");
        let response = match credentials {
            Some(Credentials::Identity { token }) => {
                let mut form = vec![
                    ("grant_type", "refresh_token"),
                    ("refresh_token", token.as_str()),
                    ("client_id", "gantry"),
                    ("scope", scope),
                ];
                form.extend(service.map(|service| ("service", service)));
                self.session.post_form(&realm, &form)?
            }
            _ => {
                let mut query = vec![("scope", scope)];
                query.extend(service.map(|service| ("service", service)));
                let url = with_query(&realm, &query)
                    .ok_or_else(|| self.unusable("its realm is no address".to_owned()))?;
                let authorization = credentials.and_then(Credentials::basic);
                self.session.send(Request { authorization, ..Request::get(url) })?
            }
        };
        self.read(&realm, response, credentials.is_some())
    }

    fn read(
        &self,
        realm: &Uri,
        response: Response<Body>,
        has_credentials: bool,
    ) -> Result<(String, Duration), PullError> {
        let session = self.session;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let message = session.message(realm, response);
                let name = format!("{}/{}", self.key.host, self.key.repository);
                return Err(PullError::Denied { name, has_credentials, message });
            }
            _ => return Err(session.refused(realm, response)),
        }
        let content = session.read(realm, response, session.limits.message_bytes_max)?;
        let answer: Answer = serde_json::from_slice(&content)
            .map_err(|_| self.unusable(format!("{} gives no token", shown(realm))))?;
        let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| self.unusable(format!("{} gives no token", shown(realm))))?;
        if token.len() > TOKEN_BYTES_MAX || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(self.unusable("it is too long, or holds what no token can hold".to_owned()));
        }
        let life = Duration::from_secs(answer.expires_in.unwrap_or(60));
        Ok((token, bounded(life, &session.limits)))
    }

    /// The token service's address. Whoever is asked by HTTPS must not send us elsewhere without.
    fn realm(&self) -> Result<Uri, PullError> {
        let realm = self.challenge.get("realm").unwrap_or_default();
        let uri: Uri = realm.parse().map_err(|_| self.unusable("its realm is no address".to_owned()))?;
        let is_secure = uri.scheme_str() == Some("https");
        let is_enough =
            is_secure || (uri.scheme_str() == Some("http") && self.asked.scheme_str() == Some("http"));
        if uri.host().is_none_or(str::is_empty) || !is_enough {
            return Err(self.unusable("its realm is no address of HTTPS".to_owned()));
        }
        Ok(uri)
    }

    fn unusable(&self, reason: String) -> PullError {
        PullError::Token { host: self.key.host.clone(), reason }
    }
}

fn with_query(uri: &Uri, parameters: &[(&str, &str)]) -> Option<Uri> {
    let query: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let text = uri.to_string();
    let separator = if uri.query().is_some() { '&' } else { '?' };
    format!("{text}{separator}{}", query.join("&")).parse().ok()
}

fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'/' | b',' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(repository: &str) -> Key {
        Key { host: "r".to_owned(), repository: repository.to_owned(), username: String::new() }
    }

    #[test]
    fn tokens_end_and_are_bounded() {
        let tokens = Tokens::default();
        tokens.put(&key("a"), "Bearer a", Duration::from_secs(60), 2);
        tokens.put(&key("over"), "Bearer over", Duration::ZERO, 2);
        assert_eq!(tokens.get(&key("a")).as_deref(), Some("Bearer a"));
        assert_eq!(tokens.get(&key("over")), None);
        tokens.put(&key("b"), "Bearer b", Duration::from_secs(120), 2);
        tokens.put(&key("c"), "Bearer c", Duration::from_secs(180), 2);
        assert_eq!(tokens.get(&key("a")), None, "the one that ends first makes room");
        assert!(tokens.get(&key("b")).is_some() && tokens.get(&key("c")).is_some());
        tokens.forget(&key("b"));
        assert_eq!(tokens.get(&key("b")), None);
    }

    #[test]
    fn queries_are_encoded() {
        let realm: Uri = "https://a.example/token?x=1".parse().unwrap();
        let url =
            with_query(&realm, &[("scope", "repository:a/b:pull,push x"), ("service", "a&b=c")]).unwrap();
        let expected = "https://a.example/token?x=1&scope=repository:a/b:pull,push%20x&service=a%26b%3Dc";
        assert_eq!(url.to_string(), expected);
    }
}
