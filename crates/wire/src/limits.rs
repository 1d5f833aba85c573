//! What a request may cost before anything is known about it. All limits stand here.

/// The largest body of any request; the shell stops reading there. PutLogEvents takes 1 MiB of events, which JSON's
/// escapes may make several times longer.
pub const BODY_BYTES_MAX: usize = 6 * 1024 * 1024;

/// Parameters of one form or query string.
pub const FORM_PARAMETERS_MAX: usize = 20_000;

/// Parts between the dots of a form parameter's name.
pub(crate) const FORM_NAME_PARTS_MAX: usize = 32;

/// Structures, lists and maps inside each other. serde_json has its own limit of 128 for JSON.
pub(crate) const NESTING_MAX: usize = 100;

/// Violations that one error message reports, as at AWS.
pub(crate) const VIOLATIONS_MAX: usize = 10;

/// Characters of one wrong value that an error message repeats.
pub(crate) const QUOTED_CHARACTERS_MAX: usize = 1024;

/// The longest header that takes part in a signature check, and the most of them.
pub(crate) const SIGNED_HEADERS_MAX: usize = 100;
