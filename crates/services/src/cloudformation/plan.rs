//! One version of a stack, understood: which resources it has, in which order, and what each shall be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gantry_domain::View;
use gantry_template::{
    Attribute, Evaluation, KNOWN_AFTER_APPLY, OutputValue, ParameterInput, ParameterValues, PseudoParameters,
    Template, TemplateError, World, is_known, limits,
};
use gantry_types::{ACCOUNT, Region, Timestamp, Value};

use super::failure::Failure;
use super::mapping;
use super::records::{Export, Kept, Resource, ResourceStatus, Stack, Version};
use super::resource::Wanted;
use super::resources;
use crate::ec2::region::ZONE_LETTERS;

pub(super) struct Plan {
    pub(super) evaluation: Evaluation,
    /// The stack's own tags with CloudFormation's, but for the logical id's.
    tags: BTreeMap<String, String>,
}

impl From<TemplateError> for Failure {
    fn from(error: TemplateError) -> Self {
        Self::plain(error.to_string())
    }
}

/// The parameters of a version as its template takes them.
pub(super) fn parameter_values(
    template: &Template,
    version: &Version,
) -> Result<ParameterValues, TemplateError> {
    let input = |parameter: &super::records::Parameter| {
        (parameter.key.clone(), ParameterInput::Value(parameter.given.clone()))
    };
    let inputs = version.parameters.iter().map(input).collect();
    let mut values = template.parameter_values(&inputs, &BTreeMap::new())?;
    for parameter in &version.parameters {
        if let Some(value) = &parameter.looked_up {
            values.resolve(&parameter.key, value.clone());
        }
    }
    Ok(values)
}

impl Plan {
    pub(super) fn new(stack: &Stack, version: &Version) -> Result<Self, TemplateError> {
        let template = Template::parse(&version.body, limits::BODY_BYTES_MAX)?;
        let values = parameter_values(&template, version)?;
        let pseudo = PseudoParameters {
            account_id: ACCOUNT.to_owned(),
            region: stack.region.to_string(),
            stack_name: stack.name.clone(),
            stack_id: stack.id.clone(),
            notification_arns: version.notification_arns.clone(),
        };
        let mut tags = version.tags.clone();
        tags.insert("aws:cloudformation:stack-name".to_owned(), stack.name.clone());
        tags.insert("aws:cloudformation:stack-id".to_owned(), stack.id.clone());
        Ok(Self { evaluation: Evaluation::new(Arc::new(template), values, pseudo)?, tags })
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.evaluation.resource(id).is_some()
    }

    /// What a resource shall be, from those that exist. It has no name and no thing yet.
    pub(super) fn kept(&self, view: &View, stack: &Stack, id: &str) -> Result<Kept, Failure> {
        let known = Known::new(view, stack).map_err(|error| Failure::plain(error.message))?;
        self.kept_in(&known, id)
    }

    pub(super) fn kept_in(&self, world: &dyn World, id: &str) -> Result<Kept, Failure> {
        let mut kept = self.bare(id);
        kept.properties = self.evaluation.properties(id, world)?;
        Ok(kept)
    }

    fn bare(&self, id: &str) -> Kept {
        let resource = self.evaluation.resource(id);
        let mut stack_tags = self.tags.clone();
        stack_tags.insert("aws:cloudformation:logical-id".to_owned(), id.to_owned());
        let needs = self.evaluation.graph().dependencies().get(id);
        Kept {
            resource_type: resource.map(|resource| resource.resource_type.clone()).unwrap_or_default(),
            physical_id: None,
            generated_name: String::new(),
            token: String::new(),
            properties: Value::Null,
            stack_tags,
            attributes: Value::Null,
            depends_on: needs.into_iter().flatten().cloned().collect(),
            deletion_policy: resource.map_or("Delete", |resource| resource.deletion_policy.name()).to_owned(),
            update_replace_policy: resource
                .map_or("Delete", |resource| resource.update_replace_policy.name())
                .to_owned(),
        }
    }

    /// A resource of which nothing is there and nothing could be asked.
    pub(super) fn absent(&self, id: &str, now: Timestamp) -> Resource {
        Resource {
            logical_id: id.to_owned(),
            status: ResourceStatus::CreateInProgress,
            reason: None,
            changed_at: now,
            began_at: now,
            now: self.bare(id),
            former: None,
            surplus: vec![],
            is_new: true,
            touched_in: 0,
            was_tried: false,
        }
    }

    /// Checks properties against the resource's type: those of the table, and, once all values are known, what is inside of
    /// them, as far as the creating call's shape tells.
    pub(super) fn check(&self, id: &str, kept: &Kept) -> Result<(), Failure> {
        let Some(kind) = resources::find(&kept.resource_type) else {
            return Err(Failure::plain(format!(
                "Gantry does not support resources of the type {} yet.",
                kept.resource_type
            )));
        };
        mapping::check(id, kind.properties(), &kept.properties, &is_known)?;
        if !is_known(&kept.properties) {
            return Ok(());
        }
        let wanted = Wanted {
            logical_id: id,
            resource_type: kind.name(),
            properties: &kept.properties,
            generated_name: &kept.generated_name,
            token: &kept.token,
            stack_tags: &kept.stack_tags,
        };
        kind.create(&wanted).map(|_| ())
    }

    /// The first resources that cannot be what the template says, whatever comes to be: found before anything is made.
    pub(super) fn check_all(&self, view: &View, stack: &Stack) -> Result<Vec<(String, Failure)>, Failure> {
        let preview = Preview::new(view, stack, self).map_err(|error| Failure::plain(error.message))?;
        let check = |id: &String| {
            let kept = self.kept_in(&preview, id).and_then(|kept| self.check(id, &kept));
            kept.err().map(|failure| (id.clone(), failure))
        };
        Ok(self.evaluation.graph().resources().filter_map(check).collect())
    }

    /// How many signals a resource's creation waits for, and for how long.
    pub(super) fn signals(
        &self,
        view: &View,
        stack: &Stack,
        resource: &Resource,
    ) -> Result<Option<(usize, Duration)>, Failure> {
        let known = Known::new(view, stack).map_err(|error| Failure::plain(error.message))?;
        let policy = self.evaluation.creation_policy(&resource.logical_id, &known)?;
        let signal = policy.and_then(|policy| policy.resource_signal);
        Ok(signal.map(|signal| (signal.count as usize, Duration::from_secs(signal.timeout_seconds))))
    }

    pub(super) fn outputs(&self, view: &View, stack: &Stack) -> Result<Vec<OutputValue>, Failure> {
        let known = Known::new(view, stack).map_err(|error| Failure::plain(error.message))?;
        Ok(self.evaluation.outputs(&known)?)
    }

    pub(super) fn imports(&self) -> Result<BTreeSet<String>, Failure> {
        Ok(self.evaluation.import_names()?)
    }
}

/// What the stack's resources are by now.
pub(super) struct Known<'v> {
    view: &'v View,
    region: Region,
    resources: BTreeMap<String, Kept>,
}

impl<'v> Known<'v> {
    pub(super) fn new(view: &'v View, stack: &Stack) -> Result<Self, gantry_api::ApiError> {
        let resources = Resource::list(view, stack)?.into_iter().map(|found| found.document);
        let there = resources.filter(|resource| !resource.is_gone());
        let resources = there.map(|resource| (resource.logical_id, resource.now)).collect();
        Ok(Self { view, region: stack.region.clone(), resources })
    }
}

impl World for Known<'_> {
    fn reference(&self, logical_id: &str) -> Option<Value> {
        let kept = self.resources.get(logical_id)?;
        let kind = resources::find(&kept.resource_type)?;
        Some(Value::String(kind.reference(kept.physical_id.as_deref()?)))
    }
    fn attribute(&self, logical_id: &str, attribute: &str) -> Attribute {
        let Some(kept) = self.resources.get(logical_id) else { return Attribute::NotYetKnown };
        if kept.physical_id.is_none() {
            return Attribute::NotYetKnown;
        }
        match kept.attributes.get(attribute) {
            Some(value) => Attribute::Value(value.clone()),
            None if supports(&kept.resource_type, attribute) => Attribute::Value(Value::from("")),
            None => Attribute::Unsupported,
        }
    }
    fn import(&self, export_name: &str) -> Option<Value> {
        let export = Export::find(self.view, &self.region, export_name).ok()??;
        Some(Value::String(export.document.value))
    }
    fn availability_zones(&self, region: &str) -> Vec<String> {
        let region = if region.is_empty() { self.region.as_str() } else { region };
        ZONE_LETTERS.iter().map(|letter| format!("{region}{letter}")).collect()
    }
}

fn supports(resource_type: &str, attribute: &str) -> bool {
    resources::find(resource_type).is_some_and(|kind| kind.attributes().contains(&attribute))
}

/// The same where some resources do not exist, or will be others: what is not known yet has a mark.
pub(super) struct Preview<'v> {
    known: Known<'v>,
    /// By logical id: what will have another id.
    pub(super) replaced: BTreeSet<String>,
    /// What will have other attributes.
    pub(super) updated: BTreeSet<String>,
    /// The type that each resource shall have.
    types: BTreeMap<String, String>,
}

impl<'v> Preview<'v> {
    pub(super) fn new(view: &'v View, stack: &Stack, plan: &Plan) -> Result<Self, gantry_api::ApiError> {
        let types =
            plan.evaluation.resources().map(|(id, resource)| (id.clone(), resource.resource_type.clone()));
        let (known, types) = (Known::new(view, stack)?, types.collect());
        Ok(Self { known, replaced: BTreeSet::new(), updated: BTreeSet::new(), types })
    }
    pub(super) fn kept(&self, id: &str) -> Option<&Kept> {
        self.known.resources.get(id)
    }
}

impl World for Preview<'_> {
    fn reference(&self, logical_id: &str) -> Option<Value> {
        let known = if self.replaced.contains(logical_id) { None } else { self.known.reference(logical_id) };
        Some(known.unwrap_or_else(|| KNOWN_AFTER_APPLY.into()))
    }
    fn attribute(&self, logical_id: &str, attribute: &str) -> Attribute {
        let is_known = !self.replaced.contains(logical_id) && !self.updated.contains(logical_id);
        match self.known.attribute(logical_id, attribute) {
            Attribute::Value(value) if is_known => Attribute::Value(value),
            Attribute::NotYetKnown
                if self.types.get(logical_id).is_some_and(|name| !supports(name, attribute)) =>
            {
                Attribute::Unsupported
            }
            Attribute::Unsupported => Attribute::Unsupported,
            Attribute::Value(_) | Attribute::NotYetKnown => Attribute::Value(KNOWN_AFTER_APPLY.into()),
        }
    }
    fn import(&self, export_name: &str) -> Option<Value> {
        self.known.import(export_name)
    }
    fn availability_zones(&self, region: &str) -> Vec<String> {
        self.known.availability_zones(region)
    }
}
