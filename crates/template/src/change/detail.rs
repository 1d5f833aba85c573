//! One reason why a resource changes.

use gantry_types::Value;

/// What of a resource changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeAttribute {
    Properties,
    Metadata,
    CreationPolicy,
    UpdatePolicy,
    DeletionPolicy,
    UpdateReplacePolicy,
    /// The stack's tags.
    Tags,
}

impl ChangeAttribute {
    pub fn name(self) -> &'static str {
        match self {
            Self::Properties => "Properties",
            Self::Metadata => "Metadata",
            Self::CreationPolicy => "CreationPolicy",
            Self::UpdatePolicy => "UpdatePolicy",
            Self::DeletionPolicy => "DeletionPolicy",
            Self::UpdateReplacePolicy => "UpdateReplacePolicy",
            Self::Tags => "Tags",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeSource {
    DirectModification,
    /// A parameter, by name.
    ParameterReference(String),
    /// A resource, by logical id.
    ResourceReference(String),
    /// A resource's attribute, `LogicalId.Attribute`.
    ResourceAttribute(String),
}

impl ChangeSource {
    pub fn name(&self) -> &'static str {
        match self {
            Self::DirectModification => "DirectModification",
            Self::ParameterReference(_) => "ParameterReference",
            Self::ResourceReference(_) => "ResourceReference",
            Self::ResourceAttribute(_) => "ResourceAttribute",
        }
    }
    pub fn causing_entity(&self) -> Option<&str> {
        match self {
            Self::DirectModification => None,
            Self::ParameterReference(name)
            | Self::ResourceReference(name)
            | Self::ResourceAttribute(name) => Some(name),
        }
    }
}

/// Whether it is certain that the value changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvaluationKind {
    Static,
    Dynamic,
}

impl EvaluationKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Static => "Static",
            Self::Dynamic => "Dynamic",
        }
    }
}

/// Of one property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequiresRecreation {
    Never,
    Conditionally,
    Always,
}

impl RequiresRecreation {
    pub fn name(self) -> &'static str {
        match self {
            Self::Never => "Never",
            Self::Conditionally => "Conditionally",
            Self::Always => "Always",
        }
    }
}

/// Of the whole resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replacement {
    False,
    Conditional,
    True,
}

impl Replacement {
    pub fn name(self) -> &'static str {
        match self {
            Self::False => "False",
            Self::Conditional => "Conditional",
            Self::True => "True",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct ChangeDetail {
    pub attribute: ChangeAttribute,
    /// Of `Properties`: the top-level property.
    pub name: Option<String>,
    pub requires_recreation: RequiresRecreation,
    pub evaluation: EvaluationKind,
    pub source: ChangeSource,
    /// What the property was, and will be, as far as it is known: see [`KNOWN_AFTER_APPLY`](crate::KNOWN_AFTER_APPLY).
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// What all details together mean.
pub(super) fn replacement(details: &[ChangeDetail]) -> Replacement {
    let any = |wanted: &dyn Fn(&ChangeDetail) -> bool| details.iter().any(wanted);
    let always = |detail: &ChangeDetail| detail.requires_recreation == RequiresRecreation::Always;
    if any(&|detail| always(detail) && detail.evaluation == EvaluationKind::Static) {
        Replacement::True
    } else if any(&|detail| always(detail) || detail.requires_recreation == RequiresRecreation::Conditionally)
    {
        Replacement::Conditional
    } else {
        Replacement::False
    }
}
