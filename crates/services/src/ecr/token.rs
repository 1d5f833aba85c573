//! Tokens: what lets a client without a signature into the registry, proved by itself, so that nothing is kept of it.
//!
//! A password is `gantry-1.<expiry>.<proof>`; the proof is a keyed hash under a key that follows from the account's own
//! secret, so it holds on every restart and nobody else can make one.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_api::ecr::*;
use gantry_api::{ApiError, CallContext};
use gantry_types::{ACCOUNT, Timestamp};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::Context;

/// As long as AWS's.
const LIFE: Duration = Duration::from_secs(12 * 3600);
/// Of a link to a layer.
const LINK_LIFE: Duration = Duration::from_secs(3600);
const PREFIX: &str = "gantry-1";
const TEXT_BYTES_MAX: usize = 200;

/// Why a password does not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    Wrong,
    Expired,
}

pub(super) async fn get(
    context: &Context,
    call: &CallContext,
    input: &GetAuthorizationTokenRequest,
) -> Result<GetAuthorizationTokenResponse, ApiError> {
    let host = context.registry()?;
    let expires = call.now + LIFE;
    let token = STANDARD.encode(format!("AWS:{}", password(context.root_secret(), expires)));
    let one = AuthorizationData {
        authorization_token: Some(token),
        expires_at: Some(expires),
        proxy_endpoint: Some(format!("http://{}", host.host(call.region.as_str()))),
    };
    // Whatever registries are asked for, there is one.
    let count = input.registry_ids.as_ref().map_or(1, Vec::len);
    Ok(GetAuthorizationTokenResponse { authorization_data: Some(vec![one; count]) })
}

fn password(secret: &str, expires: Timestamp) -> String {
    let expires = expires.millis() / 1000;
    format!("{PREFIX}.{expires}.{}", hex(&keyed(secret, &["token", ACCOUNT, &expires.to_string()])))
}

pub(super) fn check(secret: &str, password: &str, now: Timestamp) -> Result<(), Refused> {
    let rest = password.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('.'));
    verify(secret, &["token", ACCOUNT], rest.ok_or(Refused::Wrong)?, now)
}

/// The proof that goes with a link to a layer.
pub(super) fn link(secret: &str, digest: &str, now: Timestamp) -> String {
    let expires = (now + LINK_LIFE).millis() / 1000;
    format!("{expires}.{}", hex(&keyed(secret, &["layer", digest, &expires.to_string()])))
}

pub(super) fn check_link(secret: &str, digest: &str, proof: &str, now: Timestamp) -> Result<(), Refused> {
    verify(secret, &["layer", digest], proof, now)
}

/// `<expiry>.<proof>`, where the proof is over `parts` and the expiry.
fn verify(secret: &str, parts: &[&str], text: &str, now: Timestamp) -> Result<(), Refused> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Refused::Wrong);
    }
    let (expires, proof) = text.split_once('.').ok_or(Refused::Wrong)?;
    let seconds: i64 = expires.parse().map_err(|_| Refused::Wrong)?;
    let proof = unhex(proof).ok_or(Refused::Wrong)?;
    let all: Vec<&str> = parts.iter().copied().chain([expires]).collect();
    keyed(secret, &all).verify_slice(&proof).map_err(|_| Refused::Wrong)?;
    if now.millis() / 1000 >= seconds { Err(Refused::Expired) } else { Ok(()) }
}

fn keyed(secret: &str, parts: &[&str]) -> Hmac<Sha256> {
    let mac = |key: &[u8]| Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    let mut derive = mac(secret.as_bytes());
    derive.update(b"gantry registry");
    let mut keyed = mac(&derive.finalize().into_bytes());
    for part in parts {
        // With its length, so that no other parts read the same.
        keyed.update(&(part.len() as u64).to_be_bytes());
        keyed.update(part.as_bytes());
    }
    keyed
}

fn hex(mac: &Hmac<Sha256>) -> String {
    mac.clone().finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    (0..32).map(|index| u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_holds_for_twelve_hours_and_cannot_be_changed() {
        let now = Timestamp::from_millis(1_750_000_000_000);
        let made = password("secret", now + LIFE);
        assert_eq!(check("secret", &made, now), Ok(()));
        assert_eq!(check("secret", &made, now + LIFE - Duration::from_secs(1)), Ok(()));
        assert_eq!(check("secret", &made, now + LIFE), Err(Refused::Expired));
        assert_eq!(check("other", &made, now), Err(Refused::Wrong));
        let parts: Vec<&str> = made.split('.').collect();
        let later = format!("{}.{}.{}", parts[0], parts[1].parse::<i64>().unwrap() + 1, parts[2]);
        let link = link("secret", "sha256:1", now);
        let too_long = format!("{made}{}", "0".repeat(1000));
        let other_link = format!("{PREFIX}.{link}");
        for wrong in
            ["", "gantry-1", "gantry-1..", "gantry-1.9999999999.", "x.y.z", &later, &too_long, &other_link]
        {
            assert_eq!(check("secret", wrong, now), Err(Refused::Wrong), "{wrong}");
        }
        assert_eq!(check_link("secret", "sha256:1", &link, now), Ok(()));
        assert_eq!(check_link("secret", "sha256:2", &link, now), Err(Refused::Wrong));
        assert_eq!(check_link("secret", "sha256:1", &link, now + LINK_LIFE), Err(Refused::Expired));
    }
}
