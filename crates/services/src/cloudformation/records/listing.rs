//! Records of one class, also those of all regions.

use gantry_api::FromValue;
use gantry_domain::View;
use gantry_domain::object::Object;

/// The documents below a class; damaged ones are passed over.
pub(super) fn documents<'v, T: FromValue + 'v>(view: &'v View, class: &str) -> impl Iterator<Item = T> + 'v {
    view.scan::<Object>(&format!("{class}/")).filter_map(|object| T::from_value(&object.document).ok())
}
