//! What one resource type is: the trait that every file in `resources/` implements.
//!
//! The engine asks a type for one call that makes the thing ([`ResourceType::create`], a plain function) and commits what that
//! call makes together with its own record of the physical id. All that follows is a sequence of calls that may be made again:
//! after a restart the engine repeats `configure`, `update` or `delete` from their beginning.
//!
//! Properties come resolved and in CloudFormation's names; [`Wanted::input`] turns them into an operation's input.
//! Writing a type: a file in `resources/`, a line in `resources/mod.rs`. `resources/ecs_cluster.rs` is the smallest example.

use std::collections::BTreeMap;
use std::pin::Pin;

use gantry_types::Value;

use super::caller::Caller;
use super::failure::Failure;
use super::mapping;

/// A sequence of calls. It must be safe to be begun again after it was cut off anywhere.
pub(crate) type Work<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// One resource type.
pub(crate) trait ResourceType: Send + Sync {
    /// `AWS::ECS::Cluster`.
    fn name(&self) -> &'static str;

    /// Every property that the type has.
    fn properties(&self) -> &'static [Property];

    /// What `GetAtt` may ask for; an attribute of an attribute as `Endpoint.Address`.
    fn attributes(&self) -> &'static [&'static str] {
        &[]
    }

    /// How a name is made where the template gives none; `None` for types without names of their own.
    fn naming(&self) -> Option<Naming> {
        None
    }

    /// Whether a change of a [`Update::Conditional`] property needs a new thing.
    fn must_replace(&self, _property: &str, _old: &Value, _new: &Value) -> bool {
        false
    }

    /// How the thing is made. A creation that changes nothing, because a thing of that name is there already, fails with
    /// `AlreadyExists` and leaves that thing alone.
    fn create(&self, wanted: &Wanted<'_>) -> Result<Creation, Failure>;

    /// What must be called after the creation, and after nothing else. Called again after a restart.
    fn configure<'a>(&'a self, _caller: &'a Caller, _wanted: &'a Wanted<'a>, _id: &'a str) -> Work<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    /// Whether the thing is as it shall be by now. Asked again after changes in the store.
    fn stability<'a>(
        &'a self,
        _caller: &'a Caller,
        _wanted: &'a Wanted<'a>,
        _id: &'a str,
    ) -> Work<'a, Stability> {
        Box::pin(async { Ok(Stability::Stable) })
    }

    /// Makes the thing what `wanted` says, from what `old` says; only properties and tags that need no new thing differ (see
    /// [`TagChanges`]). The difference is a hint: after a restart, or in a rollback, some of it may be there already.
    fn update<'a>(
        &'a self,
        caller: &'a Caller,
        wanted: &'a Wanted<'a>,
        id: &'a str,
        old: &'a Wanted<'a>,
    ) -> Work<'a, ()>;

    /// Removes the thing. That it is gone already is a success.
    fn delete<'a>(&'a self, caller: &'a Caller, wanted: &'a Wanted<'a>, id: &'a str) -> Work<'a, ()>;

    /// Whether the removed thing is gone by now. Asked again after changes in the store.
    fn is_gone<'a>(&'a self, _caller: &'a Caller, _wanted: &'a Wanted<'a>, _id: &'a str) -> Work<'a, bool> {
        Box::pin(async { Ok(true) })
    }

    /// What `Ref` gives: the physical id, nearly always.
    fn reference(&self, id: &str) -> String {
        id.to_owned()
    }

    /// The values of [`ResourceType::attributes`], by their names, once the thing is stable.
    fn read<'a>(&'a self, _caller: &'a Caller, _wanted: &'a Wanted<'a>, _id: &'a str) -> Work<'a, Value> {
        Box::pin(async { Ok(Value::map()) })
    }
}

/// One property of a type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Property {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    pub(crate) update: Update,
}

impl Property {
    /// Optional, changed in place.
    pub(crate) const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, required: false, update: Update::InPlace }
    }
    /// The template must give it.
    pub(crate) const fn required(self) -> Self {
        Self { required: true, ..self }
    }
    /// A change of it needs a new thing.
    pub(crate) const fn replaces(self) -> Self {
        Self { update: Update::Replacement, ..self }
    }
    /// [`ResourceType::must_replace`] tells whether a change needs a new thing.
    pub(crate) const fn may_replace(self) -> Self {
        Self { update: Update::Conditional, ..self }
    }
}

/// What a property's value is. What stands inside of it, the operation's shape checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    String,
    Integer,
    Boolean,
    /// Texts.
    Strings,
    /// Structures.
    List,
    Structure,
    /// Any document: a policy. Where an operation takes it as text, it becomes JSON.
    Json,
}

/// What a change of a property does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Update {
    InPlace,
    Replacement,
    Conditional,
}

/// A generated name: `<stack>-<logical id>-<12 random characters>`, cut to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Naming {
    /// The property that the template may give instead.
    pub(crate) property: &'static str,
    pub(crate) characters_max: usize,
    pub(crate) is_lower_case: bool,
    /// Several things may have the same name, as the revisions of a task definition's family.
    pub(crate) is_repeatable: bool,
}

impl Naming {
    pub(crate) const fn new(property: &'static str, characters_max: usize) -> Self {
        Self { property, characters_max, is_lower_case: false, is_repeatable: false }
    }
}

/// What a resource shall be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) logical_id: &'a str,
    pub(crate) resource_type: &'static str,
    /// Resolved, in CloudFormation's names; a property that is `AWS::NoValue` is absent.
    pub(crate) properties: &'a Value,
    /// The name that was generated for it, where its type has names; decided and recorded before it is made.
    pub(crate) generated_name: &'a str,
    /// Whether a creation is the same one after a restart: a token for operations that take one.
    pub(crate) token: &'a str,
    /// The stack's tags and CloudFormation's own (`aws:cloudformation:..`).
    pub(crate) stack_tags: &'a BTreeMap<String, String>,
}

impl Wanted<'_> {
    /// A property, or null.
    pub(crate) fn property(&self, name: &str) -> &Value {
        self.properties.get(name).unwrap_or(&Value::Null)
    }

    /// A property as text; numbers and booleans are written as text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        mapping::text(self.property(name))
    }

    /// A list of texts; a single text counts as a list of one.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        match self.property(name) {
            Value::List(items) => items.iter().filter_map(mapping::text).collect(),
            other => mapping::text(other).into_iter().collect(),
        }
    }

    /// The template's name for the thing, or the generated one.
    pub(crate) fn name(&self, property: &str) -> String {
        self.text(property).unwrap_or_else(|| self.generated_name.to_owned())
    }

    /// An operation's input from all properties of the same name, whatever the case, with their values in the form of its
    /// shape. Properties that it has no member for are left to the type; `Tags` always are. `renames` are pairs of a
    /// property's name, at any depth, and the member's.
    pub(crate) fn input(
        &self,
        service: &str,
        operation: &str,
        renames: &[(&str, &str)],
    ) -> Result<Value, Failure> {
        mapping::input(self, service, operation, renames, &|_| true)
    }

    /// The same with these properties alone.
    pub(crate) fn input_of(
        &self,
        service: &str,
        operation: &str,
        properties: &[&str],
        renames: &[(&str, &str)],
    ) -> Result<Value, Failure> {
        mapping::input(self, service, operation, renames, &|name| properties.contains(&name))
    }

    /// All tags: the template's own, else the stack's, and CloudFormation's. The template's `Tags` may be a list of keys and
    /// values or a map.
    pub(crate) fn tags(&self) -> BTreeMap<String, String> {
        let mut tags = self.stack_tags.clone();
        tags.extend(mapping::own_tags(self.property("Tags")));
        tags
    }

    /// All tags as a list of structures with these member names: `Key` and `Value`, or ECS's `key` and `value`.
    pub(crate) fn tag_list(&self, key: &str, value: &str) -> Value {
        tag_list(&self.tags(), key, value)
    }

    /// `TagSpecifications` of EC2's creations.
    pub(crate) fn tag_specifications(&self, resource_type: &str) -> Value {
        Value::List(vec![Value::structure([
            ("ResourceType", resource_type.into()),
            ("Tags", self.tag_list("Key", "Value")),
        ])])
    }
}

/// What an update does to a thing's tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TagChanges {
    pub(crate) set: BTreeMap<String, String>,
    pub(crate) removed: Vec<String>,
}

impl TagChanges {
    pub(crate) fn between(old: &Wanted<'_>, new: &Wanted<'_>) -> Self {
        let (old, new) = (old.tags(), new.tags());
        let removed = old.keys().filter(|key| !new.contains_key(*key)).cloned().collect();
        let set = new.into_iter().filter(|(key, value)| old.get(key) != Some(value)).collect();
        Self { set, removed }
    }
    /// The tags to set as a list of structures with these member names.
    pub(crate) fn set_list(&self, key: &str, value: &str) -> Value {
        tag_list(&self.set, key, value)
    }
}

fn tag_list(tags: &BTreeMap<String, String>, key: &str, value: &str) -> Value {
    let pair = |(name, text): (&String, &String)| {
        Value::structure([(key, name.as_str().into()), (value, text.as_str().into())])
    };
    Value::List(tags.iter().map(pair).collect())
}

/// How a thing comes to be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Creation {
    /// One call makes it.
    Call { service: &'static str, operation: &'static str, input: Value, id: PhysicalId },
    /// There is nothing to make but what `configure` does, again and again with the same outcome: an attachment, a rule, a
    /// policy of a role.
    Configured { id: String },
}

/// Where the physical id comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PhysicalId {
    /// A member of the call's output: `Vpc.VpcId`, `LoadBalancers.0.LoadBalancerArn`.
    At(&'static str),
    /// Known before: a name.
    Is(String),
}

impl Creation {
    pub(crate) fn call(
        service: &'static str,
        operation: &'static str,
        input: Value,
        id_in_output: &'static str,
    ) -> Self {
        Self::Call { service, operation, input, id: PhysicalId::At(id_in_output) }
    }
    /// A call whose output does not say what the thing is called.
    pub(crate) fn named(
        service: &'static str,
        operation: &'static str,
        input: Value,
        id: impl Into<String>,
    ) -> Self {
        Self::Call { service, operation, input, id: PhysicalId::Is(id.into()) }
    }
}

impl PhysicalId {
    pub(crate) fn of(&self, output: &Value) -> Option<String> {
        match self {
            Self::Is(id) => Some(id.clone()),
            Self::At(path) => mapping::text(mapping::at(output, path)?),
        }
    }
}

/// How far a thing is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stability {
    Stable,
    Pending,
}
