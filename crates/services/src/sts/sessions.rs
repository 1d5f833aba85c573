//! Sessions: temporary credentials and whom they stand for.

use std::time::Duration;

use gantry_api::sts::Credentials;
use gantry_api::{ApiError, FromValue, IntoValue, Mismatch};
use gantry_domain::{Change, View};
use gantry_types::{ACCOUNT, Timestamp, Value};
use gantry_wire::{Credential, Principal};

use crate::objects::{self, Found};
use crate::secrets::NewKey;

/// By access key id.
const SESSION: &str = "sts/session";
/// Sessions that may be there at once, expired ones included.
const SESSIONS_MAX: usize = 10_000;
/// Expired sessions that a new one clears away: more than one, so that they become fewer.
const CLEARED_MAX: usize = 16;
/// Who uses credentials that ran out a while ago shall hear so, not that they are unknown.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// One session as it is kept.
struct Session {
    secret_key: String,
    token: String,
    expires: Timestamp,
    arn: String,
    user_id: String,
}

impl FromValue for Session {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        let part = |name: &str| value.get(name).unwrap_or(&Value::Null);
        Ok(Self {
            secret_key: FromValue::from_value(part("SecretKey"))?,
            token: FromValue::from_value(part("Token"))?,
            expires: FromValue::from_value(part("Expires"))?,
            arn: FromValue::from_value(part("Arn"))?,
            user_id: FromValue::from_value(part("UserId"))?,
        })
    }
}

impl IntoValue for Session {
    fn into_value(self) -> Value {
        Value::structure([
            ("SecretKey", self.secret_key.into()),
            ("Token", self.token.into()),
            ("Expires", self.expires.into()),
            ("Arn", self.arn.into()),
            ("UserId", self.user_id.into()),
        ])
    }
}

/// The other half of a temporary access key, also for some time after it ran out.
pub(crate) fn find(view: &View, access_key: &str) -> Option<Credential> {
    let session: Found<Session> = objects::find(view, SESSION, access_key).ok()??;
    let Session { secret_key, token, expires, arn, user_id } = session.document;
    Some(Credential {
        secret_key,
        session_token: Some(token),
        expires: Some(expires),
        principal: Principal { arn, user_id, account: ACCOUNT.to_owned() },
    })
}

/// A new session: what its owner gets, and the changes that keep it.
pub(super) fn open(
    view: &View,
    key: &NewKey,
    principal: &Principal,
    now: Timestamp,
    seconds: u64,
) -> Result<(Credentials, Vec<Change>), ApiError> {
    let sessions: Vec<Found<Session>> = objects::list(view, SESSION)?;
    let is_over = |session: &&Found<Session>| session.document.expires + REMEMBERED <= now;
    let mut changes: Vec<Change> =
        sessions.iter().filter(is_over).take(CLEARED_MAX).map(Found::delete).collect();
    if sessions.len() - changes.len() >= SESSIONS_MAX {
        return Err(ApiError::sender("Throttling", "Rate exceeded"));
    }
    let expires = now + Duration::from_secs(seconds);
    let credentials = Credentials {
        access_key_id: key.temporary_id(),
        expiration: expires,
        secret_access_key: key.secret().to_owned(),
        session_token: key.token().to_owned(),
    };
    let session = Session {
        secret_key: key.secret().to_owned(),
        token: key.token().to_owned(),
        expires,
        arn: principal.arn.clone(),
        user_id: principal.user_id.clone(),
    };
    changes.push(objects::create(SESSION, &credentials.access_key_id, session));
    Ok((credentials, changes))
}
