//! The template's own assertions on its parameters.

use super::Evaluation;
use crate::error::{Result, validation};
use crate::world::World;

impl Evaluation {
    /// Fails if an assertion does. `world` answers `Fn::RefAll`, `Fn::ValueOf` and `Fn::ValueOfAll`.
    pub fn check_rules(&self, world: &dyn World) -> Result<()> {
        let scope = self.scope(world);
        let mut broken = Vec::new();
        for (name, rule) in &self.template.rules {
            let applies = rule.condition.as_ref().map_or(Ok(true), |condition| scope.truth(condition))?;
            if !applies {
                continue;
            }
            for assertion in &rule.assertions {
                if !scope.truth(&assertion.assert)? {
                    let description = assertion.description.as_deref().unwrap_or("the assertion is false");
                    broken.push(format!("{name}: {description}"));
                }
            }
        }
        if broken.is_empty() {
            return Ok(());
        }
        validation(format!("Template validation error: Rule assertion failed. {}", broken.join("; ")))
    }
}
