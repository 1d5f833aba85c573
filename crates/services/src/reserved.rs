//! Tags that are AWS's own: their keys begin with `aws:`. Callers neither set nor remove them, and they do not count.

use gantry_api::CallContext;

use crate::cloudformation::caller::is_internal;

pub(crate) fn is_aws(key: &str) -> bool {
    key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:"))
}

/// Whether this caller must leave the key alone. CloudFormation marks what it makes.
pub(crate) fn is_reserved(call: &CallContext, key: &str) -> bool {
    is_aws(key) && !is_internal(call)
}
