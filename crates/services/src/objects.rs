//! Records that no decision reads, by class and name.

use gantry_api::{ApiError, FromValue, IntoValue};
use gantry_domain::object::Object;
use gantry_domain::{Change, Key, View};

/// An object's document as a typed structure, with the revision that a change must expect.
pub(crate) struct Found<T> {
    pub(crate) revision: u64,
    pub(crate) class: String,
    pub(crate) name: String,
    pub(crate) document: T,
}

impl<T: IntoValue> Found<T> {
    /// Replaces the object with what the document has become.
    pub(crate) fn update(self) -> Change {
        let object = Object { class: self.class, name: self.name, document: self.document.into_value() };
        Change::update(object, self.revision)
    }
    pub(crate) fn delete(&self) -> Change {
        Change::delete(Key::object(&self.class, &self.name), self.revision)
    }
    /// Makes the commit conflict if the object has changed.
    pub(crate) fn check(&self) -> Change {
        Change::check(Key::object(&self.class, &self.name), self.revision)
    }
}

pub(crate) fn find<T: FromValue>(view: &View, class: &str, name: &str) -> Result<Option<Found<T>>, ApiError> {
    let Some(object) = view.get::<Object>(&Key::object(class, name)) else { return Ok(None) };
    read(object.value(), object.revision).map(Some)
}

/// All objects of a class, in the order of their names.
pub(crate) fn list<T: FromValue>(view: &View, class: &str) -> Result<Vec<Found<T>>, ApiError> {
    view.scan::<Object>(&format!("{class}/"))
        .filter(|object| object.class == class)
        .map(|object| read(object.value(), object.revision))
        .collect()
}

pub(crate) fn create<T: IntoValue>(class: &str, name: &str, document: T) -> Change {
    Change::create(Object { class: class.to_owned(), name: name.to_owned(), document: document.into_value() })
}

fn read<T: FromValue>(object: &Object, revision: u64) -> Result<Found<T>, ApiError> {
    let document = T::from_value(&object.document).map_err(|mismatch| {
        ApiError::receiver(
            "InternalFailure",
            format!("The record {}/{} is damaged: {mismatch}.", object.class, object.name),
        )
    })?;
    Ok(Found { revision, class: object.class.clone(), name: object.name.clone(), document })
}
