//! Who may use the registry.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_services::Context;
use gantry_services::ecr::Refused;
use gantry_types::Timestamp;
use gantry_wire::AuthMode;
use http::{StatusCode, header, request};

use super::problem::Problem;
use super::route::{Route, parameter};

const USER: &str = "AWS";

/// Lets in whoever has a token of `GetAuthorizationToken`, or a link of `GetDownloadUrlForLayer` for this one layer.
pub(super) fn check(
    context: &Context,
    mode: AuthMode,
    head: &request::Parts,
    route: &Route,
    host: &str,
    now: Timestamp,
) -> Result<(), Problem> {
    if mode == AuthMode::AcceptAny {
        return Ok(());
    }
    if let Route::Blob { digest, .. } = route
        && let Some(proof) = parameter(head.uri.query(), "proof")
    {
        return context.check_layer_link(digest, &proof, now).map_err(|refused| refusal(refused, host));
    }
    let Some(password) = password(head) else { return Err(refusal(Refused::Wrong, host)) };
    context.check_registry_password(&password, now).map_err(|refused| refusal(refused, host))
}

/// The password of Basic authorization for the user that ECR's tokens are for.
fn password(head: &request::Parts) -> Option<String> {
    let value = head.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    (user == USER).then(|| password.to_owned())
}

fn refusal(refused: Refused, host: &str) -> Problem {
    match refused {
        Refused::Wrong => {
            let message = "Log in: aws ecr get-login-password | docker login --username AWS --password-stdin";
            // Whatever a client calls us, nothing of it may end the quotation.
            let realm: String =
                host.chars().filter(|c| c.is_ascii_alphanumeric() || ".:-[]".contains(*c)).collect();
            Problem::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message).with_header(
                header::WWW_AUTHENTICATE,
                format!("Basic realm=\"http://{realm}/\",service=\"ecr.amazonaws.com\""),
            )
        }
        Refused::Expired => Problem::new(
            StatusCode::FORBIDDEN,
            "DENIED",
            "Your authorization token has expired. Reauthenticate and try again.",
        ),
    }
}
