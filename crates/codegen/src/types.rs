//! One struct per structure, with its conversions.

use crate::model::{Kind, Member, Model, Shape};
use crate::names::{snake, type_name};

pub(crate) fn write(model: &Model, code: &mut String) -> Result<(), String> {
    for shape in model.shapes.values().filter(|shape| !shape.is_error() || model.is_member(&shape.name)) {
        if let Kind::Structure(members) = &shape.kind {
            structure(model, shape, members, code)?;
        }
    }
    Ok(())
}

fn structure(model: &Model, shape: &Shape, members: &[Member], code: &mut String) -> Result<(), String> {
    let name = type_name(&shape.name);
    let (mut fields, mut reads, mut writes) = (String::new(), String::new(), String::new());
    let mut taken = Vec::new();
    for member in members {
        let field = snake(&member.name);
        if taken.contains(&field) {
            return Err(format!("{}.{} has the same Rust name as another member", shape.name, member.name));
        }
        let rust = member_type(model, &shape.name, member);
        let (rust, read) = if member.required { (rust, "req") } else { (format!("Option<{rust}>"), "opt") };
        fields.push_str(&format!("pub {field}: {rust},"));
        reads.push_str(&format!("{field}: {read}(v, {:?})?,", member.name));
        writes.push_str(&format!("m.put({:?}, self.{field});", member.name));
        taken.push(field);
    }
    code.push_str(&format!(
        "#[derive(Debug, Clone, Default, PartialEq)]\npub struct {name} {{ {fields} }}\n"
    ));
    code.push_str(&format!(
        "impl FromValue for {name} {{ fn from_value(v: &Value) -> Result<Self, Mismatch> {{ {}Ok(Self {{ {reads} }}) }} }}\n",
        if members.is_empty() { "let _ = v; " } else { "" }
    ));
    code.push_str(&format!(
        "impl IntoValue for {name} {{ fn into_value(self) -> Value {{ {} m = Members::new(); {writes} m.finish() }} }}\n",
        if members.is_empty() { "let" } else { "let mut" }
    ));
    Ok(())
}

fn member_type(model: &Model, owner: &str, member: &Member) -> String {
    let rust = rust_type(model, &member.shape);
    if model.holds(&member.shape, owner) { format!("Box<{rust}>") } else { rust }
}

pub(crate) fn rust_type(model: &Model, shape: &str) -> String {
    match &model.shape(shape).kind {
        Kind::Structure(_) => type_name(shape),
        Kind::List(member) => format!("Vec<{}>", rust_type(model, &member.shape)),
        Kind::Map(_, value) => format!("BTreeMap<String, {}>", rust_type(model, &value.shape)),
        Kind::String => "String".to_owned(),
        Kind::Boolean => "bool".to_owned(),
        Kind::Integer => "i32".to_owned(),
        Kind::Long => "i64".to_owned(),
        Kind::Float | Kind::Double => "f64".to_owned(),
        Kind::Blob => "Blob".to_owned(),
        Kind::Timestamp => "Timestamp".to_owned(),
        Kind::Document => "Value".to_owned(),
    }
}
