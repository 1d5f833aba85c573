//! What stacks of a region give each other: exports, and imports that hold them.

use std::collections::{BTreeMap, BTreeSet};

use gantry_domain::Change;

use super::site::{Halt, Site};
use crate::cloudformation::records::{Export, Import};
use crate::objects::Found;

/// Changes of one commit.
const CHANGES_MAX: usize = 60;

/// Makes the stack's exports exactly these. The inner error is the reason why they cannot be.
pub(super) async fn export(
    site: &Site,
    wanted: &BTreeMap<String, String>,
) -> Result<Result<(), String>, Halt> {
    loop {
        let outcome = site
            .commit(|view, _, stack, _| {
                let all = Export::list(view, &stack.region)?;
                let imports = Import::list(view, &stack.region)?;
                let user = |name: &str| {
                    let uses = |import: &&Found<Import>| {
                        import.document.export == name && import.document.stack_name != stack.name
                    };
                    imports.iter().find(uses).map(|import| import.document.stack_name.clone())
                };
                let mut changes: Vec<Change> = Vec::new();
                let mut there = BTreeSet::new();
                for found in all {
                    let name = found.document.name.clone();
                    let value = wanted.get(&name);
                    if found.document.stack_id != stack.id {
                        if value.is_some() {
                            let owner = name_of(&found.document.stack_id);
                            let reason =
                                format!("Export with name {name} is already exported by stack {owner}");
                            return Ok((Err(reason), vec![]));
                        }
                        continue;
                    }
                    there.insert(name.clone());
                    let verb = match value {
                        Some(value) if *value == found.document.value => continue,
                        Some(_) => "updated",
                        None => "deleted",
                    };
                    if let Some(user) = user(&name) {
                        return Ok((
                            Err(format!("Export {name} cannot be {verb} as it is in use by {user}")),
                            vec![],
                        ));
                    }
                    changes.push(match value {
                        None => found.delete(),
                        Some(value) => {
                            let document = Export { value: value.clone(), ..found.document.clone() };
                            Found { document, ..found }.update()
                        }
                    });
                }
                for (name, value) in wanted.iter().filter(|(name, _)| !there.contains(*name)) {
                    let export =
                        Export { name: name.clone(), value: value.clone(), stack_id: stack.id.clone() };
                    changes.push(export.create(&stack.region));
                }
                changes.truncate(CHANGES_MAX);
                Ok((Ok(changes.is_empty()), changes))
            })
            .await?;
        match outcome {
            Ok(true) => return Ok(Ok(())),
            Ok(false) => {}
            Err(reason) => return Ok(Err(reason)),
        }
    }
}

/// Holds these exports for the stack. The inner error is the reason why it cannot.
pub(super) async fn import(site: &Site, wanted: &BTreeSet<String>) -> Result<Result<(), String>, Halt> {
    loop {
        let outcome = site
            .commit(|view, _, stack, _| {
                let held: BTreeSet<String> =
                    own(view, stack)?.into_iter().map(|found| found.document.export).collect();
                let mut changes = Vec::new();
                for name in wanted.difference(&held) {
                    let Some(export) = Export::find(view, &stack.region, name)? else {
                        return Ok((Err(format!("No export named {name} found.")), vec![]));
                    };
                    // Written again, so that whoever removes it meanwhile conflicts and then sees the import.
                    changes.push(export.update());
                    let import = Import { export: name.clone(), stack_name: stack.name.clone() };
                    changes.push(import.create(&stack.region));
                }
                changes.truncate(CHANGES_MAX);
                Ok((Ok(changes.is_empty()), changes))
            })
            .await?;
        match outcome {
            Ok(true) => return Ok(Ok(())),
            Ok(false) => {}
            Err(reason) => return Ok(Err(reason)),
        }
    }
}

/// Lets go of all imports but these.
pub(super) async fn release(site: &Site, kept: &BTreeSet<String>) -> Result<(), Halt> {
    loop {
        let is_done = site
            .commit(|view, _, stack, _| {
                let held = own(view, stack)?;
                let dropped = held.iter().filter(|found| !kept.contains(&found.document.export));
                let changes: Vec<Change> = dropped.take(CHANGES_MAX).map(Found::delete).collect();
                Ok((changes.is_empty(), changes))
            })
            .await?;
        if is_done {
            return Ok(());
        }
    }
}

fn own(
    view: &gantry_domain::View,
    stack: &crate::cloudformation::records::Stack,
) -> Result<Vec<Found<Import>>, gantry_api::ApiError> {
    let mut all = Import::list(view, &stack.region)?;
    all.retain(|found| found.document.stack_name == stack.name);
    Ok(all)
}

/// The name in a stack's id.
fn name_of(stack_id: &str) -> &str {
    stack_id.rsplit('/').nth(1).unwrap_or(stack_id)
}
