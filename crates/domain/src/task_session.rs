//! What a task's role calls with: credentials that prove themselves, so that no record is kept of them.
//!
//! ```text
//! installation's key ──(task, role)──> task's key ──(time)──> credentials
//! ```
//! `control` alone has the installation's key. A node is given the key of each task that it runs, and makes the task's
//! credentials of it for as long as the task lives, with or without `control`. They follow from the time alone, so a node that was
//! restarted gives the same ones. Whoever has the installation's key checks them: the token says whose they are.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use gantry_types::{Arn, ClusterName, Region, TaskId, Timestamp};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// How long credentials hold. AWS's hold for six hours.
pub const LIFE: Duration = Duration::from_secs(6 * 3600);
/// New ones are given after so long, which leaves as much again of the old ones' life.
pub const RENEWAL: Duration = Duration::from_secs(3 * 3600);
/// Longer than any token that is made here.
const TOKEN_CHARACTERS_MAX: usize = 8192;
const VERSION: u8 = 1;
const MAC_BYTES: usize = 32;

/// Whose credentials they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSubject {
    pub role: Arn,
    pub region: Region,
    pub cluster: ClusterName,
    pub task: TaskId,
}

/// The root of all task sessions of an installation.
#[derive(Clone, PartialEq, Eq)]
pub struct InstallationKey(Key);

/// Makes and proves one task's sessions.
#[derive(Clone, PartialEq, Eq)]
pub struct TaskKey(Key);

type Key = [u8; MAC_BYTES];

/// What an AWS client in the task signs with.
#[derive(Clone, PartialEq, Eq)]
pub struct TaskCredentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub token: String,
    pub expires: Timestamp,
}

/// A session that was proved; it may be over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSession {
    pub subject: TaskSubject,
    pub expires: Timestamp,
    pub secret_access_key: TaskSecret,
}

/// The secret half of an access key.
#[derive(Clone, PartialEq, Eq)]
pub struct TaskSecret(pub String);

impl InstallationKey {
    /// From a secret of the installation, which cannot be told from the key.
    pub fn derive(secret: &str) -> Self {
        Self(mac(secret.as_bytes(), &[b"gantry task sessions"]))
    }

    pub fn task_key(&self, subject: &TaskSubject) -> TaskKey {
        TaskKey(mac(&self.0, &[&subject.encode()]))
    }

    /// The session that this token and this access key belong to, if they were made with this installation's key.
    pub fn open(&self, access_key_id: &str, token: &str) -> Option<TaskSession> {
        if token.len() > TOKEN_CHARACTERS_MAX {
            return None;
        }
        let bytes = STANDARD.decode(token).ok()?;
        let (claims, proof) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
        let (version, rest) = claims.split_first()?;
        let (expires, subject) = rest.split_first_chunk::<8>()?;
        let subject = TaskSubject::decode(subject).filter(|_| *version == VERSION)?;
        let key = self.task_key(&subject);
        keyed(&key.0, &[PROOF, claims]).verify_slice(proof).ok()?;
        (key.access_key_id(claims) == access_key_id).then(|| TaskSession {
            subject,
            expires: Timestamp::from_millis(i64::from_be_bytes(*expires)),
            secret_access_key: TaskSecret(key.secret_access_key(claims)),
        })
    }
}

// What a task's key is used for, so that no output of one use is that of another.
const PROOF: &[u8] = b"proof";
const ACCESS_KEY_ID: &[u8] = b"access key id";
const SECRET: &[u8] = b"secret access key";
const CREDENTIALS_ID: &[u8] = b"credentials id";

impl TaskKey {
    /// The credentials of this time: between [`RENEWAL`] and [`LIFE`] of their life is left.
    pub fn credentials(&self, subject: &TaskSubject, now: Timestamp) -> TaskCredentials {
        let period = i64::try_from(RENEWAL.as_millis()).unwrap_or(i64::MAX);
        let begun = Timestamp::from_millis(now.millis() - now.millis().rem_euclid(period));
        let expires = begun + LIFE;
        let mut claims = vec![VERSION];
        claims.extend(expires.millis().to_be_bytes());
        claims.extend(subject.encode());
        let proof = mac(&self.0, &[PROOF, &claims]);
        TaskCredentials {
            access_key_id: self.access_key_id(&claims),
            secret_access_key: self.secret_access_key(&claims),
            token: STANDARD.encode([&claims[..], &proof].concat()),
            expires,
        }
    }

    /// The name of the task's credentials at its endpoint: a UUID that nobody else can guess.
    pub fn credentials_id(&self) -> String {
        let mut bytes = mac(&self.0, &[CREDENTIALS_ID]);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let digits: String = bytes[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        format!(
            "{}-{}-{}-{}-{}",
            &digits[..8],
            &digits[8..12],
            &digits[12..16],
            &digits[16..20],
            &digits[20..]
        )
    }

    fn access_key_id(&self, claims: &[u8]) -> String {
        const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let bytes = mac(&self.0, &[ACCESS_KEY_ID, claims]);
        let characters = bytes[..16].iter().map(|byte| char::from(BASE32[usize::from(byte % 32)]));
        "ASIA".chars().chain(characters).collect()
    }

    fn secret_access_key(&self, claims: &[u8]) -> String {
        STANDARD_NO_PAD.encode(&mac(&self.0, &[SECRET, claims])[..30])
    }
}

impl TaskSubject {
    /// The name of a role's session of this task.
    pub fn role_name(&self) -> &str {
        self.role.as_str().rsplit('/').next().unwrap_or("")
    }

    fn encode(&self) -> Vec<u8> {
        let parts = [self.role.as_str(), self.region.as_str(), self.cluster.as_str(), self.task.as_str()];
        let mut bytes = Vec::new();
        for part in parts {
            // No name is longer; one that were could prove nothing.
            let part = &part.as_bytes()[..part.len().min(PART_BYTES_MAX)];
            bytes.extend(u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend(part);
        }
        bytes
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut part = || {
            let (length, rest) = bytes.split_first_chunk::<2>()?;
            let (part, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            bytes = rest;
            std::str::from_utf8(part).ok()
        };
        let subject = Self {
            role: part()?.parse().ok()?,
            region: Region::from(part()?),
            cluster: ClusterName::from(part()?),
            task: TaskId::from(part()?),
        };
        bytes.is_empty().then_some(subject)
    }
}

const PART_BYTES_MAX: usize = 2048;

fn keyed(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
        // Ends the part: it is followed by its length, so that no two lists of parts are the same bytes.
        mac.update(&(part.len() as u64).to_be_bytes());
    }
    mac
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Key {
    keyed(key, parts).finalize().into_bytes().into()
}

/// Hexadecimal digits, which every format of ours can carry.
impl serde::Serialize for TaskKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        serializer.serialize_str(&digits)
    }
}

impl<'de> serde::Deserialize<'de> for TaskKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        let mut key = [0; MAC_BYTES];
        let malformed = || serde::de::Error::custom("a task's key is 64 hexadecimal digits");
        if digits.len() != 2 * MAC_BYTES {
            return Err(malformed());
        }
        for (index, byte) in key.iter_mut().enumerate() {
            let pair = digits.get(2 * index..2 * index + 2).ok_or_else(malformed)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| malformed())?;
        }
        Ok(Self(key))
    }
}

// No secret reaches a log by accident.
impl fmt::Debug for InstallationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InstallationKey(..)")
    }
}
impl fmt::Debug for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskKey(..)")
    }
}
impl fmt::Debug for TaskSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskSecret(..)")
    }
}
impl fmt::Debug for TaskCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskCredentials")
            .field("access_key_id", &self.access_key_id)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> TaskSubject {
        TaskSubject {
            role: "arn:aws:iam::123456789012:role/ci/page".parse().unwrap(),
            region: "eu-west-1".into(),
            cluster: "c".into(),
            task: "0123456789abcdef0123456789abcdef".into(),
        }
    }

    const NOW: Timestamp = Timestamp::EPOCH;

    fn now(seconds: u64) -> Timestamp {
        NOW + Duration::from_secs(1_750_000_000 + seconds)
    }

    #[test]
    fn credentials_have_the_form_of_aws_and_prove_whose_they_are() {
        let installation = InstallationKey::derive("secret");
        let key = installation.task_key(&subject());
        let made = key.credentials(&subject(), now(0));
        assert!(made.access_key_id.starts_with("ASIA") && made.access_key_id.len() == 20);
        assert_eq!(made.secret_access_key.len(), 40);
        let opened = installation.open(&made.access_key_id, &made.token).expect("its own");
        assert_eq!(opened.subject, subject());
        assert_eq!((opened.secret_access_key.0, opened.expires), (made.secret_access_key, made.expires));
        assert_eq!(opened.subject.role_name(), "page");
    }

    #[test]
    fn credentials_are_renewed_well_before_they_end() {
        let key = InstallationKey::derive("secret").task_key(&subject());
        let mut renewals = 0;
        let mut last = None;
        for minute in 0..24 * 60 {
            let at = now(minute * 60);
            let made = key.credentials(&subject(), at);
            assert!(made.expires.since(at) > RENEWAL && made.expires.since(at) <= LIFE, "minute {minute}");
            renewals += usize::from(last.as_ref() != Some(&made));
            last = Some(made);
        }
        assert_eq!(renewals, 9, "eight periods of three hours, and one cut in two by the first minute");
    }

    #[test]
    fn what_was_changed_anywhere_proves_nothing() {
        let installation = InstallationKey::derive("secret");
        let made = installation.task_key(&subject()).credentials(&subject(), now(0));
        let bytes = STANDARD.decode(&made.token).unwrap();
        for index in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[index] ^= 1 << bit;
                let token = STANDARD.encode(&changed);
                assert_eq!(installation.open(&made.access_key_id, &token), None, "byte {index} bit {bit}");
            }
        }
        for length in 0..bytes.len() {
            assert_eq!(installation.open(&made.access_key_id, &STANDARD.encode(&bytes[..length])), None);
        }
        let longer = STANDARD.encode([&bytes[..], &[0]].concat());
        let endless = "A".repeat(TOKEN_CHARACTERS_MAX + 4);
        for token in ["", "!", &longer, &endless] {
            assert_eq!(installation.open(&made.access_key_id, token), None, "{token}");
        }
        assert_eq!(installation.open("ASIAAAAAAAAAAAAAAAAA", &made.token), None);
        assert_eq!(InstallationKey::derive("other").open(&made.access_key_id, &made.token), None);
    }

    #[test]
    fn a_tasks_key_proves_nothing_of_another_task_or_role() {
        let installation = InstallationKey::derive("secret");
        let key = installation.task_key(&subject());
        let others = [
            TaskSubject { task: "other".into(), ..subject() },
            TaskSubject { role: "arn:aws:iam::123456789012:role/admin".parse().unwrap(), ..subject() },
            TaskSubject { region: "eu-west-2".into(), ..subject() },
            TaskSubject { cluster: "d".into(), ..subject() },
        ];
        for other in others {
            let forged = key.credentials(&other, now(0));
            assert_eq!(installation.open(&forged.access_key_id, &forged.token), None, "{other:?}");
            assert_ne!(installation.task_key(&other).credentials_id(), key.credentials_id());
        }
    }

    #[test]
    fn keys_are_kept_and_never_printed() {
        let key = InstallationKey::derive("secret").task_key(&subject());
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<TaskKey>(&text).unwrap(), key);
        for wrong in ["\"\"", "\"zz\"", &text.replace(&text[1..3], "é"), "1"] {
            assert!(serde_json::from_str::<TaskKey>(wrong).is_err(), "{wrong}");
        }
        let made = key.credentials(&subject(), now(0));
        let printed = format!("{key:?} {made:?} {:?}", InstallationKey::derive("secret"));
        for secret in [text.trim_matches('"'), &made.secret_access_key, &made.token] {
            assert!(!printed.contains(secret), "{printed}");
        }
        let id = key.credentials_id();
        let parts: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
    }
}
