//! What ECR keeps of a repository: all but its images.

use gantry_api::ecr::{
    EncryptionConfiguration, ImageScanningConfiguration, ImageTagMutabilityExclusionFilter, Repository, Tag,
};
use gantry_api::{ApiError, FromValue, IntoValue, Mismatch};
use gantry_domain::View;
use gantry_types::{ACCOUNT, Timestamp, Value};

use crate::objects::{self, Found};

/// A repository: what callers are shown but for its URI, which follows from where the server listens.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    pub(super) shown: Repository,
    pub(super) tags: Vec<Tag>,
    pub(super) policy: Option<String>,
    pub(super) lifecycle: Option<Lifecycle>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Lifecycle {
    pub(super) text: String,
    pub(super) evaluated_at: Option<Timestamp>,
}

/// Which tags may lead to another image later.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mutability {
    immutable: bool,
    /// Tags for which it is the other way round.
    except: Vec<String>,
}

impl Mutability {
    pub(super) fn is_immutable(&self, tag: &str) -> bool {
        self.immutable != self.except.iter().any(|pattern| matches(pattern, tag))
    }
}

/// Wildcards: `*` stands for any number of characters.
pub(super) fn matches(pattern: &str, tag: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = tag.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

impl Record {
    pub(super) fn new(region: &str, name: &str, created_at: Timestamp) -> Self {
        let shown = Repository {
            created_at: Some(created_at),
            encryption_configuration: Some(EncryptionConfiguration {
                encryption_type: "AES256".to_owned(),
                kms_key: None,
            }),
            image_scanning_configuration: Some(ImageScanningConfiguration { scan_on_push: Some(false) }),
            image_tag_mutability: Some("MUTABLE".to_owned()),
            registry_id: Some(ACCOUNT.to_owned()),
            repository_arn: Some(arn(region, name)),
            repository_name: Some(name.to_owned()),
            ..Repository::default()
        };
        Self { shown, ..Self::default() }
    }

    pub(super) fn mutability(&self) -> Mutability {
        let kind = self.shown.image_tag_mutability.as_deref().unwrap_or_default();
        let filters = self.shown.image_tag_mutability_exclusion_filters.as_deref().unwrap_or_default();
        let except = match kind {
            "IMMUTABLE_WITH_EXCLUSION" | "MUTABLE_WITH_EXCLUSION" => filters,
            _ => &[],
        };
        Mutability {
            immutable: kind.starts_with("IMMUTABLE"),
            except: except
                .iter()
                .map(|filter: &ImageTagMutabilityExclusionFilter| filter.filter.clone())
                .collect(),
        }
    }
}

pub(super) fn arn(region: &str, name: &str) -> String {
    format!("arn:aws:ecr:{region}:{ACCOUNT}:repository/{name}")
}

/// Repositories' records are of the class that begins like this and ends with their region.
pub const REPOSITORIES: &str = "ecr/repository/";

pub(super) fn class(region: &str) -> String {
    format!("{REPOSITORIES}{region}")
}

pub(super) fn find(view: &View, region: &str, name: &str) -> Result<Option<Found<Record>>, ApiError> {
    objects::find(view, &class(region), name)
}

pub(super) fn list(view: &View, region: &str) -> Result<Vec<Found<Record>>, ApiError> {
    objects::list(view, &class(region))
}

impl FromValue for Record {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        Ok(Self {
            shown: Repository::from_value(part(value, "Shown"))?,
            tags: FromValue::from_value(part(value, "Tags"))?,
            policy: opt(value, "Policy")?,
            lifecycle: opt(value, "Lifecycle")?,
        })
    }
}

impl IntoValue for Record {
    fn into_value(self) -> Value {
        Value::structure([
            ("Shown", self.shown.into_value()),
            ("Tags", self.tags.into_value()),
            ("Policy", self.policy.into_value()),
            ("Lifecycle", self.lifecycle.into_value()),
        ])
    }
}

impl FromValue for Lifecycle {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        Ok(Self {
            text: FromValue::from_value(part(value, "Text"))?,
            evaluated_at: opt(value, "EvaluatedAt")?,
        })
    }
}

impl IntoValue for Lifecycle {
    fn into_value(self) -> Value {
        Value::structure([("Text", self.text.into_value()), ("EvaluatedAt", self.evaluated_at.into_value())])
    }
}

fn part<'v>(value: &'v Value, name: &str) -> &'v Value {
    value.get(name).unwrap_or(&Value::Null)
}

fn opt<T: FromValue>(value: &Value, name: &str) -> Result<Option<T>, Mismatch> {
    value.get(name).filter(|value| !value.is_null()).map(T::from_value).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, tag, fits) in [
            ("latest", "latest", true),
            ("latest", "latest2", false),
            ("*", "", true),
            ("*", "anything", true),
            ("dev-*", "dev-1", true),
            ("dev-*", "prod-1", false),
            ("*-dev", "a-dev", true),
            ("*-dev", "a-dev-b", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "ac", false),
            ("a*b*b", "ab", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, tag), fits, "{pattern} {tag}");
        }
    }
}
