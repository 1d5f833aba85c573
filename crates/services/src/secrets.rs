//! Access keys from the kernel's randomness. They are made before a handler decides, so that the handler stays a function of
//! its arguments.

use std::fmt;

use gantry_api::ApiError;

/// What a new access key consists of. Its two secrets are never printed.
#[derive(Clone)]
pub(crate) struct NewKey {
    id: String,
    secret: String,
    token: String,
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

impl NewKey {
    pub(crate) fn from_kernel() -> Result<Self, ApiError> {
        let mut bytes = [0; 16 + 40 + 300];
        getrandom::fill(&mut bytes).map_err(|error| {
            let message = format!("The kernel gave no randomness for an access key: {error}");
            ApiError::receiver("ServiceFailure", message)
        })?;
        Ok(Self::from_bytes(&bytes))
    }

    /// Each alphabet's length is a power of two, so that every character is as likely as the others.
    fn from_bytes(bytes: &[u8; 16 + 40 + 300]) -> Self {
        let text = |bytes: &[u8], alphabet: &[u8]| {
            bytes.iter().map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()])).collect()
        };
        Self {
            id: text(&bytes[..16], BASE32),
            secret: text(&bytes[16..56], BASE64),
            token: text(&bytes[56..], BASE64),
        }
    }

    /// A user's key.
    pub(crate) fn long_term_id(&self) -> String {
        format!("AKIA{}", self.id)
    }
    /// A session's key.
    pub(crate) fn temporary_id(&self) -> String {
        format!("ASIA{}", self.id)
    }
    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }
    pub(crate) fn token(&self) -> &str {
        &self.token
    }
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKey").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_form_of_aws_and_hide_their_secrets() {
        let (key, other) = (NewKey::from_kernel().unwrap(), NewKey::from_kernel().unwrap());
        assert_eq!((key.long_term_id().len(), key.secret().len(), key.token().len()), (20, 40, 300));
        assert_ne!(key.secret(), other.secret());
        let printed = format!("{key:?}");
        assert!(!printed.contains(key.secret()) && !printed.contains(key.token()), "{printed}");
    }
}
