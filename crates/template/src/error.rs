//! What is wrong with a template, in CloudFormation's words.

/// Every variant but [`TemplateError::NotYetKnown`] is a `ValidationError` of the API, and its text is the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error(
        "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to {bytes_max}"
    )]
    TooLong { bytes_max: usize },
    /// A template that was fetched.
    #[error("Template may not exceed {bytes_max} bytes in size.")]
    FetchedTooLong { bytes_max: usize },
    /// The document, its sections and their members.
    #[error("Template format error: {0}")]
    Format(String),
    /// A function with the wrong arguments, or without a value.
    #[error("Template error: {0}")]
    Function(String),
    /// A property that no section, resource or parameter has, values of parameters, imports, rules.
    #[error("{0}")]
    Validation(String),
    /// Something of CloudFormation that is not built here; it is named.
    #[error("{0}")]
    Unsupported(String),
    #[error("Circular dependency between resources: [{}]", .0.join(", "))]
    Circular(Vec<String>),
    /// The caller asked for a value before the resource exists. Not the template's fault: take the resources in
    /// the order of the [`Graph`](crate::Graph).
    #[error("resource {0} has no value yet")]
    NotYetKnown(String),
}

pub(crate) type Result<T> = std::result::Result<T, TemplateError>;

pub(crate) fn format<T>(message: impl Into<String>) -> Result<T> {
    Err(TemplateError::Format(message.into()))
}
pub(crate) fn function<T>(message: impl Into<String>) -> Result<T> {
    Err(TemplateError::Function(message.into()))
}
pub(crate) fn validation<T>(message: impl Into<String>) -> Result<T> {
    Err(TemplateError::Validation(message.into()))
}
pub(crate) fn unsupported<T>(message: impl Into<String>) -> Result<T> {
    Err(TemplateError::Unsupported(message.into()))
}
