//! CloudFormation's language: from a template's text to what a stack shall consist of, without making anything.
//!
//! Flow: [`Template::parse`] reads JSON or YAML and checks every name and shape. [`Template::parameter_values`] holds a
//! request's parameters against the template's; the caller looks up what [`ParameterValues::lookups`] lists.
//! [`Evaluation::new`] decides the conditions and knows: the resources that are wanted, their
//! [`Graph`], and each one's properties as soon as those that it needs exist, which the caller tells through [`World`].
//! [`changes`] holds the new evaluation against what the stack was made of.
//!
//! Invariants:
//! - Nothing here does IO or reads a clock; the same arguments give the same answer.
//! - A text of any bytes gives a template or an error, in time and memory that the limits bound; it never panics.
//! - Errors read as CloudFormation's, see [`TemplateError`].
//! - A scalar keeps its text: see [`text_of`].

mod change;
mod document;
mod dynamic;
mod error;
mod evaluation;
mod expression;
mod graph;
pub mod limits;
mod parameter;
mod pseudo;
mod summary;
mod template;
mod world;

pub use change::{
    After, Before, ChangeAction, ChangeAttribute, ChangeDetail, ChangeSource, Changes, EvaluationKind,
    ExistingResource, Replacement, RequiresRecreation, ResourceChange, ResourceTypes, changed_properties,
    changes,
};
pub use document::{same, text_of};
pub use dynamic::{DynamicReference, dynamic_references, put_in};
pub use error::TemplateError;
pub use evaluation::{Evaluation, OutputValue};
pub use expression::{Expression, Function, SubPart};
pub use graph::Graph;
pub use parameter::{
    Parameter, ParameterInput, ParameterKind, ParameterLookup, ParameterValue, ParameterValues, lookup_failed,
};
pub use pseudo::PseudoParameters;
pub use summary::{CAPABILITY_AUTO_EXPAND, CAPABILITY_IAM, CAPABILITY_NAMED_IAM, Capabilities};
pub use template::{
    Assertion, CreationPolicy, DeletionPolicy, Mapping, Output, Resource, ResourceSignal, Rule, Template,
};
pub use world::{Attribute, KNOWN_AFTER_APPLY, World, is_known};
