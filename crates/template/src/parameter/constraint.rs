//! What a parameter's value has to satisfy.

use std::collections::BTreeMap;

use gantry_types::Value;

use super::declaration::Parameter;
use super::kind::ParameterKind;
use super::pattern::Pattern;
use crate::error::{Result, function, validation};
use crate::limits::PARAMETER_VALUE_BYTES_MAX;
use crate::template::text;

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Constraints {
    pattern: Option<Pattern>,
    length_min: Option<usize>,
    length_max: Option<usize>,
    /// As they are written, and as numbers.
    value_min: Option<(String, f64)>,
    value_max: Option<(String, f64)>,
    description: Option<String>,
}

impl Constraints {
    pub(super) fn read(name: &str, kind: &ParameterKind, members: &BTreeMap<String, Value>) -> Result<Self> {
        let is_number = matches!(kind, ParameterKind::Number | ParameterKind::ListOfNumbers);
        for (member, fits, of) in [
            ("AllowedPattern", !is_number, "String"),
            ("MinLength", !is_number, "String"),
            ("MaxLength", !is_number, "String"),
            ("MinValue", is_number, "Number"),
            ("MaxValue", is_number, "Number"),
        ] {
            if members.contains_key(member) && !fits {
                return function(format!("Parameter '{name}' {member} must be on a parameter of type {of}"));
            }
        }
        let constraints = Self {
            pattern: text(members, "AllowedPattern")?.map(|pattern| compile(name, pattern)).transpose()?,
            length_min: read_length(members, name, "MinLength")?,
            length_max: read_length(members, name, "MaxLength")?,
            value_min: read_number(members, name, "MinValue")?,
            value_max: read_number(members, name, "MaxValue")?,
            description: text(members, "ConstraintDescription")?,
        };
        if let (Some(min), Some(max)) = (constraints.length_min, constraints.length_max)
            && min > max
        {
            return function(format!("Parameter '{name}' MinLength must be less than MaxLength."));
        }
        if let (Some((_, min)), Some((_, max))) = (&constraints.value_min, &constraints.value_max)
            && min > max
        {
            return function(format!("Parameter '{name}' MinValue must be less than MaxValue."));
        }
        Ok(constraints)
    }
}

fn compile(name: &str, pattern: String) -> Result<Pattern> {
    match Pattern::compile(pattern) {
        Some(pattern) => Ok(pattern),
        None => function(format!("Parameter '{name}' AllowedPattern must be a valid regular expression.")),
    }
}

fn read_length(members: &BTreeMap<String, Value>, name: &str, member: &str) -> Result<Option<usize>> {
    match text(members, member)?.map(|text| text.parse()) {
        None => Ok(None),
        Some(Ok(length)) => Ok(Some(length)),
        Some(Err(_)) => function(format!("Parameter '{name}' {member} must be a non-negative integer")),
    }
}

fn read_number(members: &BTreeMap<String, Value>, name: &str, member: &str) -> Result<Option<(String, f64)>> {
    let Some(text) = text(members, member)? else { return Ok(None) };
    match number(&text) {
        Some(number) => Ok(Some((text, number))),
        None => function(format!("Parameter '{name}' {member} must be a number")),
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

impl Parameter {
    /// Holds a value, as a request or the template gives it, against the declaration.
    pub(super) fn check(&self, name: &str, value: &str) -> Result<()> {
        if value.len() > PARAMETER_VALUE_BYTES_MAX {
            return validation(format!(
                "Parameter '{name}' value length is greater than maximum allowed, {PARAMETER_VALUE_BYTES_MAX}"
            ));
        }
        // What is given is a name; the value behind it is looked up later.
        if matches!(self.kind, ParameterKind::SsmValue(_)) {
            return self.satisfy(name, self.check_allowed(value));
        }
        let members: Vec<&str> =
            if self.kind.is_list() { value.split(',').map(str::trim).collect() } else { vec![value] };
        for member in members {
            let is_number = matches!(self.kind, ParameterKind::Number | ParameterKind::ListOfNumbers);
            self.satisfy(name, self.check_allowed(member))?;
            self.satisfy(name, if is_number { self.check_number(member) } else { self.check_text(member) })?;
        }
        Ok(())
    }

    /// The template's own description of the constraint stands for ours.
    fn satisfy(&self, name: &str, broken: Option<String>) -> Result<()> {
        match (broken, &self.constraints.description) {
            (None, _) => Ok(()),
            (Some(_), Some(description)) => {
                validation(format!("Parameter {name} failed to satisfy constraint: {description}"))
            }
            (Some(broken), None) => validation(format!("Parameter '{name}' {broken}")),
        }
    }

    fn check_allowed(&self, value: &str) -> Option<String> {
        let allowed = self.allowed_values.as_ref()?;
        (!allowed.iter().any(|allowed| allowed == value)).then(|| "must be one of AllowedValues".to_owned())
    }

    fn check_number(&self, value: &str) -> Option<String> {
        let Some(number) = number(value) else { return Some("must be a number".to_owned()) };
        match (&self.constraints.value_min, &self.constraints.value_max) {
            (Some((text, min)), _) if number < *min => Some(format!("must be a number not less than {text}")),
            (_, Some((text, max))) if number > *max => {
                Some(format!("must be a number not greater than {text}"))
            }
            _ => None,
        }
    }

    fn check_text(&self, value: &str) -> Option<String> {
        let length = value.chars().count();
        match &self.constraints {
            Constraints { length_min: Some(min), .. } if length < *min => {
                Some(format!("must contain at least {min} characters"))
            }
            Constraints { length_max: Some(max), .. } if length > *max => {
                Some(format!("must contain at most {max} characters"))
            }
            Constraints { pattern: Some(pattern), .. } => match pattern.matches(value) {
                Some(true) => None,
                Some(false) => Some(format!("must match pattern {}", pattern.text)),
                None => Some(format!("takes too long to hold against pattern {}", pattern.text)),
            },
            _ => None,
        }
    }
}
