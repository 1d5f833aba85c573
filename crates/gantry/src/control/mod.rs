//! The `control` child.

use crate::roles::Child;

/// Runs until the supervisor ends it or is gone.
pub(crate) fn run(child: &Child) -> Result<(), String> {
    child.descriptors.ready().map_err(|error| error.to_string())?;
    child.descriptors.wait_for_end();
    Ok(())
}
