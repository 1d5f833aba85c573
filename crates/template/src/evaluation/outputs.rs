//! What a stack tells when it is made.

use gantry_types::Value;

use super::{Evaluation, decide::is_on};
use crate::document::text_of;
use crate::error::{Result, format};
use crate::world::World;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputValue {
    pub name: String,
    pub value: String,
    pub description: Option<String>,
    pub export_name: Option<String>,
}

impl Evaluation {
    /// All outputs whose condition is true. All resources that they name have to exist.
    pub fn outputs(&self, world: &dyn World) -> Result<Vec<OutputValue>> {
        let scope = self.scope(world);
        let mut outputs = Vec::new();
        for (name, output) in self
            .template
            .outputs
            .iter()
            .filter(|(_, output)| is_on(output.condition.as_ref(), &self.conditions))
        {
            let value = match scope.evaluate(&output.value)? {
                None => continue,
                Some(Value::List(_)) => {
                    return format(
                        "The Value field of every Outputs member must evaluate to a String and not a List.",
                    );
                }
                Some(value) => match text_of(&value) {
                    Some(text) => text.into_owned(),
                    None => {
                        return format("The Value field of every Outputs member must evaluate to a String.");
                    }
                },
            };
            let export_name = output
                .export_name
                .as_ref()
                .map(|export| {
                    scope.text(export, "the Name field of every Export member must evaluate to a String.")
                })
                .transpose()?;
            if export_name.as_deref().is_some_and(|export| !is_export_name(export)) {
                return format(format!(
                    "Output {name} is malformed. The Name field of every Export member must be specified and consist only of alphanumeric characters, colons, or hyphens."
                ));
            }
            outputs.push(OutputValue {
                name: name.clone(),
                value,
                description: output.description.clone(),
                export_name,
            });
        }
        Ok(outputs)
    }
}

fn is_export_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b':' || byte == b'-')
}
