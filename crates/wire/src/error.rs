//! What an operation answers when it does not succeed.

use std::borrow::Cow;
use std::fmt;

use gantry_types::Value;

use crate::shape::{ErrorModel, OperationModel};

/// An error in AWS's terms. Each protocol writes it in its own form.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    pub code: Cow<'static, str>,
    /// Empty where AWS gives none.
    pub message: String,
    pub status: u16,
    pub fault: Fault,
    /// Members of the error's structure beside its message.
    pub members: Value,
}

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Sender,
    Receiver,
}

impl ApiError {
    /// The caller's fault, status 400.
    pub fn sender(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        let (code, message) = (code.into(), message.into());
        Self { code, message, status: 400, fault: Fault::Sender, members: Value::Null }
    }

    /// Our fault, status 500.
    pub fn receiver(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { status: 500, fault: Fault::Receiver, ..Self::sender(code, message) }
    }

    /// An error as its model describes it.
    pub fn modelled(model: &ErrorModel, message: impl Into<String>) -> Self {
        let fault = if model.sender { Fault::Sender } else { Fault::Receiver };
        Self { status: model.status, fault, ..Self::sender(model.code, message) }
    }

    /// The operation exists at AWS, and nobody has written it here yet.
    pub fn not_implemented(service: &str, operation: &str) -> Self {
        let message = format!("Gantry does not implement {service}:{operation} yet.");
        Self { status: 501, ..Self::receiver("NotImplemented", message) }
    }

    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Sets a member of the error's structure.
    pub fn with_member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.set(name, value);
        self
    }

    /// How the operation's model describes this error, if it does.
    pub(crate) fn model(&self, operation: Option<&OperationModel>) -> Option<&'static ErrorModel> {
        operation?.errors.iter().find(|model| model.code == self.code).copied()
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for ApiError {}
