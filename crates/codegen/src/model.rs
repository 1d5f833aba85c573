//! A trimmed service model, read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

pub(crate) struct Model {
    /// Our module's name.
    pub(crate) name: String,
    pub(crate) metadata: Value,
    pub(crate) operations: BTreeMap<String, Value>,
    pub(crate) unserved: BTreeSet<String>,
    pub(crate) shapes: BTreeMap<String, Shape>,
}

pub(crate) struct Shape {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The model's own words, for the constraints.
    pub(crate) json: Value,
}

pub(crate) enum Kind {
    Structure(Vec<Member>),
    List(Reference),
    Map(Reference, Reference),
    String,
    Boolean,
    Integer,
    Long,
    Float,
    Double,
    Blob,
    Timestamp,
    Document,
}

pub(crate) struct Reference {
    pub(crate) shape: String,
    pub(crate) json: Value,
}

pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) shape: String,
    pub(crate) required: bool,
    pub(crate) json: Value,
}

impl Model {
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, String> {
        let json: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let object = |key: &str| json[key].as_object().ok_or_else(|| format!("{key:?} is missing"));
        let shapes = object("shapes")?
            .iter()
            .map(|(name, shape)| Ok((name.clone(), Shape::parse(name, shape)?)))
            .collect::<Result<BTreeMap<_, _>, String>>()?;
        let unserved = json["unserved"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let model = Self {
            name: name.to_owned(),
            metadata: json["metadata"].clone(),
            operations: object("operations")?
                .iter()
                .map(|(name, json)| (name.clone(), json.clone()))
                .collect(),
            unserved: unserved.map(str::to_owned).collect(),
            shapes,
        };
        model.check_references()?;
        Ok(model)
    }

    /// Every shape that is named is there.
    fn check_references(&self) -> Result<(), String> {
        let named = self.shapes.values().flat_map(|shape| match &shape.kind {
            Kind::Structure(members) => members.iter().map(|member| &member.shape).collect(),
            Kind::List(member) => vec![&member.shape],
            Kind::Map(key, value) => vec![&key.shape, &value.shape],
            _ => vec![],
        });
        named
            .into_iter()
            .find(|name| !self.shapes.contains_key(*name))
            .map_or(Ok(()), |name| Err(format!("no shape {name}")))
    }

    pub(crate) fn shape(&self, name: &str) -> &Shape {
        self.shapes.get(name).expect("references were checked when the model was read")
    }

    /// The shape that an operation takes (`input`) or gives (`output`).
    pub(crate) fn side<'a>(&self, operation: &'a Value, side: &str) -> Option<&'a str> {
        operation[side]["shape"].as_str()
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.metadata[key].as_str().unwrap_or("")
    }

    /// Which names the service's error codes go by.
    pub(crate) fn speaks_query(&self) -> bool {
        matches!(self.text("protocol"), "query" | "ec2")
    }

    /// True for an error that is also somebody's member, as in an event stream.
    pub(crate) fn is_member(&self, name: &str) -> bool {
        self.shapes.values().any(|shape| match &shape.kind {
            Kind::Structure(members) => members.iter().any(|member| member.shape == name),
            _ => false,
        })
    }

    /// True if a value of `from` holds a value of `to` directly, without a list or map between: such a member needs a box.
    pub(crate) fn holds(&self, from: &str, to: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut waiting = vec![from];
        while let Some(name) = waiting.pop() {
            if name == to {
                return true;
            }
            if let (true, Kind::Structure(members)) = (seen.insert(name), &self.shape(name).kind) {
                waiting.extend(members.iter().map(|member| member.shape.as_str()));
            }
        }
        false
    }
}

impl Shape {
    fn parse(name: &str, json: &Value) -> Result<Self, String> {
        let reference = |key: &str| -> Result<Reference, String> {
            let shape = json[key]["shape"].as_str().ok_or_else(|| format!("{name} has no {key}"))?;
            Ok(Reference { shape: shape.to_owned(), json: json[key].clone() })
        };
        let kind = match json["type"].as_str().unwrap_or("") {
            "structure" if json["document"] == true => Kind::Document,
            "structure" => Kind::Structure(members(name, json)?),
            "list" => Kind::List(reference("member")?),
            "map" => Kind::Map(reference("key")?, reference("value")?),
            "string" | "character" => Kind::String,
            "boolean" => Kind::Boolean,
            "integer" => Kind::Integer,
            "long" => Kind::Long,
            "float" => Kind::Float,
            "double" => Kind::Double,
            "blob" => Kind::Blob,
            "timestamp" => Kind::Timestamp,
            other => {
                return Err(format!("{name} has the type {other:?}, which nobody has taught the generator"));
            }
        };
        Ok(Self { name: name.to_owned(), kind, json: json.clone() })
    }

    pub(crate) fn is_error(&self) -> bool {
        self.json["exception"] == true
    }
}

fn members(name: &str, json: &Value) -> Result<Vec<Member>, String> {
    let required: Vec<&str> =
        json["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let members = json["members"].as_object().ok_or_else(|| format!("{name} has no members"))?;
    let mut members: Vec<Member> = members
        .iter()
        .map(|(member, json)| {
            let shape = json["shape"].as_str().ok_or_else(|| format!("{name}.{member} has no shape"))?;
            let required = required.contains(&member.as_str());
            Ok(Member { name: member.clone(), shape: shape.to_owned(), required, json: json.clone() })
        })
        .collect::<Result<_, String>>()?;
    // The tables are searched by name.
    members.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(members)
}
