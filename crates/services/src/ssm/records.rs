//! What the Parameter Store keeps, and finding it by name.

use std::collections::BTreeMap;

use gantry_api::ssm::{Parameter, ParameterHistory, ParameterMetadata, Tag};
use gantry_api::{ApiError, FromValue, IntoValue, Mismatch};
use gantry_domain::View;
use gantry_types::{Region, Value};

use super::names;
use crate::objects::{self, Found};

/// One version of a parameter.
#[derive(Debug, Clone, Default)]
pub(super) struct Version {
    /// All but the value and the labels.
    pub(super) shown: ParameterHistory,
    pub(super) value: String,
    /// What stands in the value's place for a caller who does not ask for decryption: a SecureString has it.
    pub(super) sealed: Option<String>,
}

/// A parameter with its newest version.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    /// The parameter's own, whatever others had its name before.
    pub(super) id: String,
    pub(super) newest: Version,
    /// The oldest version that is still there.
    pub(super) oldest: i64,
    /// Versions by label.
    pub(super) labels: BTreeMap<String, i64>,
    pub(super) tags: Vec<Tag>,
}

impl Version {
    pub(super) fn number(&self) -> i64 {
        self.shown.version.unwrap_or_default()
    }

    fn seen(&self, decrypted: Decryption) -> String {
        match (&self.sealed, decrypted) {
            (Some(sealed), Decryption::Withheld) => sealed.clone(),
            _ => self.value.clone(),
        }
    }

    /// As GetParameter shows it.
    pub(super) fn parameter(
        &self,
        region: &Region,
        selector: Option<String>,
        decrypted: Decryption,
    ) -> Parameter {
        let shown = &self.shown;
        Parameter {
            arn: shown.name.as_deref().map(|name| names::arn(region, name)),
            data_type: shown.data_type.clone(),
            last_modified_date: shown.last_modified_date,
            name: shown.name.clone(),
            selector,
            source_result: None,
            r#type: shown.r#type.clone(),
            value: Some(self.seen(decrypted)),
            version: shown.version,
        }
    }

    /// As GetParameterHistory shows it.
    pub(super) fn history(&self, labels: Vec<String>, decrypted: Decryption) -> ParameterHistory {
        ParameterHistory {
            value: Some(self.seen(decrypted)),
            labels: Some(labels),
            policies: Some(vec![]),
            ..self.shown.clone()
        }
    }

    /// As DescribeParameters shows it: never with the value.
    pub(super) fn metadata(&self, region: &Region) -> ParameterMetadata {
        let shown = self.shown.clone();
        ParameterMetadata {
            arn: shown.name.as_deref().map(|name| names::arn(region, name)),
            allowed_pattern: shown.allowed_pattern,
            data_type: shown.data_type,
            description: shown.description,
            key_id: shown.key_id,
            last_modified_date: shown.last_modified_date,
            last_modified_user: shown.last_modified_user,
            name: shown.name,
            policies: Some(vec![]),
            tier: shown.tier,
            r#type: shown.r#type,
            version: shown.version,
        }
    }
}

impl Kept {
    pub(super) fn name(&self) -> &str {
        self.newest.shown.name.as_deref().unwrap_or_default()
    }

    /// The labels of a version, in the order of the alphabet.
    pub(super) fn labels_of(&self, version: i64) -> Vec<String> {
        let own = self.labels.iter().filter(|(_, labelled)| **labelled == version);
        own.map(|(label, _)| label.clone()).collect()
    }

    /// A version that is still there.
    pub(super) fn version(&self, view: &View, number: i64) -> Result<Option<Version>, ApiError> {
        if number == self.newest.number() {
            return Ok(Some(self.newest.clone()));
        }
        let found: Option<Found<Version>> =
            objects::find(view, &version_class(&self.id), &version_name(number))?;
        Ok(found.map(|found| found.document))
    }

    /// The versions before the newest, oldest first.
    pub(super) fn older(&self, view: &View) -> Result<Vec<Found<Version>>, ApiError> {
        objects::list(view, &version_class(&self.id))
    }
}

/// Whether a caller asked for the values of SecureStrings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decryption {
    Wanted,
    Withheld,
}

impl From<Option<bool>> for Decryption {
    fn from(with_decryption: Option<bool>) -> Self {
        if with_decryption == Some(true) { Self::Wanted } else { Self::Withheld }
    }
}

pub(super) fn class(region: &Region) -> String {
    format!("ssm/parameter/{region}")
}

pub(super) fn version_class(id: &str) -> String {
    format!("ssm/version/{id}")
}

/// Numbers in the order of their texts.
pub(super) fn version_name(number: i64) -> String {
    format!("{number:019}")
}

/// The parameter that has exactly this name.
pub(super) fn find(view: &View, region: &Region, name: &str) -> Result<Option<Found<Kept>>, ApiError> {
    Ok(find_alike(view, region, name)?.filter(|found| found.document.name() == name))
}

/// The parameter with this name, with or without a slash before it: the two share an ARN.
pub(super) fn find_alike(view: &View, region: &Region, name: &str) -> Result<Option<Found<Kept>>, ApiError> {
    objects::find(view, &class(region), names::key(name))
}

pub(super) fn list(view: &View, region: &Region) -> Result<Vec<Found<Kept>>, ApiError> {
    objects::list(view, &class(region))
}

fn part<'v>(value: &'v Value, name: &str) -> &'v Value {
    value.get(name).unwrap_or(&Value::Null)
}

impl FromValue for Version {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        Ok(Self {
            shown: ParameterHistory::from_value(part(value, "Shown"))?,
            value: FromValue::from_value(part(value, "Value"))?,
            sealed: match part(value, "Sealed") {
                Value::Null => None,
                sealed => Some(FromValue::from_value(sealed)?),
            },
        })
    }
}

impl IntoValue for Version {
    fn into_value(self) -> Value {
        Value::structure([
            ("Shown", self.shown.into_value()),
            ("Value", self.value.into_value()),
            ("Sealed", Value::from(self.sealed)),
        ])
    }
}

impl FromValue for Kept {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        Ok(Self {
            id: FromValue::from_value(part(value, "Id"))?,
            newest: Version::from_value(part(value, "Newest"))?,
            oldest: FromValue::from_value(part(value, "Oldest"))?,
            labels: FromValue::from_value(part(value, "Labels"))?,
            tags: FromValue::from_value(part(value, "Tags"))?,
        })
    }
}

impl IntoValue for Kept {
    fn into_value(self) -> Value {
        Value::structure([
            ("Id", self.id.into_value()),
            ("Newest", self.newest.into_value()),
            ("Oldest", self.oldest.into_value()),
            ("Labels", self.labels.into_value()),
            ("Tags", self.tags.into_value()),
        ])
    }
}
