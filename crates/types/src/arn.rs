//! Amazon resource names: `arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE`.

use std::fmt;
use std::str::FromStr;

/// The one account that a Gantry installation is.
pub const ACCOUNT: &str = "123456789012";

/// An ARN, kept whole; its parts are read by position.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Arn(String);

/// What does not have the six parts of an ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArnError(pub String);

impl fmt::Display for ArnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an ARN", self.0)
    }
}
impl std::error::Error for ArnError {}

/// Makes an ARN of our own account.
pub fn arn(service: &str, region: &str, resource: &str) -> Arn {
    Arn(format!("arn:aws:{service}:{region}:{ACCOUNT}:{resource}"))
}

impl Arn {
    pub fn as_str(&self) -> &str {
        &self.0
    }
    pub fn service(&self) -> &str {
        self.part(2)
    }
    pub fn region(&self) -> &str {
        self.part(3)
    }
    pub fn account(&self) -> &str {
        self.part(4)
    }
    /// All behind the account, colons and slashes included: `task/default/0123`.
    pub fn resource(&self) -> &str {
        self.part(5)
    }
    /// The resource's last part: the id or name.
    pub fn name(&self) -> &str {
        let resource = self.resource();
        resource.rsplit(['/', ':']).next().unwrap_or(resource)
    }
    fn part(&self, index: usize) -> &str {
        self.0.splitn(6, ':').nth(index).unwrap_or("")
    }
}

impl FromStr for Arn {
    type Err = ArnError;
    fn from_str(text: &str) -> Result<Self, ArnError> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let whole = parts.len() == 6 && parts[0] == "arn" && !parts[1].is_empty();
        if whole && !parts[2].is_empty() && !parts[5].is_empty() {
            Ok(Self(text.to_owned()))
        } else {
            Err(ArnError(text.to_owned()))
        }
    }
}
impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}
impl AsRef<str> for Arn {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_is_read_by_its_parts() {
        let task = arn("ecs", "us-east-1", "task/default/0123");
        assert_eq!(task.as_str(), "arn:aws:ecs:us-east-1:123456789012:task/default/0123");
        assert_eq!(
            (task.service(), task.region(), task.resource(), task.name()),
            ("ecs", "us-east-1", "task/default/0123", "0123")
        );
        assert_eq!(task.as_str().parse::<Arn>(), Ok(task));
        for bad in ["", "arn:aws:ecs", "arn:aws:ecs:r:a:", "nra:aws:ecs:r:a:x", "arn:aws::r:a:x"] {
            assert!(bad.parse::<Arn>().is_err(), "{bad}");
        }
    }
}
