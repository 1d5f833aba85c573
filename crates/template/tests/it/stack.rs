//! A template with parameters, in an account where every resource can be asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_template::{
    Attribute, Evaluation, ParameterInput, PseudoParameters, Template, TemplateError, World, limits,
};
use gantry_types::Value;

pub(crate) fn parse(text: &str) -> Result<Template, TemplateError> {
    Template::parse(text, limits::BODY_BYTES_MAX)
}

pub(crate) fn inputs(given: &[(&str, &str)]) -> BTreeMap<String, ParameterInput> {
    given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), ParameterInput::Value((*value).to_owned())))
        .collect()
}

pub(crate) fn pseudo() -> PseudoParameters {
    PseudoParameters {
        account_id: "123456789012".to_owned(),
        region: "eu-central-1".to_owned(),
        stack_name: "shop".to_owned(),
        stack_id: "arn:aws:cloudformation:eu-central-1:123456789012:stack/shop/1".to_owned(),
        notification_arns: vec!["arn:a".to_owned(), "arn:b".to_owned()],
    }
}

pub(crate) fn evaluate(text: &str, given: &[(&str, &str)]) -> Result<Evaluation, TemplateError> {
    let template = parse(text)?;
    let parameters = template.parameter_values(&inputs(given), &BTreeMap::new())?;
    Evaluation::new(Arc::new(template), parameters, pseudo())
}

/// Every resource exists and is called after itself; `Missing` never does, and no type has the attribute `Nonsense`.
pub(crate) struct Account;

impl World for Account {
    fn reference(&self, logical_id: &str) -> Option<Value> {
        (logical_id != "Missing").then(|| Value::from(format!("id-{logical_id}")))
    }
    fn attribute(&self, logical_id: &str, attribute: &str) -> Attribute {
        match (logical_id, attribute) {
            ("Missing", _) => Attribute::NotYetKnown,
            (_, "Nonsense") => Attribute::Unsupported,
            (_, "CidrBlock") => Attribute::Value(Value::from("10.0.0.0/16")),
            (_, "List") => Attribute::Value(Value::from(vec!["one", "two"])),
            _ => Attribute::Value(Value::from(format!("{logical_id}/{attribute}"))),
        }
    }
    fn import(&self, export_name: &str) -> Option<Value> {
        (export_name == "network:vpc").then(|| Value::from("vpc-1"))
    }
    fn availability_zones(&self, region: &str) -> Vec<String> {
        ["a", "b", "c"].iter().map(|zone| format!("{region}{zone}")).collect()
    }
    fn all_of(&self, parameter_type: &str) -> Vec<String> {
        if parameter_type == "AWS::EC2::VPC::Id" {
            vec!["vpc-1".to_owned(), "vpc-2".to_owned()]
        } else {
            vec![]
        }
    }
    fn value_of(&self, parameter_type: &str, id: &str, attribute: &str) -> Option<Value> {
        match (parameter_type, attribute) {
            ("AWS::EC2::Subnet::Id", "VpcId") => Some(Value::from(id.replace("subnet", "vpc"))),
            ("AWS::EC2::VPC::Id", "Tags.Department") => Some(Value::from("IT")),
            _ => None,
        }
    }
}

/// JSON text of a value, to write expectations as text.
pub(crate) fn shown(value: &Value) -> String {
    serde_json::to_string(value).expect("a value is JSON")
}
