//! The text of `Fn::Sub`, cut into its parts.

use crate::error::{Result, function};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubPart {
    Text(String),
    /// `${Name}`: a variable of the function, a parameter or a resource.
    Reference(String),
    /// `${LogicalId.Attribute}`.
    Attribute {
        logical_id: String,
        attribute: String,
    },
}

const WRONG_NAME: &str = "variable names in Fn::Sub syntax must contain only alphanumeric characters, underscores, periods, and colons";

/// `${!Literal}` stands for `${Literal}`; a dollar sign with nothing to do with a reference stands for itself.
pub(super) fn parts(text: &str, is_variable: impl Fn(&str) -> bool) -> Result<Vec<SubPart>> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        literal.push_str(&rest[..start]);
        let inside = &rest[start + 2..];
        let Some(end) = inside.find('}') else {
            // Never closed: it is text, as CloudFormation takes it.
            literal.push_str("${");
            rest = inside;
            continue;
        };
        let name = &inside[..end];
        rest = &inside[end + 1..];
        if let Some(escaped) = name.strip_prefix('!') {
            literal.push_str("${");
            literal.push_str(escaped);
            literal.push('}');
            continue;
        }
        let name = name.trim();
        if name.is_empty()
            || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte))
        {
            return function(WRONG_NAME);
        }
        if !literal.is_empty() {
            parts.push(SubPart::Text(std::mem::take(&mut literal)));
        }
        parts.push(match name.split_once('.') {
            Some((logical_id, attribute)) if !is_variable(name) => {
                SubPart::Attribute { logical_id: logical_id.to_owned(), attribute: attribute.to_owned() }
            }
            _ => SubPart::Reference(name.to_owned()),
        });
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(SubPart::Text(literal));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> SubPart {
        SubPart::Text(text.to_owned())
    }
    fn reference(name: &str) -> SubPart {
        SubPart::Reference(name.to_owned())
    }

    #[test]
    fn the_text_is_cut_at_its_references() {
        let attribute =
            SubPart::Attribute { logical_id: "Lb".to_owned(), attribute: "Outputs.Name".to_owned() };
        for (given, expected) in [
            ("plain", vec![text("plain")]),
            ("", vec![]),
            ("${A}", vec![reference("A")]),
            ("a${A}b${AWS::Region}", vec![text("a"), reference("A"), text("b"), reference("AWS::Region")]),
            ("http://${Lb.Outputs.Name}/", vec![text("http://"), attribute, text("/")]),
            ("${!Literal} ${A}", vec![text("${Literal} "), reference("A")]),
            ("$A $${A}", vec![text("$A $"), reference("A")]),
            ("${ A }", vec![reference("A")]),
            ("${open", vec![text("${open")]),
            ("${v.x}", vec![reference("v.x")]),
            ("ü${A}ü", vec![text("ü"), reference("A"), text("ü")]),
        ] {
            assert_eq!(parts(given, |name| name == "v.x"), Ok(expected), "{given}");
        }
        for wrong in ["${}", "${a b}", "${a$}", "${ü}", "${${A}}"] {
            assert_eq!(parts(wrong, |_| false), function(WRONG_NAME), "{wrong}");
        }
    }
}
